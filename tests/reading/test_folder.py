from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from lsb_rag.errors import ReadError
from lsb_rag.reading import folder
from lsb_rag.reading.folder import UNKNOWN_FORMAT, Found, LeftOut, files_of, read_bytes, summary

SUFFIXES = (".txt", ".md")


def put(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def names(found: Found, root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in found.files]


def reasons(found: Found, root: Path) -> dict[str, str]:
    return {one.path.relative_to(root).as_posix(): one.reason for one in found.left_out}


def test_files_are_sorted_and_hidden_ones_skipped(tmp_path: Path) -> None:
    put(tmp_path, "b.md", "a.TXT", "sub/z.txt", "sub/deep/a.txt", ".hidden.txt", ".git/a.txt", "sub/.cache/a.txt")
    put(tmp_path, "c.png", "no-suffix")
    found = files_of(tmp_path, SUFFIXES)
    assert names(found, tmp_path) == ["a.TXT", "b.md", "sub/deep/a.txt", "sub/z.txt"]
    assert reasons(found, tmp_path) == {"c.png": UNKNOWN_FORMAT, "no-suffix": UNKNOWN_FORMAT}
    assert files_of(tmp_path, SUFFIXES) == found


def test_a_hidden_root_is_read(tmp_path: Path) -> None:
    put(tmp_path, ".notes/a.txt")
    assert names(files_of(tmp_path / ".notes", SUFFIXES), tmp_path) == [".notes/a.txt"]


def test_links_never_lead_to_a_file_twice(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    put(root, "z.txt", "sub/a.txt")
    put(outside, "o.txt", "more/p.txt")
    (root / "a-link.txt").symlink_to(root / "z.txt")
    (root / "b-link").symlink_to(root / "sub")
    (root / "circle").symlink_to(root)
    (root / "sub" / "up").symlink_to("..")
    (root / "above").symlink_to(tmp_path)
    (root / "out").symlink_to(outside)
    (root / "out2").symlink_to(outside / "more")
    (root / "p.txt").symlink_to(outside / "more" / "p.txt")
    (outside / "back").symlink_to(root)
    found = files_of(root, SUFFIXES)
    assert names(found, root) == ["out/more/p.txt", "out/o.txt", "sub/a.txt", "z.txt"]
    assert reasons(found, root) == {"above": "It is a link to a folder that holds this one."}
    linked = tmp_path / "to-root"
    linked.symlink_to(root)
    assert names(files_of(linked, SUFFIXES), linked) == names(found, root)


def test_links_to_nothing_and_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "gone.txt").symlink_to("nowhere")
    (tmp_path / "one.txt").symlink_to("two.txt")
    (tmp_path / "two.txt").symlink_to("one.txt")
    assert reasons(files_of(tmp_path, SUFFIXES), tmp_path) == {
        "gone.txt": "It is a link that leads nowhere.",
        "one.txt": "It is a link that leads in a circle.",
        "two.txt": "It is a link that leads in a circle.",
    }


def test_hard_links_are_files_of_their_own(tmp_path: Path) -> None:
    put(tmp_path, "a.txt")
    os.link(tmp_path / "a.txt", tmp_path / "b.txt")
    assert names(files_of(tmp_path, SUFFIXES), tmp_path) == ["a.txt", "b.txt"]


def test_pipes_sockets_and_devices_are_never_opened(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "zero.txt").symlink_to("/dev/zero")
    (tmp_path / "pipe-link.txt").symlink_to("pipe.txt")
    monkeypatch.chdir(tmp_path)  # the path of a socket is short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s.txt")
        monkeypatch.setattr(os, "open", lambda *_: pytest.fail("opened"))
        assert reasons(files_of(tmp_path, SUFFIXES), tmp_path) == {
            "pipe.txt": "It is a named pipe, not a regular file.",
            "s.txt": "It is a socket, not a regular file.",
            "zero.txt": "It is a device, not a regular file.",
        }
        for name in ("pipe.txt", "zero.txt", "s.txt"):
            with pytest.raises(ReadError, match="not a regular file"):
                read_bytes(tmp_path / name)
    with pytest.raises(ReadError, match="not a regular file"):
        read_bytes(tmp_path)


def test_a_pipe_that_takes_the_place_of_a_file_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "a.txt")
    os.mkfifo(tmp_path / "pipe")
    status = os.stat(tmp_path / "a.txt")
    monkeypatch.setattr(os, "stat", lambda *_, **__: status)
    with pytest.raises(ReadError, match="a named pipe"):
        read_bytes(tmp_path / "pipe")


def test_what_cannot_be_read_is_left_out_and_the_rest_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "a.txt", "closed/b.txt", "broken/c.txt", "denied.txt")
    scandir, access = os.scandir, os.access

    def failing(path: Any) -> Any:
        if Path(path).name == "closed":
            raise PermissionError(errno.EACCES, "Permission denied")
        if Path(path).name == "broken":
            raise OSError(errno.EIO, "Input/output error")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", failing)
    monkeypatch.setattr(os, "access", lambda path, mode: "denied" not in str(path) and access(path, mode))
    found = files_of(tmp_path, SUFFIXES)
    assert names(found, tmp_path) == ["a.txt"]
    assert reasons(found, tmp_path) == {
        "broken": "The medium cannot be read.",
        "closed": "Permission is denied.",
        "denied.txt": "Permission is denied.",
    }


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_permissions(tmp_path: Path) -> None:
    put(tmp_path, "a.txt", "closed/b.txt", "denied.txt")
    (tmp_path / "closed").chmod(0)
    (tmp_path / "denied.txt").chmod(0)
    found = files_of(tmp_path, SUFFIXES)
    (tmp_path / "closed").chmod(0o700)
    assert names(found, tmp_path) == ["a.txt"]
    assert set(reasons(found, tmp_path)) == {"closed", "denied.txt"}


def test_a_root_that_is_not_there_or_too_deep(tmp_path: Path) -> None:
    assert files_of(tmp_path / "none", SUFFIXES).left_out[0].reason == "It is no longer there."
    assert files_of(tmp_path / ("x" * 300), SUFFIXES).left_out[0].reason == "The path is too long."
    with pytest.raises(ReadError, match="The path is too long"):
        read_bytes(tmp_path / ("x" * 300))
    with pytest.raises(ReadError, match="not one of a file"):
        read_bytes(tmp_path / "a\0b")


def test_a_folder_that_is_deeper_than_paths_may_be_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "a.txt")
    monkeypatch.chdir(tmp_path)
    for _ in range(20):
        os.mkdir("d" * 250)
        os.chdir("d" * 250)
    found = files_of(tmp_path, SUFFIXES)
    assert names(found, tmp_path) == ["a.txt"]
    assert [one.reason for one in found.left_out] == ["The path is too long."]


def test_large_files_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "MAX_FILE_BYTES", 1_000_000)
    (tmp_path / "fits.txt").write_bytes(b"a" * 1_000_000)
    (tmp_path / "large.txt").write_bytes(b"a" * 1_000_001)
    found = files_of(tmp_path, SUFFIXES)
    assert names(found, tmp_path) == ["fits.txt"]
    assert reasons(found, tmp_path) == {"large.txt": "It is larger than 1 MB."}
    assert len(read_bytes(tmp_path / "fits.txt")) == 1_000_000
    with pytest.raises(ReadError, match="larger than 1 MB"):
        read_bytes(tmp_path / "large.txt")


def test_a_file_that_grows_while_it_is_read_ends_where_it_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log.txt"
    path.write_bytes(b"a" * 3_000_000)
    read = os.read

    def growing(descriptor: int, size: int) -> bytes:
        with path.open("ab") as log:
            log.write(b"b" * 2_000_000)
        return read(descriptor, size)

    monkeypatch.setattr(os, "read", growing)
    assert read_bytes(path) == b"a" * 3_000_000


def test_a_file_that_shrinks_or_breaks_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"a" * 3_000_000)
    read = os.read

    def shrinking(descriptor: int, size: int) -> bytes:
        os.truncate(path, 1_500_000)
        return read(descriptor, size)

    def breaking(descriptor: int, size: int) -> bytes:
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(os, "read", shrinking)
    assert len(read_bytes(path)) == 1_500_000
    monkeypatch.setattr(os, "read", breaking)
    with pytest.raises(ReadError, match=r"^It cannot be read: Stale file handle\.$"):
        read_bytes(path)


def test_a_file_of_the_system_that_says_it_is_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"status: ok")
    fstat = os.fstat

    def empty(descriptor: int) -> os.stat_result:
        status = list(fstat(descriptor))
        status[stat.ST_SIZE] = 0
        return os.stat_result(status)

    monkeypatch.setattr(os, "fstat", empty)
    assert read_bytes(path) == b"status: ok"
    monkeypatch.setattr(folder, "MAX_FILE_BYTES", 1_000)
    path.write_bytes(b"a" * 1_000)
    assert len(read_bytes(path)) == 1_000
    monkeypatch.setattr(os, "read", lambda _, size: b"a" * size)  # an endless one
    with pytest.raises(ReadError, match="larger than"):
        read_bytes(path)


def test_summary() -> None:
    assert summary([]) == ""
    unknown = [*("a.png",) * 9, *("README",) * 3, "b.JPG"]
    left_out = [LeftOut(Path(name), UNKNOWN_FORMAT) for name in unknown]
    assert summary(left_out) == "13 files left out: 9 .png, 3 without suffix, 1 .jpg."
    assert summary(left_out[:1]) == "1 file left out: 1 .png."
    failed = [LeftOut(Path(f"f{n}.txt"), "Permission is denied.") for n in range(23)]
    lines = summary([*left_out, *failed]).split("\n")
    assert lines[0] == "36 files left out: 9 .png, 3 without suffix, 1 .jpg, 23 that cannot be read."
    assert lines[1] == "f0.txt: Permission is denied."
    assert (len(lines), lines[-1]) == (22, "... and 3 more.")


def test_a_summary_can_be_shown_whatever_files_are_called() -> None:
    odd = Path(os.fsdecode(b"caf\xe9\x1b[31m\n.t\x07"))
    many = [LeftOut(Path(f"a.x{n}"), UNKNOWN_FORMAT) for n in range(30)]
    text = summary([LeftOut(odd, UNKNOWN_FORMAT), LeftOut(odd, "No."), *many])
    text.encode()
    assert "\x1b" not in text
    assert len(text.split("\n")) == 2
    assert "of 11 other kinds" in text
