"""Read files that break readers: each in a process of its own, with its time and its peak of memory.

    python -m benchmarks.reading.hostile_files

The files are made here, in a temporary folder. Each of them must be read, or left out with one sentence; of those with
a marker in them the marker must be in a passage. The last lines are about one folder with all of them.
"""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import resource
import tempfile
import time
import zipfile
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from lsb_rag.errors import LsbRagError
from lsb_rag.reading import read_passages

MARKER = "flag --seal-valve"
SEEN = f"The {MARKER} closes it."
LARGE = 100_000_000
"""Bytes of the large files."""
console = Console(width=120)


def zipped(entries: dict[str, bytes]) -> bytes:
    """Return a zip file."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return made.getvalue()


def repeated(text: str) -> bytes:
    """Return a text repeated up to :data:`LARGE` bytes."""
    return (text * (LARGE // len(text))).encode()


def pdf(trailer: str = "") -> bytes:
    """Return a PDF of one page without text."""
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 99 99] >>",
    ]
    body, places = "%PDF-1.4\n", []
    for number, one in enumerate(objects, start=1):
        places.append(len(body))
        body += f"{number} 0 obj\n{one}\nendobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    start = len(body)
    return (
        f"{body}xref\n0 4\n0000000000 65535 f \n{table}trailer\n<< /Size 4 /Root 1 0 R {trailer} >>\n"
        f"startxref\n{start}\n%%EOF\n"
    ).encode()


ENCRYPTED = f"/Encrypt << /Filter /Standard /V 1 /R 2 /O <{'41' * 32}> /U <{'42' * 32}> /P -4 >> /ID [<00> <00>]"
DOCUMENT = "<w:document xmlns:w='http://schemas.openxmlformats.org/wordprocessingml/2006/main'><w:body>{}</w:body>"
FILES: dict[str, bytes] = {
    "unclosed-p.html": b"<p>x" * 50_000 + SEEN.encode(),
    "unclosed-dt.html": b"<dl>" + b"<dt>x<dd>y" * 50_000 + SEEN.encode(),
    "nested-div.html": b"<div>" * 100_000 + SEEN.encode(),
    "nested-table.html": b"<table><tr><td>" * 5_000 + SEEN.encode(),
    "nested-list.html": b"<ul><li>" * 20_000 + SEEN.encode(),
    "declaration.html": b"<![foo>" + SEEN.encode(),
    "open-tag.html": SEEN.encode() + b"<a " * 100_000,
    "attributes.html": b"<p " + b"a='b' " * 100_000 + b">" + SEEN.encode(),
    "comment.html": SEEN.encode() + b"<!-- " * 100_000,
    "declared.html": f"<meta charset=windows-1251><p>{SEEN} Клапан".encode("windows-1251"),
    "wrong-declaration.html": f"<meta charset=utf-16><p>{SEEN}".encode(),
    "headings.md": ("# a" + " " * 200_000 + "b\n\n" + SEEN).encode(),
    "quotes.md": b"> " * 50_000 + SEEN.encode(),
    "brackets.md": b"[" * 100_000 + b"\n\n" + SEEN.encode(),
    "emphasis.md": b"**a " * 50_000 + b"\n\n" + SEEN.encode(),
    "utf-16.txt": SEEN.encode("utf-16"),
    "utf-16-without-bom.txt": SEEN.encode("utf-16-le"),
    "utf-32-without-bom.txt": SEEN.encode("utf-32-be"),
    "latin-1.txt": f"{SEEN} Prüfgerät für Öl".encode("latin-1"),
    "nulls.txt": b"\0" * 100_000,
    "binary.txt": bytes(range(256)) * 400,
    "one-line.txt": repeated("word "),
    "one-word.txt": repeated("x"),
    "large.html": repeated("<p>A valve and a pump.</p>"),
    "large.md": repeated("- an item of a list\n"),
    "large.csv": repeated("E-1,a pump,a valve\n"),
    "large.json": b'["' + repeated("word ") + b'"]',
    "nested.json": b"[" * 1_000_000,
    "wide.csv": b"code,meaning\n" + b"," * 1_000_000,
    "nested.jsonl": b'{"text": "x", "metadata": ' + b"[" * 100_000,
    "nested.ipynb": b'{"cells": ' + b"[" * 100_000,
    "without-text.pdf": pdf(),
    "encrypted.pdf": pdf(ENCRYPTED),
    "cut-off.pdf": pdf()[:150],
    "bomb.docx": zipped({"[Content_Types].xml": b"<Types/>", "word/document.xml": b" " * 2_000_000_000}),
    "nested.docx": zipped({"word/document.xml": DOCUMENT.format("<w:sdt><w:sdtContent>" * 50_000).encode()}),
    "entities.xlsx": zipped(
        {
            "xl/workbook.xml": b"<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'>"
            + b"".join(b"<!ENTITY %s '%s'>" % (b"b" * n, b"&a;" * 10) for n in range(1, 9))
            + b"]><x>&bbbbbbbb;</x>"
        }
    ),
    "no-zip.pptx": b"PK\x03\x04" + b"x" * 1000,
    "empty.epub": zipped({"mimetype": b"application/epub+zip"}),
    "include.rst": f".. include:: /etc/passwd\n\n.. raw:: html\n   :file: /etc/passwd\n\n{SEEN}\n".encode(),
    "nested.rst": b"".join(b" " * n + b"* a\n\n" for n in range(0, 2000, 2)),
    "nested.py": b"(" * 100_000,
    "empty.txt": b"",
}


def special(folder: Path) -> None:
    """Make what is no regular file, or no readable one."""
    os.mkfifo(folder / "pipe.txt")
    (folder / "device.txt").symlink_to("/dev/zero")
    (folder / "circle").symlink_to(folder)
    (folder / "nowhere.txt").symlink_to(folder / "none.txt")
    (folder / "closed.txt").write_text(SEEN)
    (folder / "closed.txt").chmod(0)


def read(path: Path, answer: multiprocessing.connection.Connection) -> None:
    """Read a file in this process, and send what came of it, the seconds and the megabytes it took."""
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    try:
        passages = read_passages(path)
        marked = any(MARKER in passage.text for passage in passages)
        said = f"{len(passages):,} passages" + (", with the marker" if marked else "")
    except LsbRagError as error:
        said = f"left out: {str(error).rpartition(': ')[2][:70]}"
    seconds = time.perf_counter() - began
    answer.send((said, seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024))


def in_a_process(path: Path) -> tuple[str, float, float]:
    """Return what reading a file came to; a process that ends is said."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=read, args=(path, theirs))
    process.start()
    theirs.close()
    try:
        found: tuple[str, float, float] = ours.recv()
    except EOFError:
        process.join()
        found = (f"ENDED, exit code {process.exitcode}", 0.0, 0.0)
    process.join()
    return found


def main() -> None:
    """Read them one by one, then all in one folder."""
    table = Table("file", "MB", "what came of it", "s", "MB of memory")
    failed: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, content in FILES.items():
            (folder / file).write_bytes(content)
            said, seconds, megabytes = in_a_process(folder / file)
            expects = SEEN.encode() in content or file.startswith(("utf", "latin", "declared"))
            if said.startswith("ENDED") or (expects and "marker" not in said):
                failed.append(file)
            table.add_row(file, f"{len(content) / 1e6:.1f}", said, f"{seconds:.1f}", f"{megabytes:.0f}")
            if len(content) >= LARGE / 2:
                (folder / file).unlink()
        special(folder)
        said, seconds, megabytes = in_a_process(folder)
        table.add_row(
            "all but the large ones, and five that are no files", "", said, f"{seconds:.1f}", f"{megabytes:.0f}"
        )
    console.print(table)
    console.print(json.dumps({"files": len(FILES), "failed": failed}))


if __name__ == "__main__":
    typer.run(main)
