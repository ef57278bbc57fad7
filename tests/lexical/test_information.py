from __future__ import annotations

import pytest

from lsb_rag import CorpusBridge, CorpusStatistics, LexSemBridgeEncoder, Passage, PassageStore, Retriever
from lsb_rag.lexical.background_frequency import BackgroundFrequency
from lsb_rag.lexical.information import ORDINARY_PASSAGES, PLAIN, idf, information, least_information, names

NOTHING_COMMON = BackgroundFrequency()


def test_without_a_background_it_is_the_idf() -> None:
    assert information(["a", "b", "a"], {"a": 3}, 10) == {"a": idf(3, 10), "b": idf(0, 10)}


def test_plain_words_count_less_and_nothing_where_no_passage_holds_them() -> None:
    found = information(["pump", "morning", "e-4012", "4999"], {"pump": 2, "e-4012": 2}, 10, NOTHING_COMMON)
    assert found == {"pump": PLAIN * idf(2, 10), "morning": 0.0, "e-4012": idf(2, 10), "4999": idf(0, 10)}


def test_words_that_are_common_anywhere_count_less_in_small_collections(encoder: LexSemBridgeEncoder) -> None:
    background = encoder.background
    assert background is not None

    def share(unit: str, n_passages: int) -> float:
        df = {unit: n_passages // 100}
        return information([unit], df, n_passages, background)[unit] / (PLAIN * idf(df[unit], n_passages))

    assert share("tell", 300) < share("nitrate", 300) < share("kowalczyk", 300) == 1
    assert share("tell", 300) < share("tell", 3000) < share("tell", 300_000) > 0.99
    n, p = 300 + ORDINARY_PASSAGES, background("tell")
    assert share("tell", 300) == pytest.approx(idf(3 + ORDINARY_PASSAGES * p, n) / idf(3, n))


def test_names_have_digits_signs_or_capitals_within() -> None:
    units = ["nasa", "NASA", "pump", "e-4012", "4012", "c", "c++", "\u2705"]
    assert names(units) == {"nasa", "NASA", "e-4012", "4012", "c++", "\u2705"}
    found = information(["glg", "GLG"], {}, 10, NOTHING_COMMON)
    assert found == {"glg": idf(0, 10), "GLG": idf(0, 10)}  # an unknown abbreviation is a name, however folded


def test_a_query_counts_for_no_less_than_a_name_of_one_passage() -> None:
    assert least_information(300) == PLAIN * idf(1, 300)


def test_an_encoder_gives_its_background_to_a_bridge_over_words(encoder: LexSemBridgeEncoder) -> None:
    bridge = CorpusBridge(CorpusStatistics(encoder.dimension))
    LexSemBridgeEncoder(encoder.model, bridge=bridge)
    assert bridge.units == "words"
    assert bridge.background is not None
    assert bridge.background("the") > 0
    pieces = CorpusBridge(CorpusStatistics(encoder.dimension))
    LexSemBridgeEncoder(encoder.model, units="wordpieces", bridge=pieces)
    assert pieces.background is None


@pytest.mark.parametrize(
    "wording",
    [
        "what does {} mean",
        "what is the meaning of the error code {}?",
        "My machine shows {} since this morning, how do I get it running again?",
    ],
)
def test_a_code_is_found_however_the_question_is_put(wording: str, encoder: LexSemBridgeEncoder) -> None:
    things, states = ("inlet", "outlet", "gearbox", "drain", "fan"), ("blocked", "worn", "open")
    store = PassageStore.in_memory(encoder)
    store.add(
        [
            Passage(f"E-{code}: the {things[code % 5]} is {states[code % 3]}. Call service.", id=str(code))
            for code in range(4000, 4060)
        ]
    )
    for rerank in (None, 0):
        asked = [wording.format(f"E-{code}") for code in range(4000, 4060, 6)]
        hits = Retriever(store, rerank=rerank).search_batch(asked, 1)
        assert [hit[0].id for hit in hits] == [str(code) for code in range(4000, 4060, 6)]
    nowhere = Retriever(store).search_batch([wording.format(f"E-{code}") for code in range(4300, 4310)], 1)
    assert max(hits[0].lexical for hits in nowhere) <= 0.3
