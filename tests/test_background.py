from __future__ import annotations

import asyncio
import contextvars
import os
import subprocess
import sys
import threading

import pytest

from lsb_rag.background import in_background, passages_in_background

name: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="nobody")


def where(*, suffix: str = "") -> tuple[str, str]:
    return threading.current_thread().name, name.get() + suffix


def test_it_runs_in_a_thread_of_ours_with_the_callers_context() -> None:
    async def call() -> tuple[str, str]:
        name.set("caller")
        return await in_background(where, suffix="!")

    thread, seen = asyncio.run(call())
    assert thread.startswith("lsb_rag-queries")
    assert seen == "caller!"


def test_errors_come_back() -> None:
    with pytest.raises(ZeroDivisionError):
        asyncio.run(in_background(lambda: 1 // 0))


def test_queries_do_not_wait_behind_passages() -> None:
    async def call() -> None:
        release = threading.Event()
        long = [asyncio.create_task(passages_in_background(release.wait, 60)) for _ in range(8)]
        thread, _ = await asyncio.wait_for(in_background(where), 10)
        assert thread.startswith("lsb_rag-queries")
        release.set()
        assert all(await asyncio.gather(*long))

    asyncio.run(call())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_after_a_fork_it_has_new_threads() -> None:
    code = (
        "import asyncio, os; from lsb_rag.background import in_background;"
        "asyncio.run(in_background(int)); child = os.fork(); child and os.waitpid(child, 0);"
        "print(asyncio.run(in_background(os.getpid)) == os.getpid(), flush=True)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)  # noqa: S603
    assert done.stdout.split() == ["True", "True"]
