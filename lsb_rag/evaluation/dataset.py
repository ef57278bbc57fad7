"""Judged questions: from a BEIR folder, or from a JSONL file beside an indexed collection."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ..errors import InvalidInputError, ReadError
from ..utils.arguments import Natural, Seed, checked, shown
from ..utils.files import open_text
from ..utils.text import folded

Qrels = Mapping[str, Mapping[str, int]]
"""``{question id: {passage id: relevance}}``."""
DEFAULT_KIND = "question"
ALL = "all"
"""Kind that stands for the queries of all kinds together."""


ROLES: dict[str, Literal["user", "assistant"]] = {
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
}
"""Roles of messages, under the names that they may have in a file."""


@checked
@dataclass(frozen=True)
class Message:
    """A message of a conversation.

    :param role: ``user`` or ``assistant``.
    :param content: Its text.
    """

    role: Literal["user", "assistant"]
    content: str


@checked
@dataclass(frozen=True)
class Query:
    """A judged query.

    :param id: Its id in the qrels.
    :param text: Text of the query.
    :param kind: Category of the query. Results are given by kind.
    :param answers: Reference answers, any of which is right. Empty if only passages are judged.
    :param drawn: Whether a program drew it from a passage, rather than a person asking it.
    :param history: The messages before it, where it continues a conversation.
    """

    id: str
    text: str
    kind: str = DEFAULT_KIND
    answers: tuple[str, ...] = ()
    drawn: bool = False
    history: tuple[Message, ...] = ()

    @property
    def messages(self) -> list[dict[str, str]]:
        """The history as ``{"role": …, "content": …}``."""
        return [asdict(message) for message in self.history]

    @property
    def question(self) -> tuple[str, ...]:
        """The text, and the messages before it, without regard to letter case and white space; empty if it is blank."""
        texts = [*(message.content for message in self.history), self.text]
        return tuple(folded(text.casefold()) for text in texts) if self.text.strip() else ()


@checked
@dataclass(frozen=True)
class Dataset:
    """Queries with their judgements.

    :param name: Name in reports.
    :param queries: The queries that have a relevant passage.
    :param qrels: The judgements.
    :param left_out: Number of queries without a relevant passage, which cannot be evaluated.
    :param blank: Number of queries without text, which cannot be asked.
    :param repeated: Number of queries that repeated others, see :meth:`distinct`.
    :raises InvalidInputError: When two queries have the same id, or one is of the kind ``all``.
    """

    name: str
    queries: Sequence[Query]
    qrels: Qrels
    left_out: int = 0
    blank: int = 0
    repeated: int = 0

    def __post_init__(self) -> None:
        ids = [query.id for query in self.queries]
        if len(set(ids)) < len(ids):
            twice = next(id for id in ids if ids.count(id) > 1)
            raise InvalidInputError(f"{self.name}: the query id {twice!r} is given twice; ids must be unique.")
        if any(query.kind == ALL for query in self.queries):
            raise InvalidInputError(f"{self.name}: the kind {ALL!r} stands for all kinds together; name it otherwise.")

    def relevant(self, id: str) -> list[str]:
        """Return the ids of the passages that are relevant to a query.

        :raises InvalidInputError: For a query that is not judged.
        """
        if id not in self.qrels:
            raise InvalidInputError(f"{self.name} judges no query {shown(id)}.")
        return [passage for passage, score in self.qrels[id].items() if score > 0]

    def distinct(self, texts: Mapping[str, str] | None = None) -> Dataset:
        """Return a dataset in which each question that can be evaluated is asked once in each kind.

        Queries are the same question where letter case and white space alone differ; which of them comes first does
        not matter. What is judged relevant for one of them is relevant for the question, and the reference of one is a
        reference of the question.

        :param texts: ``{query id: question}``: what is asked in place of queries and the messages before them.
        """
        asked: dict[tuple[str, ...], list[Query]] = {}
        for query in self.queries:
            question = query.question if texts is None else (folded(texts[query.id].casefold()),)
            if query.question:
                asked.setdefault(question, []).append(query)
        queries: dict[str, Query] = {}
        qrels, left_out = {}, 0
        for same in asked.values():
            judged: dict[str, int] = {}
            for query in same:
                for id, score in self.qrels.get(query.id, {}).items():
                    judged[id] = max(score, judged.get(id, score))
            if not any(score > 0 for score in judged.values()):
                left_out += len(same)
                continue
            answers = tuple(dict.fromkeys(answer for query in same for answer in query.answers))
            for kind in dict.fromkeys(query.kind for query in same):
                of_kind = [query for query in same if query.kind == kind]
                asked_as = _usual_text(same) if texts is None else of_kind[0].text
                first = next((query for query in of_kind if query.text == asked_as), of_kind[0])
                drawn = all(query.drawn for query in of_kind)
                queries[first.id] = replace(first, text=asked_as, answers=answers, drawn=drawn)
                qrels[first.id] = judged
        in_order = [queries[query.id] for query in self.queries if query.id in queries]
        blank = sum(not query.question for query in self.queries)
        return replace(
            self,
            queries=in_order,
            qrels=qrels,
            left_out=self.left_out + left_out,
            blank=self.blank + blank,
            repeated=self.repeated + len(self.queries) - len(in_order) - left_out - blank,
        )

    def limited(self, limit: Natural, seed: Seed = 0, kinds: Sequence[str] = ()) -> Dataset:
        """Return a dataset of at most `limit` queries of each kind, drawn at random.

        :param limit: 0 keeps all queries.
        :param seed: Seed of the draw.
        :param kinds: Kinds to keep; empty keeps all.
        :raises ReadError: For a kind that no query has.
        """
        import random

        present = list(dict.fromkeys(query.kind for query in self.queries))
        unknown = [kind for kind in kinds if kind not in present]
        if unknown:
            raise ReadError(f"{self.name} has no queries of the kind {unknown[0]!r}; it has {', '.join(present)}.")
        kept: list[Query] = []
        for kind in kinds or present:
            of_kind = [query for query in self.queries if query.kind == kind]
            if limit and len(of_kind) > limit:
                of_kind = random.Random(seed).sample(of_kind, limit)  # noqa: S311 - a reproducible draw
            kept += of_kind
        return replace(self, queries=kept, qrels={query.id: self.qrels[query.id] for query in kept})


def _usual_text(queries: Sequence[Query]) -> str:
    """Return the text of queries that differ in letter case and white space alone.

    It is one with capitals and small letters, or else one in small letters; of these, the one that most queries have.
    """
    times = Counter(query.text for query in queries)
    return max(times, key=lambda text: (not (text.isupper() or text.islower()), text.islower(), times[text], text))


MAX_RELEVANCE = 1000
"""Highest relevance that a qrels file may give."""
DRAWN_KINDS = ("keyword", "part_of_passage")
"""Kinds of query that a program drew, unless ``metadata.drawn`` says otherwise."""


@checked
def read_beir(folder: str | Path) -> Dataset:
    """Read the queries of a folder in BEIR layout: ``queries.jsonl`` and ``qrels/*.tsv``.

    Of several qrels files, ``test.tsv`` is read. ``metadata.kind``, ``metadata.answers`` and ``metadata.history`` of a
    query are used if present. Blank queries are left out and counted.

    :raises ReadError: When a file is missing or a line cannot be read.
    """
    root = Path(folder)
    qrels: dict[str, dict[str, int]] = {}
    for row in _read_tsv(_qrels_file(root)):
        qrels.setdefault(row["query-id"], {})[row["corpus-id"]] = int(float(row["score"]))
    queries, left_out, blank = [], 0, 0
    for where, row in _read_jsonl(root / "queries.jsonl"):
        if "_id" not in row or not isinstance(row.get("text"), str):
            raise ReadError(f'{where} is not a query: each line needs "_id" and "text".')
        if not row["text"].strip():
            blank += 1
            continue
        id = str(row["_id"])
        if not any(score > 0 for score in qrels.get(id, {}).values()):
            left_out += 1
            continue
        given = row.get("metadata")
        metadata: dict[str, Any] = given if isinstance(given, dict) else {}
        kind = _kind(metadata, where)
        drawn = bool(metadata.get("drawn", kind in DRAWN_KINDS))
        answers, history = _strings(metadata.get("answers"), where), _history(metadata.get("history"), where)
        queries.append(Query(id, row["text"], kind, answers, drawn, history))
    if not queries:
        raise ReadError(f"{root} has no query with a relevant passage.")
    return Dataset(root.resolve().name, queries, {query.id: qrels[query.id] for query in queries}, left_out, blank)


@checked
def read_questions(path: str | Path) -> Dataset:
    """Read the questions of a JSONL file.

    Each line has ``question`` and ``reference_ids``, and optionally ``reference``, ``kind``, ``id`` and
    ``history``, the messages before it as ``{"role": "user" | "assistant", "content": …}``. Blank questions are left
    out and counted.

    :raises ReadError: When the file is missing or a line cannot be read.
    """
    queries: list[Query] = []
    qrels: dict[str, dict[str, int]] = {}
    left_out = blank = 0
    for where, row in _read_jsonl(Path(path)):
        if not isinstance(row.get("question"), str):
            raise ReadError(f'{where} is not a question: each line needs "question" and "reference_ids".')
        if not row["question"].strip():
            blank += 1
            continue
        ids = _strings(row.get("reference_ids"), where)
        if not ids:
            left_out += 1
            continue
        id = str(row.get("id") or f"q{len(queries) + left_out + blank + 1}")
        if id in qrels:
            raise ReadError(f"{where}: the id {id!r} is given twice; rows without an id are q1, q2, … by their place.")
        kind = _kind(row, where)
        answers, history = _strings(row.get("reference"), where), _history(row.get("history"), where)
        queries.append(Query(id, row["question"], kind, answers, history=history))
        qrels[id] = dict.fromkeys(ids, 1)
    if not queries:
        raise ReadError(f"{path} has no question with reference_ids and a text.")
    return Dataset(Path(path).stem, queries, qrels, left_out, blank)


def _kind(row: Mapping[str, Any], where: str) -> str:
    kind = row.get("kind") or DEFAULT_KIND
    if not isinstance(kind, str):
        raise ReadError(f"{where}: the kind must be text.")
    return kind


def _history(value: object, where: str) -> tuple[Message, ...]:
    messages: Any = value or ()
    try:
        return tuple(Message(ROLES[message["role"]], message["content"]) for message in messages)
    except (KeyError, TypeError, ValueError):
        raise ReadError(
            f'{where}: the history must be a list of messages, each {{"role": "user" or "assistant", "content": text}}.'
        ) from None


def _strings(value: object, where: str) -> tuple[str, ...]:
    if isinstance(value, list):
        values = value
    elif value in (None, ""):
        values = []
    else:
        values = [value]
    if not all(map(_is_text_or_number, values)):
        raise ReadError(f"{where}: references must be text, or a list of texts.")
    return tuple(str(one) for one in values)


def _is_text_or_number(value: object) -> bool:
    is_nan = value != value
    return isinstance(value, str | int | float) and not isinstance(value, bool) and not is_nan


def _qrels_file(root: Path) -> Path:
    files = sorted((root / "qrels").glob("*.tsv"))
    preferred = root / "qrels" / "test.tsv"
    if preferred in files:
        return preferred
    if len(files) != 1:
        found = ", ".join(file.name for file in files) or "none"
        raise ReadError(f"{root} is not a BEIR folder to evaluate: qrels/test.tsv is missing (found {found}).")
    return files[0]


def _read_tsv(path: Path) -> Iterator[dict[str, str]]:
    try:
        with open_text(path) as lines:
            for number, row in enumerate(csv.DictReader(lines, delimiter="\t"), start=2):
                try:
                    if abs(float(row["score"])) > MAX_RELEVANCE or float(row["score"]) % 1:
                        raise ValueError
                    yield {key: row[key] for key in ("query-id", "corpus-id", "score")}
                except (KeyError, TypeError, ValueError):
                    raise ReadError(
                        f"{path}, line {number}: expected query-id, corpus-id and a whole score up to {MAX_RELEVANCE}."
                    ) from None
    except ReadError:
        raise
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ReadError(f"Cannot read {path}: {error}") from error


def _read_jsonl(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        with open_text(path) as lines:
            for number, line in enumerate(lines, start=1):
                where = f"{path}, line {number}"
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise ReadError(f"{where} is not JSON: {error}") from error
                if not isinstance(row, dict):
                    raise ReadError(f"{where} is not a JSON object.")
                yield where, row
    except ReadError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise ReadError(f"Cannot read {path}: {error}") from error
