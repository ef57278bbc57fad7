"""Blocking work off the event loop."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

WORKERS = 4
"""More threads would only compete with the event loop for the interpreter: PyTorch uses the cores itself."""
_threads = ThreadPoolExecutor(WORKERS, thread_name_prefix="lsb_rag")


async def in_background(
    function: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
) -> Result:
    """Await ``function(*args, **kwargs)`` in one of a few threads of the library, with the caller's context."""
    call = partial(contextvars.copy_context().run, partial(function, *args, **kwargs))
    return await asyncio.get_running_loop().run_in_executor(_threads, call)
