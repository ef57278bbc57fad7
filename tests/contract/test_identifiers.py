"""The promise of the library: who asks for an identifier as it is written gets the passage that holds it."""

from __future__ import annotations

import pytest
import regex
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lsb_rag import LexSemBridgeEncoder, Passage, PassageStore, Retriever

PARTS = ("inlet", "outlet", "gearbox", "drain", "spindle", "fan", "heater", "chuck", "filter", "turret", "belt", "hose")
GRAMMARS = {
    "code": r"[A-Z]{1,4}[-_./]?[0-9]{2,5}",
    "version": r"v?[1-9][0-9]?(\.[0-9]{1,2}){1,3}(-rc[1-9]|\+build[1-9])?",
    "part number": r"[1-9][A-Z]{2}[1-9] [0-9]{3}-[0-9][A-Z]{2}[0-9]{2}",
    "flag": r"(-[a-zA-Z]|--[a-z]{2,6}(-[a-z]{2,6})?(=[a-z]{2,5})?)",
    "path": r"/(etc|var|usr)/[a-z]{2,4}(\.d)?/[0-9]{2}[-_][a-z]{3,5}\.conf",
    "snake": r"[a-z]{2,5}_[a-z]{2,5}(_[a-z]{2,4})?",
    "camel": r"[a-z]{2,5}[A-Z][a-z]{2,5}([A-Z][a-z]{1,4})?",
    "qualified": r"[a-z]{2,4}(::|\.|->)[a-z]{3,6}(\(\))?",
    "quantity": r"-?[1-9][0-9]?([.,][0-9])? (mA|kW|MW|°C|µm|bar|%)",
    "language": r"[A-Z](\+\+|#|\+)?",
    "operator": r"[=<>!&|*?~^+]{2,3}",
    "formula": r"[A-Z][a-z]?[₂₃][A-Z][₂₃₄]",
    "Chinese": r"[进出][水气油][阀泵表管][门座盖]",
    "Japanese": r"[アイエ][フィル][ターポ](E-[0-9]{2})?",
    "Korean": r"[밸펌센필][브프서터][가는을]",
    "Thai": r"[วลปม][าร][ตนก][ดบ]",
    "Cyrillic": r"[авикл][нопр][ст][аеи][лнр]",
    "emoji": r"[🔴🟢🟡🔵✅❌]",
}
UNSPACED = regex.compile(r"[\p{Han}\p{Katakana}\p{Hangul}\p{Thai}\p{So}]")
PUNCTUATION = ".,:;!?|*()'\""
BESIDE = [Passage(f"Section {n} is about the {part}.", id=f"section-{n}") for n, part in enumerate(PARTS)]


@st.composite
def look_alikes(draw: st.DrawFn, grammar: str) -> list[str]:
    """An identifier, and others that differ from it little."""
    identifier = draw(st.from_regex(grammar, fullmatch=True))
    others: dict[str, None] = {}
    for _ in range(len(PARTS) - 1):
        at = draw(st.integers(0, len(identifier) - 1))
        one = identifier[at]
        other = draw(
            st.sampled_from(
                [
                    identifier[:at] + identifier[at + 1 :],
                    identifier[:at] + one + identifier[at:],
                    identifier[:at] + identifier[at + 1 : at + 2] + one + identifier[at + 2 :],
                    identifier[:at] + one.swapcase() + identifier[at + 1 :],
                    identifier[:at] + (str((int(one) + 1) % 10) if one.isascii() and one.isdigit() else one),
                    identifier.replace("-", "_"),
                    identifier + "2",
                    "X" + identifier,
                    identifier + "+x",
                ]
            )
        )
        others[" ".join(other.split())] = None
    return [identifier, *(other for other in others if tells_apart(identifier, other))]


def tells_apart(identifier: str, other: str) -> bool:
    """Whether a text tells them apart: not by punctuation, how a sentence begins, or the case of a plain word.

    In scripts without spaces a name within a longer one is the same name.
    """
    if UNSPACED.search(identifier) and (identifier in other or len(other) > len(identifier)):
        return False
    ours, theirs = (" ".join(map(folded, text.strip(PUNCTUATION).split())) for text in (identifier, other))
    return bool(theirs) and ours[:1].lower() + ours[1:] != theirs[:1].lower() + theirs[1:]


def folded(word: str) -> str:
    """Return a plain word without its case."""
    return word.lower() if word.isalpha() and len(word) > 2 else word


@pytest.mark.parametrize("kind", GRAMMARS)
@settings(max_examples=5, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_was_typed_comes_first(kind: str, data: st.DataObject, encoder: LexSemBridgeEncoder) -> None:
    identifiers = data.draw(look_alikes(GRAMMARS[kind]))
    store = PassageStore.in_memory(encoder)
    entries = [Passage(f"Entry {one} is for the {part}.", id=one) for one, part in zip(identifiers, PARTS)]  # noqa: B905
    store.add([*entries, *BESIDE])
    for query in (identifiers[0], f"what does {identifiers[0]} mean?"):
        assert Retriever(store).search(query, 1)[0].id == identifiers[0]
