from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from llama_index.core.base.base_retriever import BaseRetriever as LlamaIndexRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from rich.console import Console

from lsb_rag import Passage, PassageStore, Retriever
from lsb_rag.cli.console import show_evaluation
from lsb_rag.errors import InvalidInputError, InvalidTypeError
from lsb_rag.evaluation import Dataset, Evaluation, Query, evaluate, headline, report, summary, write_report
from lsb_rag.evaluation.reports.wording import notes

from ..conftest import MANUAL
from .evaluations import DATASET, Answering

BY_ID = {passage.id: passage for passage in MANUAL}
RIGHT = ["pump", "lunch", "valve"]


class OfLangChain(BaseRetriever):
    ids: list[str]

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        return [Document(BY_ID[id].text) for id in self.ids]


class OfLlamaIndex(LlamaIndexRetriever):
    def __init__(self, ids: Sequence[str]) -> None:
        self.ids = ids
        super().__init__()

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        nodes = [TextNode(text=BY_ID[id].content) for id in self.ids]
        return [NodeWithScore(node=node, score=1.0 / rank) for rank, node in enumerate(nodes, start=1)]


async def later(query: str, k: int) -> list[str]:
    await asyncio.sleep(0)
    return RIGHT[:k]


def one_by_one(query: str, k: int) -> Iterator[str]:
    yield from RIGHT[:k]


WAYS: dict[str, Any] = {
    "LangChain": OfLangChain(ids=RIGHT),
    "LlamaIndex": OfLlamaIndex(RIGHT),
    "ids": lambda query, k: RIGHT[:k],
    "texts": lambda query, k: [BY_ID[id].text for id in RIGHT],
    "with distances": lambda query, k: [(Document(BY_ID[id].content), n / 10) for n, id in enumerate(RIGHT)],
    "generator": one_by_one,
    "async": later,
}


def measured(store: PassageStore, retriever: Any) -> Evaluation:
    return evaluate(store, DATASET, arms=["lsb"], k=3, retrievers={"mine": retriever})


@pytest.mark.parametrize("way", WAYS)
def test_retrievers_of_every_kind(store: PassageStore, way: str) -> None:
    found = measured(store, WAYS[way])
    assert {id: [hit.id for hit in hits] for id, hits in found.arms["mine"].hits.items()} == dict.fromkeys(
        ["q1", "q2", "k1"], RIGHT
    )
    assert found.arms["mine"].values["mrr@10"] == {"q1": 1.0, "q2": 1 / 2, "k1": pytest.approx(1 / 3)}
    assert len(found.arms["mine"].seconds) == 3
    assert "mine" in summary(found)["arms"]
    assert "| mine |" in report(found)


def test_ours_under_other_settings(store: PassageStore) -> None:
    found = measured(store, Retriever(store))
    assert found.arms["mine"].values == found.arms["lsb"].values
    assert "LexSemBridge cannot be told, with so few queries, from the next best arm, mine" in headline(found)


def test_the_reader_is_told_what_a_retriever_did(store: PassageStore) -> None:
    def unsteady(query: str, k: int) -> list[str]:
        if query == "when is lunch":
            raise ConnectionError("no route, api_key=sk-secret-of-mine")
        return ["pump", "a passage of elsewhere"]

    found = measured(store, unsteady)
    said = " ".join(notes(found))
    assert "mine failed on 1 queries, which count as nothing found; the last said ConnectionError: no route" in said
    assert "sk-secret-of-mine" not in said
    assert "2 passages that mine returned are not in the collection." in said
    assert "mine returned 2 passages per query at most, where the measures look at 3" in said
    assert found.arms["mine"].values["mrr@10"] == {"q1": 1.0, "q2": 0.0, "k1": 0.0}


def test_its_name_is_text_in_every_report(store: PassageStore, tmp_path: Path) -> None:
    name = "mine|<b>[bold]"
    found = evaluate(store, DATASET, arms=["lsb"], k=3, retrievers={name: WAYS["ids"]})
    assert "| mine\\|&lt;b&gt;[bold] |" in report(found)
    write_report(found, store, tmp_path)
    assert "<td>mine|&lt;b&gt;[bold]</td>" in (tmp_path / "report.html").read_text("utf-8")
    console = Console(width=200, file=io.StringIO(), color_system=None)
    show_evaluation(console, found)
    assert name in console.file.getvalue()  # type: ignore[attr-defined]


def test_an_asynchronous_retriever_keeps_its_loop(store: PassageStore) -> None:
    loops = set()

    async def on_a_loop(query: str, k: int) -> list[str]:
        loops.add(asyncio.get_running_loop())
        return RIGHT

    measured(store, on_a_loop)
    assert len(loops) == 1


def test_passages_with_equal_scores_are_tied_however_they_are_returned(store: PassageStore) -> None:
    same = measured(store, lambda query, k: [(id, 0.5) for id in RIGHT]).arms["mine"].values["hit@1"]
    assert same == pytest.approx(dict.fromkeys(["q1", "q2", "k1"], 1 / 3))
    rising = measured(store, lambda query, k: [("lunch", 0.1), ("pump", 0.4), ("valve", 0.4)])  # distances
    assert rising.arms["mine"].values["hit@5"] == dict.fromkeys(["q1", "q2", "k1"], 1.0)
    assert rising.arms["mine"].values["mrr@10"]["q1"] == pytest.approx((1 / 2 + 1 / 3) / 2)


def test_copies_take_no_place_of_a_retriever_of_ones_own(store: PassageStore) -> None:
    before = measured(store, Retriever(store, vanilla=True)).arms["mine"].values
    store.add([replace(passage, id=f"{n}-{passage.id}") for passage in MANUAL for n in range(4)])
    found = measured(store, Retriever(store, vanilla=True))
    assert found.arms["mine"].values == before == found.arms["vanilla"].values
    assert all(len(hits) == 3 for hits in found.arms["mine"].hits.values())
    assert measured(store, lambda query, k: ["pump"] * k).arms["mine"].values["hit@1"]["q1"] == 1


def test_passages_of_elsewhere_keep_their_places(store: PassageStore) -> None:
    long = "The same long header that all passages of elsewhere begin with, number "
    found = measured(
        store, lambda query, k: [*(Document(f"{long}{n}") for n in range(5)), Document(BY_ID["pump"].text)]
    )
    assert found.arms["mine"].values["mrr@10"]["q1"] == 0  # sixth of three
    found = evaluate(
        store, DATASET, arms=[], retrievers={"mine": lambda q, k: [f"{long}{n}" for n in range(5)] + RIGHT}
    )
    assert found.arms["mine"].values["mrr@10"]["q1"] == pytest.approx(1 / 6)


def test_a_shared_text_is_told_by_its_title(store: PassageStore) -> None:
    store.add([Passage("Returns the value.", id=f"{name}-get", title=f"{name}.get") for name in ("alpha", "beta")])
    dataset = Dataset("titles", [Query("q", "beta.get")], {"q": {"beta-get": 1}})
    document = Document("Returns the value.", metadata={"title": "beta.get"})
    found = evaluate(store, dataset, arms=[], retrievers={"mine": lambda query, k: [document]})
    assert found.arms["mine"].values["hit@1"]["q"] == 1


def test_chains_and_lazy_retrievers(store: PassageStore) -> None:
    asked = 0

    def lazily(query: str, k: int) -> Iterator[str]:
        nonlocal asked
        asked += 1
        if asked == 2:
            raise ConnectionError("no route")
        time.sleep(0.01)
        yield from RIGHT

    found = measured(store, lazily)
    assert "mine failed on 1 queries" in " ".join(notes(found))
    assert found.arms["mine"].latency_ms(50) >= 10
    retriever = OfLangChain(ids=RIGHT)
    fewer = RunnableLambda(lambda documents: documents[:2])
    for chain in (
        retriever | fewer,
        retriever.with_retry(),
        retriever.with_fallbacks([retriever]),
        retriever.with_config(),
    ):
        assert measured(store, chain).arms["mine"].values["hit@1"]["q1"] == 1
    nothing = measured(store, lambda query, k: None if query == "when is lunch" else RIGHT)
    assert nothing.arms["mine"].hits["q2"] == []


def failing(query: str, k: int) -> list[str]:
    raise ConnectionError("no route")


@pytest.mark.parametrize(
    ("retriever", "error", "said"),
    [
        (failing, InvalidInputError, "failed on the first 3 queries; the last said ConnectionError: no route"),
        (lambda query, k: ["of elsewhere"], InvalidInputError, "None of the 3 passages that the retriever 'mine'"),
        (lambda query, k: "pump", InvalidTypeError, "must return a list of ids"),
        (lambda query, k: set(RIGHT), InvalidTypeError, "must return a list of ids"),
        (lambda query, k: {"ids": [RIGHT]}, InvalidTypeError, "must return a list of ids"),
        (lambda query, k: [7], InvalidTypeError, "must return ids, texts, documents or nodes, not 7"),
        ("mine.retriever", InvalidTypeError, "must be a retriever of LangChain's or LlamaIndex's"),
        (OfLlamaIndex, InvalidTypeError, "must be a retriever of LangChain's or LlamaIndex's"),
    ],
)
def test_what_is_no_retriever_is_refused(
    store: PassageStore, retriever: Any, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        measured(store, retriever)


@pytest.mark.parametrize("name", ["lsb", "BM25", " ", 7])
def test_the_name_is_its_own(store: PassageStore, name: Any) -> None:
    with pytest.raises((InvalidInputError, InvalidTypeError)):
        evaluate(store, DATASET, arms=[], retrievers={name: WAYS["ids"]})


def test_an_arm_has_answers_and_intervals_as_ours(store: PassageStore) -> None:
    found = evaluate(store, DATASET, arms=[], k=3, retrievers={"mine": WAYS["ids"]}, generator=Answering())
    assert set(found.arms["mine"].answers) == {"q1", "q2", "k1"}
    assert {one.arm for one in found.comparisons} == {"mine"}
    assert headline(found).startswith("mine cannot be told, with so few queries, from vanilla dense")
