from __future__ import annotations

import time
from textwrap import dedent

import pytest

from lsb_rag.reading.formats.source_code import LANGUAGES, read_source_code

SAMPLES = {
    "python": '''
        """A module.

        class NotOne:
        """
        import os

        LIMIT = 5

        # Above it.
        @cache
        def first(a):
            return a

        print(first(LIMIT))

        class Second:
            """Docs."""

            async def method(self):
                pass
        ''',
    "javascript": """
        import x from "y";

        /** Adds. */
        export async function first(a) {
          if (a) {
            return 1;
          }
        }

        const second = (a) => {
          return a;
        };
        """,
    "typescript": "export interface first<T> {\n  a: T;\n}\nexport const second = async (a: T): Promise<T> => {\n};\n",
    "java": """
        package a.b;

        /** Docs: class of pumps. */
        @Service
        public final class first extends Base {
            private int n;
        }

        interface second {
        }
        """,
    "go": "package main\n\n// first does.\nfunc first(a int) {\n}\n\nfunc (s *Server) second() {\n}\n",
    "rust": "use a::b;\n\n/// Docs.\n#[derive(Debug)]\npub struct first {\n}\n\npub(crate) async fn second<T>() {\n}\n",
    "c": "#include <a.h>\n\n/*\ntype of thing is\n*/\nstatic int *first(int a, char *b)\n{\n}\n\nstruct second {\n};\n",
    "cpp": "namespace first {\n}\n\nvoid Pump::second(int a) const {\n}\n",
    "csharp": "public record first(int A);\npublic partial class first\n{\n}\n\ninternal enum second\n{\n}\n",
    "ruby": "class first < Base\nend\n\ndef second\nend\n",
    "php": "<?php\nfinal class first extends Base {\n}\n\nfunction second($a) {\n}\n",
    "bash": "#!/bin/sh\nfirst() {\n  ls\n}\n\nfunction second {\n  ls\n}\n",
    "sql": "-- A\nCREATE TABLE IF NOT EXISTS first (\n  id int\n);\n\ncreate or replace view second as\nselect 1;\n",
    "kotlin": "data class first(val a: Int)\n\nfun second(a: Int): Int {\n}\n",
    "swift": "public struct first: View {\n}\n\nfunc second(_ a: Int) -> Int {\n}\n",
    "scala": "case class first(a: Int)\n\nobject second {\n}\n",
    "lua": "local function first(a)\nend\n\nsecond = function(a)\nend\n",
    "perl": "package X;\nsub first {\n}\n\nsub second {\n}\n",
    "r": "first <- function(a) {\n}\n\nsecond = function(b) {\n}\n",
    "julia": "function first(a)\nend\n\nstruct second\nend\n",
    "yaml": "version: 1\nfirst:\n  a: 1\nname: x\nsecond:\n- a\n",
    "toml": "name = 1\n[first]\na = 1\n[[second]]\nb = 2\n",
    "ini": "; note\n[first]\na = 1\n[second]\nb = 2\n",
    "protobuf": 'syntax = "proto3";\n\n// Docs.\nmessage first {\n}\n\nservice second {\n}\n',
}


def names(text: str, language: str) -> list[str]:
    blocks = read_source_code(text, language).blocks
    return [block.text for block in blocks if block.kind == "heading"]


@pytest.mark.parametrize("language", SAMPLES)
def test_what_is_defined_stands_under_its_name_and_nothing_is_lost(language: str) -> None:
    text = dedent(SAMPLES[language])
    blocks = read_source_code(text, language).blocks
    found = [name.rpartition("::")[2] for name in names(text, language)]
    assert [name for name in found if name != "Second"][:2] == (
        ["first"] if language == "python" else ["first", "second"]
    )
    code = [block.text for block in blocks if block.kind == "code"]
    assert all(one.startswith(f"```{language}\n") and one.endswith("\n```") for one in code)
    kept = [line for one in code for line in one.split("\n")[1:-1] if line.strip()]
    assert kept == [line.rstrip() for line in text.split("\n") if line.strip()]


def test_comments_and_decorators_stay_with_what_follows_them() -> None:
    blocks = read_source_code(dedent(SAMPLES["python"]), "python").blocks
    kinds = [(block.kind, block.text.split("\n")[1 if block.kind == "code" else 0]) for block in blocks]
    assert kinds == [
        ("code", '"""A module.'),
        ("heading", "first"),
        ("code", "# Above it."),
        ("code", "print(first(LIMIT))"),
        ("heading", "Second"),
        ("code", "class Second:"),
    ]


def test_a_long_class_is_cut_at_its_methods() -> None:
    body = "        self.total += 1\n" * 50
    text = f"class Pump:\n    '''Docs.'''\n\n    def start(self):\n{body}\n    # Careful.\n    def stop(self):\n{body}"
    headings = [
        (block.level, block.text) for block in read_source_code(text, "python").blocks if block.kind == "heading"
    ]
    assert headings == [(1, "Pump"), (2, "start"), (2, "stop")]
    java = (
        "class Pump {\n    public void start(int a) {\n"
        + "        run();\n" * 150
        + "    }\n\n    int stop() {\n    }\n}\n"
    )
    assert names(java, "java") == ["Pump", "start", "stop"]


def test_terraform_and_a_fence_within_code() -> None:
    assert names('resource "aws_instance" "web" {\n  a = 1\n}\n', "terraform") == ['resource "aws_instance" "web"']
    assert read_source_code("a = '''\n```\n'''\n", "python").blocks[0].text.startswith("~~~python")


def test_every_suffix_is_read() -> None:
    for language in {*LANGUAGES.values(), ""}:
        assert read_source_code("a = 1\n\n", language).blocks[0].text == f"```{language}\na = 1\n```"
        assert read_source_code("", language).blocks == []


@pytest.mark.parametrize(
    "line",
    [
        "int " * 400,
        "a " * 900,
        "( " * 900,
        "x = (" + "a" * 1900,
        "# a",
        "def f():",
        '"""',
        "/*",
        "a:" * 900,
        "{" * 5000,
    ],
)
def test_no_line_takes_long(line: str) -> None:
    text = f"{line}\n" * 500
    begin = time.perf_counter()
    for language in ("python", "c", "javascript", "java", "sql", "yaml", "terraform", "go"):
        read_source_code(text, language)
    assert time.perf_counter() - begin < 5
