"""A progress bar for work that takes longer than two seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .arguments import checked

Progress = Callable[[int, int], None]
"""Callback that takes the number of passages done and the total."""

DELAY_SECONDS = 2


@checked
@contextmanager
def progress_bar(label: str, show: bool | None = None) -> Iterator[Progress]:
    """Show a bar of passages done, with their rate and the time left; yield the callback that advances it.

    :param label: What is being done.
    :param show: True shows the bar at once, False never; None after two seconds, in a terminal or a notebook.
    """
    from tqdm.auto import tqdm

    notebook = any(kind.__module__ == "tqdm.notebook" for kind in tqdm.__mro__)
    hidden = None if show is None and not notebook else show is False  # None: hidden unless in a terminal
    with tqdm(desc=label, unit="passage", delay=0 if show else DELAY_SECONDS, disable=hidden) as bar:

        def update(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield update
