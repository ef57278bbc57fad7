"""Every public class made wrongly, in ways that are easily thought of: one sentence, which names the right call."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import chromadb
import pytest
from langchain_chroma import Chroma
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_lexsembridge import LexSemBridgeEmbeddings, LexSemBridgeRerank, LexSemBridgeRetriever
from llama_index.core import MockEmbedding, VectorStoreIndex
from llama_index.core.schema import TextNode
from llama_index.core.vector_stores import SimpleVectorStore
from llama_index.embeddings.lexsembridge import LexSemBridgeEmbedding
from llama_index.postprocessor.lexsembridge import LexSemBridgeRerank as Postprocessor
from llama_index.retrievers.lexsembridge import LexSemBridgeRetriever as LlamaIndexRetriever

from lsb_rag import (
    Embedder,
    ExternalStore,
    LexSemBridgeEmbeddingFunction,
    LexSemBridgeEncoder,
    LsbRagError,
    PassageStore,
    ProviderBackbone,
    Reranker,
    Retriever,
)

Given = SimpleNamespace
CALLS: dict[str, list[tuple[Callable[[Given], Any], str]]] = {
    "LangChain's embeddings": [
        (lambda g: LexSemBridgeEmbeddings(g.embeddings), "Give LangChain embeddings as embeddings="),
        (lambda g: LexSemBridgeEmbeddings("all-MiniLM-L6-v2"), "the name of a model as model="),
        (lambda g: LexSemBridgeEmbeddings(embedding=g.embeddings), "as embeddings="),
        (lambda g: LexSemBridgeEmbeddings(model=g.embeddings), "as embeddings="),
        (lambda g: LexSemBridgeEmbeddings(encoder=g.embeddings), "as embeddings="),
        (lambda g: LexSemBridgeEmbeddings(embeddings="text-embedding-3-small"), r"such as OpenAIEmbeddings\(\)"),
        (lambda g: LexSemBridgeEmbeddings(embeddings=DeterministicFakeEmbedding), "Make an instance of it"),
        (lambda g: LexSemBridgeEmbeddings(embeddings=g.embed_model), "see llama-index-lexsembridge"),
        (lambda g: LexSemBridgeEmbeddings(collection=g.client), "collection= takes a Chroma collection"),
        (lambda g: LexSemBridgeEmbeddings(collection="manuals"), "as persist_directory= or client="),
        (lambda g: LexSemBridgeEmbeddings(persist_directory="./db"), "Name the collection="),
        (lambda g: LexSemBridgeEmbeddings(vectorstore=g.faiss), r"LexSemBridgeRetriever.from_vectorstore\(\)"),
        (lambda g: LexSemBridgeEmbeddings(embeddings=g.embeddings, strenght=1), "Did you mean strength="),
        (lambda g: LexSemBridgeEmbeddings(embeddings=g.embeddings, strength=-1), "^strength: .* greater than or equal"),
        (lambda g: LexSemBridgeEmbeddings(collection=LexSemBridgeRetriever(store=g.store)), "takes a Chroma coll"),
    ],
    "LangChain's retriever": [
        (lambda g: LexSemBridgeRetriever(), r"needs store=. A vector store goes to .*from_vectorstore\(\)"),
        (lambda g: LexSemBridgeRetriever(g.chroma), r"not Chroma. A vector store goes to .*from_vectorstore\(\)"),
        (lambda g: LexSemBridgeRetriever(store=g.chroma), r"from_vectorstore\(\)"),
        (lambda g: LexSemBridgeRetriever(store="./db"), r"a folder.* to from_chroma\(\)"),
        (lambda g: LexSemBridgeRetriever(vectorstore=g.chroma), r"from_vectorstore\(\)"),
        (lambda g: LexSemBridgeRetriever.from_vectorstore(g.client), r"from_chroma\(\)"),
        (lambda g: LexSemBridgeRetriever.from_vectorstore(g.chroma.as_retriever()), "not VectorStoreRetriever"),
        (lambda g: LexSemBridgeRetriever.from_vectorstore(g.chroma, 5), "is k="),
        (lambda g: LexSemBridgeRetriever.from_vectorstore(g.chroma, search_kwargs={"k": 3}), "Give k="),
        (lambda g: LexSemBridgeRetriever.from_vectorstore(g.chroma, embedding=g.embeddings), "as model="),
        (lambda g: LexSemBridgeRetriever.from_texts([g.document]), r"documents go to add_documents\(\)"),
        (lambda g: LexSemBridgeRetriever.from_documents(["a"]), r"texts go to add_texts\(\)"),
        (lambda g: LexSemBridgeRetriever.from_documents([g.document], g.client), "or LangChain embeddings"),
        (lambda g: LexSemBridgeRetriever.from_documents([g.document], g.embed_model), "llama-index-lexsembridge"),
        (lambda g: LexSemBridgeRetriever(store=g.store, k=0), "^k: .* greater than or equal"),
        (lambda g: LexSemBridgeRetriever(store=g.store, top_k=3), "as k="),
    ],
    "LangChain's rerank": [
        (lambda g: LexSemBridgeRerank(g.embeddings), "Embeddings go to embeddings="),
        (lambda g: LexSemBridgeRerank(g.chroma), r"LexSemBridgeRerank.from_vectorstore\(\)"),
        (lambda g: LexSemBridgeRerank(store=g.chroma), r"from_vectorstore\(\)"),
        (lambda g: LexSemBridgeRerank(store=g.client), r"from_vectorstore\(\)"),
        (lambda g: LexSemBridgeRerank(embeddings=g.embed_model), "see llama-index-lexsembridge"),
        (lambda g: LexSemBridgeRerank(embeddings=DeterministicFakeEmbedding), "Make an instance of it"),
        (lambda g: LexSemBridgeRerank(model="all-MiniLM-L6-v2"), "as embeddings="),
        (lambda g: LexSemBridgeRerank(embeddings=g.embeddings, k=3), "as top_n="),
        (lambda g: LexSemBridgeRerank(embeddings=g.embeddings, top_n=0), "^top_n: .* greater than or equal"),
        (lambda g: LexSemBridgeRerank(base_retriever=g.chroma.as_retriever()), "ContextualCompressionRetriever"),
        (lambda g: LexSemBridgeRerank.from_vectorstore(g.embeddings), "takes a vector store"),
    ],
    "LlamaIndex's embedding": [
        (lambda g: LexSemBridgeEmbedding(g.embed_model), "as embed_model="),
        (lambda g: LexSemBridgeEmbedding(7), "as embed_model="),
        (lambda g: LexSemBridgeEmbedding(embedding=g.embed_model), "as embed_model="),
        (lambda g: LexSemBridgeEmbedding(encoder=g.embed_model), "as embed_model="),
        (lambda g: LexSemBridgeEmbedding(embed_model="local"), "as model_name='local'"),
        (lambda g: LexSemBridgeEmbedding(embed_model=g.embeddings), "wrap it in LangchainEmbedding"),
        (lambda g: LexSemBridgeEmbedding(embed_model=MockEmbedding), r"give an instance of it, MockEmbedding\(\)"),
        (lambda g: LexSemBridgeEmbedding(collection="manuals"), "as persist_dir= or client="),
        (lambda g: LexSemBridgeEmbedding(collection=g.index), "takes a Chroma collection"),
        (lambda g: LexSemBridgeEmbedding(bridge=g.store), r"a file that save\(\) wrote"),
        (lambda g: LexSemBridgeEmbedding(embed_model=g.embed_model, strength=-1), "^strength: "),
        (lambda g: LexSemBridgeEmbedding(embed_model=g.embed_model, persist_directory="db"), "as persist_dir="),
    ],
    "LlamaIndex's retriever": [
        (lambda g: LlamaIndexRetriever(), "Call it as LexSemBridgeRetriever"),
        (lambda g: LlamaIndexRetriever(g.index), r"An index goes to LexSemBridgeRetriever.from_index\(\)"),
        (lambda g: LlamaIndexRetriever(g.client), r"a client .* to from_chroma\(\)"),
        (lambda g: LlamaIndexRetriever("./db"), r"a database.* to from_chroma\(\)"),
        (lambda g: LlamaIndexRetriever(g.store, filters={"kind": "manual"}), "must be a MetadataFilters"),
        (lambda g: LlamaIndexRetriever.from_index(SimpleVectorStore()), "takes a VectorStoreIndex"),
        (lambda g: LlamaIndexRetriever.from_index(g.index, 5), "is similarity_top_k="),
        (lambda g: LlamaIndexRetriever.from_index(g.index, embed_model=g.embed_model), "as model="),
        (lambda g: LlamaIndexRetriever.from_index(g.index, top_k=3), "as similarity_top_k="),
        (lambda g: LlamaIndexRetriever.from_chroma(g.index), r"give the index on it to from_index\(\)"),
        (lambda g: LlamaIndexRetriever.from_nodes(["a text"]), "wrap a text in a TextNode"),
        (lambda g: LlamaIndexRetriever.from_nodes(g.node), "put a single one in brackets"),
        (lambda g: LlamaIndexRetriever.from_nodes([g.node], model=g.embeddings), "wrap it in LangchainEmbedding"),
    ],
    "LlamaIndex's rerank": [
        (lambda g: Postprocessor(g.index), r"such as OpenAIEmbedding\(\), not VectorStoreIndex"),
        (lambda g: Postprocessor(g.embeddings), "wrap it in LangchainEmbedding"),
        (lambda g: Postprocessor(MockEmbedding), "give an instance of it"),
        (lambda g: Postprocessor(store=g.index), r"an index goes to from_index\(\)"),
        (lambda g: Postprocessor(store=g.client), "takes the store of a LexSemBridgeRetriever"),
        (lambda g: Postprocessor(embed_model=g.embed_model), "as model="),
        (lambda g: Postprocessor(index=g.index), r"LexSemBridgeRerank.from_index\(\)"),
        (lambda g: Postprocessor(g.embed_model, top_k=3), "as top_n="),
        (lambda g: Postprocessor(g.embed_model, top_n=0), "^top_n: "),
        (lambda g: Postprocessor(g.embed_model, store=g.store), "not both"),
        (lambda g: Postprocessor.from_index(SimpleVectorStore()), "takes a VectorStoreIndex"),
    ],
    "PassageStore": [
        (lambda g: PassageStore("./db"), r"Call it as PassageStore\(database, name"),
        (lambda g: PassageStore(g.client), r"Call it as PassageStore\(database, name"),
        (lambda g: PassageStore(g.collection), r"Call it as PassageStore\(database, name"),
        (lambda g: PassageStore("manuals", g.client), "name must be a string"),
        (lambda g: PassageStore(g.chroma, "manuals"), "is a folder, an address or a client"),
        (lambda g: PassageStore(7, "manuals"), "is a folder, an address or a client"),
        (lambda g: PassageStore(g.client, g.encoder), "name must be a string"),
        (lambda g: PassageStore(g.client, "manuals", g.embeddings), "LexSemBridgeEmbeddings.embeddings=..."),
        (lambda g: PassageStore(g.client, "manuals", g.embed_model), "LexSemBridgeEmbedding.embed_model=..."),
        (lambda g: PassageStore(g.client, "manuals", LexSemBridgeEncoder), "give an instance of it"),
        (lambda g: PassageStore(g.client, "manuals", model="x"), "unexpected keyword argument 'model'"),
    ],
    "Retriever": [
        (lambda g: Retriever(), r"Call it as Retriever\(store"),
        (lambda g: Retriever(g.client), r"goes to PassageStore\(database, name\)"),
        (lambda g: Retriever("./db"), r"goes to PassageStore\(database, name\)"),
        (lambda g: Retriever(g.collection), r"PassageStore.from_collection\(collection\)"),
        (lambda g: Retriever(g.chroma), r"PassageStore.from_collection\(collection\)"),
        (lambda g: Retriever(g.faiss), "see ExternalStore"),
        (lambda g: Retriever(g.index), "see ExternalStore"),
        (lambda g: Retriever(PassageStore), "not the class PassageStore"),
        (lambda g: Retriever(g.store, 5), r"Call it as Retriever\(store"),
        (lambda g: Retriever(g.store, k=5), r"Call it as Retriever\(store"),
        (lambda g: Retriever(g.store, mmr=7), "mmr must be a number from 0 to 1"),
    ],
    "Reranker": [
        (lambda g: Reranker(g.client), r"goes to PassageStore\(database, name\)"),
        (lambda g: Reranker("./db"), r"goes to PassageStore\(database, name\)"),
        (lambda g: Reranker(g.collection), r"PassageStore.from_collection\(collection\)"),
        (lambda g: Reranker(g.embeddings), "or a LexSemBridgeEncoder"),
        (lambda g: Reranker(g.faiss), "see ExternalStore"),
        (lambda g: Reranker(LexSemBridgeEncoder), "not the class LexSemBridgeEncoder"),
        (lambda g: Reranker(Retriever(g.store)), "not Retriever"),
        (lambda g: Reranker(g.encoder, 5), r"Call it as Reranker\(source"),
        (lambda g: Reranker(g.encoder, top_n=5), r"Call it as Reranker\(source"),
        (lambda g: Reranker(g.encoder).rank(["a"], "q"), "query must be a string"),
        (lambda g: Reranker(g.encoder).rank("q", [g.document]), "must be a string or a Passage"),
    ],
    "ExternalStore": [
        (lambda g: ExternalStore(), r"Call it as ExternalStore\(index, encoder"),
        (lambda g: ExternalStore(g.faiss), r"LexSemBridgeRetriever.from_vectorstore\(\)"),
        (lambda g: ExternalStore(g.faiss, g.encoder), r"LexSemBridgeRetriever.from_vectorstore\(\)"),
        (lambda g: ExternalStore(g.index, g.encoder), r"LexSemBridgeRetriever.from_index\(\)"),
        (lambda g: ExternalStore(g.encoder, g.faiss), "index must be a VectorIndex"),
        (lambda g: ExternalStore("./db", g.encoder), "index must be a VectorIndex"),
        (lambda g: ExternalStore(g.client, g.encoder), "index must be a VectorIndex"),
        (lambda g: ExternalStore(g.external, g.embeddings), "encoder must be a LexSemBridgeEncoder"),
        (lambda g: ExternalStore(g.external, "all-MiniLM-L6-v2"), "encoder must be a LexSemBridgeEncoder"),
        (lambda g: ExternalStore(g.external, g.encoder, statistics="."), "names a file"),
    ],
    "Embedder": [
        (lambda g: Embedder(g.embeddings), "a path or a LexSemBridgeEncoder"),
        (lambda g: Embedder(7), "a path or a LexSemBridgeEncoder"),
        (lambda g: Embedder(g.store), "a path or a LexSemBridgeEncoder"),
        (lambda g: Embedder(g.encoder, g.store), r"Call it as Embedder\(backbone, \*, collection="),
        (lambda g: Embedder(collection=g.client), "takes a Chroma collection"),
        (lambda g: Embedder(collection="manuals"), "takes a Chroma collection"),
        (lambda g: Embedder(collection=g.faiss), "takes a Chroma collection"),
        (lambda g: Embedder(collection=(g.client,)), "is a database and a name in it"),
        (lambda g: Embedder(bridge=7), "a path or a Bridge"),
        (lambda g: Embedder(store=g.store), r"Call it as Embedder\("),
    ],
    "LexSemBridgeEncoder": [
        (lambda g: LexSemBridgeEncoder(g.embeddings), "LexSemBridgeEmbeddings.embeddings=..."),
        (lambda g: LexSemBridgeEncoder(g.embed_model), "LexSemBridgeEmbedding.embed_model=..."),
        (lambda g: LexSemBridgeEncoder(g.encoder), "use it as it is"),
        (lambda g: LexSemBridgeEncoder(7), "A backbone is a path or hub name"),
        (lambda g: LexSemBridgeEncoder(g.store), "A backbone is a path or hub name"),
        (lambda g: LexSemBridgeEncoder(bridge="file"), "a CorpusBridge or a LearnedBridge"),
        (lambda g: LexSemBridgeEncoder(paradigm="xlr"), "choose one of slr, llr, clr"),
        (lambda g: LexSemBridgeEncoder(fusion="sum"), "choose one of product"),
        (lambda g: LexSemBridgeEncoder(units="letters"), "choose one of words"),
        (lambda g: LexSemBridgeEncoder(model="x"), r"Call it as LexSemBridgeEncoder\(backbone"),
    ],
    "ProviderBackbone": [
        (lambda g: ProviderBackbone(), r"Call it as ProviderBackbone\(embed_texts"),
        (lambda g: ProviderBackbone(embed_query=len), r"Call it as ProviderBackbone\(embed_texts"),
        (lambda g: ProviderBackbone("text-embedding-3-small"), "embed_texts must be a function"),
        (lambda g: ProviderBackbone(g.embeddings), "embed_texts must be a function"),
        (lambda g: ProviderBackbone(g.encoder), "embed_texts must be a function"),
        (lambda g: ProviderBackbone(len, "query"), "embed_query must be a function"),
        (lambda g: ProviderBackbone(len, len, "name"), "Call it as ProviderBackbone"),
        (lambda g: ProviderBackbone(len, name=7), "name must be a string"),
        (lambda g: ProviderBackbone(len, batch_size="many"), "batch_size must be a whole number"),
        (lambda g: ProviderBackbone(len, model_name="x"), "Call it as ProviderBackbone"),
    ],
    "LexSemBridgeEmbeddingFunction": [
        (lambda g: LexSemBridgeEmbeddingFunction(g.client), "collection must be a string"),
        (lambda g: LexSemBridgeEmbeddingFunction(g.store), "collection must be a string"),
        (lambda g: LexSemBridgeEmbeddingFunction(g.embeddings), "collection must be a string"),
        (lambda g: LexSemBridgeEmbeddingFunction(g.encoder), "collection must be a string"),
        (lambda g: LexSemBridgeEmbeddingFunction("manuals", 7), "backbone must be"),
        (lambda g: LexSemBridgeEmbeddingFunction("manuals", strength="strong"), "strength must be"),
        (lambda g: LexSemBridgeEmbeddingFunction("manuals", key=7), "key must be"),
        (lambda g: LexSemBridgeEmbeddingFunction(model="x"), r"Call it as LexSemBridgeEmbeddingFunction\("),
        (lambda g: LexSemBridgeEmbeddingFunction(bridge="x"), r"Call it as LexSemBridgeEmbeddingFunction\("),
        (lambda g: LexSemBridgeEmbeddingFunction("a", "b", "c"), r"Call it as LexSemBridgeEmbeddingFunction\("),
    ],
}
"""By class: how it is called wrongly, and what the message says."""


@pytest.fixture(scope="module")
def given() -> Given:
    """What people have at hand."""
    client, embeddings, embed_model = chromadb.EphemeralClient(), DeterministicFakeEmbedding(size=8), MockEmbedding(8)
    encoder = LexSemBridgeEncoder(lambda texts: [[float(len(text)), 1.0] for text in texts], name="lengths")
    vectorstore, node = InMemoryVectorStore(embeddings), TextNode(text="a")
    return Given(
        client=client,
        collection=client.get_or_create_collection("things"),
        embeddings=embeddings,
        embed_model=embed_model,
        encoder=encoder,
        store=PassageStore(client, "wrong-calls", encoder),
        chroma=Chroma("wrong-calls-langchain", embeddings),
        faiss=vectorstore,
        external=LexSemBridgeRetriever.from_vectorstore(vectorstore).store.index,
        index=VectorStoreIndex([node], embed_model=embed_model),
        node=node,
        document=Document("a"),
    )


@pytest.mark.parametrize(
    ("call", "said"),
    [pytest.param(*case, id=f"{name}-{n}") for name, cases in CALLS.items() for n, case in enumerate(cases)],
)
def test_one_sentence_names_the_right_call(given: Given, call: Callable[[Given], Any], said: str) -> None:
    with pytest.raises(LsbRagError, match=said) as error:
        call(given)
    message = str(error.value)
    assert isinstance(error.value, TypeError | ValueError | OSError)
    assert "\n" not in message
    assert "pydantic" not in message
    assert "__init__" not in message


def test_ten_ways_of_each_class() -> None:
    assert all(len(calls) >= 10 for calls in CALLS.values())
