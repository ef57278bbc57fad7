"""How a collection measures distance, and the cosine similarity behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError

SPACES = ("cosine", "l2", "ip")
PLACES = 8
SAMPLE_PER_PLACE = 16
"""Vectors whose length is measured at each of :data:`PLACES` places, spread evenly over the records."""
TOLERANCE = 1e-3


@dataclass(frozen=True)
class Space:
    """The space of a collection.

    Among vectors of length 1 all three spaces have the same order, so scores are cosine similarities in each. Where the
    vectors of an ``l2`` or ``ip`` collection have other lengths, its search brings the nearest by its own measure, and
    their cosines are computed from the stored vectors.

    :param name: ``cosine``, ``l2`` or ``ip``.
    :param length: Mean length of the stored vectors; 1 where it does not matter.
    :param varies: Whether their lengths differ.
    :param measured: False while the collection is empty, so that the length is not known yet.
    """

    name: str
    length: float = 1.0
    measured: bool = True
    varies: bool = False

    @property
    def unit(self) -> bool:
        """Whether its distances give the cosine: always in cosine space, else among vectors of length 1."""
        return abs(self.length - 1.0) <= TOLERANCE and not self.varies

    def query_vector(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return `vector` at the length of the stored ones; by l2 distance a short one is nearest to the shortest."""
        return vector if self.unit else vector * np.float32(self.length / max(float(np.linalg.norm(vector)), 1e-12))

    def nearness(
        self, cosines: NDArray[np.float32], products: NDArray[np.float32], norms: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return a number for each vector that is the higher, the nearer it is to the query vector by the distance.

        :param cosines: Cosine similarities to the query vector, shape ``[n]``.
        :param products: Dot products with the query vector at length 1.
        :param norms: Lengths of the vectors.
        """
        if self.unit:
            return cosines
        return products if self.name == "ip" else 2 * np.float32(self.length) * products - norms**2

    def cosines(
        self, vector: NDArray[np.float32], distances: Sequence[float], stored: NDArray[Any] | None
    ) -> list[float]:
        """Return the cosine similarities of `vector` and what was found.

        :param distances: As Chroma gives them: 1 - cosine, the squared Euclidean distance, or 1 - dot product.
        :param stored: The vectors found, shape ``[k, d]``; needed where :attr:`unit` is False.
        """
        if self.unit:
            return [1.0 - distance * (0.5 if self.name == "l2" else 1.0) for distance in distances]
        rows = np.asarray(stored, np.float64).reshape(len(distances), len(vector))
        norms = np.linalg.norm(rows, axis=1) * np.linalg.norm(vector)
        return cast("list[float]", (rows @ vector / np.maximum(norms, 1e-12)).tolist())


def measured_space(name: str, vectors: Sequence[NDArray[Any]]) -> Space:
    """Return the space of an ``l2`` or ``ip`` collection, from a sample of its vectors."""
    lengths = [float(np.linalg.norm(np.asarray(vector, np.float64))) for vector in vectors]
    return Space(name, float(np.mean(lengths)), varies=max(lengths) - min(lengths) > TOLERANCE)


def check_takes_vectors(space: Space, name: str, length: float) -> None:
    """Refuse to add vectors that would not compare with those stored: of length 1 to others, or the other way round.

    :param length: Length of the vectors to be added.
    :raises InvalidInputError: When the stored vectors of an ``l2`` or ``ip`` collection have other lengths.
    """
    if space.name == "cosine" or not space.measured or space.unit == (abs(length - 1.0) <= TOLERANCE):
        return
    raise InvalidInputError(
        f"The vectors of the collection {name!r} have a mean length of {space.length:.2f} and it measures "
        f"{space.name} distance, so vectors of length {length:.3g} would not compare with them; add passages with the "
        "program that made it. Nothing was stored."
    )
