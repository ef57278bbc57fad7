"""``lsb-rag train`` and ``lsb-rag adapt``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from ..errors import InvalidInputError
from .options import AsJson, Backbone, Db, Seed, backbone_option, open_store, print_json, program

if TYPE_CHECKING:
    from ..encoder import LexSemBridgeEncoder
    from ..evaluation.significance import PairedDifference
    from ..passage import Passage
    from ..training import Pair

STRENGTHS = (0.4, 0.6, 0.8, 1.0)
DISTRACTORS = 1000


def train(
    corpus: Annotated[
        Path | None,
        typer.Argument(help="A folder of .txt, .md, .html; a .jsonl corpus; a BEIR folder. Or give --collection."),
    ] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="New folder for the model.")] = Path("trained"),
    pairs: Annotated[
        Path | None, typer.Option(help="Your own pairs: a .jsonl of query, pos and, if you have any, neg.")
    ] = None,
    n: Annotated[int, typer.Option("-n", min=0, help="Queries drawn of each kind; 0: only --pairs.")] = 2000,
    backbone: Annotated[
        str, backbone_option("Backbone by hub name or path, or a trained encoder.")
    ] = "all-MiniLM-L6-v2",
    paradigm: Annotated[
        str | None, typer.Option(help="Weights of wordpieces: slr, llr or clr. Default: the encoder's, else slr.")
    ] = None,
    freeze: Annotated[bool, typer.Option("--freeze", help="Train the bridge alone, on the backbone as it is.")] = False,
    bridge: Annotated[bool, typer.Option(help="--no-bridge trains the backbone alone, for comparison.")] = True,
    hard_negatives: Annotated[int, typer.Option(min=0, help="Hard negatives mined for each pair without any.")] = 0,
    epochs: Annotated[float, typer.Option(help="Times every pair is seen.")] = 1.0,
    batch_size: Annotated[int, typer.Option(help="Pairs in a batch.")] = 32,
    learning_rate: Annotated[float, typer.Option(help="Of the backbone.")] = 1e-5,
    bridge_learning_rate: Annotated[float, typer.Option(help="Of the bridge and the lexical weights.")] = 1e-2,
    save_steps: Annotated[int, typer.Option(help="Batches from one checkpoint and evaluation to the next.")] = 100,
    held_out: Annotated[float, typer.Option(min=0.0, max=0.9, help="Share of passages to evaluate on.")] = 0.1,
    seed: Seed = 0,
    collection: Annotated[
        str | None, typer.Option("-c", "--collection", help="Draw from the passages of this collection.")
    ] = None,
    db: Db = None,
    as_json: AsJson = False,
) -> None:
    """Train a learned bridge, with its backbone or on a frozen one, as in the paper.

    Keyword queries and parts of passages are drawn from the corpus; your own pairs are added. The same command again
    goes on after an interruption.
    """
    from .console import loading, passages_progress, plain, say, steps_progress
    from .console import out as terminal

    with loading():
        from ..training import HeldOut, TrainingOptions, mine_negatives, split_by_passage
        from ..training import train as run
    options = TrainingOptions(
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        bridge_learning_rate=bridge_learning_rate,
        freeze=freeze,
        bridge=bridge,
        save_steps=save_steps,
        seed=seed,
    )
    with loading():
        encoder = _encoder(backbone, paradigm)
    with loading("Drawing queries"):
        by_kind, texts = _pairs(encoder, corpus=corpus, collection=collection, db=db, own=pairs, n=n, seed=seed)
    all_pairs = [pair for pairs_of_kind in by_kind.values() for pair in pairs_of_kind]
    training_pairs, held_out_pairs = split_by_passage(all_pairs, held_out, seed)
    if hard_negatives:
        with passages_progress("Mining hard negatives") as progress:
            held_out_texts = {pair.positive for pair in held_out_pairs}
            training_pairs = mine_negatives(
                encoder,
                training_pairs,
                [text for text in texts if text not in held_out_texts],
                n=hard_negatives,
                seed=seed,
                progress=progress,
            )
    measured = None
    if held_out_pairs:
        members = set(held_out_pairs)
        kinds = {kind: [pair for pair in of_kind if pair in members] for kind, of_kind in by_kind.items()}
        measured = HeldOut(kinds, texts[:DISTRACTORS])
    with steps_progress("Training") as step:
        trained = run(
            encoder,
            training_pairs,
            out,
            options,
            held_out=measured,
            progress=lambda done, total: step("batches", done, total),
            embedding=lambda done, total: step("embedding passages once", done, total),
        )
    if as_json:
        found = {"folder": str(out), "pairs": len(training_pairs), "steps": trained.steps, "loss": trained.loss}
        print_json({**found, "history": trained.history})
        return
    say(f"{len(training_pairs)} pairs, {trained.steps} batches; the model is in {out}.")
    for name, value in trained.best.items():
        without = trained.best.get(f"{name}_without_bridge")
        if without is not None:
            terminal.print(plain(f"{name.replace('_', ' ')}: {value:.3f}, without the bridge {without:.3f}"))


def _encoder(backbone: str, paradigm: str | None) -> LexSemBridgeEncoder:
    from ..backbones.saved_model import is_saved_pipeline
    from ..encoder import LexSemBridgeEncoder

    if is_saved_pipeline(backbone):
        encoder = LexSemBridgeEncoder.load(backbone)
        if paradigm not in (None, encoder.modulation.paradigm):
            own = encoder.modulation.paradigm
            raise InvalidInputError(f"{backbone} weights by {own}, not {paradigm}; leave --paradigm out.")
        return encoder
    return LexSemBridgeEncoder(backbone, paradigm=cast(Any, paradigm or "slr"), units="wordpieces", fusion="product")


def _pairs(
    encoder: LexSemBridgeEncoder,
    *,
    corpus: Path | None,
    collection: str | None,
    db: str | None,
    own: Path | None,
    n: int,
    seed: int,
) -> tuple[dict[str, list[Pair]], list[str]]:
    """Return the pairs by kind, and the distinct texts of all passages."""
    from ..reading import read_passages
    from ..training import draw_pairs, read_pairs

    if corpus and collection:
        raise InvalidInputError("Give a corpus or a --collection, not both.")
    own_pairs = read_pairs(own) if own else []
    by_kind: dict[str, list[Pair]] = {"own": own_pairs} if own else {}
    passages: list[Passage] = []
    if corpus:
        passages = read_passages(corpus, encoder.tokenizer, encoder.max_length)
    elif collection:
        passages = open_store(collection, db, backbone=None).get()
    if not passages and not by_kind:
        raise InvalidInputError("Give a corpus, a --collection, or your own --pairs to train on.")
    passages = [passage for passage in passages if passage.content.strip()]
    if passages and n:
        by_kind |= draw_pairs(passages, n, seed)
    texts = [passage.content for passage in passages] + [pair.positive for pair in own_pairs]
    return by_kind, list(dict.fromkeys(texts))


def adapt(
    name: Annotated[str, typer.Argument(help="Name of the collection.")],
    db: Db = None,
    backbone: Backbone = None,
    queries: Annotated[int, typer.Option("-n", min=50, help="Queries drawn of each kind, at most.")] = 1000,
    strength: Annotated[
        bool, typer.Option("--strength", help="Learn the bridge's strength too, not the words' weights alone.")
    ] = False,
    forget: Annotated[bool, typer.Option("--forget", help="Go back to the bridge as it is fitted.")] = False,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Learn the weights of words for a collection from queries drawn from it; kept only if held-out ones gain.

    No stored record changes.
    """
    from dataclasses import asdict

    from ..training import adapt as run
    from .console import out, passages_progress, plain, steps_progress

    store = open_store(name, db, backbone)
    if forget:
        store.fitted.kept_adaptation.write(None)
        if as_json:
            print_json({"collection": store.name, "kept": False})
        else:
            out.print(plain(f"{store.name}: the bridge is used as it is fitted."))
        return
    with passages_progress("Fitting the bridge") as fitting:
        store.fitted.plain_bridge(fitting)
    with steps_progress("Adapting") as step:
        found = run(store, queries=queries, strengths=STRENGTHS if strength else None, seed=seed, progress=step)
    if as_json:
        print_json({"collection": store.name, **asdict(found)})
        return
    difference = found.difference
    lines = [
        f"Held-out queries drawn from {store.name}, n = {difference.n}: MRR@10 {found.before:.3f} as fitted, "
        f"{found.after:.3f} with what was learned, {_interval(difference)}.",
        *(f"  {kind}: {_interval(of_kind)}, n = {of_kind.n}" for kind, of_kind in found.by_kind.items()),
    ]
    if found.kept:
        weights = ", learned weights of words" if found.learned else ""
        db_option = f" --db {db}" if db else ""
        command = f"{program()} evaluate QUESTIONS.jsonl -c {store.name}{db_option}"
        lines.append(f"Kept: strength {found.strength:g}{weights}.")
        lines.append(f"Drawn queries are not questions; with some of your own: {command}")
    else:
        lines.append("Not kept: the gain is not beyond chance. The bridge is used as it is fitted.")
    for line in lines:
        out.print(plain(line), soft_wrap=True)


def _interval(difference: PairedDifference) -> str:
    return f"{difference.delta:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}]"
