from __future__ import annotations

import json
from pathlib import Path

import pytest

from lsb_rag.errors import InvalidInputError, ReadError
from lsb_rag.evaluation import Dataset, Query, read_beir, read_questions


def beir(folder: Path, queries: list[dict[str, object]], qrels: str, name: str = "test.tsv") -> Path:
    (folder / "qrels").mkdir(parents=True)
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)), encoding="utf-8")
    (folder / "qrels" / name).write_text(f"query-id\tcorpus-id\tscore\n{qrels}", encoding="utf-8")
    return folder


def test_a_beir_folder(tmp_path: Path) -> None:
    queries: list[dict[str, object]] = [
        {"_id": 1, "text": "asked", "metadata": {"answers": ["yes", 4]}},
        {"_id": "2", "text": "drawn words", "metadata": {"kind": "keyword"}},
        {"_id": "3", "text": "nobody judged this"},
        {"_id": "4", "text": "judged useless"},
    ]
    found = read_beir(beir(tmp_path / "set", queries, "1\tp1\t2\n1\tp2\t0\n2\tp3\t1\n4\tp1\t0\n"))
    assert found.name == "set"
    assert list(found.queries) == [
        Query("1", "asked", "question", ("yes", "4")),
        Query("2", "drawn words", "keyword", drawn=True),
    ]
    assert found.qrels == {"1": {"p1": 2, "p2": 0}, "2": {"p3": 1}}
    assert found.left_out == 2


def test_another_split_is_read_where_it_is_the_only_one(tmp_path: Path) -> None:
    queries: list[dict[str, object]] = [{"_id": "1", "text": "asked"}]
    folder = beir(tmp_path / "set", queries, "1\tp1\t1\n", "dev.tsv")
    assert len(read_beir(folder).queries) == 1
    (folder / "qrels" / "train.tsv").write_text("")
    with pytest.raises(ReadError, match=r"test\.tsv is missing \(found dev\.tsv, train\.tsv\)"):
        read_beir(folder)


def test_questions_beside_a_collection(tmp_path: Path) -> None:
    rows = [
        {"question": "what does E-4012 mean", "reference": "blocked", "reference_ids": ["pump"]},
        {"question": "unanswerable", "reference_ids": []},
        {"question": "zx81", "reference_ids": "valve", "kind": "part number", "id": "mine"},
    ]
    path = tmp_path / "mine.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    found = read_questions(path)
    assert [query.id for query in found.queries] == ["q1", "mine"]
    assert found.queries[0].answers == ("blocked",)
    assert found.queries[1].kind == "part number"
    assert found.qrels["mine"] == {"valve": 1}
    assert found.left_out == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("not json", "line 1 is not JSON"),
        ("[1]", "not a JSON object"),
        ('{"question": 7, "reference_ids": ["a"]}', "is not a question"),
        ('{"question": "x", "reference_ids": [{}]}', "must be text"),
        ('{"question": "x", "reference_ids": true}', "must be text"),
        ('{"question": "x", "reference_ids": ["a"], "reference": NaN}', "must be text"),
        ('{"question": "x", "reference_ids": ["a"], "kind": ["b"]}', "kind must be text"),
        ("[" * 100_000, "line 1 is not JSON"),
        ('{"question": "x"}', "no question with reference_ids"),
        ("", "no question with reference_ids"),
    ],
)
def test_bad_question_files_are_refused_with_the_line(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(line, encoding="utf-8")
    with pytest.raises(ReadError, match=message) as caught:
        read_questions(path)
    assert str(caught.value).count(str(path)) == 1


def test_bad_beir_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="not a BEIR folder"):
        read_beir(tmp_path)
    queries: list[dict[str, object]] = [{"_id": "1", "text": "asked"}]
    with pytest.raises(ReadError, match=r"line 2: expected query-id"):
        read_beir(beir(tmp_path / "a", queries, "1\tp1\tmuch\n"))
    for score in ("nan", "inf", "0.5", "99999999999999999999"):
        with pytest.raises(ReadError, match=r"line 2: expected query-id, corpus-id and a whole score"):
            read_beir(beir(tmp_path / score, queries, f"1\tp1\t{score}\n"))
    with pytest.raises(ReadError, match="field larger than field limit"):
        read_beir(beir(tmp_path / "long", queries, f"1\t{'p' * 200_000}\t1\n"))
    with pytest.raises(InvalidInputError, match="'1' is given twice"):
        read_beir(beir(tmp_path / "twice", [*queries, *queries], "1\tp1\t1\n"))
    with pytest.raises(InvalidInputError, match="'all' stands for all kinds"):
        read_beir(beir(tmp_path / "all", [{**queries[0], "metadata": {"kind": "all"}}], "1\tp1\t1\n"))
    with pytest.raises(ReadError, match="no query with a relevant passage"):
        read_beir(beir(tmp_path / "b", queries, "2\tp1\t1\n"))
    with pytest.raises(ReadError, match="is not a query"):
        read_beir(beir(tmp_path / "c", [{"text": "no id"}], "1\tp1\t1\n"))
    with pytest.raises(ReadError, match="line 1 is not a query"):
        read_beir(beir(tmp_path / "e", [{"_id": "1", "text": None}], "1\tp1\t1\n"))
    folder = beir(tmp_path / "d", queries, "1\tp1\t1\n")
    (folder / "queries.jsonl").unlink()
    with pytest.raises(ReadError, match="Cannot read"):
        read_beir(folder)


def test_a_limit_draws_the_same_queries_of_each_kind(tmp_path: Path) -> None:
    queries: list[dict[str, object]] = [
        {"_id": f"{kind}{n}", "text": "x", "metadata": {"kind": kind}} for kind in ("a", "b") for n in range(20)
    ]
    qrels = "".join(f"{query['_id']}\tp\t1\n" for query in queries)
    found = read_beir(beir(tmp_path / "set", queries, qrels))
    some = found.limited(5, seed=3)
    assert [query.kind for query in some.queries] == ["a"] * 5 + ["b"] * 5
    assert some == found.limited(5, seed=3)
    assert some != found.limited(5, seed=4)
    assert set(some.qrels) == {query.id for query in some.queries}
    assert {query.kind for query in found.limited(0, kinds=["b"]).queries} == {"b"}
    with pytest.raises(ReadError, match="no queries of the kind 'c'; it has a, b"):
        found.limited(0, kinds=["c"])


def test_blank_queries_are_left_out_and_counted(tmp_path: Path) -> None:
    queries = [{"_id": "1", "text": "E-4012?"}, {"_id": "2", "text": " \t"}, {"_id": "3", "text": ""}]
    found = read_beir(beir(tmp_path / "beir", queries, "1\tp1\t1\n2\tp1\t1\n"))
    assert ([query.id for query in found.queries], found.blank) == (["1"], 2)
    path = tmp_path / "questions.jsonl"
    lines = ['{"question": " ", "reference_ids": ["a"]}', '{"question": "why?", "reference_ids": ["a"]}']
    path.write_text("\n".join(lines), "utf-8")
    assert [(one.id, one.text) for one in read_questions(path).queries] == [("q2", "why?")]
    assert read_questions(path).blank == 1


def test_a_question_is_asked_once() -> None:
    queries = [
        Query("a", "What is E-1?", answers=("a leak",)),
        Query("b", "what  is e-1?", answers=("a leak", "a hole")),
        Query("c", "What is E-1?", "keyword"),
        Query("d", "  "),
        Query("e", "judged for nothing"),
    ]
    qrels = {"a": {"p": 1, "q": 0}, "b": {"p": 2, "q": 1}, "c": {"p": 1}, "d": {"p": 1}, "e": {"p": 0}}
    found = Dataset("set", queries, qrels, left_out=2).distinct()
    answers = ("a leak", "a hole")
    assert found.queries == [
        Query("a", "What is E-1?", answers=answers),
        Query("c", "What is E-1?", "keyword", answers=answers),
    ]
    assert found.qrels == {"a": {"p": 2, "q": 1}, "c": {"p": 2, "q": 1}}
    assert (found.left_out, found.blank, found.repeated) == (3, 1, 1)
    assert found.distinct() == found


@pytest.mark.parametrize("order", [1, -1])
def test_which_way_of_writing_comes_first_does_not_matter(order: int) -> None:
    texts = ["WHAT IS E-1?", "WHAT IS E-1?", "what is e-1?", "What is E-1?"]
    queries = [Query(str(n), text) for n, text in enumerate(texts)][::order]
    qrels = {query.id: {f"p{query.id}": 1} for query in queries}
    (found,) = Dataset("set", queries, qrels).distinct().queries
    assert found.text == "What is E-1?"
    few = [query for query in queries if query.id != "3"]
    (found,) = Dataset("set", few, qrels).distinct().queries
    assert found.text == "what is e-1?"


def test_what_is_condensed_into_the_same_is_asked_once() -> None:
    queries = [Query("a", "and then?"), Query("b", "and this?"), Query("c", "why?")]
    dataset = Dataset("set", queries, {query.id: {"p": 1} for query in queries})
    asked = dataset.distinct({"a": "what does E-1 mean", "b": "What does E-1 mean", "c": "why?"})
    assert [query.id for query in asked.queries] == ["a", "c"]
    assert asked.repeated == 1
