from __future__ import annotations

import re
from pathlib import Path

import pytest

from lsb_rag import Hit, LexSemBridgeEncoder, Passage, PassageStore, Retriever
from lsb_rag.generation import NO_ANSWER, ExtractiveGenerator, Quote

from .conftest import HITS

CODES = [
    Hit("e12", 0.9, "E-4012: the inlet is blocked. Call service."),
    Hit("e13", 0.8, "E-4013: the outlet is blocked. Call service."),
    Hit("e120", 0.7, "E-40120: the fan is worn. Call service."),
]


def test_the_supporting_sentence_is_quoted_with_its_passage(encoder: LexSemBridgeEncoder) -> None:
    answer = ExtractiveGenerator(encoder).answer("what does the error E-4012 mean?", HITS)
    assert answer.text.startswith("The error E-4012 means that the inlet is blocked! [1]")
    assert answer.citations[0] == "pump"
    assert answer.confidence > 0.5
    one = ExtractiveGenerator(encoder, sentences=1).answer("what does the error E-4012 mean?", HITS)
    assert one.citations == ("pump",)


@pytest.mark.parametrize("code", ["E-4012", "E-4013", "E-40120"])
@pytest.mark.parametrize("wording", ["what does {} mean", "{}", "my machine shows {} since Monday, what do I do?"])
def test_the_entry_of_a_code_is_quoted_alone(encoder: LexSemBridgeEncoder, code: str, wording: str) -> None:
    answer = ExtractiveGenerator(encoder).answer(wording.format(code), CODES)
    assert re.findall(r"E-\d+", answer.text) == [code]
    assert len(answer.citations) == 1


def test_nothing_is_said_of_a_code_that_no_passage_holds(encoder: LexSemBridgeEncoder) -> None:
    answer = ExtractiveGenerator(encoder).answer("what does E-4999 mean?", CODES)
    assert answer.text == "Nothing here mentions E-4999."
    assert answer.refused
    assert answer.citations == ()
    assert isinstance(answer.nearest, Quote)
    assert answer.nearest.id in {"e12", "e13", "e120"}
    assert answer.confidence < 0.5
    assert ExtractiveGenerator(encoder).answer("what does E-4999 mean?", []).text == "Nothing here mentions E-4999."


def test_it_says_so_when_the_passages_do_not_answer(encoder: LexSemBridgeEncoder) -> None:
    generator = ExtractiveGenerator(encoder)
    for hits in (HITS, [], [Hit("blank", 0.5, " \n ")]):
        answer = generator.answer("who won the world cup in 1998?", hits)
        assert answer.text == NO_ANSWER
        assert answer.refused
        assert answer.citations == ()


def test_a_row_of_a_table_is_quoted_with_its_header(encoder: LexSemBridgeEncoder) -> None:
    rows = "\n".join(f"| F{n} | the {part} is open |" for n, part in enumerate(("pump", "valve", "door"), start=301))
    answer = ExtractiveGenerator(encoder).answer("F302", [Hit("t", 0.9, f"| Code | Meaning |\n|---|---|\n{rows}")])
    assert answer.text == "Code: F302; Meaning: the valve is open [1]"


def test_a_second_quotation_adds_what_the_first_lacks_in_the_order_of_the_text(encoder: LexSemBridgeEncoder) -> None:
    text = "Warsaw has a mayor. The zoo opened in 1928. Its council has sixty members, elected for five years."
    answer = ExtractiveGenerator(encoder).answer(
        "When did the zoo open and how many members has the council?", [Hit("w", 0.9, text)]
    )
    assert answer.text == ("The zoo opened in 1928. … Its council has sixty members, elected for five years. [1]")
    alone = ExtractiveGenerator(encoder).answer("When did the zoo open?", [Hit("w", 0.9, text)])
    assert alone.text == "The zoo opened in 1928. [1]"


def test_the_same_answer_every_time_and_a_repeated_sentence_once(encoder: LexSemBridgeEncoder) -> None:
    doubled = [HITS[0], Hit("copy", 0.8, HITS[0].text, HITS[0].title), HITS[2]]
    generator = ExtractiveGenerator(encoder)
    answer = generator.answer("error E-4012", doubled)
    assert "copy" not in answer.citations
    assert answer == generator.answer("error E-4012", doubled)


def test_answers_from_retrieved_passages(store: PassageStore, encoder: LexSemBridgeEncoder) -> None:
    question = "which part is replaced when E-5100 comes?"
    answer = ExtractiveGenerator(encoder).answer(question, Retriever(store).search(question, 3))
    assert "ZX81" in answer.text
    assert answer.citations == ("valve",)


def test_a_table_of_codes_answers_by_row(encoder: LexSemBridgeEncoder, tmp_path: Path) -> None:
    parts = ("pump", "inlet", "gearbox", "spindle", "door", "brake", "filter", "belt")
    meanings = {f"F{n}": f"the {parts[n % 8]} is {('worn', 'open', 'blocked')[n % 3]}" for n in range(301, 421)}
    rows = [f"| {code} | {meaning} | {len(meaning) % 3} |" for code, meaning in meanings.items()]
    header = "| Code | Meaning | Level |\n|---|---|---|\n"
    store = PassageStore(tmp_path / "db", "faults", encoder)
    store.add([Passage(header + "\n".join(rows[at : at + 12]), title="Faults") for at in range(0, 120, 12)])
    generator = ExtractiveGenerator(encoder)
    for code in list(meanings)[::4]:
        answer = generator.answer(f"what does {code} mean", Retriever(store).search(f"what does {code} mean", 5))
        assert re.findall(r"F\d+", answer.text) == [code]
        assert meanings[code] in answer.text


SETTINGS = [
    Hit(
        "conversion",
        0.9,
        "pump.conversion\n:   Setting this variable to true is the same as setting the unit to bar on all pumps. Set "
        "to true where the gauges are of the old kind and the pumps are of the new one, so that both of them show the "
        "same value wherever they stand. This variable can be set to input, in which case nothing is converted.",
    ),
    Hit(
        "unit",
        0.8,
        "pump.unit\n:   The unit of pressure. Note that this value is ignored if pump.conversion is true or input.",
    ),
]


def test_a_later_part_of_a_definition_comes_behind_its_term(encoder: LexSemBridgeEncoder) -> None:
    answer = ExtractiveGenerator(encoder).answer("pump.conversion input", SETTINGS)
    assert answer.text.startswith("pump.conversion: ")
    assert "This variable can be set to input, in which case nothing is converted" in answer.text
    assert "ignored" not in answer.text  # what another setting's definition says of it


def test_a_pronoun_comes_with_what_it_stands_for(encoder: LexSemBridgeEncoder) -> None:
    text = "Programs retry deadlocks. These have the code E-4012. Others have the code E-4013."
    answer = ExtractiveGenerator(encoder, sentences=1).answer("code E-4012", [Hit("codes", 0.9, text)])
    assert answer.text == "Programs retry deadlocks. These have the code E-4012. [1]"
    text = "Pumps have the code E-4013. These have the code E-4012."
    answer = ExtractiveGenerator(encoder).answer("code E-4012", [Hit("codes", 0.9, text)])
    assert "E-4013" not in answer.text


def test_source_code_is_quoted_where_a_passage_holds_nothing_else(encoder: LexSemBridgeEncoder) -> None:
    code = '```python\ndef emergency_stop():\n    """Cut the power within 150 ms."""\n    write(0x3C, 1)\n```'
    hits = [Hit("code", 0.9, code), Hit("text", 0.5, "The pump stops when the inlet is blocked.")]
    answer = ExtractiveGenerator(encoder).answer("what does emergency_stop do", hits)
    assert "Cut the power within 150 ms." in answer.text
