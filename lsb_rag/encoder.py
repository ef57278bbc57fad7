"""Text to vectors: the backbone for passages, backbone plus modulation for queries."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from .backbones.base import DEFAULT_BACKBONE, PROBES, UNNAMED, Fingerprint, Matrix, packed
from .backbones.choice import graph_or_model, provider_of
from .backbones.endpoint import PREFIX
from .backbones.graph import GraphBackbone
from .backbones.precision import Computation, Precision, asked_precision, checked_precision
from .backbones.provider import NO_HIDDEN_STATES, EmbedQuery, EmbedTexts, ProviderBackbone
from .backbones.saved_model import is_saved_pipeline
from .backbones.sentence_transformer import SentenceTransformerBackbone, load_backbone
from .bridge.base import Bridge, Fusion, Paradigm, checked_paradigm, checked_strength, is_learned
from .bridge.corpus import CorpusBridge, head_of
from .bridge.modulation import CorpusModulation, check_dimension, check_fitted
from .errors import FingerprintMismatchError, InvalidInputError, InvalidTypeError, StoreError
from .lexical.analyzer import Analyzer, UnitKind, analyzer, checked_units
from .utils.arguments import Positive, checked
from .utils.extras import require_local
from .utils.text import without_surrogates

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

    from .bridge.learned import LearnedBridge
    from .lexical.background_frequency import BackgroundFrequency
    from .lexical.unread import UnreadShare
    from .modules import LexicalTransformer, QueryModulation

_loading = threading.RLock()
"""Held while PyTorch takes the place of a graph."""


@checked
class LexSemBridgeEncoder:
    """A backbone whose *query* embeddings are modulated by a bridge.

    Passages keep the embedding of the unmodified backbone, so an existing collection stays as it is. The backbone is a
    sentence-transformers model, or anything that gives texts vectors. Over the latter the defaults work: SLR, words and
    a corpus-fitted bridge. LLR, CLR, wordpieces, learned bridges and training need a sentence-transformers model.

    :param backbone: Path, hub name or a loaded ``SentenceTransformer``; the embedded all-MiniLM-L6-v2 by default. A
        folder written by :meth:`save` brings its own options and bridge: load it with :meth:`load`. Else
        ``openai:MODEL[@URL]`` (see :class:`lsb_rag.backbones.endpoint.OpenAIEndpoint`), an embedding function of
        Chroma, a function from a list of texts to their vectors, or another
        :class:`~lsb_rag.backbones.base.Backbone`.
    :param embed_query: Function from one query to its vector, beside a `backbone` that is a function. Without it
        queries are embedded as passages are.
    :param name: Name of the model behind a function, kept with a collection.
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
    :param device: Torch device; chosen by sentence-transformers if None. On a processor the defaults do not need
        PyTorch: the backbone is exported once, to an ONNX graph in the user's cache, and computed by ONNX Runtime.
        ``LSB_RAG_BACKEND=torch`` in the environment switches that off.
    :param precision: Number format in which passages are embedded, see
        :func:`lsb_rag.backbones.precision.computation_for`. None takes the environment's ``LSB_RAG_PRECISION``, else
        ``auto``.
    :param revision: Revision of a hub model.
    :param trust_remote_code: Run code that comes with a hub model. Off unless you say so.
    :raises BackboneError: When the backbone cannot be loaded.
    :raises MissingExtraError: For a model that runs here, without the extra ``local``.
    :raises InvalidInputError: For an option that is unknown or does not go with the others.
    :raises InvalidTypeError: For a backbone that is none of these.
    """

    def __init__(
        self,
        backbone: str | Path | SentenceTransformer | ProviderBackbone | EmbedTexts = DEFAULT_BACKBONE,
        *,
        embed_query: EmbedQuery | None = None,
        name: str | None = None,
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
        if isinstance(backbone, LexSemBridgeEncoder):
            raise InvalidTypeError("This is an encoder already; use it as it is.")
        provider = provider_of(backbone, embed_query, name)
        if provider is not None:
            for option, value in (("device", device), ("precision", precision), ("revision", revision)):
                if value is not None:
                    raise InvalidInputError(f"{option} is for a model that runs here; {provider.name} runs elsewhere.")
            self._adopt_provider(provider, bridge, paradigm, fusion, strength, units, top_k)
            return
        chosen = checked_precision(precision)
        learned = is_learned(bridge)
        fusion = fusion or ("product" if learned else "residual")
        units = units or ("wordpieces" if learned else getattr(bridge, "units", None) or "words")
        checked_paradigm(paradigm, top_k)
        checked_strength(fusion, strength)
        checked_units(units)
        if is_learned(bridge):
            from .bridge.fusion import check_combination

            check_combination(bridge, fusion, units)
        else:
            check_fitted(bridge, fusion, units)
        options: Any = {"paradigm": paradigm, "fusion": fusion, "strength": strength, "units": units, "top_k": top_k}
        of_graph = (paradigm, units, learned, fusion == "product") == ("slr", "words", False, False)
        if isinstance(backbone, str | Path):
            if is_saved_pipeline(backbone):
                raise InvalidInputError(
                    f"{backbone} is a saved encoder; use LexSemBridgeEncoder.load({str(backbone)!r})."
                )
            # A folder is known by its whole path, so that a collection finds it from anywhere.
            name = str(Path(backbone).resolve()) if Path(backbone).is_dir() else str(backbone)
            loading: Any = {"device": device, "revision": revision, "trust_remote_code": trust_remote_code}
            model = graph_or_model(name, precision=chosen, **loading) if of_graph else load_backbone(name, **loading)
        else:
            model = cast("SentenceTransformer", backbone)
            name = str(getattr(model.model_card_data, "base_model", None) or UNNAMED)
        if isinstance(model, GraphBackbone):
            self._adopt_graph(model, fusion, strength)
        else:
            from .backbones.pipeline import make_pipeline

            self._adopt(make_pipeline(model, **options), name, chosen)
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
        require_local(f"The saved encoder {path}")
        from .backbones.pipeline import load_pipeline

        chosen = checked_precision(precision)
        encoder = cls.__new__(cls)
        encoder._adopt(load_pipeline(Path(path), device=device), str(Path(path).resolve()), chosen)
        encoder._reload |= {"device": device, "precision": precision or asked_precision()}
        encoder._saved_bridge = encoder.bridge
        return encoder

    @classmethod
    def open(
        cls, name: str, *, units: UnitKind | None = None, precision: Precision | None = None
    ) -> LexSemBridgeEncoder:
        """Load a saved encoder from its folder, or make one around a backbone by name or ``openai:MODEL[@URL]``.

        :param units: For a backbone; a saved encoder has its own.
        :param precision: For a model that runs here.
        """
        if str(name).startswith(PREFIX):
            return cls(name, units=units)
        if is_saved_pipeline(name):
            return cls.load(name, precision=precision)
        return cls(name, units=units, precision=precision)

    def save(self, path: str | Path) -> None:
        """Write backbone, options and bridge to a folder: safetensors and JSON, in sentence-transformers' layout.

        :raises StoreError: When it cannot be written.
        """
        model = self.model
        try:
            model.save_pretrained(str(path))
        except OSError as error:
            raise StoreError(f"Cannot write the encoder to {path}: {error}") from error

    def reference(self) -> tuple[Callable[..., LexSemBridgeEncoder], tuple[str]]:
        """Return how another process makes this encoder: a function that loads its weights again, and its argument.

        :raises InvalidTypeError: For one that no other process can make.
        """
        if isinstance(self.backbone, ProviderBackbone):
            from multiprocessing.reduction import ForkingPickler

            try:
                ForkingPickler.dumps(self.backbone)
            except Exception as error:  # whatever the provider's client raises
                raise InvalidTypeError(
                    f"The embeddings behind {self.name} cannot be pickled ({error}); make them in the process that "
                    "uses them."
                ) from error
            return self._remade()
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
        options = {key: getattr(self._modulation, key) for key in ("paradigm", "fusion", "strength", "units", "top_k")}
        return partial(LexSemBridgeEncoder, **options, **self._reload), (self.name,)

    def _remade(self) -> tuple[Callable[..., LexSemBridgeEncoder], tuple[Any]]:
        options: Any = {"fusion": self.fusion, "strength": self.strength, "bridge": self.bridge}
        return partial(LexSemBridgeEncoder, **options), (self.backbone,)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.reference()

    def __deepcopy__(self, memo: object) -> LexSemBridgeEncoder:
        make, arguments = self._remade() if isinstance(self.backbone, ProviderBackbone) else self.reference()
        return make(*arguments)

    def _adopt(self, model: SentenceTransformer, name: str, precision: str) -> None:
        self._reload: dict[str, Any] = {}
        """How to load it again, for pickle."""
        self._saved_bridge: Bridge | LearnedBridge | None = None
        self._vouched_for: str | None = None
        self.backbone: SentenceTransformerBackbone | GraphBackbone | ProviderBackbone = SentenceTransformerBackbone(
            model, name, precision
        )
        self._modulation: QueryModulation | CorpusModulation = cast("QueryModulation", model[-1])
        self.analyze: Analyzer = analyzer(self.units, self.tokenizer)

    def _adopt_graph(self, backbone: GraphBackbone, fusion: Fusion, strength: float | None) -> None:
        self._reload = {}
        self._saved_bridge = None
        self._vouched_for = None
        self.backbone = backbone
        self._modulation = CorpusModulation(fusion, strength, backbone.vocabulary, backbone.unread)
        self.analyze = analyzer("words")

    def _adopt_provider(
        self,
        backbone: ProviderBackbone,
        bridge: Bridge | LearnedBridge | None,
        paradigm: str,
        fusion: Fusion | None,
        strength: float | None,
        units: UnitKind | None,
        top_k: int | None,
    ) -> None:
        for asked, what in (
            (paradigm != "slr" or top_k is not None, f"paradigm={paradigm!r}"),
            (units == "wordpieces", "units='wordpieces'"),
            (fusion == "product", "the paper's product"),
        ):
            if asked:
                raise InvalidInputError(NO_HIDDEN_STATES.format(name=backbone.name, what=what))
        self.backbone = backbone
        self._vouched_for = None
        self._modulation = CorpusModulation(fusion or "residual", strength, backbone.vocabulary, backbone.unread)
        self.bridge = bridge
        self.analyze = analyzer("words")

    def require_pipeline(self, what: str) -> None:
        """Refuse a backbone that gives vectors alone.

        :param what: What needs more.
        :raises InvalidInputError: For such a backbone.
        """
        self._pipeline(what)

    def _pipeline(self, what: str) -> SentenceTransformerBackbone:
        """Return the sentence-transformers backbone, loaded in place of its graph if need be.

        :param what: What needs it.
        :raises InvalidInputError: Where the backbone is another.
        """
        with _loading:
            if isinstance(self.backbone, GraphBackbone):
                self._leave_graph(self.backbone, what)
            if isinstance(self.backbone, SentenceTransformerBackbone):
                return self.backbone
        raise InvalidInputError(NO_HIDDEN_STATES.format(name=self.name, what=what))

    def _leave_graph(self, graph: GraphBackbone, what: str) -> None:
        """Load what the graph was exported from: from now on PyTorch computes, and what is trained is what embeds."""
        require_local(f"{what}, which a graph of {self.name} does not give,")
        from .backbones.pipeline import make_pipeline

        bridge, reload = self.bridge, self._reload
        model = load_backbone(graph.name, **{name: reload[name] for name in reload if name != "precision"})
        graph.check_same(model)
        pipeline = make_pipeline(model, fusion=self.fusion, strength=self.strength)
        self._adopt(pipeline, graph.name, graph.precision)
        self._reload = reload
        self.bridge = bridge

    def __repr__(self) -> str:
        bridge = type(self.bridge).__name__ if self.bridge is not None else None
        # A provider's dimension may cost a request.
        dimension = "" if isinstance(self.backbone, ProviderBackbone) else f"dimension={self.dimension}, "
        return (
            f"LexSemBridgeEncoder({self.name!r}, {dimension}paradigm={self.paradigm!r}, "
            f"fusion={self.fusion!r}, strength={self.strength:g}, units={self.units!r}, bridge={bridge})"
        )

    # -- what it is made of ---------------------------------------------------------------------------------------

    @property
    def model(self) -> SentenceTransformer:
        """The whole pipeline as a ``SentenceTransformer``, for whatever calls ``encode_query`` and ``encode_document``.

        :raises InvalidInputError: Where the backbone gives vectors alone, as do the next two.
        """
        return self._pipeline("the pipeline").model

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
        return cast("QueryModulation", self._pipeline("the modulation of a pipeline").model[-1])

    @property
    def transformer(self) -> LexicalTransformer:
        """The pipeline's first module: tokenizer and Transformer."""
        return cast("LexicalTransformer", self.model[0])

    @property
    def bridge(self) -> Bridge | LearnedBridge | None:
        """The bridge that modulates queries, or None."""
        return self._modulation.bridge

    @bridge.setter
    def bridge(self, bridge: Bridge | LearnedBridge | None) -> None:
        if is_learned(bridge) and isinstance(self.backbone, GraphBackbone):
            self._pipeline("a learned bridge")
        if isinstance(self._modulation, CorpusModulation):  # a provider's is checked when used: it may cost requests
            if isinstance(self.backbone, GraphBackbone):
                self.check(bridge)
            self._modulation.set_bridge(self._fitted(bridge))
        else:
            self.check(bridge)
            self._modulation.set_bridge(bridge)
            self.transformer.with_offsets = self._modulation.needs_offsets

    def check(self, bridge: Bridge | LearnedBridge | None) -> None:
        """Refuse a bridge that does not go with this encoder; units, background and spread that it lacks it takes here.

        :raises FingerprintMismatchError: For one that was fitted for another backbone.
        :raises InvalidInputError: For another width or other units, or options that do not go together.
        """
        if bridge is not None and not hasattr(bridge, "dimension"):
            raise InvalidTypeError(f"A bridge is a CorpusBridge or a LearnedBridge, not {type(bridge).__name__}.")
        if isinstance(self._modulation, CorpusModulation):
            self._modulation.check(self._fitted(bridge))
            if bridge is not None and isinstance(self.backbone, GraphBackbone):
                check_dimension(bridge.dimension, self.dimension)
        else:
            self._modulation.check(bridge)
        made_with = getattr(bridge, "fingerprint", None)
        if made_with is not None and made_with is not self._vouched_for:
            theirs = Fingerprint.from_json(made_with)
            if differences := self.differences(theirs):
                raise FingerprintMismatchError(
                    f"The bridge was fitted for {theirs.backbone}, which is not the backbone at hand, {self.name} "
                    f"({'; '.join(differences)}). Take its own backbone, or fit anew."
                )
            self._vouched_for = made_with
        if isinstance(bridge, CorpusBridge) and bridge.spread is None:
            bridge.spread = self.spread

    def _fitted(self, bridge: Bridge | LearnedBridge | None) -> Bridge | None:
        if not isinstance(bridge, Bridge | None):
            raise InvalidInputError(NO_HIDDEN_STATES.format(name=self.name, what="a learned bridge"))
        return bridge

    @property
    def paradigm(self) -> str:
        """How the units of a query are weighted."""
        return self._modulation.paradigm

    @property
    def fusion(self) -> Fusion:
        """How bridge and embedding are fused."""
        return self._modulation.fusion

    @property
    def strength(self) -> float:
        """How strongly the bridge acts."""
        return self._modulation.strength

    @property
    def units(self) -> UnitKind:
        """What the lexical units are."""
        return self._modulation.units

    @property
    def background(self) -> BackgroundFrequency | None:
        """How common words are in any text, estimated from a tokenizer's vocabulary; None for wordpieces."""
        return self._modulation.background

    @property
    def spread(self) -> float:
        """How far apart vectors of unrelated texts lie; 1 for a fusion that does not add the bridge's direction.

        See :func:`lsb_rag.backbones.spread.spread_of`.
        """
        return self.backbone.spread if self.fusion == "residual" else 1.0

    @property
    def unread(self) -> UnreadShare:
        """How much of a text the backbone cannot read."""
        return self._modulation.unread

    @property
    def computation(self) -> Computation:
        """Number format and engine with which passages are embedded.

        :raises InvalidInputError: Where the model runs elsewhere.
        """
        if isinstance(self.backbone, GraphBackbone):
            return self.backbone.computation
        return self._pipeline("a computation").computation

    @property
    def fingerprint(self) -> Fingerprint:
        """Identity of the backbone; for a model that does not show its weights, two requests."""
        return self.backbone.fingerprint

    def differences(self, made_with: Fingerprint) -> list[str] | None:
        """Return what shows that `made_with` is of another backbone; None where the two cannot be compared.

        A model that runs here is also compared by the vectors of the probes, where those are what was kept.
        """
        mine = self.fingerprint
        if not mine.comparable(made_with) and made_with.probes is not None:
            passage, query = PROBES
            vectors = np.stack([self.encode_document(passage), self.embed_query(query)])
            mine = replace(mine, probes=packed(vectors))
        differing = made_with.differences(mine)
        return differing if differing or mine.comparable(made_with) else None

    @property
    def runs_here(self) -> bool:
        """Whether it is known that the backbone runs in this process, where a text costs no request."""
        return not isinstance(self.backbone, ProviderBackbone) or self.backbone.runs_here

    @property
    def identity(self) -> str:
        """What its vectors are known by at no request: the hash of its weights, or a provider's name."""
        return (None if isinstance(self.backbone, ProviderBackbone) else self.fingerprint.weights) or self.name

    @property
    def passage_length(self) -> float:
        """Length of the vectors that a collection stores: 1 for a model that runs here, else the provider's."""
        return self.backbone.length if isinstance(self.backbone, ProviderBackbone) else 1.0

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
        :return: float32 vectors of length 1, or as long as a provider gives them; shape ``[n, d]``, ``[d]`` for one
            string.
        :raises InvalidTypeError: For anything but strings.
        """
        return self._finite(
            self.backbone.embed_passages(_checked(texts), batch_size=batch_size, show_progress_bar=show_progress_bar),
            texts,
        )

    def encode_sentences(self, texts: Sequence[str]) -> Matrix:
        """Embed sentences of passages as :meth:`encode_document` embeds passages, shape ``[n, d]``.

        :raises InvalidTypeError: For anything but strings.
        """
        return self._finite(self.backbone.embed_passages(_checked(texts)), texts)

    async def aencode_document(self, texts: Sequence[str], *, batch_size: int | None = None) -> Matrix | None:
        """Embed passages on the event loop, at the length a collection stores; None where the backbone cannot.

        :raises InvalidTypeError: For anything but strings.
        """
        if not isinstance(self.backbone, ProviderBackbone):
            return None
        return await self.backbone.aembed_passages(_checked(texts), batch_size=batch_size)

    def encode_query(
        self,
        texts: str | Sequence[str],
        *,
        bridge: Bridge | None = None,
        strength: float | None = None,
        batch_size: Positive = 32,
        show_progress_bar: bool = False,
        embedded: Matrix | None = None,
    ) -> Matrix:
        """Embed queries with the backbone and modulate them. The backbone's output is cached for recent queries.

        :param bridge: For this call, in place of the encoder's own.
        :param strength: For this call, in place of the encoder's own; 0 gives exactly the backbone's vectors.
        :param embedded: The backbone's vectors, shape ``[n, d]``, where :meth:`aembed_query` has made them.
        :return: float32 vectors of length 1, shape ``[n, d]``; ``[d]`` for one string.
        :raises InvalidInputError: For a blank query, or a bridge that does not go with the encoder.
        :raises InvalidTypeError: For anything but strings.
        """
        strings = _checked_queries(texts)
        if strength != 0:
            active = self.bridge if bridge is None else bridge
            self.check(active)
            self._hidden_states_for(active)
        if isinstance(self._modulation, CorpusModulation):
            if embedded is None:
                embedded = self.backbone.embed_queries(
                    strings, batch_size=batch_size, show_progress_bar=show_progress_bar
                )
            elif embedded.ndim != 2 or len(embedded) != len(strings):
                raise InvalidInputError(f"embedded= of shape {embedded.shape} is not a row for each of the queries.")
            return self._finite(self._modulation(embedded, strings, bridge, strength), texts)
        vectors = self._pipeline("the pipeline").queries(
            strings, bridge=bridge, strength=strength, batch_size=batch_size, show_progress_bar=show_progress_bar
        )
        return self._finite(vectors, texts)

    def embed_query(
        self, texts: str | Sequence[str], *, batch_size: Positive = 32, show_progress_bar: bool = False
    ) -> Matrix:
        """Embed queries with the backbone alone: :meth:`encode_query` at strength 0."""
        return self.encode_query(texts, strength=0, batch_size=batch_size, show_progress_bar=show_progress_bar)

    async def aembed_query(self, texts: str | Sequence[str]) -> Matrix | None:
        """Embed queries on the event loop with the backbone alone, shape ``[n, d]``; None where the backbone cannot.

        :raises InvalidInputError: As :meth:`encode_query`.
        :raises InvalidTypeError: As :meth:`encode_query`.
        """
        strings = _checked_queries(texts)
        return await self.backbone.aembed_queries(strings) if isinstance(self.backbone, ProviderBackbone) else None

    def unit_weights(self, query: str, *, bridge: Bridge | LearnedBridge | None = None) -> dict[str, float]:
        """Return the weight of each lexical unit of `query`, by the paradigm and before any idf.

        :param bridge: In place of the encoder's own; what was learned for its collection comes before the paradigm.
        :raises InvalidInputError: For a blank query.
        """
        text = _checked_queries(query)[0]
        active = self.bridge if bridge is None else bridge
        self._hidden_states_for(active)
        if isinstance(self._modulation, CorpusModulation):
            return self._modulation.unit_weights(text)
        import torch

        with torch.inference_mode():
            features = self._pipeline("the pipeline").queries.features(text, active)
            return self._modulation.unit_weights(features, head_of(active))[0]

    def _hidden_states_for(self, bridge: Bridge | LearnedBridge | None) -> None:
        """Leave the graph where a bridge weights words by hidden states, which the graph does not give."""
        if isinstance(self.backbone, GraphBackbone) and head_of(bridge) is not None:
            self._pipeline("a learned weighting of words")

    def forget(self) -> None:
        """Drop cached queries, and what was made to embed passages; it is made again when it is next needed.

        It frees memory after many passages. Needed after a change that the weights do not show: one made through
        ``parameter.data``, or to the pooling, the modules or a setting.
        """
        self.backbone.forget()

    def retrained(self, name: str) -> None:
        """Take the name that the retrained weights are saved by."""
        self._pipeline("training").retrained(name)

    def _finite(self, vectors: Matrix, texts: str | Sequence[str]) -> Matrix:
        if not np.isfinite(vectors).all():
            raise InvalidInputError(f"The backbone {self.name!r} gave NaN or infinite values; it is damaged.")
        return cast(Matrix, vectors[0] if isinstance(texts, str) else vectors)


def _checked(texts: str | Sequence[str]) -> list[str]:
    # Lone surrogates cannot be tokenised or stored.
    return [without_surrogates(text) for text in ([texts] if isinstance(texts, str) else texts)]


def _checked_queries(texts: str | Sequence[str]) -> list[str]:
    strings = _checked(texts)
    if any(not text.strip() for text in strings):
        raise InvalidInputError("A query is empty or blank; ask something.")
    return strings


@checked
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
    require_local(f"The checkpoint {folder}")
    from .backbones.authors_checkpoint import load_checkpoint

    encoder = LexSemBridgeEncoder.__new__(LexSemBridgeEncoder)
    # Not to be found by its folder, which is no sentence-transformers model; save it first.
    encoder._adopt(load_checkpoint(folder, pooling=pooling, device=device), UNNAMED, checked_precision())
    return encoder
