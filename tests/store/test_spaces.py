from __future__ import annotations

from pathlib import Path

import chromadb
import numpy as np
import pytest

from lsb_rag import LexSemBridgeEncoder, Passage, PassageStore, Retriever
from lsb_rag.errors import InvalidInputError
from lsb_rag.store.spaces import Space

from ..conftest import MANUAL


def filled(path: Path, name: str, space: str, encoder: LexSemBridgeEncoder, lengths: float | np.ndarray = 1.0) -> None:
    """A collection as another program makes it: this space, Chroma's own settings, no metadata of ours."""
    collection = chromadb.PersistentClient(path).create_collection(
        name, embedding_function=None, configuration={"hnsw": {"space": space}}
    )
    vectors = encoder.encode_document([p.content for p in MANUAL]) * np.reshape(lengths, (-1, 1))
    collection.add(ids=[p.id for p in MANUAL], documents=[p.content for p in MANUAL], embeddings=vectors)


@pytest.mark.parametrize("space", ["cosine", "l2", "ip"])
@pytest.mark.parametrize("length", [1.0, 7.5])
def test_every_space_gives_the_same_hits_and_cosines(
    tmp_path: Path, store: PassageStore, encoder: LexSemBridgeEncoder, space: str, length: float
) -> None:
    filled(tmp_path / "theirs", "manual", space, encoder, length)
    theirs = PassageStore(tmp_path / "theirs", "manual", encoder, create=False)
    assert theirs.space.name == space
    for retrieve in ({}, {"rerank": 0}, {"vanilla": True}):
        for query in ("what does E-4012 mean", "when is lunch", "zx81"):
            expected = Retriever(store, **retrieve).search(query, 5)  # type: ignore[arg-type]
            got = Retriever(theirs, **retrieve).search(query, 5)  # type: ignore[arg-type]
            assert [hit.id for hit in got] == [hit.id for hit in expected]
            np.testing.assert_allclose([h.score for h in got], [h.score for h in expected], atol=1e-5)


def test_vectors_of_many_lengths_are_ranked_by_their_cosine(tmp_path: Path, encoder: LexSemBridgeEncoder) -> None:
    lengths = np.linspace(2.0, 9.0, len(MANUAL))
    filled(tmp_path, "manual", "l2", encoder, lengths)
    store = PassageStore(tmp_path, "manual", encoder, create=False)
    vector = encoder.embed_query("when is lunch")
    hits = store.query(vector, k=len(MANUAL))
    exact = encoder.encode_document([hit.text for hit in hits]) @ vector
    np.testing.assert_allclose([hit.cosine for hit in hits], exact, atol=1e-5)
    assert hits[0].id == "lunch"


def test_among_long_vectors_a_short_query_would_find_the_shortest(tmp_path: Path, encoder: LexSemBridgeEncoder) -> None:
    lengths = np.array([5.0 if passage.id == "lunch" else 4.0 for passage in MANUAL])
    filled(tmp_path, "manual", "l2", encoder, lengths)
    vector = encoder.embed_query("when is lunch served in the canteen")
    store = PassageStore(tmp_path, "manual", encoder, create=False)
    assert [hit.id for hit in store.query(vector, k=1)] == ["lunch"]
    assert store.collection.query(query_embeddings=vector[None], n_results=1)["ids"] != [["lunch"]]


def test_the_length_is_measured_when_there_is_something_to_measure(
    tmp_path: Path, encoder: LexSemBridgeEncoder
) -> None:
    collection = chromadb.PersistentClient(tmp_path).create_collection("empty", embedding_function=None)
    store = PassageStore.from_collection(collection, encoder)
    assert Retriever(store).search("anything") == []
    texts = [passage.content for passage in MANUAL]
    collection.add(ids=texts, documents=texts, embeddings=7 * encoder.encode_document(texts))
    assert store.space == Space("l2", pytest.approx(7.0, rel=1e-4))
    assert -1 <= store.query(encoder.embed_query("lunch"), k=1)[0].cosine <= 1
    with pytest.raises(InvalidInputError, match="mean length"):
        store.add(["a new passage"])


def test_passages_are_not_added_among_vectors_of_other_lengths(tmp_path: Path, encoder: LexSemBridgeEncoder) -> None:
    filled(tmp_path, "manual", "l2", encoder, 7.5)
    store = PassageStore(tmp_path, "manual", encoder, create=False)
    with pytest.raises(InvalidInputError, match=r"mean length of 7\.50.*l2 distance"):
        store.add(["a new passage"])
    assert len(store) == len(MANUAL)
    filled(tmp_path, "unit", "l2", encoder)
    unit = PassageStore(tmp_path, "unit", encoder, create=False)
    assert unit.add([Passage("The gearbox broke a tooth.", id="gear", title="E-9001")]) == 1
    assert Retriever(unit).search("E-9001", k=1)[0].id == "gear"


def test_nothing_found_and_an_empty_collection(tmp_path: Path, encoder: LexSemBridgeEncoder) -> None:
    filled(tmp_path, "manual", "l2", encoder, 7.5)
    store = PassageStore(tmp_path, "manual", encoder, create=False)
    assert store.query(encoder.embed_query("lunch"), 3, {"nobody": "has this"}) == []
    chromadb.PersistentClient(tmp_path).create_collection("empty", embedding_function=None)
    empty = PassageStore(tmp_path, "empty", encoder, create=False)
    assert empty.space == Space("l2", measured=False)
    assert Retriever(empty).search("anything") == []


@pytest.mark.parametrize("space", ["l2", "ip"])
@pytest.mark.parametrize("lengths", [[1.0] * 8 + [3.0] * 12, [0.5, 1.5] * 10])
def test_lengths_that_differ_are_noticed(
    tmp_path: Path, encoder: LexSemBridgeEncoder, space: str, lengths: list[float]
) -> None:
    texts = [f"part P-{number} of the pump" for number in range(20)]
    vectors = encoder.encode_document(texts)
    client = chromadb.PersistentClient(tmp_path)
    collection = client.create_collection("uneven", embedding_function=None, configuration={"hnsw": {"space": space}})  # type: ignore[typeddict-item]
    rows = vectors * np.array(lengths, np.float32)[:, None]
    collection.add(ids=[str(number) for number in range(20)], documents=texts, embeddings=rows)
    store = PassageStore.from_collection(collection, encoder)
    query = encoder.embed_query("P-7")
    for hit in store.query(query, 20):
        assert hit.cosine == pytest.approx(float(vectors[int(hit.id)] @ query), abs=1e-5)
    with pytest.raises(InvalidInputError, match="would not compare"):
        store.add(["one more"])
