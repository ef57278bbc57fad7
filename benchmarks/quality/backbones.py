"""Measure the method over other embedding models, and whether its default settings hold there.

    python -m benchmarks.quality.backbones MODELS squad=FOLDER cranfield=FOLDER --kept KEPT --halves squad

MODELS is the folder that ``python -m benchmarks.models MODELS`` fills. FOLDER is in BEIR layout with ``metadata.kind``;
spans of passages are not asked. KEPT is a folder in which vectors are kept between runs. Search is exact.

For each backbone and set it prints length and spread of the vectors, and MRR@10 by kind of query: of vanilla, of the
hybrids, of the vector alone and of LexSemBridge, with the 95 % interval of what the last gains over vanilla and over
the best of the others. For a set after ``--halves``: what the best setting of a grid, chosen on one half of the
queries, gains on the other over the default. Then what settings that follow the spread of the vectors gain over those
that were chosen with MiniLM, and what a bridge without a background loses.

With ``set=FOLDER@N``, N of the passages are kept: those that answer a query kept, and others drawn at random.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.models import e5, mpnet
from benchmarks.quality.heads import embedded
from lsb_rag import CorpusBridge, CorpusStatistics, LexSemBridgeEncoder, Passage
from lsb_rag.backbones.spread import UNRELATED, spread_of
from lsb_rag.bridge.base import DEFAULT_STRENGTH
from lsb_rag.bridge.corpus import RIDGE
from lsb_rag.bridge.weighting import slr
from lsb_rag.evaluation import Query, read_beir
from lsb_rag.evaluation.baselines import Bm25, convex_fusion, reciprocal_rank_fusion
from lsb_rag.evaluation.significance import PairedDifference, paired_difference
from lsb_rag.lexical.background_frequency import BackgroundFrequency
from lsb_rag.lexical.units import words
from lsb_rag.reading import read_passages
from lsb_rag.rerank import LexicalRerank
from lsb_rag.retriever import CANDIDATES, RERANK_WEIGHT

BACKBONES = ("minilm", "mpnet", "e5")
STRENGTH = DEFAULT_STRENGTH["residual"]
STRENGTHS = (0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.6)
WEIGHTS = (0.1, 0.2, 0.3, 0.4, 0.6, 0.8)
RIDGES = (0.3, 1.0, 3.0)
LEFT_OUT = "part_of_passage"
PEERS = ("BM25", "hybrid RRF", "hybrid convex")

Background = Literal["vocabulary", "empty", "none"]
"""How common words are in any text: by MiniLM's vocabulary, not known (``BackgroundFrequency()``), or by idf alone."""
Backgrounds = Mapping[Background, BackgroundFrequency | None]
Vectors = NDArray[np.float32]
PerQuery = NDArray[np.float64]
"""Reciprocal rank of each query, 0 beyond rank 10."""


@dataclass
class Texts:
    """One side of a model, passages or queries, as :func:`benchmarks.quality.heads.embedded` takes it."""

    dimension: int
    encode: Callable[[Sequence[str]], Vectors]

    def encode_document(self, texts: Sequence[str]) -> Vectors:
        """Return a vector for each text."""
        return np.asarray(self.encode(texts), np.float32)


@dataclass
class Backbone:
    """A model, loaded when something is to be embedded.

    :param models: The folder it is in.
    :param kept: Where vectors are kept.
    """

    name: str
    models: Path
    kept: Path

    @cached_property
    def _encoder(self) -> LexSemBridgeEncoder:
        return LexSemBridgeEncoder(*([mpnet(self.models)] if self.name == "mpnet" else []), device="cpu")

    @cached_property
    def _sides(self) -> tuple[Texts, Texts]:
        if self.name == "e5":
            engine = e5(self.models)
            return Texts(engine.dim, engine.passage), Texts(engine.dim, engine.query)
        encoder = self._encoder
        return Texts(encoder.dimension, encoder.encode_document), Texts(encoder.dimension, encoder.embed_query)

    def vectors(self, name: str, texts: Iterable[str], side: int = 0) -> Vectors:
        """Return the vectors of passages, or of queries with `side` 1, kept in a file of that name."""
        file = self.kept / f"{self.name}-{name}{'-queries' * side}.npy"
        passages = [Passage(text) for text in texts]
        if file.is_file() and len(np.load(file, mmap_mode="r")) == len(passages):
            return np.asarray(np.load(file), np.float32)
        side_of: Any = self._sides[side]
        return embedded(side_of, passages, file)

    def emphasis(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the factor on the strength of each query; 1 where the tokenizer is not known."""
        if self.name == "e5":
            return np.ones(len(texts))
        return self._encoder.unread.emphasis(texts)

    @cached_property
    def spread(self) -> float:
        """How far apart its vectors of unrelated texts lie, by which the library scales bridge and rerank."""
        return spread_of(self.vectors("unrelated", UNRELATED))


@dataclass
class Asked:
    """A set, whatever the backbone.

    :param relevant: Rows of the relevant passages of each query.
    """

    name: str
    ids: list[str]
    texts: list[str]
    queries: list[Query]
    relevant: list[frozenset[int]]
    units: list[list[str]]
    query_units: list[list[str]]
    lexical: dict[Background, Lexical] = field(default_factory=dict)

    @cached_property
    def bm25(self) -> list[dict[str, float]]:
        """BM25's best passages for each query, with their scores."""
        index = Bm25(self.ids, self.texts)
        return [index.search(query.text, CANDIDATES) for query in self.queries]

    def by_kind(self, rows: Iterable[int] | None = None) -> dict[str, list[int]]:
        """Return the rows of the queries of each kind."""
        kinds: dict[str, list[int]] = {}
        for row in range(len(self.queries)) if rows is None else rows:
            kinds.setdefault(self.queries[row].kind, []).append(row)
        return kinds

    def reciprocal(self, ranked: Iterable[Sequence[int]]) -> PerQuery:
        """Return the reciprocal rank of the first relevant row of each ranking."""
        return np.array(
            [
                next((1 / rank for rank, row in enumerate(rows[:10], 1) if row in relevant), 0.0)
                for rows, relevant in zip(ranked, self.relevant, strict=True)
            ]
        )

    def reciprocal_of_ids(self, ranked: Iterable[Sequence[str]]) -> PerQuery:
        """Return the same for rankings of ids."""
        rows = {id: row for row, id in enumerate(self.ids)}
        return self.reciprocal([[rows[id] for id in ids[:10]] for ids in ranked])


class Lexical:
    """The lexical scores of a set, each computed once: they depend on neither backbone nor settings."""

    def __init__(self, one: Asked, statistics: CorpusStatistics, background: BackgroundFrequency | None) -> None:
        self._one = one
        self._rerank = LexicalRerank(words, statistics, background)
        self._known = np.full((len(one.queries), len(one.texts)), np.nan, np.float32)

    def __call__(self, candidates: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the scores of the candidates, rows of passages by query, shape as given."""
        for row, of_query in enumerate(candidates):
            new = of_query[np.isnan(self._known[row, of_query])]
            if len(new):
                texts = [self._one.texts[passage] for passage in new]
                self._known[row, new] = self._rerank.scores(self._one.queries[row].text, texts)
        return np.take_along_axis(self._known, candidates, axis=1).astype(np.float64)


def asked(name: str, folder: Path, kept: int, limit: int) -> Asked:
    """Read a set; `kept` passages of it, 0 for all, and `limit` queries of each kind."""
    passages, dataset = read_passages(folder), read_beir(folder)
    kinds = [kind for kind in dict.fromkeys(query.kind for query in dataset.queries) if kind != LEFT_OUT]
    dataset = dataset.limited(limit, kinds=kinds)
    if kept:
        gold = {id for query in dataset.queries for id in dataset.relevant(query.id)}
        others = sorted({passage.id for passage in passages} - gold)
        drawn = random.Random(0).sample(others, max(0, kept - len(gold)))  # noqa: S311
        passages = [passage for passage in passages if passage.id in gold.union(drawn)]
        name = f"{name}-{kept}"
    rows = {passage.id: row for row, passage in enumerate(passages)}
    queries = [query for query in dataset.queries if any(id in rows for id in dataset.relevant(query.id))]
    texts = [passage.content for passage in passages]
    return Asked(
        name,
        list(rows),
        texts,
        queries,
        [frozenset(rows[id] for id in dataset.relevant(query.id) if id in rows) for query in queries],
        [words(text) for text in texts],
        [words(query.text) for query in queries],
    )


@dataclass(frozen=True)
class Setting:
    """What is searched with.

    :param centred: Whether the mean of the passages is taken from the query's vector first.
    :param by_query: Powers of the distance of the query's vector from the mean of the passages, by which strength and
        weight are multiplied.
    :param modulated: Whether that is the modulated vector's distance, for the weight.
    """

    strength: float = STRENGTH
    weight: float = RERANK_WEIGHT
    ridge: float = RIDGE
    background: Background = "vocabulary"
    centred: bool = False
    by_query: tuple[int, int] = (0, 0)
    modulated: bool = False


AS_OVER_MINILM = Setting()


class Measured:
    """A set over a backbone."""

    def __init__(self, one: Asked, backbone: Backbone, backgrounds: Backgrounds) -> None:
        self.one, self.backbone, self._backgrounds = one, backbone, backgrounds
        self.passages = backbone.vectors(one.name, one.texts)
        self.queries = backbone.vectors(one.name, [query.text for query in one.queries], side=1)
        self.statistics = CorpusStatistics(self.passages.shape[1])
        self.statistics.add(one.units, self.passages)
        self.emphasis = backbone.emphasis([query.text for query in one.queries])
        for name, background in backgrounds.items():
            if name not in one.lexical:
                one.lexical[name] = Lexical(one, self.statistics, background)
        self._directions: dict[tuple[float, Background], NDArray[np.float32]] = {}
        self._found: dict[Setting, tuple[Any, Any, Any]] = {}

    @property
    def default(self) -> Setting:
        """What the library searches with over this backbone."""
        return self.scaled(self.backbone.spread, self.backbone.spread**2)

    def scaled(self, strength: float, weight: float) -> Setting:
        """Return the settings chosen with MiniLM, times factors."""
        return Setting(STRENGTH * strength, RERANK_WEIGHT * weight)

    @cached_property
    def of_passages(self) -> float:
        """Root mean square distance of a passage's vector from their mean: the root of the covariance's trace."""
        return float(np.sqrt(np.trace(self.statistics.covariance)))

    def directions(self, ridge: float, background: Background) -> NDArray[np.float32]:
        """Return the bridge's direction for each query, zeros where it points nowhere."""
        key = (ridge, background)
        if key not in self._directions:
            bridge = CorpusBridge(self.statistics, ridge, units="words", background=self._backgrounds[background])
            found = [bridge.direction(slr(units)) for units in self.one.query_units]
            nowhere = np.zeros(self.statistics.dimension)
            self._directions[key] = np.array([nowhere if c is None else c for c in found], np.float32)
        return self._directions[key]

    def distances(self, vectors: Vectors) -> NDArray[np.float64]:
        """Return how far vectors are from the mean of the passages, 1 at most."""
        return np.asarray(np.minimum(np.linalg.norm(vectors - self.statistics.mean, axis=1), 1.0), np.float64)

    def candidates(self, setting: Setting) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        """Return the best passages of each query by the vector alone, best first, their cosines, and its distance."""
        key = replace(setting, weight=0.0, by_query=(setting.by_query[0], 0), modulated=False)
        if key not in self._found:
            e = self.queries - self.statistics.mean if setting.centred else self.queries
            e = e / np.linalg.norm(e, axis=1, keepdims=True)
            if setting.strength:
                alpha = (setting.strength * self.emphasis * self.distances(self.queries) ** setting.by_query[0])[
                    :, None
                ]
                e = e + alpha * self.directions(setting.ridge, setting.background)
                e = e / np.linalg.norm(e, axis=1, keepdims=True)
            cosines = e.astype(np.float32) @ self.passages.T
            best = np.argsort(-cosines, axis=1, kind="stable")[:, :CANDIDATES]
            of_best = np.take_along_axis(cosines, best, axis=1).astype(np.float64)
            self._found[key] = (best, of_best, self.distances(e))
        return self._found[key]

    def __call__(self, setting: Setting) -> PerQuery:
        """Return the reciprocal ranks with a setting."""
        best, scores, distances = self.candidates(setting)
        if setting.weight:
            apart = distances if setting.modulated else self.distances(self.queries)
            weight = setting.weight * apart[:, None] ** setting.by_query[1]
            scores = scores + weight * self.one.lexical[setting.background](best)
            best = np.take_along_axis(best, np.argsort(-scores, axis=1, kind="stable"), axis=1)
        return self.one.reciprocal(best[:, :10].tolist())

    def peers(self) -> dict[str, PerQuery]:
        """Return the reciprocal ranks of BM25 and of the hybrids, as ``lsb-rag evaluate`` has them."""
        one, rows = self.one, {id: row for row, id in enumerate(self.one.ids)}
        best, cosines, _ = self.candidates(Setting(strength=0, weight=0))
        rrf, convex = [], []
        for row, lexical in enumerate(one.bm25):
            dense = [one.ids[passage] for passage in best[row]]
            rrf.append(reciprocal_rank_fusion([dense, list(lexical)]))
            of_all = dict(zip(dense, cosines[row].tolist(), strict=True))
            missing = [id for id in lexical if id not in of_all]
            of_all |= {id: float(self.passages[rows[id]] @ self.queries[row]) for id in missing}
            convex.append(convex_fusion(of_all, lexical))
        found = (one.reciprocal_of_ids(ranked) for ranked in ([list(scores) for scores in one.bm25], rrf, convex))
        return dict(zip(PEERS, found, strict=True))


def gain(arm: PerQuery, other: PerQuery, rows: Sequence[int]) -> PairedDifference:
    """Return the paired difference of two arms over some queries."""
    return paired_difference({str(row): float(arm[row]) for row in rows}, {str(row): float(other[row]) for row in rows})


def mean_gain(arm: PerQuery, other: PerQuery, kinds: Mapping[str, Sequence[int]]) -> PairedDifference:
    """Return the mean over kinds of query of the paired difference, each kind counting alike.

    The interval is by normal approximation, as kinds differ in their number of queries.
    """
    of_kind = [np.asarray(arm)[rows] - np.asarray(other)[rows] for rows in kinds.values()]
    delta = float(np.mean([one.mean() for one in of_kind]))
    error = float(np.sqrt(sum(one.var(ddof=1) / len(one) for one in of_kind)) / len(of_kind))
    return PairedDifference(delta, delta - 1.96 * error, delta + 1.96 * error, sum(map(len, of_kind)))


def shown(found: PairedDifference) -> str:
    """Return a difference with its interval."""
    return f"{found.delta:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"


def print_row(*cells: object) -> None:
    """Print a row of a Markdown table."""
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def print_head(title: str, *cells: str) -> None:
    """Print the head of a Markdown table."""
    print(f"\n{title}\n")
    print_row(*cells)
    print("|---" * len(cells) + "|")


def print_arms(measured: Sequence[Measured]) -> None:
    """Print MRR@10 of every arm, and what LexSemBridge gains."""
    arms = ("vanilla", *PEERS, "vector only", "LexSemBridge")
    print_head("MRR@10", "set", "kind, n", "backbone", *arms, "over vanilla", "over the best peer")
    for one in measured:
        found = {"vanilla": one(Setting(strength=0, weight=0)), **one.peers()}
        found |= {"vector only": one(replace(one.default, weight=0.0)), "LexSemBridge": one(one.default)}
        for kind, rows in one.one.by_kind().items():
            best = max(PEERS, key=lambda peer: found[peer][rows].mean())
            ours = found["LexSemBridge"]
            print_row(
                *(one.one.name, f"{kind}, {len(rows)}", one.backbone.name),
                *(f"{found[arm][rows].mean():.3f}" for arm in arms),
                shown(gain(ours, found["vanilla"], rows)),
                f"{shown(gain(ours, found[best], rows))} ({best})",
            )


def print_vectors(measured: Sequence[Measured]) -> None:
    """Print lengths and spread of the vectors."""
    print_head(
        "Vectors",
        *(
            "set",
            "backbone",
            "lengths",
            "spread of the passages",
            "spread",
            "passage to passage, mean (sd)",
            "percentiles 1, 50, 99",
        ),
        *("query to passage, mean (sd)", "percentiles 1, 50, 99", "sd of a query's best 100"),
    )
    draw = np.random.default_rng(0)
    for one in measured:
        lengths = np.linalg.norm(np.concatenate([one.passages, one.queries]), axis=1)
        first, second = draw.integers(0, len(one.passages), (2, 20_000))
        between = (one.passages[first] * one.passages[second]).sum(axis=1)[first != second]
        asked_of = draw.integers(0, len(one.queries), 20_000)
        to_passages = (one.queries[asked_of] * one.passages[first]).sum(axis=1)
        of_best = one.candidates(Setting(strength=0, weight=0))[1].std(axis=1).mean()
        print_row(
            *(one.one.name, one.backbone.name, f"{lengths.min():.6f} to {lengths.max():.6f}", f"{one.of_passages:.3f}"),
            f"{one.backbone.spread:.2f}",
            *(
                cell
                for cosines in (between, to_passages)
                for cell in (
                    f"{cosines.mean():.3f} ({cosines.std():.3f})",
                    ", ".join(f"{value:.2f}" for value in np.percentile(cosines, [1, 50, 99])),
                )
            ),
            f"{of_best:.3f}",
        )


def forms(one: Measured) -> dict[str, Setting]:
    """Return settings that follow the spread of the vectors by a factor f of 1 at most.

    - by model: f is the spread of unrelated texts, as in the library.
    - by set: f is the spread of the passages.
    - by query: f is the distance of the query's vector from the mean of the passages, v that of the modulated vector.
    """
    f, by_set = one.backbone.spread, one.of_passages
    return {
        "strength f, rerank f², by model (the library's)": one.default,
        "strength f, rerank f, by model": one.scaled(f, f),
        "strength f, by model": one.scaled(f, 1),
        "rerank f, by model": one.scaled(1, f),
        "strength f, rerank f, by set": one.scaled(by_set, by_set),
        "strength f, rerank f², by set": one.scaled(by_set, by_set**2),
        "strength f, rerank f², by query": Setting(by_query=(1, 2)),
        "strength f, rerank v², by query": Setting(by_query=(1, 2), modulated=True),
        "centred": Setting(centred=True),
    }


def print_others(measured: Sequence[Measured]) -> None:
    """Print what settings that follow the spread gain over those of MiniLM, and other backgrounds over the default."""
    by_set: dict[str, list[Measured]] = {}
    for one in measured:
        by_set.setdefault(one.one.name, []).append(one)
    for name, over in by_set.items():
        print_head(
            f"{name}: gains over strength {STRENGTH:g} and rerank {RERANK_WEIGHT:g}, without a spread",
            *("setting", "kind, n", *(one.backbone.name for one in over)),
        )
        compared = [{label: (setting, AS_OVER_MINILM) for label, setting in forms(one).items()} for one in over]
        for one, of in zip(over, compared, strict=True):
            for background in ("empty", "none"):
                changed = replace(one.default, background=background)
                of[f"background {background}, over the default"] = (changed, one.default)
        for label in compared[0]:
            for kind, rows in over[0].one.by_kind().items():
                cells = []
                for one, of in zip(over, compared, strict=True):
                    setting, beside = of[label]
                    found = shown(gain(one(setting), one(beside), rows))
                    cells.append(f"{found} ({setting.strength:.2f}, {setting.weight:.2f})")
                print_row(label, f"{kind}, {len(rows)}", *cells)


def halves(one: Asked) -> list[list[int]]:
    """Return the rows of the queries in two halves, each with half of every kind."""
    of_halves: list[list[int]] = [[], []]
    for rows in one.by_kind().values():
        drawn = random.Random(0).sample(rows, len(rows))  # noqa: S311
        of_halves[0] += drawn[::2]
        of_halves[1] += drawn[1::2]
    return of_halves


def print_choice(measured: Sequence[Measured]) -> None:
    """Print what the best setting of the grid gains over the default on queries it was not chosen on."""
    for one in measured:
        kinds = one.one.by_kind()
        print_head(
            f"{one.one.name}, {one.backbone.name}: chosen on each half of the queries, less the default on the other",
            *("chosen by", "chosen on either half: strength, rerank, ridge", *kinds, "mean"),
        )
        default = one(one.default)
        grid = [Setting(*three) for three in product(STRENGTHS, WEIGHTS, RIDGES)]
        found = {setting: one(setting) for setting in grid}
        for aim in (*kinds, ""):
            chosen, combined = crossed(one.one, found, aim)
            cells = [shown(gain(combined, default, rows)) for rows in kinds.values()]
            cells.append(shown(mean_gain(combined, default, kinds)))
            either = "; ".join(f"{s.strength:.2g}, {s.weight:.2g}, {s.ridge:g}" for s in chosen)
            print_row(aim or "mean", either, *cells)


def crossed(one: Asked, found: Mapping[Setting, PerQuery], aim: str) -> tuple[list[Setting], PerQuery]:
    """Return the settings that are best on either half of the queries, and what each finds on the other half.

    :param aim: The kind of query to be good at; empty for all kinds alike.
    """
    chosen, combined, split = [], np.zeros(len(one.queries)), halves(one)
    for on, other in (split, split[::-1]):
        rows = one.by_kind(on) if not aim else {aim: one.by_kind(on)[aim]}
        means = {setting: np.mean([ranks[of].mean() for of in rows.values()]) for setting, ranks in found.items()}
        best = max(means, key=lambda setting: float(means[setting]))
        chosen.append(best)
        combined[other] = found[best][other]
    return chosen, combined


def main() -> None:
    """Measure and print tables."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality.backbones",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("models", type=Path, metavar="MODELS")
    parser.add_argument("sets", nargs="+", metavar="NAME=FOLDER")
    parser.add_argument("--kept", type=Path, default=Path("backbone-vectors"), help="Where vectors are kept.")
    parser.add_argument(
        "--backbones", default=",".join(BACKBONES), help="minilm comes first: others are set beside it."
    )
    parser.add_argument("--halves", default="", metavar="SETS", help="Sets to choose settings on, by half.")
    parser.add_argument("--limit", type=int, default=2000, help="Most queries of a kind.")
    given = parser.parse_args()
    vocabulary = BackgroundFrequency(LexSemBridgeEncoder(device="cpu").tokenizer)
    backgrounds: Backgrounds = {"vocabulary": vocabulary, "empty": BackgroundFrequency(), "none": None}
    sets = []
    for name, folder in (one.split("=", 1) for one in given.sets):
        where, _, kept = folder.partition("@")
        sets.append(asked(name, Path(where), int(kept or 0), given.limit))
    backbones = [Backbone(name, given.models, given.kept) for name in given.backbones.split(",")]
    measured = [Measured(one, backbone, backgrounds) for one in sets for backbone in backbones]
    print_vectors(measured)
    print_arms(measured)
    print_choice([one for one in measured if one.one.name in given.halves.split(",")])
    print_others(measured)


if __name__ == "__main__":
    main()
