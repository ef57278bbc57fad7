"""General utilities: arguments, threads, files written whole, progress, logging, digests, templates."""

from __future__ import annotations

from .arguments import Instead, Positive, Share, checked
from .closing import Closable
from .digests import content_id, text_digest
from .identity import ByIdentity
from .options import plainly_refused
from .progress import Progress, progress_bar
from .threads import awaits, in_background, passages_in_background, run_to_end

__all__ = [
    "ByIdentity",
    "Closable",
    "Instead",
    "Positive",
    "Progress",
    "Share",
    "awaits",
    "checked",
    "content_id",
    "in_background",
    "passages_in_background",
    "plainly_refused",
    "progress_bar",
    "run_to_end",
    "text_digest",
]
