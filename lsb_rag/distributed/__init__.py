"""Indexing on a Ray cluster."""

from __future__ import annotations

from .indexing import check_database, index_with_ray

__all__ = ["check_database", "index_with_ray"]
