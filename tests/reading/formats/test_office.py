"""Word, Excel, PowerPoint and EPUB, and archives that are bombs."""

from __future__ import annotations

import datetime
import io
import sys
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from lsb_rag.errors import MissingExtraError, ReadError
from lsb_rag.reading.block import Document
from lsb_rag.reading.formats import archive
from lsb_rag.reading.formats.docx import read_docx
from lsb_rag.reading.formats.epub import read_epub
from lsb_rag.reading.formats.pptx import read_pptx
from lsb_rag.reading.formats.xlsx import read_xlsx

READERS: dict[str, Callable[[bytes], Document]] = {
    "docx": read_docx,
    "xlsx": read_xlsx,
    "pptx": read_pptx,
    "epub": read_epub,
}
each_reader = pytest.mark.parametrize("read", READERS.values(), ids=READERS)

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
CORE = (
    '<cp:coreProperties xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/core-properties" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{}</dc:title></cp:coreProperties>'
)
CONTAINER = (
    '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="OPS/book.opf"/></rootfiles></container>'
)
BOMB_XML = (
    "<!DOCTYPE l ["
    + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10 if n else "x" * 10}">' for n in range(10))
    + "]><l>&a9;</l>"
)


def packed(parts: Mapping[str, str | bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in parts.items():
            made.writestr(name, content)
    return stream.getvalue()


def word(body: str, title: str = "", **more: str) -> bytes:
    relation = f'<Relationship Id="r1" Type="{OFFICE}/officeDocument" Target="word/document.xml"/>'
    styles = "".join(
        f'<w:style w:type="paragraph" w:styleId="{name.replace(" ", "")}"><w:name w:val="{name}"/></w:style>'
        for name in ("Title", "heading 1", "heading 2", "Source Code")
    )
    numbering = (
        '<w:abstractNum w:abstractNumId="0"><w:lvl w:ilvl="0"><w:numFmt w:val="decimal"/></w:lvl></w:abstractNum>'
        '<w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num>'
    )
    document_relations = "".join(
        f'<Relationship Id="d{n}" Type="{OFFICE}/{kind}" Target="{kind}.xml"/>'
        for n, kind in enumerate(("styles", "numbering"))
    )
    return packed(
        {
            "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
            "_rels/.rels": f'<Relationships xmlns="{RELATIONS}">{relation}</Relationships>',
            "word/_rels/document.xml.rels": f'<Relationships xmlns="{RELATIONS}">{document_relations}</Relationships>',
            "word/styles.xml": f'<w:styles xmlns:w="{WORD}">{styles}</w:styles>',
            "word/numbering.xml": f'<w:numbering xmlns:w="{WORD}">{numbering}</w:numbering>',
            "word/document.xml": f'<w:document xmlns:w="{WORD}"><w:body>{body}</w:body></w:document>',
            "docProps/core.xml": CORE.format(title),
            **more,
        }
    )


def paragraph(text: str, style: str = "", numbered: bool = False) -> str:
    properties = f'<w:pStyle w:val="{style}"/>' if style else ""
    if numbered:
        properties += '<w:numPr><w:ilvl w:val="0"/><w:numId w:val="1"/></w:numPr>'
    return f'<w:p><w:pPr>{properties}</w:pPr><w:r><w:t xml:space="preserve">{text}</w:t></w:r></w:p>'


def test_word() -> None:
    rows = "".join(
        f"<w:tr>{''.join(f'<w:tc>{paragraph(cell)}</w:tc>' for cell in row)}</w:tr>"
        for row in (("E-1", "blocked"), ("E-2", "open"))
    )
    names = "".join(f"<w:tc>{paragraph(name)}</w:tc>" for name in ("Code", "Meaning"))
    header = f"<w:tr><w:trPr><w:tblHeader/></w:trPr>{names}</w:tr>"
    body = (
        paragraph("Pumps", "heading1")
        + paragraph("The inlet &amp; outlet.")
        + paragraph("Clean it.", numbered=True)
        + paragraph("Start it.", numbered=True)
        + paragraph("pump --start", "SourceCode")
        + paragraph("Errors", "heading2")
        + f"<w:tbl>{header}{rows}</w:tbl>"
    )
    document = read_docx(word(body, "Pump\n manual"))
    assert document.title == "Pump manual"
    assert [(block.kind, block.level, block.text) for block in document.blocks] == [
        ("heading", 1, "Pumps"),
        ("paragraph", 0, "The inlet & outlet."),
        ("item", 0, "1. Clean it."),
        ("item", 0, "2. Start it."),
        ("code", 0, "```\npump --start\n```"),
        ("heading", 2, "Errors"),
        ("table", 0, "| E-1 | blocked |"),
        ("table", 0, "| E-2 | open |"),
    ]
    assert document.blocks[-1].header.startswith("| Code | Meaning |")


def workbook(fill: Callable[[Any], None]) -> bytes:
    import openpyxl

    made = openpyxl.Workbook()
    made.properties.title = "Parts"
    fill(made)
    stream = io.BytesIO()
    made.save(stream)
    return stream.getvalue()


def test_excel() -> None:
    def fill(made: Any) -> None:
        sheet = made.active
        sheet.title = "Prices"
        sheet.append(["Prices of all parts"])
        sheet.append([])
        sheet.append(["part", "price", "since", "on sale"])
        sheet.append(["ZX-81", 0.1 + 0.2, datetime.datetime(2024, 5, 1), True])
        sheet.append(["ZX-82", 7, datetime.datetime(2024, 5, 1, 12, 30), None])
        made.create_sheet("Empty")
        made.create_sheet("Far")["C5"] = "alone | here"

    document = read_xlsx(workbook(fill))
    assert document.title == "Parts"
    assert [(block.kind, block.text) for block in document.blocks] == [
        ("heading", "Prices"),
        ("paragraph", "Prices of all parts"),
        ("table", "| ZX-81 | 0.3 | 2024-05-01 | TRUE |"),
        ("table", "| ZX-82 | 7 | 2024-05-01 12:30:00 |  |"),
        ("heading", "Far"),
        ("paragraph", "alone | here"),
    ]
    assert document.blocks[2].header.startswith("| part | price | since | on sale |")


def test_a_sheet_whose_corners_alone_are_filled() -> None:
    def fill(made: Any) -> None:
        made.active["A1"], made.active["XFD1048576"] = "first", "last"

    assert [block.text for block in read_xlsx(workbook(fill)).blocks][1:] == ["first", "last"]


@pytest.mark.parametrize(("old", "new"), [(b'r="1"', b'r="99999999999999"'), (b'r="A1"', b'r="ZZZZZZZZ1"')])
def test_a_cell_beyond_the_sheet(old: bytes, new: bytes) -> None:
    raw = workbook(lambda made: made.active.append(["a", "b"]))
    with zipfile.ZipFile(io.BytesIO(raw)) as parts:
        broken = packed(
            {
                name: parts.read(name).replace(old, new) if "sheet1" in name else parts.read(name)
                for name in parts.namelist()
            }
        )
    with pytest.raises(ReadError, match=r"^The workbook .+\.$"):
        read_xlsx(broken)


def test_powerpoint() -> None:
    from pptx import Presentation
    from pptx.util import Inches

    made = Presentation()
    made.core_properties.title = "Pumps"
    slide = made.slides.add_slide(made.slide_layouts[1])
    slide.shapes.title.text = "Errors"
    frame = slide.placeholders[1].text_frame
    frame.text = "E-4012"
    inner = frame.add_paragraph()
    inner.text, inner.level = "the inlet is blocked", 1
    slide.notes_slide.notes_text_frame.text = "Say it slowly."
    second = made.slides.add_slide(made.slide_layouts[6])
    group = second.shapes.add_group_shape()
    group.shapes.add_textbox(0, 0, Inches(1), Inches(1)).text_frame.text = "In a group"
    cells = second.shapes.add_table(2, 2, 0, 0, Inches(1), Inches(1)).table
    for at, text in enumerate(("Code", "Meaning", "E-1", "blocked")):
        cells.cell(at // 2, at % 2).text = text
    made.slides.add_slide(made.slide_layouts[6])
    stream = io.BytesIO()
    made.save(stream)
    document = read_pptx(stream.getvalue())
    assert document.title == "Pumps"
    assert [(block.kind, block.text) for block in document.blocks] == [
        ("heading", "slide 1: Errors"),
        ("item", "- E-4012"),
        ("item", "  - the inlet is blocked"),
        ("paragraph", "Say it slowly."),
        ("heading", "slide 2"),
        ("paragraph", "In a group"),
        ("table", "| E-1 | blocked |"),
    ]


def book(**more: str) -> bytes:
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata>'
        "<dc:title>The Pump</dc:title></metadata><manifest>"
        '<item id="a" href="text/one%20a.xhtml" media-type="application/xhtml+xml"/>'
        '<item id="b" href="text/two.xhtml" media-type="application/xhtml+xml"/>'
        '<item id="c" href="cover.png" media-type="image/png"/></manifest>'
        '<spine><itemref idref="b"/><itemref idref="a"/><itemref idref="c"/><itemref idref="none"/></spine></package>'
    )
    return packed(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": CONTAINER,
            "OPS/book.opf": package,
            "OPS/text/one a.xhtml": "<html><body><h1>End</h1><p>Grüße</p></body></html>",
            "OPS/text/two.xhtml": "<html><body><h1>Begin</h1></body></html>",
            **more,
        }
    )


def test_epub_in_the_order_of_its_spine() -> None:
    document = read_epub(book())
    assert document.title == "The Pump"
    assert [block.text for block in document.blocks] == ["Begin", "End", "Grüße"]


def test_an_encrypted_book() -> None:
    encryption = (
        '<encryption xmlns:enc="http://www.w3.org/2001/04/xmlenc#"><enc:CipherReference URI="{}"/></encryption>'
    )
    assert len(read_epub(book(**{"META-INF/encryption.xml": encryption.format("OPS/font.otf")})).blocks) == 3
    with pytest.raises(ReadError, match=r"^The book is encrypted"):
        read_epub(book(**{"META-INF/encryption.xml": encryption.format("OPS/text/two.xhtml")}))


@each_reader
def test_what_is_no_archive_or_encrypted(read: Callable[[bytes], Document]) -> None:
    compound = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
    for raw, sentence in (
        (b"", "damaged"),
        (b"PK\x03\x04junk", "damaged"),
        (packed({"a.txt": "a"}), "damaged"),
        (compound + "EncryptedPackage".encode("utf-16-le"), "encrypted; save it without a password"),
        (compound, "in the old binary format"),
    ):
        with pytest.raises(ReadError, match=rf"^The [\w ]+ is {sentence}.*\.$"):
            read(raw)


def test_a_part_with_a_password() -> None:
    raw = bytearray(word(paragraph("Text.")))
    raw[raw.rindex(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(ReadError, match="encrypted"):
        read_docx(bytes(raw))


@each_reader
def test_bombs_are_refused(read: Callable[[bytes], Document]) -> None:
    raw = packed({"word/document.xml": b"0" * 20_000_000, "META-INF/container.xml": CONTAINER})
    with pytest.raises(ReadError, match=r"unpacks to 20 MB in 2 parts, which is refused\.$"):
        read(raw)


def test_limits_of_size(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = word(paragraph("Text."), **{"word/media/picture.png": "x" * 5000})
    read_docx(raw)
    for name, limit in (("MAX_UNPACKED_BYTES", 5000), ("MAX_PART_BYTES", 100), ("MAX_PARTS", 3)):
        with monkeypatch.context() as patch:
            patch.setattr(archive, name, limit)
            with pytest.raises(ReadError, match="is refused"):
                read_docx(raw)


def test_a_part_that_is_larger_than_it_says() -> None:
    body = f'<w:document xmlns:w="{WORD}"><w:body>{"<w:p/>" * 1_000_000}</w:body></w:document>'
    raw = word("", **{"word/document.xml": body})
    lying = raw.replace(len(body).to_bytes(4, "little"), (200).to_bytes(4, "little"))
    assert lying != raw
    with pytest.raises(ReadError, match=r"^The Word document is damaged"):
        read_docx(lying)


@each_reader
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_are_not_expanded(read: Callable[[bytes], Document], encoding: str) -> None:
    bomb = BOMB_XML.encode(encoding)
    with pytest.raises(ReadError, match=r"^The [\w ]+ (defines XML entities, which is refused|is damaged: .+)\.$"):
        read(packed({"[Content_Types].xml": bomb, "word/document.xml": bomb, "META-INF/container.xml": bomb}))


def test_deep_nesting_is_a_sentence() -> None:
    with pytest.raises(ReadError, match=r"^The Word document .+\.$"):
        read_docx(word("<w:sdt><w:sdtContent>" * 20_000 + "</w:sdtContent></w:sdt>" * 20_000))


def test_entities_of_a_book_name_no_file() -> None:
    page = '<!DOCTYPE html [<!ENTITY x SYSTEM "file:///etc/passwd">]><html><body><p>a &x; b</p></body></html>'
    text = "".join(block.text for block in read_epub(book(**{"OPS/text/two.xhtml": page})).blocks)
    assert "root:" not in text


@pytest.mark.parametrize(("kind", "package"), [("docx", "mammoth"), ("xlsx", "openpyxl"), ("pptx", "pptx")])
def test_without_the_extra(kind: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'lsb-rag\[documents\]'"):
        READERS[kind](b"")
