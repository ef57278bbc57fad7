"""``lsb-rag evaluate`` and ``lsb-rag make-tasks``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InvalidInputError
from .options import AsJson, Backbone, Collection, Db, database, open_store, print_json

if TYPE_CHECKING:
    from ..evaluation import Dataset
    from ..store import PassageStore


def evaluate(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="'demo'; a BEIR folder; or a .jsonl of question, reference_ids (reference, kind) about a collection.",
        ),
    ],
    arms: Annotated[str, typer.Option(help="Arms to compare, by commas; 'default' or 'all'.")] = "default",
    k: Annotated[int, typer.Option("-k", "--k", min=1, help="Passages to retrieve for each question.")] = 10,
    kinds: Annotated[str, typer.Option(help="Kinds of questions, by commas. Default: all there are.")] = "",
    limit: Annotated[int, typer.Option(min=0, help="Questions of each kind, drawn by the seed; 0: all.")] = 0,
    seed: Annotated[int, typer.Option(help="Draws the questions, the intervals and the p-values.")] = 0,
    collection: Collection = None,
    db: Db = None,
    backbone: Backbone = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for summary.json, rows.jsonl, config.json, report.md.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure retrievers on your own questions, against vanilla dense retrieval, with intervals and p-values.

    Example: lsb-rag evaluate my-questions.jsonl --collection manuals --arms vanilla,bm25,hybrid,lsb --out report
    """
    from ..console import err, plain, show_evaluation, steps_progress
    from ..console import out as terminal
    from ..evaluation import ALL_ARMS, ARMS, headline, summary, write_report
    from ..evaluation import evaluate as run
    from ..evaluation.arms import checked_arms
    from ..evaluation.summary import notes, report_folder

    chosen = {"default": list(ARMS), "all": [arm for arm in ALL_ARMS if arm != "lsb-product"]}
    names = checked_arms(chosen.get(arms) or _listed(arms))
    store, dataset = _open_data(data, collection, db, backbone)
    dataset = dataset.limited(limit, seed, _listed(kinds))
    if out is not None:
        report_folder(out)  # before a long run
    with steps_progress("Evaluating") as step:
        evaluation = run(store, dataset, arms=names, k=k, seed=seed, progress=step)
    if out is not None:
        write_report(evaluation, store, out)
    if as_json:
        print_json(summary(evaluation))
        return
    terminal.print(plain(headline(evaluation), "bold"), soft_wrap=True)
    for note in notes(evaluation):
        terminal.print(plain(note))
    terminal.print()
    show_evaluation(terminal, evaluation)
    if out is not None:
        err.print(f"The report is in {out}.", soft_wrap=True)


def make_tasks(
    corpus: Annotated[Path, typer.Argument(help="A folder of .txt, .md, .html; a .jsonl corpus; or a BEIR folder.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="New folder to write, in BEIR layout.")],
    n: Annotated[int, typer.Option("-n", min=1, help="Queries of each kind, at most.")] = 300,
    seed: Annotated[int, typer.Option(help="Draws passages, terms and spans.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Draw the paper's tasks from a corpus: keyword queries, and parts of passages of 16 to 256 tokens.

    Example: lsb-rag make-tasks docs/ --out tasks && lsb-rag evaluate tasks
    """
    from ..console import err
    from ..evaluation import draw_tasks, write_beir
    from ..reading import read_passages

    passages = read_passages(corpus)
    tasks = draw_tasks(passages, n, seed)
    write_beir(tasks, passages, out)
    counts = {kind: sum(query.kind == kind for query in tasks.queries) for kind in ("keyword", "part_of_passage")}
    if as_json:
        print_json({"folder": str(out), "passages": len(passages), **counts})
    else:
        drawn = f"{counts['keyword']} keyword and {counts['part_of_passage']} part-of-passage queries"
        err.print(f"{drawn} over {len(passages)} passages are in {out}.", soft_wrap=True)


def _listed(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


def _open_data(
    data: str, collection: str | None, db: Path | None, backbone: str | None
) -> tuple[PassageStore, Dataset]:
    """The passages to search and the questions to ask; a corpus that comes with its questions is indexed first."""
    from ..console import passages_progress
    from ..evaluation import read_beir, read_questions

    if data == "demo":
        from ..demo.questions import demo_dataset
        from ..demo.run import index_demo

        with passages_progress("Indexing the documentation") as progress:
            store, corpus, _ = index_demo(database(db), progress)
            store.fit(progress=progress)
        return store, demo_dataset(corpus)
    path = Path(data)
    if path.is_dir():
        dataset = read_beir(path)
        return (open_store(collection, db, backbone) if collection else _indexed(path, db, backbone)), dataset
    if path.suffix.lower() != ".jsonl":
        raise InvalidInputError(f"{data} is neither 'demo', nor a BEIR folder, nor a .jsonl file of questions.")
    return open_store(collection, db, backbone), read_questions(path)


def _indexed(folder: Path, db: Path | None, backbone: str | None) -> PassageStore:
    """The collection of a BEIR folder's corpus, indexed where that is not done yet."""
    from ..console import passages_progress
    from ..encoder import LexSemBridgeEncoder
    from ..passage import content_id
    from ..reading import read_passages
    from ..store import PassageStore

    # By its place too: two folders of one name are two corpora.
    name = f"beir-{content_id(str(folder.resolve()))[:12]}"
    passages = read_passages(folder)
    store = PassageStore(database(db), name, LexSemBridgeEncoder.open(backbone) if backbone else None)
    with passages_progress("Indexing") as progress:
        store.add(passages, progress=progress)
        current = {passage.id for passage in passages}
        store.delete([id for id in store.ids() if id not in current])
        store.fit(progress=progress)
    return store
