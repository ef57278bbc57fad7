from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
import pytest

from lsb_rag import LexSemBridgeEncoder, PassageStore, __version__, cli
from lsb_rag.cli.options import DB_VARIABLE
from lsb_rag.demo import corpus as demo_corpus
from lsb_rag.demo import run as demo_run
from lsb_rag.store import calls

from ..chat_server import chat_server
from ..chroma_server import chroma_server, url_of
from ..conftest import MANUAL


def run(*arguments: str, db: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """The installed command in a process of its own."""
    variables = {**os.environ, "HF_HUB_OFFLINE": "1", **environment}
    if db:
        variables[DB_VARIABLE] = str(db)
    command = [str(Path(sys.executable).with_name("lsb-rag")), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=variables, check=False)  # noqa: S603


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """The same in this process, which has the backbone's libraries loaded: exit code, stdout, stderr."""
    code = 0
    before, handler, hook = sys.argv, signal.getsignal(signal.SIGINT), sys.unraisablehook
    sys.argv = ["lsb-rag", *arguments]
    try:
        cli.main()
    except SystemExit as stop:
        code = int(stop.code or 0)
    finally:
        sys.argv, sys.unraisablehook = before, hook
        signal.signal(signal.SIGINT, handler)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def db(store: PassageStore) -> str:
    return str(store.path)


def test_index_search_ask_and_info_in_real_processes(tmp_path: Path) -> None:
    documents, db = tmp_path / "docs", tmp_path / "db"
    documents.mkdir()
    (documents / "pump.md").write_text("# Pump\n\nThe error E-4012 means that the inlet is blocked.\n")
    (documents / "lunch.txt").write_text("Lunch is served from noon.\n")
    done = run("index", str(documents), "--collection", "manuals", db=db)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "2 passages embedded" in done.stderr
    done = run("search", "E-4012", "--json", "-k", "1", db=db)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found) == {"query", "collection", "hits"}
    assert (found["query"], found["collection"]) == ("E-4012", "manuals")
    assert [set(hit) for hit in found["hits"]] == [{"id", "score", "text", "title", "metadata"}]
    assert found["hits"][0]["metadata"]["source"] == "pump.md"


def test_index_again_follows_changed_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, db = tmp_path / "docs" / "pump.txt", str(tmp_path / "db")
    file.parent.mkdir()
    file.write_text("E-4012 means blocked.")
    (file.parent / "other.txt").write_text("Something else.")
    arguments = ("index", str(file.parent), "-c", "manuals", "--db", db, "--json")
    assert json.loads(call(capsys, *arguments)[1]) == {
        "collection": "manuals",
        "passages": 2,
        "embedded": 2,
        "removed": 0,
    }
    assert json.loads(call(capsys, *arguments)[1])["embedded"] == 0
    file.write_text("E-4012 means frozen.")
    changed = json.loads(call(capsys, *arguments)[1])
    assert (changed["passages"], changed["embedded"], changed["removed"]) == (2, 1, 1)
    hits = json.loads(call(capsys, "search", "E-4012", "--db", db, "--json")[1])["hits"]
    assert hits[0]["text"] == "pump\nE-4012 means frozen."
    (file.parent / "other.txt").unlink()
    assert json.loads(call(capsys, *arguments)[1])["removed"] == 0  # what is gone from the folder stays indexed


def test_equal_file_names_in_two_folders_do_not_replace_each_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    db = str(tmp_path / "db")
    for name, text in (("a", "E-4012 means blocked."), ("b", "E-5000 means frozen.")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "pump.md").write_text(text)
        indexed = json.loads(call(capsys, "index", str(tmp_path / name), "-c", "manuals", "--db", db, "--json")[1])
        assert indexed["removed"] == 0
    assert indexed["passages"] == 2
    for name in ("one", "two"):
        rows = [{"_id": f"{name}{n}", "text": f"{name} row {n}", "metadata": {"source": "wiki"}} for n in range(2)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
        arguments = ("index", str(tmp_path / f"{name}.jsonl"), "-c", "rows", "--db", db, "--json")
        indexed = json.loads(call(capsys, *arguments)[1])
        assert indexed["removed"] == 0
    assert indexed["passages"] == 4


def test_explain(db: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("explain", "what does E-4012 mean", "--db", db)
    found = json.loads(call(capsys, *arguments, "--passage", "pump", "--json")[1])
    assert found["collection"] == "manual"
    assert found["passage"] == "pump"
    assert found["score"] > found["vanilla_score"]
    assert {"unit", "weight", "degrees", "cosine", "lexical"} == set(found["effects"][0])
    code, out, _ = call(capsys, *arguments)
    assert code == 0
    assert "turns the query vector by" in out
    assert "e-4012" in out
    assert call(capsys, *arguments, "--passage", "nope")[0] == 1
    assert "stays as it is" in call(capsys, "explain", "zzyzx", "--db", db)[1]


def test_another_backbone_and_units_on_the_command_line(
    tmp_path: Path, tiny_backbone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.txt").write_text("The valve.")
    db = ("--db", str(tmp_path / "db"))
    model = tmp_path / "moved"
    shutil.copytree(tiny_backbone, tmp_path / "model")
    options = ("--backbone", str(tmp_path / "model"), "--units", "wordpieces")
    assert call(capsys, "index", str(tmp_path / "text.txt"), "-c", "tiny", *db, *options)[0] == 0
    assert call(capsys, "search", "valve", *db)[0] == 0
    (tmp_path / "model").rename(model)
    code, _, err = call(capsys, "search", "valve", *db)
    assert code == 1
    assert "Cannot load" in err
    assert call(capsys, "search", "valve", *db, "--backbone", str(model))[0] == 0


def test_json_where_stdout_is_not_utf8(store: PassageStore) -> None:
    store.add(["日本語 E-9999"])
    done = run("search", "E-9999", "--json", db=store.path, PYTHONIOENCODING="cp1252")
    assert json.loads(done.stdout)["hits"][0]["text"] == "日本語 E-9999"


def test_search_vanilla_and_tables(db: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "search", "E-4013", "--db", db, "-k", "2")
    assert code == 0
    assert "E-4013" in out
    vanilla = json.loads(call(capsys, "search", "E-4013", "--db", db, "--vanilla", "--json")[1])
    lsb = json.loads(call(capsys, "search", "E-4013", "--db", db, "--json")[1])
    assert lsb["hits"][0]["id"] == "drain"
    assert [hit["score"] for hit in vanilla["hits"]] != [hit["score"] for hit in lsb["hits"]]


def test_ask(db: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    found = json.loads(call(capsys, "ask", "which part is replaced at E-5100?", "--db", db, "--json")[1])
    assert set(found) == {"query", "collection", "hits", "answer", "citations"}
    assert "ZX81" in found["answer"]
    assert "valve" in found["citations"]
    code, out, _ = call(capsys, "ask", "which part is replaced at E-5100?", "--db", db)
    assert code == 0
    assert "[1]" in out
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    with chat_server("Replace ZX81 [1].") as server:
        arguments = ("ask", "E-5100?", "--db", db, "--json", "-k", "2", "-g", f"openai:m@{server.url}")
        code, out, err = call(capsys, *arguments)
    assert json.loads(out)["citations"] == [json.loads(out)["hits"][0]["id"]]
    assert "sk-secret" not in out + err
    with chat_server("Replace ZX81 [2].") as server:
        arguments = ("ask", "E-5100?", "--db", db, "-k", "2", "-g", f"openai:m@{server.url}")
        hits = json.loads(call(capsys, *arguments, "--json")[1])["hits"]
        out = call(capsys, *arguments)[1]
    assert out.startswith(f"Replace ZX81 [1].\n[1] {hits[1]['id']}\n")


def test_hostile_text_does_not_reach_the_terminal(store: PassageStore, capsys: pytest.CaptureFixture[str]) -> None:
    store.add(["E-9999 \x1b[2J\x1b]0;owned\x07 [bold red]markup[/] \u202egnp.exe"])
    for command in ("search", "ask"):
        code, out, _ = call(capsys, command, "E-9999", "--db", str(store.path))
        assert code == 0
        assert "\x1b[2J" not in out
        assert "\u202e" not in out
        assert "[bold red]" in out


def test_info(db: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(call(capsys, "info", "--db", db, "--json")[1])
    assert found["version"] == __version__
    assert found["collections"][0]["name"] == "manual"
    assert found["collections"][0]["passages"] == len(MANUAL)
    assert found["collections"][0]["fingerprint"]["dimension"] == 384
    assert "manual: 7 passages, all-MiniLM-L6-v2, 384-d" in call(capsys, "info", "--db", db)[1]
    assert json.loads(call(capsys, "info", "--db", f"{db}/none", "--json")[1])["collections"] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("search", "  "), "empty or blank"),
        (("search", "x", "-c", "nope"), "There is no collection 'nope'"),
        (("search", "x", "--backbone", "./no-model"), "'./no-model': there is no such folder"),
        (("ask", "x", "-g", "parrot"), "choose extractive, smollm2 or openai:MODEL@URL"),
        (("ask", "x", "-g", "openai:m@http://127.0.0.1:9/v1"), "gave no answer"),
        (("index", "/no/such/folder", "-c", "fresh"), "no file or folder"),
        (("index", ".", "-c", "fresh", "--backbone", "/no/model"), "Cannot load"),
        (("index", ".", "-c", "fresh", "--units", "letters"), "choose one of words, wordpieces"),
        (("evaluate", "no-such.jsonl"), "no-such.jsonl"),
        (("demo", "--questions", "100000"), "cannot be drawn"),
        (("demo", "-g", "parrot"), "choose extractive"),
    ],
)
def test_errors_are_one_clear_sentence_on_stderr(
    db: str,
    arguments: tuple[str, ...],
    message: str,
    capsys: pytest.CaptureFixture[str],
    small_demo: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("lsb_rag.generation.openai_endpoint.RETRIES", 0)
    code, out, err = call(capsys, *arguments, "--db", db)
    assert (code, out) == (1, "")
    assert message in err
    assert "Traceback" not in err
    code, out, _ = call(capsys, "info", "--db", db, "--json")
    assert "fresh" not in [collection["name"] for collection in json.loads(out)["collections"]]


def test_which_collection_is_asked_for_when_there_are_several(store: PassageStore, capsys: Any) -> None:
    PassageStore(store.path, "second", store.encoder).add(["text"])
    code, _, err = call(capsys, "search", "x", "--db", str(store.path))
    assert code == 1
    assert "holds 2: manual, second" in err


def test_wrong_usage_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys, "search")[0] == 2
    assert call(capsys, "search", "x", "-k", "0")[0] == 2
    assert call(capsys, "nonsense")[0] == 2
    assert call(capsys, "demo", "--questions", "-1")[0] == 2
    assert call(capsys, "make-tasks", ".", "-o", "tasks", "--seed", "-1")[0] == 2
    assert "Did you mean 'search'?" in call(capsys, "seach", "x")[2]


# -- demo ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo over a few modules: the real thing, a tenth of it."""
    modules = ["subprocess", "heapq", "json", "shutil", "http"]
    corpus = demo_corpus.build_demo_corpus(modules)
    symbols = {passage.metadata["symbol"] for passage in corpus}
    questions = [q for q in demo_run.load_questions() if set(q.gold) & symbols]
    monkeypatch.setattr(demo_run, "build_demo_corpus", lambda: corpus)
    monkeypatch.setattr(demo_run, "load_questions", lambda kind=None: [q for q in questions if kind in (None, q.kind)])


def test_the_demo_compares_and_runs_again_at_once(
    tmp_path: Path, small_demo: None, capsys: pytest.CaptureFixture[str], encoder: LexSemBridgeEncoder
) -> None:
    db = str(tmp_path / "db")
    code, out, err = call(capsys, "demo", "--db", db, "--questions", "2", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert len(found["questions"]) == 2
    for question in found["questions"]:
        assert question["relevant"]
        for arm in question["arms"].values():
            assert len(arm["ids"]) == 3
            assert set(arm["citations"]) <= set(arm["ids"])
    summary = found["summary"]
    lsb, vanilla = (summary["arms"][arm]["keyword"] for arm in ("lsb", "vanilla"))
    assert set(summary["arms"]["lsb"]) == {"keyword", "control", "all"}
    assert lsb["mrr@10"] >= vanilla["mrr@10"]
    (difference,) = (
        one
        for one in summary["comparisons"]
        if (one["arm"], one["kind"], one["metric"]) == ("lsb", "keyword", "mrr@10")
    )
    low, high = difference["ci95"]
    assert low <= difference["delta"] <= high
    assert difference["wins"] + difference["ties"] + difference["losses"] == lsb["n"]

    code, out, err = call(capsys, "demo", "--db", db, "--questions", "1")
    assert code == 0
    assert "all indexed before" in err
    assert "vanilla dense" in out
    assert "LexSemBridge" in out
    assert f"Keyword-heavy questions, n = {lsb['n']}" in out
    assert max(map(len, out.split("Keyword-heavy")[1].split("Δ: mean")[0].splitlines())) <= 80
    assert "…" not in out.split("Keyword-heavy")[1]  # no figure is cut off at 80 columns
    assert f"{high:+.3f}]" in out
    store = PassageStore(tmp_path / "db", demo_run.collection_name(), encoder, create=False)
    shutil.rmtree(tmp_path / "db" / "lsb_rag")
    store.delete([store.ids()[0]])
    store.add(["left over from another version"])
    assert "indexed 1 of them" in call(capsys, "demo", "--db", db, "--questions", "0", "--json")[2]
    assert len(store) == len(demo_run.build_demo_corpus())


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


def test_attach(tmp_path: Path, encoder: LexSemBridgeEncoder, capsys: pytest.CaptureFixture[str]) -> None:
    client = chromadb.PersistentClient(tmp_path)
    theirs = client.create_collection("theirs", embedding_function=None)
    texts = [passage.content for passage in MANUAL]
    theirs.add(ids=[p.id for p in MANUAL], documents=texts, embeddings=encoder.encode_document(texts))
    code, out, _ = call(capsys, "attach", "theirs", "--db", str(tmp_path))
    assert code == 0
    assert "theirs: 7 records in l2 space, none of them changed" in out
    assert "the lowest cosine of 7 texts embedded again is 1.0000" in out
    assert f'search "..." -c theirs --db {tmp_path}' in out
    code, out, _ = call(capsys, "attach", "theirs", "--db", str(tmp_path), "--json")
    found = json.loads(out)
    assert (found["passages"], found["verified_by"], found["written_by_llama_index"]) == (7, "sample", False)
    code, out, _ = call(capsys, "search", "E-4012", "-c", "theirs", "--db", str(tmp_path), "--json", "-k", "1")
    assert json.loads(out)["hits"][0]["id"] == "pump"
    other = client.create_collection("other", embedding_function=None)
    other.add(ids=["a"], documents=["text"], embeddings=np.ones((1, 384)))
    code, out, err = call(capsys, "attach", "other", "--db", str(tmp_path))
    assert (code, out) == (1, "")
    assert "0.0" in err or "cosine" in err
    code, _, err = call(capsys, "attach", "none", "--db", str(tmp_path))
    assert code == 1
    assert "It holds other, theirs" in err


def test_a_server_as_the_database(
    tmp_path: Path, store: PassageStore, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "pump.txt").write_text("The error E-4012 means that the inlet is blocked.")
    with chroma_server(tmp_path / "served") as (client, _):
        url = url_of(client)
        assert call(capsys, "index", str(tmp_path / "pump.txt"), "-c", "manuals", "--db", url)[0] == 0
        code, out, _ = call(capsys, "search", "E-4012", "--db", url, "--json")
        assert json.loads(out)["hits"][0]["title"] == "pump"
        code, out, _ = call(capsys, "info", "--db", url)
        assert f"{url}: 1 collection" in out
    monkeypatch.setattr(calls, "RETRY_SECONDS", 0.2)
    code, out, err = call(capsys, "search", "E-4012", "--db", url)
    assert (code, out) == (1, "")
    assert "does not answer" in err
    assert "Traceback" not in err
