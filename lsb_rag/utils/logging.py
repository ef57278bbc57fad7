"""Loggers of other libraries, silenced where the same is said here in one sentence."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def silenced(name: str) -> Iterator[None]:
    """Drop what the logger `name` says below CRITICAL."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """No progress bar for reading files, which takes well under a second, and no report on heads left unused."""
    from transformers.utils import logging as transformers_logging

    control: Any = transformers_logging
    bars, verbosity = control.is_progress_bar_enabled(), control.get_verbosity()
    control.disable_progress_bar()
    control.set_verbosity_error()
    try:
        yield
    finally:
        control.set_verbosity(verbosity)
        if bars:
            control.enable_progress_bar()
