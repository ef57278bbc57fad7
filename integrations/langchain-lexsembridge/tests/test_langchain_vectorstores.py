"""Over FAISS, Qdrant, LangChain's store in memory, and one that cannot list what it holds."""

from __future__ import annotations

import copy
import logging
import pickle
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from langchain_chroma import Chroma
from langchain_community.docstore.in_memory import InMemoryDocstore
from langchain_community.vectorstores import FAISS
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore
from langchain_huggingface import HuggingFaceEmbeddings
from langchain_lexsembridge import LexSemBridgeEmbeddings, LexSemBridgeRetriever
from langchain_qdrant import QdrantVectorStore
from qdrant_client import QdrantClient, models

from lsb_rag import ExternalStore
from lsb_rag.backbones.embedded import embedded_backbone
from lsb_rag.errors import (
    CorruptFileError,
    FingerprintMismatchError,
    InvalidInputError,
    InvalidTypeError,
    ReadError,
    StoreError,
)

from .conftest import DOCUMENTS, QUERY
from .test_langchain_providers import WordEmbeddings

IDS = {name: str(UUID(int=number)) for number, name in enumerate((d.id or "" for d in DOCUMENTS), start=1)}
STORED = [Document(id=IDS[d.id or ""], page_content=d.page_content, metadata=d.metadata) for d in DOCUMENTS]
NEW = Document(id=str(UUID(int=9)), page_content="E-4107: the belt slips. Tighten it.", metadata={"kind": "fault"})


class OtherWords(WordEmbeddings):
    """Another model of the same width."""

    def _vector(self, text: str, side: str) -> list[float]:
        return super()._vector(text, side)[::-1]


class Unlisted(VectorStore):
    """A store that does what every vector store does, and nothing more."""

    def __init__(self, embeddings: Any) -> None:
        self._store = InMemoryVectorStore(embeddings)

    @property
    def embeddings(self) -> Any:
        return self._store.embeddings

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        return self._store.similarity_search(query, k, **kwargs)

    def similarity_search_by_vector(self, embedding: list[float], k: int = 4, **kwargs: Any) -> list[Document]:
        found = self._store.similarity_search_by_vector(embedding, k, **kwargs)
        return [Document(page_content=one.page_content, metadata=one.metadata) for one in found]  # without ids

    def add_documents(self, documents: list[Document], **kwargs: Any) -> list[str]:
        return self._store.add_documents(documents, **kwargs)

    def delete(self, ids: Sequence[str] | None = None, **kwargs: Any) -> bool | None:
        return self._store.delete(ids)

    @classmethod
    def from_texts(cls, texts: list[str], embedding: Any, metadatas: Any = None, **kwargs: Any) -> Unlisted:
        store = cls(embedding)
        store.add_documents([Document(text, metadata=m) for text, m in zip(texts, metadatas, strict=True)], **kwargs)
        return store


def qdrant(documents: list[Document], embeddings: Any) -> VectorStore:
    return QdrantVectorStore.from_documents(documents, embeddings, location=":memory:", collection_name="manual")


def in_memory(documents: list[Document], embeddings: Any) -> VectorStore:
    store = InMemoryVectorStore(embeddings)
    store.add_documents(documents)
    return store


STORES: dict[str, Callable[[list[Document], Any], VectorStore]] = {
    "faiss": FAISS.from_documents,
    "qdrant": qdrant,
    "in_memory": in_memory,
}
FILTERS: dict[str, Any] = {
    "faiss": {"kind": "notice"},
    "qdrant": models.Filter(must=[models.FieldCondition(key="metadata.kind", match=models.MatchValue(value="notice"))]),
    "in_memory": lambda document: document.metadata["kind"] == "notice",
}


@pytest.fixture(scope="module")
def embeddings() -> HuggingFaceEmbeddings:
    return HuggingFaceEmbeddings(model_name=str(embedded_backbone()), model_kwargs={"device": "cpu"})


def ids(documents: Sequence[Document]) -> list[str | None]:
    return [document.id for document in documents]


def scores(documents: Sequence[Document]) -> list[float]:
    return [document.metadata["score"] for document in documents]


@pytest.fixture(params=STORES)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# -- the same as over Chroma ----------------------------------------------------------------------------------------


def test_it_finds_what_it_finds_over_chroma(kind: str) -> None:
    over_chroma = LexSemBridgeRetriever.from_vectorstore(
        Chroma.from_documents(STORED, WordEmbeddings(), collection_metadata={"hnsw:space": "cosine"}), k=5
    )
    retriever = LexSemBridgeRetriever.from_vectorstore(STORES[kind](STORED, WordEmbeddings()), k=5)
    for query in (QUERY, "when is lunch", "worn spring ZX81"):
        expected, found = over_chroma.invoke(query), retriever.invoke(query)
        assert ids(found) == ids(expected)
        assert scores(found) == pytest.approx(scores(expected), abs=1e-5)
        assert [one.page_content for one in found] == [one.page_content for one in expected]
        assert {one.metadata["kind"] for one in found} == {"fault", "notice"}


def test_one_that_cannot_list_is_given_its_documents() -> None:
    store = Unlisted(WordEmbeddings())
    store.add_documents(STORED)
    with pytest.raises(
        InvalidInputError, match=r"Unlisted cannot list what it holds; give its documents as documents= or texts="
    ):
        LexSemBridgeRetriever.from_vectorstore(store)
    by_documents = LexSemBridgeRetriever.from_vectorstore(store, documents=STORED, k=5)
    by_texts = LexSemBridgeRetriever.from_vectorstore(store, texts=[one.page_content for one in STORED], k=5)
    listed = LexSemBridgeRetriever.from_vectorstore(in_memory(STORED, WordEmbeddings()), k=5)
    for query in (QUERY, "when is lunch"):
        expected = listed.invoke(query)
        for one in (by_documents, by_texts):
            found = one.invoke(query)
            assert [each.page_content for each in found] == [each.page_content for each in expected]
            assert scores(found) == pytest.approx(scores(expected), abs=1e-3)  # its vectors are kept in float16


def test_nothing_that_is_stored_changes() -> None:
    store = FAISS.from_documents(STORED, WordEmbeddings())
    before = store.index.reconstruct_n(0, len(STORED)).tobytes(), store.docstore.__dict__.copy()
    LexSemBridgeRetriever.from_vectorstore(store).invoke(QUERY)
    assert (store.index.reconstruct_n(0, len(STORED)).tobytes(), store.docstore.__dict__) == before


def test_filters_are_the_stores_own(kind: str) -> None:
    retriever = LexSemBridgeRetriever.from_vectorstore(STORES[kind](STORED, WordEmbeddings()), k=5)
    assert set(ids(retriever.invoke(QUERY, filter=FILTERS[kind]))) == {IDS["office"], IDS["lunch"]}
    assert ids(retriever.model_copy(update={"filter": FILTERS[kind]}).invoke("when is lunch"))[0] == IDS["lunch"]
    with pytest.raises(InvalidInputError, match="where_document= is a filter of Chroma's"):
        retriever.invoke(QUERY, where_document={"$contains": "E-4012"})


def test_a_filter_sees_more_than_the_first_twenty_of_faiss() -> None:
    documents = [Document(f"pump {n}", metadata={"n": n}) for n in range(200)]
    store = FAISS.from_documents(documents, WordEmbeddings())
    retriever = LexSemBridgeRetriever.from_vectorstore(store)
    for n in (7, 90, 199):
        assert [one.metadata["n"] for one in retriever.invoke("pump", filter={"n": n})] == [n]


async def test_asynchronous_and_vanilla(kind: str) -> None:
    store = STORES[kind](STORED, WordEmbeddings())
    retriever = LexSemBridgeRetriever.from_vectorstore(store, k=3)
    assert ids(await retriever.ainvoke(QUERY)) == ids(retriever.invoke(QUERY))
    vanilla = LexSemBridgeRetriever.from_vectorstore(store, vanilla=True, k=3)
    plain = store.similarity_search(QUERY, k=3)
    assert [one.page_content for one in vanilla.invoke(QUERY)] == [one.page_content for one in plain]


# -- following ------------------------------------------------------------------------------------------------------


def test_what_is_added_through_the_retriever_or_the_store_is_found(kind: str) -> None:
    store = STORES[kind](STORED, WordEmbeddings())
    retriever = LexSemBridgeRetriever.from_vectorstore(store, k=1)
    assert retriever.invoke("E-4107")[0].id != NEW.id
    assert retriever.add_documents([NEW]) == [NEW.id]
    assert ids(retriever.invoke("E-4107")) == [NEW.id]
    assert not retriever.delete([str(NEW.id), str(UUID(int=77))])  # one of them was not there
    assert ids(retriever.invoke("E-4107")) != [NEW.id]
    store.add_documents([NEW], ids=[NEW.id])  # by somebody else
    assert ids(retriever.invoke("E-4107")) == [NEW.id]
    assert retriever.store.bridge.statistics.df("4107") == 1
    store.delete([NEW.id])
    retriever.invoke("E-4107")
    assert retriever.store.bridge.statistics.df("4107") == 0


def test_a_text_that_was_changed_in_place(kind: str) -> None:
    store = STORES[kind](STORED, WordEmbeddings())
    retriever = LexSemBridgeRetriever.from_vectorstore(store, k=1)
    retriever.invoke(QUERY)
    changed = Document(id=IDS["lunch"], page_content="E-9000: the fuse is blown.", metadata={"kind": "fault"})
    if kind == "faiss":
        store.delete([IDS["lunch"]])
    store.add_documents([changed], ids=[IDS["lunch"]])
    assert ids(retriever.invoke("E-9000")) == [IDS["lunch"]]
    assert retriever.store.bridge.statistics.df("9000") == 1
    assert retriever.store.bridge.statistics.df("noon") == 0
    retriever.sync()
    assert len(retriever.store) == len(STORED)


def test_adding_again_embeds_nothing(kind: str) -> None:
    embeddings = WordEmbeddings()
    store = STORES[kind](STORED, embeddings)
    retriever = LexSemBridgeRetriever.from_vectorstore(store)
    retriever.invoke(QUERY)
    embeddings.calls.clear()
    retriever.add_documents(STORED)
    assert embeddings.calls == []
    retriever.add_documents([NEW])
    assert embeddings.calls == [("documents", 1)]  # its vector is read back from the store


def test_one_that_cannot_list_says_that_it_may_have_more(caplog: pytest.LogCaptureFixture) -> None:
    store = Unlisted(WordEmbeddings())
    store.add_documents(STORED)
    retriever = LexSemBridgeRetriever.from_vectorstore(store, documents=STORED, k=1)
    store.add_documents([NEW])
    with caplog.at_level(logging.WARNING, "lsb_rag"):
        assert retriever.invoke("belt E-4107 slips")[0].page_content == NEW.page_content
        retriever.invoke("belt slips")
    assert [one.getMessage() for one in caplog.records if "sync" in one.getMessage()] == [
        "A search of Unlisted brought passages that were not counted, which are now; sync(passages) counts all others."
    ]
    assert retriever.store.bridge.statistics.df("4107") == 1
    retriever.sync(STORED)
    assert retriever.store.bridge.statistics.df("4107") == 0
    retriever.add_documents([NEW])
    assert retriever.store.bridge.statistics.df("4107") == 1


def test_what_is_added_is_in_the_store() -> None:
    store = Unlisted(WordEmbeddings())
    retriever = LexSemBridgeRetriever.from_vectorstore(store, documents=STORED, k=9)  # which is not in the store yet
    retriever.add_documents(STORED)
    assert len(retriever.invoke(QUERY)) == len(STORED)
    copy = Document(id="copy", page_content=STORED[0].page_content)
    assert retriever.add_documents([copy]) == ["copy"]
    assert len(store._store.store) == len(STORED) + 1


def test_other_metadata_replace_a_document(kind: str) -> None:
    store = STORES[kind](STORED, WordEmbeddings())
    retriever = LexSemBridgeRetriever.from_vectorstore(store)
    retriever.add_documents([Document(id=IDS["lunch"], page_content=STORED[-1].page_content, metadata={"floor": 2})])
    assert [one.metadata for one in retriever.get([IDS["lunch"]])] == [{"floor": 2}]


def test_a_failed_embedding_loses_nothing(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = STORES[kind](STORED, WordEmbeddings())
    retriever = LexSemBridgeRetriever.from_vectorstore(store, k=1)
    retriever.invoke(QUERY)

    def refuse(texts: list[str]) -> list[list[float]]:
        raise TimeoutError("429")

    monkeypatch.setattr(store.embeddings, "embed_documents", refuse)
    with pytest.raises(TimeoutError):
        retriever.add_documents([Document(id=IDS["pump"], page_content="E-4012 was changed.")])
    assert ids(retriever.invoke(QUERY)) == [IDS["pump"]]


def test_metadata_and_blanks_are_the_stores_business() -> None:
    nested = [Document(page_content=one.page_content, metadata={"loc": {"lines": {"from": 1}}}) for one in STORED]
    store = Unlisted(WordEmbeddings())
    store.add_documents(nested)
    retriever = LexSemBridgeRetriever.from_vectorstore(store, documents=[*nested, Document(" ")], k=1)
    assert retriever.invoke(QUERY)[0].metadata["loc"] == {"lines": {"from": 1}}
    with pytest.raises(InvalidInputError, match="Give documents= or texts=, not both"):
        LexSemBridgeRetriever.from_vectorstore(store, documents=nested, texts=["a"])


def test_threads_search_while_others_change_faiss() -> None:
    documents = [Document(f"E-{1000 + n} is fault {n}.", id=str(n)) for n in range(60)]
    store = FAISS.from_documents(documents, WordEmbeddings())
    retriever = LexSemBridgeRetriever.from_vectorstore(store, k=3, rerank=False)
    expected = {one.page_content: one.metadata["score"] for one in retriever.invoke("E-1007 fault", k=60)}
    failures: list[object] = []

    def search() -> None:
        for _ in range(40):
            for one in LexSemBridgeRetriever.from_vectorstore(store, k=60, rerank=False, strength=0).invoke("E-1007"):
                if abs(one.metadata["score"] - plain[one.page_content]) > 1e-4:
                    failures.append(one)

    def change(number: int) -> None:
        for n in range(number, 40, 2):
            retriever.delete([str(n)])
            retriever.add_documents([documents[n]])

    plain = {
        one.page_content: one.metadata["score"]
        for one in LexSemBridgeRetriever.from_vectorstore(store, k=60, rerank=False, strength=0).invoke("E-1007")
    }
    with ThreadPoolExecutor(4) as pool:
        for done in [*(pool.submit(search) for _ in range(2)), *(pool.submit(change, n) for n in range(2))]:
            done.result()
    assert not failures
    assert len(expected) == store.index.ntotal == 60


def test_an_index_that_keeps_no_vectors_is_embedded(caplog: pytest.LogCaptureFixture) -> None:
    import faiss

    texts = [f"E-{1000 + n} is fault {n} of pump {n % 7}." for n in range(300)]
    embeddings = WordEmbeddings()
    vectors = np.array(embeddings.embed_documents(texts), np.float32)
    for make, embedded in ((lambda: faiss.IndexPQ(64, 8, 6), 300), (_inverted_file, 8)):
        index = make()
        index.train(vectors)
        store = FAISS(embeddings, index, InMemoryDocstore(), {})
        store.add_texts(texts)
        embeddings.calls.clear()
        with caplog.at_level(logging.WARNING, "lsb_rag"):
            found = LexSemBridgeRetriever.from_vectorstore(store, k=1).invoke("what is E-1042")
        assert found[0].page_content == texts[42]
        counted = sum(n for side, n in embeddings.calls if side == "documents")
        assert embedded <= counted <= embedded + 20  # what tells the model from others
    assert [one.getMessage()[:35] for one in caplog.records] == ["FAISS does not give its vectors, so"]


def _inverted_file() -> Any:
    import faiss

    index = faiss.IndexIVFFlat(faiss.IndexFlatL2(64), 64, 4)
    index.nprobe = 4
    return index


def test_copies_share_the_store_and_pickles_are_refused() -> None:
    retriever = LexSemBridgeRetriever.from_vectorstore(FAISS.from_documents(STORED, WordEmbeddings()), k=1)
    for copied in (copy.deepcopy(retriever), retriever.model_copy(deep=True), copy.copy(retriever)):
        assert copied.store is retriever.store
        assert ids(copied.invoke(QUERY)) == [IDS["pump"]]
    with pytest.raises(InvalidTypeError, match="cannot be pickled, as it holds the open vector store"):
        pickle.dumps(retriever)


def test_ids_of_qdrant() -> None:
    retriever = LexSemBridgeRetriever.from_vectorstore(qdrant(STORED, WordEmbeddings()), k=1)
    with pytest.raises(InvalidInputError, match="Qdrant takes whole numbers and UUIDs as ids, not 'E-1'"):
        retriever.add_documents([NEW], ids=["E-1"])
    [made] = retriever.add_texts(["E-4107: the belt slips."])
    assert ids(retriever.invoke("E-4107")) == [made]
    assert retriever.get(["E-1"]) == []
    assert not retriever.delete(["E-1"])
    assert retriever.add_documents([Document("E-4108: the belt is torn.")], ids=["17"]) == ["17"]
    assert ids(retriever.invoke("E-4108")) == ["17"]


def test_embeddings_with_a_bridge_that_has_become_stale_say_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fitted = LexSemBridgeEmbeddings(embeddings=WordEmbeddings())
    fitted.fit([one.page_content for one in STORED])
    fitted.save(tmp_path / "bridge")
    store = FAISS.from_documents(
        STORED, LexSemBridgeEmbeddings(embeddings=fitted.embeddings, bridge=tmp_path / "bridge")
    )
    with caplog.at_level(logging.WARNING, "lsb_rag"):
        store.similarity_search(QUERY)
        store.add_documents([NEW])
        assert not caplog.records
        for _ in range(2):
            store.similarity_search("what does E-4107 mean")
    assert [one.getMessage()[:66] for one in caplog.records] == [
        "The bridge was fitted before passages with 'e-4107' were embedded,"
    ]


# -- statistics -----------------------------------------------------------------------------------------------------


def test_a_file_keeps_the_statistics(kind: str, tmp_path: Path) -> None:
    embeddings, file = WordEmbeddings(), tmp_path / "manual.statistics"
    store = STORES[kind](STORED, embeddings)
    first = LexSemBridgeRetriever.from_vectorstore(store, statistics=file)
    expected = first.invoke(QUERY)
    assert file.is_file()
    first.close()
    embeddings.calls.clear()
    again = LexSemBridgeRetriever.from_vectorstore(store, statistics=file)
    assert scores(again.invoke(QUERY)) == scores(expected)
    assert ("documents", len(STORED)) not in embeddings.calls
    again.close()
    with pytest.raises(InvalidInputError, match="give Unlisted a file of its own"):
        LexSemBridgeRetriever.from_vectorstore(Unlisted(embeddings), documents=STORED, statistics=file)


def test_a_file_of_somebody_elses_is_left_alone(tmp_path: Path) -> None:
    store = FAISS.from_documents(STORED, WordEmbeddings())
    store.save_local(str(tmp_path))
    for name in ("index.pkl", "index.faiss"):
        content = (tmp_path / name).read_bytes()
        with pytest.raises(CorruptFileError, match="is no statistics file, or damaged; name another"):
            LexSemBridgeRetriever.from_vectorstore(store, statistics=tmp_path / name)
        assert (tmp_path / name).read_bytes() == content
    theirs = sqlite3.connect(tmp_path / "customers.db")
    with theirs:
        theirs.execute("CREATE TABLE about (key TEXT, value TEXT)")
    with pytest.raises(CorruptFileError):
        LexSemBridgeRetriever.from_vectorstore(store, statistics=tmp_path / "customers.db")
    assert theirs.execute("SELECT count(*) FROM about").fetchone() == (0,)
    theirs.close()


def test_one_that_cannot_list_is_counted_once(tmp_path: Path) -> None:
    embeddings, file = WordEmbeddings(), tmp_path / "manual.statistics"
    store = Unlisted(embeddings)
    store.add_documents(STORED)
    expected = LexSemBridgeRetriever.from_vectorstore(store, documents=STORED, statistics=file).invoke(QUERY)
    embeddings.calls.clear()
    again = LexSemBridgeRetriever.from_vectorstore(store, statistics=file)
    assert scores(again.invoke(QUERY)) == scores(expected)
    assert all(side == "query" or n < len(STORED) for side, n in embeddings.calls)
    others = (
        (WordEmbeddings(32), "are of vectors of 64 dimensions"),
        (OtherWords(), "were counted with"),
    )
    for other, why in others:
        with pytest.raises(FingerprintMismatchError, match=why):
            LexSemBridgeRetriever.from_vectorstore(Unlisted(other), documents=STORED, statistics=file)
    assert scores(again.invoke(QUERY)) == scores(expected)


def test_another_model_than_the_stores(kind: str, embeddings: HuggingFaceEmbeddings, tmp_path: Path) -> None:
    store = STORES[kind](STORED, DeterministicFakeEmbedding(size=384))
    with pytest.raises(FingerprintMismatchError, match="were made with another model than"):
        LexSemBridgeRetriever.from_vectorstore(store, model=embeddings).invoke(QUERY)
    narrow = STORES[kind](STORED, WordEmbeddings())
    with pytest.raises(FingerprintMismatchError, match="dimension: 64 against 384"):
        LexSemBridgeRetriever.from_vectorstore(narrow, model=embeddings).invoke(QUERY)
    file = tmp_path / "manual.statistics"
    LexSemBridgeRetriever.from_vectorstore(store, statistics=file).invoke(QUERY)
    with pytest.raises(FingerprintMismatchError, match="were counted with"):
        LexSemBridgeRetriever.from_vectorstore(store, statistics=file, model=embeddings)


def test_sentences_over_a_model_that_runs_here(embeddings: HuggingFaceEmbeddings) -> None:
    text = "The pump is blue. E-4012 means that its inlet is blocked by sand. It weighs two kilograms."
    store = FAISS.from_texts([text, "Lunch is served at noon."], embeddings)
    with_sentences = LexSemBridgeRetriever.from_vectorstore(store, k=2)
    without = LexSemBridgeRetriever.from_vectorstore(store, k=2, sentences=False)
    assert scores(with_sentences.invoke("why is the inlet blocked")) != scores(
        without.invoke("why is the inlet blocked")
    )
    assert with_sentences.store.embed_sentences() == 0  # both were looked at


# -- mistakes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: "./db", "takes a vector store of LangChain's, not str. A folder, a server or a client of Chroma goes"),
        (lambda: FAISS, "not the class FAISS. Make an instance of it"),
        (lambda: WordEmbeddings(), "takes a vector store of LangChain's, not WordEmbeddings"),
        (lambda: QdrantClient(":memory:"), "takes a vector store of LangChain's, not QdrantClient"),
    ],
)
def test_what_is_no_vector_store(wrong: Callable[[], Any], said: str) -> None:
    with pytest.raises(InvalidTypeError, match=said):
        LexSemBridgeRetriever.from_vectorstore(wrong())


def test_a_store_that_is_not_searched_by_vector() -> None:
    class ByText(Unlisted):
        similarity_search_by_vector = VectorStore.similarity_search_by_vector

    with pytest.raises(InvalidTypeError, match="can be searched by vector, not ByText"):
        LexSemBridgeRetriever.from_vectorstore(ByText(WordEmbeddings()))


def test_statistics_that_cannot_be_kept_there(tmp_path: Path) -> None:
    store = FAISS.from_documents(STORED, WordEmbeddings())
    with pytest.raises(ReadError, match="is a folder; statistics= names a file in one"):
        LexSemBridgeRetriever.from_vectorstore(store, statistics=tmp_path)
    with pytest.raises(InvalidInputError, match="leave statistics= out"):
        LexSemBridgeRetriever.from_vectorstore(Chroma(), statistics=tmp_path / "file")


def test_an_empty_store(kind: str) -> None:
    store = STORES[kind](STORED, WordEmbeddings())
    store.delete([str(one.id) for one in STORED])
    retriever = LexSemBridgeRetriever.from_vectorstore(store, k=2)
    assert retriever.invoke(QUERY) == []
    retriever.add_documents([NEW])
    assert ids(retriever.invoke("E-4107")) == [NEW.id]


def test_documents_of_older_versions_without_an_id() -> None:
    store = FAISS.from_documents(STORED, WordEmbeddings())
    for document in store.docstore._dict.values():
        document.id = None
    assert ids(LexSemBridgeRetriever.from_vectorstore(store, k=1).invoke(QUERY)) == [IDS["pump"]]


def test_the_store_is_a_retrievers(embeddings: HuggingFaceEmbeddings) -> None:
    retriever = LexSemBridgeRetriever.from_vectorstore(in_memory(STORED, LexSemBridgeEmbeddings(embeddings=embeddings)))
    assert isinstance(retriever.store, ExternalStore)
    assert repr(retriever.store) == "ExternalStore('InMemoryVectorStore')"
    assert ids(retriever.invoke(QUERY))[0] == IDS["pump"]


def test_a_store_that_fails_says_which() -> None:
    retriever = LexSemBridgeRetriever.from_vectorstore(FAISS.from_documents(STORED, WordEmbeddings()))
    with pytest.raises(StoreError, match="The search of FAISS failed: "):
        retriever.invoke(QUERY, filter=7)
    assert retriever.invoke(QUERY)
