import pytest

from lsb_rag.lexical.coverage import Coverage

COMMON = {"what": 0.5, "does": 0.5, "mean": 0.02}.get


def background(unit: str) -> float:
    return COMMON(unit, 0.0)


def test_rare_words_count_for_more_than_common_ones():
    asked = Coverage("what does cavitation mean", background)
    assert asked.share("Cavitation harms the pump.") > 0.5 > asked.share("What does it mean?") > 0
    assert asked.share("what does cavitation mean") == pytest.approx(1)
    assert asked.share("") == 0


def test_a_word_that_no_text_holds_counts_too():
    assert Coverage("cavitation snark", background).share("cavitation") == pytest.approx(0.5)


def test_it_tells_whether_a_text_holds_the_identifiers():
    asked = Coverage("E-4012 or E-4013", background)
    assert asked.holds("E-4012, E-4013: blocked") is True
    assert asked.holds("E-4012: blocked") is None
    assert asked.holds("E-4014: blocked") is False
    assert Coverage("what is blocked", background).holds("E-4012: blocked") is None
