"""Templates of HTML pages, in which everything from outside is escaped."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from ..errors import MissingExtraError
from .text import without_controls

if TYPE_CHECKING:
    from jinja2 import Template


@cache
def html_template(package: str, name: str, extra: str) -> Template:
    """A template; whatever is put into it is escaped, and its ``clean`` leaves no control characters.

    :param package: The package whose folder it is in.
    :param name: Its file.
    :param extra: The extra that brings jinja2.
    :raises MissingExtraError: When jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError as error:
        raise MissingExtraError(f"This page needs jinja2. Install it with `pip install 'lsb-rag[{extra}]'`.") from error
    environment = Environment(
        loader=PackageLoader(package, "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["clean"] = environment.globals["clean"] = lambda text: without_controls(str(text))
    return environment.get_template(name)
