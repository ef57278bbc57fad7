"""Compare LexSemBridge with its peers: hybrids of two frameworks by their own classes, and a learned sparse retriever.

    pip install langchain-chroma rank-bm25 llama-index-vector-stores-chroma llama-index-retrievers-bm25
    python -m benchmarks.models MODELS splade mpnet e5
    python -m benchmarks.quality.peers embed KEPT squad=FOLDER nq=FOLDER cranfield=FOLDER demo --models MODELS
    python -m benchmarks.quality.peers embed KEPT identifiers=FOLDER codelist=FOLDER  # in benchmarks/sets
    python -m benchmarks.quality.peers embed KEPT "manuals=QUESTIONS.jsonl FOLDER FOLDER"
    python -m benchmarks.quality.peers embed KEPT squad=FOLDER@1000 --backbone mpnet --models MODELS
    python -m benchmarks.quality.peers choose KEPT squad nq identifiers codelist --models MODELS
    python -m benchmarks.quality.peers run KEPT --models MODELS --out RESULTS
    python -m benchmarks.quality.peers times KEPT --models MODELS --out RESULTS

FOLDER is in BEIR layout with ``metadata.kind``, with ``@N`` for N of its passages; ``demo`` is the documentation of the
running Python; with QUESTIONS, folders of manuals, see :mod:`benchmarks.quality.manuals`. KEPT is a folder of the sets
as they are asked, their vectors, and their sentences. Each is embedded once: an ``embed`` that was cut off goes on when
it is called again. Up to 1000 questions of a kind are asked, spans of passages none.

All arms search the same texts, the dense ones by the same vectors, in float32. They are:

- ``vanilla`` to ``lsb``, as ``lsb-rag evaluate`` has them;
- LangChain's ``EnsembleRetriever`` of ``BM25Retriever`` and ``Chroma``: with its defaults, RRF of equal weights over as
  many hits of each as are asked for; and chosen, with 100 of each and the best of five weights;
- LlamaIndex's ``BM25Retriever`` alone; ``QueryFusionRetriever`` of it and ``VectorIndexRetriever`` over Chroma with one
  query: with its default, which takes scores as they are; by RRF; and chosen, by ``relative_score`` with 100 of each
  and the best of five weights;
- SPLADE-tiny alone, by RRF with the cosine, and convex: cosine plus weighted share of the best score.

``choose`` prints what the weights were chosen by: MRR@10, the mean over kinds of a set and then over the development
sets. ``run`` writes MRR@10, nDCG@10, recall@10 and LexSemBridge's paired differences with their 95 % intervals as
``peers.json``, and tables as ``peers.md``: SPLADE where its vectors are kept, three arms over other backbones than
MiniLM. ``times`` needs a machine that does nothing else: it measures indexing and single queries, the embedding of the
query included.

Not compared: rerankers by cross-encoder and late interaction, of which the package registry holds no model.
"""

from __future__ import annotations

import statistics
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import bm25s
import typer

from benchmarks.peers.arms import FAMILIES, FEW, LABELS, Peers
from benchmarks.peers.kept import BACKBONES, collections
from benchmarks.peers.measure import (
    DEPTH,
    MRR,
    TIMED,
    Row,
    as_json,
    latencies,
    read_values,
    rows_of,
    table,
    table_of_differences,
    table_of_means,
    timed,
    values_of,
    write,
    write_values,
)
from benchmarks.peers.sets import keep_set, kept_sets
from benchmarks.peers.splade import Splade
from benchmarks.scale.index_bytes import bytes_of
from lsb_rag import PassageStore
from lsb_rag.evaluation import build_arms
from lsb_rag.lexical.units import words

app = typer.Typer(add_completion=False, help=__doc__, rich_markup_mode=None)

Kept = Annotated[Path, typer.Argument(metavar="KEPT", help="Where sets, vectors and sentences are kept.")]
Models = Annotated[Path | None, typer.Option(help="Folder that `python -m benchmarks.models` fills.")]
Names = Annotated[list[str] | None, typer.Argument(metavar="NAME ...", help="Sets; all that are kept by default.")]
Out = Annotated[Path, typer.Option(help="Folder of the results.")]
Arms = Annotated[str, typer.Option(help="Arms, with commas between them.")]
ALL_ARMS, ALL_BACKBONES, ALL_FAMILIES = map(",".join, (LABELS, BACKBONES, FAMILIES))
WEIGHED = ("langchain", "llamaindex-bm25")
"""Arms beside whose index those of ``bm25`` and ``lsb`` are weighed."""


@app.command()
def embed(
    kept: Kept,
    sets: Annotated[list[str], typer.Argument(metavar="SET ...", help="demo, NAME=FOLDER[@N], or manuals.")],
    backbone: Annotated[str, typer.Option(help=f"One of {', '.join(BACKBONES)}.")] = "minilm",
    models: Models = None,
    limit: Annotated[int, typer.Option(help="Most queries of a kind.")] = 1000,
    sentences: Annotated[bool, typer.Option(help="Embed sentences before a search needs them.")] = True,
) -> None:
    """Embed passages and queries, then sentences, and print the time of each; what is kept is not embedded again.

    With --models, the passages are embedded by SPLADE too.
    """
    if backbone not in BACKBONES:
        raise typer.BadParameter(f"choose one of {', '.join(BACKBONES)}", param_hint="--backbone")
    found = collections([keep_set(given, kept / "sets", limit) for given in sets], backbone, kept, models)
    for one in found:
        for said in one.embed():
            print(f"{backbone}, {one.one.name}: {said}", flush=True)
    for one in found if sentences else ():
        print(f"{backbone}, {one.one.name}: {one.embed_sentences()}", flush=True)
    for one in found if backbone == "minilm" and models else ():
        seconds, _ = timed(lambda one=one: Splade(models, kept / "splade").passages(one.one.name, one.texts))
        print(f"SPLADE-tiny, {one.one.name}: {len(one.texts)} passages in {seconds:.1f} s", flush=True)


@app.command()
def choose(
    kept: Kept,
    names: Names = None,
    models: Models = None,
    families: Annotated[str, typer.Option(help="What weights are of, with commas.")] = ALL_FAMILIES,
    limit: Annotated[int, typer.Option(help="Most queries of a kind.")] = 300,
) -> None:
    """Print what the weights of the frameworks and of SPLADE were chosen by."""
    over = peers_of(kept, names, "minilm", models)
    candidates = [(family, weight) for family in families.split(",") for weight in FAMILIES[family]]
    rows = []
    for family, weight in candidates:
        found = []
        for peers in over:
            one = replace(peers.of.one, dataset=peers.of.one.dataset.limited(limit))
            of_kinds = rows_of("minilm", one, {"lsb": values_of(peers.weighted(family, weight), one)})
            found.append(statistics.fmean(row.means["lsb"][MRR] for row in of_kinds))
        rows.append((family, weight, f"{statistics.fmean(found):.4f}", *(f"{mean:.3f}" for mean in found)))
        print(*rows[-1], flush=True)
    print(table(["of", "weight", "mean", *(peers.of.one.name for peers in over)], rows))


@app.command()
def run(
    kept: Kept,
    names: Names = None,
    models: Models = None,
    out: Out = Path("peers"),
    backbones: Annotated[str, typer.Option(help="Backbones, with commas between them.")] = ALL_BACKBONES,
    arms: Arms = ALL_ARMS,
    again: Annotated[str, typer.Option(help="Arms to run though OUT has their values; '' goes on.")] = ALL_ARMS,
) -> None:
    """Run the arms on what is kept, and write the tables after each set."""
    rows: list[Row] = []
    beside: list[dict[str, object]] = []
    for backbone in backbones.split(","):
        chosen = [arm for arm in arms.split(",") if backbone == "minilm" or arm in FEW]
        for peers in peers_of(kept, names, backbone, models) if (kept / backbone).is_dir() else ():
            peers.of.remember_queries()
            found = {}
            for arm in filter(peers.are_kept, dict.fromkeys([*chosen, "lsb"])):
                file = out / "values" / backbone / peers.of.one.name / f"{arm}.json"
                found[arm] = read_values(file) if arm not in again.split(",") else None
                if found[arm] is None:
                    seconds, found[arm] = timed(lambda arm=arm, of=peers: values_of(of[arm], of.of.one))
                    write_values(file, found[arm])
                    print(f"{backbone}, {peers.of.one.name}, {arm}: {seconds:.0f} s", flush=True)
            rows += rows_of(backbone, peers.of.one, found)
            if backbone == "minilm" and set(WEIGHED) <= found.keys():
                beside.append(
                    {"set": peers.of.one.name, "passages": len(peers.of.ids), **bytes_beside(peers, "splade" in found)}
                )
            write(out, "peers", {"rows": as_json(rows), "bytes": beside}, text_of(rows, beside))


@app.command()
def times(
    kept: Kept,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The set.")] = "squad",
    models: Models = None,
    out: Out = Path("peers"),
    arms: Arms = ALL_ARMS,
) -> None:
    """Measure the time to index a set anew, and of single queries, over MiniLM. Leave the machine to it."""
    [peers] = peers_of(kept, [name], "minilm", models)
    encoder, one = peers.of.encoder, peers.of.one
    peers.embed_query = encoder.embed_query
    encoder.embed_query("warm")
    seconds = index_seconds(peers)
    queries = [query.text for query in one.dataset.queries][:TIMED]
    found = {}
    for arm in arms.split(","):
        encoder.forget()  # the queries that the arm before has asked
        found[arm] = latencies(peers[arm], queries)
    data = {"set": one.name, "passages": len(one.passages), "index_s": seconds, "query_ms": found}
    indexed = table(["to index", "s"], [(what, f"{took:.1f}") for what, took in seconds.items()])
    asked = table(
        ["arm", "p50, ms", "p95, ms"], [(LABELS[a], f"{p50:.1f}", f"{p95:.1f}") for a, (p50, p95) in found.items()]
    )
    write(out, "times", data, f"{one.name}, {len(one.passages):,} passages\n\n{indexed}\n\n{asked}")


def peers_of(kept: Path, names: list[str] | None, backbone: str, models: Path | None) -> list[Peers]:
    """Return the arms over each set that is embedded."""
    if models is None:
        raise typer.BadParameter("SPLADE is read from there", param_hint="--models")
    splade = Splade(models, kept / "splade")
    found = collections(kept_sets(kept / "sets", names or ()), backbone, kept, models)
    return [Peers(one, one.embed_query, splade) for one in found if one.is_kept]


def bytes_beside(peers: Peers, with_splade: bool) -> dict[str, int]:
    """Return the bytes of the vectors, and of what arms keep beside them."""
    index = bm25s.BM25(method="lucene")
    index.index([words(text) for text in peers.of.texts], show_progress=False)
    with tempfile.TemporaryDirectory() as ours, tempfile.TemporaryDirectory() as theirs:
        index.save(ours)
        peers.llama_index.lexical.bm25.save(theirs)
        stems = bytes_of(Path(theirs))
        found = {"bm25": bytes_of(Path(ours)) + stems, "llamaindex-bm25": stems}  # the former over words and stems
    return {
        "vectors": peers.of.vectors.nbytes,
        **peers.of.bytes_beside,
        **found,
        **({"splade": peers.sparse.bytes} if with_splade else {}),
    }


def index_seconds(peers: Peers) -> dict[str, float]:
    """Return the seconds that indexing takes, step by step."""
    of, found, langchain, llama_index = peers.of, {}, peers.langchain, peers.llama_index
    with tempfile.TemporaryDirectory() as folder:
        store = PassageStore(folder, "passages", of.encoder)
        found["vectors, in Chroma"], _ = timed(lambda: store.add(of.one.passages))
        found["LexSemBridge: statistics"], _ = timed(store.fit)
        found["LexSemBridge: sentences"], _ = timed(store.embed_sentences)
        [bm25] = build_arms(store, ["bm25"]).values()
        found["BM25"], _ = timed(lambda: bm25(["warm"], DEPTH))
        found["LangChain: BM25"], _ = timed(lambda: langchain.lexical)
        found["LlamaIndex: BM25"], _ = timed(lambda: llama_index.lexical)
        peers.splade.encode(["warm"])
        fresh = Splade(peers.splade.models, Path(folder) / "splade")
        fresh.encode(["warm"])
        found["SPLADE-tiny"], _ = timed(lambda: fresh.passages("fresh", of.texts))
        store.close()
    return found


def text_of(rows: list[Row], beside: list[dict[str, object]]) -> str:
    """Return the tables as Markdown."""
    parts = []
    for backbone in dict.fromkeys(row.backbone for row in rows):
        of = [row for row in rows if row.backbone == backbone]
        parts += [f"{backbone}: MRR@10", table_of_means(of), table_of_differences(of)]
    if beside:
        head = list(dict.fromkeys(column for of_set in beside for column in of_set))
        cells = ([_megabytes(column, of_set.get(column, "")) for column in head] for of_set in beside)
        parts += ["MB of the vectors, and beside them", table(head, cells)]
    return "\n\n".join(parts)


def _megabytes(column: str, value: object) -> object:
    return f"{value / 1e6:.2f}" if isinstance(value, int) and column != "passages" else value


if __name__ == "__main__":
    app()
