"""How a collection measures distance, and the cosine similarity behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from .chroma_calls import ask
from .errors import InvalidInputError

if TYPE_CHECKING:
    from chromadb.api.models.Collection import Collection

SPACES = ("cosine", "l2", "ip")
PLACES = 8
SAMPLE = 16
"""Vectors whose length is measured, at each of so many places from the first record to the last."""
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
        """`vector`, as long as the stored ones: among long vectors a short query is nearest to the shortest."""
        return vector if self.unit else vector * np.float32(self.length / max(float(np.linalg.norm(vector)), 1e-12))

    def cosines(
        self, vector: NDArray[np.float32], distances: Sequence[float], stored: NDArray[Any] | None
    ) -> list[float]:
        """Cosine similarity of `vector` and what was found.

        :param distances: As Chroma gives them: 1 - cosine, the squared Euclidean distance, or 1 - dot product.
        :param stored: The vectors found, shape ``[k, d]``; needed where :attr:`unit` is False.
        """
        if self.unit:
            return [1.0 - distance * (0.5 if self.name == "l2" else 1.0) for distance in distances]
        rows = np.asarray(stored, np.float64).reshape(len(distances), len(vector))
        norms = np.linalg.norm(rows, axis=1) * np.linalg.norm(vector)
        return cast("list[float]", (rows @ vector / np.maximum(norms, 1e-12)).tolist())


def space_name(collection: Collection) -> str:
    """The distance that `collection` measures, as Chroma calls it."""
    configured = collection.configuration_json
    index = configured.get("hnsw") or configured.get("spann") or {}
    return str(index.get("space") or "l2")  # Chroma's default


def space_of(collection: Collection) -> Space:
    """The space of `collection`; outside cosine space the length of a few vectors is looked at.

    :raises InvalidInputError: For a space that Chroma did not have when this was written.
    :raises StoreError: When Chroma fails.
    """
    name = space_name(collection)
    if name not in SPACES:
        raise InvalidInputError(
            f"The collection {collection.name!r} measures {name} distance, which is not known here."
        )
    if name == "cosine":
        return Space(name)
    total = ask("Counting the passages", collection.count)
    if not total:
        return Space(name, measured=False)
    lengths: list[float] = []
    for offset in sorted({max(0, total - SAMPLE) * place // (PLACES - 1) for place in range(PLACES)}):
        page = ask(
            "Reading a sample of the collection", collection.get, limit=SAMPLE, offset=offset, include=["embeddings"]
        )
        lengths += np.linalg.norm(np.asarray(cast(Any, page["embeddings"]), np.float64), axis=1).tolist()
    return Space(name, float(np.mean(lengths)), varies=max(lengths) - min(lengths) > TOLERANCE)


def check_takes_unit_vectors(space: Space, name: str) -> None:
    """Refuse to add vectors of length 1 where they would not compare with those stored.

    :raises InvalidInputError: When the stored vectors of an ``l2`` or ``ip`` collection have other lengths.
    """
    if not space.unit:
        raise InvalidInputError(
            f"The vectors of the collection {name!r} have a mean length of {space.length:.2f} and it measures "
            f"{space.name} distance, so vectors of length 1 would not compare with them; add passages with the program "
            "that made it. Nothing was stored."
        )
