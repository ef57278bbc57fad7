"""An embedding model of somebody else's as a backbone: a framework's class, an embedding function, two functions."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import BackboneError, InvalidInputError, InvalidTypeError
from ..lexical.unread import UnreadShare
from ..utils.arguments import Positive, checked
from ..utils.batches import batched
from ..utils.secrets import redacted, without_secrets
from ..utils.threads import awaits
from .base import PROBES, Fingerprint, Matrix, packed
from .embedded import embedded_tokenizer
from .spread import UNRELATED, spread_of

if TYPE_CHECKING:
    from tokenizers import Tokenizer

logger = logging.getLogger(__name__)

EmbedTexts = Callable[[list[str]], Any]
"""Gives a list of texts its vectors, one for each."""
EmbedQuery = Callable[[str], Any]
"""Gives a query its vector."""
AsyncEmbedTexts = Callable[[list[str]], Awaitable[Any]]
AsyncEmbedQuery = Callable[[str], Awaitable[Any]]

QUERIES_KEPT = 256
"""Number of queries whose vectors are cached; the queries of one call are cached together, however many."""
SHORTEST, LONGEST = 1e-12, 1e18
"""Lengths of vectors whose squares float32 holds, in which they are searched."""
UNNAMED_MODEL = "an unnamed model"
NO_HIDDEN_STATES = (
    "{name} gives vectors alone; {what} needs the hidden states or the tokenizer of a sentence-transformers model. "
    "Name one by hub name or path, such as LexSemBridgeEncoder('all-MiniLM-L6-v2'), or use the defaults: the "
    "corpus-fitted bridge over words needs nothing but vectors."
)


@checked
class ProviderBackbone:
    """A model that gives vectors alone, as a :class:`~lsb_rag.backbones.base.Backbone`.

    Passages and queries are embedded by functions of their own, so that prompts, instructions, batches, retries and
    limits stay those of whoever wrote them, and so do their errors. Passages keep the length of the vectors that they
    are given, as a collection stores them. Threads may share an instance if they may share the functions.

    :param embed_texts: Embeds passages: a list of strings to vectors of shape ``[n, d]``.
    :param embed_query: Embeds one query: a string to a vector of shape ``[d]``. None takes `embed_queries`, else
        `embed_texts`.
    :param embed_queries: Embeds several queries at once, where that is possible.
    :param aembed_texts: `embed_texts` for an event loop. A coroutine function that awaits nothing would block the loop
        and is not used.
    :param aembed_query: `embed_query` for an event loop, likewise.
    :param name: Name of the model; it is shown, and kept with a collection.
    :param kind: What the model is behind, such as a class of LangChain.
    :param model: The sentence-transformers model behind it, where there is one: documents are split by its tokenizer,
        which also tells what it cannot read.
    :param batch_size: Texts per call of `embed_texts`; None hands over what there is.
    :param cache_queries: False embeds a query anew each time it is asked.
    :param owner: The object that the functions belong to; kept alive.
    """

    def __init__(
        self,
        embed_texts: EmbedTexts,
        embed_query: EmbedQuery | None = None,
        *,
        embed_queries: EmbedTexts | None = None,
        aembed_texts: AsyncEmbedTexts | None = None,
        aembed_query: AsyncEmbedQuery | None = None,
        name: str = UNNAMED_MODEL,
        kind: str = "functions",
        model: Any = None,
        batch_size: int | None = None,
        cache_queries: bool = True,
        owner: object = None,
    ) -> None:
        self.name = name
        self.kind = kind
        self._model = model
        self.owner = owner
        self._embed_texts = embed_texts
        self._embed_query = embed_query
        self._embed_queries = embed_queries or (embed_texts if embed_query is None else None)
        self._aembed_texts = aembed_texts if awaits(aembed_texts) else None
        self._aembed_query = aembed_query if awaits(aembed_query) else None
        self._batch_size = batch_size
        self._cache_queries = cache_queries
        self._dimension = 0
        self._length = self._spread = 1.0
        self._queries: OrderedDict[str, Matrix] = OrderedDict()
        self._lock = threading.Lock()
        self._asked: dict[str, threading.Lock] = {}

    def __repr__(self) -> str:
        return f"ProviderBackbone({self.name!r}, kind={self.kind!r})"

    @property
    def batches_queries(self) -> bool:
        """Whether several queries are embedded by one call."""
        return self._embed_queries is not None

    @property
    def runs_here(self) -> bool:
        """Whether it is known that the model runs in this process, where a text costs no request."""
        return self._model is not None

    # -- what it is -----------------------------------------------------------------------------------------------

    @property
    def dimension(self) -> int:
        """Width d of the vectors; where none has been made yet, :attr:`fingerprint` makes two."""
        return self._dimension or self.fingerprint.dimension

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """Identity of the model: the vectors of two fixed texts, one for each side. It costs two requests."""
        passages, query = self.embed_passages([PROBES[0], *UNRELATED]), self.embed_queries(PROBES[1:])
        passage = passages[:1]
        self._length = float(np.linalg.norm(passage))
        self._spread = spread_of(passages[1:])
        if passage.shape != query.shape:
            raise BackboneError(
                f"{self.name} gives passages {passage.shape[1]} dimensions and queries {query.shape[1]}; both must "
                "come from one model."
            )
        probes = packed(np.concatenate([passage, query]))
        return Fingerprint(self.name, None, passage.shape[1], kind=self.kind, probes=probes)

    @property
    def spread(self) -> float:
        """How far apart the vectors of unrelated texts lie; embedded in the same request as the fingerprint."""
        _ = self.fingerprint
        return self._spread

    @property
    def length(self) -> float:
        """Length of a passage's vector."""
        _ = self.fingerprint
        return self._length

    @property
    def max_length(self) -> int:
        """Longest input in tokens, 0 where it is not known."""
        return int(getattr(self._model, "max_seq_length", None) or 0)

    @property
    def tokenizer(self) -> Tokenizer | None:
        """The model's fast tokenizer, where it is known."""
        return getattr(getattr(self._model, "tokenizer", None), "backend_tokenizer", None)

    @property
    def vocabulary(self) -> Tokenizer | None:
        """The tokenizer whose vocabulary tells common words from rare ones: the model's, else the embedded backbone's.

        It is about the words of a language, not about the model. None where neither is at hand.
        """
        return self.tokenizer or embedded_tokenizer()

    @property
    def unread(self) -> UnreadShare:
        """How much of a text the model cannot read; nothing where its tokenizer is not known."""
        return UnreadShare(self.tokenizer, getattr(getattr(self._model, "tokenizer", None), "unk_token", None))

    # -- embedding ------------------------------------------------------------------------------------------------

    def embed_passages(
        self, texts: Sequence[str], *, batch_size: int | None = None, show_progress_bar: bool = False
    ) -> Matrix:
        """See :class:`~lsb_rag.backbones.base.Backbone`; of the length that the model gives them.

        :raises BackboneError: When the model does not give each text a vector of the same width, or gives zeros.
        """
        if batch_size is not None and batch_size < 1:
            raise InvalidInputError("batch_size is at least 1; leave it out for what suits the model.")
        if not texts:
            return np.zeros((0, self._dimension), np.float32)
        from tqdm.auto import tqdm

        size = batch_size or self._batch_size or len(texts)
        batches = list(batched(list(texts), size))
        rows = [
            self._checked(self._embed_texts(list(batch)), batch)
            for batch in tqdm(batches, desc="Passages", disable=not show_progress_bar)
        ]
        return np.concatenate(rows)

    def embed_queries(
        self, texts: Sequence[str], *, batch_size: Positive = 32, show_progress_bar: bool = False
    ) -> Matrix:
        """See :class:`~lsb_rag.backbones.base.Backbone`. A query that was embedded lately costs no request.

        :raises BackboneError: As :meth:`embed_passages`.
        """
        if not texts:
            return np.zeros((0, self._dimension), np.float32)
        with self._asking(texts):
            return self._embedded_queries(texts, batch_size, show_progress_bar)

    def _embedded_queries(self, texts: Sequence[str], batch_size: int, show_progress_bar: bool) -> Matrix:
        from tqdm.auto import tqdm

        known = self._known(texts)
        fresh = [text for text in dict.fromkeys(texts) if text not in known]
        at_once = batch_size if self._embed_queries else 1
        batches = list(batched(fresh, at_once))
        for batch in tqdm(batches, desc="Queries", disable=not show_progress_bar):
            given = self._embed_queries(list(batch)) if self._embed_queries else self._one_query(batch[0])
            vectors = dict(zip(batch, _at_unit_length(self._checked(given, batch)), strict=True))
            known |= vectors
            self._keep(vectors, max(QUERIES_KEPT, len(texts)))
        return np.stack([known[text] for text in texts])

    async def aembed_passages(self, texts: Sequence[str], *, batch_size: int | None = None) -> Matrix | None:
        """Embed passages on the event loop, as :meth:`embed_passages`; None where the model cannot."""
        if self._aembed_texts is None or not texts:
            return None
        rows = []
        for batch in batched(list(texts), batch_size or self._batch_size or len(texts)):
            rows.append(self._checked(await self._aembed_texts(list(batch)), batch))
        return np.concatenate(rows)

    async def aembed_queries(self, texts: Sequence[str]) -> Matrix | None:
        """Embed queries on the event loop, as :meth:`embed_queries`; None where the model cannot."""
        if self._aembed_query is None or not texts:
            return None
        known = self._known(texts)
        for text in dict.fromkeys(texts):
            if text not in known:
                known[text] = _at_unit_length(self._checked(self._row(await self._aembed_query(text)), [text]))[0]
                self._keep({text: known[text]}, max(QUERIES_KEPT, len(texts)))
        return np.stack([known[text] for text in texts])

    def forget(self) -> None:
        """Forget the cached queries and the fingerprint."""
        with self._lock:
            self._queries.clear()
        vars(self).pop("fingerprint", None)
        self._dimension = 0

    def _one_query(self, text: str) -> Any:
        assert self._embed_query is not None  # noqa: S101 - as mypy does not see
        return self._row(self._embed_query(text))

    def _row(self, vector: Any) -> Any:
        """Return one query's vector as a matrix; a matrix of one row is taken as it is."""
        try:
            return vector if np.ndim(vector) == 2 else [vector]
        except Exception as error:
            raise BackboneError(f"{self.name} gave something else than a vector for a query: {redacted(error)}") from (
                without_secrets(error)
            )

    @contextmanager
    def _asking(self, texts: Sequence[str]) -> Iterator[None]:
        """Let threads that ask one and the same query wait for one answer."""
        if len(texts) > 1 or not self._cache_queries:
            yield
            return
        with self._lock:
            asked = self._asked.setdefault(texts[0], threading.Lock())
        with asked:
            try:
                yield
            finally:
                self._asked.pop(texts[0], None)

    def _known(self, texts: Sequence[str]) -> dict[str, Matrix]:
        with self._lock:
            known = {text: self._queries[text] for text in texts if text in self._queries}
            for text in known:
                self._queries.move_to_end(text)
            return known

    def _keep(self, vectors: dict[str, Matrix], most: int) -> None:
        if not self._cache_queries:
            return
        with self._lock:
            self._queries.update(vectors)
            while len(self._queries) > most:
                self._queries.popitem(last=False)

    def _checked(self, given: Any, texts: Sequence[str]) -> Matrix:
        """Return the model's vectors, float32 of shape ``[len(texts), d]``.

        :raises BackboneError: When they are no such thing.
        """
        try:
            # A copy, as a model may use its buffer again.
            vectors = np.array(given if isinstance(given, np.ndarray) else list(given), np.float32)
        except Exception as error:  # tensors and the like raise errors of their own
            raise BackboneError(f"{self.name} gave something else than vectors of one width: {redacted(error)}") from (
                without_secrets(error)
            )
        if vectors.ndim != 2 or len(vectors) != len(texts) or not vectors.shape[1]:
            raise BackboneError(
                f"{self.name} gave an array of shape {vectors.shape} for {len(texts)} texts; it must give one vector "
                "for each."
            )
        if self._dimension and vectors.shape[1] != self._dimension:
            raise BackboneError(
                f"{self.name} gave {vectors.shape[1]} dimensions after {self._dimension} before; a collection takes "
                "vectors of one width."
            )
        lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
        unusable = np.flatnonzero(~((lengths >= SHORTEST) & (lengths <= LONGEST)))
        if len(unusable):
            length = lengths[unusable[0]]
            what = f"a vector of length {length:.3g}, which no search can compare," if length else "zeros"
            what = what if np.isfinite(length) else "NaN or infinite values"
            raise BackboneError(f"{self.name} gave {what} for the text {texts[unusable[0]][:60]!r}.")
        self._dimension = vectors.shape[1]
        return vectors

    # -- copies ---------------------------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        state = {name: value for name, value in vars(self).items() if name not in ("_lock", "_asked")}
        return state | {"_queries": OrderedDict()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state | {"_lock": threading.Lock(), "_asked": {}}

    def __deepcopy__(self, memo: object) -> ProviderBackbone:
        return self  # it holds somebody else's client


def of_embedding_function(function: Any, *, cache_queries: bool = True) -> ProviderBackbone:
    """Return the backbone of an embedding function of Chroma, any one.

    :raises InvalidTypeError: For anything else.
    """
    if not is_embedding_function(function):
        raise InvalidTypeError(f"{type(function).__name__} is no embedding function of Chroma.")
    return ProviderBackbone(
        function,
        embed_queries=getattr(function, "embed_query", function),
        name=str(getattr(function, "model_name", None) or _name_of(function)),
        kind=f"chroma {type(function).__name__}",
        cache_queries=cache_queries,
    )


def is_embedding_function(value: object) -> bool:
    """Whether `value` is an embedding function as Chroma takes it."""
    described = callable(getattr(value, "get_config", None)) and hasattr(value, "build_from_config")
    return described and callable(value) and not isinstance(value, type)


def _name_of(function: Any) -> str:
    try:
        name = function.name()
    except Exception:  # a class of before Chroma asked for names
        name = None
    return name if isinstance(name, str) and name else type(function).__name__


def _at_unit_length(vectors: Matrix) -> Matrix:
    rows = vectors.astype(np.float64)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)
