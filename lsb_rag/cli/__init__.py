"""The command line, ``lsb-rag``: its entry point, which handles Ctrl-C and errors. The commands are in ``commands``.

This module loads fast, so that Ctrl-C is handled while Python still loads the rest.
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
    "check": "Nothing was changed.",
    "delete": "What is deleted so far is gone; the same command goes on from there.",
    "evaluate": "What was indexed, and what a language model answered or judged, is kept; "
    "the same command goes on from there.",
    "make-tasks": "Nothing was written; the same command starts over.",
    "train": "The same command goes on from the last complete checkpoint, or starts over where there is none yet.",
    "adapt": "Nothing was changed; the same command starts over.",
}
"""What each command leaves behind when it is stopped, and how to continue it."""


def main() -> None:
    """Run the command line.

    Exit codes: 0 for success, 1 for an error, which is explained on stderr, 2 for wrong usage, 130 for Ctrl-C.
    """
    pressed: list[int] = []
    _catch_ctrl_c(pressed)
    # Otherwise Python searches all of torch for cycles at exit, which takes a second. All files are closed by then.
    atexit.register(gc.freeze)
    try:
        from .commands import app

        app()
    except BaseException as error:
        # Typer turns Ctrl-C into an exit code; an import or a library may have turned it into any other error.
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
        pressed.append(0)  # from here on, Ctrl-C ends the process at once


def _catch_ctrl_c(pressed: list[int]) -> None:
    """Handle Ctrl-C: the first one interrupts the command, the second one ends the process at once.

    :param pressed: Gets an entry at the first Ctrl-C.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        if pressed:
            _stop()
        pressed.append(number)
        raise KeyboardInterrupt

    def press_again(unraisable: sys.UnraisableHookArgs) -> None:
        if not isinstance(unraisable.exc_value, KeyboardInterrupt):
            sys.__unraisablehook__(unraisable)
            return
        pressed.clear()  # the interrupt was lost, for instance in a destructor
        threading.Timer(0.02, _press).start()

    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN  # as in a background job
    if threading.current_thread() is threading.main_thread() and not ignored:
        signal.signal(signal.SIGINT, handle)
        sys.unraisablehook = press_again


def _press() -> None:
    """Press Ctrl-C from another thread. The main thread wakes up for it where the system supports that."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        signal.raise_signal(signal.SIGINT)


def _stop() -> NoReturn:
    """Say how to continue the command, and end without waiting for threads. No record is stored in part."""
    command = next((argument for argument in sys.argv[1:] if not argument.startswith("-")), "")
    cursor = "\x1b[?25h" if sys.stderr.isatty() else ""  # a progress bar hides it
    with suppress(OSError):
        sys.stderr.write(f"{cursor}Stopped. {GOES_ON.get(command, '')}".rstrip() + "\n")
        sys.stderr.flush()
        sys.stdout.flush()
    os._exit(INTERRUPTED)


def _flush() -> None:
    """Flush stdout. It is not an error when its reader is gone, as in ``| head -1``."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
