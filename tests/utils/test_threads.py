from __future__ import annotations

import asyncio
import contextvars
import os
import subprocess
import sys
import threading

import pytest

from lsb_rag.utils.threads import in_background, passages_in_background, run_to_end

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
        "import asyncio, os; from lsb_rag.utils.threads import in_background;"
        "asyncio.run(in_background(int)); child = os.fork(); child and os.waitpid(child, 0);"
        "print(asyncio.run(in_background(os.getpid)) == os.getpid(), flush=True)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)  # noqa: S603
    assert done.stdout.split() == ["True", "True"]


async def answer(value: int) -> int:
    await asyncio.sleep(0)
    return value


def test_a_coroutine_runs_to_its_end_from_code_that_is_not_asynchronous() -> None:
    assert run_to_end(answer(7)) == 7


async def test_and_from_within_a_running_loop() -> None:
    assert run_to_end(answer(7)) == 7

    async def failing() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        run_to_end(failing())


def test_interrupted_in_a_running_loop_it_cancels_the_work() -> None:
    code = """
import asyncio, os, signal, threading
from lsb_rag.utils.threads import run_to_end

async def work():
    for step in range(100):
        print(step, flush=True)
        await asyncio.sleep(0.1)

async def cell():
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # as in a notebook's kernel
    run_to_end(work())

asyncio.run(cell())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603
    assert "KeyboardInterrupt" in done.stderr
    assert len(done.stdout.splitlines()) < 20
