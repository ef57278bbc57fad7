"""Whether a collection's vectors are a backbone's: by its fingerprint, or by a sample embedded again."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ..backbones.base import DEFAULT_BACKBONE, DEFAULT_DIMENSION, SAME, UNNAMED, Fingerprint
from ..backbones.endpoint import PREFIX, address_in
from ..encoder import LexSemBridgeEncoder
from ..errors import BackboneError, CorruptFileError, FingerprintMismatchError
from ..lexical.analyzer import UnitKind
from ..statistics.base import at_unit_length
from ..utils.endpoints import is_trusted
from .client import HNSW
from .collection import ChromaCollection
from .records import VectorRecord
from .statistics_folder import verified_with

logger = logging.getLogger(__name__)

FINGERPRINT_KEY = "lsb_rag:fingerprint"
UNITS_KEY = "lsb_rag:units"
SPACE_KEY = "lsb_rag:space"
SAMPLE_TEXTS = 8
"""Passages that are embedded again."""
LOOKED_AT = 1000
"""The most records that are searched for one with a text."""


@dataclass(frozen=True)
class Verification:
    """How a collection's backbone was verified.

    :param by: ``fingerprint``; ``sample`` where stored texts were embedded again; ``nothing`` where it holds no text.
    :param texts: How many were embedded.
    :param lowest_cosine: Of the new vectors to the stored ones; None where none were embedded.
    :param records: How many records there were.
    """

    by: str
    texts: int = 0
    lowest_cosine: float | None = None
    records: int = 0


def attached_with(collection: ChromaCollection) -> Fingerprint | None:
    """Return the fingerprint that a collection of another program's was attached with; None before that."""
    return _fingerprint_of(verified_with(collection))


def made_with(encoder: LexSemBridgeEncoder) -> dict[str, str]:
    """Return the metadata of a new collection: the encoder's fingerprint and units, and our space."""
    return {
        FINGERPRINT_KEY: encoder.fingerprint.to_json(),
        UNITS_KEY: encoder.units,
        SPACE_KEY: HNSW["space"],
    }


def kept_fingerprint(collection: ChromaCollection) -> Fingerprint | None:
    """Return the fingerprint a collection was made with; None for one that another program made."""
    return _fingerprint_of(str(collection.metadata.get(FINGERPRINT_KEY) or ""))


def kept_units(collection: ChromaCollection) -> UnitKind | None:
    """Return the lexical units a collection was made with; None for one that another program made."""
    return cast("UnitKind | None", collection.metadata.get(UNITS_KEY))


def verified_encoder(
    collection: ChromaCollection, given: LexSemBridgeEncoder | None = None
) -> tuple[LexSemBridgeEncoder, Verification]:
    """Return the encoder of a collection, checked against it, and how it was checked.

    :param given: The encoder to check. None loads the collection's own: the one it was made with or, for a collection
        that another program made, the one it was attached with, its embedding function, or the embedded backbone.
    :raises BackboneError: When the backbone it was made with cannot be found by name.
    :raises FingerprintMismatchError: When the collection's vectors come from another backbone, or it measures another
        distance than it was made for.
    """
    kept = kept_fingerprint(collection)
    remembered = kept or attached_with(collection)
    if given is None:
        given = _own_encoder(collection, remembered)
    # A model that runs here embeds a sample at every opening; requests to another are saved.
    trusted = kept or (remembered if given.fingerprint.probes else None)
    compared = given.differences(trusted) if trusted else None
    if compared is None:
        verification, differences = checked_sample(collection, given)
    else:
        verification, differences = Verification("fingerprint"), compared
    space = collection.metadata.get(SPACE_KEY, "cosine")
    if kept and space != collection.distance:
        differences.append(f"space: {space} against {collection.distance}")
    if remembered and not differences:
        _warn_of_other_queries(collection.name, remembered, given)
    if differences:
        theirs = trusted.backbone if trusted else "another model, by another program"
        raise FingerprintMismatchError(
            f"The collection {collection.name!r} was made with {theirs}; the backbone at hand is {given.name} "
            f"({'; '.join(differences)}). Open it with its own backbone, or index into a new collection; nothing was "
            "changed."
        )
    return given, verification


def _own_encoder(collection: ChromaCollection, remembered: Fingerprint | None) -> LexSemBridgeEncoder:
    """Return the encoder to open a collection with where none is given."""
    name, units = remembered.backbone if remembered else DEFAULT_BACKBONE, kept_units(collection)
    own = None if remembered and is_loadable(remembered) else collection.own_backbone
    if isinstance(own, str):
        name, remembered = own, None
    elif own is not None:
        return LexSemBridgeEncoder(own, units=units)
    if remembered and not is_loadable(remembered):
        if not kept_fingerprint(collection) and remembered.dimension == DEFAULT_DIMENSION:
            return LexSemBridgeEncoder(DEFAULT_BACKBONE)  # perhaps the same behind a framework's class
        raise BackboneError(
            f"The collection {collection.name!r} was made with {described(remembered)}, which cannot be found by "
            "name; give it as encoder=LexSemBridgeEncoder(...), to the retriever of its framework, or as --backbone "
            "openai:MODEL@URL where it is an endpoint."
        )
    if (address := address_in(name)) and not is_trusted(address):
        raise BackboneError(
            f"The collection {collection.name!r} names the endpoint {name}. Whoever wrote that would get your queries "
            f"and your key; if you know it, give it as --backbone or encoder=, or set OPENAI_BASE_URL to {address}."
        )
    return LexSemBridgeEncoder.open(name, units=units)


def is_loadable(fingerprint: Fingerprint) -> bool:
    """Whether a name is enough to load the backbone."""
    if fingerprint.probes is not None:
        return fingerprint.backbone.startswith(PREFIX)
    return fingerprint.backbone != UNNAMED


def described(fingerprint: Fingerprint) -> str:
    """Return what a backbone is, for people."""
    if fingerprint.backbone == UNNAMED:
        return "a model that was loaded by hand"
    return f"{fingerprint.backbone} ({fingerprint.kind})"


def _fingerprint_of(text: str) -> Fingerprint | None:
    try:
        return Fingerprint.from_json(text) if text else None
    except CorruptFileError:
        return None


def _warn_of_other_queries(name: str, remembered: Fingerprint, encoder: LexSemBridgeEncoder) -> None:
    cosine = remembered.query_cosine(encoder.fingerprint)
    if cosine is not None and cosine < SAME:
        logger.warning(
            "%s embeds queries otherwise than when the collection %r was made or attached (a fixed query has cosine "
            "%.3f to the vector it had). Its passages are the same. If the instruction before queries was not changed "
            "on purpose, set it as it was.",
            encoder.name,
            name,
            cosine,
        )


def check_verified(verification: Verification, name: str) -> None:
    """Refuse to add to vectors of unknown origin.

    :raises FingerprintMismatchError: When the collection holds records and nothing vouches for them.
    """
    if verification.by == "nothing" and verification.records:
        raise FingerprintMismatchError(
            f"The collection {name!r} holds {verification.records} vectors and no text, so nothing shows that they are "
            "this backbone's; index into a new collection. Nothing was stored."
        )


def checked_sample(collection: ChromaCollection, encoder: LexSemBridgeEncoder) -> tuple[Verification, list[str]]:
    """Embed a few stored texts again and compare.

    :return: The verification, and the differences that show that the vectors are not `encoder`'s, if any.
    :raises StoreError: When Chroma fails.
    """
    total = collection.count()
    texts, stored = _sample(collection, total)
    if len(stored) and stored.shape[1] != encoder.dimension:
        return Verification("nothing"), [f"dimension: {stored.shape[1]} against {encoder.dimension}"]
    if not texts:
        return Verification("nothing", records=total), []
    worst, differences = sample_differences(texts, stored, encoder)
    return Verification("sample", len(texts), worst, total), differences


def sample_differences(
    texts: Sequence[str], stored: NDArray[np.float64], encoder: LexSemBridgeEncoder
) -> tuple[float, list[str]]:
    """Embed texts and compare with their stored vectors, shape ``[n, d]``.

    :return: The lowest cosine, and the differences that show that the vectors are not `encoder`'s, if any.
    """
    ours = at_unit_length(encoder.encode_document(texts))
    cosines = (stored * ours).sum(axis=1) / np.maximum(np.linalg.norm(stored, axis=1), 1e-12)
    worst = float(np.min(cosines))
    if worst >= SAME:
        return worst, []
    difference = f"a stored text embedded again has cosine {worst:.3f} to its stored vector"
    if len(texts) > 1:
        difference += f", {sum(cosines >= SAME)} of {len(texts)} texts agree"
    mine = encoder.fingerprint
    if mine.prompt:
        difference += f"; this backbone puts {mine.prompt!r} before a text, which not every program does"
    elif mine.probes is not None:
        difference += "; if that program put an instruction before its texts, the model at hand needs the same"
    else:
        difference += "; if that program put an instruction before its texts, load the backbone with it: "
        difference += "LexSemBridgeEncoder(SentenceTransformer(NAME, prompts={'query': ..., 'document': ...}))"
    return worst, [difference]


def _sample(collection: ChromaCollection, total: int) -> tuple[list[str], NDArray[np.float64]]:
    """Return texts from all over a collection, with their vectors; without a text anywhere, vectors alone."""
    texts: dict[str, str] = {}
    vectors: list[Any] = []
    without_text: list[Any] = []
    for row in _sampled_rows(collection, total):
        without_text.append(row.vector)
        if row.embedded_text and row.id not in texts:
            texts[row.id] = row.embedded_text
            vectors.append(row.vector)
        if len(texts) >= SAMPLE_TEXTS:
            break
    return list(texts.values()), np.asarray(vectors or without_text[:1], np.float64)


def _sampled_rows(collection: ChromaCollection, total: int) -> Iterator[VectorRecord]:
    """Yield two records at each of a few places, from the first to the last, then the first records."""
    if total > SAMPLE_TEXTS:
        for page in collection.sample(total, SAMPLE_TEXTS // 2, 2):
            yield from page
    yield from collection.first(LOOKED_AT)
