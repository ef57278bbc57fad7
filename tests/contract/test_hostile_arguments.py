"""Every public callable, called with wrong types and extreme values, gives a result or an error of this library."""

from __future__ import annotations

import asyncio
import inspect
import pkgutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from decimal import Decimal
from fnmatch import fnmatch
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any
from zlib import crc32

import chromadb
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from langchain_core.documents import Document
from llama_index.core.schema import TextNode
from pydantic import ValidationError

import lsb_rag
from lsb_rag import (
    CorpusBridge,
    CorpusStatistics,
    Embedder,
    ExternalStore,
    Fingerprint,
    Hit,
    LexSemBridgeEmbeddingFunction,
    LexSemBridgeEncoder,
    LsbRagError,
    Passage,
    PassageStore,
    ProviderBackbone,
    Reranker,
    Retriever,
)
from lsb_rag.evaluation import Dataset, Query, evaluate
from lsb_rag.generation import OpenAIGenerator
from lsb_rag.lexical.units import words
from lsb_rag.training import Pair
from lsb_rag.ui import Catalog

from ..tiny import TEXTS

WIDTH = 8
FOLDER = Path("hostile")
"""Names of files are relative to a folder of the test's own."""

VALUES = 2
"""Hostile values that each parameter of each callable is given. More find more: 100 is all of them."""


def packages() -> list[str]:
    """This library, its packages that name what is public, and the two for the frameworks."""
    inner = pkgutil.walk_packages(lsb_rag.__path__, "lsb_rag.")
    ours = ["lsb_rag", *(module.name for module in inner if module.ispkg)]
    frameworks = [
        "langchain_lexsembridge",
        "llama_index.embeddings.lexsembridge",
        "llama_index.retrievers.lexsembridge",
        "llama_index.postprocessor.lexsembridge",
    ]
    return [name for name in [*ours, *frameworks] if hasattr(import_module(name), "__all__")]


EXCLUDED = {
    "serve": "serves until it is stopped",
    "listen": "opens a port",
    "index_with_ray": "starts a cluster",
    "train": "trains for as long as it is told to",
    "checked": "decorates definitions",
    "ByIdentity": "hashes its keys and refers to its values as Python does",
    "Closable": "a base class",
    "Generator": "a protocol",
    "SentenceEncoder": "a protocol",
    "VectorIndex": "a protocol",
    "plainly_refused": "takes the names of a class's options",
    "Instead": "annotates arguments",
    "LexicalTransformer": "made and called by sentence-transformers, with features of its own",
    "QueryModulation.*": "called by sentence-transformers, with features of its own",
    "LearnedBridge.forward": "called by QueryModulation, with tensors of its own",
    "*.model_post_init": "called by pydantic",
    "*.model_copy": "pydantic's",
    "LexSemBridgeRetriever.batch": "LangChain's, which takes a list",
    "LexSemBridgeRetriever.abatch": "LangChain's, which takes a list",
    "LexSemBridgeRetriever.get": "called by LangChain, by position",
    "LexSemBridgeRetriever.upsert": "called by LangChain, by position",
}
"""What is not called, and why, by its name; of a class also its methods."""


def public() -> dict[str, Any]:
    """Every public function, constructor and method by its name."""
    found: dict[str, Any] = {}
    for package in packages():
        module = import_module(package)
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isfunction(value):
                found[f"{package}:{name}"] = value
            elif inspect.isclass(value) and not issubclass(value, Exception):
                found[f"{package}:{name}"] = value
                for method, member in vars(value).items():
                    if not method.startswith("_") and callable(getattr(value, method)):
                        found[f"{package}:{name}.{method}"] = member
    return {name: value for name, value in found.items() if not is_excluded(name.split(":")[1])}


def is_excluded(name: str) -> bool:
    return any(fnmatch(one, pattern) for one in (name, name.split(".")[0]) for pattern in EXCLUDED)


def embed(texts: list[str]) -> list[list[float]]:
    return [[1.0 + text.count(letter) for letter in "aeioustn"[:WIDTH]] for text in texts]


@cache
def encoder() -> LexSemBridgeEncoder:
    return LexSemBridgeEncoder(embed, name="letters")


PASSAGES = [Passage(text, id=f"p{number}", title="T") for number, text in enumerate(TEXTS[:4])]
QUERY = "what does E-4012 mean"
DATASET = Dataset("set", [Query("q", QUERY), Query("r", "lunch")], {"q": {"p0": 1}, "r": {"p3": 1}})


def store() -> PassageStore:
    made = PassageStore.in_memory(encoder())
    made.add(PASSAGES)
    return made


@cache
def shared_store() -> PassageStore:
    return store()


def statistics() -> CorpusStatistics:
    made = CorpusStatistics(WIDTH)
    made.add([words(text) for text in TEXTS], np.asarray(embed(TEXTS)) / 10)
    return made


@cache
def evaluation() -> Any:
    return evaluate(shared_store(), DATASET, arms=["vanilla", "lsb"], k=2, contexts=1)


def langchain_retriever() -> Any:
    from langchain_lexsembridge import LexSemBridgeRetriever as Made

    return Made(store=store())


def external() -> ExternalStore:
    from langchain_core.vectorstores import InMemoryVectorStore
    from langchain_lexsembridge import LexSemBridgeEmbeddings, LexSemBridgeRetriever

    made = InMemoryVectorStore(LexSemBridgeEmbeddings(encoder=encoder()))
    made.add_texts(TEXTS[:4], ids=["p0", "p1", "p2", "p3"])
    found = LexSemBridgeRetriever.from_vectorstore(made).store
    assert isinstance(found, ExternalStore)
    return found


def llama_index_retriever() -> Any:
    from llama_index.retrievers.lexsembridge import LexSemBridgeRetriever as Made

    return Made(store())


def embeddings(module: str, name: str) -> Any:
    made = getattr(import_module(module), name)(encoder=encoder())
    made.fit(TEXTS[:4])
    return made


HIT = Hit("p0", 0.5, TEXTS[0])
OWNERS: dict[str, Callable[[], Any]] = {
    "lsb_rag:CorpusBridge": lambda: CorpusBridge(statistics()),
    "lsb_rag:CorpusStatistics": statistics,
    "lsb_rag:Embedder": lambda: Embedder(encoder()),
    "lsb_rag:ExternalStore": external,
    "lsb_rag:Reranker": lambda: Reranker(shared_store()),
    "lsb_rag:LexSemBridgeEmbeddingFunction": lambda: function(),
    "lsb_rag:LexSemBridgeEncoder": lambda: tiny_encoder(),
    "lsb_rag:PassageStore": store,
    "lsb_rag:ProviderBackbone": lambda: ProviderBackbone(embed),
    "lsb_rag:Retriever": lambda: Retriever(shared_store()),
    "lsb_rag.evaluation:Evaluation": evaluation,
    "lsb_rag.generation:OpenAIGenerator": lambda: OpenAIGenerator("m", "http://127.0.0.1:9/v1", retries=0),
    "langchain_lexsembridge:LexSemBridgeRetriever": langchain_retriever,
    "langchain_lexsembridge:LexSemBridgeEmbeddings": lambda: embeddings(
        "langchain_lexsembridge", "LexSemBridgeEmbeddings"
    ),
    "llama_index.embeddings.lexsembridge:LexSemBridgeEmbedding": lambda: embeddings(
        "llama_index.embeddings.lexsembridge", "LexSemBridgeEmbedding"
    ),
    "llama_index.retrievers.lexsembridge:LexSemBridgeRetriever": llama_index_retriever,
}
"""What a method is called on, where the class is not made of :data:`VALID` arguments."""


def function() -> LexSemBridgeEmbeddingFunction:
    return LexSemBridgeEmbeddingFunction("letters", str(tiny_folder()))


@cache
def tiny_folder() -> Path:
    raise NotImplementedError  # set by the fixture


@cache
def tiny_encoder() -> LexSemBridgeEncoder:
    return LexSemBridgeEncoder(tiny_folder(), device="cpu")


VALID: dict[str, Callable[[], Any]] = {
    "address_of.listening": lambda: __import__("socket").socket(),
    "analyze": lambda: words,
    "arm": lambda: {"q": 1.0, "r": 0.5},
    "Comparison.arm": lambda: "lsb",
    "Evaluation.arm": lambda: "lsb",
    "arms": dict,
    "backbone": lambda: "letters",
    "baseline": lambda: {"q": 0.5, "r": 0.5},
    "bm25": lambda: {"a": 2.0},
    "bridge": lambda: None,
    "by_kind": dict,
    "catalog": lambda: Catalog(FOLDER),
    "choice": lambda: "extractive",
    "collection": lambda: shared_store().collection,
    "LexSemBridgeEmbeddingFunction.collection": lambda: "letters",
    "config": lambda: function().get_config(),
    "content": lambda: "content",
    "cosines": lambda: {"a": 0.5},
    "data": lambda: {"model_name": "letters"},
    "database": lambda: FOLDER,
    "dataset": lambda: DATASET,
    "default_name": lambda: "letters",
    "difference": lambda: evaluation().compare()[0].difference,
    "dimension": lambda: WIDTH,
    "document": lambda: "valve",
    "documents": lambda: [Document("valve")],
    "embed_texts": lambda: embed,
    "encoder": encoder,
    "evaluation": evaluation,
    "folder": lambda: FOLDER,
    "function": lambda: words,
    "in_background.function": lambda: int,
    "passages_in_background.function": lambda: int,
    "heaviness": dict,
    "hidden_size": lambda: WIDTH,
    "hits": lambda: [HIT],
    "ArmResult.hits": lambda: {"q": [HIT]},
    "id": lambda: "p0",
    "Dataset.id": lambda: "q",
    "ids": lambda: ["p0", "p1"],
    "index": lambda: None,
    "ExternalStore.index": lambda: external().index,
    "inputs": lambda: ["valve"],
    "items": lambda: [Document("valve")],
    "input": lambda: ["valve"],
    "k": lambda: 2,
    "kind": lambda: "question",
    "label": lambda: "Adding",
    "limit": lambda: 1,
    "listening": lambda: None,
    "made_with": lambda: encoder().fingerprint,
    "make": lambda: dict,
    "measure": lambda: "mrr@10",
    "metadata": dict,
    "model": lambda: "m",
    "n": lambda: 3,
    "name": lambda: "letters",
    "node_ids": lambda: ["a"],
    "nodes": lambda: [TextNode(text="valve")],
    "numbers": lambda: np.array([0, 1]),
    "option": lambda: 1,
    "other": statistics,
    "Fingerprint.other": lambda: encoder().fingerprint,
    "owner": object,
    "p_values": lambda: [0.01, 0.2],
    "pairs": lambda: [Pair("valve", TEXTS[0], (TEXTS[1],)), Pair("lunch", TEXTS[3])],
    "HeldOut.pairs": lambda: {"question": [Pair("valve", TEXTS[0]), Pair("lunch", TEXTS[3])]},
    "passages": lambda: PASSAGES[:2],
    "CorpusStatistics.passages": lambda: [["valve"], ["pump"]],
    "fenced.passages": lambda: TEXTS[:2],
    "LexSemBridgeEmbedding.encoder": encoder,
    "LexSemBridgeEmbeddings.encoder": encoder,
    "LexSemBridgeEncoder.backbone": lambda: embed,
    "LexSemBridgeRetriever.model": encoder,
    "PassageStore.encoder": encoder,
    "passage": lambda: PASSAGES[0],
    "path": lambda: FOLDER / "a file",
    "percentile": lambda: 95.0,
    "positive": lambda: TEXTS[0],
    "qrels": lambda: DATASET.qrels,
    "queries": lambda: [Query("q", QUERY)],
    "role": lambda: "user",
    "Dataset.queries": lambda: DATASET.queries,
    "Retriever.queries": lambda: ["valve"],
    "query": lambda: QUERY,
    "question": lambda: QUERY,
    "rankings": lambda: {"q": ["p0"]},
    "reciprocal_rank_fusion.rankings": lambda: [["a"], ["b"]],
    "raw": lambda: b"valve",
    "ref_doc_id": lambda: "p0",
    "seconds": lambda: [0.1],
    "share": lambda: 0.5,
    "source": lambda: shared_store().collection,
    "statistics": statistics,
    "store": shared_store,
    "text": lambda: "valve",
    "Fingerprint.text": lambda: encoder().fingerprint.to_json(),
    "texts": lambda: TEXTS[:2],
    "unit": lambda: "valve",
    "units": lambda: ["valve"],
    "values": lambda: {"mrr@10": {"q": 1.0}},
    "vector": lambda: np.ones(WIDTH),
    "vectors": lambda: np.ones((2, WIDTH)) / 4,
    "vectorstore": lambda: None,
    "vocabulary_size": lambda: 16,
    "Fingerprint.weights": lambda: None,
    "weights": lambda: {"valve": 1.0},
    "what": lambda: "this",
    "work": lambda: asyncio.sleep(0),
    "Catalog.work": lambda: len,
}
"""A good value of each parameter that has no default, by its name alone or after that of its class or function; after
that of its class also of one whose default would be loaded from a file."""


def deep(levels: int) -> Any:
    nested: Any = {"kind": "manual"}
    for _ in range(levels):
        nested = {"$and": [nested]}
    return nested


def cyclic() -> Any:
    made: dict[str, Any] = {}
    made["$and"] = [made, made]
    return made


class Text(str):
    """A string."""


HOSTILE: dict[str, Callable[[], Any]] = {
    **{
        repr(value): partial(lambda one: one, value)
        for value in (
            *(None, True, 0, -1, 1, 2**70, -(2**70), 10**400, 1.5, -0.5, float("nan"), float("inf"), -float("inf")),
            *(1e-45, 3e38, 1e300, 1j, Decimal("NaN"), "", " ", "x", "\ud800", "a\0b", "openai:", "http://[", b"bytes"),
            *((), ("a", "b", "c"), Path("x"), Path(), Path("a\0b"), np.int64(3), np.float32("nan")),
            *(np.bool_(True), np.str_("x"), Text("valve"), ..., range(3)),
        )
    },
    "an object": object,
    "a long text": lambda: "x" * 5000,
    "an empty list": list,
    "a list of one": lambda: [None],
    "numbers": lambda: [1, 2],
    "texts": lambda: ["a", "b"],
    "lists": lambda: [["a"], ["b"]],
    "a lone surrogate": lambda: ["\ud800"],
    "NaN": lambda: [float("nan")] * WIDTH,
    "blank": lambda: ["", ""],
    "mixed": lambda: ["a", 1, None],
    "an empty dict": dict,
    "a dict": lambda: {"a": 1},
    "a dict of NaN": lambda: {"valve": float("nan")},
    "a dict of an object": lambda: {1: object()},
    "a dict of lists": lambda: {"$in": [[], {}, "\ud800"]},
    "a nested one": lambda: deep(10_000),
    "an operator": lambda: {"$and": "x"},
    "a cycle": cyclic,
    "a set": lambda: {"a"},
    "a generator": lambda: (letter for letter in "ab"),
    "a function": lambda: lambda *_: set(),
    "zeros": lambda: np.zeros(WIDTH),
    "subnormal": lambda: np.full(WIDTH, 1e-45, np.float32),
    "huge": lambda: np.full(WIDTH, 3e38, np.float32),
    "a matrix": lambda: np.ones((2, 3)),
    "no rows": lambda: np.zeros((0, 0)),
    "an array of texts": lambda: np.array(["a", "b"]),
    "an array of objects": lambda: np.array([None, {}], object),
    "a tensor": lambda: torch.ones(2, 2),
    "a passage": lambda: Passage("\ud800", metadata={"a": [1, "b"]}),
    "a bad passage": lambda: [Passage("valve", metadata={"a": deep(2000)})],  # type: ignore[dict-item]
    "a pair": lambda: [Pair("", "")],
    "a hit": lambda: [Hit("", float("nan"), "")],
    "a fingerprint": lambda: Fingerprint("", None, -1, probes="x"),
    "a client": chromadb.EphemeralClient,
}
"""What nobody should give, by name; made anew for every call."""


@contextmanager
def somewhere_else() -> Iterator[None]:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield


@pytest.fixture(scope="module", autouse=True)
def _no_network(tiny_backbone: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setitem(globals(), "tiny_folder", lambda: tiny_backbone)
        yield


PLAIN = {"str": "x", "float": 0.5, "int": 1, "bool": True, "tuple": (), "list": [], "dict": {}}


def valid(name: str, parameter: str, annotation: object) -> Any:
    """Return a good value of a parameter of the callable `name`."""
    short = name.split(":")[1]
    for key in (f"{short}.{parameter}", f"{short.split('.')[0]}.{parameter}", parameter):
        if key in VALID:
            return VALID[key]()
    if (plain := str(annotation).split("[")[0]) in PLAIN:
        return PLAIN[plain]
    raise AssertionError(f"Give VALID a good value of the parameter {parameter!r} of {name}.")


def bound(name: str, target: Any) -> Any:
    """Return the callable itself; a method of an object."""
    owner, _, method = name.split(":")[1].partition(".")
    if not method:
        return target
    package = name.split(":")[0]
    kind = getattr(import_module(package), owner)
    if isinstance(target, classmethod | staticmethod):
        return getattr(kind, method)
    make = OWNERS.get(f"{package}:{owner}") or partial(made, f"{package}:{owner}", kind, {})
    return getattr(make(), method)


def made(name: str, function: Any, given: Mapping[str, Any]) -> Any:
    """Call something with these arguments, and good ones where it needs more."""
    owner = name.split(":")[1].split(".")[0]
    needed = {
        one.name: valid(name, one.name, one.annotation)
        for one in parameters(function).values()
        if one.default is one.empty or f"{owner}.{one.name}" in VALID
    }
    return function(**needed | given)


def parameters(function: Any) -> Mapping[str, inspect.Parameter]:
    """Return what a function can be given by name; of a framework's class, what is not a field of the framework's."""
    bases = function.__bases__ if isinstance(function, type) else ()
    inherited = {name for base in bases for name in getattr(base, "model_fields", ())}
    return {
        name: one
        for name, one in inspect.signature(function).parameters.items()
        if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD) and name not in inherited
    }


def call(name: str, function: Any, given: Mapping[str, Any]) -> None:
    """Call something with these arguments and wait for the result, which may be an error of ours."""
    with suppress(LsbRagError, ValidationError):
        result = made(name, function, given)
        if inspect.iscoroutine(result):
            asyncio.run(result)
        elif hasattr(result, "__enter__") and hasattr(result, "__exit__"):
            with result:
                pass


PUBLIC = public()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_a_hostile_call_gives_a_result_or_an_error_of_ours(name: str) -> None:
    shared_store.cache_clear()
    with somewhere_else():
        function = bound(name, PUBLIC[name])
        call(name, function, {})

        @seed(crc32(name.encode()))
        @settings(max_examples=VALUES, database=None, deadline=None, suppress_health_check=[*HealthCheck])
        @given(st.sampled_from(sorted(HOSTILE)))
        def with_each_parameter(hostile: str) -> None:
            for parameter in parameters(function):
                call(name, function, {parameter: HOSTILE[hostile]()})

        with_each_parameter()
