"""Training pairs: a query, the passage that answers it, and passages that look as if they did."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InvalidInputError, InvalidTypeError, ReadError


@dataclass(frozen=True)
class Pair:
    """One training example.

    :param query: The query.
    :param positive: Text of the passage that answers it.
    :param negatives: Texts of passages that do not, hard ones best.
    """

    query: str
    positive: str
    negatives: tuple[str, ...] = ()


def read_pairs(path: str | Path) -> list[Pair]:
    """Pairs from a JSONL file, one object a line: ``query``, ``pos``, and if you have them ``neg``.

    ``pos`` and ``neg`` are a text or a list of texts; a line with several positives gives a pair for each.

    :raises ReadError: When the file cannot be read, or a line is not such an object.
    :raises InvalidInputError: See :func:`checked_pairs`.
    """
    found: list[Pair] = []
    try:
        with Path(path).open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    found += _pairs_of(line, f"{path}, line {number}")
    except (OSError, UnicodeDecodeError) as error:
        raise ReadError(f"Cannot read the pairs in {path}: {error}") from error
    if not found:
        raise InvalidInputError(f'{path} holds no pairs; write one a line: {{"query": "...", "pos": "..."}}.')
    return checked_pairs(found)


def _pairs_of(line: str, where: str) -> Iterator[Pair]:
    try:
        row = json.loads(line)
        query, positives, negatives = row["query"], _texts(row["pos"]), _texts(row.get("neg") or [])
        if not isinstance(query, str) or not positives:
            raise ValueError("query is no text, or pos is empty")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ReadError(
            f'{where} is no pair ({error!r}); write {{"query": "...", "pos": "...", "neg": ["..."]}}, neg if you have '
            "any."
        ) from error
    for positive in positives:
        yield Pair(query, positive, tuple(negatives))


def _texts(value: Any) -> list[str]:
    texts = [value] if isinstance(value, str) else list(value)
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("pos and neg are texts")
    return texts


def checked_pairs(pairs: Sequence[Pair]) -> list[Pair]:
    """`pairs`, once it is clear that a model can be trained on them; equal ones once.

    :raises InvalidInputError: Where there are fewer than 2, a text is blank, or a passage is its own negative.
    :raises InvalidTypeError: For anything but pairs.
    """
    distinct = list(dict.fromkeys(pairs))
    for number, pair in enumerate(distinct, start=1):
        if not isinstance(pair, Pair):
            raise InvalidTypeError(f"A training pair is a Pair(query, positive, negatives), not {type(pair).__name__}.")
        if not all(isinstance(text, str) and text.strip() for text in (pair.query, pair.positive, *pair.negatives)):
            raise InvalidInputError(f"Pair {number} has a blank query or passage; leave it out.")
        if pair.positive in pair.negatives:
            raise InvalidInputError(
                f"Pair {number} ({pair.query[:60]!r}) has its own passage among its negatives, which would teach that "
                "it does not answer the query; take it out there."
            )
    if len(distinct) < 2:
        raise InvalidInputError(
            f"There {'is 1 pair' if distinct else 'are no pairs'} to train on; contrastive training needs at least 2, "
            "and learns little from fewer than some hundreds."
        )
    return distinct


def with_equal_negatives(pairs: Sequence[Pair], seed: int = 0) -> list[Pair]:
    """`pairs` with as many negatives each as the one that has most; what is missing are passages of other pairs.

    A batch is one tensor, so its rows are equally long. Negatives that a pair has too many of are never dropped.
    """
    most = max(len(pair.negatives) for pair in pairs)
    if not most:
        return list(pairs)
    draw = random.Random(seed)  # noqa: S311 - a reproducible draw
    passages = sorted({pair.positive for pair in pairs})
    right: dict[str, set[str]] = {}
    for pair in pairs:
        right.setdefault(pair.query, set()).add(pair.positive)
    filled = []
    for pair in pairs:
        taken = {*right[pair.query], *pair.negatives}
        free = [text for text in draw.sample(passages, min(len(passages), most + len(taken))) if text not in taken]
        missing = most - len(pair.negatives)
        negatives = [*pair.negatives, *free[:missing]]
        while len(negatives) < most:  # a tiny set: repeat what there is
            if not negatives:
                raise InvalidInputError(f"There is no negative for {pair.query[:60]!r}; give more pairs.")
            negatives.append(negatives[0])
        filled.append(Pair(pair.query, pair.positive, tuple(negatives)))
    return filled


def split_by_passage(pairs: Sequence[Pair], share: float, seed: int = 0) -> tuple[list[Pair], list[Pair]]:
    """Pairs to train on, and held out: no passage and no query is answered on both sides.

    :param share: Share of the passages held out, from 0 to below 1.
    """
    if not 0 <= share < 1:
        raise InvalidInputError(f"The share held out must be at least 0 and below 1, not {share}.")
    passages = sorted({pair.positive for pair in pairs})
    drawn = random.Random(seed).sample(passages, round(share * len(passages)))  # noqa: S311
    out = set(drawn)
    held = [pair for pair in pairs if pair.positive in out]
    asked = {pair.query for pair in held}
    return [pair for pair in pairs if pair.positive not in out and pair.query not in asked], held
