"""Text: white space folded, and foreign text made safe to show and to write."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def folded(text: str) -> str:
    """Return `text` with each run of white space as one space, and none at either end."""
    return " ".join(text.split())


def without_controls(text: str) -> str:
    """Return `text` with control characters and direction overrides replaced, one for one."""
    return _CONTROL.sub("\ufffd", text)


def without_surrogates(text: str) -> str:
    """Return `text` with lone surrogates replaced, which JSON escapes can hold but files cannot."""
    return text.encode("utf-8", "replace").decode("utf-8")
