"""Fit the confidence of passages and of answers on questions with and without an answer, and check it on others.

    python -m benchmarks.quality.confidence DATA

DATA holds BEIR folders: ``squad``, ``cranfield``, ``identifiers`` and ``codelist``. Fitted are the logistic regressions
of :mod:`lsb_rag.confidence`, on questions of squad that the other benchmarks do not report: asked of squad, asked of
squad with their relevant passage taken away, and asked of the other three; and on the codes of identifiers and
codelist, as they are and with other digits. A passage is right when it is relevant. An answer is right when it holds
the reference, or cites the entry of the code. Checked are other questions of squad in the same ways, and cranfield,
which nothing was fitted on.

scikit-learn fits; it is installed with sentence-transformers.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.progress import track
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from benchmarks.quality.answers import present
from benchmarks.quality.refusal import nowhere, questions
from lsb_rag import Hit, LexSemBridgeEncoder, PassageStore, Retriever, confidence
from lsb_rag.confidence import Calibration
from lsb_rag.evaluation import Query, read_beir
from lsb_rag.generation import ExtractiveGenerator, extractive
from lsb_rag.reading import read_passages

CONTEXTS = 5
HEADER = (
    "| checked on | n | mean confidence | right | calibration error | AUC | 5 to 95 % |\n|---|---|---|---|---|---|---|"
)
REPORTED = 500
"""Questions of squad that other benchmarks report, drawn with the same seed."""


@dataclass(frozen=True)
class Seen:
    """What a calibration was given."""

    cosine: float
    coverage: float
    holds: bool | None

    @property
    def row(self) -> list[float]:
        """As the columns of the regression."""
        return [self.cosine, self.coverage, float(self.holds is True), float(self.holds is False)]


class Recorder:
    """Takes the place of a calibration and keeps what it is given."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []

    def __call__(self, cosine: float, coverage: float, holds: bool | None) -> float:
        """Keep it."""
        self.seen.append(Seen(cosine, coverage, holds))
        return 1.0


@dataclass
class Group:
    """Questions asked of one collection.

    :param relevant: Ids of the relevant passages of each question; empty where nothing answers.
    :param answers: The reference answers of each question; empty where the citation tells.
    :param without: Whether the relevant passages are taken away.
    """

    store: PassageStore
    questions: list[str]
    relevant: list[frozenset[str]]
    answers: list[tuple[str, ...]]
    without: bool = False

    def hits(self, *, vanilla: bool) -> list[list[Hit]]:
        """Return what is retrieved for each question."""
        retriever = Retriever(self.store, vanilla=vanilla)
        found = retriever.search_batch(self.questions, CONTEXTS + 3 * self.without)
        if self.without:
            pairs = zip(found, self.relevant, strict=True)
            found = [[hit for hit in hits if hit.id not in ids] for hits, ids in pairs]
        return [hits[:CONTEXTS] for hits in found]

    def passages(self, *, vanilla: bool) -> tuple[list[list[float]], list[bool]]:
        """Return what tells of each passage, and whether it is right."""
        recorder = Recorder()
        confidence.MODULATED = confidence.VANILLA = recorder  # type: ignore[assignment]
        rows: list[list[float]] = []
        right: list[bool] = []
        for hits, ids, question in zip(self.hits(vanilla=vanilla), self.relevant, self.questions, strict=True):
            recorder.seen.clear()
            encoder = self.store.encoder
            confidence.with_confidence(
                question, hits, modulated=not vanilla, background=encoder.background, spread=encoder.spread
            )
            rows += [seen.row for seen in recorder.seen]
            right += [hit.id in ids and not self.without for hit in hits]
        return rows, right

    def quotations(self, generator: ExtractiveGenerator, *, vanilla: bool) -> tuple[list[list[float]], list[bool]]:
        """Return what tells of each answer, and whether it is right."""
        recorder = Recorder()
        extractive.ANSWER = recorder  # type: ignore[assignment]
        rows: list[list[float]] = []
        right: list[bool] = []
        found = self.hits(vanilla=vanilla)
        for question, hits, ids, references in zip(self.questions, found, self.relevant, self.answers, strict=True):
            recorder.seen.clear()
            answer = generator.answer(question, hits)
            if recorder.seen:
                rows.append(recorder.seen[-1].row)
                said = present(answer.text, Query("", "", answers=references)) if references else None
                right.append(bool(said) if references else bool(ids & {*answer.citations}))
        return rows, right


def fitted(rows: Sequence[Sequence[float]], right: Sequence[bool]) -> Calibration:
    """Return the logistic regression."""
    model = LogisticRegression(C=100, max_iter=1000).fit(np.array(rows), np.array(right))
    cosine, coverage, held, missing = (round(float(weight), 2) for weight in model.coef_[0])
    return Calibration(cosine, coverage, held, missing, round(float(model.intercept_[0]), 2))


def described(calibration: Calibration, rows: Sequence[Sequence[float]], right: Sequence[bool]) -> str:
    """Return n, the mean of the probability, how many are right, the calibration error over ten bins, and the AUC."""
    p = np.array([calibration(row[0], row[1], True if row[2] else False if row[3] else None) for row in rows])
    y = np.array(right)
    bins = np.clip((p * 10).astype(int), 0, 9)
    error = sum(abs(p[bins == b].mean() - y[bins == b].mean()) * np.mean(bins == b) for b in set(bins.tolist()))
    auc = f"{roc_auc_score(y, p):.3f}" if 0 < y.mean() < 1 else "-"
    low, high = np.percentile(p, [5, 95])
    return f"{len(y)} | {p.mean():.3f} | {y.mean():.3f} | {error:.3f} | {auc} | {low:.3f} to {high:.3f}"


def main() -> None:
    """Fit, print the numbers to put into ``lsb_rag.confidence``, and how they do on other questions."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality.confidence",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data", type=Path, metavar="DATA", help="Folder of the BEIR folders.")
    given = parser.parse_args()
    encoder = LexSemBridgeEncoder()
    generator = ExtractiveGenerator(encoder, sentences=1, min_confidence=0)
    folder = Path(tempfile.mkdtemp(prefix="confidence-"))
    data = {name: read_beir(given.data / name) for name in ("squad", "cranfield", "identifiers", "codelist")}
    passages = {name: read_passages(given.data / name) for name in data}
    stores = {name: PassageStore(folder, name, encoder) for name in data}
    for name, store in track(stores.items(), "indexing"):
        store.add(passages[name])
    squad = questions(given.data / "squad")
    random.Random(0).shuffle(squad)  # noqa: S311
    fit_a, fit_b, check_a, check_b = squad[REPORTED:1250], squad[1250:], squad[:250], squad[250:REPORTED]

    def group(queries: Sequence[Query], of: str = "squad", *, without: bool = False) -> Group:
        relevant = [frozenset(data["squad"].qrels[one.id]) if of == "squad" else frozenset[str]() for one in queries]
        answers = [one.answers if of == "squad" else () for one in queries]
        return Group(stores[of], [one.text for one in queries], relevant, answers, without)

    def codes(name: str) -> Group:
        queries = data[name].queries
        relevant = [frozenset(data[name].qrels[one.id]) for one in queries]
        return Group(stores[name], [one.text for one in queries], relevant, [()] * len(queries))

    def other_codes(name: str) -> Group:
        texts = [one.text for one in passages[name]]
        made = nowhere([one.text for one in data[name].queries], texts, random.Random(1))  # noqa: S311
        return Group(stores[name], made, [frozenset()] * len(made), [()] * len(made))

    to_fit = [group(fit_a), group(fit_b, without=True), group(fit_a, "cranfield"), group(fit_a[:400], "identifiers")]
    to_fit += [group(fit_a[:400], "codelist")]
    to_fit += [make(name) for name in ("identifiers", "codelist") for make in (codes, other_codes)]
    cranfield = questions(given.data / "cranfield")
    of_cranfield = Group(
        stores["cranfield"],
        [one.text for one in cranfield],
        [frozenset(data["cranfield"].qrels[one.id]) for one in cranfield],
        [()] * len(cranfield),
    )
    nothing = [frozenset[str]()] * len(cranfield)
    to_check = {
        "squad": group(check_a),
        "squad, without the passage": group(check_b, without=True),
        "squad of cranfield": group(check_a + check_b, "cranfield"),
        "cranfield": of_cranfield,
        "cranfield of squad": Group(stores["squad"], of_cranfield.questions, nothing, of_cranfield.answers),
    }
    for vanilla in (False, True):
        parts = [one.passages(vanilla=vanilla) for one in track(to_fit, "passages")]
        calibration = fitted([row for rows, _ in parts for row in rows], [one for _, right in parts for one in right])
        print(f"\n{'VANILLA' if vanilla else 'MODULATED'} = {calibration}")
        print(HEADER)
        for name, one in to_check.items():
            print(f"| {name} | {described(calibration, *one.passages(vanilla=vanilla))} |")
    parts = [
        one.quotations(generator, vanilla=vanilla) for one in track(to_fit, "answers") for vanilla in (False, True)
    ]
    calibration = fitted([row for rows, _ in parts for row in rows], [one for _, right in parts for one in right])
    print(f"\nANSWER = {calibration}")
    print(HEADER)
    for name, one in to_check.items():
        print(f"| {name} | {described(calibration, *one.quotations(generator, vanilla=False))} |")


if __name__ == "__main__":
    main()
