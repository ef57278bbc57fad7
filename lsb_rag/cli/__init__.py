"""The command line, ``lsb-rag``: what it does at Ctrl-C and with errors. Its commands are in ``commands``.

Nothing here takes time to load, so that Ctrl-C is understood while Python still loads the rest.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from types import FrameType

from ..errors import LsbRagError

INTERRUPTED = 130
GOES_ON = {
    "demo": "What was indexed is kept; the same command goes on from there.",
    "index": "What was embedded is stored; the same command goes on from there.",
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
    _on_ctrl_c(pressed)
    try:
        from .commands import app

        app()
    except BaseException as error:
        # Typer makes an exit code of it; an import or a library may have made any other error of it.
        stopped = isinstance(error, KeyboardInterrupt) or getattr(error, "code", None) == INTERRUPTED
        if stopped or (pressed and not isinstance(error, SystemExit)):
            print(_sentence(), file=sys.stderr)
            sys.exit(INTERRUPTED)
        if isinstance(error, LsbRagError):
            from ..console import err, plain

            err.print(plain(f"lsb-rag: {error}", "red"), soft_wrap=True)
            sys.exit(1)
        raise
    finally:
        _flush()
        _on_ctrl_c(None)


def _sentence() -> str:
    command = next((argument for argument in sys.argv[1:] if not argument.startswith("-")), "")
    return f"Stopped. {GOES_ON.get(command, '')}".strip()


def _on_ctrl_c(pressed: list[int] | None) -> None:
    """The first Ctrl-C interrupts what is under way, the second one ends it at once, whatever waits for its threads.

    :param pressed: Notes that it was pressed; None once all is said, when the first one ends it.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        if pressed is not None and not pressed:
            pressed.append(number)
            raise KeyboardInterrupt
        if sys.stderr.isatty():
            os.write(2, b"\x1b[?25h")  # the cursor, which a progress bar hides
        if pressed:
            os.write(2, f"{_sentence()}\n".encode())
        os._exit(INTERRUPTED)

    with suppress(ValueError):  # outside the main thread
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as of a job in the background
            signal.signal(signal.SIGINT, handle)


def _flush() -> None:
    """Write what is left for stdout; where nobody reads it any more, as in ``| head -1``, that is no error."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
