from __future__ import annotations

import json
import shutil
from pathlib import Path

import chromadb
import numpy as np
import pytest

from lsb_rag import LexSemBridgeEncoder, PassageStore

from ..conftest import MANUAL
from .terminal import call, run


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
    assert [set(hit) for hit in found["hits"]] == [{"id", "score", "confidence", "text", "title", "metadata"}]
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


def test_sentences_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    documents, db = tmp_path / "docs", tmp_path / "db"
    documents.mkdir()
    (documents / "pump.txt").write_text("The error E-4012 means that the inlet is blocked. Clean it.")
    arguments = ("index", str(documents), "-c", "manuals", "--db", str(db))
    call(capsys, *arguments)
    store = PassageStore(db, "manuals", create=False)
    assert len(store.sentences) == 0
    assert "0 passages embedded, the sentences of 1 embedded;" in call(capsys, *arguments, "--sentences")[2]
    assert len(store.sentences) == 1
    call(capsys, "attach", "manuals", "--db", str(db), "--sentences", "--json")
    explained = call(capsys, "explain", "what does E-4012 mean", "--db", str(db), "-p", store.ids()[0])[1]
    assert "Its best sentence adds" in explained
    assert "The error E-4012 means that the inlet is blocked." in explained


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
