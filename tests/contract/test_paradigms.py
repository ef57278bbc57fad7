"""The paper's parts through the frameworks: SLR, LLR, CLR and a trained bridge give what the core gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_lexsembridge import LexSemBridgeEmbeddings
from langchain_lexsembridge import LexSemBridgeRetriever as LangChainRetriever
from llama_index.core import VectorStoreIndex
from llama_index.core.schema import TextNode
from llama_index.embeddings.lexsembridge import LexSemBridgeEmbedding
from llama_index.retrievers.lexsembridge import LexSemBridgeRetriever as LlamaIndexRetriever

from lsb_rag import LearnedBridge, LexSemBridgeEncoder, PassageStore, Retriever

from ..conftest import MANUAL
from ..tiny import WIDTH, save_tiny

QUERIES = ["what does E-4012 mean", "TMP_117", "when is lunch"]
TEXTS = {passage.id: passage.content for passage in MANUAL}
NODES = [TextNode(id_=id, text=text) for id, text in TEXTS.items()]


def trained(backbone: Path, folder: Path) -> LexSemBridgeEncoder:
    """A saved encoder with a learned bridge and the paper's product, as `lsb-rag train` writes it."""
    encoder = LexSemBridgeEncoder(str(backbone), paradigm="llr", fusion="product", units="wordpieces")
    torch.manual_seed(0)
    bridge = LearnedBridge(encoder.modulation.vocabulary_size, WIDTH)
    torch.nn.init.normal_(bridge.weight)
    encoder.bridge = bridge
    encoder.save(folder)
    return LexSemBridgeEncoder.load(folder)


ENCODERS: dict[str, Callable[[Path, Path], LexSemBridgeEncoder]] = {
    "slr": lambda backbone, _: LexSemBridgeEncoder(str(backbone)),
    "slr over wordpieces": lambda backbone, _: LexSemBridgeEncoder(str(backbone), units="wordpieces"),
    "llr": lambda backbone, _: LexSemBridgeEncoder(str(backbone), paradigm="llr"),
    "clr": lambda backbone, _: LexSemBridgeEncoder(str(backbone), paradigm="clr", top_k=16),
    "signed product": lambda backbone, _: LexSemBridgeEncoder(str(backbone), fusion="signed_product"),
    "trained": trained,
}


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT with its MLM head, which CLR weighs the vocabulary by."""
    return save_tiny(tmp_path_factory.mktemp("tiny") / "model", "wordpiece", "mean", with_mlm_head=True)


@pytest.fixture(params=ENCODERS)
def encoder(request: pytest.FixtureRequest, backbone: Path, tmp_path: Path) -> LexSemBridgeEncoder:
    return ENCODERS[request.param](backbone, tmp_path / "encoder")


@pytest.fixture
def store(tmp_path: Path, encoder: LexSemBridgeEncoder) -> PassageStore:
    made = PassageStore(tmp_path / "db", "manual", encoder)
    made.add(MANUAL)
    return made


def of_documents(documents: Any) -> list[tuple[str, float]]:
    return [(document.id, pytest.approx(document.metadata["score"], abs=1e-6)) for document in documents]


def of_nodes(nodes: Any) -> list[tuple[str, float]]:
    return [(node.node_id, pytest.approx(node.score, abs=1e-6)) for node in nodes]


def test_retrievers_give_the_cores_ids_and_scores(store: PassageStore, encoder: LexSemBridgeEncoder) -> None:
    over_collection: list[Any] = [
        LangChainRetriever.from_chroma(store.collection, model=encoder, k=5),
        LlamaIndexRetriever.from_chroma(store.collection, model=encoder, similarity_top_k=5),
    ]
    listed = InMemoryVectorStore(LexSemBridgeEmbeddings(encoder=encoder))
    listed.add_texts(list(TEXTS.values()), ids=list(TEXTS))
    index = VectorStoreIndex(NODES, embed_model=LexSemBridgeEmbedding(encoder=encoder))
    over_others: list[Any] = [
        LangChainRetriever.from_vectorstore(listed, k=5),
        LlamaIndexRetriever.from_index(index, similarity_top_k=5),
    ]
    for query in QUERIES:
        expected = [(hit.id, hit.score) for hit in Retriever(store).search(query, 5)]
        for langchain, llama_index in (over_collection, over_others):
            assert of_documents(langchain.invoke(query)) == expected
            assert of_nodes(llama_index.retrieve(query)) == expected


def test_embeddings_give_the_cores_vectors(store: PassageStore, encoder: LexSemBridgeEncoder) -> None:
    langchain = LexSemBridgeEmbeddings(encoder=encoder, collection=store)
    llama_index = LexSemBridgeEmbedding(encoder=encoder, collection=store)
    expected = Retriever(store).embed(QUERIES)
    assert np.abs(expected - encoder.embed_query(QUERIES)).max() > 1e-3  # it modulates
    for query, vector in zip(QUERIES, expected, strict=True):
        np.testing.assert_allclose(langchain.embed_query(query), vector, atol=1e-6)
        np.testing.assert_allclose(llama_index.get_query_embedding(query), vector, atol=1e-6)
    passages = encoder.encode_document(list(TEXTS.values()))
    np.testing.assert_allclose(langchain.embed_documents(list(TEXTS.values())), passages, atol=1e-6)
    np.testing.assert_allclose(llama_index.get_text_embedding_batch(list(TEXTS.values())), passages, atol=1e-6)
