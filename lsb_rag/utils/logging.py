"""Silencing the loggers of other libraries where this one says the same in one sentence."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def silenced(name: str) -> Iterator[None]:
    """Drop messages below CRITICAL of the logger `name`."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Suppress the progress bar for reading files, which takes well under a second, and reports on unused heads."""
    from transformers.utils import logging as transformers_logging

    control: Any = transformers_logging
    bars = control.is_progress_bar_enabled()
    verbosity = control.get_verbosity()
    control.disable_progress_bar()
    control.set_verbosity_error()
    try:
        yield
    finally:
        control.set_verbosity(verbosity)
        if bars:
            control.enable_progress_bar()
