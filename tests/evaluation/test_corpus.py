from __future__ import annotations

from pathlib import Path

import pytest

from lsb_rag import LexSemBridgeEncoder, Passage, PassageStore
from lsb_rag.evaluation.corpus import Corpus


@pytest.fixture
def copied(tmp_path: Path, encoder: LexSemBridgeEncoder) -> PassageStore:
    store = PassageStore(tmp_path / "db", "copied", encoder)
    store.add(
        [
            Passage("Press reset.", id="c", title="E-1"),
            Passage("Press  reset.", id="b", title="E-1"),
            Passage("Press reset.", id="a", title="E-1"),
            Passage("Press reset.", id="other", title="E-2"),
            Passage("Call us.", id="call"),
        ]
    )
    return store


def test_copies_count_as_one_passage(copied: PassageStore) -> None:
    corpus = Corpus(copied)
    assert list(corpus.passages) == ["call", "a", "other"]  # in the order of their texts
    assert corpus.copies == 2
    assert [corpus.counted(id) for id in ("a", "b", "c", "other", "gone")] == ["a", "a", "a", "other", "gone"]
    hits = [copied.hit(id) for id in ("b", "other", "c", "a")]
    assert [hit.id for hit in corpus.distinct(hits)] == ["a", "other"]
    # Whichever copy is found, the generator reads the same.
    assert {corpus.distinct([copied.hit(id)])[0].text for id in ("a", "b", "c")} == {"E-1\nPress  reset."}


def test_the_judged_copy_gives_its_id(copied: PassageStore) -> None:
    corpus = Corpus(copied, {"c"})
    assert corpus.counted("a") == "c"
    assert corpus.judgements({"q": {"c": 1, "a": 2, "gone": 1}}) == {"q": {"c": 2, "gone": 1}}


def test_passages_are_found_by_text_or_id(copied: PassageStore) -> None:
    corpus = Corpus(copied)

    def found(id: str, text: str) -> str | None:
        hit = corpus.find(id, text)
        return hit.id if hit else None

    assert found("b", "") == "a"
    assert found("", "Call us.") == found("call", "") == "call"
    assert found("", "E-2\nPress reset.") == "other"
    assert found("other", "Press reset.") == "other"  # the text without its title is that of two
    assert found("call", "E-2 Press\treset.") == "other"  # another collection's ids mean nothing here
    assert found("call", "a text of elsewhere") == "call"
    assert found("", "a text of elsewhere") is found("gone", "") is None
