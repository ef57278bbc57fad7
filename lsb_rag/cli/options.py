"""The parts that commands share: options, the database, the collection, JSON on stdout."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import BackboneError, CollectionNotFoundError

if TYPE_CHECKING:
    from ..passage import Hit
    from ..store.passage_store import PassageStore

DB_VARIABLE = "LSB_RAG_DB"
Db = Annotated[
    str | None,
    typer.Option(
        "--db",
        help=f"Folder of the Chroma database, or http://host:port of a server (token: $LSB_RAG_DB_TOKEN). "
        f"Default: ${DB_VARIABLE}, else a folder in the user's cache.",
    ),
]
Collection = Annotated[
    str | None, typer.Option("--collection", "-c", help="Name of the collection. Default: the only one there is.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, and nothing else there.")]
K = Annotated[int, typer.Option("-k", "--k", min=1, help="Passages to retrieve for a question.")]
Seed = Annotated[int, typer.Option(min=0, help="Of all that is drawn.")]


def existing_model(name: str | None) -> str | None:
    """Return the name of a model unchanged. A path must exist, so that it is not taken for a name on the hub.

    :raises BackboneError: When the path does not exist.
    """
    if name and (Path(name).is_absolute() or name.startswith((".", "~"))) and not Path(name).exists():
        raise BackboneError(f"Cannot load the backbone {name!r}: there is no such folder.")
    return name


def backbone_option(help: str) -> Any:
    """Return the option ``--backbone``. Its default, and so its help, differs between commands."""
    return typer.Option("--backbone", help=help, callback=existing_model)


Backbone = Annotated[
    str | None,
    backbone_option(
        "Backbone by hub name or path, or openai:MODEL[@URL], where the collection's own cannot be found by name."
    ),
]
Vanilla = Annotated[bool, typer.Option("--vanilla", help="Search with the backbone alone, for comparison.")]
GeneratorChoice = Annotated[
    str, typer.Option("--generator", "-g", help="extractive or openai:MODEL[@URL] (key: $OPENAI_API_KEY).")
]


MinConfidence = Annotated[
    float, typer.Option(min=0, max=1, help="Leave out passages of a lower confidence, a number from 0 to 1.")
]


def database(db: str | None) -> str:
    """Return the folder or address of the database: the option, else the environment, else the user's cache."""
    given = db or os.environ.get(DB_VARIABLE)
    if given:
        return given
    from platformdirs import user_cache_path

    return str(user_cache_path("lsb-rag", appauthor=False) / "db")


def evaluation_name(folder: Path) -> str:
    """Return the name of the collection that `evaluate` keeps of a BEIR folder, for its next run.

    It is named by the path, because two folders of the same name are two corpora.
    """
    from ..utils.digests import content_id

    return f"beir-{content_id(str(folder.resolve()))[:12]}"


def is_evaluation(name: str) -> bool:
    """Whether a collection is one that `evaluate` made for itself, by :func:`evaluation_name`."""
    return re.fullmatch("beir-[0-9a-f]{12}", name) is not None


def without_evaluations(names: Sequence[str]) -> list[str]:
    """Return the collections that a command chooses from: those that `evaluate` made only where there are no others."""
    return [name for name in names if not is_evaluation(name)] or list(names)


def only_collection(folder: str) -> str:
    """Return the name of the only collection of a database, whatever `evaluate` made for itself.

    :raises CollectionNotFoundError: When there is none, or several.
    """
    from ..store.client import collection_names

    names = without_evaluations(collection_names(folder))
    if not names:
        raise CollectionNotFoundError(f"{folder} holds no collection; make one with `lsb-rag index`.")
    if len(names) > 1:
        there = f"holds {len(names)}: {', '.join(names)}"
        raise CollectionNotFoundError(f"Say which collection with --collection; {folder} {there}.")
    return names[0]


def open_store(collection: str | None, db: str | None, backbone: str | None) -> PassageStore:
    """Open the named collection, or else the only one of the database, whatever `evaluate` made for itself.

    :raises CollectionNotFoundError: When there is no such collection, or several and none is named.
    """
    from .console import loading

    folder = database(db)
    with loading():
        from ..store.passage_store import PassageStore

        collection = collection or only_collection(folder)
        store = PassageStore(folder, collection, create=False)
        if backbone:
            from ..encoder import LexSemBridgeEncoder

            encoder = LexSemBridgeEncoder.open(backbone, units=store.units)
            store = PassageStore(folder, collection, encoder, create=False)
        return store


def hit_json(hit: Hit) -> dict[str, Any]:
    """Return a hit as ``--json`` prints it."""
    return {
        "id": hit.id,
        "score": hit.score,
        "confidence": hit.confidence,
        "text": hit.text,
        "title": hit.title,
        "metadata": dict(hit.metadata),
    }


def print_json(value: dict[str, Any]) -> None:
    """Print one JSON object on stdout."""
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeError:  # stdout is not UTF-8, or the text is not valid Unicode; escapes are always printable
        text = json.dumps(value)
    print(text)


def program() -> str:
    """Return the name that this program was called by, for commands to copy."""
    return "python -m lsb_rag" if sys.argv[0].endswith("__main__.py") else sys.argv[0]
