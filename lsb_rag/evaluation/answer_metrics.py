"""Metrics of answers, and of what the generator read, by what is stated in them; without a language model.

Token F1 and exact match are those of SQuAD (Rajpurkar et al., 2016). Whether a passage holds the answer is decided as
for DPR (Karpukhin et al., 2020). Entities are found by rules, so that the values are the same on any machine.
"""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Callable, Iterable
from functools import lru_cache, partial

import regex

from ..lexical.identifiers import identifiers
from ..lexical.units import UNSPACED, typed_words
from .scores import Metrics, Sample, Samples, Score, Scores, no_value, score_all, score_answer

NO_ENTITY = "no reference holds a number, a name or an identifier"
KEPT_TEXTS = 256
"""Texts whose words are kept; enough for the answers, references and contexts of one question."""
LONG_WORD = 4
"""Least letters of a word that a name begins with a capital: ``University of Notre Dame``."""

_ARTICLE = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = regex.compile(rf"[\p{{P}}{re.escape(string.punctuation)}]")
_SENTENCE = regex.compile(r"(?<=[.!?\u3002]['\")\]]*)(?<!\b\p{Lu}\p{L}{0,2}\.)\s+|\n+")
"""Where a sentence ends; not behind an abbreviation such as ``Dr.``"""
_NUMBER = re.compile(r"\d+(?:[.,:/]\d+)*")
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_NAME = regex.compile(r"\p{Lu}[\p{L}\p{M}'\u2019\-]*")


def score_answers(samples: Samples, progress: Callable[[int, int], None] | None = None) -> dict[str, Scores]:
    """Score every arm's answers, and the contexts they were made from, against the reference answers.

    Of several references the best value counts. An empty result means that no sample has a reference.

    :param progress: Called with the number of samples done and the total.
    :return: ``{arm: scores}``.
    """
    if not any(sample.references for by_query in samples.values() for sample in by_query.values()):
        return {arm: Scores() for arm in samples}
    return score_all(samples, METRICS, progress)


@lru_cache(KEPT_TEXTS)
def squad_tokens(text: str) -> tuple[str, ...]:
    """Return the words of a text as SQuAD compares them: small letters, without punctuation and articles.

    As in MLQA (Lewis et al., 2020), other punctuation than ASCII's goes too, and each character of a script without
    spaces is a word.
    """
    plain = _PUNCTUATION.sub("", text.lower())
    return tuple(UNSPACED.sub(r" \g<0> ", _ARTICLE.sub(" ", plain)).split())


def token_f1(reference: str, answer: str) -> float:
    """Return F1 of the words of an answer, in any order, as SQuAD computes it."""
    expected, said = squad_tokens(reference), squad_tokens(answer)
    if not expected or not said:
        return float(expected == said)
    common = (Counter(expected) & Counter(said)).total()
    return 2 * common / (len(expected) + len(said))


def squad_exact_match(reference: str, answer: str) -> float:
    """Return 1 if an answer is the reference but for case, punctuation, articles and white space, as in SQuAD."""
    return float(squad_tokens(reference) == squad_tokens(answer))


@lru_cache(KEPT_TEXTS)
def entities(text: str) -> frozenset[str]:
    """Return the numbers, names and identifiers in a text, without letter case.

    Names are the words with a capital that begin no sentence; the first word is one too where every longer word of the
    sentence has a capital, as in ``Notre Dame``. Of an assignment, such as ``port=80``, both sides count. Numbers are
    without commas between thousands.
    """
    found, rest = set[str](), text
    for identifier in identifiers(text):
        rest = rest.replace(identifier, " ")
        found |= {part.casefold() for one in identifier.split("=") if (part := one.strip("'\""))} or {identifier}
    found |= _numbers(rest)
    for sentence in _SENTENCE.split(text):
        words = typed_words(sentence)
        named = [bool(_NAME.fullmatch(word)) for word in words]
        long = [
            is_name for word, is_name in zip(words, named, strict=True) if len(word) >= LONG_WORD and word[0].isalpha()
        ]
        for place, (word, is_name) in enumerate(zip(words, named, strict=True)):
            if is_name and (place or all(long)) and not _ARTICLE.fullmatch(word.lower()):
                found.add(re.sub(r"['\u2019]s$", "", word).casefold())
    return frozenset(found)


def entity_recall(references: Iterable[str], texts: Iterable[str]) -> float:
    """Return the share of a reference's entities that stand in `texts`, of the best one; NaN if none has any."""
    texts = [*texts]
    numbers = frozenset().union(*map(_numbers, texts))
    folded = "\n".join(texts).casefold()
    recalls = [
        sum(one in numbers or _stands_in(one, folded) for one in expected) / len(expected)
        for expected in map(entities, references)
        if expected
    ]
    return max(recalls, default=math.nan)


def answer_in(references: Iterable[str], contexts: Iterable[str]) -> float:
    """Return 1 if a context holds a reference word for word, but for case, punctuation and articles; else 0."""
    texts = [f" {_spoken(context)} " for context in contexts]
    spoken = [words for reference in references if (words := _spoken(reference))]
    return float(any(f" {words} " in text for words in spoken for text in texts))


@lru_cache(KEPT_TEXTS)
def _spoken(text: str) -> str:
    """Return the words of a text with one space between; unlike SQuAD's, those of ``cutoff=0.6`` are three."""
    return " ".join(_ARTICLE.sub(" ", UNSPACED.sub(r" \g<0> ", _PUNCTUATION.sub(" ", text.lower()))).split())


@lru_cache(KEPT_TEXTS)
def _numbers(text: str) -> frozenset[str]:
    found = _NUMBER.findall(text)
    return frozenset(one.replace(",", "") if _THOUSANDS.fullmatch(one) else one for one in found)


def _stands_in(entity: str, text: str) -> bool:
    """Whether a text holds an entity that is no part of a longer word or number."""
    if _NUMBER.fullmatch(entity):
        return False  # those of the text are known
    at = text.find(entity)
    while at >= 0:
        before, after = text[at - 1 : at] if at else "", text[at + len(entity) : at + len(entity) + 1]
        if not (_joins(before, entity[0]) or _joins(entity[-1], after)):
            return True
        at = text.find(entity, at + 1)
    return False


def _joins(one: str, other: str) -> bool:
    return all(character.isalnum() or character == "_" for character in (one, other)) and bool(one and other)


def _score_entity_recall(sample: Sample) -> Score:
    if sample.references and not any(map(entities, sample.references)):
        return no_value(NO_ENTITY)
    return score_answer(sample, lambda reference, answer: _or_zero(entity_recall([reference], [answer])))


def _or_zero(recall: float) -> float:
    """Return a recall, or 0 for a reference without entities beside others that have some."""
    return 0.0 if math.isnan(recall) else recall


def _score_contexts(sample: Sample, metric: Callable[[Iterable[str], Iterable[str]], float]) -> Score:
    if not sample.references:
        return no_value("the question has no reference answer")
    value = metric(sample.references, sample.contexts)
    if math.isnan(value):
        return no_value(NO_ENTITY)
    return Score(value, "" if sample.contexts else "nothing was retrieved")


OF_ANSWER, OF_CONTEXTS = ("references", "answer"), ("references", "contexts")
METRICS: Metrics = {
    "token_f1": (partial(score_answer, similarity=token_f1), OF_ANSWER),
    "squad_exact_match": (partial(score_answer, similarity=squad_exact_match), OF_ANSWER),
    "entity_recall": (_score_entity_recall, OF_ANSWER),
    "answer_in_contexts": (partial(_score_contexts, metric=answer_in), OF_CONTEXTS),
    "context_entity_recall": (partial(_score_contexts, metric=entity_recall), OF_CONTEXTS),
}
