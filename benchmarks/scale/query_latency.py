"""Time a query part by part: encoding, search, rerank, and whole searches by several retrievers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from benchmarks.speed.query_encoding import Task, Timing, in_turns, timings
from lsb_rag import PassageStore, Retriever
from lsb_rag.evaluation import Arm
from lsb_rag.rerank import LexicalRerank
from lsb_rag.retriever import CANDIDATES

K = 10
REPEATS, OF_EACH = 5, 60
WARM_UP = 10


def latencies(store: PassageStore, queries: Sequence[str], hybrid: Arm) -> dict[str, dict[str, Timing]]:
    """Return timings by part and task; the tasks of a part take turns, query by query.

    :param queries: After the first :data:`WARM_UP`, at most :data:`OF_EACH` are asked in each of :data:`REPEATS` runs.
        Each is asked once, since a passage whose words were counted for one rerank is not counted again for the next.
    """
    queries = queries[: WARM_UP + REPEATS * OF_EACH]
    warm_up, asked = list(queries[:WARM_UP]), queries[WARM_UP:]
    runs = [list(asked[start::REPEATS]) for start in range(REPEATS)]
    searching: dict[str, Task] = {
        "vanilla": partial(Retriever(store, vanilla=True).search, k=K),
        "LSB, vector only": partial(Retriever(store, rerank=0).search, k=K),
        "LexSemBridge": partial(Retriever(store).search, k=K),
        "hybrid RRF": lambda query: hybrid([query], K),
    }
    encoding: dict[str, Task] = {
        "backbone alone": store.encoder.embed_query,
        "with the bridge": partial(store.encoder.encode_query, bridge=store.bridge),
    }
    plain = dict(zip(queries, store.encoder.embed_query(queries), strict=True))
    modulated = dict(zip(queries, store.encoder.encode_query(queries, bridge=store.bridge), strict=True))
    texts = {query: [hit.text for hit in store.query(modulated[query], CANDIDATES)] for query in queries}
    rerank = LexicalRerank(store.encoder.analyze, store.bridge.statistics)
    parts: dict[str, dict[str, Task]] = {
        "all": searching,
        "encode": encoding,
        "search": {
            f"{K} for the backbone's vector": lambda query: store.query(plain[query], K),
            f"{K} for the modulated vector": lambda query: store.query(modulated[query], K),
            f"{CANDIDATES} for the modulated vector": lambda query: store.query(modulated[query], CANDIDATES),
        },
        "rerank": {f"of {CANDIDATES}": lambda query: rerank.scores(query, texts[query])},
    }
    found = {}
    for part, tasks in parts.items():
        in_turns(tasks, warm_up)
        found[part] = timings([in_turns(tasks, run, [store.encoder]) for run in runs])
    return found
