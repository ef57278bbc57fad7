from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent

import pytest

from lsb_rag.errors import MissingExtraError, ReadError
from lsb_rag.reading.formats import restructured_text
from lsb_rag.reading.formats.restructured_text import read_rst


def shown(text: str) -> str:
    return "\n".join(
        f"{'#' * block.level} {block.header}\n{block.text}".strip() for block in read_rst(dedent(text)).blocks
    )


def test_headings_lists_code_and_tables() -> None:
    document = read_rst(
        dedent(
            """
            Pumps
            =====

            Errors
            ------

            1. Clean the ``filter``.
            2. Start *again*.

            ::

                pump --start

            ====== =======
            Code   Meaning
            ====== =======
            E-4012 blocked
            ====== =======
            """
        )
    )
    assert document.title == "Pumps"
    assert [(block.kind, block.text) for block in document.blocks if block.text != "Pumps"] == [
        ("heading", "Errors"),
        ("item", "1. Clean the `filter`."),
        ("item", "2. Start again."),
        ("code", "```\npump --start\n```"),
        ("table", "| E-4012 | blocked |"),
    ]
    assert document.blocks[-1].header.startswith("| Code | Meaning |")
    assert read_rst("Only text.").title == ""


def test_what_sphinx_adds_is_kept() -> None:
    text = shown(
        """
        .. currentmodule:: pump
        .. toctree::
           :maxdepth: 2

           other

        .. py:function:: start(speed, *, \\*args)
                         start()
           :async:

           Start it, see :func:`~pump.stop`, :ref:`the list <errors>` and :doc:`more`.

           .. versionadded:: 3.2
              The *speed*.

           .. deprecated:: 3.9 Use stop.

        .. option:: --defrost <seconds>

           Warm it.

        .. code-block:: python
           :linenos:
           :emphasize-lines: 1

           pump.start()

        .. seealso:: The valve.

        .. tab:: Linux

           Text of the tab.

        .. only:: html

           Shown.
        """
    )
    for kept in (
        "`start(speed, *, *args)`",
        "`start()`",
        "Start it, see `pump.stop`, the list and more.",
        "Added in version 3.2: The speed.",
        "Deprecated since version 3.9: Use stop.",
        "--defrost <seconds>",
        "Warm it.",
        "pump.start()",
        "See also: The valve.",
        "Linux",
        "Text of the tab.",
        "Shown.",
    ):
        assert kept in text, kept
    for gone in ("toctree", "other", "linenos", "html", "async"):
        assert gone not in text, gone


def test_nothing_is_opened_and_no_complaint_is_read(tmp_path: Path) -> None:
    file = tmp_path / "file.txt"
    file.write_text("secret,one")
    text = shown(
        f"""
        Title
        ====

        .. include:: {file}
        .. literalinclude:: {file}

        .. raw:: html
           :file: {file}

        .. raw:: html

           <b>secret</b>

        .. csv-table:: None
           :file: {file}

        .. image:: {file}
           :scale: 50

        .. image:: picture.png
           :alt: The pump
        .. figure:: {file}
           :figwidth: image

           A caption.

        A `link`_ to nowhere and a |substitution|, **unclosed.
        """
    )
    assert "secret" not in text
    assert "file" not in text
    assert "The pump" in text
    assert "A caption." in text
    for complaint in ("Unknown", "ERROR", "WARNING", "System Message", "too short"):
        assert complaint not in text
    assert "nowhere and a |substitution|, **unclosed." in text


def test_what_docutils_knows_stays_as_it_was() -> None:
    from docutils.parsers.rst import directives, roles

    before = dict(directives._directives), dict(roles._roles)
    read_rst(".. pump:: x\n\n   :valve:`y`\n\n.. default-role:: code\n\n.. role:: mine\n")
    assert (directives._directives, roles._roles) == before


@pytest.mark.parametrize("text", ["a" * 20_000, "`a " * 3000 + "\n" + "`a " * 6000, ("*a " * 3000 + "\n") * 30])
def test_endless_lines_and_paragraphs_are_read_as_text(text: str) -> None:
    assert read_rst(text).blocks[0].text.startswith(text[:100].strip())


def test_long_files_are_read_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restructured_text, "MAX_CHARACTERS", 10)
    assert read_rst("**longer** than ten").blocks[0].text == "**longer** than ten"


def test_deep_nesting_is_a_sentence() -> None:
    with pytest.raises(ReadError, match=r"^The reStructuredText is nested too deeply\.$"):
        read_rst("* " * 4000 + "a")


def test_without_docutils(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "docutils.core", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'lsb-rag\[documents\]'"):
        read_rst("text")
