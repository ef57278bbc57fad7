"""A real Chroma server on loopback."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import chromadb
from chromadb.api import ClientAPI

START_SECONDS = 60


@contextmanager
def chroma_server(
    folder: Path, headers: dict[str, str] | None = None
) -> Iterator[tuple[ClientAPI, subprocess.Popen[bytes]]]:
    """``chroma run`` over `folder`: a client of it, and its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(sys.executable).with_name("chroma")
    command = [program, "run", "--path", folder, "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:  # noqa: S603
        try:
            yield _connected(port, headers or {}, process), process
        finally:
            process.kill()


def _connected(port: int, headers: dict[str, str], process: subprocess.Popen[bytes]) -> ClientAPI:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            return chromadb.HttpClient("127.0.0.1", port, headers=headers)
        except ValueError:  # not listening yet
            assert process.poll() is None, "the server ended"
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.1)
