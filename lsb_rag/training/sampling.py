"""Training queries drawn from a corpus without labels: keywords and parts of passages (arXiv 2508.17858, section 4)."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from ..errors import InvalidInputError
from ..evaluation.tasks import SPANS, TERMS, joined_terms, salient_terms
from ..lexical.units import words
from ..passage import Passage
from ..utils.arguments import checked
from .pairs import Pair

KINDS = ("keyword", "part_of_passage")
SALIENT = 12
"""Number of a passage's most salient terms that a keyword query draws from."""


@checked
def draw_pairs(
    passages: Sequence[Passage], n: int, seed: int = 0, *, kinds: Sequence[str] = KINDS
) -> dict[str, list[Pair]]:
    """Draw queries from passages, and return each with its passage, at most `n` pairs of each kind.

    - ``keyword``: 2 to 5 of a passage's 12 terms of highest tf-idf, in their order in the passage.
    - ``part_of_passage``: a span of 16, 32, 64, 128 or 256 white-space tokens, of a random length below the passage's.

    Passages are used again, with other terms and spans, until there are `n` pairs.

    :return: ``{kind: pairs}`` in the order drawn, the same for the same seed.
    :raises InvalidInputError: For an unknown kind, an n below 1, or a corpus that nothing can be drawn from.
    """
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or not kinds:
        raise InvalidInputError(f"Unknown kinds {unknown}; choose from {', '.join(KINDS)}.")
    if n < 1:
        raise InvalidInputError(f"n must be at least 1, not {n}.")
    draw = random.Random(seed)  # noqa: S311 - a reproducible draw
    df = Counter(word for passage in passages for word in set(words(passage.content)))
    salient = {passage.content: salient_terms(passage.content, df, len(passages)) for passage in passages}
    pairs: dict[str, list[Pair]] = {}
    for kind in kinds:
        drawn: dict[Pair, None] = {}
        fruitless = 0
        while len(drawn) < n and fruitless < 3:  # small corpora run out of queries
            before = len(drawn)
            for passage in draw.sample(list(passages), len(passages)):
                text = passage.content
                query = _keywords(text, salient[text], draw) if kind == "keyword" else _span(text, draw)
                if query and len(drawn) < n:
                    drawn.setdefault(Pair(query, text))
            fruitless = fruitless + 1 if len(drawn) == before else 0
        pairs[kind] = list(drawn)
    if not any(pairs.values()):
        raise InvalidInputError("No query can be drawn from this corpus: its passages are too short.")
    return pairs


def _keywords(text: str, salient: Sequence[tuple[int, int]], draw: random.Random) -> str:
    """Draw a keyword query from the salient terms of a text; empty if it has too few."""
    terms = draw.randint(*TERMS)
    chosen = draw.sample(salient[:SALIENT], min(terms, len(salient[:SALIENT])))
    return joined_terms(text, chosen)


def _span(text: str, draw: random.Random) -> str:
    """Draw a part of a text; empty if it is too short."""
    tokens = text.split()
    possible = [length for length in SPANS if len(tokens) > length]
    if not possible:
        return ""
    length = draw.choice(possible)
    start = draw.randrange(len(tokens) - length + 1)
    return " ".join(tokens[start : start + length])
