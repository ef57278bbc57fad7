"""Text from outside made safe to show."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def without_controls(text: str) -> str:
    """Return `text` with a replacement character for escape sequences and direction overrides; as long as before."""
    return _CONTROL.sub("\ufffd", text)


def without_surrogates(text: str) -> str:
    """Return `text` with lone surrogates, which no file can hold and JSON escapes can, replaced."""
    return text.encode("utf-8", "replace").decode("utf-8")
