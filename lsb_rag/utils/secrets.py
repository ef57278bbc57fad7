"""Secrets in the texts of others: a server may send back what it was sent, and an error may quote it."""

from __future__ import annotations

import html
import json
import os
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import quote, quote_plus

HIDDEN = "…"
SHORTEST = 6
"""Characters of the shortest secret that is looked for; a shorter one would be found in any text."""
KEPT = 4096
"""Secrets that are kept; a service may open a client with a token of its own for every request."""

_held: dict[str, None] = {}
_VARIABLE = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|CREDENTIALS?)$", re.IGNORECASE)
_QUOTE = r"(?:\\*[\"'])?"
_VALUE = r"[^\s\"'\\<>,;&|)}\]]+"
_GAP = r"(?:[\s+:=]|%20)+"
_NO_VALUE = r"(?!(?:tokens?|realm|schemes?|auth\w*|headers?|credentials?)\b)"
"""Words of a sentence about a scheme."""
_IS = rf"{_QUOTE}\s*(?:[:=]|%3A|(?<=[\"'])\s*,)\s*[\[(]?(?:b(?=[\"']))?{_QUOTE}\s*"
"""Between a name and its value, as in a request, in JSON, in Python and in an address."""
_NAMES = r"\bX-[\w-]{0,40}Token|api[-_ ]?key|\bcookie|(?:access|auth)[-_]token"
_PATTERNS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"(?i)(?P<kept>\bBearer{_GAP}){_NO_VALUE}{_VALUE}",
        rf"(?P<kept>\bBasic{_GAP})(?=\S{{0,99}}[A-Z0-9=])[A-Za-z0-9+/_-]{{8,}}={{0,2}}",
        rf"(?i)(?P<kept>\b(?:Proxy-)?Authorization{_IS})(?:[A-Za-z][\w-]*{_GAP})?{_QUOTE}{_VALUE}",
        rf"(?i)(?P<kept>(?:{_NAMES}){_IS}){_VALUE}",
        r"(?P<kept>://)[^\s/@\"']+(?=@)",
    )
)


def hide(*secrets: str) -> None:
    """Have these found by :func:`redacted` from now on, besides the keys and tokens of the environment."""
    for secret in secrets:
        if len(secret.strip()) >= SHORTEST:
            _held.pop(secret, None)
            _held[secret] = None
    while len(_held) > KEPT:
        _held.pop(next(iter(_held)), None)


def without_keys(text: str) -> str:
    """Return `text` without the secrets that are known, in any form that a server may write them in."""
    forms = {form for secret in _known() for form in _forms(secret)}
    for form in sorted(forms, key=len, reverse=True):
        text = _without_part(text.replace(form, HIDDEN), form)
    return text


def redacted(text: object) -> str:
    """Return a text of somebody else's without secrets: those known, and what follows the name of a header of one."""
    said = without_keys(str(text))
    for pattern in _PATTERNS:
        said = pattern.sub(rf"\g<kept>{HIDDEN}", said)
    return said


def without_secrets(error: BaseException) -> BaseException | None:
    """Return `error` as the cause of another, or None where a traceback of it would show a secret."""
    seen: list[BaseException] = []
    one: BaseException | None = error
    while one is not None and one not in seen:
        seen.append(one)
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
    return error if all(redacted(one) == str(one) for one in seen) else None


def _without_part(text: str, form: str) -> str:
    """Leave out the beginning or the end of a secret where somebody has cut a text short, as pydantic does."""
    if form[:SHORTEST] not in text and form[-SHORTEST:] not in text:
        return text
    for length in range(len(form) - 1, SHORTEST - 1, -1):
        for cut in ("...", HIDDEN):
            text = text.replace(form[:length] + cut, HIDDEN).replace(cut + form[-length:], HIDDEN)
        if text.endswith(form[:length]):
            text = text[:-length] + HIDDEN
    return text


def _known() -> Iterable[str]:
    of_environment = (value for name, value in os.environ.items() if _VARIABLE.search(name))
    return {secret for secret in (*_held, *of_environment) if len(secret.strip()) >= SHORTEST}


@lru_cache(maxsize=KEPT)
def _forms(secret: str) -> frozenset[str]:
    plain = secret.strip()
    data = plain.encode("utf-8", "surrogateescape")
    encoded = [encode(data).decode() for encode in (b64encode, urlsafe_b64encode)]
    return frozenset(
        (
            secret,
            plain,
            repr(plain)[1:-1],
            json.dumps(plain)[1:-1],
            html.escape(plain),
            quote(data, safe=""),
            quote(data),
            quote_plus(data),
            *encoded,
            *(one.rstrip("=") for one in encoded),
            *(quote(one, safe="") for one in encoded),
        )
    )
