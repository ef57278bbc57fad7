"""Comparing retrievers: the arms, the metrics and how sure a difference is."""

from __future__ import annotations

from .arms import ALL_ARMS, ARMS, Arm, build_arms
from .baselines import Bm25, convex_fusion, reciprocal_rank_fusion
from .dataset import ALL, Dataset, Qrels, Query, read_beir, read_questions
from .evaluate import evaluate
from .files import write_report
from .judge import Judge, make_judge
from .keyword_heaviness import keyword_heaviness
from .markdown import report
from .metrics import MEASURES, per_query
from .results import ArmResult, Comparison, Evaluation
from .significance import PairedDifference, holm, paired_difference, randomisation_p
from .summary import summary
from .tasks import draw_tasks, write_beir
from .wording import headline

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
