"""``lsb-rag index`` and ``lsb-rag attach``."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from .options import AsJson, Db, backbone_option, database, open_store, print_json, program

if TYPE_CHECKING:
    from ..passage import Passage
    from ..store.verification import Verification


Sentences = Annotated[
    bool,
    typer.Option("--sentences", help="Embed the sentences of all passages too. Else a passage's first search does."),
]


class Engine(str, Enum):
    """Where passages are embedded and written."""

    process = "process"
    ray = "ray"


def index(
    path: Annotated[Path, typer.Argument(help="A folder of documents, a document, a .jsonl corpus, or a BEIR folder.")],
    collection: Annotated[str, typer.Option("-c", "--collection", help="Name of the collection.")],
    db: Db = None,
    backbone: Annotated[
        str | None,
        backbone_option(
            "Backbone by hub name or path, or openai:MODEL[@URL]. Default: the collection's, else all-MiniLM-L6-v2."
        ),
    ] = None,
    units: Annotated[
        str | None, typer.Option(help="Lexical units: words, or wordpieces. Default: the collection's, else words.")
    ] = None,
    engine: Annotated[
        Engine, typer.Option(help="Who embeds and writes: this process, or workers on Ray, for a --db on a server.")
    ] = Engine.process,
    address: Annotated[
        str | None,
        typer.Option(help="Of a Ray cluster: host:port, or auto. Default: $RAY_ADDRESS, else this machine alone."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="On Ray. Default: one for each GPU, else for every four CPUs.")
    ] = None,
    sentences: Sentences = False,
    as_json: AsJson = False,
) -> None:
    """Index text: split it, embed it with the plain backbone, store it in Chroma.

    What is stored already is not embedded again, so the same command goes on after an interruption and picks up
    changed files; a file that is gone stays indexed.
    """
    from .console import files_progress, loading, passages_progress, say

    folder = database(db)
    if engine is Engine.process and (address or workers):
        raise typer.BadParameter("--address and --workers go with --engine ray.")
    with loading():
        from ..backbones.base import DEFAULT_BACKBONE
        from ..encoder import LexSemBridgeEncoder
        from ..reading import is_stored, outdated_passages, read_passages
        from ..store.client import collection_names
        from ..store.passage_store import PassageStore
        from ..store.records import distinct_passages

        if engine is Engine.ray:
            from ..distributed import check_database, index_with_ray

            check_database(folder)
        encoder = None
        if backbone or units:
            encoder = LexSemBridgeEncoder.open(backbone or DEFAULT_BACKBONE, units=cast(Any, units))
        there = PassageStore(folder, collection, encoder) if collection in collection_names(folder) else None
        encoder = there.encoder if there else encoder or LexSemBridgeEncoder(DEFAULT_BACKBONE)
    with loading("Looking for changes"):
        unchanged = there is not None and is_stored(there, path, encoder.tokenizer, encoder.max_length)
    passages: list[Passage] = []
    if not unchanged:
        # Read and check before anything is created, so that a failure leaves no empty collection behind.
        with files_progress("Reading") as reading:
            passages = read_passages(path, encoder.tokenizer, encoder.max_length, progress=reading)
        distinct_passages(passages)
    store = PassageStore(folder, collection, encoder)
    with passages_progress("Indexing") as progress:
        if engine is Engine.ray:
            with redirect_stdout(sys.stderr):  # Ray reports the death of a worker on stdout
                embedded = index_with_ray(store, passages, address=address, workers=workers, progress=progress)
        else:
            embedded = store.add(passages, progress=progress)
    removed = store.delete(outdated_passages(store, passages, None if unchanged else path))
    with passages_progress("Fitting the bridge") as progress:
        store.fit(progress=progress)
    with_sentences = 0
    if sentences:
        with passages_progress("Embedding sentences") as progress:
            with_sentences = store.embed_sentences(progress=progress)
    if as_json:
        print_json({"collection": store.name, "passages": len(store), "embedded": embedded, "removed": removed})
    else:
        done = [f"{embedded} passages embedded"]
        done += [f"the sentences of {with_sentences} embedded"] if sentences else []
        done += [f"{removed} outdated removed"] if removed else []
        say(f"{', '.join(done)}; {store.name} holds {len(store)} in {folder}.")


def attach(
    name: Annotated[str, typer.Argument(help="Name of a collection that another program filled.")],
    db: Db = None,
    backbone: Annotated[
        str | None,
        backbone_option("What embedded it, by hub name or path, or openai:MODEL[@URL]. Default: all-MiniLM-L6-v2."),
    ] = None,
    sentences: Sentences = False,
    as_json: AsJson = False,
) -> None:
    """Open a collection that is there already: verify its backbone, fit the bridge, change nothing in it.

    A few of its texts are embedded again and compared with their stored vectors. Then search, ask, explain and
    evaluate take it as any other.
    """
    from ..passage import NODE_KEY
    from .console import loading, out, passages_progress, plain

    store = open_store(name, db, backbone)
    with loading("Verifying the backbone"):
        verified = store.verification
    with passages_progress("Fitting the bridge") as progress:
        store.fit(progress=progress)
    if sentences:
        with passages_progress("Embedding sentences") as progress:
            store.embed_sentences(progress=progress)
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
    metadata = ", their metadata before the text as LlamaIndex embeds it" if llama_index else ""
    lines = [
        f"{store.name}: {found['records']} records in {store.space.name} space, none of them changed.",
        f"Backbone: {store.encoder.name}; {_evidence(verified)}.",
        f"Bridge: fitted on {found['passages']} passages{metadata}; statistics of "
        f"{store.statistics_bytes / 1e6:.1f} MB.",
    ]
    for line in lines:
        out.print(plain(line), soft_wrap=True)
    db_option = f" --db {db}" if db else ""
    out.print(plain(f'Search it: {program()} search "..." -c {store.name}{db_option}'), soft_wrap=True)


def _evidence(verified: Verification) -> str:
    """Return how the backbone of a collection was verified."""
    if verified.texts:
        return f"the lowest cosine of {verified.texts} texts embedded again is {verified.lowest_cosine:.4f}"
    if verified.by == "fingerprint":
        return "its fingerprint says so"
    return "it holds no text, so nothing vouches for that"
