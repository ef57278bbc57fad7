"""The command line, ``lsb-rag``: what it does at Ctrl-C and with errors. Its commands are in ``commands``.

Nothing here takes time to load, so that Ctrl-C is understood while Python still loads the rest.
"""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
import threading
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from ..errors import LsbRagError

INTERRUPTED = 130
GOES_ON = {
    "demo": "What is indexed so far is kept; the same command goes on from there.",
    "index": "What is stored so far is kept; the same command goes on from there.",
    "attach": "No record was changed, and what was fitted is kept; the same command goes on from there.",
    "search": "Nothing was changed.",
    "ask": "Nothing was changed.",
    "explain": "Nothing was changed.",
    "evaluate": "What was indexed, and what a language model answered or judged, is kept; "
    "the same command goes on from there.",
    "make-tasks": "Nothing was written; the same command starts over.",
    "train": "The same command goes on from the last complete checkpoint, or starts over where there is none yet.",
    "adapt": "Nothing was changed; the same command starts over.",
}
"""What is left of a command that was stopped, and how it goes on."""


def main() -> None:
    """Run the command line: exit code 0 good, 1 a clear error on stderr, 2 wrong usage, 130 stopped by Ctrl-C."""
    pressed: list[int] = []
    _catch_ctrl_c(pressed)
    # Or Python looks through all of torch for cycles on its way out, for a second. All files are closed by then.
    atexit.register(gc.freeze)
    try:
        from .commands import app

        app()
    except BaseException as error:
        # Typer makes an exit code of it; an import or a library may have made any other error of it.
        stopped = isinstance(error, KeyboardInterrupt) or getattr(error, "code", None) == INTERRUPTED
        if stopped or (pressed and not isinstance(error, SystemExit)):
            _stop()
        if isinstance(error, LsbRagError):
            from .console import err, plain

            err.print(plain(f"lsb-rag: {error}", "red"), soft_wrap=True)
            sys.exit(1)
        raise
    finally:
        _flush()
        pressed.append(0)  # there is nothing left to unwind


def _catch_ctrl_c(pressed: list[int]) -> None:
    """The first Ctrl-C interrupts what is under way, the second one ends it at once, whatever it waits for.

    :param pressed: Gets an entry at the first one.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        if pressed:
            _stop()
        pressed.append(number)
        raise KeyboardInterrupt

    def lost(unraisable: sys.UnraisableHookArgs) -> None:
        if not isinstance(unraisable.exc_value, KeyboardInterrupt):
            sys.__unraisablehook__(unraisable)
            return
        pressed.clear()  # it came while an object was being destroyed, say, and went no further: once more
        threading.Timer(0.02, _press).start()

    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN  # as it is in a job in the background
    if threading.current_thread() is threading.main_thread() and not ignored:
        signal.signal(signal.SIGINT, handle)
        sys.unraisablehook = lost


def _press() -> None:
    """Ctrl-C from another thread; the main one wakes up for it where the system can do that."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        signal.raise_signal(signal.SIGINT)


def _stop() -> NoReturn:
    """Say how the command goes on, and end without waiting for threads: what is stored is stored whole."""
    command = next((argument for argument in sys.argv[1:] if not argument.startswith("-")), "")
    cursor = "\x1b[?25h" if sys.stderr.isatty() else ""  # which a progress bar hides
    with suppress(OSError):
        sys.stderr.write(f"{cursor}Stopped. {GOES_ON.get(command, '')}".rstrip() + "\n")
        sys.stderr.flush()
        sys.stdout.flush()
    os._exit(INTERRUPTED)


def _flush() -> None:
    """Write what is left for stdout; where nobody reads it any more, as in ``| head -1``, that is no error."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
