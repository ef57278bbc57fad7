"""The command line: ``lsb-rag demo | index | search | ask | explain | info``."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from .errors import CollectionNotFoundError, LsbRagError

if TYPE_CHECKING:
    from .passage import Hit
    from .store import PassageStore

app = typer.Typer(
    help="Dense retrieval that also answers keyword-heavy questions: LexSemBridge on Chroma.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

DB_VARIABLE = "LSB_RAG_DB"
INTERRUPTED = 130

Db = Annotated[
    Path | None,
    typer.Option(
        "--db", help=f"Folder of the Chroma database. Default: ${DB_VARIABLE}, else a folder in the user's cache."
    ),
]
Collection = Annotated[
    str | None, typer.Option("--collection", "-c", help="Name of the collection. Default: the only one there is.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, and nothing else there.")]
K = Annotated[int, typer.Option("-k", min=1, help="How many passages to retrieve.")]
Backbone = Annotated[
    str | None, typer.Option(help="Backbone by hub name or path, where the collection's own cannot be found by name.")
]
Vanilla = Annotated[bool, typer.Option("--vanilla", help="Search with the backbone alone, for comparison.")]
GeneratorChoice = Annotated[
    str, typer.Option("--generator", "-g", help="extractive, smollm2 or openai:MODEL@URL (key: $OPENAI_API_KEY).")
]


def database(db: Path | None) -> Path:
    """The database folder: the option, else the environment, else the user's cache."""
    if db is not None:
        return db
    if os.environ.get(DB_VARIABLE):
        return Path(os.environ[DB_VARIABLE])
    from platformdirs import user_cache_path

    return user_cache_path("lsb-rag", appauthor=False) / "db"


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
    from .console import err, out, passages_progress, steps_progress
    from .demo import run, show
    from .generation import checked_choice, make_generator

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
        comparisons = run.compare_on_all(store, corpus, step)
    if as_json:
        _print_json(show.as_json(shown, comparisons))
        return
    show.show_summary(out, comparisons)
    where = f" --db {folder}" if db else ""
    ask_it = f'{sys.argv[0]} ask "what does check=True do in subprocess.run" -c {store.name}{where}'
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
    from .backbone import EMBEDDED_NAME
    from .chroma import collection_names
    from .console import err, passages_progress
    from .encoder import LexSemBridgeEncoder
    from .reading import outdated_passages, read_passages
    from .records import distinct_passages
    from .store import PassageStore

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
        _print_json({"collection": store.name, "passages": len(store), "embedded": embedded, "removed": removed})
    else:
        outdated = f", {removed} outdated removed" if removed else ""
        err.print(
            f"{embedded} passages embedded{outdated}; {store.name} holds {len(store)} in {folder}.", soft_wrap=True
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
    from .console import hits_table, out
    from .retriever import Retriever

    store = _open(collection, db, backbone)
    hits = Retriever(store, vanilla=vanilla).search(query, k)
    if as_json:
        _print_json({"query": query, "collection": store.name, "hits": [_hit_json(hit) for hit in hits]})
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
    from .console import hits_table, out, plain
    from .generation import make_generator
    from .retriever import Retriever

    store = _open(collection, db, backbone)
    answerer = make_generator(generator, store.encoder)
    hits = Retriever(store, vanilla=vanilla).search(question, k)
    answer = answerer.answer(question, hits)
    if as_json:
        found = {"query": question, "collection": store.name, "hits": [_hit_json(hit) for hit in hits]}
        _print_json({**found, "answer": answer.text, "citations": list(answer.citations)})
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
    from .console import explanation_chart, out
    from .retriever import Retriever

    store = _open(collection, db, backbone)
    explained = Retriever(store).explain(query, passage)
    if as_json:
        _print_json({"collection": store.name, **asdict(explained)})
    else:
        out.print(explanation_chart(explained))


@app.command()
def info(db: Db = None, as_json: AsJson = False) -> None:
    """Show versions, the embedded backbone, and what the database holds."""
    from .about import about
    from .console import out, plain

    found = about(database(db))
    if as_json:
        _print_json(asdict(found))
    else:
        for line in found.lines():
            out.print(plain(line), soft_wrap=True)


def _open(collection: str | None, db: Path | None, backbone: str | None) -> PassageStore:
    """The named collection, or the only one there is."""
    from .chroma import collection_names
    from .store import PassageStore

    folder = database(db)
    if collection is None:
        names = collection_names(folder)
        if len(names) != 1:
            there = f"holds {len(names)}: {', '.join(names)}" if names else "holds none; make one with `lsb-rag index`"
            raise CollectionNotFoundError(f"Say which collection with --collection; {folder} {there}.")
        collection = names[0]
    store = PassageStore(folder, collection, create=False)
    if backbone:
        from .encoder import LexSemBridgeEncoder

        store = PassageStore(folder, collection, LexSemBridgeEncoder.open(backbone, units=store.units), create=False)
    return store


def _hit_json(hit: Hit) -> dict[str, Any]:
    return {
        "id": hit.id,
        "score": hit.score,
        "text": hit.text,
        "title": hit.title,
        "metadata": dict(hit.metadata),
    }


def _print_json(value: dict[str, Any]) -> None:
    # Where stdout is not UTF-8, escapes keep any text printable.
    print(json.dumps(value, ensure_ascii="utf" not in (sys.stdout.encoding or "").lower()))


def main() -> None:
    """Run the command line: exit code 0 good, 1 a clear error on stderr, 2 wrong usage."""
    from .console import err, plain

    try:
        app()
    except LsbRagError as error:
        err.print(plain(f"lsb-rag: {error}", "red"), soft_wrap=True)
        sys.exit(1)
    except SystemExit as stop:  # typer turns Ctrl-C into this exit code
        if stop.code == INTERRUPTED:
            err.print("Stopped. What was finished is kept; the same command goes on from there.")
        raise


if __name__ == "__main__":
    main()
