"""Serve Qwen2.5-Coder-0.5B-Instruct as an OpenAI-compatible endpoint, to measure answers of a language model.

    python -m benchmarks.language_model MODELS --port 8200
    lsb-rag demo --generator openai:qwen@http://127.0.0.1:8200/v1

MODELS is the folder that ``python -m benchmarks.models MODELS qwen`` fills; the model is fetched if it is not there.
The engine is llama.cpp. It is no dependency of the project: ``pip install llama-cpp-python==0.3.36`` builds it with a
C++ compiler, in this environment or in one of its own, as this script needs nothing else.

It answers ``GET /v1/models`` and ``POST /v1/chat/completions`` on loopback, one request at a time, without streaming. A
prompt that begins like the one before it is read from where the two part.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.models import qwen

NAME = "qwen"
CONTEXT = 4096
"""Tokens of a prompt and its answer together."""
LONGEST = 256
"""Tokens of an answer, unless the request says otherwise."""


class Model:
    """The language model, which answers one request at a time.

    :param file: Its GGUF file.
    :param threads: Number of threads.
    """

    def __init__(self, file: Path, threads: int) -> None:
        self._engine = import_module("llama_cpp").Llama(
            str(file), n_ctx=CONTEXT, n_threads=threads, n_threads_batch=threads, seed=0, verbose=False
        )
        self._lock = threading.Lock()

    def complete(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the chat completion of a request; without a temperature, the likeliest tokens.

        :raises ValueError: When the prompt is longer than the context.
        """
        with self._lock:
            completion: dict[str, Any] = self._engine.create_chat_completion(
                messages=request["messages"],
                temperature=request.get("temperature") or 0.0,
                max_tokens=request.get("max_completion_tokens") or request.get("max_tokens") or LONGEST,
                repeat_penalty=1.0,
                response_format=request.get("response_format"),
            )
        return completion | {"model": NAME}


def handler(model: Model) -> type[BaseHTTPRequestHandler]:
    """Return the handler of both paths."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path.rstrip("/") == "/v1/models":
                self._send(200, {"object": "list", "data": [{"id": NAME, "object": "model", "owned_by": "local"}]})
            else:
                self._refuse(404, f"no such path: {self.path}")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.path.rstrip("/") != "/v1/chat/completions":
                self._refuse(404, f"no such path: {self.path}")
                return
            started = time.perf_counter()
            try:
                completion = model.complete(json.loads(body))
            except (KeyError, TypeError, ValueError) as error:
                self._refuse(400, str(error))
                return
            used, seconds = completion["usage"], time.perf_counter() - started
            print(f"{used['prompt_tokens']} + {used['completion_tokens']} tokens, {seconds:.1f} s", file=sys.stderr)
            self._send(200, completion)

        def _refuse(self, status: int, message: str) -> None:
            self._send(status, {"error": {"message": message, "type": "invalid_request_error"}})

        def _send(self, status: int, content: dict[str, Any]) -> None:
            answer = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Say nothing else of each request."""

    return Handler


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.language_model",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("models", type=Path, metavar="MODELS", help="Folder of the models.")
    parser.add_argument("--port", type=int, default=8200)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    model = Model(qwen(given.models), given.threads)
    print(f"openai:{NAME}@http://127.0.0.1:{given.port}/v1", flush=True)
    ThreadingHTTPServer(("127.0.0.1", given.port), handler(model)).serve_forever()


if __name__ == "__main__":
    main()
