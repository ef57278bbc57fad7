"""Queries whose one right answer is the passage they were drawn from, the same at every size of a corpus."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from lsb_rag.lexical.units import typed_words

SEED = 2508
SPAN = 8
"""Number of words in a part of a passage."""


@dataclass(frozen=True)
class KnownItems:
    """Queries of one kind, and the id of the passage for each, which is its number in the corpus."""

    texts: dict[str, str]
    qrels: dict[str, dict[str, int]]


def own_words(text: str) -> set[str]:
    """Return the words of a text, whole and case-folded."""
    return {word.casefold() for word in typed_words(text) if any(map(str.isalnum, word))}


def known_items(texts: Sequence[str], n: int) -> dict[str, KnownItems]:
    """Draw `n` queries of each kind from `texts`, the smallest corpus: keywords and parts of passages.

    Keywords are the two to four rarest words of a passage among `texts`; in a larger corpus they are less rare, and
    further passages contain them. A part is :data:`SPAN` consecutive words.
    """
    draw = random.Random(SEED)  # noqa: S311
    df = Counter(word for text in texts for word in own_words(text))
    chosen = draw.sample(range(len(texts)), min(n, len(texts)))
    keyword, part = {}, {}
    for number in chosen:
        rarest = sorted(own_words(texts[number]), key=lambda word: (df[word], word))
        keyword[str(number)] = " ".join(rarest[: draw.randint(2, 4)])
        tokens = texts[number].split()
        start = draw.randrange(max(1, len(tokens) - SPAN + 1))
        part[str(number)] = " ".join(tokens[start : start + SPAN])
    kinds = {"keyword": keyword, "part of passage": part}
    return {kind: KnownItems(asked, {id: {id: 1} for id in asked}) for kind, asked in kinds.items()}
