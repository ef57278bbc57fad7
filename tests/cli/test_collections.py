"""``lsb-rag collections`` and ``delete``."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import chromadb
import pytest

from lsb_rag import PassageStore

from ..chroma_server import chroma_server, url_of
from ..conftest import MANUAL
from .terminal import call


@pytest.fixture
def foreign(store: PassageStore) -> str:
    """A collection of another program's, in the same database."""
    collection = chromadb.PersistentClient(str(store.path)).create_collection("theirs", embedding_function=None)
    texts = [passage.text for passage in MANUAL]
    collection.add(
        ids=[passage.id for passage in MANUAL],
        documents=texts,
        embeddings=store.encoder.encode_document(texts),
        metadatas=[{"source": "new.html" if n else "old.html"} for n in range(len(MANUAL))],
    )
    return collection.name


def typed(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    """Answer as at a terminal."""
    terminal = io.StringIO(answer + "\n")
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stdin", terminal)


def names(db: str) -> list[str]:
    return sorted(collection.name for collection in chromadb.PersistentClient(db).list_collections())


def test_the_list_says_who_filled_each_and_how_large_it_is(
    store: PassageStore, db: str, foreign: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store.fit()
    code, out, _ = call(capsys, "collections", "--db", db)
    assert code == 0
    assert "manual: 7 passages, all-MiniLM-L6-v2, 384-d, cosine, filled by lsb-rag, statistics " in out
    assert "theirs: 7 passages, backbone unknown, see lsb-rag attach, l2, filled by another program, no stat" in out
    assert f"{db}: " in out
    assert call(capsys, "attach", foreign, "--db", db)[0] == 0
    found = json.loads(call(capsys, "collections", "--db", db, "--json")[1])
    assert found["bytes"] > found["collections"][0]["statistics_bytes"] > 0
    assert found["collections"][0]["name"] == "manual"
    assert found["collections"][1] | {"statistics_bytes": 0} == {
        "name": "theirs",
        "passages": 7,
        "filled_by": "another program, attached",
        "backbone": "all-MiniLM-L6-v2",
        "dimension": 384,
        "space": "l2",
        "statistics_bytes": 0,
    }


def test_an_empty_database_and_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, "collections", "--db", str(tmp_path / "none"))
    assert (code, out) == (0, "")
    assert "holds no collection; make one with `lsb-rag index`" in err
    assert json.loads(call(capsys, "collections", "--db", str(tmp_path / "none"), "--json")[1])["collections"] == []
    assert not (tmp_path / "none").exists()


def test_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with chroma_server(tmp_path / "served") as (client, _):
        url = url_of(client)
        PassageStore(url, "manual").add(MANUAL)
        assert "manual: 7 passages" in call(capsys, "collections", "--db", url)[1]
        assert json.loads(call(capsys, "collections", "--db", url, "--json")[1])["bytes"] is None
        assert list((tmp_path / "cache").rglob("*-words.sqlite3"))
        assert call(capsys, "delete", "manual", "--db", url, "--yes")[0] == 0
        assert client.count_collections() == 0
        assert not list((tmp_path / "cache").rglob("*-words.*"))


def test_a_collection_goes_with_its_statistics(
    store: PassageStore, db: str, foreign: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store.fit()
    files = Path(db) / "lsb_rag"
    assert list(files.glob(f"{store.collection.id}-*"))
    code, _, err = call(capsys, "delete", "manual", "--db", db)  # no terminal
    assert code == 2
    assert "say so with --yes" in " ".join(err.split())
    typed(monkeypatch, "n")
    code, _, err = call(capsys, "delete", "manual", "--db", db)
    assert code == 1
    assert "Delete the collection 'manual' with its 7 passages?" in err
    assert "Nothing was deleted." in err
    assert names(db) == ["manual", "theirs"]
    typed(monkeypatch, "y")
    code, out, err = call(capsys, "delete", "manual", "--db", db)
    assert (code, out.strip()) == (0, "")
    assert "manual is deleted, 7 passages and its statistics." in err
    assert names(db) == ["theirs"]
    assert not list(files.glob(f"{store.collection.id}-*"))


def test_what_another_program_filled_is_deleted_only_by_its_name(
    db: str, foreign: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, err = call(capsys, "delete", foreign, "--db", db)
    assert code == 2
    assert "Another program filled it" in " ".join(err.split())
    typed(monkeypatch, "y")
    code, _, err = call(capsys, "delete", foreign, "--db", db)
    assert code == 1
    assert "Another program filled it, and may need it." in err
    assert foreign in names(db)
    typed(monkeypatch, foreign)
    assert call(capsys, "delete", foreign, "--db", db)[0] == 0
    assert names(db) == ["manual"]


def test_the_passages_that_match(store: PassageStore, db: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert store.bridge.statistics.df("lunch") == 1
    notices = ("delete", "manual", "--db", db, "--where", '{"kind": "notice"}')
    code, _, err = call(capsys, *notices)
    assert code == 2
    assert "This deletes 2 passages of 'manual'" in " ".join(err.split())
    code, _, err = call(capsys, *notices, "--yes")
    assert code == 0
    assert "2 passages deleted; manual holds 5." in err
    assert json.loads(call(capsys, *notices, "--json")[1]) == {"collection": "manual", "deleted": 0, "left": 5}
    assert store.bridge.statistics.n_passages == 5
    assert store.bridge.statistics.df("lunch") == 0


def test_of_another_programs_collection_too(
    db: str, foreign: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    old = ("delete", foreign, "--db", db, "--where", '{"source": "old.html"}')
    typed(monkeypatch, "yes")
    code, _, err = call(capsys, *old)
    assert code == 1
    assert "This deletes 1 passage of 'theirs'. Another program" in err
    assert json.loads(call(capsys, *old, "--yes", "--json")[1]) == {"collection": foreign, "deleted": 1, "left": 6}


@pytest.mark.parametrize(
    ("arguments", "expected", "message"),
    [
        (["none"], 1, "There is no collection 'none' in"),
        (["manual", "--where", "kind=notice"], 2, "is no JSON"),
        (["manual", "--where", "{}"], 2, "selects nothing"),
        (["manual", "--where", '["kind"]'], 2, "selects nothing"),
        (["manual", "--where", '{"$nonsense": 1}'], 1, "Listing the collection failed"),
    ],
)
def test_mistakes_delete_nothing(
    db: str, capsys: pytest.CaptureFixture[str], arguments: list[str], expected: int, message: str
) -> None:
    code, out, err = call(capsys, "delete", *arguments, "--yes", "--db", db)
    assert (code, out) == (expected, "")
    assert message in " ".join(err.split())
    assert "Traceback" not in err
    found = json.loads(call(capsys, "collections", "--db", db, "--json")[1])
    assert [(one["name"], one["passages"]) for one in found["collections"]] == [("manual", len(MANUAL))]


def test_check(store: PassageStore, db: str, capsys: pytest.CaptureFixture[str]) -> None:
    store.fit()
    code, out, err = call(capsys, "check", "-c", "manual", "--db", db)
    assert (code, out) == (0, "")
    assert "manual: 7 of 7 passages compared, no damage found." in err
    store.collection.update(["pump"], documents=["another text"], embeddings=[[1.0] * 384])
    code, out, _ = call(capsys, "check", "--db", db)
    assert code == 1
    assert out.startswith("1 of 7 texts are not those that were counted.")
    code, out, _ = call(capsys, "check", "--db", db, "--json")
    assert code == 1
    assert len(json.loads(out)["problems"]) == 2
    (Path(db) / "chroma.sqlite3").write_bytes(b"SQLite format 3\0" + bytes(9000))
    code, out, _ = call(capsys, "check", "--db", db)
    assert code == 1
    assert "Restore the database from a copy" in out
