"""Blocking work off the event loop, and asynchronous work from code that is not."""

from __future__ import annotations

import asyncio
import contextvars
import dis
import os
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeVar

from .arguments import checked

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

QUERY_THREADS = 4
"""More threads would only compete with the event loop for the interpreter; PyTorch uses the cores itself."""
PASSAGE_THREADS = 2
"""Separate from those of queries, so that no query waits behind the indexing of a corpus."""

_pools: dict[str, ThreadPoolExecutor] = {}


def _start_pools() -> None:
    _pools["queries"] = ThreadPoolExecutor(QUERY_THREADS, thread_name_prefix="lsb_rag-queries")
    _pools["passages"] = ThreadPoolExecutor(PASSAGE_THREADS, thread_name_prefix="lsb_rag-passages")


_start_pools()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_pools)  # threads do not survive a fork


@checked
async def in_background(
    function: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
) -> Result:
    """Await ``function(*args, **kwargs)``, which answers a query, in a thread with the caller's context."""
    return await _run_in("queries", partial(function, *args, **kwargs))


@checked
async def passages_in_background(
    function: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
) -> Result:
    """Await work on passages, which may take long, as :func:`in_background` does."""
    return await _run_in("passages", partial(function, *args, **kwargs))


async def _run_in(pool: str, function: Callable[[], Result]) -> Result:
    in_context = partial(contextvars.copy_context().run, partial(_without_stop_iteration, function))
    return await asyncio.get_running_loop().run_in_executor(_pools[pool], in_context)


def _without_stop_iteration(function: Callable[[], Result]) -> Result:
    """Call `function`; a StopIteration, which a future cannot bear, is raised as a RuntimeError."""
    try:
        return function()
    except StopIteration as error:
        raise RuntimeError(f"{error!r} was raised where a result was expected.") from error


@checked
def run_to_end(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine from synchronous code and wait for it.

    Where a loop is already running, as in a notebook, the coroutine runs in a thread. An interrupt while waiting
    cancels the work.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[Result]]] = Future()

    async def task() -> Result:
        running = asyncio.ensure_future(work)
        started.set_result((asyncio.get_running_loop(), running))
        return await running

    with ThreadPoolExecutor(1, thread_name_prefix="lsb_rag-loop") as pool:
        done = pool.submit(asyncio.run, task())
        try:
            return done.result()
        except BaseException:
            if not done.done():
                loop, running = started.result()
                loop.call_soon_threadsafe(running.cancel)
            raise


@checked
def awaits(function: Callable[..., Any] | None) -> bool:
    """Whether a coroutine function awaits anything; one that only calls the synchronous one blocks its loop."""
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    if function is None:
        return False
    return code is None or any(step.opname == "GET_AWAITABLE" for step in dis.get_instructions(code))
