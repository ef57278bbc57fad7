"""Comparing retrievers: the arms, the metrics and how sure a difference is."""

from __future__ import annotations

from .arms import ARMS, Arm, build_arms
from .baselines import Bm25, convex_fusion, reciprocal_rank_fusion
from .compare import Comparison, Query, compare
from .metrics import MEASURES, PairedDifference, paired_difference, per_query

__all__ = [
    "ARMS",
    "MEASURES",
    "Arm",
    "Bm25",
    "Comparison",
    "PairedDifference",
    "Query",
    "build_arms",
    "compare",
    "convex_fusion",
    "paired_difference",
    "per_query",
    "reciprocal_rank_fusion",
]
