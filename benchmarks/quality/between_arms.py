"""Compare LexSemBridge with each other arm of an evaluation, paired: MRR@10 by kind of query.

lsb-rag evaluate FOLDER --limit 1000 --out report
python -m benchmarks.quality.between_arms report
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Annotated

import typer

from lsb_rag.evaluation import paired_difference

MEASURE = "mrr@10"
ARM = "lsb"


def main(report: Annotated[Path, typer.Argument(help="Folder written by `lsb-rag evaluate --out`.")]) -> None:
    """Print the paired differences in MRR@10 between LexSemBridge and each other arm."""
    values: dict[str, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for line in (report / "rows.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        values[row["kind"]][row["arm"]][row["query_id"]] = row[MEASURE]
    others = [arm for arm in next(iter(values.values())) if arm != ARM]
    print(f"| {ARM} minus | " + " | ".join(f"{kind}, n = {len(arms[ARM])}" for kind, arms in values.items()) + " |")
    print("|---" * (len(values) + 1) + "|")
    for other in others:
        gains = [paired_difference(arms[ARM], arms[other]) for arms in values.values()]
        print(f"| {other} | " + " | ".join(f"{g.delta:+.3f} [{g.low:+.3f}, {g.high:+.3f}]" for g in gains) + " |")


if __name__ == "__main__":
    typer.run(main)
