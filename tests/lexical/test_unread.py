from __future__ import annotations

import logging
import pickle
from pathlib import Path

import pytest

from lsb_rag import Embedder, LexSemBridgeEncoder, PassageStore, Retriever
from lsb_rag.lexical.unread import MOST_EMPHASIS, UnreadPassages, UnreadShare

THAI = ["วาล์วอุดตันต้องทำความสะอาด", "ปั๊มร้อนเกินไปต้องหยุด"]
MARKS = [
    "The mark ✅ means that the check has passed.",
    "The mark ❌ means that the check has failed.",
    "The mark 🔴 means that the machine stands still.",
    "The mark 🟢 means that the machine runs.",
]


def test_the_share_of_a_text_that_is_unknown_to_the_tokenizer(encoder: LexSemBridgeEncoder) -> None:
    share = encoder.modulation.unread
    texts = ["a pump", "\u2705", "!=", "two words \u2705 \u274c", ""]
    assert share(texts).tolist() == [0, 1, 1, 0.5, 1]
    assert share.emphasis(texts).tolist() == pytest.approx([1, MOST_EMPHASIS, MOST_EMPHASIS, 2, MOST_EMPHASIS])
    assert UnreadShare()(["\u2705"]).tolist() == [0]


def test_what_was_typed_decides_where_the_backbone_reads_nothing(encoder: LexSemBridgeEncoder) -> None:
    store = PassageStore.in_memory(encoder)
    store.add([*THAI, *MARKS])
    for query, passage in zip("✅❌🔴🟢", MARKS, strict=True):
        assert Retriever(store, vanilla=True).search(query, 1)[0].text in THAI  # all unknown tokens are one
        for rerank in (None, 0):
            assert Retriever(store, rerank=rerank).search(query, 1)[0].text == passage
    explained = Retriever(store).explain("\u2705")
    assert sum(effect.degrees for effect in explained.effects) == pytest.approx(explained.degrees)
    vector = encoder.encode_query("\u2705", bridge=store.bridge)
    assert explained.cosine_to_vanilla == pytest.approx(float(vector @ encoder.embed_query("\u2705")), abs=1e-5)


def test_indexing_says_what_the_backbone_cannot_read(
    encoder: LexSemBridgeEncoder, caplog: pytest.LogCaptureFixture
) -> None:
    store = PassageStore.in_memory(encoder)
    store.add(MARKS)
    assert not caplog.records
    store.add([*THAI, *MARKS])
    store.add([*THAI, *MARKS])  # which are there
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "cannot read most of 2 of 2 passages (100 %), such as 'วาล์ว" in record.getMessage()


def test_embeddings_say_so_once(encoder: LexSemBridgeEncoder, caplog: pytest.LogCaptureFixture) -> None:
    embedder = Embedder(encoder)
    embedder.embed_documents([*MARKS, THAI[0]])
    embedder.embed_documents(THAI)
    assert [record.getMessage().split(" passages")[0] for record in caplog.records] == [
        "The backbone cannot read most of 1 of 5"
    ]


def test_an_embedder_that_has_said_so_can_be_copied(tiny_backbone: Path) -> None:
    embedder = Embedder(str(tiny_backbone))
    embedder.embed_documents(["\u2705 \u274c", "a pump"])
    copy = pickle.loads(pickle.dumps(embedder))  # noqa: S301
    assert copy.embed_documents(["a pump"]).shape == (1, 32)


def test_counting_passages() -> None:
    class Half(UnreadShare):
        def __call__(self, texts):  # type: ignore[no-untyped-def]
            return [0.5, 0.6, 0.9][: len(texts)]

    unread = UnreadPassages(Half())
    unread.look(["a", "b", "c"])
    unread.look(["a"])
    assert (unread.passages, unread.unread, unread.example) == (4, 2, "b")
