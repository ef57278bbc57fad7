"""Documents are cut between their blocks, and what heads a part is repeated."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsb_rag import LexSemBridgeEncoder
from lsb_rag.reading.block import Block, Document
from lsb_rag.reading.html import read_html
from lsb_rag.reading.markdown import read_markdown
from lsb_rag.reading.splitting import Section, Splitter, title_of

WORDS = "The valve closes when the pressure in the tank rises above the limit that the operator has set. "


def sections(text: str, **options: int) -> list[Section]:
    return Splitter(**options).sections(read_markdown(text))


def test_a_section_knows_its_path_of_headings() -> None:
    text = f"# Pumps\n\n{WORDS * 3}\n\n## Options\n\n### -a\n\n{WORDS * 3}\n\n## Files\n\n{WORDS * 3}"
    assert [one.headings for one in sections(text)] == [
        ("Pumps",),
        ("Pumps", "Options", "-a"),
        ("Pumps", "Files"),
    ]
    assert [title_of("Pumps", one.headings) for one in sections(text)] == [
        "Pumps",
        "Pumps › Options › -a",
        "Pumps › Files",
    ]


def test_short_sections_are_joined_under_what_they_share() -> None:
    (one,) = sections("# Pumps\n\n## A\n\nShort.\n\n## B\n\nShort too.")
    assert one == Section(("Pumps",), "## A\n\nShort.\n\n## B\n\nShort too.")
    last = sections(f"# Pumps\n\n## A\n\n{WORDS * 3}\n\n## See also\n\nValves.")
    assert len(last) == 1
    assert last[0].text.endswith("## See also\n\nValves.")


def test_no_heading_stands_alone_and_none_is_lost() -> None:
    found = sections(f"# Pumps\n\n## Empty\n\n## Full\n\n{WORDS * 3}\n\n## Last")
    assert [one.headings for one in found] == [("Pumps", "Full")]
    assert found[0].text.startswith("## Empty\n\n")
    assert found[0].text.endswith("## Last")
    assert sections("# Only\n\n## Headings") == []


def test_the_header_of_a_table_is_in_each_passage_and_no_row_is_cut() -> None:
    rows = [f"| E-{number} | part {number} | It is worn and must be replaced. |" for number in range(120)]
    found = sections("\n".join(["| code | part | what |", "|---|---|---|", *rows]), max_length=128)
    assert len(found) > 5
    assert all(one.text.startswith("| code | part | what |\n|---|---|---|\n| E-") for one in found)
    assert [row for one in found for row in one.text.split("\n")[2:]] == rows


def test_a_term_is_repeated_where_its_definition_is_cut() -> None:
    html = f"<dl><dt>--all<dd><p>{WORDS * 12}</p><dl><dt>inner<dd>{WORDS * 12}</dl><dt>--none<dd>Nothing.</dl>"
    found = Splitter(max_length=128).sections(read_html(html))
    assert len(found) > 4
    for one in found:
        assert one.text.startswith(("--all\n:   ", "--all\n    inner\n    :   ", "--none\n"))
    assert "--none\n:   Nothing." in found[-1].text


def test_code_is_cut_between_lines_and_stays_code() -> None:
    lines = [f"line {number} of the listing, with some text" for number in range(60)]
    found = sections("\n".join(["```py", *lines, "```"]), max_length=128)
    assert len(found) > 2
    assert all(one.text.startswith("```py\n") and one.text.endswith("\n```") for one in found)
    assert [line for one in found for line in one.text.split("\n")[1:-1]] == lines


def test_a_caption_stays_with_what_it_names() -> None:
    html = f"<p>{WORDS * 8}</p><table><caption>Table 1. Codes</caption><tr><th>a<th>b<tr><td>{WORDS}<td>2</table>"
    found = Splitter(max_length=200).sections(read_html(html))
    assert found[-1].text.startswith("Table 1. Codes\n\n| a | b |")


def test_passages_fit_the_backbone(encoder: LexSemBridgeEncoder) -> None:
    splitter = Splitter(encoder.tokenizer, encoder.max_length)
    text = "# A heading of some length\n\n" + "\n\n".join(WORDS * count for count in range(1, 30))
    for one in splitter.sections(read_markdown(text), "A document"):
        title = title_of("A heading of some length", one.headings)
        assert splitter.tokens([f"{title}\n{one.text}"])[0] + 2 <= encoder.max_length


@pytest.mark.parametrize("text", ["x" * 300_000, "word " * 60_000, "E-1\n" * 50_000])
def test_one_endless_paragraph(text: str) -> None:
    found = Splitter(max_length=256).sections(Document("", [Block(text)]))
    assert sum(one.text.count(text[0]) for one in found) == text.count(text[0])


def test_titles_are_short() -> None:
    assert title_of("git-rebase(1)", ["git-rebase(1) Manual Page", "OPTIONS"]) == "git-rebase(1) › OPTIONS"
    assert title_of("", []) == ""
    long = title_of("A manual", ["x" * 200, "y" * 50, "z" * 50])
    assert long == f"A manual › {'z' * 50}" or len(long) <= 100


kinds = st.sampled_from(["paragraph", "item", "definition", "table", "code", "caption", "heading"])
texts = st.text(st.sampled_from("ab \n.|:-"), min_size=1, max_size=80).filter(lambda text: bool(text.strip()))


@given(st.lists(st.builds(Block, texts, kinds, st.integers(1, 6), st.sampled_from(["", "h", "h\ni"])), max_size=20))
@settings(max_examples=60, deadline=None)
def test_no_word_is_lost(blocks: list[Block]) -> None:
    found = Splitter(max_length=64).sections(Document("", blocks))
    kept = "".join("".join([*one.headings, one.text]) for one in found)
    if any(block.kind != "heading" for block in blocks):
        assert all("".join(block.text.split())[:4] in "".join(kept.split()) for block in blocks)
