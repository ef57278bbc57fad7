"""The watch for what other programs write into a collection."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ..statistics.on_disk import StatisticsFile
from .collection import ChromaCollection

RECHECK_SECONDS = 1.0
"""Least time between two looks. A look that takes long makes it longer: looking takes a tenth of the time at most."""
SAME_TIME_SECONDS = 2.0
"""Time in which two writes may leave the same modification time, on a file system with two-second timestamps."""
SCAN_LIMIT = 200_000
"""The most records whose ids are listed to find what others wrote; 100,000 take a quarter of a second."""


class ChangeWatch:
    """Tells whether a collection still holds what was counted of it, and when to look again.

    A collection is in one of four states:

    - *unseen*: its ids have not been compared with those counted. The first thread compares them, the others wait.
    - *resting*: the last look was a moment ago. Nothing is asked.
    - *due*: the pause is over. One thread looks, the others use what is counted.
    - *settled*: it was found current, and its files have not changed since. A look asks the file system, not Chroma.

    :param collection: The collection.
    :param file: What was counted of it.
    """

    def __init__(self, collection: ChromaCollection, file: StatisticsFile) -> None:
        self.looking = threading.RLock()
        """Held during a look, and while the collection is counted as a whole."""
        self.seen = False
        """Whether the ids have been compared in this process."""
        self._collection = collection
        self._file = file
        self._began = 0.0
        """Time at which the current look began."""
        self._rests_until = float("-inf")
        """Time at which the pause after the last look ends."""
        self._state: tuple[object, ...] = ()
        """State of the database's files and version of the statistics at the last look."""
        self._unchanged_since = 0.0
        """Time at which that state was first seen."""
        self._settled = False
        """Whether that state was compared with Chroma after it had been unchanged for :data:`SAME_TIME_SECONDS`."""

    def lists(self, count: int) -> bool:
        """Whether the ids of `count` records are listed to find what others wrote."""
        return count <= SCAN_LIMIT

    def rests(self) -> bool:
        """Whether the last look was a moment ago."""
        return time.monotonic() < self._rests_until

    def wake(self) -> None:
        """Make the collection due, no matter how recent the last look was."""
        self._rests_until = float("-inf")
        self._settled = False

    @contextmanager
    def turn(self, *, wait: bool) -> Iterator[bool]:
        """Take the turn to look, one thread at a time; yield whether it is this thread's.

        :param wait: Wait for another thread's look; an unseen collection is waited for in any case.
        """
        if not self.looking.acquire(blocking=wait or not self.seen):
            yield False
            return
        self._began = time.monotonic()
        try:
            yield True
        finally:
            self.looking.release()

    def looked(self) -> None:
        """Note that the collection has been compared. It rests for a second, or ten times as long as the look took."""
        now = time.monotonic()
        pause = 10 * (now - self._began) if self.seen else 0.0  # the first look is a fit
        self._rests_until, self.seen = now + max(RECHECK_SECONDS, pause), True

    def put_off(self) -> None:
        """Look again after a pause, as another process is writing."""
        self._rests_until = time.monotonic() + RECHECK_SECONDS

    def is_current(self) -> bool:
        """Whether the collection holds the records that were counted, as far as a look can tell."""
        if not self.seen or not self._file.fitted or self._file.pending():
            return False
        now, state = time.monotonic(), (self._collection.state(), self._file.version)
        if state != self._state:
            self._state, self._unchanged_since, self._settled = state, now, False
        if self._settled:
            return True
        count = self._collection.count()
        if count != self._file.n_records:
            return False
        if count and self.lists(count):
            # Chroma lists records in the order they came: where as many came as went, the last one is new.
            last = self._collection.ids(limit=1, offset=count - 1)
            if not all(map(self._file.knows, last)):
                return False
        self._settled = state[0] is not None and now - self._unchanged_since >= SAME_TIME_SECONDS
        return True
