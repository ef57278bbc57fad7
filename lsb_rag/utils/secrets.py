"""Secrets in the texts of others: a server may send back what it was sent, and an error may quote it."""

from __future__ import annotations

import html
import os
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import quote, unquote

HIDDEN = "…"
SHORTEST = 6
"""Characters of the shortest secret that is looked for; a shorter one would be found in any text."""
PART = 10
"""Characters of the least part of one that is looked for."""
LONGEST_CUT = 20_000
"""Characters of the longest text in which parts are looked for."""
NAMED = {"&": "amp", "<": "lt", ">": "gt", '"': "quot", "'": "apos"}
"""Names of characters in HTML."""
KEPT = 4096
"""Secrets that are kept; a service may open a client with a token of its own for every request."""

_held: dict[str, None] = {}
_CODE_POINT = re.compile(r"\\u(00[0-9a-fA-F]{2})")
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
    secrets = sorted(_known(), key=len, reverse=True)
    for form in sorted({form for secret in secrets for form in _encoded(secret)}, key=len, reverse=True):
        text = text.replace(form, HIDDEN)
    plain = _unescaped(text)
    for secret in secrets:
        if secret.strip().replace("\\", "") in plain:
            text = _escaped(secret).sub(HIDDEN, text)
        if len(text) <= LONGEST_CUT:
            text = _without_parts(text, secret)
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


def _without_parts(text: str, secret: str) -> str:
    """Leave out what stands there of a secret that was cut short or masked, :data:`PART` characters of it or more."""
    plain = secret.strip()
    hidden: list[tuple[int, int]] = []
    for start in range(len(plain) - PART + 1):
        part, at = plain[start : start + PART], -1
        while (at := text.find(part, at + 1)) >= 0:
            hidden.append((at, at + PART))
    pieces, reached = [], 0
    for start, end in sorted(hidden):
        if start >= reached:
            pieces += [text[reached:start], HIDDEN]
        reached = max(reached, end)
    return "".join([*pieces, text[reached:]])


def _known() -> Iterable[str]:
    of_environment = (value for name, value in os.environ.items() if _VARIABLE.search(name))
    return {secret for secret in (*_held, *of_environment) if len(secret.strip()) >= SHORTEST}


@lru_cache(maxsize=KEPT)
def _encoded(secret: str) -> frozenset[str]:
    """Return a secret in base64, alone and as it is in a header."""
    data = secret.strip().encode("utf-8", "surrogateescape")
    encoded = [encode(one).decode() for encode in (b64encode, urlsafe_b64encode) for one in (data, b"Bearer " + data)]
    return frozenset((*encoded, *(one.rstrip("=") for one in encoded), *(quote(one, safe="") for one in encoded)))


@lru_cache(maxsize=KEPT)
def _escaped(secret: str) -> re.Pattern[str]:
    """Return what finds a secret as it stands, or with any of its characters escaped as JSON, HTML or addresses do."""
    return re.compile(r"\\{0,8}".join(map(_any_spelling, secret.strip())))  # bounded, so that it takes linear time


def _any_spelling(character: str) -> str:
    code = ord(character)
    octets = "".join(f"%(?:25)?(?i:{octet:02x})" for octet in character.encode("utf-8", "surrogatepass"))
    spellings = [
        re.escape(character),
        octets,
        f"&#0{{0,6}}{code};",
        f"&#[xX]0{{0,6}}(?i:{code:x});",
        f"u(?i:{code:04x})",
    ]
    if character in NAMED:
        spellings.append(f"&{NAMED[character]};")
    if character == " ":
        spellings.append(r"\+")
    return f"(?:{'|'.join(spellings)})"


def _unescaped(text: str) -> str:
    """Return a text without the escapes of JSON, addresses and HTML."""
    plain = _CODE_POINT.sub(lambda found: chr(int(found[1], 16)), text).replace("\\", "")
    return html.unescape(unquote(unquote(plain))).replace("\\", "")
