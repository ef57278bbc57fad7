"""Addresses and keys of OpenAI-compatible endpoints: read, checked, and shown without secrets."""

from __future__ import annotations

import os
from base64 import b64encode
from contextlib import suppress
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit, urlunsplit

from ..errors import InvalidInputError
from .secrets import hide

KEY_VARIABLE = "OPENAI_API_KEY"


def shown_url(url: str) -> str:
    """Return a URL without user, password, query and fragment, so that it can be shown and stored."""
    scheme, _, rest = url.partition("://")
    parts = urlsplit(f"{scheme}://{rest.rpartition('@')[2]}")
    return urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))


def secrets_of(url: str | None) -> list[str]:
    """Return the secrets of a URL in each form that its endpoint is sent.

    These are the password, quoted and unquoted, and user and password as in the header. A user without a password is a
    token.
    """
    parts = urlsplit(url or "")
    quoted = parts.password or parts.username
    if not quoted:
        return []
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return [b64encode(f"{user}:{password}".encode()).decode(), quoted, unquote(quoted)]


def api_key() -> str:
    """Return the key of the environment, or a placeholder for a local server that needs none.

    :raises InvalidInputError: When it holds characters that no header can bear. The message does not show it.
    """
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise InvalidInputError(f"${KEY_VARIABLE} holds characters that no header can bear; set it again.")
    hide(key)  # also where the variable changes while a client still has this one
    return key or "no-key"


def is_trusted(url: str) -> bool:
    """Whether requests with a key may go to an address that only a stored file names.

    These are addresses on this machine and the one in ``OPENAI_BASE_URL``; any other could be somebody else's.
    """
    host = urlsplit(url).hostname or ""
    with suppress(ValueError):
        if ip_address(host).is_loopback:
            return True
    named = (os.environ.get("OPENAI_BASE_URL") or "").rstrip("/")
    return host == "localhost" or (bool(named) and url.rstrip("/") == named)


def checked_url(url: str | None) -> str | None:
    """Return the URL of an endpoint. None stands for ``OPENAI_BASE_URL``, or else for OpenAI's own endpoint.

    :raises InvalidInputError: When the URL cannot be read. The message does not show it: it may hold a password.
    """
    url = url or os.environ.get("OPENAI_BASE_URL") or None
    if url is not None and not _is_readable(url):
        raise InvalidInputError(
            "The endpoint's address cannot be read. Write it like http://localhost:PORT/v1; in a user name or a "
            "password write / as %2F, @ as %40 and : as %3A."
        )
    hide(*secrets_of(url))
    return url


def _is_readable(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # for instance a port that is not a number
        return False
    has_valid_port = port is None or 0 <= port <= 65535
    return has_valid_port and parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.path
