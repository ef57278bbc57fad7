"""Templates of HTML pages, in which every value is escaped."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from ..errors import MissingExtraError
from .text import without_controls

if TYPE_CHECKING:
    from jinja2 import Template


@cache
def html_template(package: str, name: str, extra: str) -> Template:
    """Return a template that escapes its values; its filter and function ``clean`` replaces control characters.

    :param package: Package whose folder holds the template.
    :param name: File name of the template.
    :param extra: Extra that installs jinja2.
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
