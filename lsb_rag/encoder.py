"""Text to vectors: the backbone for passages, backbone plus bridge for queries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from .backbone import EMBEDDED_NAME, Fingerprint, fingerprint, load_backbone
from .bridge import Bridge, Fusion, checked_fusion, fuse
from .errors import InvalidInputError, InvalidTypeError
from .lexical import Analyzer, UnitKind, analyzer, slr

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

Matrix = NDArray[np.float32]


class LexSemBridgeEncoder:
    """A sentence-transformers backbone whose *query* embeddings a bridge modulates.

    Passages keep the embedding of the unmodified backbone, so an existing collection stays as it is.

    :param backbone: Path, hub name or a loaded ``SentenceTransformer``; the embedded all-MiniLM-L6-v2 by default.
    :param bridge: What modulates queries. Without one, queries too are the backbone's; a
        :class:`~lsb_rag.retriever.Retriever` brings its collection's.
    :param fusion: ``residual`` or ``signed_product``, see :func:`lsb_rag.bridge.fuse`.
    :param strength: How strongly the bridge acts; 0 gives exactly the backbone's vector. None takes the fusion's
        default, :data:`lsb_rag.bridge.DEFAULT_STRENGTH`.
    :param units: ``words`` or ``wordpieces``, see :func:`lsb_rag.lexical.analyzer`.
    :param device: Torch device; chosen by sentence-transformers if None.
    :param revision: Revision of a hub model.
    :param trust_remote_code: Run code that comes with a hub model. Off unless you say so.
    :raises BackboneError: When the backbone cannot be loaded.
    :raises InvalidInputError: For an unknown option, or a bridge of another width.
    """

    def __init__(
        self,
        backbone: str | Path | SentenceTransformer = EMBEDDED_NAME,
        *,
        bridge: Bridge | None = None,
        fusion: Fusion = "residual",
        strength: float | None = None,
        units: UnitKind = "words",
        device: str | None = None,
        revision: str | None = None,
        trust_remote_code: bool = False,
    ) -> None:
        self.strength = checked_fusion(fusion, strength)
        self.fusion: Fusion = fusion
        self.units: UnitKind = units
        if isinstance(backbone, str | Path):
            self.name = str(backbone)
            self.model = load_backbone(backbone, device=device, revision=revision, trust_remote_code=trust_remote_code)
        else:
            self.model = backbone
            self.name = str(getattr(backbone.model_card_data, "base_model", None) or "a loaded SentenceTransformer")
        self.analyze: Analyzer = analyzer(units, self.tokenizer)
        self.dimension = int(self.model.get_embedding_dimension() or 0)
        # A backbone that ends in Normalize is left alone: normalising twice would move the last bit.
        self._normalize = not any(type(module).__name__ == "Normalize" for module in self.model)
        self.bridge = self._checked_bridge(bridge)

    def __repr__(self) -> str:
        return (
            f"LexSemBridgeEncoder({self.name!r}, dimension={self.dimension}, fusion={self.fusion!r}, "
            f"strength={self.strength:g}, units={self.units!r}, bridge={type(self.bridge).__name__})"
        )

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """Identity of the backbone; see :class:`~lsb_rag.backbone.Fingerprint`."""
        return fingerprint(self.model, self.name)

    @property
    def tokenizer(self) -> Tokenizer | None:
        """The backbone's fast tokenizer, if it has one."""
        return cast("Tokenizer | None", getattr(self.model.tokenizer, "backend_tokenizer", None))

    def encode_document(
        self, texts: str | Sequence[str], *, batch_size: int = 32, show_progress_bar: bool = False
    ) -> Matrix:
        """Embed passages with the unmodified backbone.

        :return: float32 vectors of length 1, shape ``[n, d]``; ``[d]`` for one string.
        :raises InvalidTypeError: For anything but strings.
        """
        return self._encode(self.model.encode_document, texts, batch_size, show_progress_bar)

    def encode_query(
        self, texts: str | Sequence[str], *, batch_size: int = 32, show_progress_bar: bool = False
    ) -> Matrix:
        """Embed queries with the backbone and modulate them with the encoder's bridge.

        :return: float32 vectors of length 1, shape ``[n, d]``; ``[d]`` for one string.
        :raises InvalidInputError: For a blank query.
        :raises InvalidTypeError: For anything but strings.
        """
        plain = self.embed_query(texts, batch_size=batch_size, show_progress_bar=show_progress_bar)
        return self.modulate(plain, texts)

    def embed_query(
        self, texts: str | Sequence[str], *, batch_size: int = 32, show_progress_bar: bool = False
    ) -> Matrix:
        """Embed queries with the backbone alone; as :meth:`encode_query` at strength 0."""
        blank = [text for text in _checked(texts) if not text.strip()]
        if blank:
            raise InvalidInputError("A query is empty or blank; ask something.")
        return self._encode(self.model.encode_query, texts, batch_size, show_progress_bar)

    def modulate(
        self,
        query_vectors: Matrix,
        texts: str | Sequence[str],
        *,
        bridge: Bridge | None = None,
        strength: float | None = None,
    ) -> Matrix:
        """Modulate query vectors that the backbone gave: ``normalise`` of the fusion of e_q and the bridge's direction.

        :param query_vectors: Shape ``[n, d]``, or ``[d]`` for one string; not changed.
        :param texts: The queries they are of.
        :param bridge: In place of the encoder's own.
        :param strength: In place of the encoder's own.
        """
        active = self._checked_bridge(bridge) if bridge is not None else self.bridge
        chosen = self.strength if strength is None else checked_fusion(self.fusion, strength)
        if active is None or chosen == 0:
            return query_vectors
        rows = np.atleast_2d(query_vectors)
        queries = [texts] if isinstance(texts, str) else texts
        fused = [
            fuse(row.astype(np.float64), active.direction(slr(self.analyze(text))), self.fusion, chosen)
            for row, text in zip(rows, queries, strict=True)
        ]
        return np.asarray(fused, np.float32).reshape(query_vectors.shape)

    def _encode(self, encode: Any, texts: str | Sequence[str], batch_size: int, show_progress_bar: bool) -> Matrix:
        strings = _checked(texts)
        if not strings:
            return np.zeros((0, self.dimension), np.float32)
        vectors = encode(
            strings,
            batch_size=batch_size,
            show_progress_bar=show_progress_bar,
            normalize_embeddings=self._normalize,
            convert_to_numpy=True,
        ).astype(np.float32, copy=False)
        if not np.isfinite(vectors).all():
            raise InvalidInputError(f"The backbone {self.name!r} gave NaN or infinite values; it is damaged.")
        return cast(Matrix, vectors[0] if isinstance(texts, str) else vectors)

    def _checked_bridge(self, bridge: Bridge | None) -> Bridge | None:
        if bridge is not None and bridge.dimension != self.dimension:
            raise InvalidInputError(
                f"The bridge has {bridge.dimension} dimensions, the backbone {self.name!r} has {self.dimension}; "
                "fit it from a collection of this backbone."
            )
        return bridge


def _checked(texts: str | Sequence[str]) -> list[str]:
    if not isinstance(texts, Iterable):
        raise InvalidTypeError(f"Give a string or a list of strings, not {type(texts).__name__}.")
    strings = [texts] if isinstance(texts, str) else list(texts)
    for text in strings:
        if not isinstance(text, str):
            raise InvalidTypeError(f"A text must be a string, not {type(text).__name__}.")
    # Lone surrogates cannot be tokenised or stored.
    return [text.encode("utf-8", "replace").decode("utf-8") for text in strings]
