"""Compare LlamaIndex's own retriever with ours over a collection that plain LlamaIndex wrote.

    python -m benchmarks.quality.existing_collection

LlamaIndex indexes the demo's corpus in Chroma with an ordinary MiniLM embedding and its metadata in the embedded text.
Our retriever opens that collection without embedding it again, and both are asked the shipped keyword questions.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import chromadb
import typer
from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.schema import TextNode
from llama_index.embeddings.huggingface import HuggingFaceEmbedding
from llama_index.retrievers.lexsembridge import LexSemBridgeRetriever
from llama_index.vector_stores.chroma import ChromaVectorStore
from rich.console import Console
from rich.table import Table

from lsb_rag import Passage
from lsb_rag.backbones.embedded import embedded_backbone
from lsb_rag.demo.corpus import build_demo_corpus
from lsb_rag.demo.questions import demo_qrels, load_questions
from lsb_rag.evaluation import PairedDifference, paired_difference, per_query
from lsb_rag.evaluation.retrieval_metrics import metrics_library

DEPTH = 10
MEASURES = ("hit@1", "mrr@10")


@dataclass(frozen=True)
class Outcome:
    """One measure over the keyword questions: both means and their paired difference."""

    measure: str
    before: float
    after: float
    difference: PairedDifference


def written_by_llama_index(folder: Path, passages: list[Passage], show_progress: bool = True) -> VectorStoreIndex:
    """Store passages of the demo as an ordinary LlamaIndex program does, with symbol and kind as metadata."""
    nodes = [TextNode(id_=passage.id, text=passage.text, metadata=dict(passage.metadata)) for passage in passages]
    collection = chromadb.PersistentClient(folder).create_collection("python-docs")  # L2, Chroma's default
    storage = StorageContext.from_defaults(vector_store=ChromaVectorStore(chroma_collection=collection))
    embed_model = HuggingFaceEmbedding(str(embedded_backbone()), device="cpu", embed_batch_size=32)
    return VectorStoreIndex(nodes, embed_model=embed_model, storage_context=storage, show_progress=show_progress)


def before_and_after(index: VectorStoreIndex, limit: int | None = None, *, sentences: bool = True) -> list[Outcome]:
    """Ask LlamaIndex's own retriever and ours the shipped keyword questions, over the same collection.

    :param limit: The first questions alone.
    :param sentences: Whether ours looks at sentences.
    """
    questions = load_questions("keyword")[:limit]
    qrels = demo_qrels(questions, build_demo_corpus())

    def values(retriever: BaseRetriever) -> dict[str, dict[str, float]]:
        found = {one.id: [hit.node.node_id for hit in retriever.retrieve(one.text)] for one in questions}
        return per_query(qrels, found, MEASURES)

    before = values(index.as_retriever(similarity_top_k=DEPTH))
    after = values(LexSemBridgeRetriever.from_index(index, similarity_top_k=DEPTH, sentences=sentences))

    def mean(values: dict[str, float]) -> float:
        return sum(values.values()) / len(values)

    return [Outcome(m, mean(before[m]), mean(after[m]), paired_difference(after[m], before[m])) for m in MEASURES]


def main() -> None:
    """Write the collection to a temporary folder, ask both retrievers and print a table."""
    metrics_library()  # fail now rather than after minutes of embedding
    with tempfile.TemporaryDirectory() as folder:
        outcomes = before_and_after(written_by_llama_index(Path(folder), build_demo_corpus()))
    table = Table(title=f"{outcomes[0].difference.n} keyword questions")
    for column in ("measure", "LlamaIndex", "LexSemBridge", "difference [95 %]"):
        table.add_column(column)
    for one in outcomes:
        d = one.difference
        table.add_row(
            one.measure, f"{one.before:.3f}", f"{one.after:.3f}", f"{d.delta:+.3f} [{d.low:+.3f}, {d.high:+.3f}]"
        )
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
