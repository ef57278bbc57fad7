"""``lsb-rag evaluate`` and ``make-tasks``; with answers and a judge in real processes."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lsb_rag import PassageStore
from lsb_rag.evaluation.metric_names import JUDGED, OFFLINE

from ..chat_server import chat_server
from ..conftest import MANUAL
from ..judgements import judgement
from .terminal import call

QUESTIONS = {
    "what does E-4012 mean": ("pump", "the inlet is blocked"),
    "what to do about E-5101": ("frozen", "Warm it with the flag --defrost."),
    "which part has a worn spring": ("valve", "ZX81"),
    "how to calibrate TMP_117": ("sensor", "calib.offset"),
    "when is lunch": ("lunch", "from noon"),
    "is the office open on holidays": ("office", "closed on public holidays"),
}


def command(*arguments: str) -> list[str]:
    return [str(Path(sys.executable).with_name("lsb-rag")), "evaluate", *arguments]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "HF_HUB_OFFLINE": "1", "COLUMNS": "80", **more}


def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603
        command(*arguments), capture_output=True, text=True, env=environment(**more), check=False
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The manual and questions about it, in BEIR layout."""
    root = tmp_path / "manual"
    (root / "qrels").mkdir(parents=True)
    corpus = [{"_id": p.id, "title": p.title, "text": p.text} for p in MANUAL]
    queries = [
        {"_id": f"q{n}", "text": text, "metadata": {"answers": [answer]}}
        for n, (text, (_, answer)) in enumerate(QUESTIONS.items())
    ]
    qrels = [f"q{n}\t{relevant}\t1" for n, (relevant, _) in enumerate(QUESTIONS.values())]
    (root / "corpus.jsonl").write_text("\n".join(map(json.dumps, corpus)))
    (root / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)))
    (root / "qrels" / "test.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *qrels]))
    return root


def test_the_demo_with_answers(
    tmp_path: Path, small_demo: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command of the README: the corpus indexed, a few questions of each kind, a report."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LSB_RAG_PRECISION", "auto")  # as users have it
    places = ("--db", str(tmp_path / "db"), "--out", str(tmp_path / "out"))
    code, out, err = call(capsys, "evaluate", "demo", "--answers", "--limit", "3", *places)
    assert code == 0, err
    assert "on 6 queries: MRR@10" in out
    assert "Its answers: string presence" in out
    assert "…" not in out  # no figure is cut off at 80 columns
    lines = out.splitlines()
    tables = lines[next(n for n, line in enumerate(lines) if line.startswith("retriever")) :]  # notes are before them
    assert max(map(len, tables)) <= 80
    summary = json.loads((tmp_path / "out" / "summary.json").read_text("utf-8"))
    for arm in ("vanilla", "hybrid", "lsb"):
        assert set(OFFLINE) - {"semantic_similarity"} < set(summary["arms"][arm]["all"])
        assert 0.2 < summary["arms"][arm]["keyword"]["string_present"] <= 1
    rows = [json.loads(line) for line in (tmp_path / "out" / "rows.jsonl").read_text("utf-8").splitlines()]
    assert len(rows) == 6 * len(summary["arms"])
    assert all(row["answer"] for row in rows)
    assert (tmp_path / "out" / "report.html").read_text("utf-8").count("<svg") == 4


def test_killed_at_random_and_resumed_it_comes_to_the_same(folder: Path, tmp_path: Path) -> None:
    def slow(body: dict[str, Any]) -> str:
        time.sleep(0.02)
        return judgement(body)

    def arguments(name: str, url: str) -> list[str]:
        # Every arm's index is in its own database, every run's judgements in its own folder.
        places = {"--db": tmp_path / name / "db", "--cache": tmp_path / name / "cache", "--out": tmp_path / name}
        given = [part for option, place in places.items() for part in (option, str(place))]
        return [str(folder), "--arms", "vanilla,bm25,lsb", "--contexts", "3", "--judge", f"judge@{url}", *given]

    with chat_server(slow) as server:
        done = run(*arguments("whole", server.url))
        assert done.returncode == 0, done.stderr
        total = len(server.requests)
        stop_at = total + random.randrange(1, total - 8)
        with subprocess.Popen(  # noqa: S603
            command(*arguments("killed", server.url)),
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as killed:
            while len(server.requests) < stop_at and killed.poll() is None:
                time.sleep(0.005)
            killed.kill()
        assert not (tmp_path / "killed" / "summary.json").exists()
        at = len(server.requests) - total
        done = run(*arguments("killed", server.url))
        assert done.returncode == 0, done.stderr
        asked = len(server.requests) - total - at
    whole, resumed = (tmp_path / name / "summary.json" for name in ("whole", "killed"))
    assert resumed.read_bytes() == whole.read_bytes(), f"killed after {at} of {total} requests"
    # What was under way when it was killed is lost, eight judgements at most; all else is not asked again.
    assert total - at <= asked <= total - at + 8, f"killed after {at} of {total} requests"
    assert set(JUDGED) < set(json.loads(whole.read_text("utf-8"))["arms"]["lsb"]["question"])


def test_what_evaluate_keeps_of_a_folder_is_in_nobodys_way(
    folder: Path, store: PassageStore, capsys: pytest.CaptureFixture[str]
) -> None:
    places = ("--db", str(store.path))
    evaluated = ("evaluate", str(folder), *places, "--arms", "lsb", "--json")
    assert call(capsys, *evaluated)[0] == 0
    listed = json.loads(call(capsys, "collections", *places, "--json")[1])["collections"]
    assert [one["filled_by"] for one in listed] == ["evaluate", "lsb-rag"]
    found = json.loads(call(capsys, "search", "E-4012", *places, "--json")[1])
    assert found["collection"] == "manual"
    store.drop()  # where there is nothing else, it is the only one
    found = json.loads(call(capsys, "search", "E-4012", *places, "--json")[1])
    assert found["collection"] == listed[0]["name"]
    assert call(capsys, *evaluated)[0] == 0
    assert len(json.loads(call(capsys, "collections", *places, "--json")[1])["collections"]) == 1
    code, _, err = call(capsys, "delete", listed[0]["name"], *places, "--yes")
    assert code == 0, err


def test_a_dead_judge_leaves_the_rest(folder: Path, tmp_path: Path) -> None:
    with chat_server(judgement) as server:
        pass
    out = tmp_path / "out"
    judge = ["--judge", f"judge@{server.url}", "--arms", "lsb", "--db", str(tmp_path / "db"), "--out", str(out)]
    done = run(str(folder), *judge, "--cache", str(tmp_path / "cache"), "--json", OPENAI_API_KEY="sk-secret-42")
    assert done.returncode == 1
    assert f"Nothing answers at the judge's endpoint {server.url}" in done.stderr
    assert "judged nothing: no connection to the judge" in done.stderr
    assert "Traceback" not in done.stderr
    summary = json.loads(done.stdout)
    assert summary["arms"]["lsb"]["question"]["hit@1"] == 1
    assert summary["arms"]["lsb"]["question"]["faithfulness"] is None
    assert summary["arms"]["lsb"]["question"]["missing"]["context_recall"] == len(QUESTIONS)
    for path in out.iterdir():
        assert "sk-secret-42" not in path.read_text("utf-8")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--answers", "-g", "parrot"], "choose extractive"),
        (["--judge", "gpt-5-mini"], "Set OPENAI_API_KEY"),
        (["--judge", "@http://localhost/v1"], "Unknown judge"),
        (["--answers", "--embedding", "no-such-model"], "no-such-model"),
    ],
)
def test_mistakes_are_said_before_the_run(folder: Path, tmp_path: Path, wrong: list[str], message: str) -> None:
    done = run(str(folder), "--db", str(tmp_path / "db"), *wrong, OPENAI_API_KEY="")
    assert done.returncode == 1
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "db").exists()


def test_evaluate_questions_about_a_collection(
    store: PassageStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"question": "what does E-4012 mean", "reference_ids": ["pump"], "reference": "the inlet is blocked"},
        {"question": "when do we eat", "reference_ids": ["lunch"], "kind": "paraphrase"},
    ]
    questions = tmp_path / "mine.jsonl"
    questions.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    report = str(tmp_path / "out")
    command = ["evaluate", str(questions), "--db", str(store.path), "--arms", "bm25,lsb", "--out", report]
    code, out, err = call(capsys, *command, "--json")
    assert code == 0, err
    found = json.loads(out)
    took = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))
    assert found == {**json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8")), **took}
    assert list(found["arms"]) == ["vanilla", "bm25", "lsb"]
    assert found["arms"]["lsb"]["all"]["n"] == 2
    assert found["n_passages"] == len(store)
    code, out, err = call(capsys, *command, "--kinds", "paraphrase")
    assert code == 0, err
    assert "on 1 queries" in out
    assert "only 1 queries" in out
    for wrong, message in (
        (["--arms", "splade"], "no arm 'splade'"),
        (["--kinds", "none"], "no queries of the kind 'none'"),
    ):
        code, _, err = call(capsys, *command, *wrong)
        assert code == 1
        assert message in err
    (tmp_path / "file").write_text("in the way")
    code, _, err = call(capsys, *command[:-1], str(tmp_path / "file"))
    assert code == 1
    assert "Cannot write the report" in err
    code, _, err = call(capsys, "evaluate", str(tmp_path / "questions.csv"), "--db", str(store.path))
    assert code == 1
    assert "neither 'demo', nor a BEIR folder, nor a .jsonl file" in " ".join(err.split())


def test_a_retriever_of_ones_own_is_an_arm(
    store: PassageStore, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    Path("my_search.py").write_text("class Ours:\n    def found(query, k): return ['pump'][:k]\n\nbroken = 7\n")
    Path("my_broken.py").write_text("import no_such_module\n")
    Path("my_exit.py").write_text("import sys\nprint('leaving')\nsys.exit(0)\n")
    Path("mine.jsonl").write_text(json.dumps({"question": "what does E-4012 mean", "reference_ids": ["pump"]}))
    command = ["evaluate", "mine.jsonl", "--db", str(store.path), "--arms", "lsb", "--arm"]
    code, out, err = call(capsys, *command, "mine=my_search:Ours.found", "--json")
    assert code == 0, err
    assert json.loads(out)["arms"]["mine"]["question"]["hit@1"] == 1
    for wrong, message in (
        ("my_search:Ours", "takes NAME=MODULE:OBJECT"),
        ("mine=my_search:none", "AttributeError: module 'my_search' has no attribute 'none'"),
        ("mine=my_broken:all", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("mine=my_exit:all", "SystemExit: 0"),
        ("mine=my_search:broken", "The retriever 'mine' must be"),
        ("lsb=my_search:Ours.found", "a name that is not blank and no arm's"),
    ):
        code, _, err = call(capsys, *command, wrong)
        assert code == 1
        assert message in " ".join(err.split())


def test_make_tasks_and_evaluate_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    documents = tmp_path / "documents"
    documents.mkdir()
    for passage in MANUAL:
        (documents / f"{passage.id}.txt").write_text(passage.content, encoding="utf-8")
    folder = tmp_path / "tasks"
    code, out, err = call(capsys, "make-tasks", str(documents), "--out", str(folder), "-n", "5", "--json")
    assert code == 0, err
    counts = json.loads(out)
    assert counts["keyword"] > 0
    code, out, err = call(
        capsys, "evaluate", str(folder), "--db", str(tmp_path / "db"), "--arms", "lsb", "--limit", "3", "--json"
    )
    assert code == 0, err
    found = json.loads(out)
    assert found["dataset"] == "tasks"
    assert found["n_passages"] == counts["passages"]
    assert found["arms"]["lsb"]["keyword"]["n"] == min(3, counts["keyword"])
    code, _, err = call(capsys, "make-tasks", str(documents), "--out", str(folder))
    assert code == 1
    assert "not empty" in err
