"""The command line: ``lsb-rag demo | index | attach | search | ask | explain | evaluate | make-tasks |
train | adapt | info``.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from ..errors import LsbRagError
from .evaluate import evaluate, make_tasks
from .options import (
    AsJson,
    Backbone,
    Collection,
    Db,
    GeneratorChoice,
    K,
    Vanilla,
    database,
    hit_json,
    open_store,
    print_json,
    program,
)
from .training import adapt, train
from .ui import ui

INTERRUPTED = 130

app = typer.Typer(
    help="Dense retrieval that also answers keyword-heavy questions: LexSemBridge on Chroma.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.command()
def demo(
    db: Db = None,
    generator: GeneratorChoice = "extractive",
    questions: Annotated[int, typer.Option(help="How many questions to show.")] = 8,
    seed: Annotated[int, typer.Option(help="Draws the questions to show.")] = 2508,
    as_json: AsJson = False,
) -> None:
    """Ask the standard library's documentation, with and without LexSemBridge.

    Builds the corpus from the running Python's docstrings, indexes it once, shows some questions side by side and
    sums up all of them. Example: lsb-rag demo --questions 3
    """
    from ..console import err, out, passages_progress, show_evaluation, steps_progress
    from ..demo import run, show
    from ..generation import checked_choice, make_generator

    checked_choice(generator)  # before minutes of indexing
    folder = database(db)
    with passages_progress("Indexing the documentation") as progress:
        store, corpus, embedded = run.index_demo(folder, progress)
        store.fit(progress=progress)
    state = f"indexed {embedded} of them" if embedded else "all indexed before"
    err.print(f"{len(corpus)} passages of documentation, {state}: collection {store.name} in {folder}")
    with steps_progress("Answering"):
        shown = run.ask_drawn(store, corpus, make_generator(generator, store.encoder), questions, seed)
    if not as_json:
        for number, one in enumerate(shown, start=1):
            show.show_question(out, number, one)
    with steps_progress("Comparing on all questions") as step:
        evaluation = run.evaluate_all(store, corpus, step)
    if as_json:
        print_json(show.as_json(shown, evaluation))
        return
    show_evaluation(out, evaluation)
    where = f" --db {folder}" if db else ""
    ask_it = f'{program()} ask "what does check=True do in subprocess.run" -c {store.name}{where}'
    out.print(f"Ask it yourself: {ask_it}", soft_wrap=True)


@app.command()
def index(
    path: Annotated[Path, typer.Argument(help="A folder of .txt, .md, .html; a .jsonl corpus; or a BEIR folder.")],
    collection: Annotated[str, typer.Option("--collection", "-c", help="Name of the collection.")],
    db: Db = None,
    backbone: Annotated[
        str | None, typer.Option(help="Backbone by hub name or path. Default: the collection's, else all-MiniLM-L6-v2.")
    ] = None,
    units: Annotated[
        str | None, typer.Option(help="Lexical units: words, or wordpieces. Default: the collection's, else words.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Index text: split it, embed it with the plain backbone, store it in Chroma.

    What is stored already is not embedded again, so the same command goes on after an interruption and picks up
    changed files; a file that is gone stays indexed. Example: lsb-rag index docs/ --collection manuals
    """
    from ..backbone import EMBEDDED_NAME
    from ..chroma import collection_names
    from ..console import err, passages_progress
    from ..encoder import LexSemBridgeEncoder
    from ..reading import outdated_passages, read_passages
    from ..records import distinct_passages
    from ..store import PassageStore

    folder = database(db)
    encoder = LexSemBridgeEncoder.open(backbone or EMBEDDED_NAME, units=cast(Any, units)) if backbone or units else None
    if collection in collection_names(folder):
        encoder = PassageStore(folder, collection, encoder).encoder
    encoder = encoder or LexSemBridgeEncoder(EMBEDDED_NAME)
    # Read and check before anything is made: what cannot be indexed leaves no empty collection behind.
    passages = read_passages(path, encoder.tokenizer, int(encoder.model.max_seq_length or 0))
    distinct_passages(passages)
    store = PassageStore(folder, collection, encoder)
    with passages_progress("Indexing") as progress:
        embedded = store.add(passages, progress=progress)
    removed = store.delete(outdated_passages(store, passages))
    with passages_progress("Fitting the bridge") as progress:
        store.fit(progress=progress)
    if as_json:
        print_json({"collection": store.name, "passages": len(store), "embedded": embedded, "removed": removed})
    else:
        outdated = f", {removed} outdated removed" if removed else ""
        err.print(
            f"{embedded} passages embedded{outdated}; {store.name} holds {len(store)} in {folder}.", soft_wrap=True
        )


@app.command()
def attach(
    name: Annotated[str, typer.Argument(help="Name of a collection that another program filled.")],
    db: Db = None,
    backbone: Annotated[
        str | None, typer.Option(help="What embedded it, by hub name or path. Default: all-MiniLM-L6-v2.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Open a collection that is there already: verify its backbone, fit the bridge, change nothing in it.

    A few of its texts are embedded again and compared with their stored vectors. Then search, ask, explain and
    evaluate take it as any other. Example: lsb-rag attach langchain --db ./chroma_langchain_db
    """
    from ..console import out, passages_progress, plain
    from ..embedded_text import NODE_KEY

    store = open_store(name, db, backbone)
    verified = store.verification
    with passages_progress("Fitting the bridge") as progress:
        store.fit(progress=progress)
    llama_index = any(NODE_KEY in passage.metadata for passage in store.get(limit=1))
    found: dict[str, Any] = {
        "collection": store.name,
        "passages": store.bridge.statistics.n_passages,
        "records": len(store),
        "space": store.space.name,
        "backbone": store.encoder.name,
        "verified_by": verified.by,
        "verified_texts": verified.texts,
        "lowest_cosine": verified.lowest_cosine,
        "written_by_llama_index": llama_index,
        "statistics_bytes": store.statistics_bytes,
    }
    if as_json:
        print_json(found)
        return
    how = (
        f"the lowest cosine of {verified.texts} texts embedded again is {verified.lowest_cosine:.4f}"
        if verified.texts
        else "its fingerprint says so"
        if verified.by == "fingerprint"
        else "it holds no text, so nothing vouches for that"
    )
    lines = [
        f"{store.name}: {found['records']} records in {store.space.name} space, none of them changed.",
        f"Backbone: {store.encoder.name}; {how}.",
        f"Bridge: fitted on {found['passages']} passages"
        + (", their metadata before the text as LlamaIndex embeds it" if llama_index else "")
        + f"; statistics of {store.statistics_bytes / 1e6:.1f} MB.",
    ]
    for line in lines:
        out.print(plain(line), soft_wrap=True)
    out.print(
        plain(f'Search it: {program()} search "..." -c {store.name}{f" --db {db}" if db else ""}'), soft_wrap=True
    )


@app.command()
def search(
    query: Annotated[str, typer.Argument(help="What to search for.")],
    k: K = 5,
    collection: Collection = None,
    db: Db = None,
    vanilla: Vanilla = False,
    backbone: Backbone = None,
    as_json: AsJson = False,
) -> None:
    """Retrieve passages. Example: lsb-rag search "E-4012" -k 3"""
    from ..console import hits_table, out
    from ..retriever import Retriever

    store = open_store(collection, db, backbone)
    hits = Retriever(store, vanilla=vanilla).search(query, k)
    if as_json:
        print_json({"query": query, "collection": store.name, "hits": [hit_json(hit) for hit in hits]})
    else:
        out.print(hits_table(hits) if hits else f"The collection {store.name} holds no passages.")


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="What to ask.")],
    k: K = 5,
    collection: Collection = None,
    db: Db = None,
    vanilla: Vanilla = False,
    generator: GeneratorChoice = "extractive",
    backbone: Backbone = None,
    as_json: AsJson = False,
) -> None:
    """Answer a question from the passages retrieved, with citations.

    Example: lsb-rag ask "what does E-4012 mean" -k 3
    """
    from ..console import hits_table, out, plain
    from ..generation import make_generator
    from ..retriever import Retriever

    store = open_store(collection, db, backbone)
    answerer = make_generator(generator, store.encoder)
    hits = Retriever(store, vanilla=vanilla).search(question, k)
    answer = answerer.answer(question, hits)
    if as_json:
        found = {"query": question, "collection": store.name, "hits": [hit_json(hit) for hit in hits]}
        print_json({**found, "answer": answer.text, "citations": list(answer.citations)})
        return
    out.print(plain(answer.text))
    for number, id in enumerate(answer.citations, start=1):
        out.print(plain(f"[{number}] {id}", "dim"))
    out.print(hits_table(hits))


@app.command()
def explain(
    query: Annotated[str, typer.Argument(help="What to explain.")],
    passage: Annotated[
        str | None, typer.Option("--passage", "-p", help="Id of a passage whose score to explain.")
    ] = None,
    collection: Collection = None,
    db: Db = None,
    backbone: Backbone = None,
    as_json: AsJson = False,
) -> None:
    """Show which words moved the query's vector, and what each did to a passage's score.

    Example: lsb-rag explain "what does E-4012 mean" --passage manual-7
    """
    from ..console import explanation_chart, out
    from ..retriever import Retriever

    store = open_store(collection, db, backbone)
    explained = Retriever(store).explain(query, passage)
    if as_json:
        print_json({"collection": store.name, **asdict(explained)})
    else:
        out.print(explanation_chart(explained))


@app.command()
def info(db: Db = None, as_json: AsJson = False) -> None:
    """Show versions, the embedded backbone, and what the database holds."""
    from ..about import about
    from ..console import out, plain

    found = about(database(db))
    if as_json:
        print_json(asdict(found))
    else:
        for line in found.lines():
            out.print(plain(line), soft_wrap=True)


app.command()(ui)
app.command()(evaluate)
app.command(name="make-tasks")(make_tasks)
app.command()(train)
app.command()(adapt)


def main() -> None:
    """Run the command line: exit code 0 good, 1 a clear error on stderr, 2 wrong usage."""
    from ..console import err, plain

    try:
        app()
    except LsbRagError as error:
        err.print(plain(f"lsb-rag: {error}", "red"), soft_wrap=True)
        sys.exit(1)
    except SystemExit as stop:  # typer turns Ctrl-C into this exit code
        if stop.code == INTERRUPTED:
            err.print("Stopped. What was finished is kept; the same command goes on from there.")
        raise
