"""Comparison of retrievers: arms, metrics and the certainty of a difference."""

from __future__ import annotations

from .arms import ALL_ARMS, ARMS, build_arms
from .baselines import Bm25, convex_fusion, reciprocal_rank_fusion
from .dataset import ALL, Dataset, Message, Qrels, Query, read_beir, read_questions
from .evaluate import evaluate
from .keyword_heaviness import keyword_heaviness
from .ragas.judge import Judge, make_judge
from .ranking import Arm
from .reports.files import write_report
from .reports.markdown import report
from .reports.summary import summary
from .reports.wording import headline
from .results import ArmResult, Comparison, Evaluation
from .retrieval_metrics import MEASURES, per_query
from .significance import PairedDifference, holm, paired_difference, randomisation_p
from .tasks import draw_tasks, write_beir

__all__ = [
    "ALL",
    "ALL_ARMS",
    "ARMS",
    "MEASURES",
    "Arm",
    "ArmResult",
    "Bm25",
    "Comparison",
    "Dataset",
    "Evaluation",
    "Judge",
    "Message",
    "PairedDifference",
    "Qrels",
    "Query",
    "build_arms",
    "convex_fusion",
    "draw_tasks",
    "evaluate",
    "headline",
    "holm",
    "keyword_heaviness",
    "make_judge",
    "paired_difference",
    "per_query",
    "randomisation_p",
    "read_beir",
    "read_questions",
    "reciprocal_rank_fusion",
    "report",
    "summary",
    "write_beir",
    "write_report",
]
