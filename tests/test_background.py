from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest

from lsb_rag.background import in_background

name: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="nobody")


def where(*, suffix: str = "") -> tuple[str, str]:
    return threading.current_thread().name, name.get() + suffix


def test_it_runs_in_a_thread_of_ours_with_the_callers_context() -> None:
    async def call() -> tuple[str, str]:
        name.set("caller")
        return await in_background(where, suffix="!")

    thread, seen = asyncio.run(call())
    assert thread.startswith("lsb_rag")
    assert seen == "caller!"


def test_errors_come_back() -> None:
    with pytest.raises(ZeroDivisionError):
        asyncio.run(in_background(lambda: 1 // 0))
