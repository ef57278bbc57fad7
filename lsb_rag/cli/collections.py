"""``lsb-rag collections`` and ``lsb-rag delete``: what a database holds, and what goes from it."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import (
    AsJson,
    Backbone,
    Collection,
    Db,
    database,
    is_evaluation,
    only_collection,
    open_store,
    print_json,
)

if TYPE_CHECKING:
    from ..store.passage_store import PassageStore

HERE, ATTACHED, ELSEWHERE, EVALUATION = "lsb-rag", "another program, attached", "another program", "evaluate"
"""Who filled a collection."""


@dataclass(frozen=True)
class Listed:
    """A collection in the list.

    :param filled_by: lsb-rag; another program, with or without having been attached; or evaluate, for itself.
    :param backbone: The backbone it was made or attached with; None where that is not known yet.
    :param statistics_bytes: Size of its statistics; 0 before the first fit.
    """

    name: str
    passages: int
    filled_by: str
    backbone: str | None
    dimension: int | None
    space: str
    statistics_bytes: int

    @classmethod
    def of(cls, store: PassageStore) -> Listed:
        """Return what is shown of a collection; no backbone is loaded."""
        fingerprint = store.fingerprint or store.attached_with
        return cls(
            name=store.name,
            passages=len(store),
            filled_by=filled_by(store),
            backbone=fingerprint.backbone if fingerprint else None,
            dimension=fingerprint.dimension if fingerprint else None,
            space=store.chroma.distance,
            statistics_bytes=store.statistics_bytes,
        )

    @property
    def line(self) -> str:
        """The line to print."""
        backbone = f"{self.backbone}, {self.dimension}-d" if self.backbone else "backbone unknown, see lsb-rag attach"
        size = f"statistics {self.statistics_bytes / 1e6:.1f} MB" if self.statistics_bytes else "no statistics yet"
        return f"{self.name}: {self.passages} passages, {backbone}, {self.space}, filled by {self.filled_by}, {size}"


def filled_by(store: PassageStore) -> str:
    """Return who filled a collection."""
    if is_evaluation(store.name):
        return EVALUATION
    if store.fingerprint:
        return HERE
    return ATTACHED if store.attached_with else ELSEWHERE


def collections(db: Db = None, as_json: AsJson = False) -> None:
    """List the collections of the database: passages, backbone, who filled them, sizes."""
    from .console import loading, out, plain, say

    folder = database(db)
    with loading():
        from ..store.client import bytes_of_database, collection_names
        from ..store.passage_store import PassageStore

        found = [Listed.of(PassageStore(folder, name, create=False)) for name in collection_names(folder)]
        size = bytes_of_database(folder)
    if as_json:
        print_json({"db": folder, "bytes": size, "collections": [asdict(collection) for collection in found]})
        return
    if not found:
        say(f"{folder} holds no collection; make one with `lsb-rag index`.")
        return
    for collection in found:
        out.print(plain(collection.line), soft_wrap=True)
    out.print(plain(folder if size is None else f"{folder}: {size / 1e6:.1f} MB on disk"), soft_wrap=True)


def _as_filter(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"{text!r} is no JSON ({error}).") from error
    if not isinstance(found, dict) or not found:
        raise typer.BadParameter(f"""{text!r} selects nothing; give an object such as '{{"source": "old.html"}}'.""")
    return found


def check(
    collection: Collection = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Compare all passages, not 1,000 spread evenly over the collection.")
    ] = False,
    db: Db = None,
    as_json: AsJson = False,
) -> None:
    """Check a collection for damage: compare its texts and vectors with those that were counted.

    Chroma does not notice damage of its index, and answers wrongly. Nothing is changed. The exit code is 1 where there
    is a problem.
    """
    from .console import out, passages_progress, plain, say

    folder = database(db)
    with passages_progress("Checking") as progress:
        from ..store.integrity import SAMPLE, check_collection, damage_in_database

        problems = damage_in_database(folder)
        found = None
        if not problems:
            name = collection or only_collection(folder)
            found = check_collection(folder, name, sample=None if everything else SAMPLE, progress=progress)
            problems = found.problems
    if as_json:
        print_json(asdict(found) if found else {"collection": collection, "problems": problems})
    for problem in problems if not as_json else ():
        out.print(plain(problem), soft_wrap=True)
    if found and not problems and not as_json:
        say(f"{found.collection}: {found.compared:,} of {_passages(found.passages)} compared, no damage found.")
    if problems:
        raise typer.Exit(1)


def delete(
    name: Annotated[str, typer.Argument(help="Name of the collection.")],
    where: Annotated[
        str | None,
        typer.Option(
            metavar="JSON",
            help="Delete only the passages whose metadata match this filter in Chroma's language.",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; needed where there is no terminal.")] = False,
    db: Db = None,
    backbone: Backbone = None,
    as_json: AsJson = False,
) -> None:
    """Delete a collection with its statistics, or the passages that match a filter.

    It asks first. Of a collection that another program filled, its name has to be typed.
    """
    from .console import loading, say

    chosen = _as_filter(where)
    store = open_store(name, db, backbone if chosen else None)
    passages = store.ids(chosen) if chosen else None
    count = len(store) if passages is None else len(passages)
    if (count or passages is None) and not yes:
        _ask(store, count, whole=passages is None)
    with loading("Deleting"):
        if passages is None:
            store.drop()
        elif passages:
            count = store.delete(passages)
    left = None if passages is None else len(store)
    if as_json:
        print_json({"collection": name, "deleted": count, "left": left})
    elif passages is None:
        say(f"{name} is deleted, {_passages(count)} and its statistics.")
    else:
        say(f"{_passages(count)} deleted; {name} holds {left}.")


def _passages(count: int) -> str:
    return f"{count} passage{'' if count == 1 else 's'}"


def _ask(store: PassageStore, count: int, *, whole: bool) -> None:
    """Ask whether to delete.

    :param count: How many passages would go.
    :param whole: Whether the collection would go with them.
    :raises typer.BadParameter: Where nobody can be asked.
    :raises typer.Exit: When the answer is no.
    """
    from .console import say

    what = (
        f"the collection {store.name!r} with its {_passages(count)}"
        if whole
        else f"{_passages(count)} of {store.name!r}"
    )
    foreign = store.fingerprint is None and not is_evaluation(store.name)
    other = " Another program filled it, and may need it." if foreign else ""
    if not sys.stdin.isatty():
        raise typer.BadParameter(f"This deletes {what}.{other} Without a terminal, say so with --yes.")
    if foreign:
        say(f"This deletes {what}.{other}")
        agreed = typer.prompt("Type its name to go on", default="", show_default=False, err=True) == store.name
    else:
        agreed = typer.confirm(f"Delete {what}?", err=True)
    if not agreed:
        say("Nothing was deleted.")
        raise typer.Exit(1)
