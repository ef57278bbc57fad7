"""A second Python process that works when it is told to, with what it has opened kept open."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import TracebackType
from typing import Any

LOOP = """
import json, os, sys
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what libraries print is no answer
names = {}
for line in sys.stdin:
    code, given = json.loads(line)
    names.update(given, result=None)
    exec(code, names)
    print(json.dumps(names["result"]), file=answers, flush=True)
"""


class SecondProcess:
    """The process; :meth:`do` runs code in it, whose names last from one call to the next."""

    def __enter__(self) -> SecondProcess:
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", LOOP],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    def do(self, code: str, **given: Any) -> Any:
        """Run `code` with the names given; return what it leaves in ``result``."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([code, given]) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"it failed: {code}"
        return json.loads(answer)
