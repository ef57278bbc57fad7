from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from lsb_rag import LexSemBridgeEncoder
from lsb_rag.reading import read_passages


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


def test_ids_are_stable_and_differ_between_files_of_equal_text(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("The same licence.")
    first, again = read_passages(tmp_path), read_passages(tmp_path)
    assert [p.id for p in first] == [p.id for p in again]
    assert len({p.id for p in first}) == 2


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
    assert "".join(p.text for p in endless) == "".join(map(str, range(5_000)))
    assert next(p.text for p in passages if p.metadata["source"] == "c.txt") == "Grüße"


def test_file_names_that_are_not_utf8(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(str(tmp_path)) + b"/caf\xe9.txt")).write_text("Text.")
    assert read_passages(tmp_path)[0].text == "Text."


def test_text_in_another_encoding_is_read_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "latin.txt").write_bytes("Größe ok".encode("latin-1"))
    with caplog.at_level(logging.WARNING):
        assert read_passages(tmp_path)[0].text.endswith("ok")
    assert "not UTF-8" in caplog.text
