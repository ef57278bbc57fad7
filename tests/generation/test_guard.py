from __future__ import annotations

import pytest

from lsb_rag import LexSemBridgeEncoder
from lsb_rag.generation.guard import guarded, missing_identifiers, nothing_mentions, prompt_note

PASSAGES = [
    "E-4012: the inlet of the CP-240 is blocked.",
    "Article 417 is a fuse of the white series.",
    "For the gap the value is 5 mm. Type II is slow.",
    "subprocess.run(args, timeout=None) runs a command. NASA flew in 1969.",
]


@pytest.mark.parametrize(
    ("question", "missing"),
    [
        ("What does E-4012 mean?", []),
        ("What does E-4999 mean?", ["E-4999"]),
        ("What does E-4999 mean on the CP-240?", ["E-4999"]),
        ("what is article 418", ["418"]),
        ("what has the value 7 mm", ["7"]),
        ("what is type IV", ["IV"]),
        ("who flew in 1970", []),  # no passage has another number beside the same word that tells something
        ("does subprocess.run(timeout=5) raise", []),  # made of names that stand there
        ("is it blocked?", []),
    ],
)
def test_what_no_passage_holds_is_missing(encoder: LexSemBridgeEncoder, question: str, missing: list[str]) -> None:
    assert missing_identifiers(question, PASSAGES, encoder.background) == missing


def test_of_a_log_one_identifier_must_be_held(encoder: LexSemBridgeEncoder) -> None:
    log = "pid=77 host=srv-12 0x7f3a {} ERR_IO what now?"
    assert missing_identifiers(log.format("E-4012"), PASSAGES, encoder.background) == []
    assert "0x7f3a" in missing_identifiers(log.format(""), PASSAGES, encoder.background)


def test_sentences_name_all_of_them() -> None:
    assert nothing_mentions(["E-1"]) == "Nothing here mentions E-1."
    assert nothing_mentions(["E-1", "E-2", "E-3"]) == "Nothing here mentions E-1, E-2 or E-3."
    assert prompt_note([]) == ""
    assert "E-1" in prompt_note(["E-1"])


@pytest.mark.parametrize(
    ("question", "text", "kept"),
    [
        ("What does E-4012 mean?", "The inlet is blocked [1].", "The inlet is blocked [1]."),
        ("What does E-4999 mean?", "The inlet is blocked [1].", "Nothing here mentions E-4999."),
        ("What does E-4012 mean?", "It is E-4777, a fuse [1].", "Nothing here mentions E-4777."),
        ("What does E-4012 mean?", "It is no E-4777. It is blocked [1].", "It is no E-4777. It is blocked [1]."),
        ("E-4012 or E-4999?", "E-4012: blocked [1].", "E-4012: blocked [1]. Nothing here mentions E-4999."),
        ("how long may it run", "Call subprocess.run(timeout=5) [4].", "Call subprocess.run(timeout=5) [4]."),
    ],
)
def test_an_answer_about_what_no_passage_holds_is_replaced(
    encoder: LexSemBridgeEncoder, question: str, text: str, kept: str
) -> None:
    assert guarded(text, question, PASSAGES, encoder.background) == kept
