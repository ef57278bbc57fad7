"""Read documents and corpus files into passages."""

from __future__ import annotations

from .corpus import is_stored, outdated_passages, read_passages

__all__ = ["is_stored", "outdated_passages", "read_passages"]
