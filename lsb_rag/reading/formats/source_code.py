"""Read source code and configuration: blocks of code under the names of what they define."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from ..block import Block, Document
from .code import fenced
from .failures import reading

LONG_CHARACTERS = 1500
"""A longer definition is cut at the definitions within it."""
MAX_LINE = 2000
"""The longest line in which a definition is looked for."""
MAX_NAME = 100

LANGUAGES = {
    ".py": "python",
    ".pyi": "python",
    ".js": "javascript",
    ".mjs": "javascript",
    ".cjs": "javascript",
    ".jsx": "javascript",
    ".ts": "typescript",
    ".tsx": "typescript",
    ".java": "java",
    ".go": "go",
    ".rs": "rust",
    ".c": "c",
    ".h": "c",
    ".cc": "cpp",
    ".cpp": "cpp",
    ".cxx": "cpp",
    ".hpp": "cpp",
    ".hh": "cpp",
    ".cs": "csharp",
    ".rb": "ruby",
    ".php": "php",
    ".sh": "bash",
    ".bash": "bash",
    ".zsh": "bash",
    ".ps1": "powershell",
    ".sql": "sql",
    ".kt": "kotlin",
    ".kts": "kotlin",
    ".swift": "swift",
    ".scala": "scala",
    ".lua": "lua",
    ".pl": "perl",
    ".pm": "perl",
    ".r": "r",
    ".jl": "julia",
    ".ex": "elixir",
    ".exs": "elixir",
    ".dart": "dart",
    ".css": "css",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".toml": "toml",
    ".ini": "ini",
    ".cfg": "ini",
    ".conf": "ini",
    ".properties": "properties",
    ".proto": "protobuf",
    ".graphql": "graphql",
    ".tf": "terraform",
    ".cmake": "cmake",
}
"""The language of each suffix, as it is named behind a fence."""

# Words and spaces alternate in these, so that no line takes long.
_GENERAL = re.compile(
    r"\s*(?:[\w()]+\s+){0,8}?"
    r"(?:class|interface|enum|struct|union|record|object|trait|protocol|extension|namespace|module|mod|actor|message|service"
    r"|type|func|fn|fun|def|function\*?|sub|macro|impl(?:<[^<>]*>)?|macro_rules!|defmodule|defp|defmacro|mixin)"
    r"\s+(?:\([^()]*\)\s*)?([\w$.:]+[!?]?)"
)
_ASSIGNED = re.compile(
    r"\s*(?:export\s+)?(?:const|let|var|local)?\s*([\w$.]+)\s*(?:=|<-)\s*(?:async\s+)?"
    r"(?:function\b|class\b|[\w$]+\s*=>|\([^()]*\)[^=]*=>)"
)
_C_LIKE = re.compile(r"[\w\s:<>,*&~\[\]?.@$]+")
_STATEMENT = re.compile(
    r"\b(?:return|else|if|for|while|do|switch|case|catch|throw|new|delete|using|goto|await|yield|in|of|assert|print)\b"
)
_PATTERNS = {
    "python": [re.compile(r"\s*(?:async\s+)?(?:def|class)\s+(\w+)")],
    "sql": [
        re.compile(
            r"(?i)\s*(?:create|alter)\s+(?:\w+\s+){0,4}?(?:table|view|function|procedure|index|trigger|type|schema|sequence)"
            r"\s+(?:if\s+not\s+exists\s+)?([\w.\"`\[\]]+)"
        )
    ],
    "bash": [re.compile(r"\s*function\s+([\w:.-]+)"), re.compile(r"\s*([\w:.-]+)\s*\(\)")],
    "ini": [re.compile(r"\[([^\]]+)\]")],
    "toml": [re.compile(r"\[\[?([^\]]+)\]")],
    "yaml": [re.compile(r"([\w./@\"'-][\w./@\"' -]*):(?:\s|$)")],
    "terraform": [re.compile(r"((?:resource|data|module|variable|output|provider|locals|terraform)\b[^{=]*)\{")],
    "cmake": [re.compile(r"(?i)\s*(?:function|macro)\s*\(\s*(\w+)")],
    "powershell": [re.compile(r"(?i)\s*(?:function|filter|class|enum)\s+([\w:-]+)")],
    "css": [],
    "properties": [],
}
_DEFAULT = [_GENERAL, _ASSIGNED]
_WITH_C_FUNCTIONS = frozenset(["c", "cpp", "java", "csharp", "dart", "javascript", "typescript", "php", "scala"])
_COMMENT = re.compile(r"\s*(?:#|//|/\*|\*|--|@|\[\w|;|%|<!--|\"\"\")")
_CLOSING = re.compile(r"[\])}#]|\"\"\"|'''|end\b|else\b|elif\b|except\b|finally\b")


@dataclass(frozen=True)
class _Part:
    """Lines of a file.

    :param name: What they define, or an empty string.
    """

    name: str
    lines: list[str]


def read_source_code(text: str, language: str = "") -> Document:
    """Read source code, cut at what is defined on its outermost level, and within that where it is long.

    :param language: One of :data:`LANGUAGES`.
    """
    with reading("source code"):
        return Document("", list(_blocks(text.expandtabs(4).split("\n"), language)))


def _blocks(lines: list[str], language: str) -> Iterator[Block]:
    for part in _parts(lines, language, 0):
        if part.name:
            yield Block(part.name, kind="heading", level=1)
        inner = [part]
        if part.name and sum(map(len, part.lines)) > LONG_CHARACTERS:
            indents = [_indent(line) for line in part.lines if line.strip() and _indent(line)]
            inner = _parts(part.lines, language, min(indents, default=0))
        for one in inner:
            if one.name and one is not part:
                yield Block(one.name, kind="heading", level=2)
            yield from fenced("\n".join(one.lines), language)


def _parts(lines: list[str], language: str, indent: int) -> list[_Part]:
    """Cut lines where something is defined at an indentation; comments and decorators stay with what follows them."""
    cuts = {0: ""}
    floor = 0
    closing = last = before = ""
    for number, line in enumerate(lines):
        before, last = last, line if line.strip() else last
        if closing:  # within a comment or a long string
            closing = "" if closing in line else closing
            continue
        closing = _open(line, language)
        if closing or not line.strip() or _indent(line) != indent or (indent and not number):
            continue
        name = _name(lines, number, language)
        begin = number
        if name:
            while begin > floor and lines[begin - 1].strip() and _is_comment(lines[begin - 1], indent):
                begin -= 1
            floor = number + 1
        elif language != "python" or indent or not before.startswith(" ") or _CLOSING.match(line):
            continue  # but a statement of Python after indented lines ends what was defined
        cuts[begin] = name
    return [_Part(cuts[begin], lines[begin:end]) for begin, end in pairwise([*cuts, len(lines)])]


def _open(line: str, language: str) -> str:
    """Return what closes the comment or long string that a line opens, or an empty string."""
    if language == "python":
        return next((mark for mark in ('"""', "'''") if line.count(mark) % 2), "")
    return "*/" if line.lstrip().startswith("/*") and "*/" not in line else ""


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _is_comment(line: str, indent: int) -> bool:
    return _COMMENT.match(line) is not None and indent <= _indent(line) <= indent + 1


def _name(lines: list[str], number: int, language: str) -> str:
    """Return what a line defines, or an empty string."""
    line = lines[number].rstrip()
    if len(line) > MAX_LINE or line.endswith(";") or (_COMMENT.match(line) and language not in ("ini", "toml")):
        return ""
    for pattern in _PATTERNS.get(language, _DEFAULT):
        found = pattern.match(line)
        if found and (language != "yaml" or _has_children(lines, number)):
            return _unquoted(found[1].strip().rstrip(":"))[:MAX_NAME]
    if language not in _WITH_C_FUNCTIONS:
        return ""
    has_body = line.endswith("{") or "".join(lines[number + 1 : number + 2]).startswith("{")
    return _c_function(line, has_body=has_body)


def _unquoted(name: str) -> str:
    quote = name[:1]
    return name[1:-1] if quote in ('"', "'", "`") and name.endswith(quote) and name.count(quote) == 2 else name


def _has_children(lines: list[str], number: int) -> bool:
    after = next((line for line in lines[number + 1 : number + 20] if line.strip()), "")
    return after.startswith((" ", "- "))


def _c_function(line: str, *, has_body: bool) -> str:
    """Return the name of a function as languages like C define it: words, a name, and parentheses."""
    head, parenthesis, _ = line.partition("(")
    words = head.replace("*", " ").replace("&", " ").split()
    if not parenthesis or not words or _C_LIKE.fullmatch(head) is None or _STATEMENT.search(head):
        return ""
    name = words[-1]
    if not head[-1:].strip() or (len(words) == 1 and "::" not in name and not has_body):
        return ""
    return name if name.replace("::", "").replace("~", "").replace(".", "").isidentifier() else ""
