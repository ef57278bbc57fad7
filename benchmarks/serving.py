"""Serve a model of :mod:`benchmarks.models` as an OpenAI-compatible endpoint, to measure the library over a provider.

    python -m benchmarks.serving MODELS e5 --kept KEPT --port 8100
    lsb-rag evaluate FOLDER --backbone "openai:e5@http://127.0.0.1:8100/v1?input_type=query,passage"

MODELS is the folder that ``python -m benchmarks.models MODELS`` fills. Each text is embedded once: its vector is kept
in KEPT, so that a run that was cut off goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.models import e5, mpnet

MODELS = ("e5", "mpnet")
SAVED_EVERY = 200
"""Texts embedded between two writes of what is kept."""


class Model:
    """A model with what it has embedded before. One text is embedded at a time.

    :param name: One of :data:`MODELS`.
    :param folder: Where the models are.
    :param file: Where vectors are kept, by digest of side and text.
    """

    def __init__(self, name: str, folder: Path, file: Path) -> None:
        self._name, self._folder, self._file = name, folder, file
        self._lock = threading.Lock()
        self._new = 0
        self._kept: dict[str, NDArray[np.float32]] = {}
        if file.is_file():
            with np.load(file) as saved:
                self._kept = dict(zip(saved["digests"].tolist(), saved["vectors"], strict=True))

    @cached_property
    def _sides(self) -> dict[str, Callable[[Sequence[str]], Any]]:
        if self._name == "e5":
            engine = e5(self._folder)
            return {"query": engine.query, "passage": engine.passage}
        from lsb_rag import LexSemBridgeEncoder

        encoder = LexSemBridgeEncoder(mpnet(self._folder), precision="float32")
        return {"query": encoder.embed_query, "passage": encoder.encode_document}

    def embed(self, texts: Sequence[str], side: str) -> list[list[float]]:
        """Return a vector for each text."""
        digests = [hashlib.sha256(f"{side}\n{text}".encode()).hexdigest() for text in texts]
        with self._lock:
            for digest, text in zip(digests, texts, strict=True):
                if digest not in self._kept:
                    self._kept[digest] = np.asarray(self._sides[side]([text])[0], np.float32)
                    self._new += 1
                    if self._new % SAVED_EVERY == 0:
                        self._save()
            if self._new:
                self._save()
                self._new = 0
            return [self._kept[digest].tolist() for digest in digests]

    def _save(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        partial = self._file.with_suffix(".partial.npz")
        np.savez(partial, digests=np.array(list(self._kept)), vectors=np.array(list(self._kept.values())))
        partial.replace(self._file)


def handler(model: Model) -> type[BaseHTTPRequestHandler]:
    """Return the handler of ``POST /v1/embeddings``; ``input_type`` says which side is asked for."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
            side = "query" if body.get("input_type") == "query" else "passage"
            vectors = model.embed(texts, side)
            data = [{"object": "embedding", "index": row, "embedding": vector} for row, vector in enumerate(vectors)]
            answer = json.dumps({"object": "list", "data": data, "model": body.get("model")}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Say nothing of each request."""

    return Handler


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument("models", type=Path, metavar="MODELS")
    parser.add_argument("name", choices=MODELS)
    parser.add_argument("--kept", type=Path, required=True)
    parser.add_argument("--port", type=int, default=8100)
    given = parser.parse_args()
    model = Model(given.name, given.models, given.kept / f"served-{given.name}.npz")
    print(f"http://127.0.0.1:{given.port}/v1", flush=True)
    ThreadingHTTPServer(("127.0.0.1", given.port), handler(model)).serve_forever()


if __name__ == "__main__":
    main()
