"""Options of a class whose arguments are checked elsewhere, as by pydantic, refused in one sentence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches

from ..errors import InvalidInputError


@contextmanager
def plainly_refused(
    kind: str,
    known: Iterable[str],
    given: Iterable[str],
    *,
    right_call: str = "",
    instead: Mapping[str, str] | None = None,
) -> Iterator[None]:
    """Refuse names that are no options, and within the block turn pydantic's report of values into a sentence.

    :param kind: Name of the class that is made.
    :param known: Names of its options.
    :param given: Names of the options that were given.
    :param right_call: How it is made, for whoever leaves out what it needs.
    :param instead: By names of options that others have: what to give in place of it.
    :raises InvalidInputError: For a value that cannot be used, an unknown option, and one that is missing.
    """
    names = sorted(known)
    for name in given:
        if name not in names:
            near = get_close_matches(name, names, n=1)
            hint = (instead or {}).get(name) or (f"Did you mean {near[0]}=?" if near else f"It has {', '.join(names)}.")
            raise InvalidInputError(f"{kind} has no option {name!r}. {hint}")
    try:
        yield
    except ValueError as error:
        found = getattr(error, "errors", None)
        if not callable(found):
            raise
        if missing := [str(one["loc"][0]) for one in found() if one["type"] == "missing"]:
            raise InvalidInputError(f"{kind} needs {missing[0]}=. {right_call}".rstrip()) from None
        raise InvalidInputError("; ".join(dict.fromkeys(map(_sentence, found())))) from None


def _sentence(error: Mapping[str, object]) -> str:
    """Return what is wrong with one option; our own messages are whole."""
    place, message = error.get("loc"), str(error.get("msg"))
    if error.get("type") == "value_error":
        return message.removeprefix("Value error, ")
    return f"{place[0] if isinstance(place, tuple) and place else 'An option'}: {message}"
