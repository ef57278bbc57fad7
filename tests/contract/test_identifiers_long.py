"""The promise of the library: who asks for an identifier as it is written gets the passage that holds it."""

from __future__ import annotations

import pytest
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
    "Chinese": r"[进出水阀泵电源轴承安全压力油]{3,4}",
    "Japanese": r"[アイエフィルターポンプセサ]{3,5}(E-[0-9]{2})?",
    "Korean": r"[밸브펌프센서필터모]{2,3}",
    "Thai": r"[วาลปมรตนกด]{4,6}",
    "Cyrillic": r"[авиклнопрст]{4,7}",
    "emoji": r"[🔴🟢🟡🔵✅❌]{1,2}",
}


@st.composite
def look_alikes(draw: st.DrawFn, grammar: str) -> list[str]:
    """An identifier, and others that differ from it little."""
    identifier = draw(st.from_regex(grammar, fullmatch=True))
    others: dict[str, None] = {}
    for _ in range(11):
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
        ).strip()
        others.setdefault(other, None)
    bare = identifier.strip(".,:;!?|*()'\"")
    return [identifier, *(other for other in others if other and other.strip(".,:;!?|*()'\"") != bare)]


@pytest.mark.parametrize("kind", GRAMMARS)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_was_typed_comes_first(kind: str, data: st.DataObject, encoder: LexSemBridgeEncoder) -> None:
    identifiers = data.draw(look_alikes(GRAMMARS[kind]))
    store = PassageStore.in_memory(encoder)
    store.add([Passage(f"Entry {one} is for the {part}.", id=one) for one, part in zip(identifiers, PARTS)])  # noqa: B905
    for query in (identifiers[0], f"what does {identifiers[0]} mean?"):
        assert Retriever(store).search(query, 1)[0].id == identifiers[0]
