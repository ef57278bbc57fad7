from __future__ import annotations

import os
from pathlib import Path

import pytest

from lsb_rag.utils.files import open_text, replacing, write_text


def test_a_file_takes_its_place_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert temporary.parent == tmp_path
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_after_an_error_the_old_file_is_there_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as temporary:  # noqa: PT012 - both within the context
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_text_is_written_as_utf_8_whatever_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_text(path, "\u00fc \ud800")
    assert path.read_bytes() == b"\xc3\xbc ?"


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        write_text(tmp_path / "none" / "file", "text")


def test_what_may_never_end_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "endless").symlink_to("/dev/zero")
    for name in ("pipe", "endless", ".", "missing"):
        with pytest.raises(OSError, match=r"no regular file|No such file"):
            open_text(tmp_path / name)
    (tmp_path / "text").write_text("\ufeffone\ntwo", encoding="utf-8")
    with open_text(tmp_path / "text") as lines:
        assert [*lines] == ["one\n", "two"]
