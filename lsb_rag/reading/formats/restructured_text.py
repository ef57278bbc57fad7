"""Read reStructuredText, by way of HTML; also what Sphinx adds to it."""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, ClassVar

from ...errors import MissingExtraError
from ..block import Document
from ..html import read_html
from ..plain_text import read_text
from .failures import reading


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


MAX_LINE = 10_000
MAX_PARAGRAPH = 20_000
MAX_CHARACTERS = 5_000_000
"""Longer files, and those with longer lines or paragraphs, are read as plain text, because docutils takes a time that
grows with the square of a paragraph."""
SETTINGS = {
    "_disable_config": True,
    "doctitle_xform": False,  # it would make the only section of a document its subtitle
    "embed_stylesheet": False,
    "file_insertion_enabled": False,
    "halt_level": 5,
    "initial_header_level": "1",
    "input_encoding": "unicode",
    "line_length_limit": MAX_LINE,
    "math_output": "LaTeX",
    "output_encoding": "unicode",
    "raw_enabled": False,
    "report_level": 5,
    "smart_quotes": False,
    "stylesheet_path": "",
    "syntax_highlight": "none",
    "warning_stream": "",
}
CODE = _names(
    "code code-block sourcecode highlight doctest testcode testoutput testsetup testcleanup productionlist "
    "parsed-literal prompt ipython ipython3 jupyter-execute console command-output graphviz uml mermaid"
)
LEFT_OUT = _names(
    "toctree index literalinclude include currentmodule module py:module py:currentmodule default-domain default-role "
    "autosummary tabularcolumns highlightlang program plot sectionauthor codeauthor"
)
NOTES = {
    "versionadded": "Added in version",
    "versionchanged": "Changed in version",
    "deprecated": "Deprecated since version",
    "deprecated-removed": "Deprecated since version",
    "versionremoved": "Removed in version",
    "seealso": "See also",
    "todo": "To do",
}
CONDITIONS = _names("only ifconfig cssclass rst-class")
OBJECTS = _names(
    "function method class attribute data exception decorator decoratormethod staticmethod classmethod property option "
    "cmdoption envvar describe object opcode confval setting macro type member var struct enum enumerator union"
)

_LOCK = threading.Lock()  # what docutils knows is known to the whole program
_DIRECTIVE = re.compile(r"^[ \t]*\.\. (?:\|[^|\n]{1,200}\| )?([A-Za-z][\w:+.-]{0,80})::", re.MULTILINE)
_ROLE = re.compile(r":([A-Za-z][\w:+.-]{0,80}):`|`:([A-Za-z][\w:+.-]{0,80}):")
_TARGET = re.compile(r"(.+?)\s*<[^<>]+>", re.DOTALL)


def read_rst(text: str) -> Document:
    """Read reStructuredText. Nothing that it names is opened; directives and roles that are not known are read as text.

    :raises MissingExtraError: When the extra ``documents`` is not installed.
    :raises ReadError: When it cannot be read.
    """
    try:
        from docutils.core import publish_string
    except ImportError as error:
        raise MissingExtraError(
            "reStructuredText needs docutils. Install it with `pip install 'lsb-rag[documents]'`."
        ) from error
    if not _is_parsed(text):
        return read_text(text)
    with reading("reStructuredText"), _sphinx(text):
        blocks = read_html(publish_string(text, writer=_writer(), settings_overrides=SETTINGS)).blocks
        return Document(next((block.text for block in blocks if block.kind == "heading"), ""), blocks)


def _is_parsed(text: str) -> bool:
    if len(text) > MAX_CHARACTERS:
        return False
    paragraph = 0
    for line in text.split("\n"):
        paragraph = paragraph + len(line) if line.strip() else 0
        if len(line) > MAX_LINE or paragraph > MAX_PARAGRAPH:
            return False
    return True


def _writer() -> Any:
    """Return a writer of HTML that marks code, and shows of a picture what stands for it, not its path."""
    from docutils.writers.html5_polyglot import HTMLTranslator, Writer

    class Translator(HTMLTranslator):  # type: ignore[misc]  # docutils has no types
        def visit_image(self, node: Any) -> None:
            self.body.append(self.encode(node.get("alt", "")))

        def depart_image(self, node: Any) -> None:
            pass

        def visit_literal(self, node: Any) -> None:
            self.body.append("<code>")

        def depart_literal(self, node: Any) -> None:
            self.body.append("</code>")

    writer = Writer()
    writer.translator_class = Translator
    return writer


@contextmanager
def _sphinx(text: str) -> Iterator[None]:
    """Know the directives and roles of a text that docutils does not have, so that their contents are kept."""
    from docutils.parsers.rst import directives, roles
    from docutils.parsers.rst.languages import en

    with _LOCK:
        before = dict(directives._directives), dict(roles._roles)
        known = {*directives._directives, *en.directives} - CODE  # Sphinx gives code more options than docutils
        for name in {name.lower() for name in _DIRECTIVE.findall(text)} - known:
            directives.register_directive(name, _directive())
        known = {*roles._roles, *roles._role_registry, *en.roles}
        for name in {(one or other).lower() for one, other in _ROLE.findall(text)} - known:
            roles.register_local_role(name, _role)
        try:
            yield
        finally:
            for registry, old in zip((directives._directives, roles._roles), before, strict=True):
                registry.clear()
                registry.update(old)


@cache
def _directive() -> type[Any]:
    """Return the class of directives that docutils does not have."""
    from docutils import nodes
    from docutils.parsers.rst import Directive, directives

    class Sphinx(Directive):  # type: ignore[misc]  # docutils has no types
        optional_arguments = 1
        final_argument_whitespace = True
        has_content = True
        option_spec: ClassVar[Any] = defaultdict(lambda: directives.unchanged, {"any": directives.unchanged})

        def run(self) -> list[Any]:
            name = self.name.lower()
            short = name.rpartition(":")[2]
            argument = self.arguments[0] if self.arguments else ""
            if name in LEFT_OUT:
                return []
            if name in CODE:
                return self.code(argument)
            inside = nodes.container()
            self.state.nested_parse(self.content, self.content_offset, inside)
            if name in NOTES:
                return self.note(NOTES[name], argument, inside)
            if not argument or name in CONDITIONS:
                return [inside]
            if ":" in name or short in OBJECTS or short.startswith("auto"):
                signatures = [" ".join(line.split()).replace("\\", "") for line in argument.split("\n")]
                terms = [nodes.term("", "", nodes.literal("", one)) for one in signatures if one]
            else:
                terms = [nodes.term("", "", *self.inline(argument))]
            if not inside.children:
                return [nodes.paragraph("", "", *term.children) for term in terms]
            entry = nodes.definition_list_item("", *terms, nodes.definition("", *inside.children))
            return [nodes.definition_list("", entry)]

        def code(self, argument: str) -> list[Any]:
            language, _, rest = argument.partition("\n")
            code = "\n".join(self.content) or rest
            classes = ["code", language.strip()] if language.strip().isalnum() else ["code"]
            return [nodes.literal_block(code, code, classes=classes)] if code.strip() else []

        def note(self, label: str, argument: str, inside: Any) -> list[Any]:
            words = argument.split(None, 1) if "version" in label else ["", argument]
            version, rest = [*words, "", ""][:2]
            begin = nodes.Text(f"{label} {version}".rstrip() + ": ")
            if rest or not inside.children or not isinstance(inside[0], nodes.paragraph):
                return [nodes.paragraph("", "", begin, *self.inline(rest)), *inside.children]
            inside[0].insert(0, begin)
            return list(inside.children)

        def inline(self, text: str) -> list[Any]:
            found, messages = self.state.inline_text(text, self.lineno)
            return [*found, *messages]

    return Sphinx


def _role(
    name: str, rawtext: str, text: str, lineno: int, inliner: Any, options: Any = None, content: Any = ()
) -> tuple[list[Any], list[Any]]:
    """Read a role of Sphinx: the text that it shows, or the name it refers to."""
    from docutils import nodes
    from docutils.utils import unescape

    shown = unescape(text)
    found = _TARGET.fullmatch(shown)
    if found:
        return [nodes.inline(rawtext, found[1])], []
    shown = shown.lstrip("~!")
    kind = name.rpartition(":")[2]
    if kind in ("ref", "doc", "term", "numref", "guilabel", "menuselection", "abbr", "pep", "rfc", "cve", "dfn"):
        prefix = f"{kind.upper()} " if kind in ("pep", "rfc", "cve") else ""
        return [nodes.inline(rawtext, f"{prefix}{shown}")], []
    return [nodes.literal(rawtext, shown)], []
