from __future__ import annotations

import subprocess
import sys

import pytest

from lsb_rag.demo.corpus import build_demo_corpus, demo_modules
from lsb_rag.errors import ReadError


@pytest.fixture(scope="module")
def corpus() -> dict[str, str]:
    return {passage.id: passage.content for passage in build_demo_corpus()}


def test_size_ids_and_text(corpus: dict[str, str]) -> None:
    assert 2_300 <= len(corpus) <= 2_700
    run = corpus["subprocess.run#0"]
    assert run.startswith("subprocess.run\nrun(*popenargs,")
    assert "CompletedProcess" in run
    status = "\n".join(text for id, text in corpus.items() if id.startswith("http.HTTPStatus#"))
    assert "NOT_FOUND = 404: Nothing matches" in status
    assert max(map(len, corpus.values())) < 1000


def test_the_corpus_does_not_depend_on_what_is_imported_or_where_it_runs(corpus: dict[str, str]) -> None:
    code = (
        "import json, transformers, logging; logging.getLogger('x').addHandler(logging.NullHandler());"
        "from lsb_rag.demo.corpus import build_demo_corpus;"
        "print(json.dumps({p.id: p.content for p in build_demo_corpus()}))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd="/")  # noqa: S603
    import json

    assert json.loads(done.stdout) == corpus
    assert not [id for id, text in corpus.items() if " at 0x" in text or sys.prefix in text]


def test_modules_are_chosen_by_name() -> None:
    assert "subprocess" in demo_modules()
    chosen = build_demo_corpus(["heapq", "no_such_module"])
    assert {passage.id.split("#")[0].split(".")[0] for passage in chosen} == {"heapq"}
    assert build_demo_corpus([]) == []


def test_a_python_that_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with pytest.raises(ReadError, match="Cannot read the docstrings"):
        build_demo_corpus()
