"""``lsb-rag evaluate`` and ``lsb-rag make-tasks``."""

from __future__ import annotations

import importlib
import operator
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InvalidInputError
from .options import (
    AsJson,
    Backbone,
    Collection,
    Db,
    GeneratorChoice,
    K,
    Seed,
    database,
    evaluation_name,
    existing_model,
    open_store,
    print_json,
)

if TYPE_CHECKING:
    from ..evaluation import Dataset
    from ..store.passage_store import PassageStore

MAX_REQUESTS = 5000


def evaluate(
    data: Annotated[
        str,
        typer.Argument(
            help="'demo'; a BEIR folder; or a .jsonl of question, reference_ids (reference, kind) about a collection.",
        ),
    ],
    arms: Annotated[str, typer.Option(help="Arms to compare, by commas; 'default' or 'all'.")] = "default",
    own: Annotated[
        list[str] | None,
        typer.Option(
            "--arm",
            metavar="NAME=MODULE:OBJECT",
            help="A retriever of your own: LangChain's, LlamaIndex's, or a function of a query and k. Repeatable.",
        ),
    ] = None,
    condense: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:OBJECT",
            help="A function of the messages before a question, and the question, to one that stands alone.",
        ),
    ] = None,
    k: K = 10,
    answers: Annotated[
        bool, typer.Option("--answers", help="Answer the questions from what each arm found, and score with RAGAS.")
    ] = False,
    contexts: Annotated[int, typer.Option(min=1, help="Passages given to the generator, of those retrieved.")] = 5,
    generator: GeneratorChoice = "extractive",
    judge: Annotated[
        str,
        typer.Option(metavar="MODEL@URL", help="A model that judges answers too, at an OpenAI-compatible endpoint."),
    ] = "",
    max_requests: Annotated[
        int, typer.Option(min=0, help="HTTP requests to the judge in this run, at most; 0: no limit.")
    ] = MAX_REQUESTS,
    max_tokens: Annotated[int, typer.Option(min=0, help="Tokens the judge takes in this run, about; 0: no limit.")] = 0,
    concurrency: Annotated[int, typer.Option(min=1, help="Questions an endpoint is asked at a time.")] = 8,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for one answer of an endpoint.")] = 60.0,
    embedding: Annotated[
        str | None,
        typer.Option(
            help="A sentence-transformers model, by hub name or path, for semantic similarity.",
            callback=existing_model,
        ),
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder of what language models answered. Default: one in the user's cache.")
    ] = None,
    kinds: Annotated[str, typer.Option(help="Kinds of questions, by commas. Default: all there are.")] = "",
    limit: Annotated[int, typer.Option(min=0, help="Questions of each kind, drawn by the seed; 0: all.")] = 0,
    seed: Seed = 0,
    collection: Collection = None,
    db: Db = None,
    backbone: Backbone = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", help="Folder for report.html, .md, summary.json, rows.jsonl, config.json, run.json."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure retrievers on your own questions, against vanilla dense retrieval, with intervals and p-values.

    With --answers also what is answered from the passages each finds. A run that is cut off goes on where it stopped:
    what a language model has answered or judged is kept, and not asked again.
    """
    from .console import err, loading, plain, say, show_evaluation, steps_progress
    from .console import out as terminal

    with loading():
        from ..encoder import LexSemBridgeEncoder
        from ..evaluation import ALL_ARMS, ARMS, headline, make_judge, summary, write_report
        from ..evaluation import evaluate as run
        from ..evaluation.arms import checked_arms
        from ..evaluation.custom_arm import checked_retrievers
        from ..evaluation.ragas.judge import unreachable
        from ..evaluation.reports.files import report_folder
        from ..evaluation.reports.summary import run_costs
        from ..evaluation.reports.wording import judge_problem, notes
        from ..generation import checked_choice, make_generator

    # Mistakes are reported before the run, which may be long.
    groups = {"default": list(ARMS), "all": [arm for arm in ALL_ARMS if arm != "lsb-product"]}
    names = checked_arms(groups.get(arms) or _listed(arms))
    retrievers = checked_retrievers(_retrievers(own or []))
    standalone = _imported(condense, "--condense") if condense else None
    checked_choice(generator)
    judge_model = None
    if judge:
        judge_model = make_judge(
            judge, max_requests=max_requests, max_tokens=max_tokens, timeout=timeout, concurrency=concurrency
        )
    similarity = LexSemBridgeEncoder.open(embedding) if embedding else None
    if out is not None:
        report_folder(out)
    store, dataset = _open_data(data, collection, db, backbone)
    dataset = dataset.distinct().limited(limit, seed, _listed(kinds))
    if judge_model:
        why = unreachable(judge_model)
        if why:
            say(f"{why} What it has judged before is used; the rest stays without a value.")
    answerer = (
        make_generator(generator, store.encoder, table=store.sentences, timeout=timeout) if answers or judge else None
    )
    with steps_progress("Evaluating") as step:
        evaluation = run(
            store,
            dataset,
            arms=names,
            retrievers=retrievers,
            condense=standalone,
            k=k,
            seed=seed,
            contexts=contexts,
            generator=answerer,
            judge=judge_model,
            embedding=similarity,
            cache=cache or _cache(),
            concurrency=concurrency,
            progress=step,
        )
    if out is not None:
        with loading("Writing the report"):
            write_report(evaluation, store, out)
    if as_json:
        print_json({**summary(evaluation), **run_costs(evaluation)})
    else:
        terminal.print(plain(headline(evaluation), "bold"), soft_wrap=True)
        for note in notes(evaluation):
            terminal.print(plain(note), soft_wrap=True)
        terminal.print()
        show_evaluation(terminal, evaluation)
        if out is not None:
            say(f"The report is {out / 'report.html'}.")
    problem = judge_problem(evaluation)
    if problem:
        err.print(plain(problem, "red"), soft_wrap=True)
        raise typer.Exit(1)


def _retrievers(arms: Sequence[str]) -> dict[str, Any]:
    """Return the objects of several ``NAME=MODULE:OBJECT`` by their names."""
    found: dict[str, Any] = {}
    for arm in arms:
        name, _, place = (part.strip() for part in arm.partition("="))
        if not (name and place):
            raise InvalidInputError(
                f"--arm takes NAME=MODULE:OBJECT, such as mine=my_app.search:retriever, not {arm!r}."
            )
        if name in found:
            raise InvalidInputError(f"--arm gives the name {name!r} twice.")
        found[name] = _imported(place, "--arm")
    return found


def _imported(place: str, option: str) -> Any:
    """Return the object of ``MODULE:OBJECT``. MODULE may lie in the working directory.

    :raises InvalidInputError: When there is no such object, or its module cannot be imported.
    """
    from ..utils.secrets import redacted, without_secrets

    module, _, attribute = place.partition(":")
    if not (module.strip() and attribute.strip()):
        raise InvalidInputError(f"{option} takes MODULE:OBJECT, such as my_app.search:retriever, not {place!r}.")
    sys.path.insert(0, str(Path.cwd()))
    try:
        with redirect_stdout(sys.stderr):  # stdout is for the results
            return operator.attrgetter(attribute)(importlib.import_module(module))
    except (Exception, SystemExit) as error:  # the module is the user's
        raise InvalidInputError(f"{option} {place}: {type(error).__name__}: {redacted(error)}") from without_secrets(
            error
        )


def _cache() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("lsb-rag", appauthor=False) / "evaluation"


def make_tasks(
    corpus: Annotated[Path, typer.Argument(help="A folder of .txt, .md, .html; a .jsonl corpus; or a BEIR folder.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="New folder to write, in BEIR layout.")],
    n: Annotated[int, typer.Option("-n", min=1, help="Queries of each kind, at most.")] = 300,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Draw the paper's tasks from a corpus: keyword queries, and parts of passages of 16 to 256 tokens."""
    from .console import loading, say

    with loading("Drawing"):
        from ..evaluation import draw_tasks, write_beir
        from ..reading import read_passages

        passages = read_passages(corpus)
        tasks = draw_tasks(passages, n, seed)
        write_beir(tasks, passages, out)
    counts = {kind: sum(query.kind == kind for query in tasks.queries) for kind in ("keyword", "part_of_passage")}
    if as_json:
        print_json({"folder": str(out), "passages": len(passages), **counts})
    else:
        queries = f"{counts['keyword']} keyword and {counts['part_of_passage']} part-of-passage queries"
        say(f"{queries} over {len(passages)} passages are in {out}.")


def _listed(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


def _open_data(data: str, collection: str | None, db: str | None, backbone: str | None) -> tuple[PassageStore, Dataset]:
    """Open the passages to search and the questions to ask. A corpus with questions of its own is indexed first."""
    from ..evaluation import read_beir, read_questions
    from .console import passages_progress

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
        store = open_store(collection, db, backbone) if collection else _index_beir(path, db, backbone)
        return store, dataset
    if path.suffix.lower() != ".jsonl":
        raise InvalidInputError(f"{data} is neither 'demo', nor a BEIR folder, nor a .jsonl file of questions.")
    dataset = read_questions(path)
    return open_store(collection, db, backbone), dataset


def _index_beir(folder: Path, db: str | None, backbone: str | None) -> PassageStore:
    """Index the corpus of a BEIR folder, unless that is done already."""
    from ..encoder import LexSemBridgeEncoder
    from ..reading import read_passages
    from ..store.passage_store import PassageStore
    from .console import passages_progress

    passages = read_passages(folder)
    encoder = LexSemBridgeEncoder.open(backbone) if backbone else None
    store = PassageStore(database(db), evaluation_name(folder), encoder)
    with passages_progress("Indexing") as progress:
        store.add(passages, progress=progress)
        current = {passage.id for passage in passages}
        store.delete([id for id in store.ids() if id not in current])
        store.fit(progress=progress)
    store.encoder.forget()  # what embeds passages takes memory, and is not needed any more
    return store
