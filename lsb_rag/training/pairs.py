"""Training pairs: a query, the passage that answers it, and passages that only look like answers."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InvalidInputError, InvalidTypeError, ReadError
from ..utils.arguments import checked
from ..utils.files import open_text
from ..utils.text import without_surrogates


@dataclass(frozen=True)
class Pair:
    """One training example.

    :param query: The query.
    :param positive: Text of the passage that answers it.
    :param negatives: Texts of passages that do not answer it, preferably hard ones.
    """

    query: str
    positive: str
    negatives: tuple[str, ...] = ()


@checked
def read_pairs(path: str | Path) -> list[Pair]:
    """Read pairs from a JSONL file with ``query``, ``pos`` and optionally ``neg`` on each line.

    ``pos`` and ``neg`` are a text or a list of texts. A line with several positives gives one pair for each.

    :raises ReadError: When the file cannot be read, or a line is not such an object.
    :raises InvalidInputError: For a blank text, or a pair that contradicts itself or another.
    """
    found: list[Pair] = []
    try:
        with open_text(Path(path)) as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    found += _parse_line(line, f"{path}, line {number}")
    except (OSError, UnicodeDecodeError) as error:
        raise ReadError(f"Cannot read the pairs in {path}: {error}") from error
    if not found:
        raise InvalidInputError(f'{path} holds no pairs; write one a line: {{"query": "...", "pos": "..."}}.')
    return checked_pairs(found)


def _parse_line(line: str, where: str) -> Iterator[Pair]:
    try:
        row = json.loads(line)
        query, positives, negatives = row["query"], _texts(row["pos"]), _texts(row.get("neg") or [])
        if not isinstance(query, str) or not positives:
            raise ValueError("query is no text, or pos is empty")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
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
    """Check that a model can be trained on `pairs`, and return them without repetitions.

    :raises InvalidInputError: For fewer than 2 different passages, a blank text, or a passage that answers a query and
        is among its negatives.
    :raises InvalidTypeError: For anything but pairs of strings.
    """
    distinct = list(dict.fromkeys(_checked_pair(pair, number) for number, pair in enumerate(pairs, start=1)))
    right = answers_by_query(distinct)
    for pair in distinct:
        wrong = right[pair.query].intersection(pair.negatives)
        if wrong:
            raise InvalidInputError(
                f"The query {pair.query[:60]!r} has a passage that answers it among its negatives "
                f"({min(wrong)[:60]!r}), which would teach the contrary; take it out there."
            )
    passages = {pair.positive for pair in distinct}
    if len(passages) < 2:
        raise InvalidInputError(
            f"There {'is 1 passage' if passages else 'are no pairs'} to train on; contrastive training needs 2 "
            "different ones, and learns little from fewer than some hundreds."
        )
    return distinct


def _checked_pair(pair: Pair, number: int) -> Pair:
    if not isinstance(pair, Pair):
        raise InvalidTypeError(f"A training pair is a Pair(query, positive, negatives), not {type(pair).__name__}.")
    if isinstance(pair.negatives, str) or not isinstance(pair.negatives, Sequence):
        raise InvalidTypeError(f"The negatives of pair {number} must be a tuple of texts, not one text.")
    texts = (pair.query, pair.positive, *pair.negatives)
    if not all(isinstance(text, str) for text in texts):
        raise InvalidTypeError(f"Pair {number} holds something that is no text.")
    if not all(text.strip() for text in texts):
        raise InvalidInputError(f"Pair {number} has a blank query or passage; leave it out.")
    # Lone surrogates cannot be tokenised.
    query, positive, *negatives = map(without_surrogates, texts)
    return Pair(query, positive, tuple(negatives))


def answers_by_query(pairs: Iterable[Pair]) -> dict[str, set[str]]:
    """Return all passages that answer each query."""
    right: dict[str, set[str]] = {}
    for pair in pairs:
        right.setdefault(pair.query, set()).add(pair.positive)
    return right


def with_equal_negatives(pairs: Sequence[Pair], seed: int = 0) -> list[Pair]:
    """Return `pairs`, each with as many negatives as the pair that has most.

    Missing negatives are filled with passages of other pairs. A batch is one tensor, so its rows have to be equally
    long.

    :raises InvalidInputError: When there is no passage to fill a pair with.
    """
    most = max(len(pair.negatives) for pair in pairs)
    if not most:
        return list(pairs)
    draw = random.Random(seed)  # noqa: S311 - a reproducible draw
    passages = sorted({pair.positive for pair in pairs})
    right = answers_by_query(pairs)
    filled = []
    for pair in pairs:
        taken = {*right[pair.query], *pair.negatives}
        free = [text for text in draw.sample(passages, min(len(passages), most + len(taken))) if text not in taken]
        missing = most - len(pair.negatives)
        negatives = [*pair.negatives, *free[:missing]]
        while len(negatives) < most:  # too few passages: repeat a negative
            if not negatives:
                raise InvalidInputError(f"There is no negative for {pair.query[:60]!r}; give more pairs.")
            negatives.append(negatives[0])
        filled.append(Pair(pair.query, pair.positive, tuple(negatives)))
    return filled


@checked
def split_by_passage(pairs: Sequence[Pair], share: float, seed: int = 0) -> tuple[list[Pair], list[Pair]]:
    """Split pairs into those to train on and those held out, with no passage and no query on both sides.

    A query with passages on both sides is trained on, with its passages that are not held out.

    :param share: Share of the passages held out, from 0 to below 1.
    :raises InvalidInputError: For a share outside that range.
    """
    if not 0 <= share < 1:
        raise InvalidInputError(f"The share held out must be at least 0 and below 1, not {share}.")
    passages = sorted({pair.positive for pair in pairs})
    out = set(random.Random(seed).sample(passages, round(share * len(passages))))  # noqa: S311
    teaching = [pair for pair in pairs if pair.positive not in out]
    asked = {pair.query for pair in teaching}
    return teaching, [pair for pair in pairs if pair.positive in out and pair.query not in asked]
