"""Hits that generators answer from."""

from __future__ import annotations

from lsb_rag import Hit

HITS = [
    Hit("pump", 0.9, "E-4012\nThe pump stopped. The error E-4012 means that the inlet is blocked!", "E-4012"),
    Hit("lunch", 0.2, "Lunch is served from noon."),
    Hit("filter", 0.1, "A blocked inlet is freed by cleaning the filter, see E-4012."),
]
