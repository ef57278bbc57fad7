"""Answers one at a time, in a thread of their own, for clients that may go away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import BusyError

if TYPE_CHECKING:
    from starlette.types import Receive

MOST = 200
"""Answers that are waited for at most: more than a person opens, and few enough to come some time."""

Result = TypeVar("Result")


class Turns:
    """Runs one piece of work after the other. A model on this machine handles one request at a time."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        self._thread: Thread | None = None
        self._waiting = 0

    async def take(self, receive: Receive, work: Callable[..., Result]) -> Result | None:
        """Return what `work` returns when its turn has come; None when the client has gone away before.

        :param receive: Tells that the client has gone away. What has not begun by then is not begun.
        :param work: Called with ``is_wanted``, which returns False when nobody waits for it any more.
        :raises BusyError: When very many are waiting.
        """
        if self._waiting >= MOST:
            raise BusyError(f"{MOST} answers are being waited for; ask again when some of them are there.")
        if self._thread is None:
            # A daemon, unlike the threads of an executor: a program that ends does not wait for an answer.
            self._thread = Thread(target=self._run, name="lsb_rag-answers", daemon=True)
            self._thread.start()
        future: Future[Result] = Future()
        done, left = asyncio.wrap_future(future), asyncio.ensure_future(_gone(receive))
        self._queue.put((future, partial(work, is_wanted=lambda: not left.done())))
        self._waiting += 1
        try:
            await asyncio.wait((done, left), return_when=asyncio.FIRST_COMPLETED)
            return done.result() if done.done() else None
        finally:
            self._waiting -= 1
            done.cancel()
            left.cancel()

    def _run(self) -> None:
        while True:
            future, work = self._queue.get()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(work())
                except BaseException as error:
                    future.set_exception(error)
            del future, work  # the answer is not kept until the next question


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
