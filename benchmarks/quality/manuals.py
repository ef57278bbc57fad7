"""Index HTML manuals as a user would, and ask them questions that name what they are about.

    python -m benchmarks.quality.manuals QUESTIONS FOLDER ... [--db DB]

QUESTIONS has one JSON object per line: ``question``, ``pattern`` and ``and_pattern``, regular expressions that the
right passage matches, white space folded; without a pattern, no passage answers the question. Each FOLDER is indexed
into one collection, as `lsb-rag index FOLDER` does; a DB that holds it already is not filled again.

Printed are what the passages look like (orphaned definitions, headings alone, short ones), the MRR@10 of the vanilla
retriever and of LexSemBridge on the same passages, and every answer, for a reader to judge.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lsb_rag import Hit, LexSemBridgeEncoder, Passage, PassageStore, Retriever
from lsb_rag.backbones.base import DEFAULT_BACKBONE
from lsb_rag.generation import ExtractiveGenerator
from lsb_rag.reading import is_stored, outdated_passages, read_passages

RANKS = 10
CONTEXTS = 5
SHORT = 60


@dataclass(frozen=True)
class Question:
    """A question, and what its right passages match; without a pattern none is right."""

    question: str
    pattern: str = ""
    and_pattern: str = ""

    def is_answered_by(self, text: str) -> bool:
        """Whether a passage is right."""
        folded = " ".join(text.split())
        return bool(self.pattern and re.search(self.pattern, folded) and re.search(self.and_pattern, folded))


def questions(path: Path) -> list[Question]:
    """Return the questions of a file."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [Question(row["question"], row.get("pattern") or "", row.get("and_pattern") or "") for row in rows]


def index(store: PassageStore, folders: Sequence[Path]) -> None:
    """Index folders, and say how long it took."""
    encoder = store.encoder
    for folder in folders:
        start = time.perf_counter()
        if len(store) and is_stored(store, folder, encoder.tokenizer, encoder.max_length):
            print(f"{folder}: unchanged, found in {time.perf_counter() - start:.1f} s")
            continue
        passages = read_passages(folder, encoder.tokenizer, encoder.max_length)
        read = time.perf_counter() - start
        store.add(passages)
        store.delete(outdated_passages(store, passages))
        print(
            f"{folder}: {len(passages)} passages, read in {read:.1f} s, indexed in {time.perf_counter() - start:.1f} s"
        )
    store.fit()


def show_passages(passages: Sequence[Passage]) -> None:
    """Print what is wrong with passages."""
    orphans = sum(bool(re.match(r"\s*:\s", one.text)) for one in passages)
    headings = sum(bool(re.fullmatch(r"(?:#+ [^\n]*\n*)+", one.text)) for one in passages)
    short = sum(len(one.text) < SHORT for one in passages)
    share = short / len(passages)
    print(
        f"{len(passages)} passages: {orphans} orphaned definitions, {headings} headings alone, {short} under", end=" "
    )
    print(f"{SHORT} characters ({share:.2%}).")


def reciprocal_rank(question: Question, hits: Sequence[Hit]) -> float:
    """Return 1 / the rank of the first right passage, or 0."""
    ranks = (rank for rank, hit in enumerate(hits, start=1) if question.is_answered_by(hit.text))
    return 1 / next(ranks, float("inf"))


def main() -> None:
    """Index, ask and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("questions", type=Path)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--db", type=Path, help="Default: a temporary folder.")
    given = parser.parse_args()
    asked = questions(given.questions)
    with tempfile.TemporaryDirectory() as temporary:
        store = PassageStore(given.db or temporary, "manuals", LexSemBridgeEncoder(DEFAULT_BACKBONE))
        index(store, given.folders)
        show_passages(store.get())
        answerable = [one for one in asked if one.pattern]
        arms = {"vanilla": Retriever(store, vanilla=True), "LexSemBridge": Retriever(store)}
        for arm, retriever in arms.items():
            ranks = [reciprocal_rank(one, retriever.search(one.question, RANKS)) for one in answerable]
            print(f"{arm}: MRR@10 {sum(ranks) / len(ranks):.3f}, n = {len(ranks)}", [round(rank, 2) for rank in ranks])
        generator = ExtractiveGenerator(store.encoder)
        for one in asked:
            hits = arms["LexSemBridge"].search(one.question, CONTEXTS)
            answer = generator.answer(one.question, hits)
            cited = [hit.citation for hit in hits if hit.id in answer.citations]
            print(f"\n{'' if one.pattern else '(no answer) '}{one.question}\n  {answer.text}\n  {cited}", end=" ")
            print(f"confidence {answer.confidence:.2f}")


if __name__ == "__main__":
    main()
