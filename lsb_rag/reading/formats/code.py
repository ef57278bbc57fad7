"""Code as a block."""

from __future__ import annotations

from ..block import Block


def fenced(code: str, language: str = "") -> list[Block]:
    """Return a block of code between fences, none when it is blank."""
    lines = [line.rstrip() for line in code.expandtabs(4).split("\n")]
    while lines and not lines[0]:
        del lines[0]
    while lines and not lines[-1]:
        del lines[-1]
    if not lines:
        return []
    fence = "~~~" if any(line.lstrip().startswith("```") for line in lines) else "```"
    return [Block("\n".join([f"{fence}{language}", *lines, fence]), kind="code")]
