from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from lsb_rag import LexSemBridgeEncoder, PassageStore
from lsb_rag.errors import ReadError
from lsb_rag.reading import is_stored, outdated_passages, read_passages


def test_long_documents_are_split_into_what_the_backbone_reads_whole(
    tmp_path: Path, encoder: LexSemBridgeEncoder
) -> None:
    text = "\n\n".join(f"Paragraph {n} speaks of part P-{n} and its subprocess." for n in range(200))
    (tmp_path / "long.md").write_text(f"# Long\n\n{text}")
    passages = read_passages(tmp_path, encoder.tokenizer, encoder.model.max_seq_length)
    assert len(passages) > 5
    tokenizer = encoder.tokenizer
    assert tokenizer is not None
    tokenizer = type(tokenizer).from_str(tokenizer.to_str())
    tokenizer.no_truncation()
    assert all(len(tokenizer.encode(p.content).ids) <= encoder.model.max_seq_length for p in passages)
    joined = " ".join(" ".join(p.text.split()) for p in passages)
    assert all(f"part P-{n} and" in joined for n in range(200))


def test_a_text_of_several_files_is_one_passage_with_all_its_sources(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt", "c.txt"):
        (tmp_path / name).write_text("The same licence." if name < "c" else "Another one.")
    first, again = read_passages(tmp_path), read_passages(tmp_path)
    assert first == again
    assert [(p.metadata["source"], p.sources) for p in first] == [("a.txt", ["a.txt", "b.txt"]), ("c.txt", ["c.txt"])]
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.txt").write_text("The same licence.")
    assert read_passages(tmp_path / "other")[0].id != first[0].id


def test_hidden_folders_code_comments_and_endless_words(tmp_path: Path, encoder: LexSemBridgeEncoder) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "notes.txt").write_text("hidden")
    (tmp_path / "a.md").write_text("```sh\n# install things\n```\n\nText.\n\n# Real title " + "x" * 300 + "\n")
    (tmp_path / "b.txt").write_text("".join(map(str, range(5_000))))
    (tmp_path / "c.txt").write_bytes("Grüße".encode("utf-16"))
    passages = read_passages(tmp_path, encoder.tokenizer, 256)
    assert {p.metadata["source"] for p in passages} == {"a.md", "b.txt", "c.txt"}
    assert next(p.title for p in passages if p.metadata["source"] == "a.md").startswith("Real title x")
    assert max(len(p.title) for p in passages) <= 100
    endless = [p for p in passages if p.metadata["source"] == "b.txt"]
    assert len(endless) > 1
    assert len({p.id for p in endless}) == len(endless)
    assert "".join("".join(p.text.split()) for p in endless) == "".join(map(str, range(5_000)))
    assert next(p.text for p in passages if p.metadata["source"] == "c.txt") == "Grüße"


def test_file_names_that_are_not_utf8(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(str(tmp_path)) + b"/caf\xe9.txt")).write_text("Text.")
    assert read_passages(tmp_path)[0].text == "Text."


def test_text_in_another_encoding_is_read_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "latin.txt").write_bytes("Größe ok".encode("latin-1"))
    with caplog.at_level(logging.WARNING):
        assert read_passages(tmp_path)[0].text.endswith("ok")
    assert "not UTF-8" in caplog.text


def test_what_is_left_out_is_said_with_its_reason(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "good.txt").write_text("Text.")
    (tmp_path / "binary.txt").write_bytes(b"\x00\x01\x02" * 100)
    (tmp_path / "picture.png").write_bytes(b"x")
    (tmp_path / "LICENSE").write_text("x")
    with caplog.at_level(logging.WARNING):
        assert [p.text for p in read_passages(tmp_path)] == ["Text."]
    assert "3 files left out: 1 without suffix, 1 .png, 1 that cannot be read." in caplog.text
    assert "binary.txt: " in caplog.text
    os.mkfifo(tmp_path / "pipe.txt")
    for name, reason in {"binary.txt": "The file is binary", "pipe.txt": "It is a named pipe"}.items():
        with pytest.raises(ReadError, match=rf"{name}: {reason}"):
            read_passages(tmp_path / name)


def test_progress_names_the_file(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(f"Text of {name}.")
    seen: list[tuple[str, int, int, int]] = []
    read_passages(tmp_path, progress=lambda file, *counts: seen.append((file.name, *counts)))
    assert seen == [("a.txt", 0, 0, 2), ("b.txt", 1, 1, 2), ("b.txt", 2, 2, 2)]


def test_a_folder_that_did_not_change_is_known_as_stored(
    tmp_path: Path, encoder: LexSemBridgeEncoder, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    for name, text in {"a.txt": "The pump.", "b.md": "# B\n\nThe pump.", "c.txt": "The motor.", "d.txt": ""}.items():
        (folder / name).write_text(text)
    store = PassageStore(tmp_path / "db", "docs", encoder)

    def add() -> None:
        passages = read_passages(folder, encoder.tokenizer, encoder.max_length)
        store.add(passages)
        store.delete(outdated_passages(store, passages, folder))

    def stored(length: int = encoder.max_length) -> bool:
        return is_stored(store, folder, encoder.tokenizer, length)

    assert not stored()
    add()
    assert stored()
    assert not stored(length=100)  # would be cut in another way
    (folder / "c.txt").touch()
    assert stored()
    (folder / "d.txt").write_text("The brake.")
    assert not stored()
    add()
    assert stored()
    (folder / "a.txt").write_text("The inlet.")
    assert not stored()
    add()
    assert stored()
    assert {passage.text: passage.sources for passage in store.get()}["The pump."] == ["b.md"]
    (folder / "e.txt").write_text("The motor.")
    assert not stored()
    add()
    assert stored()
    (folder / "d.txt").write_text("")
    assert not stored()
    add()
    assert stored()
    assert "The brake." not in {passage.text for passage in store.get()}
    (folder / "f.txt").write_bytes(b"\x00" * 100)
    caplog.clear()
    assert stored()
    assert "1 file left out" in caplog.text  # said, though nothing else is read
    assert not is_stored(
        store, folder / "f.txt", encoder.tokenizer, encoder.max_length
    )  # to be refused with the reason
    (folder / "a.txt").write_bytes(b"\x00" * 100)  # cannot be read: what it held stays
    add()
    assert "The inlet." in {passage.text for passage in store.get()}
    store.delete(where={"source": "b.md"})
    assert not stored()  # an interrupted call


def test_hits_name_their_file_and_headings(tmp_path: Path, encoder: LexSemBridgeEncoder) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "pump.html").write_text("<title>Pump</title><h2>Codes</h2><p>E-1 means that it is worn.")
    store = PassageStore(tmp_path / "db", "docs", encoder)
    store.add(read_passages(tmp_path / "docs", encoder.tokenizer, encoder.max_length))
    (hit,) = store.query(encoder.embed_query("E-1"), 1)
    assert hit.title == "Pump \u203a Codes"
    assert hit.citation == "pump.html \u203a Codes"
    assert hit.metadata == {"source": "pump.html", "heading": "Codes", "title": "Pump \u203a Codes"}
