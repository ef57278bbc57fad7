"""Read documents and corpus files into passages."""

from __future__ import annotations

from .corpus import outdated_passages, read_passages

__all__ = ["outdated_passages", "read_passages"]
