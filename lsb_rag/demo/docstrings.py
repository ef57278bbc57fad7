"""A script that prints docstrings and signatures of the standard library as JSON lines.

Libraries patch what they import: with transformers loaded, ``logging.Logger`` has additional methods and
``inspect.getfile`` another docstring. This file therefore imports nothing but the standard library. It runs in a
process of its own, isolated from the environment and from site-packages.
"""

from __future__ import annotations

import enum
import importlib
import inspect
import json
import re
import sys
import types
import warnings
from collections.abc import Iterator

MIN_DOCSTRING_CHARACTERS = 40

# Docstrings that say nothing about their symbol: inherited boilerplate of C types, dataclasses and enums.
_BOILERPLATE = re.compile(
    r"Initialize self|See help\(type|Alias for field number|The type of the None|str\(object=''\) -> str"
)
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def documented_symbols(modules: list[str]) -> Iterator[tuple[str, str, str]]:
    """Yield ``(symbol, kind, text)`` for every documented public symbol.

    An object that is reachable by two names comes once.
    """
    seen: set[int] = set()
    for module_name in modules:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                module = importlib.import_module(module_name)
        except ImportError:
            continue
        doc = _own_doc(module)
        if doc:
            yield module_name, "module", doc
        for name, value in _public_members(module):
            if id(value) in seen:
                continue
            seen.add(id(value))
            yield from _symbols_of(f"{module_name}.{name}", name, value)


def _public_members(module: types.ModuleType) -> list[tuple[str, object]]:
    """Return the classes and functions of `module`: those in its ``__all__``, else those it defines itself."""
    exported = getattr(module, "__all__", None)
    names = exported
    if names is None:
        names = [name for name in vars(module) if not name.startswith("_")]
    members: list[tuple[str, object]] = []
    for name in sorted(set(names)):
        value = getattr(module, name, None)
        if not (inspect.isclass(value) or inspect.isroutine(value)):
            continue
        home = getattr(value, "__module__", None) or module.__name__
        if exported is None and home.lstrip("_").split(".")[0] != module.__name__.split(".")[0]:
            continue  # imported from elsewhere, not part of this module's interface
        members.append((name, value))
    return members


def _symbols_of(symbol: str, name: str, value: object) -> Iterator[tuple[str, str, str]]:
    kind = "class" if inspect.isclass(value) else "function"
    doc = _own_doc(value)
    if inspect.isclass(value) and issubclass(value, enum.Enum):
        doc = "\n\n".join(filter(None, [doc, _enum_members(value)]))
    if doc:
        yield symbol, kind, f"{name}{_signature(value)}\n\n{doc}"
    if inspect.isclass(value):
        for attribute, member in sorted(vars(value).items()):
            function = member.__func__ if isinstance(member, classmethod | staticmethod) else member
            if attribute.startswith("_") or not (inspect.isroutine(function) or isinstance(function, property)):
                continue
            doc = _own_doc(function)
            if doc:
                yield f"{symbol}.{attribute}", "method", f"{name}.{attribute}{_signature(function)}\n\n{doc}"


def _own_doc(value: object) -> str:
    """Return the docstring of `value`; blank where it is short, inherited or boilerplate."""
    doc = vars(value).get("__doc__") if inspect.isclass(value) else getattr(value, "__doc__", None)
    if not isinstance(doc, str):
        return ""
    doc = inspect.cleandoc(doc).strip()
    return "" if len(doc) < MIN_DOCSTRING_CHARACTERS or _BOILERPLATE.search(doc) else doc


def _signature(value: object) -> str:
    try:
        signature = inspect.signature(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return ""
    parameters = [
        parameter.replace(default=_Elided()) if _depends_on_machine(parameter.default) else parameter
        for parameter in signature.parameters.values()
    ]
    return _ADDRESS.sub("", str(signature.replace(parameters=parameters)))


class _Elided:
    def __repr__(self) -> str:
        return "..."


def _depends_on_machine(default: object) -> bool:
    """Whether a default is the path of this Python, or a container whose content depends on what is loaded."""
    return default == sys.executable or (isinstance(default, list | dict | set) and bool(default))


def _enum_members(value: type[enum.Enum]) -> str:
    lines = [
        ": ".join(filter(None, [f"{name} = {member.value!r}", getattr(member, "description", "")]))
        for name, member in value.__members__.items()
    ]
    return "Members:\n" + "\n".join(lines) if lines else ""


def main() -> None:
    """Print ``[symbol, kind, text]`` for every documented symbol of the modules named as arguments, one per line."""
    for row in documented_symbols(sys.argv[1:]):
        print(json.dumps(row))


if __name__ == "__main__":
    main()
