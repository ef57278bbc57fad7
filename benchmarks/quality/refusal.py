"""Check that answers name the right code alone, and that there is none where nothing answers.

    python -m benchmarks.quality.refusal DATA

DATA holds BEIR folders: ``identifiers`` and ``codelist`` (look-alike codes, one entry each), ``squad`` and
``cranfield``. Four things are measured with the default retriever and the extractive generator:

- codes that stand in one entry: the answer cites this entry and no other;
- codes that stand nowhere, made from those that do, and questions about something else: no answer;
- questions of squad, asked of squad and of cranfield: the second must be refused, the first not;
- a Markdown table of 120 codes in passages of several rows: the answer quotes the row of the code and no other.
"""

from __future__ import annotations

import argparse
import random
import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.progress import track

from lsb_rag import LexSemBridgeEncoder, Passage, PassageStore, Retriever
from lsb_rag.evaluation import Query, read_beir
from lsb_rag.generation import Answer, ExtractiveGenerator
from lsb_rag.lexical.units import typed_words
from lsb_rag.reading import read_passages

CONTEXTS = 5
ABOUT_OTHER_THINGS = (
    "who won the world cup in 1998?",
    "what is the capital of Australia",
    "how long do I boil an egg",
    "when was Beethoven born",
    "which planet has the most moons",
    "how do I renew my passport",
    "what is a good name for a cat",
    "why is the sky blue",
    "how many players does a cricket team have",
    "what did the court decide about the appeal",
    "how do I ask for a raise",
    "is it safe to eat raw salmon",
)
WORDINGS = ("what does {} mean", "{}", "My machine shows {} since this morning, how do I get it running again?")
PARTS = ("pump", "inlet", "outlet", "gearbox", "spindle", "door", "brake", "filter", "valve", "motor", "belt", "sensor")
STATES = ("blocked", "worn", "open", "overheated", "misaligned", "too slow", "out of range", "not calibrated")
ROWS = 120
ASKED_ROWS = 30


def questions(folder: Path) -> list[Query]:
    """Return the queries of a BEIR folder that are asked of it."""
    return [query for query in read_beir(folder).queries if query.kind == "question"]


def nowhere(names: Sequence[str], texts: Sequence[str], draw: random.Random) -> list[str]:
    """Return names like the given ones with other digits, which stand in none of the texts."""
    there = {word for text in texts for word in typed_words(text)}
    made = []
    for name in names:
        other = re.sub(r"\d", lambda _: str(draw.randrange(10)), name)
        words = [word for word in typed_words(other) if re.search(r"\d", word)]
        if words and not any(word in there for word in words) and other not in made:
            made.append(other)
    return made


def table_passages() -> tuple[list[Passage], dict[str, str]]:
    """Return the passages of a Markdown table of codes, and what each code means."""
    draw = random.Random(7)  # noqa: S311
    meanings = {f"F{number}": f"the {PARTS[number % 12]} is {draw.choice(STATES)}" for number in range(301, 301 + ROWS)}
    header = "| Code | Meaning | Level |\n|---|---|---|\n"
    rows = [f"| {code} | {meaning} | {len(meaning) % 3 + 1} |" for code, meaning in meanings.items()]
    return [Passage(header + "\n".join(rows[at : at + 12]), title="Faults") for at in range(0, ROWS, 12)], meanings


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality.refusal",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data", type=Path, metavar="DATA", help="Folder of the four BEIR folders.")
    parser.add_argument("--limit", type=int, default=500, help="Questions of squad, drawn at random.")
    parser.add_argument("--show", type=int, default=0, metavar="N", help="Print the first N failures of each kind.")
    given = parser.parse_args()
    encoder = LexSemBridgeEncoder()
    generator = ExtractiveGenerator(encoder)
    folder = Path(tempfile.mkdtemp(prefix="refusal-"))

    def store_of(name: str) -> PassageStore:
        store = PassageStore(folder, name, encoder)
        store.add(read_passages(given.data / name))
        return store

    def report(what: str, store: PassageStore, asked: Sequence[str], right: Callable[[int, Answer], bool]) -> None:
        found = Retriever(store).search_batch(asked, CONTEXTS)
        pairs = track(zip(asked, found, strict=True), what, total=len(asked))
        answers = [generator.answer(question, hits) for question, hits in pairs]
        verdicts = [right(position, answer) for position, answer in enumerate(answers)]
        print(f"| {what} | {len(asked)} | {sum(verdicts) / len(asked):.3f} |")
        wrong = [position for position, verdict in enumerate(verdicts) if not verdict]
        for position in wrong[: given.show]:
            print(f"    {asked[position]} -> {answers[position].confidence:.2f} {answers[position].text}")

    def refused(_: int, answer: Answer) -> bool:
        return answer.refused

    print("| what | n | share |\n|---|---|---|")
    draw = random.Random(0)  # noqa: S311
    for name in ("identifiers", "codelist"):
        store, dataset = store_of(name), read_beir(given.data / name)
        queries = dataset.queries
        relevant = [tuple(dataset.qrels[query.id]) for query in queries]
        texts = [query.text for query in queries]
        report(f"{name}: right entry alone", store, texts, lambda i, answer, r=relevant: answer.citations == r[i])  # type: ignore[misc]
        report(f"{name}: answerable, refused", store, texts, refused)
        bodies = [passage.text for passage in read_passages(given.data / name)]
        made = nowhere(texts, bodies, draw)
        report(f"{name}: a code that stands nowhere, refused", store, made, refused)
        report(f"{name}: about something else, refused", store, ABOUT_OTHER_THINGS, refused)
    table = PassageStore(folder, "table", encoder)
    passages, meanings = table_passages()
    table.add(passages)
    codes = draw.sample(sorted(meanings), ASKED_ROWS)
    asked = [WORDINGS[number % 3].format(code) for number, code in enumerate(codes)]

    def alone(i: int, answer: Answer) -> bool:
        return meanings[codes[i]] in answer.text and re.findall(r"F\d+", answer.text) == [codes[i]]

    report("table: right row alone", table, asked, alone)
    squad = questions(given.data / "squad")
    random.Random(0).shuffle(squad)  # noqa: S311
    texts = [query.text for query in squad[: given.limit]]
    report("squad of squad, refused", store_of("squad"), texts, refused)
    report("squad of cranfield, refused", store_of("cranfield"), texts, refused)


if __name__ == "__main__":
    main()
