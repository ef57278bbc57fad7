"""Names of the metrics, their labels in tables, and the groups they are shown in.

``retrieval_metrics`` computes those of a ranking, ``answer_metrics`` those of answers by what is stated in them, the
package ``ragas`` RAGAS's of contexts and answers.
"""

from __future__ import annotations

from collections.abc import Iterable

RETRIEVAL = ("hit@1", "hit@5", "mrr@10", "ndcg@10", "recall@10")
"""Metrics of the ranking, by ir-measures."""
OFFLINE = (
    "id_based_context_precision",
    "id_based_context_recall",
    "non_llm_context_recall",
    "exact_match",
    "string_present",
    "rouge_score",
    "non_llm_string_similarity",
    "chrf_score",
    "semantic_similarity",
)
"""Metrics of contexts and answers by RAGAS without a language model, under RAGAS's own names."""
STATED = ("token_f1", "squad_exact_match", "entity_recall", "answer_in_contexts", "context_entity_recall")
"""Metrics of answers, and of the contexts they were made from, by what is stated in them."""
JUDGED = ("answer_correctness", "faithfulness", "answer_relevancy", "context_precision", "context_recall")
"""Metrics of contexts and answers by RAGAS, judged by a language model, under RAGAS's own names."""

LABELS = {
    "mrr@10": "MRR@10",
    "ndcg@10": "nDCG@10",
    "id_based_context_precision": "ID context precision",
    "id_based_context_recall": "ID context recall",
    "non_llm_context_recall": "non-LLM context recall",
    "exact_match": "exact match",
    "string_present": "string presence",
    "rouge_score": "ROUGE-L",
    "non_llm_string_similarity": "string similarity",
    "chrf_score": "chrF",
    "semantic_similarity": "semantic similarity",
    "token_f1": "token F1",
    "squad_exact_match": "exact match, normalised",
    "entity_recall": "entity recall",
    "answer_in_contexts": "answer in contexts",
    "context_entity_recall": "context entity recall",
    "faithfulness": "faithfulness",
    "answer_correctness": "answer correctness",
    "answer_relevancy": "answer relevancy",
    "context_precision": "context precision",
    "context_recall": "context recall",
}
_GROUPS = (
    ("Retrieval", RETRIEVAL, "mrr@10"),
    ("Contexts and answers, RAGAS without a language model", OFFLINE, "string_present"),
    ("Answers and what the generator read", STATED, "entity_recall"),
    ("Contexts and answers, RAGAS with a judge", JUDGED, "answer_correctness"),
)


def label(measure: str) -> str:
    """Return the label of a measure in tables."""
    return LABELS.get(measure, measure)


def groups(measures: Iterable[str]) -> list[tuple[str, list[str], str]]:
    """Return the groups that `measures` are shown in.

    :return: The title of each group, its measures, and the leading one, whose differences are shown beside them.
    """
    present = list(measures)
    found = []
    for title, names, leading in _GROUPS:
        chosen = [name for name in names if name in present]
        if chosen:
            found.append((title, chosen, leading if leading in chosen else chosen[0]))
    return found
