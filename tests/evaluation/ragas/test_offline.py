from __future__ import annotations

import asyncio
import math
import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lsb_rag.evaluation.metric_names import OFFLINE
from lsb_rag.evaluation.ragas.judged import EncoderEmbedding
from lsb_rag.evaluation.ragas.offline import score_offline
from lsb_rag.evaluation.scores import DIGITS, Sample, Samples, Scores
from lsb_rag.generation import NO_ANSWER

FOUND = Sample(
    "What does E-4012 mean?",
    ("pipes", "the inlet is blocked"),
    "It says: the inlet is blocked",
    ("drain", "pump", "lunch", "office"),
    ("The outlet is blocked.", "The pump stopped because the inlet is blocked.", "Lunch is at noon.", "Closed."),
    ("pump", "valve"),
    ("The pump stopped because the inlet is blocked.", "The valve stays open when its spring is worn."),
)


class Directions:
    """Two texts are alike when they begin with the same letter."""

    def encode_document(self, texts: list[str], /) -> NDArray[np.float32]:
        return np.stack([np.eye(26, dtype=np.float32)[ord(text[0].lower()) - ord("a")] for text in texts])

    def embed_query(self, texts: str, /) -> NDArray[np.float32]:
        return self.encode_document([texts])[0]


def scored(samples: Samples, embedding: Directions | None = None) -> dict[str, Scores]:
    return score_offline(samples, embedding=embedding)


def test_every_metric_worked_out_by_hand() -> None:
    found = scored({"lsb": {"q": FOUND}}, Directions())["lsb"]
    values = {measure: by_query["q"] for measure, by_query in found.values.items()}
    assert set(values) == set(OFFLINE)
    assert values["id_based_context_precision"] == 1 / 4
    assert values["id_based_context_recall"] == 1 / 2
    assert values["non_llm_context_recall"] == 1 / 2  # the pump word for word, nothing like the valve
    assert values["exact_match"] == 0
    assert values["string_present"] == 1  # the second of the references
    # Of 6 words of the answer 4 are the reference's 4, in order: P = 4/6, R = 1.
    assert values["rouge_score"] == pytest.approx(2 * (4 / 6) / (1 + 4 / 6))
    # Nine characters too many: "It says: "
    assert values["non_llm_string_similarity"] == pytest.approx(1 - 9 / 29)
    assert 0.8 < values["chrf_score"] < 1
    assert values["semantic_similarity"] == 0  # "I" is neither "p" nor "t"
    assert found.reasons == {}


def test_an_exact_answer_scores_one_everywhere() -> None:
    exact = Sample(**{**vars(FOUND), "answer": "the inlet is blocked"})
    values = scored({"lsb": {"q": exact}}, Directions())["lsb"].values
    for measure in OFFLINE[3:]:
        assert values[measure]["q"] == pytest.approx(1), measure


def test_what_cannot_be_scored_is_said() -> None:
    samples = {
        "nothing": Sample(**{**vars(FOUND), "context_ids": (), "contexts": ()}),
        "failed": Sample(**{**vars(FOUND), "answer": None}),
        "open": Sample(**{**vars(FOUND), "references": ()}),
        "elsewhere": Sample(**{**vars(FOUND), "relevant": ()}),
        "silent": Sample(**{**vars(FOUND), "answer": ""}),
        "refused": Sample(**{**vars(FOUND), "answer": NO_ANSWER}),
    }
    found = scored({"lsb": samples})["lsb"]
    assert math.isnan(found.values["id_based_context_precision"]["nothing"])
    assert found.values["id_based_context_recall"]["nothing"] == 0
    assert found.values["non_llm_context_recall"]["nothing"] == 0
    assert found.reasons["id_based_context_precision"] == {"nothing": "nothing was retrieved"}
    assert math.isnan(found.values["non_llm_context_recall"]["elsewhere"])
    assert found.reasons["rouge_score"] == {
        "silent": "the answer is that there is none",
        "refused": "the answer is that there is none",
        "failed": "the generator failed",
        "open": "the question has no reference answer",
    }
    for id in ("silent", "refused"):
        assert [found.values[measure][id] for measure in OFFLINE[3:8]] == [0, 0, 0, 0, 0]
    assert "semantic_similarity" not in found.values


def test_without_references_answers_are_not_scored() -> None:
    found = scored({"lsb": {"q": Sample(**{**vars(FOUND), "references": ()})}})["lsb"]
    assert set(found.values) == set(OFFLINE[:3])


def test_the_same_contexts_for_other_relevant_passages_score_otherwise() -> None:
    other = Sample(**{**vars(FOUND), "relevant_ids": ("drain",), "relevant": ("The outlet is blocked.",)})
    values = scored({"lsb": {"q": FOUND, "other": other}})["lsb"].values
    assert values["id_based_context_recall"] == {"q": 0.5, "other": 1}
    assert values["non_llm_context_recall"] == {"q": 0.5, "other": 1}


def test_arms_that_answer_the_same_score_the_same() -> None:
    steps: list[tuple[int, int]] = []
    samples = {"vanilla": {"q": FOUND}, "lsb": {"q": FOUND}}
    found = score_offline(samples, progress=lambda *step: steps.append(step))
    assert found["vanilla"] == found["lsb"]
    assert steps == [(1, 2), (2, 2)]


HARD = [
    "",
    " ",
    "a",
    "The",
    "the inlet is blocked",
    "The inlets were blocking, the INLET is blocked; the inlet is blocked.",
    "running runs runner ran easily fairly generously national conditional",
    "\u5317\u4eac\u5e02 \u306b \u884c\u3063\u305f",
    "na\u00efve caf\u00e9 \u2014 \u00dcber \U0001f600",
    "E-4012 e4012 cutoff=0.6 os.F_OK | os.X_OK",
    "x" * 300,
    "ab" * 150,
    " ".join(f"word{n % 7}" for n in range(120)),
    "pump. " * 40,
    "a\tb  c\u00a0d",
]


class Spread:
    """Vectors that are not of length 1, and differ from text to text."""

    def encode_document(self, texts: list[str], /) -> NDArray[np.float32]:
        return np.array([[len(text), sum(map(ord, text)) % 97, 3.3] for text in texts], np.float32)


@pytest.mark.parametrize("answer", [text for text in HARD if text])
def test_the_values_are_those_of_ragas(answer: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from ragas import SingleTurnSample
        from ragas.metrics import IDBasedContextPrecision, IDBasedContextRecall, NonLLMContextRecall
        from ragas.metrics import collections as ragas

    embedding: Any = Spread()
    metrics: list[Any] = [
        ragas.ExactMatch(),
        ragas.StringPresence(),
        ragas.RougeScore(),
        ragas.NonLLMStringSimilarity(),
        ragas.CHRFScore(),
        ragas.SemanticSimilarity(embeddings=EncoderEmbedding(embedding)),
    ]
    others = [text for text in HARD if text not in ("", answer)]
    samples = {
        str(place): Sample("?", (reference,), answer, ("a", "b", "a"), (reference, "b"), ("b", "c"), (answer, *others))
        for place, reference in enumerate(HARD)
        if reference
    }
    found = score_offline({"lsb": samples}, embedding=embedding)["lsb"].values
    for id, sample in samples.items():
        (reference,) = sample.references
        for metric in metrics:
            value = asyncio.run(metric.ascore(reference=reference, response=answer)).value
            assert found[metric.name][id] == round(min(1, max(0, value)), DIGITS), (metric.name, reference)
    ids = SingleTurnSample(retrieved_context_ids=["a", "b", "a"], reference_context_ids=["b", "c"])
    for by_id in (IDBasedContextPrecision(), IDBasedContextRecall()):
        assert found[by_id.name]["4"] == asyncio.run(by_id.single_turn_ascore(ids))
    texts = SingleTurnSample(retrieved_contexts=list(sample.contexts), reference_contexts=list(sample.relevant))
    assert found["non_llm_context_recall"][id] == round(
        asyncio.run(NonLLMContextRecall().single_turn_ascore(texts)), DIGITS
    )


@pytest.mark.parametrize("one", ["abcd", "abcdef", "abc", "ab", ""])
def test_half_alike_is_not_alike(one: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from ragas import SingleTurnSample
        from ragas.metrics import NonLLMContextRecall

    relevant = ("abcdefgh", "abcdxxxx", "", "ab")
    sample = Sample("?", (), "", ("a",), (one,), ("b",), relevant)
    texts = SingleTurnSample(retrieved_contexts=[one], reference_contexts=list(relevant))
    expected = asyncio.run(NonLLMContextRecall().single_turn_ascore(texts))
    assert scored({"lsb": {"q": sample}})["lsb"].values["non_llm_context_recall"]["q"] == expected
