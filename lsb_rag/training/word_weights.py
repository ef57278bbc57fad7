"""Adapting to one collection without labels: some queries drawn from it are learned from, others decide."""

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
from ..utils.arguments import checked
from .lexical_head import PreparedQueries, learn_head, prepare
from .pairs import Pair, split_by_passage
from .sampling import draw_pairs

QUERIES = 1000
"""Number of queries drawn of each kind."""
PASSAGES = 20_000
"""Most passages that queries are drawn from and ranked among."""
HELD_OUT = 0.3
STEPS = 600
LEARNING_RATE = 3e-4
DEPTH = 10

Ranks = Mapping[tuple[str, int], float]
"""``{(kind, number of the query): reciprocal rank}``."""
Steps = Callable[[str, int, int], None]
"""Callback for progress: the step, the amount done and the total, which is 0 if unknown."""


@dataclass(frozen=True)
class Adapted:
    """Result of adapting to a collection.

    :param kept: Whether the collection uses the adaptation from now on.
    :param strength: Strength of the bridge, chosen on the queries learned from.
    :param learned: Whether learned weights of words were chosen. Otherwise all weights are 1, as before.
    :param before: MRR@10 of the held-out queries with the bridge as fitted.
    :param after: MRR@10 of the held-out queries with the adaptation.
    :param difference: ``after - before``, paired, over all held-out queries.
    :param by_kind: The same difference for each kind of query.
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


@checked
def adapt(
    store: PassageStore,
    *,
    queries: int = QUERIES,
    strengths: Sequence[float] | None = None,
    seed: int = 0,
    progress: Steps | None = None,
) -> Adapted:
    """Learn the weights of words and the bridge's strength for a collection, and keep them if they help.

    Keyword queries and parts of passages are drawn from the collection. LLR's head is trained on the queries of 70 % of
    the passages, beginning as SLR, at each strength. The best result is compared with the bridge as fitted, on the
    queries of the other passages. It is kept if the 95 % interval of the difference in MRR@10 lies above 0, and that of
    no kind of query lies below 0. Otherwise the collection is used as fitted. No stored record changes.

    Drawn queries contain words of their passage. What is better on them need not be better on questions that people
    ask: measure that with ``lsb-rag evaluate`` if you have some.

    :param queries: Most queries drawn of each kind.
    :param strengths: Strengths to try; None tries the encoder's own alone.
    :param seed: Seed of the draw and the batches.
    :param progress: Called with the step, the amount done and the total, which is 0 if unknown.
    :raises InvalidInputError: For a collection with too few passages with text, or an encoder without a residual over
        words.
    :raises StoreError: When the adaptation cannot be kept. An earlier one stays.
    """
    encoder = store.encoder
    encoder.require_pipeline("adapt")
    module = encoder.modulation
    if (module.paradigm, module.fusion, module.units) != ("slr", "residual", "words"):
        raise InvalidInputError("Only the residual over words, weighted by SLR, is adapted; this encoder has others.")
    say = progress or (lambda step, done, total: None)
    say("reading the collection", 0, 0)
    own_strength = encoder.strength
    texts, vectors = _read_passages(store, seed)
    bridge = store.fitted.plain_bridge()
    pairs = draw_pairs([Passage(text) for text in texts], queries, seed)
    teaching, held = _prepare_sides(store, bridge, texts, vectors, pairs, seed, say)
    tried: list[tuple[float, float, Learned | None]] = []
    chosen = [own_strength] if strengths is None else [checked_strength("residual", strength) for strength in strengths]
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
            tried.append((_mean(_reciprocal_ranks(teaching, head, strength)), strength, head))
    _, strength, head = max(tried, key=lambda one: one[0])
    say("comparing on held-out queries", 0, 0)
    before = _reciprocal_ranks(held, None, own_strength)
    after = _reciprocal_ranks(held, head, strength)
    difference = _difference(after, before, list(after), seed)
    by_kind = {kind: _difference(after, before, [id for id in after if id[0] == kind], seed) for kind in held}
    found = Adapted(
        kept=difference.low > 0 and all(one.high >= 0 for one in by_kind.values()),
        strength=strength,
        learned=head is not None,
        before=_mean(before),
        after=_mean(after),
        difference=difference,
        by_kind=by_kind,
        taught=sum(map(len, teaching.values())),
    )
    store.fitted.kept_adaptation.write(_adaptation(store, head, strength, found) if found.kept else None)
    return found


def _adaptation(store: PassageStore, head: Learned | None, strength: float, found: Adapted) -> Adaptation:
    measured = {"mrr@10 before": found.before, "mrr@10 after": found.after, "difference": asdict(found.difference)}
    return Adaptation.of(head, strength, store.encoder.fingerprint.weights or "", measured)


def _read_passages(store: PassageStore, seed: int) -> tuple[list[str], NDArray[np.float32]]:
    """Return the distinct texts of a collection, with their vectors at length 1.

    Texts whose vector is not finite are left out.

    :raises InvalidInputError: For fewer than 20 distinct texts.
    """
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
    texts, usable = list(first), np.flatnonzero(np.isfinite(vectors).all(axis=1))
    return [texts[row] for row in usable], vectors[usable]


def _prepare_sides(
    store: PassageStore,
    bridge: CorpusBridge,
    texts: Sequence[str],
    vectors: NDArray[np.float32],
    pairs: Mapping[str, Sequence[Pair]],
    seed: int,
    say: Steps,
) -> tuple[dict[str, PreparedQueries], dict[str, PreparedQueries]]:
    """Return the queries to learn from and those held out, each by kind.

    :raises InvalidInputError: When one of them is empty.
    """
    row_of = {text: row for row, text in enumerate(texts)}
    both = split_by_passage([pair for of_kind in pairs.values() for pair in of_kind], HELD_OUT, seed)
    sides: list[dict[str, PreparedQueries]] = []
    for side, purpose in zip(both, ("teach", "decide"), strict=True):
        members = set(side)
        prepared = {}
        for kind, of_kind in pairs.items():
            on_side = [pair for pair in of_kind if pair in members]
            if on_side:
                prepared[kind] = prepare(
                    store.encoder,
                    bridge,
                    [pair.query for pair in on_side],
                    [row_of[pair.positive] for pair in on_side],
                    vectors,
                    progress=partial(say, f"encoding queries that {purpose}"),
                )
        sides.append(prepared)
    if not all(sides):
        raise InvalidInputError("Too few queries can be drawn from this collection to learn from and to test on.")
    return sides[0], sides[1]


def _reciprocal_ranks(
    queries: Mapping[str, PreparedQueries], head: Learned | None, strength: float
) -> dict[tuple[str, int], float]:
    """Return the reciprocal rank of every query, 0 beyond the tenth."""
    return {
        (kind, number): 1 / rank if rank <= DEPTH else 0.0
        for kind, prepared in queries.items()
        for number, rank in enumerate(prepared.ranks(head, strength).tolist())
    }


def _mean(ranks: Ranks) -> float:
    return float(np.mean(list(ranks.values())))


def _difference(after: Ranks, before: Ranks, ids: Sequence[tuple[str, int]], seed: int) -> PairedDifference:
    """Return the paired difference over the queries `ids`."""
    return paired_difference({str(id): after[id] for id in ids}, {str(id): before[id] for id in ids}, seed=seed)
