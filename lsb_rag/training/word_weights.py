"""Fitting what can be learned to one collection, without labels: queries drawn from it teach, others decide."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ..bridge.adaptation import Adaptation
from ..bridge.base import checked_strength
from ..bridge.corpus import CorpusBridge
from ..bridge.weighting import Learned
from ..errors import InvalidInputError
from ..evaluation.significance import PairedDifference, paired_difference
from ..passage import Passage
from ..statistics.base import at_unit_length
from ..store.passage_store import PassageStore
from .lexical_head import Prepared, learn_head, prepare
from .pairs import Pair, split_by_passage
from .sampling import draw_pairs

QUERIES = 1000
"""Queries drawn of each kind."""
PASSAGES = 20_000
"""Passages that queries are drawn from and ranked among, at most."""
HELD_OUT = 0.3
STEPS = 600
LEARNING_RATE = 3e-4
DEPTH = 10

Ranks = Mapping[tuple[str, int], float]
Steps = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is; 0 where that is not known."""


@dataclass(frozen=True)
class Adapted:
    """What adapting a collection found.

    :param kept: Whether the collection uses it from now on.
    :param strength: Of the bridge, chosen on the queries that taught.
    :param learned: Whether the words' weights are learned too; else all are 1, as before.
    :param before: MRR@10 of the held-out queries with the bridge as fitted.
    :param after: With what was learned.
    :param difference: ``after - before``, paired, over all held-out queries.
    :param by_kind: The same for each kind of query.
    :param taught: Number of queries learned from.
    """

    kept: bool
    strength: float
    learned: bool
    before: float
    after: float
    difference: PairedDifference
    by_kind: Mapping[str, PairedDifference]
    taught: int


def adapt(
    store: PassageStore,
    *,
    queries: int = QUERIES,
    strengths: Sequence[float] | None = None,
    seed: int = 0,
    progress: Steps | None = None,
) -> Adapted:
    """Learn the weights of words and the bridge's strength for a collection, and keep them if they help.

    Keyword queries and parts of passages are drawn from the collection. On those of 70 % of the passages LLR's head is
    trained, beginning as SLR, at each strength; the best is compared with the bridge as fitted on the queries of
    the other passages. It is kept if the 95 % interval of the difference in MRR@10 lies above 0 and that of no kind of
    query below 0; else the collection is used as fitted. No stored record changes.

    Drawn queries contain words of their passage. What is better on them need not be better on questions that
    people ask: measure that with ``lsb-rag evaluate`` where you have some.

    :param queries: Queries drawn of each kind, at most.
    :param strengths: To try; None holds the encoder's own fixed.
    :param seed: Of the draw and the batches.
    :raises InvalidInputError: For a collection with too few passages with text, or an encoder without a residual over
        words.
    :raises StoreError: When it cannot be kept; what was kept before stays.
    """
    encoder = store.encoder
    module = encoder.modulation
    if (module.paradigm, module.fusion, module.units) != ("slr", "residual", "words"):
        raise InvalidInputError("Only the residual over words, weighted by SLR, is adapted; this encoder has others.")
    say = progress or (lambda step, done, total: None)
    say("reading the collection", 0, 0)
    own = encoder.strength
    texts, vectors = _passages(store, seed)
    bridge = store.fitted.plain_bridge()
    pairs = draw_pairs([Passage(text) for text in texts], queries, seed)
    teaching, held = _prepared(store, bridge, texts, vectors, pairs, seed, say)
    tried: list[tuple[float, float, Learned | None]] = []
    chosen = [own] if strengths is None else [checked_strength("residual", strength) for strength in strengths]
    if not chosen:
        raise InvalidInputError("Give at least one strength to try.")
    for number, strength in enumerate(chosen):
        say(f"learning at strength {strength:g}", number, len(chosen))
        learned = learn_head(
            [teaching.get("keyword") or next(iter(teaching.values()))],
            strength=strength,
            steps=STEPS,
            learning_rate=LEARNING_RATE,
            seed=seed,
        )
        for head in (None, learned):
            tried.append((_mean_rr(teaching, head, strength), strength, head))
    _, strength, head = max(tried, key=lambda one: one[0])
    say("comparing on held-out queries", 0, 0)
    before, after = _rr(held, None, own), _rr(held, head, strength)
    difference = _difference(after, before, list(after), seed)
    by_kind = {kind: _difference(after, before, [id for id in after if id[0] == kind], seed) for kind in held}
    kept = difference.low > 0 and all(one.high >= 0 for one in by_kind.values())
    found = Adapted(
        kept,
        strength,
        head is not None,
        float(np.mean(list(before.values()))),
        float(np.mean(list(after.values()))),
        difference,
        by_kind,
        sum(map(len, teaching.values())),
    )
    store.fitted.kept_adaptation.write(_adaptation(store, head, strength, found) if kept else None)
    return found


def _adaptation(store: PassageStore, head: Learned | None, strength: float, found: Adapted) -> Adaptation:
    measured = {"mrr@10 before": found.before, "mrr@10 after": found.after, "difference": asdict(found.difference)}
    return Adaptation.of(head, strength, store.encoder.fingerprint.weights, measured)


def _passages(store: PassageStore, seed: int) -> tuple[list[str], NDArray[np.float32]]:
    """Texts of the collection, each once, with their vectors at length 1."""
    ids = sorted(store.ids())
    if len(ids) > PASSAGES:
        ids = random.Random(seed).sample(ids, PASSAGES)  # noqa: S311
    first = {passage.content: passage.id for passage in reversed(store.get(ids)) if passage.content.strip()}
    if len(first) < 20:
        raise InvalidInputError(
            f"The collection {store.name!r} holds {len(first)} different texts; to learn from it takes at least 20, "
            "and makes sense from some hundreds."
        )
    vectors = at_unit_length(store.vectors(list(first.values()))).astype(np.float32)
    usable, known = np.flatnonzero(np.isfinite(vectors).all(axis=1)), list(first)
    return [known[row] for row in usable], vectors[usable]


def _prepared(
    store: PassageStore,
    bridge: CorpusBridge,
    texts: Sequence[str],
    vectors: NDArray[np.float32],
    pairs: Mapping[str, Sequence[Pair]],
    seed: int,
    say: Steps,
) -> tuple[dict[str, Prepared], dict[str, Prepared]]:
    """The queries that teach, and those held out, by kind."""
    row = {text: number for number, text in enumerate(texts)}
    whole = split_by_passage([pair for of_kind in pairs.values() for pair in of_kind], HELD_OUT, seed)
    sides: list[dict[str, Prepared]] = []
    for side, name in zip(whole, ("teach", "decide"), strict=True):
        members = set(side)
        prepared = {}
        for kind, of_kind in pairs.items():
            here = [pair for pair in of_kind if pair in members]
            if here:
                prepared[kind] = prepare(
                    store.encoder,
                    bridge,
                    [pair.query for pair in here],
                    [row[pair.positive] for pair in here],
                    vectors,
                    progress=partial(say, f"encoding queries that {name}"),
                )
        sides.append(prepared)
    if not all(sides):
        raise InvalidInputError("Too few queries can be drawn from this collection to learn from and to test on.")
    return sides[0], sides[1]


def _rr(queries: Mapping[str, Prepared], head: Learned | None, strength: float) -> dict[tuple[str, int], float]:
    """The reciprocal rank of every query, 0 beyond the tenth."""
    return {
        (kind, number): 1 / rank if rank <= DEPTH else 0.0
        for kind, prepared in queries.items()
        for number, rank in enumerate(prepared.ranks(head, strength).tolist())
    }


def _mean_rr(queries: Mapping[str, Prepared], head: Learned | None, strength: float) -> float:
    return float(np.mean(list(_rr(queries, head, strength).values())))


def _difference(after: Ranks, before: Ranks, ids: Sequence[tuple[str, int]], seed: int) -> PairedDifference:
    return paired_difference({str(id): after[id] for id in ids}, {str(id): before[id] for id in ids}, seed=seed)
