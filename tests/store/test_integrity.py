"""Damage of Chroma's own files is found, and ends nobody's process."""

from __future__ import annotations

import random
import shutil
import sqlite3
from pathlib import Path

import chromadb
import numpy as np
import pytest

from lsb_rag import LexSemBridgeEncoder, PassageStore
from lsb_rag.errors import CollectionNotFoundError
from lsb_rag.store.integrity import check_collection, compare

N = 1100  # Chroma keeps the first thousand in the files of its index


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, tiny_backbone: Path) -> Path:
    folder = tmp_path_factory.mktemp("checked")
    with PassageStore(folder, "codes", LexSemBridgeEncoder(tiny_backbone, device="cpu")) as store:
        store.add([f"E-{n}: belt {n % 7} of pump P-{n % 90}" for n in range(N)])
        store.fit()
    return folder


@pytest.fixture
def folder(filled: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(filled, tmp_path / "db"))


def level0(folder: Path) -> Path:
    (file,) = folder.glob("*/data_level0.bin")
    return file


def test_a_sound_collection(folder: Path) -> None:
    told: list[tuple[int, int]] = []
    found = check_collection(folder, "codes", progress=lambda done, total: told.append((done, total)))
    assert (found.passages, found.compared, found.problems) == (N, 1000, [])
    assert told[-1] == (1000, 1000)
    assert compare(folder, "codes", sample=None).compared == N
    with pytest.raises(CollectionNotFoundError, match="codes"):
        check_collection(folder, "none")


def test_an_index_that_was_cut_off(folder: Path) -> None:
    file = level0(folder)
    file.write_bytes(file.read_bytes()[:1000])
    problems = check_collection(folder, "codes").problems
    assert problems
    assert all("Restore the database from a copy" in one or "index its documents again" in one for one in problems)


def test_an_index_with_other_bytes(folder: Path) -> None:
    file, dice = level0(folder), random.Random(3)
    content = bytearray(file.read_bytes())
    for _ in range(3000):
        content[dice.randrange(len(content))] = dice.randrange(256)
    file.write_bytes(content)
    assert check_collection(folder, "codes", sample=None).problems


def test_a_damaged_database_is_a_sentence(folder: Path) -> None:
    file, dice = folder / "chroma.sqlite3", random.Random(4)
    content = bytearray(file.read_bytes())
    for _ in range(3000):
        content[dice.randrange(len(content))] ^= 255
    file.write_bytes(content)
    (problem,) = check_collection(folder, "codes").problems
    assert "Restore the database from a copy" in problem


def test_a_process_that_ends_is_a_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "sitecustomize.py").write_text("import os; os.abort()")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    (problem,) = check_collection(folder, "codes").problems
    assert problem.startswith("Reading it ended the process (SIGABRT)")


def test_texts_vectors_and_statistics_are_told_apart(folder: Path, tiny_backbone: Path) -> None:
    raw = chromadb.PersistentClient(folder).get_collection("codes", embedding_function=None)
    ids = raw.get(limit=5)["ids"]
    raw.update(ids[:2], embeddings=np.eye(32, dtype=np.float32)[:2])
    raw.update(ids[2:5], documents=["another"] * 3, embeddings=raw.get(ids[2:5], include=["embeddings"])["embeddings"])
    assert [problem.split(" not")[0] for problem in compare(folder, "codes", sample=None).problems] == [
        "3 of 1,100 texts are",
        "2 of 1,100 vectors are",
    ]
    (statistics,) = (folder / "lsb_rag").glob("*.sqlite3")
    database = sqlite3.connect(statistics)
    with database:
        database.execute("UPDATE records SET length = length + 1 WHERE number = 7")
    database.close()
    assert "are damaged (a row of records" in compare(folder, "codes").problems[0]
    for file in (folder / "lsb_rag").glob("*"):
        file.unlink()
    assert "no statistics yet" in compare(folder, "codes").problems[0]
