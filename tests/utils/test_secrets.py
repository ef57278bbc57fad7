from __future__ import annotations

import json
from base64 import b64encode
from urllib.parse import quote

import pytest

from lsb_rag.utils import secrets
from lsb_rag.utils.secrets import hide, redacted, without_keys, without_secrets

KEY = 'sk-"quoted"/+\\key='


@pytest.mark.parametrize(
    "written",
    [
        "sk-aB3\\/xY+9kQz=Lm7wertUIOP",
        "sk-aB3\\\\/xY\\u002B9kQz=Lm7wertUIOP",
        "sk-aB3%2fxY%2b9kQz%3dLm7wertUIOP",
        "sk-aB3%252FxY%252B9kQz%253DLm7wertUIOP",
        "sk-aB3&#47;xY&#x2B;9kQz&#x3d;Lm7wertUIOP",
        'sk-aB3/xY+9kQz=Lm7wert"}}',
        "/xY+9kQz=Lm7wertUIOP",
        b64encode(b"Bearer sk-aB3/xY+9kQz=Lm7wertUIOP").decode(),
    ],
)
def test_a_key_is_found_escaped_or_cut(written: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_PROVIDER_API_KEY", "sk-aB3/xY+9kQz=Lm7wertUIOP")
    assert without_keys(f"no: {written}").removesuffix('"}}') == "no: …"


@pytest.mark.parametrize(
    "written", [KEY, json.dumps(KEY), repr(KEY), quote(KEY), quote(KEY, safe=""), b64encode(KEY.encode()).decode()]
)
def test_a_key_is_found_in_each_form(written: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_PROVIDER_API_KEY", f" {KEY}\n")
    assert without_keys(f"no: {written}!").strip("\"'") in ("no: …!", 'no: "…"!', "no: '…'!")


def test_a_short_key_garbles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a")
    monkeypatch.setenv("LSB_RAG_DB_TOKEN", "error")
    hide("", "an", "     a")
    assert redacted("an error about a bearer token; Basic authentication") == (
        "an error about a bearer token; Basic authentication"
    )
    assert redacted("you sent Bearer error.") == "you sent Bearer …"


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer hunter22",
        "authorization: hunter22",
        "{'authorization': 'Bearer hunter22', 'a': 1}",
        '{"Authorization": "Basic aHVudGVyMjI="}',
        '{\\"Authorization\\": \\"Token hunter22\\"}',
        "[(b'Authorization', b'Bearer hunter22')]",
        "Authorization=Bearer%20hunter22&a=1",
        "Proxy-Authorization: Digest hunter22",
        "{'x-api-key': ['hunter22']}",
        "Incorrect API key: hunter22",
        "Bearer: hunter22",
        "x-api-key: hunter22",
        '"api_key": "hunter22"',
        "X-Chroma-Token: hunter22",
        "no, Basic aHVudGVyMjI= is wrong",
        "no, bearer hunter22 is wrong",
        "Cookie: session=hunter22",
        "see http://me:hunter22@127.0.0.1/v1",
    ],
)
def test_what_follows_the_name_of_a_secret(text: str) -> None:
    assert "…" in redacted(text)
    assert "hunter22" not in redacted(text)
    assert "aHVudGVyMjI" not in redacted(text)


@pytest.mark.parametrize(
    "text",
    [
        "The pump stopped: error E-4012.",
        "Unexpected token '<' in JSON at position 0",
        "WWW-Authenticate: Bearer realm=chroma",
        "authorization failed",
        "Basic authentication is required",
        "see https://platform.openai.com/account/api-keys.",
        "mail somebody@example.org",
    ],
)
def test_other_texts_stay(text: str) -> None:
    assert redacted(text) == text


@pytest.mark.parametrize(
    "text", ["X-" * 200_000, "Basic+" * 100_000, "Bearer" + " " * 200_000, "api_key" + "\\" * 200_000]
)
def test_a_long_text_takes_no_time(text: str) -> None:
    assert len(redacted(text)) <= len(text)


@pytest.mark.parametrize("text", ["in '{'a': '0123456789abc...", "...mnopqrstuvwxyz'}", "cut: 0123456789abcdef"])
def test_a_part_of_a_key_where_a_text_was_cut(text: str) -> None:
    hide("0123456789abcdefghijklmnopqrstuvwxyz")
    assert "…" in redacted(text)
    assert "9a" not in redacted(text)
    assert "yz" not in redacted(text)


def test_a_cause_that_would_show_a_secret_is_left_out() -> None:
    error = KeyError("clean")
    error.__context__ = ValueError("Bearer hunter22")
    assert without_secrets(error) is None
    clean = ValueError("clean")
    assert without_secrets(clean) is clean


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "KEPT", 3)
    monkeypatch.setattr(secrets, "_held", {})
    hide(*(f"{number}-secret" for number in range(5)))
    assert redacted("1-secret, 4-secret") == "1-secret, …"
