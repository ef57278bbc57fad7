from __future__ import annotations

import asyncio
import base64
import json
import pickle
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lsb_rag import (
    CorpusBridge,
    CorpusStatistics,
    LearnedBridge,
    LexSemBridgeEncoder,
    PassageStore,
    ProviderBackbone,
    Retriever,
)
from lsb_rag.backbones.base import Fingerprint
from lsb_rag.errors import BackboneError, CorruptFileError, InvalidInputError, InvalidTypeError
from lsb_rag.lexical.units import words
from lsb_rag.rerank import LexicalRerank

from ..embedding_server import vector

WIDTH = 48


def embed(texts: list[str]) -> list[list[float]]:
    return [vector(text, WIDTH, "document") for text in texts]


def embed_query(text: str) -> list[float]:
    return vector(text, WIDTH, "query")


class Counting:
    """An embedding model with the queries and passages that it was asked for."""

    def __init__(self, dimension: int = WIDTH, length: float = 1.0) -> None:
        self.dimension = dimension
        self.length = length
        self.passages: list[str] = []
        self.queries: list[str] = []

    def embed(self, texts: list[str]) -> Any:
        self.passages += texts
        return self.length * np.array([vector(text, self.dimension, "document") for text in texts])

    def embed_query(self, text: str) -> Any:
        self.queries.append(text)
        return self.length * np.array(vector(text, self.dimension, "query"))

    def encoder(self, **options: Any) -> LexSemBridgeEncoder:
        return LexSemBridgeEncoder(self.embed, embed_query=self.embed_query, name="counting-v1", **options)


def test_nothing_is_asked_before_it_is_needed_and_each_query_once() -> None:
    model = Counting()
    encoder = model.encoder()
    assert repr(encoder).startswith("LexSemBridgeEncoder('counting-v1'")
    assert (model.passages, model.queries) == ([], [])
    encoder.embed_query("E-4012")
    encoder.encode_query(["E-4012", "E-4013", "E-4012"])
    assert model.queries == ["E-4012", "E-4013"]
    assert encoder.dimension == WIDTH
    encoder.forget()
    encoder.embed_query("E-4012")
    assert model.queries == ["E-4012", "E-4013", "E-4012"]


def test_many_queries_of_one_call_are_kept_until_the_next() -> None:
    model = Counting()
    encoder, queries = model.encoder(), [f"query {number}" for number in range(300)]
    first = encoder.embed_query(queries)
    np.testing.assert_array_equal(encoder.embed_query(queries), first)
    assert len(model.queries) == 300
    for number in range(260):
        encoder.embed_query(f"other {number}")
    encoder.embed_query("query 299")
    assert len(model.queries) == 561


def test_the_cache_can_be_switched_off() -> None:
    model = Counting()
    backbone = ProviderBackbone(model.embed, model.embed_query, cache_queries=False)
    for _ in range(2):
        backbone.embed_queries(["E-4012"])
    assert model.queries == ["E-4012", "E-4012"]


def test_sides_stay_apart_and_lengths_stay_the_models() -> None:
    model = Counting(length=7.0)
    encoder = model.encoder()
    passage = 7.0 * np.array(vector("pump", WIDTH, "document"))
    np.testing.assert_allclose(encoder.encode_document("pump"), passage, atol=1e-5)
    np.testing.assert_allclose(encoder.embed_query("pump"), vector("pump", WIDTH, "query"), atol=1e-6)
    assert encoder.passage_length == pytest.approx(7.0, rel=1e-3)


def test_without_a_function_for_queries_passages_serve() -> None:
    encoder = LexSemBridgeEncoder(embed)
    assert encoder.name == "embed"
    np.testing.assert_allclose(encoder.embed_query("pump"), vector("pump", WIDTH, "document"), atol=1e-6)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([[1.0, 2.0]], "one vector for each"),
        ([1.0, 2.0], "one vector for each"),
        ([[1.0], [1.0, 2.0]], "something else than vectors"),
        (None, "something else than vectors"),
        ([["a", "b"], ["c", "d"]], "something else than vectors"),
        ([[0.0, 0.0], [1.0, 1.0]], "zeros for the text 'one'"),
        ([[1.0, 1.0], [float("nan"), 1.0]], "NaN or infinite values for the text 'two'"),
        ([[], []], "one vector for each"),
    ],
)
def test_vectors_that_are_none(given: Any, message: str) -> None:
    backbone = ProviderBackbone(lambda texts: given, name="odd")
    with pytest.raises(BackboneError, match=f"odd gave .*{message}"):
        backbone.embed_passages(["one", "two"])


def test_another_width_than_before_or_than_the_other_side() -> None:
    model = Counting()
    encoder = model.encoder()
    encoder.encode_document("pump")
    model.dimension = 16
    with pytest.raises(BackboneError, match="16 dimensions after 48"):
        encoder.encode_document("pump")
    mixed = ProviderBackbone(embed, lambda text: vector(text, 16))
    with pytest.raises(BackboneError, match="16 dimensions after 48"):
        mixed.fingerprint  # noqa: B018 - computed on first use


def test_the_models_own_errors_come_through() -> None:
    class RateLimitError(Exception):
        pass

    def refuse(texts: list[str]) -> Any:
        raise RateLimitError("slow down")

    with pytest.raises(RateLimitError):
        LexSemBridgeEncoder(refuse).encode_document("pump")


def test_what_needs_a_model_here_says_so() -> None:
    encoder = LexSemBridgeEncoder(embed, name="my-model")
    for make in (
        lambda: LexSemBridgeEncoder(embed, paradigm="clr"),
        lambda: LexSemBridgeEncoder(embed, paradigm="llr"),
        lambda: LexSemBridgeEncoder(embed, units="wordpieces"),
        lambda: LexSemBridgeEncoder(embed, fusion="product"),
        lambda: LexSemBridgeEncoder(embed, bridge=LearnedBridge(10, WIDTH)),
        lambda: setattr(encoder, "bridge", LearnedBridge(10, WIDTH)),
        lambda: encoder.model,
        lambda: encoder.modulation,
        lambda: encoder.computation,
        lambda: encoder.save("nowhere"),
    ):
        with pytest.raises(InvalidInputError, match=r"gives vectors alone; .*all-MiniLM-L6-v2"):
            make()
    with pytest.raises(InvalidInputError, match="device is for a model that runs here"):
        LexSemBridgeEncoder(embed, device="cpu")
    with pytest.raises(InvalidInputError, match="go with a backbone that is a function"):
        LexSemBridgeEncoder("all-MiniLM-L6-v2", embed_query=embed_query)
    with pytest.raises(InvalidTypeError, match="not int"):
        LexSemBridgeEncoder(5)  # type: ignore[arg-type]


def test_a_frameworks_class_is_sent_to_its_integration() -> None:
    class Embeddings:
        embed_documents = embed_query = None

    with pytest.raises(InvalidTypeError, match=r"LexSemBridgeEmbeddings\(embeddings=.*embed_query=x.embed_query"):
        LexSemBridgeEncoder(Embeddings())  # type: ignore[arg-type]


def test_fingerprints_of_noise_another_model_and_another_prompt() -> None:
    mine = LexSemBridgeEncoder(embed, embed_query=embed_query, name="one").fingerprint
    again = Fingerprint.from_json(mine.to_json())
    assert again == mine
    rng = np.random.default_rng(0)

    def noisy(texts: list[str]) -> Any:
        return np.array(embed(texts)) + 1e-4 * rng.standard_normal((len(texts), WIDTH))

    def other(texts: list[str]) -> Any:
        return [vector(f"passage: {text}", WIDTH) for text in texts]

    assert mine.differences(LexSemBridgeEncoder(noisy, embed_query=embed_query, name="two").fingerprint) == []
    assert "has cosine" in mine.differences(LexSemBridgeEncoder(other, embed_query=embed_query).fingerprint)[0]
    asked_otherwise = LexSemBridgeEncoder(embed).fingerprint
    assert mine.differences(asked_otherwise) == []
    assert (mine.query_cosine(asked_otherwise) or 1) < 0.9
    narrow = LexSemBridgeEncoder(lambda texts: np.array(embed(texts))[:, :20]).fingerprint
    assert mine.differences(narrow) == ["dimension: 48 against 20"]


def test_a_model_here_and_the_same_behind_a_provider(encoder: LexSemBridgeEncoder) -> None:
    behind = LexSemBridgeEncoder(encoder.encode_document, embed_query=encoder.embed_query, name="behind")
    assert encoder.differences(behind.fingerprint) == []
    assert behind.differences(encoder.fingerprint) is None  # weights against vectors
    other = LexSemBridgeEncoder(lambda texts: np.roll(encoder.encode_document(texts), 1, axis=1))
    assert "has cosine" in (encoder.differences(other.fingerprint) or [""])[0]


def test_pickled_with_its_functions_or_refused() -> None:
    encoder = LexSemBridgeEncoder(embed, embed_query=embed_query, name="my-model", strength=0.5)
    again = pickle.loads(pickle.dumps(encoder))  # noqa: S301
    assert (again.name, again.strength) == ("my-model", 0.5)
    np.testing.assert_array_equal(again.embed_query("pump"), encoder.embed_query("pump"))
    lock = threading.Lock()
    with pytest.raises(InvalidTypeError, match="cannot be pickled"):
        pickle.dumps(LexSemBridgeEncoder(lambda texts: lock and embed(texts)))


async def test_a_coroutine_that_awaits_is_awaited_and_one_that_does_not_is_not_used() -> None:
    threads: list[str] = []

    async def aembed_query(text: str) -> list[float]:
        threads.append(threading.current_thread().name)
        await asyncio.sleep(0)
        return embed_query(text)

    async def blocking(text: str) -> list[float]:
        return embed_query(text)

    real = ProviderBackbone(embed, embed_query, aembed_query=aembed_query)
    store = PassageStore.in_memory(LexSemBridgeEncoder(real))
    store.add(["E-4012: the inlet is blocked.", "E-4013: the outlet is blocked."])
    expected = Retriever(store).search("E-4013 outlet", 1)
    real.forget()
    assert await Retriever(store).asearch("E-4013 outlet", 1) == expected
    assert threads == [threading.main_thread().name]
    assert await ProviderBackbone(embed, embed_query, aembed_query=blocking).aembed_queries(["a"]) is None


def test_of_any_width() -> None:
    for width in (2, 1536, 3072):
        model = Counting(width)
        store = PassageStore.in_memory(model.encoder())
        store.add(["E-4012: the inlet is blocked.", "E-4013: the outlet is blocked.", "Lunch is at noon."])
        hits = Retriever(store).search("E-4013", 3)
        assert len(hits) == 3
        assert width < 3 or hits[0].text.startswith("E-4013")


def test_no_torch_for_a_model_that_runs_elsewhere() -> None:
    code = """
import sys
from lsb_rag import LexSemBridgeEncoder, PassageStore, Retriever
store = PassageStore.in_memory(LexSemBridgeEncoder(lambda texts: [[len(text), 1.0] for text in texts]))
store.add(["E-4012: the inlet is blocked.", "Lunch is at noon."])
Retriever(store).search("E-4012")
print({"torch", "transformers", "sentence_transformers"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.strip() == "set()"


def test_a_backbone_of_ones_own_and_statistics_of_it() -> None:
    class Mine:
        name = "mine"

        def embed_passages(self, texts: list[str]) -> Any:
            return embed(texts)

        def embed_queries(self, texts: list[str]) -> Any:
            return [embed_query(text) for text in texts]

    encoder = LexSemBridgeEncoder(Mine())  # type: ignore[arg-type]
    statistics = CorpusStatistics(encoder.dimension)
    statistics.add([encoder.analyze("E-4012 inlet")], encoder.encode_document(["E-4012 inlet"]))
    assert json.loads(encoder.fingerprint.to_json())["backbone"] == "mine"


def test_in_a_cone_bridge_and_rerank_count_less() -> None:
    def narrow(texts: list[str]) -> Any:
        return [np.array(vector(text, WIDTH)) + 2 * np.eye(WIDTH)[0] for text in texts]

    texts = ["E-4012: the inlet is blocked.", "E-4013: the outlet is blocked.", "Lunch is served at noon."]
    store = PassageStore.in_memory(LexSemBridgeEncoder(narrow))
    store.add(texts)
    spread = store.encoder.spread
    assert 0.3 < spread < 0.7
    wide = CorpusBridge(store.bridge.statistics, units="words", background=store.encoder.background, spread=1.0)
    weights = store.encoder.unit_weights("E-4013")
    c, full = store.bridge.direction(weights), wide.direction(weights)
    assert c is not None
    assert full is not None
    np.testing.assert_allclose(c, spread * full, atol=1e-12)
    hit = Retriever(store).search("E-4013 outlet blocked", 1)[0]
    unscaled = LexicalRerank(words, wide.statistics, store.encoder.background).scores(
        "E-4013 outlet blocked", [hit.text]
    )
    assert hit.lexical == pytest.approx(spread**2 * unscaled[0])
    assert hit.score == pytest.approx(hit.cosine + 0.4 * hit.lexical)
    explained = Retriever(store).explain("E-4013 outlet blocked", hit.id)
    assert explained.score == pytest.approx(hit.score, abs=1e-6)
    given = CorpusBridge(store.bridge.statistics)
    np.testing.assert_array_equal(
        LexSemBridgeEncoder(narrow, bridge=given).encode_query("E-4013"), Retriever(store).embed("E-4013")
    )
    assert given.spread == spread


def test_threads_that_ask_the_same_wait_for_one_answer() -> None:
    model = Counting()
    backbone = ProviderBackbone(model.embed, lambda text: time.sleep(0.05) or model.embed_query(text))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: backbone.embed_queries(["E-4012"]), range(8)))
    assert model.queries == ["E-4012"]
    assert all((row == found[0]).all() for row in found)


def test_buffers_and_lists_that_a_model_uses_again() -> None:
    buffer = np.zeros((4, WIDTH), np.float32)

    def reusing(texts: list[str]) -> Any:
        buffer[: len(texts)] = embed(texts)
        texts.clear()
        return buffer[: min(1, len(buffer))]

    texts = ["pump", "valve", "sensor"]
    vectors = ProviderBackbone(reusing, batch_size=1).embed_passages(texts)
    np.testing.assert_allclose(vectors, embed(texts), atol=1e-6)


def test_damaged_vectors_of_a_fingerprint_vouch_for_nothing() -> None:
    mine = LexSemBridgeEncoder(embed).fingerprint
    nothing = base64.b64encode(np.full((2, WIDTH), np.nan, np.float16).tobytes()).decode()
    with pytest.raises(CorruptFileError, match="not finite"):
        Fingerprint.from_json(replace(mine, probes=nothing).to_json())


@pytest.mark.parametrize(("scale", "what"), [(1e-45, "a vector of length"), (3e38, "a vector of length"), (0, "zeros")])
def test_vectors_that_no_search_can_compare_are_refused(scale: float, what: str) -> None:
    backbone = ProviderBackbone(lambda texts: [[scale] * 4 for _ in texts])
    for call in (backbone.embed_passages, backbone.embed_queries):
        with pytest.raises(BackboneError, match=f"gave {what}"):
            call(["valve"])
