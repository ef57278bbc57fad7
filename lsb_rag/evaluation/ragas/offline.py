"""RAGAS's metrics that need no language model.

They compare contexts by id and by text, and answers with their references. RAGAS's own classes copy, validate and log
every sample, and make a stemmer for each; here the libraries that they use are called directly. The values are theirs,
to nine digits, which a test checks.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from ...errors import MissingExtraError
from ...generation import SentenceEncoder
from ..scores import Sample, Samples, Score, Scores, no_value, score_all, score_answer

try:
    from nltk.stem.porter import PorterStemmer
    from rapidfuzz.distance import LCSseq, Levenshtein
    from rouge_score.scoring import fmeasure
    from rouge_score.tokenize import tokenize
    from sacrebleu.metrics.chrf import CHRF
    from sacrebleu.metrics.helpers import extract_all_char_ngrams
except ImportError as error:
    raise MissingExtraError(
        f"The metrics of answers need RAGAS ({error}). Install it with `pip install 'lsb-rag[eval]'`."
    ) from error

Similarity = Callable[[str, str], float]
"""Of a reference and an answer, in this order."""
ALIKE = 0.5
"""Similarity from above which a context counts as a relevant passage."""
KEPT_TEXTS = 64
"""Texts whose tokens and n-grams are kept; enough for the answers and references of one question."""
KEPT_WORDS = 65_536


def score_offline(
    samples: Samples,
    *,
    embedding: SentenceEncoder | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Scores]:
    """Score every arm's contexts and answers.

    An answer, with white space folded and without citation marks, is compared with each reference. The best value
    counts. The metrics of answers are left out if no sample has a reference.

    :param embedding: Measures semantic similarity, which is left out without it.
    :param progress: Called with the number of samples done and the total.
    :return: ``{arm: scores}``.
    """
    every = [sample for by_query in samples.values() for sample in by_query.values()]
    metrics: dict[str, tuple[Callable[[Sample], Score], tuple[str, ...]]] = {
        "id_based_context_precision": (_id_precision, ("context_ids", "relevant_ids")),
        "id_based_context_recall": (_id_recall, ("context_ids", "relevant_ids")),
        "non_llm_context_recall": (_context_recall, ("contexts", "relevant")),
    }
    if any(sample.references for sample in every):
        similarities = _similarities()
        if embedding is not None:
            similarities["semantic_similarity"] = _semantic_similarity(every, embedding)
        for name, similarity in similarities.items():
            metrics[name] = (partial(score_answer, similarity=similarity), ("answer", "references"))
    return score_all(samples, metrics, progress)


def _id_precision(sample: Sample) -> Score:
    found = set(sample.context_ids)
    if not found:
        return no_value("nothing was retrieved")
    return Score(len(found & set(sample.relevant_ids)) / len(found))


def _id_recall(sample: Sample) -> Score:
    relevant = set(sample.relevant_ids)
    return Score(len(relevant & set(sample.context_ids)) / len(relevant) if relevant else math.nan)


def _context_recall(sample: Sample) -> Score:
    if not sample.relevant:
        return no_value("the relevant passages are not in the collection")
    if not sample.contexts:
        return Score(0.0, "nothing was retrieved")  # RAGAS raises
    return Score(sum(_is_like_one(passage, sample.contexts) for passage in sample.relevant) / len(sample.relevant))


def _is_like_one(passage: str, contexts: Sequence[str]) -> bool:
    return passage in contexts or any(
        1 - Levenshtein.normalized_distance(one, passage, score_cutoff=ALIKE) > ALIKE for one in contexts
    )


def _similarities() -> dict[str, Similarity]:
    return {
        "exact_match": lambda reference, answer: float(reference == answer),
        "string_present": lambda reference, answer: float(reference in answer),
        "rouge_score": _rouge_l(),
        "non_llm_string_similarity": lambda reference, answer: 1 - Levenshtein.normalized_distance(reference, answer),
        "chrf_score": _chrf(),
    }


class _Stemmer:
    """A Porter stemmer that remembers words."""

    def __init__(self) -> None:
        self.stem: Callable[[str], str] = lru_cache(KEPT_WORDS)(PorterStemmer().stem)


def _rouge_l() -> Similarity:
    """Return ROUGE-L (F) on stems."""
    stemmer = _Stemmer()

    @lru_cache(KEPT_TEXTS)
    def tokens(text: str) -> tuple[str, ...]:
        return tuple(tokenize(text, stemmer))

    def rouge_l(reference: str, answer: str) -> float:
        expected, said = tokens(reference), tokens(answer)
        if not expected or not said:
            return 0.0
        common = LCSseq.similarity(expected, said)
        return float(fmeasure(common / len(said), common / len(expected)))

    return rouge_l


def _chrf() -> Similarity:
    """Return chrF: F2 of the mean precision and the mean recall of n-grams, over the orders that both texts have."""
    ngrams = lru_cache(KEPT_TEXTS)(lambda text: extract_all_char_ngrams(text, CHRF.CHAR_ORDER))

    def chrf(reference: str, answer: str) -> float:
        precisions, recalls = [], []
        for expected, said in zip(ngrams(reference), ngrams(answer), strict=True):
            if expected and said:
                common = _common(expected, said)
                precisions.append(common / said.total())
                recalls.append(common / expected.total())
        precision, recall = sum(precisions), sum(recalls)
        if not precision + recall:
            return 0.0
        factor = CHRF.BETA**2
        return (1 + factor) * precision * recall / (factor * precision + recall) / len(precisions)

    return chrf


def _common(one: Counter[str], other: Counter[str]) -> int:
    return sum(min(one[ngram], other[ngram]) for ngram in one.keys() & other.keys())


def _semantic_similarity(samples: Iterable[Sample], embedding: SentenceEncoder) -> Similarity:
    """Return the cosine of the vectors of passages, without the bridge. Every text is embedded once."""
    texts = list(
        dict.fromkeys(
            text
            for sample in samples
            if sample.answer is not None and sample.references and not sample.refused
            for text in (sample.answer, *sample.references)
        )
    )
    vectors: dict[str, NDArray[np.float64]] = {}
    if texts:
        rows = np.asarray(embedding.encode_document(texts), np.float64)
        vectors = dict(zip(texts, rows / np.linalg.norm(rows, axis=1, keepdims=True), strict=True))
    return lambda reference, answer: float(vectors[reference] @ vectors[answer])
