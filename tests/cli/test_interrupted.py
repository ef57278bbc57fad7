"""Ctrl-C in real processes: one sentence, exit code 130, nothing lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import chromadb
import numpy as np
import pytest

from lsb_rag import PassageStore, cli

INDEXED = cli.GOES_ON["index"]
# A process whose first passages are embedded, and whose next ones take as long as they are let.
SLOW = """
import sys, time
from lsb_rag import cli, encoder
embed, calls = encoder.LexSemBridgeEncoder.encode_document, []

def slow(self, *args, **kwargs):
    calls.append(1)
    if len(calls) == {call}:
        print("slow", flush=True)
        {wait}
    return embed(self, *args, **kwargs)

encoder.LexSemBridgeEncoder.encode_document = slow
sys.argv = ["lsb-rag", *sys.argv[1:]]
cli.main()
"""
STUBBORN = """
        while True:
            try: time.sleep(60)
            except KeyboardInterrupt: pass
""".strip()


@contextmanager
def start(*command: str) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # the tests may run where Ctrl-C is ignored
    with subprocess.Popen(  # noqa: S603
        [sys.executable, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        preexec_fn=heard,
    ) as process:
        try:
            yield process
        finally:
            process.kill()  # one that has ended is left alone


@pytest.mark.parametrize("after", [0.2, 0.6, 1.0, 1.5])
def test_while_python_loads_what_a_search_needs(store: PassageStore, after: float) -> None:
    with start("-m", "lsb_rag", "search", "E-4012", "--db", str(store.path)) as process:
        time.sleep(after)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    if not out:  # a fast machine may have found it by then
        assert (process.returncode, err) == (130, "Stopped. Nothing was changed.\n")


def contents(db: Path) -> dict[str, tuple[str, dict[str, object], np.ndarray]]:
    found = chromadb.PersistentClient(db).get_collection("big").get(include=["documents", "metadatas", "embeddings"])
    rows = zip(found["documents"] or [], found["metadatas"] or [], np.asarray(found["embeddings"]), strict=True)
    return {
        id: (text, dict(metadata or {}), vector)
        for id, (text, metadata, vector) in zip(found["ids"], rows, strict=True)
    }


def test_an_index_that_is_stopped_goes_on_to_the_same_contents(tmp_path: Path) -> None:
    corpus = tmp_path / "big.jsonl"
    corpus.write_text("\n".join(json.dumps({"_id": f"p{n}", "text": f"part {n}"}) for n in range(300)), "utf-8")

    def index(db: str) -> list[str]:
        return ["index", str(corpus), "-c", "big", "--db", str(tmp_path / db), "--json"]

    with start("-c", SLOW.format(call=2, wait="time.sleep(60)"), *index("stopped")) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "slow\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert (process.returncode, err) == (130, f"Stopped. {INDEXED}\n")
    for db, embedded in (("stopped", 300 - 256), ("whole", 300)):
        with start("-m", "lsb_rag", *index(db)) as process:
            out, err = process.communicate()
        found = {"collection": "big", "passages": 300, "embedded": embedded, "removed": 0}
        assert (process.returncode, json.loads(out)) == (0, found), err
    stopped, whole = contents(tmp_path / "stopped"), contents(tmp_path / "whole")
    assert stopped.keys() == whole.keys()
    for id, (text, metadata, vector) in whole.items():
        assert stopped[id][:2] == (text, metadata)
        np.testing.assert_allclose(stopped[id][2], vector, atol=1e-6)


def test_a_second_ctrl_c_ends_it_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("The valve.")
    command = ["index", str(tmp_path / "a.txt"), "-c", "big", "--db", str(tmp_path / "db")]
    with start("-c", SLOW.format(call=1, wait=STUBBORN), *command) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "slow\n"
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert process.poll() is None  # it does not hear the first one
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (130, f"Stopped. {INDEXED}\n")


DESTROYED = """
import signal, sys, time
from lsb_rag import cli
from lsb_rag.cli import commands

class Destroyed:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

def app():
    one = Destroyed()
    del one
    time.sleep(60)

commands.app = app
sys.argv = ["lsb-rag", "search", "x"]
cli.main()
"""
TURNED = """
import signal, sys
from lsb_rag import cli
from lsb_rag.cli import commands

def app():
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        raise ImportError("half of a module")

commands.app = app
sys.argv = ["lsb-rag", "search", "x"]
cli.main()
"""


@pytest.mark.parametrize("code", [DESTROYED, TURNED], ids=["lost in a destructor", "turned into another error"])
def test_what_a_library_makes_of_it_does_not_matter(code: str) -> None:
    with start("-c", code) as process:
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "Stopped. Nothing was changed.\n")


def test_half_a_folder_of_tasks_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lsb_rag import Passage
    from lsb_rag.evaluation import tasks

    passages = [Passage(f"part {n} has a red valve and a long spring", id=f"p{n}") for n in range(20)]
    drawn = tasks.draw_tasks(passages, 5, 0)
    written: list[object] = []
    dumps: Callable[..., str] = json.dumps

    def interrupted(value: object) -> str:
        written.append(value)
        if len(written) > 5:
            raise KeyboardInterrupt
        return dumps(value)

    monkeypatch.setattr("lsb_rag.evaluation.tasks.json.dumps", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tasks.write_beir(drawn, passages, tmp_path / "tasks")
    monkeypatch.undo()
    assert list((tmp_path / "tasks").iterdir()) == []
    tasks.write_beir(drawn, passages, tmp_path / "tasks")
    assert len(list((tmp_path / "tasks").iterdir())) == 3
