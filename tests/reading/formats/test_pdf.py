from __future__ import annotations

import random
import sys
import zlib
from collections.abc import Sequence

import pytest

from lsb_rag.errors import MissingExtraError, ReadError
from lsb_rag.reading.block import Block
from lsb_rag.reading.formats import pdf
from lsb_rag.reading.formats.pdf import read_pdf

Text = tuple[float, float, float, str, str]
"""Left, bottom, size, font (``F`` Helvetica or ``C`` Courier), text."""


def make_pdf(
    pages: Sequence[Sequence[Text]], outline: Sequence[tuple[str, int, float]] = (), title: str = "", trailer: str = ""
) -> bytes:
    """Return a PDF; an entry of the outline has title, page and height."""
    objects: list[bytes] = []

    def add(content: str | bytes) -> int:
        objects.append(content.encode("latin-1") if isinstance(content, str) else content)
        return len(objects)

    fonts = [add(f"<</Type/Font/Subtype/Type1/BaseFont/{name}>>") for name in ("Helvetica", "Courier")]
    tree = len(objects) + 1
    add("")
    kids: list[int] = []
    for page in pages:
        commands = "".join(
            f"BT /{font} {size} Tf {left} {bottom} Td ({text}) Tj ET\n" for left, bottom, size, font, text in page
        ).encode("latin-1")
        packed = zlib.compress(commands)
        stream = add(b"<</Filter/FlateDecode/Length %d>>stream\n%s\nendstream" % (len(packed), packed))
        kids.append(
            add(
                f"<</Type/Page/Parent {tree} 0 R/MediaBox[0 0 600 800]/Contents {stream} 0 R"
                f"/Resources<</Font<</F {fonts[0]} 0 R/C {fonts[1]} 0 R>>>>>>"
            )
        )
    objects[tree - 1] = f"<</Type/Pages/Count {len(kids)}/Kids[{' '.join(f'{k} 0 R' for k in kids)}]>>".encode()
    root = len(objects) + 1
    entries = [root + 2 + number for number in range(len(outline))]
    add(f"<</Type/Catalog/Pages {tree} 0 R{f'/Outlines {root + 1} 0 R' if outline else ''}>>")
    if outline:
        add(f"<</Type/Outlines/First {entries[0]} 0 R/Last {entries[-1]} 0 R/Count {len(entries)}>>")
        for at, (name, page_number, height) in enumerate(outline):
            following = f"/Next {entries[at + 1]} 0 R" if at + 1 < len(entries) else ""
            place = f"[{kids[page_number - 1]} 0 R /XYZ 0 {height} null]"
            add(f"<</Title({name})/Parent {root + 1} 0 R/Dest{place}{following}>>")
    info = add(f"<</Title({title})>>")
    raw = b"%PDF-1.7\n"
    offsets = []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(raw))
        raw += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    raw += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}".encode()
    start = raw.rindex(b"xref\n0")
    raw += f"trailer<</Size {len(objects) + 1}/Root {root} 0 R/Info {info} 0 R{trailer}>>\n".encode()
    return raw + b"startxref\n%d\n%%%%EOF" % start


def lines(*texts: str, top: float = 700, left: float = 50, size: float = 10, font: str = "F") -> list[Text]:
    return [(left, top - 12 * at, size, font, text) for at, text in enumerate(texts)]


def shown(blocks: Sequence[Block]) -> list[str]:
    return [f"{'#' * block.level} {block.text}".strip() for block in blocks]


LONG = "The pump stops as soon as its inlet is blocked by dirt or by ice, and it stays"


def test_each_page_has_a_heading_and_lines_are_joined_to_paragraphs() -> None:
    first = lines(
        LONG, "stopped until the filter is clean.", "A second paragraph begins here: its line before is short."
    )
    raw = make_pdf([first, [], lines("Last page.")], title="Pump manual")
    document = read_pdf(raw)
    assert document.title == "Pump manual"
    assert shown(document.blocks) == [
        "###### page 1",
        f"{LONG} stopped until the filter is clean.",
        "A second paragraph begins here: its line before is short.",
        "###### page 3",
        "Last page.",
    ]


def test_words_parted_at_the_end_of_a_line() -> None:
    texts = [
        "The inlet of the pump has been blocked by something that is not known iden-",
        "tifier. A well-known part may be found in the list of the parts that is well-",
        "known to everybody who has once called the service and has named the code E-",
        "4012 on the phone.",
    ]
    text = read_pdf(make_pdf([lines(*texts)])).blocks[1].text
    assert "identifier" in text
    assert "is well-known to" in text
    assert "code E-4012 on" in text


def test_lists_code_and_addresses_keep_their_lines() -> None:
    page = [
        *lines(
            LONG, "- Clean the filter.", "- Start again, and if it does not start, call the service of the", "  maker."
        ),
        *lines("pump start", "  --defrost", top=600, font="C"),
        *lines(LONG, top=500),
        *lines("1 Canal Street", "Oslo", top=470),
    ]
    blocks = read_pdf(make_pdf([page])).blocks
    assert [(block.kind, block.text) for block in blocks[1:]] == [
        ("paragraph", LONG),
        ("item", "- Clean the filter."),
        ("item", "- Start again, and if it does not start, call the service of the maker."),
        ("code", "```\npump start\n  --defrost\n```"),
        ("paragraph", LONG),
        ("paragraph", "1 Canal Street\nOslo"),
    ]


def test_headings_come_from_the_outline() -> None:
    pages = [
        [*lines("1 Pumps", size=16), *lines(LONG, top=650)],
        [*lines("Text of before."), *lines("1.1 Errors", top=600), *lines("E-4012", top=550)],
    ]
    outline = [("Pumps", 1, 720.0), ("Errors", 2, 615.0), ("Unnamed", 2, 580.0)]
    assert shown(read_pdf(make_pdf(pages, outline)).blocks) == [
        "# 1 Pumps",
        "###### page 1",
        LONG,
        "###### page 2",
        "Text of before.",
        "# 1.1 Errors",
        "# Unnamed",
        "###### page 2",
        "E-4012",
    ]


def test_without_an_outline_from_the_size_of_letters() -> None:
    page = [
        *lines("Pumps", size=20, top=760),
        *lines("Errors", size=14, top=730),
        *lines(*[LONG] * 6, top=700),
    ]
    headings = [block for block in read_pdf(make_pdf([page])).blocks if block.kind == "heading"]
    assert [(block.level, block.text) for block in headings] == [(1, "Pumps"), (2, "Errors"), (6, "page 1")]


def test_running_titles_are_kept_once_and_page_numbers_not() -> None:
    pages = [
        [
            *lines("Pump manual 2024", top=780),
            *lines(f"Text of page {n} of the manual.", "More."),
            *lines(f"{n + 10}", top=20),
        ]
        for n in range(1, 6)
    ]
    text = "\n".join(shown(read_pdf(make_pdf(pages)).blocks))
    assert text.count("Pump manual") == 1
    assert all(f"Text of page {n}" in text for n in range(1, 6))
    assert "13" not in text


def test_a_pdf_without_text_needs_ocr() -> None:
    with pytest.raises(ReadError, match=r"^The PDF holds no text, only pictures; run OCR over it first"):
        read_pdf(make_pdf([[], []]))


def test_an_encrypted_pdf() -> None:
    key = "00" * 32
    raw = make_pdf(
        [lines("Text.")], trailer=f"/ID[<{key}><{key}>]/Encrypt<</Filter/Standard/V 1/R 2/P -4/O<{key}>/U<{key}>>>"
    )
    with pytest.raises(ReadError, match=r"^The PDF is encrypted; save it without a password\.$"):
        read_pdf(raw)


def test_damaged_pdfs_are_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = make_pdf([lines(LONG, "Text.")] * 3, [("Text", 1, 700.0)])
    for raw in (b"", b"%PDF-1.7", b"text", whole[:200]):
        with pytest.raises(ReadError, match=r"^The PDF .+\.$"):
            read_pdf(raw)
    chance = random.Random(1)
    said = []
    for _ in range(100):
        broken = bytearray(whole)
        for _ in range(10):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        try:
            read_pdf(bytes(broken))
        except ReadError as error:
            said.append(str(error))
    assert all(sentence.endswith(".") for sentence in said)
    monkeypatch.setattr(pdf, "MAX_PAGES", 2)
    with pytest.raises(ReadError, match="has 3 pages, which is refused"):
        read_pdf(whole)


def test_without_pypdfium2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pypdfium2", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'lsb-rag\[documents\]'"):
        read_pdf(b"%PDF-1.7")
