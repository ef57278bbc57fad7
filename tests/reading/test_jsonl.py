from __future__ import annotations

import json
from pathlib import Path

from lsb_rag.reading import read_passages


def test_jsonl_and_beir_keep_their_ids(tmp_path: Path) -> None:
    rows = [
        {"_id": "d1", "title": "T", "text": "one", "metadata": {"year": 2024, "nested": {"no": 1}}},
        {"_id": 2, "text": "two"},
        {"text": "three"},
        {"_id": "blank", "text": "  "},
    ]
    (tmp_path / "corpus.jsonl").write_text("\ufeff" + "\n".join(map(json.dumps, rows)) + "\n\n", encoding="utf-8")
    for source in (tmp_path, tmp_path / "corpus.jsonl"):
        passages = read_passages(source)
        assert [p.id for p in passages[:2]] == ["d1", "2"]
        assert passages[0].content == "T\none"
        assert passages[0].metadata == {"year": 2024}
        assert len(passages) == 3
        assert len(passages[2].id) == 32


def test_odd_rows_of_jsonl(tmp_path: Path) -> None:
    rows = [
        '{"text": "a\\ud800b", "metadata": [1]}',
        '{"text": "x", "metadata": {"chroma:document": "y", "n": NaN, "k": 1}}',
    ]
    (tmp_path / "rows.JSONL").write_text("\n".join(rows))
    passages = read_passages(tmp_path / "rows.JSONL")
    assert passages[0].text == "a?b"
    assert [dict(p.metadata) for p in passages] == [{}, {"k": 1}]
