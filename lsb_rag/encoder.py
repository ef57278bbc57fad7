"""Text to vectors: the backbone for passages, backbone plus modulation for queries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from .backbones.base import DEFAULT_BACKBONE, UNNAMED, Fingerprint, Matrix
from .backbones.precision import Computation, Precision, asked_precision, checked_precision
from .backbones.sentence_transformer import SentenceTransformerBackbone, load_backbone
from .bridge.base import Bridge, Fusion, checked_strength
from .bridge.corpus import head_of
from .errors import InvalidInputError, InvalidTypeError
from .lexical.analyzer import Analyzer, UnitKind, analyzer, checked_units
from .utils.text import without_surrogates

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

    from .bridge.learned import LearnedBridge
    from .bridge.weighting import Paradigm
    from .lexical.background_frequency import BackgroundFrequency
    from .modules import LexicalTransformer, QueryModulation


class LexSemBridgeEncoder:
    """A sentence-transformers backbone whose *query* embeddings are modulated by a bridge.

    Passages keep the embedding of the unmodified backbone, so an existing collection stays as it is. The attribute
    ``model`` is the whole pipeline as a ``SentenceTransformer``, for whatever calls ``encode_query`` and
    ``encode_document``.

    :param backbone: Path, hub name or a loaded ``SentenceTransformer``; the embedded all-MiniLM-L6-v2 by default. A
        folder written by :meth:`save` brings its own options and bridge: load it with :meth:`load`.
    :param bridge: What modulates queries. Without one, queries too are the backbone's; a
        :class:`~lsb_rag.retriever.Retriever` brings its collection's.
    :param paradigm: How the units of a query are weighted: ``slr``, ``llr`` or ``clr``, see
        :mod:`lsb_rag.bridge.weighting`.
    :param fusion: ``product``, ``residual`` or ``signed_product``, see :func:`lsb_rag.bridge.fusion.fuse`. None takes
        the paper's product for a learned bridge, else the residual.
    :param strength: How strongly the bridge acts; 0 gives exactly the backbone's vector. None takes the fusion's
        default, :data:`lsb_rag.bridge.base.DEFAULT_STRENGTH`.
    :param units: ``words`` or ``wordpieces``, see :func:`lsb_rag.lexical.analyzer.analyzer`. None takes wordpieces for
        a learned bridge, for another the units it was fitted on, else words.
    :param top_k: For CLR: keep the `top_k` highest weights of the vocabulary; None keeps all.
    :param device: Torch device; chosen by sentence-transformers if None.
    :param precision: Number format in which passages are embedded, see
        :func:`lsb_rag.backbones.precision.computation_for`; ``float32`` is the plain backbone bit for bit. None takes
        the environment's ``LSB_RAG_PRECISION``, else ``auto``.
    :param revision: Revision of a hub model.
    :param trust_remote_code: Run code that comes with a hub model. Off unless you say so.
    :raises BackboneError: When the backbone cannot be loaded.
    :raises InvalidInputError: For an option that is unknown or does not go with the others.
    """

    def __init__(
        self,
        backbone: str | Path | SentenceTransformer = DEFAULT_BACKBONE,
        *,
        bridge: Bridge | LearnedBridge | None = None,
        paradigm: Paradigm = "slr",
        fusion: Fusion | None = None,
        strength: float | None = None,
        units: UnitKind | None = None,
        top_k: int | None = None,
        device: str | None = None,
        precision: Precision | None = None,
        revision: str | None = None,
        trust_remote_code: bool = False,
    ) -> None:
        from .bridge.fusion import check_combination
        from .bridge.learned import LearnedBridge
        from .bridge.weighting import checked_paradigm

        chosen = checked_precision(precision)
        learned = isinstance(bridge, LearnedBridge)
        fusion = fusion or ("product" if learned else "residual")
        units = units or ("wordpieces" if learned else getattr(bridge, "units", None) or "words")
        checked_paradigm(paradigm, top_k)
        checked_strength(fusion, strength)
        checked_units(units)
        check_combination(bridge, fusion, units)
        from .backbones.pipeline import is_saved_pipeline, make_pipeline

        if isinstance(backbone, str | Path):
            if is_saved_pipeline(backbone):
                raise InvalidInputError(
                    f"{backbone} is a saved encoder; use LexSemBridgeEncoder.load({str(backbone)!r})."
                )
            # A folder is known by its whole path, so that a collection finds it from anywhere.
            name = str(Path(backbone).resolve()) if Path(backbone).is_dir() else str(backbone)
            plain = load_backbone(backbone, device=device, revision=revision, trust_remote_code=trust_remote_code)
        else:
            plain = backbone
            name = str(getattr(plain.model_card_data, "base_model", None) or UNNAMED)
        options: Any = {"paradigm": paradigm, "fusion": fusion, "strength": strength, "units": units, "top_k": top_k}
        self._adopt(make_pipeline(plain, **options), name, chosen)
        self.bridge = bridge
        self._reload |= {"device": device, "revision": revision, "trust_remote_code": trust_remote_code}
        self._reload["precision"] = precision or asked_precision()

    @classmethod
    def load(
        cls, path: str | Path, *, device: str | None = None, precision: Precision | None = None
    ) -> LexSemBridgeEncoder:
        """Load an encoder from a folder written by :meth:`save`, with its bridge. It needs no ``trust_remote_code``.

        :raises BackboneError: When there is no such folder, or it holds no modulation.
        :raises CorruptFileError: When a file of it is damaged.
        """
        from .backbones.pipeline import load_pipeline

        chosen = checked_precision(precision)
        encoder = cls.__new__(cls)
        encoder._adopt(load_pipeline(Path(path), device=device), str(Path(path).resolve()), chosen)
        encoder._reload |= {"device": device, "precision": precision or asked_precision()}
        encoder._saved_bridge = encoder.bridge
        return encoder

    @classmethod
    def of_embeddings(cls, embeddings: object) -> LexSemBridgeEncoder | None:
        """Return an encoder with the backbone behind a framework's embeddings; None where they do not name it.

        :param embeddings: LangChain's or LlamaIndex's: with a ``model_name``, and for LlamaIndex's the instructions
            that it puts before queries and texts; or ours, which bring their encoder.
        :raises BackboneError: When the backbone cannot be loaded.
        """
        if load_encoder := getattr(embeddings, "load_encoder", None):
            return cast(LexSemBridgeEncoder, load_encoder())
        name = getattr(embeddings, "model_name", None)
        if not isinstance(name, str) or name == "unknown":  # LlamaIndex's default
            return None
        prompts = getattr(getattr(embeddings, "_model", None), "prompts", None) or {}
        query, document = prompts.get("query") or "", prompts.get("text") or ""
        if not query and not document:
            return cls.open(name)
        backbone = load_backbone(name)
        backbone.prompts = {"query": query, "document": document}
        return cls(backbone)

    @classmethod
    def open(
        cls, name: str, *, units: UnitKind | None = None, precision: Precision | None = None
    ) -> LexSemBridgeEncoder:
        """Load a saved encoder from its folder, or make one around a backbone by name.

        :param units: For a backbone; a saved encoder has its own.
        """
        from .backbones.pipeline import is_saved_pipeline

        if is_saved_pipeline(name):
            return cls.load(name, precision=precision)
        return cls(name, units=units, precision=precision)

    def save(self, path: str | Path) -> None:
        """Write backbone, options and bridge to a folder: safetensors and JSON, in sentence-transformers' layout."""
        self.model.save_pretrained(str(path))

    def reference(self) -> tuple[Callable[..., LexSemBridgeEncoder], tuple[str]]:
        """Return how another process makes this encoder: a function that loads its weights again, and its argument.

        :raises InvalidTypeError: For one that no other process can make.
        """
        if self.bridge is not self._saved_bridge:
            raise InvalidTypeError(
                "An encoder with a bridge of its own cannot be pickled; save() it and pickle what load() gives."
            )
        if self._saved_bridge is not None:
            return partial(LexSemBridgeEncoder.load, **self._reload), (self.name,)
        if self.name == UNNAMED:
            raise InvalidTypeError(
                "An encoder around a model that was loaded by hand cannot be pickled; name it by path or hub name."
            )
        module = self.modulation
        options = {key: getattr(module, key) for key in ("paradigm", "fusion", "strength", "units", "top_k")}
        return partial(LexSemBridgeEncoder, **options, **self._reload), (self.name,)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.reference()

    def _adopt(self, model: SentenceTransformer, name: str, precision: str) -> None:
        self._reload: dict[str, Any] = {}
        """How to load it again, for pickle."""
        self._saved_bridge: Bridge | LearnedBridge | None = None
        self.backbone = SentenceTransformerBackbone(model, name, precision)
        self.analyze: Analyzer = analyzer(self.units, self.tokenizer)

    def __repr__(self) -> str:
        bridge = type(self.bridge).__name__ if self.bridge is not None else None
        return (
            f"LexSemBridgeEncoder({self.name!r}, dimension={self.dimension}, paradigm={self.modulation.paradigm!r}, "
            f"fusion={self.fusion!r}, strength={self.strength:g}, units={self.units!r}, bridge={bridge})"
        )

    # -- what it is made of ---------------------------------------------------------------------------------------

    @property
    def model(self) -> SentenceTransformer:
        """The whole pipeline, for whatever calls ``encode_query`` and ``encode_document``."""
        return self.backbone.model

    @property
    def name(self) -> str:
        """What the backbone is loaded by."""
        return self.backbone.name

    @property
    def dimension(self) -> int:
        """Width d of the vectors."""
        return self.backbone.dimension

    @property
    def max_length(self) -> int:
        """The backbone's longest input, in tokens; 0 where there is no limit."""
        return self.backbone.max_length

    @property
    def modulation(self) -> QueryModulation:
        """The pipeline's last module: paradigm, bridge and fusion."""
        return cast("QueryModulation", self.model[-1])

    @property
    def transformer(self) -> LexicalTransformer:
        """The pipeline's first module: tokenizer and Transformer."""
        return cast("LexicalTransformer", self.model[0])

    @property
    def bridge(self) -> Bridge | LearnedBridge | None:
        """The bridge that modulates queries, or None."""
        return self.modulation.bridge

    @bridge.setter
    def bridge(self, bridge: Bridge | LearnedBridge | None) -> None:
        self.modulation.set_bridge(bridge)
        self.transformer.with_offsets = self.modulation.needs_offsets

    @property
    def fusion(self) -> Fusion:
        """How bridge and embedding are fused."""
        return self.modulation.fusion

    @property
    def strength(self) -> float:
        """How strongly the bridge acts."""
        return self.modulation.strength

    @property
    def units(self) -> UnitKind:
        """What the lexical units are."""
        return self.modulation.units

    @property
    def background(self) -> BackgroundFrequency | None:
        """How common words are in any text, estimated from the tokenizer; None for wordpieces."""
        return self.modulation.background

    @property
    def computation(self) -> Computation:
        """Number format and engine with which passages are embedded."""
        return self.backbone.computation

    @property
    def fingerprint(self) -> Fingerprint:
        """Identity of the backbone."""
        return self.backbone.fingerprint

    @property
    def tokenizer(self) -> Tokenizer | None:
        """The backbone's fast tokenizer, if it has one."""
        return self.backbone.tokenizer

    # -- encoding -------------------------------------------------------------------------------------------------

    def encode_document(
        self, texts: str | Sequence[str], *, batch_size: int | None = None, show_progress_bar: bool = False
    ) -> Matrix:
        """Embed passages with the unmodified backbone, as :attr:`computation` says.

        :param batch_size: Texts at once; None takes what suits the device, on a GPU as many as its memory takes.
        :return: float32 vectors of length 1, shape ``[n, d]``; ``[d]`` for one string.
        :raises InvalidTypeError: For anything but strings.
        """
        return self._finite(
            self.backbone.embed_passages(_checked(texts), batch_size=batch_size, show_progress_bar=show_progress_bar),
            texts,
        )

    def encode_query(
        self,
        texts: str | Sequence[str],
        *,
        bridge: Bridge | None = None,
        strength: float | None = None,
        batch_size: int = 32,
        show_progress_bar: bool = False,
    ) -> Matrix:
        """Embed queries with the backbone and modulate them. The backbone's output is cached for recent single queries.

        :param bridge: For this call, in place of the encoder's own.
        :param strength: For this call, in place of the encoder's own; 0 gives exactly the backbone's vectors.
        :return: float32 vectors of length 1, shape ``[n, d]``; ``[d]`` for one string.
        :raises InvalidInputError: For a blank query, or a bridge that does not go with the encoder.
        :raises InvalidTypeError: For anything but strings.
        """
        strings = _checked(texts)
        if any(not text.strip() for text in strings):
            raise InvalidInputError("A query is empty or blank; ask something.")
        return self._finite(
            self.backbone.queries(
                strings,
                bridge=bridge,
                strength=strength,
                batch_size=batch_size,
                show_progress_bar=show_progress_bar,
            ),
            texts,
        )

    def embed_query(
        self, texts: str | Sequence[str], *, batch_size: int = 32, show_progress_bar: bool = False
    ) -> Matrix:
        """Embed queries with the backbone alone: :meth:`encode_query` at strength 0."""
        return self.encode_query(texts, strength=0, batch_size=batch_size, show_progress_bar=show_progress_bar)

    def unit_weights(self, query: str, *, bridge: Bridge | LearnedBridge | None = None) -> dict[str, float]:
        """Return the weight of each lexical unit of `query`, by the paradigm and before any idf.

        :param bridge: In place of the encoder's own; what was learned for its collection comes before the paradigm.
        :raises InvalidInputError: For a blank query.
        """
        import torch

        text = _checked(query)[0]
        if not text.strip():
            raise InvalidInputError("A query is empty or blank; ask something.")
        with torch.inference_mode():
            active = self.bridge if bridge is None else bridge
            return self.modulation.unit_weights(self.backbone.queries.features(text, active), head_of(active))[0]

    def forget(self) -> None:
        """Drop cached queries and the converted backbone.

        Needed after a change that the weights do not show: one made through ``parameter.data``, or to the pooling, the
        modules or a setting.
        """
        self.backbone.forget()

    def _finite(self, vectors: Matrix, texts: str | Sequence[str]) -> Matrix:
        if not np.isfinite(vectors).all():
            raise InvalidInputError(f"The backbone {self.name!r} gave NaN or infinite values; it is damaged.")
        return cast(Matrix, vectors[0] if isinstance(texts, str) else vectors)


def _checked(texts: str | Sequence[str]) -> list[str]:
    if not isinstance(texts, Iterable):
        raise InvalidTypeError(f"Give a string or a list of strings, not {type(texts).__name__}.")
    strings = [texts] if isinstance(texts, str) else list(texts)
    for text in strings:
        if not isinstance(text, str):
            raise InvalidTypeError(f"A text must be a string, not {type(text).__name__}.")
    # Lone surrogates cannot be tokenised or stored.
    return [without_surrogates(text) for text in strings]


def load_authors_checkpoint(
    folder: str | Path, *, pooling: str = "cls", device: str | None = None
) -> LexSemBridgeEncoder:
    """Load an encoder from a full state dict in the authors' layout: backbone, weights and learned bridge.

    The folder holds ``model.safetensors``, ``config.json`` and the tokenizer. The paradigm shows in the keys: LLR has
    ``sparse_linear``, SLR ``scale``, CLR neither but an MLM head.

    Special tokens do not count here. In the authors' code they do, unless switched off: all of them for SLR and CLR,
    for LLR all but the first, padding and the unknown one; so vectors of a checkpoint trained that way differ.

    :param pooling: ``cls``, as in the authors' release, or ``mean``.
    :raises InvalidInputError: For another pooling.
    :raises BackboneError: When there is no such file, or only a pickle, which is not read.
    :raises CorruptFileError: When keys are missing or do not fit.
    """
    from .backbones.authors_checkpoint import load_checkpoint

    encoder = LexSemBridgeEncoder.__new__(LexSemBridgeEncoder)
    # Not to be found by its folder, which is no sentence-transformers model; save it first.
    encoder._adopt(load_checkpoint(folder, pooling=pooling, device=device), UNNAMED, checked_precision())
    return encoder
