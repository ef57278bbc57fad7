"""Test the claim of LexSemBridge (arXiv 2508.17858) on a small scale: does training with a bridge improve the encoder?

Three arms are trained on the same pairs of one corpus, with the same batches, steps and seeds: the backbone alone;
backbone and bridge at one learning rate, as in the paper; backbone and bridge with a separate rate for the bridge.
Each is measured on passages held out from training, with the corpus's own questions, keyword queries and parts of
passages, with and without the bridge at query time.

    python -m benchmarks.quality.paper_claim FOLDER     # a BEIR folder with questions, such as SQuAD's

FOLDER's queries need ``metadata.kind``: question, keyword or part_of_passage.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lsb_rag import LexSemBridgeEncoder
from lsb_rag.evaluation import read_beir
from lsb_rag.reading import read_passages
from lsb_rag.training import HeldOut, Pair, TrainingOptions, draw_pairs, split_by_passage, train

ARMS: dict[str, dict[str, Any]] = {
    "backbone alone": {"bridge": False},
    "with bridge, one rate": {},
    "with bridge, own rate": {"bridge_learning_rate": 1e-2},
}
CANDIDATES = 100
A_KIND = 150
"""Maximum number of held-out queries of each kind."""


def labelled_pairs(folder: Path) -> dict[str, list[Pair]]:
    """Return the set's own queries, each with its first relevant passage, by kind."""
    texts = {passage.id: passage.content for passage in read_passages(folder)}
    dataset = read_beir(folder)
    pairs: dict[str, list[Pair]] = defaultdict(list)
    for query in dataset.queries:
        relevant = [id for id, score in dataset.qrels.get(query.id, {}).items() if score > 0 and id in texts]
        if relevant:
            pairs[query.kind].append(Pair(query.text, texts[relevant[0]]))
    return pairs


def split(folder: Path, n: int) -> tuple[list[Pair], dict[str, list[Pair]], list[str]]:
    """Return pairs to train on (at most `n` questions, keywords and spans each), held-out pairs and candidates."""
    labelled = labelled_pairs(folder)
    teaching, held = split_by_passage([pair for of_kind in labelled.values() for pair in of_kind], 0.3, seed=0)
    out = {pair.positive for pair in held}
    members = set(held)
    held_by_kind = {kind: [pair for pair in of_kind if pair in members][:A_KIND] for kind, of_kind in labelled.items()}
    passages = [passage for passage in read_passages(folder) if passage.content not in out]
    questions = [pair for pair in labelled["question"] if pair in set(teaching)]
    drawn = draw_pairs(passages, n, seed=0)
    mixed = [*random.Random(0).sample(questions, min(n, len(questions))), *drawn["keyword"], *drawn["part_of_passage"]]  # noqa: S311
    candidates = [passage.content for passage in read_passages(folder)]
    return mixed, held_by_kind, random.Random(0).sample(candidates, min(CANDIDATES, len(candidates)))  # noqa: S311


def moved(encoder: LexSemBridgeEncoder, queries: Sequence[str]) -> float:
    """Return the mean angle, in degrees, by which the bridge turns a query."""
    with_bridge, without = encoder.encode_query(queries), encoder.embed_query(queries)
    return float(np.degrees(np.arccos(np.clip((with_bridge * without).sum(axis=1), -1, 1))).mean())


def main() -> None:
    """Train, measure, and print each run as JSON, then a table of means over seeds."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality.paper_claim",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=2e-5)
    parser.add_argument("--passage-length", type=int, default=128)
    parser.add_argument("--paradigm", default="slr")
    parser.add_argument("--device", default=None)
    given = parser.parse_args()
    pairs, held, candidates = split(given.folder, given.steps * given.batch_size // 3 + 1)
    print(f"{len(pairs)} pairs; held out: { ({kind: len(of_kind) for kind, of_kind in held.items()}) }", flush=True)
    measure = HeldOut(held, candidates)
    results: dict[str, list[Mapping[str, float]]] = defaultdict(list)
    before = measure(LexSemBridgeEncoder(device=given.device).model)
    for seed in range(given.seeds):
        for arm, options in ARMS.items():
            torch.manual_seed(seed)
            encoder = LexSemBridgeEncoder(
                units="wordpieces", fusion="product", paradigm=given.paradigm, device=given.device
            )
            chosen = {
                "bridge_learning_rate": given.learning_rate,
                **{k: v for k, v in options.items() if v is not None},
            }
            with tempfile.TemporaryDirectory() as folder:
                started = time.perf_counter()
                train(
                    encoder,
                    pairs,
                    Path(folder) / "run",
                    TrainingOptions(
                        max_steps=given.steps,
                        batch_size=given.batch_size,
                        learning_rate=given.learning_rate,
                        passage_length=given.passage_length,
                        save_steps=10**6,
                        seed=seed,
                        **chosen,
                    ),
                )
                seconds = time.perf_counter() - started
            found = {**measure(encoder.model), "degrees": moved(encoder, [pair.query for pair in held["question"]])}
            results[arm].append(found)
            print(json.dumps({"seed": seed, "arm": arm, "seconds": round(seconds, 1), **found}), flush=True)
    print(f"\n| arm | {' | '.join(held)} | turned by |\n|---|{'---|' * (len(held) + 1)}")
    print("| not trained | " + " | ".join(f"{before[f'{kind}_mrr@10']:.3f}" for kind in held) + " | 0.0° |")
    for arm, runs in results.items():
        cells = []
        for kind in held:
            on = np.array([run[f"{kind}_mrr@10"] for run in runs])
            off = np.array([run[f"{kind}_mrr@10_without_bridge"] for run in runs])
            cells.append(f"{on.mean():.3f} ± {on.std(ddof=1):.3f} ({off.mean():.3f} without)")
        print(f"| {arm} | {' | '.join(cells)} | {np.mean([run['degrees'] for run in runs]):.1f}° |")


if __name__ == "__main__":
    main()
