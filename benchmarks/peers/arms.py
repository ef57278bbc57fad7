"""The arms that are compared: LexSemBridge's own, those of two frameworks, and SPLADE."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.peers.kept import Collection
from benchmarks.peers.splade import Splade, SpladeIndex
from lsb_rag.evaluation import ARMS, build_arms, convex_fusion, reciprocal_rank_fusion

if TYPE_CHECKING:
    from benchmarks.peers.frameworks import LangChain, LlamaIndex

Search = Callable[[Sequence[str], int], list[list[str]]]
"""From queries and k to the ids of the k best passages of each, best first."""
CANDIDATES = 100
OWN = ("vanilla", "vanilla+rerank", "bm25", "hybrid", "hybrid-convex", "lsb-vector", "lsb")
FAMILIES: dict[str, tuple[float, ...]] = {
    "langchain": (0.1, 0.3, 0.5, 0.7, 0.9),
    "llamaindex": (0.1, 0.3, 0.5, 0.7, 0.9),
    "splade": (0.1, 0.3, 0.5, 0.8, 1.2),
}
"""Weights that ``choose`` tries: of BM25 in the frameworks, the dense ranking having the rest; of SPLADE's share of the
best score beside the cosine."""
CHOSEN: dict[str, float] = {"langchain": 0.1, "llamaindex": 0.7, "splade": 1.2}
"""Those that it found best; SPLADE's on ``identifiers`` and ``codelist`` alone."""
LABELS: dict[str, str] = {
    **ARMS,
    "langchain": "LangChain, defaults",
    "langchain-chosen": "LangChain, chosen",
    "llamaindex-bm25": "LlamaIndex BM25",
    "llamaindex": "LlamaIndex, defaults",
    "llamaindex-rrf": "LlamaIndex, RRF",
    "llamaindex-chosen": "LlamaIndex, chosen",
    "splade": "SPLADE-tiny",
    "splade-rrf": "SPLADE-tiny, RRF",
    "splade-convex": "SPLADE-tiny, convex",
}
"""All arms, with their labels in tables."""
FEW = ("vanilla", "hybrid-convex", "lsb")
"""Arms that are compared over other backbones than MiniLM."""


@dataclass
class Peers:
    """The arms over one collection; what each needs is made when it is first asked for.

    :param embed_query: From a query to its vector.
    """

    of: Collection
    embed_query: Callable[[str], Any]
    splade: Splade

    @cached_property
    def langchain(self) -> LangChain:
        """LangChain's retrievers."""
        from benchmarks.peers.frameworks import LangChain

        return LangChain(self.of.one.name, self.of.ids, self.of.texts, self.of.vectors, self.embed_query)

    @cached_property
    def llama_index(self) -> LlamaIndex:
        """LlamaIndex's retrievers."""
        from benchmarks.peers.frameworks import LlamaIndex

        return LlamaIndex(self.of.one.name, self.of.ids, self.of.texts, self.of.vectors, self.embed_query)

    @cached_property
    def sparse(self) -> SpladeIndex:
        """SPLADE's index."""
        return SpladeIndex(self.splade, self.of.ids, self.splade.passages(self.of.one.name, self.of.texts))

    def are_kept(self, name: str) -> bool:
        """Whether an arm finds all its vectors kept."""
        return not name.startswith("splade") or self.splade.is_kept(self.of.one.name, self.of.texts)

    def __getitem__(self, name: str) -> Search:
        """Return an arm by its name."""
        if name in OWN:
            [arm] = build_arms(self.of.store, [name]).values()
            return lambda queries, k: [[hit.id for hit in hits] for hits in arm(queries, k)]
        return {
            "langchain": lambda: self.langchain.ensemble(),
            "langchain-chosen": lambda: self.weighted("langchain"),
            "llamaindex-bm25": lambda: self.llama_index.bm25,
            "llamaindex": lambda: self.llama_index.fusion(),
            "llamaindex-rrf": lambda: self.llama_index.fusion("reciprocal_rerank"),
            "llamaindex-chosen": lambda: self.weighted("llamaindex"),
            "splade": lambda: self._splade_alone,
            "splade-rrf": lambda: self._splade_rrf,
            "splade-convex": lambda: self.weighted("splade"),
        }[name]()

    def weighted(self, family: str, weight: float | None = None) -> Search:
        """Return the arm of :data:`FAMILIES` with a weight, by default the chosen one."""
        weight = CHOSEN[family] if weight is None else weight
        if family == "langchain":
            return self.langchain.ensemble(weight)
        if family == "llamaindex":
            return self.llama_index.fusion("relative_score", weight)
        return self._splade_convex(weight)

    def _splade_alone(self, queries: Sequence[str], k: int) -> list[list[str]]:
        return [list(found) for found in self.sparse.search(queries, k)]

    def _splade_rrf(self, queries: Sequence[str], k: int) -> list[list[str]]:
        sparse = self.sparse.search(queries, CANDIDATES)
        dense = [self._dense(query, {}) for query in queries]
        return [
            reciprocal_rank_fusion([list(cosines), list(scores)])[:k]
            for cosines, scores in zip(dense, sparse, strict=True)
        ]

    def _splade_convex(self, weight: float) -> Search:
        def search(queries: Sequence[str], k: int) -> list[list[str]]:
            sparse = self.sparse.search(queries, CANDIDATES)
            return [
                convex_fusion(self._dense(query, scores), scores, weight)[:k]
                for query, scores in zip(queries, sparse, strict=True)
            ]

        return search

    def _dense(self, query: str, also: Mapping[str, float]) -> dict[str, float]:
        """Return the cosines of the best passages, best first, and of those in `also`."""
        cosines = self.of.vectors @ self.embed_query(query)
        best = np.argsort(-cosines, kind="stable")[:CANDIDATES]
        found = {self.of.ids[row]: float(cosines[row]) for row in best}
        return found | {id: float(cosines[self._rows[id]]) for id in also if id not in found}

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {id: row for row, id in enumerate(self.of.ids)}
