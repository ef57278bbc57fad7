"""The sentence vectors of a collection: made at three times, following it as it changes."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import chromadb
import numpy as np
import pytest
from filelock import FileLock

from lsb_rag import LexSemBridgeEncoder, Passage, PassageStore, ProviderBackbone, Retriever
from lsb_rag.generation import ExtractiveGenerator

from .test_providers import TEXTS, Model, foreign

PASSAGES = [Passage(f"Part {n} is new. The fault E-4{n:03d} stops the pump.", id=f"p{n}") for n in range(15)]
QUERY = "what does E-4007 do"


def opened(folder: Path, encoder: LexSemBridgeEncoder) -> PassageStore:
    return PassageStore(folder, "parts", encoder)


def kept(store: PassageStore) -> set[str]:
    return store.sentences.ids()


def test_the_first_search_embeds_those_of_the_best_candidates(
    tmp_path: Path, tiny: LexSemBridgeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(tmp_path, tiny)
    store.add(PASSAGES)
    assert kept(store) == set()
    first = Retriever(store).search(QUERY, 5)
    assert len(kept(store)) == 10
    assert all(hit.sentence in hit.text and hit.sentence_cosine is not None for hit in first)
    size = store.statistics_bytes
    embedded: list[str] = []
    monkeypatch.setattr(tiny, "encode_document", embedded.extend)
    monkeypatch.setattr(tiny, "encode_sentences", embedded.extend)
    assert Retriever(store).search(QUERY, 5) == first
    assert Retriever(opened(tmp_path, tiny)).search(QUERY, 5) == first
    assert embedded == []
    answer = ExtractiveGenerator(tiny, table=store.sentences, min_confidence=0).answer(QUERY, first)
    assert answer.citations
    assert embedded == []
    assert store.statistics_bytes >= size > 0


def test_at_indexing_and_all_at_once_give_the_same(tmp_path: Path, tiny: LexSemBridgeEncoder) -> None:
    at_indexing, later, first_seen = (opened(tmp_path / name, tiny) for name in ("a", "b", "c"))
    at_indexing.add(PASSAGES, sentences=True)
    assert len(kept(at_indexing)) == 15
    later.add(PASSAGES)
    told: list[tuple[int, int]] = []
    assert later.embed_sentences(progress=lambda done, total: told.append((done, total))) == 15
    assert later.embed_sentences() == 0
    assert told[-1] == (15, 15)
    first_seen.add(PASSAGES)
    expected = Retriever(at_indexing).search(QUERY, 5)
    assert Retriever(later).search(QUERY, 5) == expected
    assert Retriever(first_seen).search(QUERY, 5) == expected


def test_never(tmp_path: Path, tiny: LexSemBridgeEncoder) -> None:
    store = opened(tmp_path, tiny)
    store.add(PASSAGES, sentences=True)
    hits = Retriever(store, sentences=False).search(QUERY, 5)
    assert all(hit.sentence == "" and hit.sentence_cosine is None for hit in hits)
    assert hits[0].score == pytest.approx(hits[0].cosine + 0.4 * hits[0].lexical)
    alone = Retriever(store, rerank=False).search(QUERY, 5)
    assert [hit.score for hit in alone] == [hit.cosine for hit in alone]


def test_they_follow_changes_and_deletions(tmp_path: Path, tiny: LexSemBridgeEncoder) -> None:
    store = opened(tmp_path, tiny)
    store.add(PASSAGES, sentences=True)
    store.delete(["p1", "p2"])
    assert kept(store) == {passage.id for passage in PASSAGES} - {"p1", "p2"}
    store.add([Passage("The fault E-4007 is harmless.", id="p7")])
    hit = Retriever(store).search("E-4007", 1)[0]
    assert (hit.id, hit.sentence) == ("p7", "The fault E-4007 is harmless.")
    vector = tiny.encode_document("E-4007 is what this one speaks of.")
    store.collection.update("p3", documents="E-4007 is what this one speaks of.", embeddings=vector)
    assert Retriever(store).search("E-4007 speaks", 2)[0].sentence == "E-4007 is what this one speaks of."


def test_what_another_program_deletes(tmp_path: Path, tiny: LexSemBridgeEncoder) -> None:
    store = opened(tmp_path, tiny)
    store.add(PASSAGES, sentences=True)
    store.collection.delete(["p4"])
    store.embed_sentences()
    assert "p4" not in kept(store)


KILLED = """
import os, signal, sys
from lsb_rag import LexSemBridgeEncoder, Passage, PassageStore
store = PassageStore(sys.argv[1], "parts", LexSemBridgeEncoder(sys.argv[2], device="cpu"))
store.add([Passage(f"Part {n} is new. The fault E-4{n:03d} stops the pump.", id=f"p{n}") for n in range(15)])
store.sentences.of([store.hit("p1")])
store.sentences._keep = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
store.embed_sentences()
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kills")
def test_killed_in_between_nothing_is_lost_or_stale(tmp_path: Path, tiny_backbone: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(tiny_backbone)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL  # noqa: S603
    store = opened(tmp_path, LexSemBridgeEncoder(tiny_backbone, device="cpu"))
    assert (len(store), kept(store)) == (15, {"p1"})
    assert store.embed_sentences() == 14


def test_in_memory_stores_of_a_collection_share_them(tiny: LexSemBridgeEncoder) -> None:
    store = PassageStore.in_memory(tiny)
    store.add(PASSAGES, sentences=True)
    assert len(kept(PassageStore.from_collection(store.collection, tiny))) == 15


def test_they_go_with_the_collection(tmp_path: Path, tiny: LexSemBridgeEncoder) -> None:
    store = opened(tmp_path, tiny)
    store.add(PASSAGES, sentences=True)
    assert list((tmp_path / "lsb_rag").glob("*-sentences-*.db"))
    store.drop()
    assert not list((tmp_path / "lsb_rag").glob("*-sentences-*.db"))


def test_where_they_cost_requests_they_are_made_when_asked_for(tmp_path: Path) -> None:
    model = Model()
    foreign(tmp_path, model)
    store = PassageStore(tmp_path, "foreign", model.encoder())
    store.fit()
    query = "what does E-4012 mean"
    model.requests.clear()
    hit = Retriever(store).search(query, 1)[0]
    assert (hit.sentence, model.requests) == ("", [1])
    assert hit.score == pytest.approx(hit.cosine + 0.4 * hit.lexical)
    assert store.embed_sentences() == len(TEXTS)
    hit = Retriever(store).search(query, 1)[0]
    assert hit.sentence == hit.text
    assert hit.score == pytest.approx(hit.dense + 0.4 * hit.lexical)
    assert sum(model.requests) == 1 + len(TEXTS)
    store.add(["E-4999: another one."])
    assert "" in {hit.sentence for hit in Retriever(store).search("E-4999", 5)}


def test_a_providers_model_that_runs_here_costs_no_requests(tmp_path: Path, encoder: LexSemBridgeEncoder) -> None:
    model = encoder.model
    provider = ProviderBackbone(model.encode, name="here", model=model)
    assert provider.runs_here
    store = PassageStore(tmp_path, "parts", LexSemBridgeEncoder(provider))
    store.add(PASSAGES)
    through = Retriever(store).search(QUERY, 5)
    assert all(hit.sentence for hit in through)
    here = Retriever(PassageStore(tmp_path, "parts", encoder)).search(QUERY, 5)
    assert [hit.id for hit in here] == [hit.id for hit in through]
    np.testing.assert_allclose([hit.score for hit in here], [hit.score for hit in through], atol=1e-3)


def test_no_record_changes(tmp_path: Path, tiny: LexSemBridgeEncoder) -> None:
    client = chromadb.PersistentClient(tmp_path)
    made = client.create_collection("there", configuration={"hnsw": {"space": "cosine"}}, embedding_function=None)  # type: ignore[typeddict-item]
    texts = [passage.text for passage in PASSAGES]
    made.add(ids=[passage.id for passage in PASSAGES], documents=texts, embeddings=tiny.encode_document(texts))
    before = made.get(include=["documents", "metadatas", "embeddings"])
    store = PassageStore.attach(tmp_path, "there", tiny)
    Retriever(store).search(QUERY)
    store.embed_sentences()
    after = made.get(include=["documents", "metadatas", "embeddings"])
    assert (before["ids"], before["documents"], before["metadatas"]) == (
        after["ids"],
        after["documents"],
        after["metadatas"],
    )
    np.testing.assert_array_equal(before["embeddings"], after["embeddings"])


async def test_asynchronously(tmp_path: Path, tiny: LexSemBridgeEncoder) -> None:
    store = opened(tmp_path, tiny)
    await store.aadd(PASSAGES[:5], sentences=True)
    assert len(kept(store)) == 5
    await store.aadd(PASSAGES)
    assert await store.aembed_sentences() == 10
    assert await Retriever(store).asearch(QUERY) == Retriever(store).search(QUERY)


def test_beyond_the_tenth_no_sentence_counts_in_an_explanation_either(
    tmp_path: Path, tiny: LexSemBridgeEncoder
) -> None:
    store = opened(tmp_path, tiny)
    store.add(PASSAGES)
    retriever = Retriever(store)
    for hit in retriever.search(QUERY, 15):
        explained = retriever.explain(QUERY, hit.id)
        assert explained.sentence == hit.sentence
        assert explained.score == pytest.approx(hit.score, abs=1e-4)


def test_while_another_process_holds_the_file(tmp_path: Path, tiny: LexSemBridgeEncoder) -> None:
    store = opened(tmp_path, tiny)
    store.add(PASSAGES)
    expected = Retriever(opened(tmp_path, tiny)).search(QUERY, 5)
    (file,) = (tmp_path / "lsb_rag").glob("*-sentences-*.db")
    with FileLock(file.with_suffix(".lock")):
        assert Retriever(store).search(QUERY, 5) == expected  # the first use of the file
        assert store.delete(["p14"]) == 1
    assert Retriever(store).search(QUERY, 5)


def test_odd_ids_and_titles(tmp_path: Path, tiny: LexSemBridgeEncoder) -> None:
    store = opened(tmp_path, tiny)
    store.add([Passage("It is new. It stops.", id="a\0b"), Passage("b text.", id="c", title="tit\0le")], sentences=True)
    assert store.embed_sentences() == 0
    store.add([Passage("le\0b text.", id="c", title="tit")])
    assert store.embed_sentences() == 1
