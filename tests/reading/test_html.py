"""HTML becomes blocks: entries keep their terms, tables their headers, and no page is too broken."""

from __future__ import annotations

import time

import pytest

from lsb_rag.reading.block import Block
from lsb_rag.reading.html import read_html


def blocks(html: str) -> list[tuple[str, str, str]]:
    return [(block.kind, block.header, block.text) for block in read_html(html).blocks]


def test_a_definition_has_its_terms_and_all_its_paragraphs() -> None:
    html = """<dl><dt><code>-a</code></dt><dt id="x"><code>--all</code></dt>
        <dd><p>Every file.</p><pre>cp -a\n  x y</pre><p>Links too.</p></dd>
        <dt>-b</dt><dd>Backup.<dl><dt>numbered<dd>With a number.<dt>simple<dd>Without.</dl></dd></dl>"""
    both = "`-a`\n`--all`"
    assert blocks(html) == [
        ("definition", both, ":   Every file."),
        ("code", both, "    ```\n    cp -a\n      x y\n    ```"),
        ("definition", both, "    Links too."),
        ("definition", "-b", ":   Backup."),
        ("definition", "-b\n    numbered", "    :   With a number."),
        ("definition", "-b\n    simple", "    :   Without."),
    ]


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ("<dl><dt>a<dd>one<dd>two<dt>b<dd>three</dl>", [("a", ":   one"), ("a", ":   two"), ("b", ":   three")]),
        ("<dl><div><dt>a</dt><dd>one</dd></div></dl>", [("a", ":   one")]),
        ("<dl><dt><p>a</p></dt><dd><p>one</p></dd></dl>", [("a", ":   one")]),
        ("<dd>nobody's</dd>", [("", "nobody's")]),
        ("<dl><dt>alone</dt></dl>after", [("", "alone"), ("", "after")]),
        ("<ul><li>x<dl><dt>a<dd>one</dl></ul>", [("", "- x"), ("  a", "  :   one")]),
    ],
)
def test_definition_lists_as_people_write_them(html: str, found: list[tuple[str, str]]) -> None:
    assert [(header, text) for _, header, text in blocks(html)] == found


def test_lists() -> None:
    html = "<ul><li>one<p>more<li>two<ol><li>first<li>second</ol></ul><p>after"
    assert [text for _, _, text in blocks(html)] == [
        "- one",
        "  more",
        "- two",
        "  1. first",
        "  2. second",
        "after",
    ]


def test_a_table_keeps_its_header_spans_and_caption() -> None:
    html = """<table><caption>Codes</caption><thead><tr><th>code<th>part<th>what|how</thead>
        <tr><td rowspan="2">E-1<td>pump<td>worn<tr><td>motor<td>hot<br>cold<tr><td colspan="2">E-2<td></table>"""
    header = "| code | part | what\\|how |\n| --- | --- | --- |"
    assert blocks(html) == [
        ("caption", "", "Codes"),
        ("table", header, "| E-1 | pump | worn |"),
        ("table", header, "| E-1 | motor | hot cold |"),
        ("table", header, "| E-2 |  |  |"),
    ]


def test_a_table_for_layout_is_read_cell_by_cell() -> None:
    html = "<table><tr><td>menu<td><h2>Title</h2><p>Text.<table><tr><td>1<td>2</table>End</table>"
    assert [(kind, text) for kind, _, text in blocks(html)] == [
        ("paragraph", "menu"),
        ("heading", "Title"),
        ("paragraph", "Text."),
        ("table", "| 1 | 2 |"),
        ("paragraph", "End"),
    ]


def test_what_is_no_text_of_the_page_is_left_out() -> None:
    html = """<?xml version="1.0" encoding="UTF-8"?><!DOCTYPE html><html xmlns="http://www.w3.org/1999/xhtml">
        <head><title>The <i>title</i></title><style>p{}</style></head><body><nav>Home</nav>
        <div class="navheader">Next</div>
        <div class="toc"><ul><li>1. One</ul></div><script>var x = "<p>no</p>"</script><p hidden>no</p>
        <h1>The title<a class="headerlink" href="#x">¶</a></h1>
        <p>See <a href="x">the <em>page</em></a> of <b>a</b>&nbsp;&amp; b.<!-- no --></p></body></html>"""
    document = read_html(html)
    assert document.title == "The <i>title</i>"
    assert document.blocks == [Block("The title", "heading", 1), Block("See the page of a & b.")]


def test_a_box_does_not_change_the_path_of_headings() -> None:
    html = "<h2>Options</h2><div class='note'><h3>Note</h3><p>Be careful.</p></div><p>Go on.</p>"
    assert [(kind, text) for kind, _, text in blocks(html)] == [
        ("heading", "Options"),
        ("caption", "Note:"),
        ("paragraph", "Be careful."),
        ("paragraph", "Go on."),
    ]


def test_code_stands_in_backquotes() -> None:
    assert blocks("<p>Set <code>core.<var>name</var></code> and <kbd>a`b</kbd>.</p>") == [
        ("paragraph", "", "Set `core.name` and ``a`b``."),
    ]
    assert blocks('<pre class="language-sh"><code>```\nx</code></pre>') == [("code", "", "~~~sh\n```\nx\n~~~")]


@pytest.mark.parametrize(
    "part",
    ["<p>x", "<li>x", "<div>x", "<dt>x<dd>y", "<ul><li>x", "<table><tr><td>x", "<font><p>x", "<b>x", "<blockquote>x"],
)
def test_unclosed_elements_lose_nothing(part: str) -> None:
    read = " ".join(f"{block.header} {block.text}" for block in read_html(part * 5000 + "end").blocks)
    assert read.count("x") >= 5000 if "dt" not in part else read.count("y") == 5000
    assert read.rstrip().endswith("end")


@pytest.mark.parametrize("part", ["<![foo", "<a ", "<", "&#", "<!--", "<a href='", "</p>", "<!DOCTYPE ", "<?x "])
def test_what_is_no_html_ends(part: str) -> None:
    started = time.process_time()
    read_html(part * 100_000)
    read_html(f"<p>kept</p>{part}")
    assert time.process_time() - started < 60  # html.parser took minutes
    assert "kept" in read_html(f"<p>kept</p>{part}").blocks[0].text


def test_empty_pages() -> None:
    for html in ("", "  \n", "<!-- only -->", "<html></html>"):
        assert read_html(html).blocks == []
