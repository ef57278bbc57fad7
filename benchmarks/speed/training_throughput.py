"""Measure what the bridge costs in training: seconds per step with and without it, on the same batches, in turns.

    python -m benchmarks.speed.training_throughput

Pairs are drawn from docstrings of installed packages; the backbone is trained too.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.installed_docs import installed_passages
from lsb_rag import LexSemBridgeEncoder, Passage
from lsb_rag.training import TrainingOptions, draw_pairs, train

FIRST = 2
"""Number of first steps that are not counted, as they allocate memory."""


def seconds_a_step(steps: int, batch_size: int, *, bridge: bool, seed: int) -> list[float]:
    """Return the seconds of each counted step of a new run."""
    passages = [Passage(text) for text in installed_passages(600)]
    drawn = draw_pairs(passages, 300, seed=0)
    pairs = [pair for of_kind in drawn.values() for pair in of_kind]
    encoder = LexSemBridgeEncoder(units="wordpieces", fusion="product", device="cpu")
    times = [time.perf_counter()]
    options = TrainingOptions(
        max_steps=steps, batch_size=batch_size, bridge=bridge, save_steps=10**6, epochs=100, seed=seed
    )
    with tempfile.TemporaryDirectory() as folder:
        train(encoder, pairs, Path(folder) / "run", options, progress=lambda *_: times.append(time.perf_counter()))
    return np.diff(times)[FIRST:].tolist()


def main() -> None:
    """Time training with and without the bridge, and print the ratios."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.training_throughput",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    ratios = []
    for repeat in range(given.repeats):
        one, other = (
            float(np.median(seconds_a_step(given.steps, given.batch_size, bridge=bridge, seed=repeat)))
            for bridge in (True, False)
        )
        ratios.append(one / other)
        print(f"with the bridge {one:.3f} s a step, without {other:.3f}: {ratios[-1]:.3f}", flush=True)
    print(f"median {np.median(ratios):.3f}, from {min(ratios):.3f} to {max(ratios):.3f}")


if __name__ == "__main__":
    main()
