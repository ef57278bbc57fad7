from __future__ import annotations

import logging
import pickle
import threading
from pathlib import Path

import chromadb
import numpy as np
import pytest

from lsb_rag import Embedder, LearnedBridge, LexSemBridgeEncoder, PassageStore, Retriever
from lsb_rag.bridge.file import save_bridge
from lsb_rag.embedder import NOT_THERE, NOTHING_SEEN, SELF_FITTED
from lsb_rag.errors import (
    CollectionNotFoundError,
    CorruptFileError,
    FingerprintMismatchError,
    InvalidInputError,
    InvalidTypeError,
    ReadError,
)

from .conftest import MANUAL

TEXTS = [passage.content for passage in MANUAL]
QUERY = "what does E-4012 mean"


def assert_same(vector: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(vector, expected, atol=1e-6)


def test_passages_are_plain_and_queries_modulated(store: PassageStore, encoder: LexSemBridgeEncoder) -> None:
    embedder = Embedder(collection=store)
    np.testing.assert_allclose(embedder.embed_documents(TEXTS), encoder.encode_document(TEXTS), atol=1e-6)
    assert_same(embedder.embed_query(QUERY), encoder.encode_query(QUERY, bridge=store.bridge))
    assert_same(embedder.embed_query(QUERY, strength=0), encoder.embed_query(QUERY))
    weak = encoder.encode_query(QUERY, bridge=store.bridge, strength=0.2)
    assert_same(embedder.embed_query(QUERY, strength=0.2), weak)


def test_it_fits_itself_on_what_it_embeds_each_text_once(
    store: PassageStore, encoder: LexSemBridgeEncoder, caplog: pytest.LogCaptureFixture
) -> None:
    embedder = Embedder(encoder)
    assert_same(embedder.embed_query(QUERY), encoder.embed_query(QUERY))
    embedder.embed_query(QUERY)
    assert [record.message for record in caplog.records] == [NOTHING_SEEN]
    embedder.embed_documents([*TEXTS[:4], TEXTS[0]])
    embedder.embed_documents(TEXTS)
    expected = encoder.encode_query(QUERY, bridge=store.bridge)
    for _ in range(2):
        np.testing.assert_allclose(embedder.embed_query(QUERY), expected, atol=1e-5)
    assert [record.message for record in caplog.records] == [NOTHING_SEEN, SELF_FITTED]


def test_a_collection_is_followed_and_may_come_later(
    tmp_path: Path, encoder: LexSemBridgeEncoder, caplog: pytest.LogCaptureFixture
) -> None:
    embedder = Embedder(encoder, collection=(tmp_path, "later"))
    assert embedder.store is None
    with caplog.at_level(logging.WARNING):
        assert_same(embedder.embed_query(QUERY), encoder.embed_query(QUERY))
    assert [record.message for record in caplog.records] == [NOT_THERE.format(name="later", database=tmp_path)]
    store = PassageStore(tmp_path, "later", encoder)
    store.add(MANUAL[:5])
    first = embedder.embed_query(QUERY)
    assert_same(first, encoder.encode_query(QUERY, bridge=store.bridge))
    store.add(MANUAL[5:])
    embedder.store.refresh()  # type: ignore[union-attr]
    np.testing.assert_allclose(embedder.embed_query(QUERY), encoder.encode_query(QUERY, bridge=store.bridge), atol=1e-5)
    assert not np.array_equal(embedder.embed_query(QUERY), first)


def test_a_collection_brings_its_backbone_and_refuses_another(
    tmp_path: Path, store: PassageStore, tiny_backbone: Path
) -> None:
    PassageStore(tmp_path, "tiny", LexSemBridgeEncoder(tiny_backbone, device="cpu")).add(["valve", "pump"])
    assert Embedder(collection=(tmp_path, "tiny")).encoder.dimension == 32
    for source in (store, store.collection, (store.path, "manual")):
        mixed = Embedder(str(tiny_backbone), collection=source)  # type: ignore[arg-type]
        with pytest.raises(FingerprintMismatchError, match="all-MiniLM-L6-v2"):
            mixed.embed_documents(["a passage that must not get in"])


def test_a_saved_bridge_brings_its_backbone_and_refuses_another(
    tmp_path: Path, store: PassageStore, tiny_backbone: Path
) -> None:
    Embedder(collection=store).save(tmp_path / "manual")
    embedder = Embedder(bridge=tmp_path / "manual")
    assert_same(embedder.embed_query(QUERY), Embedder(collection=store).embed_query(QUERY))
    with pytest.raises(FingerprintMismatchError, match=r"fitted for all-MiniLM-L6-v2.*tiny"):
        Embedder(str(tiny_backbone), bridge=tmp_path / "manual").embed_query(QUERY)
    with pytest.raises(ReadError, match="no saved bridge"):
        Embedder(bridge=tmp_path / "none").embed_query(QUERY)


def test_fit_fit_collection_and_save(tmp_path: Path, store: PassageStore, encoder: LexSemBridgeEncoder) -> None:
    embedder = Embedder(encoder)
    with pytest.raises(InvalidInputError, match="no bridge to save yet"):
        embedder.save(tmp_path / "none")
    done: list[tuple[int, int]] = []
    embedder.fit(TEXTS, progress=lambda *counts: done.append(counts))
    assert done == [(7, 7)]
    fitted = embedder.embed_query(QUERY)
    np.testing.assert_allclose(fitted, encoder.encode_query(QUERY, bridge=store.bridge), atol=1e-5)
    embedder.save(tmp_path / "fitted")
    assert_same(Embedder(bridge=tmp_path / "fitted").embed_query(QUERY), fitted)
    with pytest.raises(InvalidInputError, match="no collection to fit on"):
        embedder.refresh()
    for elsewhere in (Embedder(collection=store), Embedder(bridge=tmp_path / "fitted")):
        with pytest.raises(InvalidInputError, match="comes from elsewhere"):
            elsewhere.fit(TEXTS)
    with pytest.raises(CollectionNotFoundError, match="no collection 'none'"):
        Embedder(collection=(tmp_path, "none")).refresh()


def test_a_change_in_place_is_seen_after_refresh(store: PassageStore) -> None:
    embedder = Embedder(collection=store)
    before = embedder.embed_query("HJKL-55")
    vector = store.encoder.encode_document("HJKL-55: the fuse blew.")
    store.collection.update("lunch", documents="HJKL-55: the fuse blew.", embeddings=vector)
    assert_same(embedder.embed_query("HJKL-55"), before)
    embedder.refresh()
    assert embedder.embed_query("HJKL-55") @ vector > before @ vector + 0.05


def test_what_it_embedded_for_its_collection_is_seen_at_once(store: PassageStore) -> None:
    embedder = Embedder(collection=store.collection)
    embedder.embed_query(QUERY)
    vector = embedder.embed_documents(["QX77 leaks"])
    store.collection.add(ids=["new"], documents=["QX77 leaks"], embeddings=vector)  # as a vector store does
    assert embedder.embed_query("QX77") @ vector[0] > Embedder(store.encoder).embed_query("QX77") @ vector[0] + 0.05


def test_a_collection_made_again_under_its_name_is_found_again(tmp_path: Path, encoder: LexSemBridgeEncoder) -> None:
    PassageStore(tmp_path, "again", encoder).add(MANUAL[:5])
    by_name = Embedder(encoder, collection=(tmp_path, "again"))
    opened = Embedder(encoder, collection=PassageStore(tmp_path, "again", encoder))
    for embedder in (by_name, opened):
        embedder.embed_query(QUERY)
    client = chromadb.PersistentClient(tmp_path)
    client.delete_collection("again")
    store = PassageStore(tmp_path, "again", encoder)
    store.add(MANUAL)
    for embedder in (by_name, opened):
        embedder.embed_documents([])  # looks again
    assert_same(by_name.embed_query(QUERY), encoder.encode_query(QUERY, bridge=store.bridge))
    with pytest.raises(CollectionNotFoundError, match="not there any more"):
        opened.embed_query(QUERY)


def test_long_vectors_get_long_queries_and_no_short_passages(tmp_path: Path, encoder: LexSemBridgeEncoder) -> None:
    collection = chromadb.PersistentClient(tmp_path).create_collection("long", embedding_function=None)
    collection.add(ids=[p.id for p in MANUAL], documents=TEXTS, embeddings=5 * encoder.encode_document(TEXTS))
    embedder = Embedder(encoder, collection=collection)
    assert np.linalg.norm(embedder.embed_query(QUERY)) == pytest.approx(5, rel=1e-3)
    with pytest.raises(InvalidInputError, match=r"mean length of 5\.00"):
        embedder.embed_documents(["a passage"])


def test_units_come_from_the_file_or_the_collection(tmp_path: Path, encoder: LexSemBridgeEncoder) -> None:
    pieces = LexSemBridgeEncoder(units="wordpieces", device="cpu")
    fitted = Embedder(pieces)
    fitted.fit(TEXTS)
    fitted.save(tmp_path / "pieces")
    assert_same(Embedder(bridge=tmp_path / "pieces").embed_query(QUERY), fitted.embed_query(QUERY))
    PassageStore(tmp_path, "pieces", pieces).add(MANUAL)
    for backbone in (None, "all-MiniLM-L6-v2"):
        assert_same(Embedder(backbone, collection=(tmp_path, "pieces")).embed_query(QUERY), fitted.embed_query(QUERY))
    with pytest.raises(InvalidInputError, match="fitted on wordpieces"):
        _ = Embedder(encoder, bridge=tmp_path / "pieces").encoder


def test_a_bridge_of_the_encoders_own_comes_first_as_in_the_retriever(
    tmp_path: Path, store: PassageStore, encoder: LexSemBridgeEncoder
) -> None:
    other = PassageStore(tmp_path, "other", encoder)
    other.add(["E-4012 is a cake", "E-4013 is a pie", "coffee and tea"])
    own = LexSemBridgeEncoder(bridge=other.bridge, device="cpu")
    expected = Retriever(PassageStore.from_collection(store.collection, own)).embed(QUERY)
    assert_same(Embedder(own, collection=store.collection).embed_query(QUERY), expected)
    assert not np.allclose(expected, encoder.encode_query(QUERY, bridge=store.bridge), atol=1e-3)
    with pytest.raises(InvalidInputError, match="a bridge of its own"):
        Embedder(own, bridge=store.bridge)
    with pytest.raises(InvalidInputError, match="comes from elsewhere"):
        Embedder(own).fit(TEXTS)


def test_a_saved_encoder_keeps_its_own_bridge(tmp_path: Path, tiny_backbone: Path) -> None:
    encoder = LexSemBridgeEncoder(tiny_backbone, fusion="product", units="wordpieces", device="cpu")
    bridge = LearnedBridge(encoder.modulation.vocabulary_size, encoder.dimension)
    bridge.weight.data.normal_()
    encoder.bridge = bridge
    encoder.save(tmp_path / "saved")
    embedder = Embedder(str(tmp_path / "saved"))
    embedder.embed_documents(["the valve", "the pump"])
    np.testing.assert_allclose(embedder.embed_query("valve"), encoder.encode_query("valve"), atol=1e-6)
    assert not np.allclose(embedder.embed_query("valve"), encoder.embed_query("valve"), atol=1e-3)
    with pytest.raises(InvalidInputError, match="saved with its encoder"):
        embedder.save(tmp_path / "bridge")


def test_pickled_without_weights_but_with_what_it_has_seen(
    tmp_path: Path, store: PassageStore, encoder: LexSemBridgeEncoder
) -> None:
    Embedder(collection=store).save(tmp_path / "manual")
    itself = Embedder()
    itself.fit(TEXTS)
    sources = [
        Embedder(collection=store),
        Embedder(collection=store.collection),
        Embedder(collection=(store.path, "manual")),  # type: ignore[arg-type]
        Embedder(bridge=tmp_path / "manual"),
        itself,
    ]
    for embedder in sources:
        expected = embedder.embed_query(QUERY)
        data = pickle.dumps(embedder)
        assert len(data) < (4_000_000 if embedder is itself else 2_000)  # its sums and two matrices d x d
        again = pickle.loads(data)  # noqa: S301 - our own
        assert_same(again.embed_query(QUERY), expected)
        assert len(again.embed_documents(["one more"])) == 1
    in_memory = PassageStore(None, "embedder-in-memory", encoder)
    for source in (in_memory, in_memory.collection):
        with pytest.raises(TypeError, match="in memory"):
            pickle.dumps(Embedder(collection=source))
    client = chromadb.PersistentClient(store.path)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="no collection 'none'"):
        pickle.dumps(Embedder(collection=(client, "none")))


def test_a_relative_folder_is_pickled_as_it_is_meant(
    tmp_path: Path, encoder: LexSemBridgeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    store = PassageStore("./relative", "manual", encoder)
    store.add(MANUAL)
    data = pickle.dumps(Embedder(encoder, collection=("./relative", "manual")))
    expected = encoder.encode_query(QUERY, bridge=store.bridge)
    opened_early = Embedder(encoder, collection=("./relative", "manual"))
    assert opened_early.store is not None
    assert opened_early.store.collection._client is store.collection._client  # by the spelling that is open already
    later = Embedder(encoder, collection=("./relative", "manual"))
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert_same(later.embed_query(QUERY), expected)
    assert_same(pickle.loads(data).embed_query(QUERY), expected)  # noqa: S301 - our own
    assert store.fitted.file.path.parent == tmp_path / "relative" / "lsb_rag"  # type: ignore[union-attr]


def test_threads_may_share_it(encoder: LexSemBridgeEncoder) -> None:
    embedder = Embedder(encoder)
    texts = [f"passage {number} about part P-{number}" for number in range(60)]

    def work(part: int) -> None:
        for start in range(0, 60, 10):
            embedder.embed_documents(texts[start : start + 10])
            embedder.embed_query(f"P-{part}")

    threads = [threading.Thread(target=work, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert embedder.bridge.statistics.n_passages == 60  # type: ignore[union-attr]
    assert embedder.bridge.statistics.df("p-7") == 1  # type: ignore[union-attr]


def test_a_saved_bridge_with_a_damaged_fingerprint_is_named(store: PassageStore, tmp_path: Path) -> None:
    path = tmp_path / "bridge.safetensors"
    save_bridge(store.bridge, "no fingerprint", path)
    with pytest.raises(CorruptFileError, match=r"bridge\.safetensors holds statistics, but not those"):
        Embedder(bridge=path).embed_query(QUERY)


def test_bad_input(store: PassageStore) -> None:
    embedder = Embedder(collection=store)
    assert embedder.embed_documents([]).shape == (0, 384)
    with pytest.raises(InvalidInputError, match="blank"):
        embedder.embed_query(" ")
    with pytest.raises(InvalidTypeError, match="not int"):
        embedder.embed_query(3)  # type: ignore[arg-type]
    with pytest.raises(InvalidTypeError, match="in brackets"):
        embedder.embed_documents("text")
    with pytest.raises(InvalidTypeError, match="in brackets"):
        embedder.embed_queries("text")
    with pytest.raises(InvalidInputError, match="not both"):
        Embedder(collection=store, bridge=store.bridge)
    for wrong in ({"collection": 3}, {"collection": "manual"}, {"bridge": 3}):
        with pytest.raises(InvalidTypeError, match=r"takes a|bridge must be"):
            Embedder(**wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="strength"):
        embedder.embed_query(QUERY, strength=-1)


def test_a_bridge_that_has_become_stale_says_so(
    encoder: LexSemBridgeEncoder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fitted = Embedder(encoder)
    fitted.fit(TEXTS)
    fitted.save(tmp_path / "bridge")
    for embedder in (Embedder(encoder, bridge=tmp_path / "bridge"), Embedder(encoder, bridge=fitted.bridge)):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "lsb_rag"):
            embedder.embed_documents(TEXTS)
            embedder.embed_query("what does E-4107 mean")  # nothing is known to hold it
            embedder.embed_documents(["E-4107: the belt slips."])
            embedder.embed_query("why is the inlet blocked")
            assert not caplog.records
            for _ in range(2):
                embedder.embed_query("what does E-4107 mean")
        [record] = caplog.records
        assert "before passages with 'e-4107' were embedded" in record.getMessage()
