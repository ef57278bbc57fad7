from __future__ import annotations

import builtins
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
import pytest

from lsb_rag.errors import MissingExtraError
from lsb_rag.utils.templates import html_template


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package of one page."""
    folder = tmp_path / "pages_for_a_test"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "page.html").write_text("<b>{{ title }}</b> {{ text | clean }} {{ clean(text) }}")
    monkeypatch.syspath_prepend(tmp_path)
    html_template.cache_clear()
    yield
    sys.modules.pop("pages_for_a_test", None)
    html_template.cache_clear()


def test_what_is_put_in_is_escaped_and_cleaned() -> None:
    template = html_template("pages_for_a_test", "page.html", "ui")
    assert template.render(title="<i>", text="\x1b&") == "<b>&lt;i&gt;</b> \ufffd&amp; \ufffd&amp;"
    with pytest.raises(jinja2.UndefinedError):
        template.render(title="no text")


def test_without_jinja2_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "jinja2":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"pip install 'lsb-rag\[eval\]'"):
        html_template("pages_for_a_test", "page.html", "eval")
