from __future__ import annotations

import logging
import sqlite3
import threading
from pathlib import Path

import numpy as np
import pytest

from lsb_rag import Hit
from lsb_rag.errors import BusyError, StoreError
from lsb_rag.sentences import table as table_module
from lsb_rag.sentences.table import MOST_SENTENCES, SentenceFile, SentenceTable, sentences_of

PUMP = Hit("pump", 0.9, "Pump\nThe pump stopped. The inlet is blocked.", "Pump")
LUNCH = Hit("lunch", 0.1, "Lunch is served from noon.")


class Embed:
    """Embeds a text as its length, and keeps what it was given."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, texts: list[str]) -> np.ndarray:
        self.texts += texts
        return np.array([[len(text), 1.0] for text in texts], np.float32)


def opened(path: Path | None, embed: Embed | None = None, backbone: str = "b") -> SentenceTable:
    return SentenceTable(SentenceFile(path, 2, {"backbone": backbone}), embed or Embed())


def test_sentences_and_titles_are_embedded_once(tmp_path: Path) -> None:
    embed = Embed()
    table = opened(tmp_path / "s.sqlite3", embed)
    first = table.of([PUMP, LUNCH])
    assert embed.texts == ["The pump stopped.", "The inlet is blocked.", "Pump", "Lunch is served from noon."]
    assert [len(one) for one in first] == [2, 1]
    again = opened(tmp_path / "s.sqlite3", embed).of([LUNCH, PUMP])  # as another process would
    assert len(embed.texts) == 4
    np.testing.assert_array_equal(again[1].packed, first[0].packed)
    assert table.ids() == {"pump", "lunch"}


def test_a_changed_passage_is_embedded_anew(tmp_path: Path) -> None:
    embed = Embed()
    table = opened(tmp_path / "s.sqlite3", embed)
    table.of([PUMP])
    changed = Hit("pump", 0.9, "Pump\nThe pump runs.", "Pump")
    assert len(table.of([changed])[0]) == 1
    assert embed.texts[-2:] == ["The pump runs.", "Pump"]
    retitled = Hit("pump", 0.9, "Pump 2\nThe pump runs.", "Pump 2")
    table.of([retitled])
    assert embed.texts[-1] == "Pump 2"
    assert len(table) == 1


def test_those_of_passages_that_are_gone_are_dropped() -> None:
    table = opened(None)
    assert table.add([PUMP, LUNCH]) == 2
    assert table.add([PUMP, LUNCH]) == 0
    table.forget(["pump", "unknown"])
    assert table.ids() == {"lunch"}


def test_vectors_of_another_backbone_are_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    opened(tmp_path / "s.sqlite3").add([PUMP])
    embed = Embed()
    with caplog.at_level(logging.WARNING):
        opened(tmp_path / "s.sqlite3", embed, backbone="other").of([PUMP])
    assert len(embed.texts) == 3
    assert "sentence vectors" in caplog.text


@pytest.mark.parametrize("damage", [b"", b"not a database at all" * 100])
def test_a_damaged_file_is_made_again(tmp_path: Path, damage: bytes) -> None:
    file = tmp_path / "s.sqlite3"
    opened(file).add([PUMP])
    for side in tmp_path.glob("s.sqlite3*"):
        side.unlink()
    file.write_bytes(damage)
    embed = Embed()
    assert len(opened(file, embed).of([PUMP])[0]) == 2
    assert len(embed.texts) == 3


def test_a_damaged_row_is_made_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "s.sqlite3"
    embed = Embed()
    table = opened(file, embed)
    table.add([PUMP])
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE sentences SET vectors = ?", (b"\x01\x02",))
    connection.close()
    with caplog.at_level(logging.WARNING):
        assert len(table.of([PUMP])[0]) == 2
    assert "made again" in caplog.text
    assert len(embed.texts) == 6


def test_what_cannot_be_kept_still_counts(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    table = opened(None)

    def full(*_: object) -> None:
        raise StoreError("The disk is full.")

    monkeypatch.setattr(table, "_keep", full)
    with caplog.at_level(logging.WARNING):
        assert len(table.of([PUMP])[0]) == 2
    assert "The disk is full." in caplog.text
    with pytest.raises(StoreError, match="full"):
        table.add([PUMP])


def test_a_search_does_not_wait_for_a_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_module, "KEEPER_SECONDS", 0.05)
    writer, reader = opened(tmp_path / "s.sqlite3"), opened(tmp_path / "s.sqlite3")
    with writer._file.writing():
        assert len(reader.of([PUMP])[0]) == 2
        monkeypatch.setattr("lsb_rag.statistics.sqlite_file.LOCK_SECONDS", 0.05)
        with pytest.raises(BusyError):
            reader.add([LUNCH])
    assert len(reader) == 0


def test_threads_share_a_table(tmp_path: Path) -> None:
    table = opened(tmp_path / "s.sqlite3")
    hits = [Hit(str(n), 0.0, f"Sentence {n}. Another one.") for n in range(40)]
    threads = [threading.Thread(target=table.of, args=(hits[n % 7 :],)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(table) == 40


def test_headings_are_left_out_and_long_passages_cut() -> None:
    hit = Hit("h", 0.0, "# Pumps\n\nThey stop.")
    assert [one.text for one in sentences_of(hit)] == ["They stop."]
    assert [one.text for one in sentences_of(Hit("h", 0.0, "# Pumps"))] == ["Pumps"]
    many = Hit("m", 0.0, " ".join(f"Sentence {n} is here." for n in range(100)))
    assert len(sentences_of(many)) == MOST_SENTENCES


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("E-4012\nThe pump stopped, as the inlet is blocked.", "E-4012"),
        ("Super Bowl 50\nSuper Bowl 50 was an American football game to determine the champion.", "Super Bowl 50"),
        ("The pump stopped\nbecause the inlet of the pump was blocked by something.", ""),
        ("The pump stopped.\nThe inlet of the pump was blocked by something.", ""),
        ("This line is as long as the\nOther one which follows it.", ""),
        ("- one\n- another item that is a good deal longer", ""),
        ("E-4012\n", ""),
        ("E-4012", ""),
    ],
)
def test_a_first_line_that_stands_like_a_title(text: str, title: str) -> None:
    found, body = table_module.titled(Hit("h", 0.0, text))
    assert found == title
    assert f"{found}\n{body}".lstrip("\n") == text
    if title:
        assert table_module.titled(Hit("h", 0.0, text, title)) == (found, body)
