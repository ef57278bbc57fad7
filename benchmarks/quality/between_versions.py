"""Compare two versions of the library on the same questions, paired: MRR@10 by arm and kind of query.

    lsb-rag evaluate FOLDER --limit 1000 --out before   # with one version, on a database of its own
    lsb-rag evaluate FOLDER --limit 1000 --out after    # with the other
    python -m benchmarks.quality.between_versions SET=before,after SET=before,after

Brackets hold the 95 % interval; p is from the paired randomisation test, corrected by Holm's method over all rows.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from lsb_rag.evaluation import paired_difference
from lsb_rag.evaluation.significance import holm, randomisation_p

MEASURE = "mrr@10"
ARMS = ("lsb-vector", "lsb")

Values = dict[tuple[str, str], dict[str, float]]
"""The value of each query, by arm and kind."""


def read(report: Path) -> Values:
    """Return the values in a report of `lsb-rag evaluate --out`."""
    values: Values = defaultdict(dict)
    for line in (report / "rows.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["arm"] in ARMS:
            values[row["arm"], row["kind"]][row["query_id"]] = row[MEASURE]
    return values


def main(sets: Annotated[list[str], typer.Argument(help="NAME=BEFORE,AFTER: the folders of two reports.")]) -> None:
    """Print MRR@10 before and after, with the paired difference."""
    rows = []
    for one in sets:
        name, folders = one.split("=", 1)
        before, after = (read(Path(folder)) for folder in folders.split(","))
        for arm, kind in after:
            rows.append((name, kind, arm, before[arm, kind], after[arm, kind]))
    corrected = holm([randomisation_p(new, old) for *_, old, new in rows])
    print("| set | queries | arm | before | after | difference | p, Holm |")
    print("|---|---|---|---|---|---|---|")
    for (name, kind, arm, old, new), p in zip(rows, corrected, strict=True):
        gain = paired_difference(new, old)
        means = " | ".join(f"{np.mean(list(values.values())):.3f}" for values in (old, new))
        interval = f"{gain.delta:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"
        print(f"| {name} | {kind}, n = {gain.n} | {arm} | {means} | {interval} | {p:.3f} |")


if __name__ == "__main__":
    typer.run(main)
