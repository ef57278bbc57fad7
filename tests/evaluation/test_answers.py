from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from lsb_rag import LexSemBridgeEncoder
from lsb_rag.errors import EndpointError, GenerationError
from lsb_rag.evaluation.answers import FAILURES, answer_arms
from lsb_rag.evaluation.dataset import Query
from lsb_rag.evaluation.json_cache import JsonCache
from lsb_rag.generation import Answer, ExtractiveGenerator, OpenAIGenerator
from lsb_rag.passage import Hit

from ..chat_server import chat_server

QUERIES = [Query("q1", "what does E-4012 mean"), Query("q2", "when is lunch")]
PUMP = Hit("pump", 0.9, "The pump stopped because the inlet is blocked. Clean the filter.", "E-4012")
LUNCH = Hit("lunch", 0.8, "Lunch is served in the canteen from noon.")
FOUND = {
    "vanilla": {"q1": [LUNCH, PUMP], "q2": [LUNCH]},
    "lsb": {"q1": [PUMP, LUNCH], "q2": [LUNCH]},
}


class Counting:
    """A generator that keeps what it was asked, and fails for the questions in `failing`."""

    name = "counting"

    def __init__(self, *failing: str) -> None:
        self.asked: list[tuple[str, tuple[str, ...]]] = []
        self.failing = failing

    def answer(self, question: str, hits: Sequence[Hit]) -> Answer:
        self.asked.append((question, tuple(hit.id for hit in hits)))
        if question in self.failing:
            raise GenerationError("no")
        return Answer(f"{question}: {hits[0].id} [1]", (hits[0].id,))


class CountingOnDisk(Counting):
    cache_key = "counting, version 1"


def test_arms_that_find_the_same_share_an_answer() -> None:
    generator = Counting()
    answers = answer_arms(generator, QUERIES, FOUND)
    assert len(generator.asked) == 3
    assert answers["vanilla"]["q2"] is answers["lsb"]["q2"]
    assert answers["lsb"]["q1"] == Answer("what does E-4012 mean: pump [1]", ("pump",))
    assert answers["vanilla"]["q1"] == Answer("what does E-4012 mean: lunch [1]", ("lunch",))


def test_what_a_generator_may_keep_is_not_asked_again(tmp_path: Path) -> None:
    first, second, other = CountingOnDisk(), CountingOnDisk(), CountingOnDisk()
    other.cache_key = "counting, version 2"
    cache = JsonCache(tmp_path)
    answers = answer_arms(first, QUERIES, FOUND, cache=cache)
    assert answer_arms(second, QUERIES, FOUND, cache=cache) == answers
    assert (len(first.asked), len(second.asked)) == (3, 0)
    answer_arms(other, QUERIES, FOUND, cache=cache)
    assert len(other.asked) == 3
    without = Counting()
    answer_arms(without, QUERIES, FOUND, cache=cache)
    answer_arms(without, QUERIES, FOUND, cache=cache)
    assert len(without.asked) == 6


def test_a_failure_is_none_and_failing_from_the_start_is_an_error() -> None:
    answers = answer_arms(Counting("when is lunch"), QUERIES, FOUND)
    assert answers["lsb"]["q2"] is None
    assert answers["lsb"]["q1"] is not None
    many = [Query(f"q{n}", f"question {n}") for n in range(20)]
    dead = Counting(*(query.text for query in many))
    with pytest.raises(GenerationError, match="no"):
        answer_arms(dead, many, {"lsb": {query.id: [PUMP] for query in many}})
    assert len(dead.asked) == FAILURES


def test_an_endpoint_is_asked_once_and_then_read_from_disk(tmp_path: Path) -> None:
    cache = JsonCache(tmp_path)
    with chat_server("The inlet is blocked [1].") as server:
        generator = OpenAIGenerator("m", server.url.replace("http://", "http://user:password@"))
        answers = answer_arms(generator, QUERIES, FOUND, cache=cache, concurrency=4)
        assert len(server.requests) == 3
        assert answer_arms(generator, QUERIES, FOUND, cache=cache) == answers
        assert len(server.requests) == 3
    assert answers["lsb"]["q1"] == Answer("The inlet is blocked [1].", ("pump",))
    assert "password" not in f"{generator!r} {generator.name} {generator.cache_key}"
    dead = OpenAIGenerator("m", server.url, retries=0)
    with pytest.raises(EndpointError, match="gave no answer"):
        answer_arms(dead, QUERIES, FOUND)


def test_an_answer_depends_on_the_passages_texts_and_the_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, generator = JsonCache(tmp_path), CountingOnDisk()
    one = {"lsb": {"q1": [PUMP]}}
    other = {"lsb": {"q1": [replace(PUMP, text="Another text.")]}}
    answer_arms(generator, QUERIES[:1], one, cache=cache)
    answer_arms(generator, QUERIES[:1], other, cache=cache)
    monkeypatch.setattr("lsb_rag.evaluation.answers.__version__", "99")
    answer_arms(generator, QUERIES[:1], one, cache=cache)
    assert len(generator.asked) == 3
    for path in tmp_path.rglob("*.json"):
        path.write_text('{"result": {"nonsense": 1}}')
    answer_arms(generator, QUERIES[:1], one, cache=cache)
    assert len(generator.asked) == 4


def test_a_server_that_sends_the_key_back_does_not_show_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-never-shown-42")
    with chat_server(lambda body: (401, {}, '{"error": {"message": "bad key sk-never-shown-42"}}')) as server:
        generator = OpenAIGenerator("m", server.url, retries=0)
        with pytest.raises(EndpointError, match="bad key …") as caught:
            generator.answer("what?", [PUMP])
    assert "never" not in str(caught.value)


def test_an_interrupted_run_does_not_wait_for_an_endpoint_that_hangs() -> None:
    code = (
        "import signal, sys, threading, os\n"
        "from lsb_rag.evaluation.answers import answer_arms\n"
        "from lsb_rag.evaluation.dataset import Query\n"
        "from lsb_rag.generation import OpenAIGenerator\n"
        "from lsb_rag.passage import Hit\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "answer_arms(OpenAIGenerator('m', sys.argv[1]), [Query('q', 'what?')], {'lsb': {'q': [Hit('a', 1.0, 'b')]}},"
        " concurrency=4)\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and says nothing
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-c", code, url], capture_output=True, text=True, check=False, timeout=60
        )
    assert "KeyboardInterrupt" in done.stderr


def test_the_extractive_generator_answers_as_it_does_alone(encoder: LexSemBridgeEncoder) -> None:
    generator = ExtractiveGenerator(encoder, sentences=1)
    steps: list[tuple[int, int]] = []
    answers = answer_arms(generator, QUERIES, FOUND, progress=lambda *step: steps.append(step))
    assert steps == [(1, 3), (2, 3), (3, 3)]
    for arm, by_query in FOUND.items():
        for query in QUERIES:
            assert answers[arm][query.id] == generator.answer(query.text, by_query[query.id])
