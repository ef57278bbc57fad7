from __future__ import annotations

import os
import subprocess
import sys

import bm25s
import numpy as np
import pytest

from lsb_rag import CorpusStatistics
from lsb_rag.lexical.background_frequency import BackgroundFrequency
from lsb_rag.lexical.information import least_information
from lsb_rag.lexical.units import words
from lsb_rag.rerank import AS_TYPED, K1, SIDE_BY_SIDE, SINGLE, B, LexicalRerank

from .conftest import MANUAL

TEXTS = [passage.content for passage in MANUAL]


@pytest.fixture
def rerank() -> LexicalRerank:
    statistics = CorpusStatistics(2)
    statistics.add([words(text) for text in TEXTS], np.ones((len(TEXTS), 2)))
    return LexicalRerank(words, statistics)


@pytest.mark.parametrize("query", ["E-4012", "the valve stays open", "pump blocked inlet", "lunch at noon"])
def test_proportional_to_the_bm25_of_an_index(
    rerank: LexicalRerank, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lsb_rag.rerank.SIDE_BY_SIDE", 0)
    monkeypatch.setattr("lsb_rag.rerank.AS_TYPED", 0)
    index = bm25s.BM25(method="lucene", k1=K1, b=B)
    index.index([words(text) for text in TEXTS], show_progress=False)
    known = [unit for unit in dict.fromkeys(words(query)) if unit in index.vocab_dict]
    expected = index.get_scores(known) * (K1 + 1)  # bm25s leaves this constant out
    most = sum(rerank._statistics.idf(unit) for unit in set(words(query))) * (K1 + 1)
    most = max(most, least_information(len(TEXTS)) * (K1 + 1))
    np.testing.assert_allclose(rerank.scores(query, TEXTS), expected / most, rtol=1e-5, atol=1e-7)


def test_scores_stay_between_0_and_1_and_do_not_depend_on_the_others(rerank: LexicalRerank) -> None:
    scores = rerank.scores("E-4012 pump", TEXTS)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert rerank.scores("E-4012 pump", TEXTS[:1])[0] == scores[0]
    assert rerank.scores("pump " * 500, ["pump " * 500])[0] <= 1


def test_words_that_stand_side_by_side_count(rerank: LexicalRerank) -> None:
    apart, together = "open the valve, it stays hot", "the valve stays open, it is hot"
    scores = rerank.scores("valve stays open", [together, apart, "the open stays valve"])
    assert scores[0] > scores[1]
    weights = {unit: rerank._statistics.idf(unit) for unit in ("valve", "stays", "open")}
    least = {pair: min(weights[pair[0]], weights[pair[1]]) for pair in (("valve", "stays"), ("stays", "open"))}
    with_pairs, without = rerank.shares("valve stays open", together), rerank.shares("valve stays open", "x " + apart)
    assert with_pairs.keys() == without.keys() == weights.keys()
    assert sum(with_pairs.values()) == pytest.approx(scores[0])
    alone = rerank.scores("valve stays open", ["valve stays", "stays valve"])
    part = SIDE_BY_SIDE / (SINGLE + SIDE_BY_SIDE + AS_TYPED)
    assert alone[0] - alone[1] == pytest.approx(part * least["valve", "stays"] / sum(least.values()))
    assert rerank.scores("pump", ["pump " * 500])[0] > 0.9  # one word has no neighbour


def test_unknown_words_lower_the_share(rerank: LexicalRerank) -> None:
    assert rerank.scores("pump zzyzx", TEXTS)[0] < rerank.scores("pump", TEXTS)[0]
    assert not rerank.scores("zzyzx", TEXTS).any()
    assert not rerank.scores("?!", TEXTS).any()
    assert rerank.scores("pump", []).shape == (0,)


def test_words_as_they_were_typed_count_the_more_the_query_is_names(rerank: LexicalRerank) -> None:
    texts = ["Use -v here.", "Use -V here.", "Use `-v`, here."]
    statistics = CorpusStatistics(2)
    statistics.add([words(text) for text in texts], np.ones((3, 2)))
    typed = LexicalRerank(words, statistics, BackgroundFrequency())
    right, wrong, quoted = typed.scores("-v", texts)
    assert right == quoted > wrong
    assert typed.shares("-v", texts[0])["-v"] > typed.shares("use -v", texts[0])["-v"]
    assert typed.shares("-V", texts[1])["-V"] > 0.3
    only_names, half = (1 - sum(typed.shares(query, "Use it.").values()) for query in ("-v", "use -v"))
    assert only_names == 1 > half


def test_a_code_that_stands_nowhere_reranks_little_but_framing_words_cost_nothing() -> None:
    texts = [f"E-{code}: the valve is open." for code in range(4000, 4030)]
    statistics = CorpusStatistics(2)
    statistics.add([words(text) for text in texts], np.ones((30, 2)))
    typed = LexicalRerank(words, statistics, BackgroundFrequency())
    framed = typed.scores("since this morning E-4012 is shown", texts)
    assert framed.argmax() == 12
    assert framed.max() == pytest.approx(typed.scores("E-4012 is", texts).max(), abs=0.05)
    assert typed.scores("what does E-9999 mean", texts).max() < 0.1


def test_scripts_without_spaces_are_found_within_others() -> None:
    texts = ["\u51fa\u6c14\u6cf5\u5ea7\u5835\u585e\u3002", "\u51fa\u6c14\u6c14\u6cf5\u5ea7\u3002", "a pump"]
    statistics = CorpusStatistics(2)
    statistics.add([words(text) for text in texts], np.ones((3, 2)))
    scores = LexicalRerank(words, statistics, BackgroundFrequency()).scores("\u51fa\u6c14\u6cf5\u5ea7", texts)
    assert scores[0] > scores[1] > scores[2] == 0
    alone = LexicalRerank(words, statistics, BackgroundFrequency()).shares(texts[0][:-1], texts[0][:-1])
    assert alone[texts[0][:-1]] > 0


def test_scores_are_the_same_to_the_last_bit_in_every_process() -> None:
    program = (
        "import numpy as np; from lsb_rag import CorpusStatistics; from lsb_rag.rerank import LexicalRerank;"
        "from lsb_rag.lexical.background_frequency import BackgroundFrequency; from lsb_rag.lexical.units import words;"
        "texts = [f'valve V-{n} or part P-{n * 3 % 17} of pump 3.{n}.2 setUserName' for n in range(30)];"
        "statistics = CorpusStatistics(2); statistics.add([words(text) for text in texts], np.ones((30, 2)));"
        "rerank = LexicalRerank(words, statistics, BackgroundFrequency());"
        "print(rerank.scores('valve V-4 or part P-4 C++ 3.7.2 setUserName() max_retries', texts).tolist())"
    )
    seeds = ({**os.environ, "PYTHONHASHSEED": seed} for seed in ("1", "2", "3"))
    found = {subprocess.run([sys.executable, "-c", program], env=env, capture_output=True).stdout for env in seeds}  # noqa: S603
    assert len(found) == 1
    assert found != {b""}
