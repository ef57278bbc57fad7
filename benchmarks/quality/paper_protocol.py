"""Run the protocol of LexSemBridge (arXiv 2508.17858): its tasks and measures, over sets in BEIR layout.

    python -m benchmarks.quality.paper_protocol train squad=FOLDER nq=FOLDER --out product --steps 60
    python -m benchmarks.quality.paper_protocol squad=FOLDER nq=FOLDER --trained product --out RESULTS

Tasks: ``query``, the set's own questions; ``keyword``, 2 to 5 salient terms of a passage; ``part_of_passage_N``, a
span of N = 16, 32, 64, 128, 256 white-space tokens of a longer passage. Keywords and spans are drawn, from the same
passages as far as these are long enough. Measures: nDCG, MRR and recall at 1 and 10, by ir-measures. RESULTS gets
``results.json`` and ``results.md``, which is also printed; put the authors' figures beside it. Their own sets,
converted to BEIR layout with the name of a task as ``metadata.kind``, are asked as they are with ``--as-given``.

``train`` trains the paper's elementwise product with a learned bridge, and its backbone, by the paper's loss. Its
questions, keywords and spans are of passages that no task asks for; give both commands the same ``--queries`` and
``--seed``. The same command again goes on after an interruption. ``--freeze`` trains the bridge alone.

Differences to the paper and its repository, Jasaxion/LexSemBridge:

- Sets: FOLDER's, all passages searched. The paper's are of HotpotQA, FEVER and NQ. How it draws keywords is not in its
  repository; here it is by tf-idf.
- Backbone: all-MiniLM-L6-v2, a trained retriever already. The paper trains BERT, DistilBERT, MPNet and others.
- Training: minutes on a processor, in-batch negatives alone, a learning rate of its own for the bridge, text of the
  tested sets. The paper: 10 epochs of NLI triplets with hard negatives, 64 a batch on each of 8 A100, one rate of 1e-5.
- Search: Chroma's HNSW index, in place of exact search. The arm ``lsb`` also reranks; none of the paper's does.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
from ir_measures import RR, R, nDCG
from rich.progress import track

from lsb_rag import LexSemBridgeEncoder, Passage, PassageStore
from lsb_rag.evaluation import ALL_ARMS, Dataset, Query, build_arms, draw_tasks, paired_difference, read_beir
from lsb_rag.evaluation.corpus import Corpus
from lsb_rag.evaluation.ranking import rank
from lsb_rag.evaluation.tasks import SPANS
from lsb_rag.reading import read_passages
from lsb_rag.training import Pair, TrainingOptions, draw_pairs, train

ARMS = ("vanilla", "bm25", "lsb-vector", "lsb-signed-product", "lsb")
"""``lsb-vector`` weights by SLR, so it is ``lsb-slr``."""
OF_TRAINED = {"vanilla": "the same backbone without bridge", "lsb-product": "product"}
MEASURES = {"nDCG": nDCG, "MRR": RR, "recall": R}
CUTOFFS = (1, 10)
BATCH = 128
"""Queries at a time: an encoder keeps the vectors of the last 256, for the next arm."""
LEADING = "nDCG@10"
GAIN = f"{LEADING}, paired difference to vanilla, 95 % bootstrap interval"
PROTOCOL = "paper_protocol.json"
"""File in the folder of a trained encoder that says what it was trained on."""

Values = dict[str, dict[str, float]]
"""``{measure: {query id: value}}``."""


@dataclass(frozen=True)
class Asked:
    """A set with its tasks, one for each kind of query."""

    passages: list[Passage]
    own: Dataset
    tasks: Dataset


def draw_of(given: argparse.Namespace) -> dict[str, Any]:
    """Return the options that decide which passages are asked for."""
    return {name: getattr(given, name) for name in ("queries", "seed", "as_given")}


def asked(folder: Path, queries: int, seed: int, as_given: bool = False) -> Asked:
    """Read a set and draw its tasks, of at most `queries` each; with `as_given`, take its own queries by kind."""
    passages, own = [one for one in read_passages(folder) if one.content.strip()], read_beir(folder)
    if as_given:
        return Asked(passages, own, own.limited(queries, seed).distinct())
    questions = replace(own, queries=[replace(one, kind="query") for one in own.queries if not one.drawn])
    drawn = draw_tasks(passages, queries, seed)
    spans = [_spans(passages, length, queries, seed) for length in SPANS]
    parts = [questions.limited(queries, seed), drawn.limited(queries, seed, ["keyword"]), *spans]
    judged = {replace(one, id=f"{one.kind}-{one.id}"): part.qrels[one.id] for part in parts for one in part.queries}
    qrels = {query.id: of_query for query, of_query in judged.items()}
    return Asked(passages, own, Dataset(own.name, list(judged), qrels).distinct())


def _spans(passages: Sequence[Passage], length: int, n: int, seed: int) -> Dataset:
    """Draw spans of `length` tokens, from the first of the shuffled passages that are longer."""
    draw = random.Random(seed)  # noqa: S311 - in the order of draw_tasks
    shuffled = draw.sample(list(passages), len(passages))
    queries: list[Query] = []
    qrels: dict[str, dict[str, int]] = {}
    for passage in [one for one in shuffled if len(one.content.split()) > length][:n]:
        tokens = passage.content.split()
        start = draw.randrange(len(tokens) - length + 1)
        span = " ".join(tokens[start : start + length])
        queries.append(Query(str(len(queries)), span, f"part_of_passage_{length}", drawn=True))
        qrels[queries[-1].id] = {passage.id: 1}
    return Dataset("spans", queries, qrels)


def pairs_to_train_on(one: Asked, n: int, seed: int) -> list[Pair]:
    """Return at most `n` questions, `n` keyword queries and `n` spans of passages that no task asks for."""
    tested = {id for judged in one.tasks.qrels.values() for id in judged}
    known = {passage.content for passage in one.passages if passage.id in tested}
    free = {passage.id: passage for passage in one.passages if passage.content not in known}
    questions = [
        Pair(query.text, free[relevant[0]].content)
        for query in one.own.queries
        if not query.drawn and (relevant := one.own.relevant(query.id)) and free.keys() >= set(relevant)
    ]
    drawn = draw_pairs(list(free.values()), n, seed)
    some = random.Random(seed).sample(questions, min(n, len(questions)))  # noqa: S311
    return [*some, *drawn["keyword"], *drawn["part_of_passage"]]


def searched(
    one: Asked, name: str, db: Path, encoder: LexSemBridgeEncoder, arms: Mapping[str, str]
) -> dict[str, Values]:
    """Index a set, and return the measures of `arms`, ``{name: label}``, by label. Ties are in the order of texts."""
    store = PassageStore(db, name, encoder)
    store.add(track(one.passages, f"Indexing {name}"))
    corpus = Corpus(store, {id for judged in one.tasks.qrels.values() for id in judged})
    runs: dict[str, dict[str, dict[str, float]]] = {arm: {} for arm in arms}
    built = build_arms(store, list(arms), corpus)
    for start in track(range(0, len(one.tasks.queries), BATCH), f"Searching {name}"):
        batch = one.tasks.queries[start : start + BATCH]
        for arm, search in built.items():
            rankings = rank(search, [query.text for query in batch], max(CUTOFFS), corpus)
            for query, ranking in zip(batch, rankings, strict=True):
                runs[arm][query.id] = {hit.id: 1 / place for place, hit in enumerate(ranking.hits, 1)}
    names = {of @ cutoff: f"{measure}@{cutoff}" for measure, of in MEASURES.items() for cutoff in CUTOFFS}
    qrels = corpus.judgements(one.tasks.qrels)
    found: dict[str, Values] = {arms[arm]: {of: dict.fromkeys(qrels, 0.0) for of in names.values()} for arm in arms}
    for arm, run in runs.items():
        for metric in ir_measures.iter_calc(list(names), qrels, run):
            found[arms[arm]][names[metric.measure]][metric.query_id] = float(metric.value)
    return found


def summary(one: Asked, found: Mapping[str, Values]) -> dict[str, Any]:
    """Return n, means and differences to vanilla by task and arm."""
    kinds: dict[str, list[str]] = {}
    for query in one.tasks.queries:
        kinds.setdefault(query.kind, []).append(query.id)
    vanilla, tasks = found[ALL_ARMS["vanilla"]], {}
    for kind, ids in kinds.items():
        arms = {}
        for label, values in found.items():
            means = {name: float(np.mean([of_query[id] for id in ids])) for name, of_query in values.items()}
            own, others = ({id: of[LEADING][id] for id in ids} for of in (values, vanilla))
            arms[label] = {**means, GAIN: asdict(paired_difference(own, others))}
        tasks[kind] = {"n": len(ids), "arms": arms}
    return {"passages": len(one.passages), "tasks": tasks}


def shown(value: Any) -> str:
    """Return a mean, or a difference with its interval, for a table."""
    return "{delta:+.3f} [{low:+.3f}, {high:+.3f}]".format(**value) if isinstance(value, dict) else f"{value:.3f}"


def markdown(name: str, found: Mapping[str, Any]) -> str:
    """Return a table for each measure, at both cutoffs, and one of differences; arms by tasks."""
    tasks = found["tasks"]
    head = "| | " + " | ".join(f"{task}, n = {of['n']}" for task, of in tasks.items()) + " |"
    lines = [f"## {name}, {found['passages']:,} passages"]
    for columns in [*([f"{measure}@{cutoff}" for cutoff in CUTOFFS] for measure in MEASURES), [GAIN]]:
        lines += ["", " / ".join(columns) + ":", "", head, "|---" * (len(tasks) + 1) + "|"]
        for arm in next(iter(tasks.values()))["arms"]:
            cells = (" / ".join(shown(of["arms"][arm][column]) for column in columns) for of in tasks.values())
            lines.append(f"| {arm} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def run_training(given: argparse.Namespace, sets: Mapping[str, Asked]) -> None:
    """Train the product, and say how long it took."""
    each = given.steps * given.batch_size // (3 * len(sets)) + 1
    pairs = [pair for one in sets.values() for pair in pairs_to_train_on(one, each, given.seed)]
    encoder = LexSemBridgeEncoder(units="wordpieces", fusion="product", paradigm=given.paradigm, device="cpu")
    names = ("batch_size", "passage_length", "save_steps", "freeze", "seed")
    options = TrainingOptions(max_steps=given.steps, **{name: getattr(given, name) for name in names})
    started = time.perf_counter()
    trained = train(encoder, pairs, given.out, options, progress=lambda done, of: print(f"{done} of {of}", flush=True))
    seconds = round(time.perf_counter() - started)
    about = {"draw": draw_of(given), "sets": list(sets), "paradigm": given.paradigm, **asdict(options)}
    about |= {"pairs": len(pairs), "loss": trained.loss, "seconds since the last start": seconds}
    (given.out / PROTOCOL).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(about))


def run_measuring(given: argparse.Namespace, sets: Mapping[str, Asked]) -> None:
    """Measure all arms, write and print the results."""
    trained = {folder.name: json.loads((folder / PROTOCOL).read_text(encoding="utf-8")) for folder in given.trained}
    if any(about["draw"] != draw_of(given) for about in trained.values()):
        raise SystemExit("Give the --queries and --seed of the training: others ask for passages that it has seen.")
    results: dict[str, Any] = {**draw_of(given), "trained": trained, "sets": {}}
    for name, one in sets.items():
        encoder, labels = LexSemBridgeEncoder(device="cpu"), {arm: ALL_ARMS[arm] for arm in ARMS}
        found = searched(one, f"paper-{name}", given.db, encoder, labels)
        for folder in given.trained:
            encoder = LexSemBridgeEncoder.load(folder, device="cpu")
            labels = {arm: f"{folder.name}: {label}" for arm, label in OF_TRAINED.items()}
            found |= searched(one, f"paper-{name}-{folder.name}", given.db, encoder, labels)
        results["sets"][name] = summary(one, found)
    tables = "\n".join(markdown(name, of_set) for name, of_set in results["sets"].items())
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (given.out / "results.md").write_text(tables, encoding="utf-8")
    print(tables)


def main() -> None:
    """Train, or measure."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality.paper_protocol",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("sets", nargs="+", metavar="[train] NAME=FOLDER")
    parser.add_argument("--queries", type=int, default=300, help="Queries of each task, at most.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--as-given", action="store_true", help="Draw nothing: the sets' own queries, by kind.")
    parser.add_argument("--out", type=Path, required=True, help="Folder of the results, or of the trained encoder.")
    parser.add_argument("--trained", type=Path, nargs="*", default=[], help="Folders that train wrote.")
    parser.add_argument("--db", type=Path, default=Path("paper-protocol-db"), help="Folder of the Chroma database.")
    parser.add_argument("--steps", type=int, default=100, help="Batches to train on.")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--passage-length", type=int, default=TrainingOptions.passage_length)
    parser.add_argument("--paradigm", default="slr", choices=("slr", "llr", "clr"))
    parser.add_argument("--freeze", action="store_true", help="Train the bridge alone.")
    parser.add_argument("--save-steps", type=int, default=50, help="Batches between checkpoints.")
    given = parser.parse_args()
    training = given.sets[0] == "train"
    named = (one.split("=", 1) for one in given.sets[training:])
    sets = {name: asked(Path(folder), **draw_of(given)) for name, folder in named}
    (run_training if training else run_measuring)(given, sets)


if __name__ == "__main__":
    main()
