"""A backbone as an ONNX graph with its tokenizer: texts to vectors, without PyTorch."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from ..errors import CorruptFileError
from ..utils.digests import file_sha256
from .base import Fingerprint, Matrix

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FORMAT = 1
"""Format of the files of a graph."""
MODEL, TOKENIZER, DESCRIPTION = "model.onnx", "tokenizer.json", "graph.json"
OUTPUT = "sentence_embedding"
MOST_THREADS = 4
"""Threads that compute one text; more do not make a short text faster."""

Tokens = Mapping[str, NDArray[np.int64]]
"""The inputs of a graph for one text, or for texts of one width: ``input_ids`` and others, shape ``[n, tokens]``."""


@dataclass(frozen=True)
class Description:
    """What is said of a graph beside it, in ``graph.json``.

    :param fingerprint: Identity of the backbone, as JSON.
    :param spread: See :func:`~lsb_rag.backbones.spread.spread_of`.
    :param inputs: Names of the graph's inputs.
    :param query_prompt: What is put before a query.
    :param passage_prompt: What is put before a passage.
    :param unknown: The tokenizer's unknown token, if it has one.
    :param cosine: Lowest cosine of its vectors to PyTorch's when it was made.
    :param made_with: Versions of the libraries that made it.
    :param hashes: SHA-256 of the other files.
    """

    fingerprint: str
    spread: float
    inputs: list[str]
    query_prompt: str
    passage_prompt: str
    unknown: str | None
    cosine: float
    made_with: dict[str, str]
    hashes: dict[str, str]

    def write(self, folder: Path) -> None:
        """Write it to the folder of its graph.

        :raises OSError: When it cannot be written.
        """
        content = json.dumps(asdict(self), indent=1)
        whole = {"sha256": hashlib.sha256(content.encode()).hexdigest(), "content": content}
        (folder / DESCRIPTION).write_text(json.dumps(whole), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Description:
        """Read what :meth:`write` wrote.

        :raises CorruptFileError: When it is missing or damaged.
        """
        file = folder / DESCRIPTION
        try:
            whole = json.loads(file.read_text(encoding="utf-8"))
            if hashlib.sha256(whole["content"].encode()).hexdigest() != whole["sha256"]:
                raise ValueError("it is not what was written there")
            return cls(**json.loads(whole["content"]))
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise CorruptFileError(f"{file} is damaged: {error!r}.") from error


class OnnxGraph:
    """A graph that is ready to compute. Threads may share it.

    Each text is computed by itself, without padding, so its vector depends on nothing but the text.

    :param folder: Where its files are.
    :raises CorruptFileError: When a file is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.description = Description.read(folder)
        self.fingerprint = Fingerprint.from_json(self.description.fingerprint)
        with ThreadPoolExecutor(1) as beside:  # hashing 90 MB takes as long as loading them
            whole = beside.submit(self._check)
            self._session = _session(folder / MODEL)
            self.tokenizer = _tokenizer(folder / TOKENIZER)
            whole.result()
        self.pad_id = int((self.tokenizer.padding or {}).get("pad_id", 0))
        self.tokenizer.no_padding()
        try:
            self(self.tokens(["."], "")[0])  # in one thread, before several are the first to hand over arrays
        except Exception as error:
            raise CorruptFileError(f"{folder / MODEL} cannot be computed: {str(error)[:200]}") from error

    def _check(self) -> None:
        for name, expected in self.description.hashes.items():
            try:
                found = file_sha256(self.folder / name)
            except OSError as error:
                raise CorruptFileError(f"{self.folder / name} cannot be read: {error}") from error
            if found != expected:
                raise CorruptFileError(f"{self.folder / name} is not the file that was written there.")

    def tokens(self, texts: Sequence[str], prompt: str) -> list[Tokens]:
        """Return the inputs for each text.

        :param prompt: Put before each.
        """
        encoded = self.tokenizer.encode_batch([prompt + text for text in texts])
        return [{name: np.array([getattr(one, FIELDS[name])]) for name in self.description.inputs} for one in encoded]

    def __call__(self, tokens: Tokens) -> Matrix:
        """Return the vectors of texts of one width, float32 of length 1, shape ``[n, d]``."""
        return cast(Matrix, self._session.run([OUTPUT], dict(tokens))[0])


FIELDS = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
"""Where the tokenizer keeps what a graph may take."""


def threads() -> int:
    """Return the number of processors at hand; ``OMP_NUM_THREADS`` limits it."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    at_hand = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(at_hand, int(asked))) if asked.isdecimal() else at_hand


def _session(model: Path) -> Any:
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # its Windows builds report to their makers
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = min(threads(), MOST_THREADS)
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Threads that wait must not keep others from computing, and texts of many lengths must not pile up memory.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    try:
        return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its own classes, which derive from nothing else
        raise CorruptFileError(f"{model} cannot be loaded: {str(error)[:200]}") from error


def _tokenizer(file: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # a bare one
        raise CorruptFileError(f"{file} cannot be loaded: {error}") from error
