"""Everything but a model that runs here works where PyTorch is not installed; what does not, says what to install."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lsb_rag import LexSemBridgeEncoder

from ..conftest import MANUAL
from ..embedding_server import embedding_server

HEAVY = ("torch", "transformers", "sentence_transformers", "openvino", "onnx")
HIDING = f"""
from importlib.machinery import PathFinder
real = PathFinder.find_spec
def found(_, name, *given):
    return None if name.split(".")[0] in {HEAVY} else real(name, *given)
PathFinder.find_spec = classmethod(found)
"""
Python = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables for a Python that finds none of these packages."""
    folder = tmp_path_factory.mktemp("without")
    (folder / "sitecustomize.py").write_text(HIDING)
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, "OPENAI_API_KEY": "sk-none", "HF_HUB_OFFLINE": "1"}


@pytest.fixture
def python(environment: dict[str, str]) -> Python:
    def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environment | more, check=False)  # noqa: S603

    return run


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with embedding_server() as server:
        yield server.url


def corpus(folder: Path) -> Path:
    file = folder / "corpus.jsonl"
    rows = [{"_id": passage.id, "title": passage.title, "text": passage.text} for passage in MANUAL]
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


def test_the_commands_over_a_provider(python: Python, url: str, tmp_path: Path, environment: dict[str, str]) -> None:
    db = ["-c", "manuals", "--db", str(tmp_path / "db")]

    def command(*arguments: str) -> str:
        done = python("-m", "lsb_rag", *arguments, *db)
        assert done.returncode == 0, done.stderr
        return done.stdout

    command("index", str(corpus(tmp_path)), "--backbone", f"openai:small@{url}")
    assert json.loads(command("search", "E-4012", "--json"))["hits"][0]["id"] == "pump"
    assert "4012" in command("explain", "what does E-4012 mean")
    assert "inlet is blocked" in command("ask", "what does E-4012 mean")
    questions = tmp_path / "questions.jsonl"
    asked = [{"question": f"what does {p.title} mean", "reference_ids": [p.id]} for p in MANUAL if p.title]
    questions.write_text("\n".join(map(json.dumps, asked)))
    report = command("evaluate", str(questions), "--answers", "--out", str(tmp_path / "report"))
    assert "LexSemBridge" in report

    serving = [sys.executable, "-m", "lsb_rag", "ui", *db, "--port", "0"]
    with subprocess.Popen(serving, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as page:  # noqa: S603
        try:
            assert page.stdout is not None
            assert page.stderr is not None
            address = next(word for line in page.stderr for word in line.split() if word.startswith("http://"))
            with urllib.request.urlopen(address.rstrip(".")) as answer:  # noqa: S310
                assert b"manuals" in answer.read()
        finally:
            page.terminate()


PROGRAM = """
import sys
import numpy as np
from lsb_rag import Embedder, LexSemBridgeEncoder, PassageStore, Retriever
from lsb_rag.errors import MissingExtraError
from langchain_lexsembridge import LexSemBridgeEmbeddings, LexSemBridgeRetriever
from llama_index.embeddings.lexsembridge import LexSemBridgeEmbedding
from llama_index.retrievers.lexsembridge import LexSemBridgeRetriever as OfLlamaIndex

def embed(texts):
    return [np.bincount([hash(word) % 97 for word in text.split()], minlength=97) + .1 for text in texts]

encoder = LexSemBridgeEncoder(embed, name="words")
store = PassageStore(sys.argv[1], "texts", encoder)
store.add(["E-4012: the inlet is blocked", "E-4013: the outlet is blocked", "lunch is at noon"])
assert "inlet" in Retriever(store).search("what does E-4012 mean")[0].text
assert Retriever(store).explain("what does E-4012 mean").effects
assert "inlet" in LexSemBridgeRetriever(store=store).invoke("what does E-4012 mean")[0].page_content
assert "inlet" in OfLlamaIndex(store=store).retrieve("what does E-4012 mean")[0].text
assert Embedder(encoder, collection=store).embed_query("E-4012").shape == (97,)

import lsb_rag
for wanted in (
    lambda: LexSemBridgeEncoder(sys.argv[2]),
    lambda: LexSemBridgeEncoder.load(sys.argv[2]),
    lambda: lsb_rag.LearnedBridge(3, 4),
    lambda: lsb_rag.load_authors_checkpoint(sys.argv[2]),
    lambda: __import__("lsb_rag.training").training.train,
):
    try:
        wanted()
    except MissingExtraError as error:
        assert "needs torch, transformers, sentence_transformers: `pip install 'lsb-rag[" in str(error), error
    else:
        raise AssertionError("nothing was missing")
assert not [name for name in ("torch", "transformers") if sys.modules.get(name)]
print("done")
"""


def test_a_program_over_functions(python: Python, tmp_path: Path, tiny_backbone: Path) -> None:
    graphs = {"LSB_RAG_GRAPHS": str(tmp_path / "none")}
    done = python("-c", PROGRAM, str(tmp_path / "db"), str(tiny_backbone), PYTHONHASHSEED="0", **graphs)
    assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr


def test_a_backbone_that_was_exported(python: Python, tmp_path: Path, encoder: LexSemBridgeEncoder) -> None:
    query = f"import lsb_rag; print(lsb_rag.LexSemBridgeEncoder(device='cpu').embed_query({MANUAL[0].text!r})[:3])"
    done = python("-c", query)
    assert done.stdout.strip() == str(LexSemBridgeEncoder(device="cpu").embed_query(MANUAL[0].text)[:3]), done.stderr
    needs = "import lsb_rag; lsb_rag.LexSemBridgeEncoder(device='cpu').model"
    assert "lsb-rag[local]" in python("-c", needs).stderr
    command = ["-m", "lsb_rag", "index", str(corpus(tmp_path)), "--db", str(tmp_path / "db"), "-c"]
    assert python(*command, "one").returncode == 0
    done = python(*command, "another", LSB_RAG_GRAPHS=str(tmp_path / "none"))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert "pip install 'lsb-rag[local]'" in done.stderr
