"""The extractive generator: it quotes the sentences that best support the question, without a language model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from sentencex import segment

from ..lexical.background_frequency import BackgroundFrequency
from ..lexical.information import information, least_information
from ..lexical.units import words
from ..passage import Hit
from ..statistics.base import at_unit_length
from .answer import NO_ANSWER, Answer, answer_from_quotes

MIN_SUPPORT = 0.5
"""Least support of a sentence that answers.

Chosen on 150 squad questions: 1 % of the gold passages and 94 % of random ones have no sentence that reaches it.
"""
LEXICAL_WEIGHT = 0.5
MIN_CHARACTERS = 3


@dataclass(frozen=True)
class Sentence:
    """A sentence of a retrieved passage.

    :param text: The sentence, with white space folded.
    :param hit: Position of its passage among the hits.
    :param support: Its cosine to the question, plus the weighted share of the question's information that it holds.
    """

    text: str
    hit: int
    support: float


class SentenceEncoder(Protocol):
    """Embeds questions and sentences without the bridge, as :class:`~lsb_rag.LexSemBridgeEncoder` does."""

    @property
    def background(self) -> BackgroundFrequency | None:
        """Frequencies of words in general text."""
        ...

    def encode_document(self, texts: list[str], /) -> NDArray[np.float32]:
        """Return vectors of length 1, float32 [n, d]."""
        ...

    def embed_query(self, texts: str, /) -> NDArray[np.float32]:
        """Return a vector of length 1, float32 [d]."""
        ...


def best_sentences(
    question: str, hits: Sequence[Hit], encoder: SentenceEncoder, n: int, language: str = "en"
) -> list[Sentence]:
    """Return the `n` sentences of `hits` that best support `question`, best first. A repeated sentence counts once.

    Dense and lexical support are both measured within these passages, with the backbone alone. So the selection does
    not depend on the retriever. The words of a passage's title count for each of its sentences.
    """
    positions: dict[str, int] = {}
    for position, hit in enumerate(hits):
        for sentence in segment(language, hit.body):
            folded = " ".join(sentence.split())
            if len(folded) >= MIN_CHARACTERS:
                positions.setdefault(folded, position)
    if not positions:
        return []
    texts = list(positions)
    dense = at_unit_length(encoder.encode_document(texts)) @ encoder.embed_query(question)
    titled = [f"{hits[position].title} {text}" for text, position in positions.items()]
    support = dense + LEXICAL_WEIGHT * _lexical_shares(question, titled, encoder.background)
    order = np.argsort(-support, kind="stable")[:n]
    return [Sentence(texts[i], hit=positions[texts[i]], support=float(support[i])) for i in order]


def _lexical_shares(
    question: str, sentences: Sequence[str], background: BackgroundFrequency | None
) -> NDArray[np.float64]:
    """Return the share of the question's information in each sentence. Document frequencies count these sentences."""
    units_of_sentences = [set(words(sentence)) for sentence in sentences]
    question_units = dict.fromkeys(words(question))
    counts = {unit: sum(unit in units for units in units_of_sentences) for unit in question_units}
    df = {unit: count for unit, count in counts.items() if count}
    weights = information(question_units, df, len(sentences), background or BackgroundFrequency())
    total = max(sum(weights.values()), least_information(len(sentences)))
    shares = [sum(weight for unit, weight in weights.items() if unit in units) / total for units in units_of_sentences]
    return np.array(shares, np.float64)


class ExtractiveGenerator:
    """Answers with the best supporting sentences, quoted in the order of their passages.

    :param encoder: The encoder whose backbone measures the support.
    :param sentences: The largest number of sentences to quote.
    :param min_support: Least support of the best sentence; with less, the answer is
        :data:`~lsb_rag.generation.answer.NO_ANSWER`.
    """

    name = "extractive"

    def __init__(self, encoder: SentenceEncoder, *, sentences: int = 2, min_support: float = MIN_SUPPORT) -> None:
        self.encoder = encoder
        self.sentences = sentences
        self.min_support = min_support

    def with_encoder(self, encoder: SentenceEncoder) -> ExtractiveGenerator:
        """Return the same generator with another encoder."""
        return ExtractiveGenerator(encoder, sentences=self.sentences, min_support=self.min_support)

    def answer(self, question: str, hits: Sequence[Hit]) -> Answer:
        """Answer with quotes, see :class:`~lsb_rag.generation.answer.Generator`."""
        best = best_sentences(question, hits, self.encoder, self.sentences)
        if not best or best[0].support < self.min_support:
            return Answer(NO_ANSWER)
        quotes: list[tuple[str, str]] = []
        for position in sorted({sentence.hit for sentence in best}):
            sentences = [sentence.text for sentence in best if sentence.hit == position]
            quotes.append((" … ".join(sentences), hits[position].id))
        return answer_from_quotes(quotes)
