"""``lsb-rag search``, ``ask`` and ``explain``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from .options import (
    AsJson,
    Backbone,
    Collection,
    Db,
    GeneratorChoice,
    K,
    MinConfidence,
    Vanilla,
    hit_json,
    open_store,
    print_json,
)


def search(
    query: Annotated[str, typer.Argument(help="What to search for.")],
    k: K = 5,
    collection: Collection = None,
    db: Db = None,
    vanilla: Vanilla = False,
    min_confidence: MinConfidence = 0.0,
    backbone: Backbone = None,
    as_json: AsJson = False,
) -> None:
    """Retrieve passages for a question, or for a few words."""
    from ..retriever import Retriever
    from .console import hits_table, out

    store = open_store(collection, db, backbone)
    hits = Retriever(store, vanilla=vanilla, min_confidence=min_confidence).search(query, k)
    if as_json:
        print_json({"query": query, "collection": store.name, "hits": [hit_json(hit) for hit in hits]})
    else:
        none = "No passage has this confidence." if len(store) else f"The collection {store.name} holds no passages."
        out.print(hits_table(hits) if hits else none)


def ask(
    question: Annotated[str, typer.Argument(help="What to ask.")],
    k: K = 5,
    collection: Collection = None,
    db: Db = None,
    vanilla: Vanilla = False,
    min_confidence: MinConfidence = 0.0,
    generator: GeneratorChoice = "extractive",
    backbone: Backbone = None,
    as_json: AsJson = False,
) -> None:
    """Answer a question from the passages retrieved, with citations."""
    from ..generation import make_generator
    from ..retriever import Retriever
    from .console import citations, hits_table, loading, out, plain

    store = open_store(collection, db, backbone)
    answerer = make_generator(generator, store.encoder, table=store.sentences)
    hits = Retriever(store, vanilla=vanilla, min_confidence=min_confidence).search(question, k)
    with loading("Answering"):
        answer = answerer.answer(question, hits)
    if as_json:
        result = {
            "query": question,
            "collection": store.name,
            "hits": [hit_json(hit) for hit in hits],
            "answer": answer.text,
            "citations": list(answer.citations),
            "confidence": answer.confidence,
            "nearest": asdict(answer.nearest) if answer.nearest else None,
        }
        print_json(result)
        return
    out.print(plain(answer.text))
    for line in citations(answer.citations, hits):
        out.print(line)
    if answer.nearest:
        place = next(hit.citation for hit in hits if hit.id == answer.nearest.id)
        out.print(plain(f"Nearest by meaning: {answer.nearest.text} ({place})", "dim"))
    if hits:
        out.print(hits_table(hits))


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
    """Show which words moved the query's vector, and what each did to a passage's score."""
    from ..retriever import Retriever
    from .console import explanation_chart, out

    store = open_store(collection, db, backbone)
    explanation = Retriever(store).explain(query, passage)
    if as_json:
        print_json({"collection": store.name, **asdict(explanation)})
    else:
        out.print(explanation_chart(explanation))
