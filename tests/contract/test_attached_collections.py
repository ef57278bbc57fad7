"""A collection that another program filled is searched with LexSemBridge, and not one of its records changes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
import pytest
import torch
from chromadb.api.models.Collection import Collection
from langchain_chroma import Chroma
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core.schema import TextNode
from llama_index.embeddings.huggingface import HuggingFaceEmbedding
from llama_index.vector_stores.chroma import ChromaVectorStore

from lsb_rag import LexSemBridgeEncoder, PassageStore, Retriever
from lsb_rag.backbones.embedded import embedded_backbone
from lsb_rag.backbones.sentence_transformer import load_backbone
from lsb_rag.errors import FingerprintMismatchError
from tests.conftest import MANUAL

TEXTS = [passage.content for passage in MANUAL]
IDS = [passage.id for passage in MANUAL]
QUERY = "what does E-4012 mean"
ONNX_FILES = ("config.json", "special_tokens_map.json", "tokenizer_config.json", "tokenizer.json", "vocab.txt")


def everything(collection: Collection) -> tuple[Any, ...]:
    found: Any = collection.get(include=["documents", "metadatas", "embeddings"])
    vectors = np.asarray(found["embeddings"]).tobytes()
    return (
        found["ids"],
        found["documents"],
        found["metadatas"],
        vectors,
        collection.metadata,
        collection.configuration_json,
    )


class MiniLM(Embeddings):
    """As LangChain's own class for sentence-transformers, which is in a package of its own."""

    def __init__(self) -> None:
        self.model = load_backbone(embedded_backbone(), device="cpu")

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return self.model.encode(texts).tolist()  # type: ignore[no-any-return]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


def by_langchain(folder: Path, space: str) -> str:
    store = Chroma(
        "theirs",
        MiniLM(),
        persist_directory=str(folder),
        collection_metadata={"hnsw:space": space},
    )
    store.add_documents([Document(p.content, id=p.id, metadata=dict(p.metadata)) for p in MANUAL])
    return "theirs"


def by_chroma_alone(folder: Path, space: str) -> str:
    client = chromadb.PersistentClient(folder)
    collection = client.create_collection("theirs", embedding_function=None, configuration={"hnsw": {"space": space}})  # type: ignore[typeddict-item]
    vectors = LexSemBridgeEncoder(device="cpu").encode_document(TEXTS)
    collection.add(ids=IDS, documents=TEXTS, embeddings=vectors)
    return "theirs"


def by_llama_index(folder: Path, space: str) -> str:
    client = chromadb.PersistentClient(folder)
    collection = client.create_collection("theirs", embedding_function=None, configuration={"hnsw": {"space": space}})  # type: ignore[typeddict-item]
    storage = StorageContext.from_defaults(vector_store=ChromaVectorStore(chroma_collection=collection))
    nodes = [TextNode(id_=p.id, text=p.content, metadata=dict(p.metadata)) for p in MANUAL]
    embed_model = HuggingFaceEmbedding(str(embedded_backbone()), device="cpu")
    VectorStoreIndex(nodes, embed_model=embed_model, storage_context=storage)
    return "theirs"


@pytest.mark.parametrize("space", ["cosine", "l2", "ip"])
@pytest.mark.parametrize("written", [by_langchain, by_chroma_alone, by_llama_index])
def test_no_record_changes_in_any_space(tmp_path: Path, written: Callable[[Path, str], str], space: str) -> None:
    name = written(tmp_path, space)
    collection = chromadb.PersistentClient(tmp_path).get_collection(name, embedding_function=None)
    before = everything(collection)
    store = PassageStore.attach(tmp_path, name)
    assert (store.verification.by, store.verification.texts) == ("sample", 7)
    assert store.verification.lowest_cosine > 0.9999
    hits = Retriever(store).search(QUERY, 7)
    assert hits[0].id == "pump"
    query = store.encoder.encode_query(QUERY, bridge=store.bridge)
    cosines = dict(zip(IDS, store.vectors(IDS) @ query, strict=True))
    assert [hit.cosine for hit in hits] == pytest.approx([cosines[hit.id] for hit in hits], abs=1e-5)
    assert everything(chromadb.PersistentClient(tmp_path).get_collection(name, embedding_function=None)) == before


@pytest.mark.parametrize("space", ["cosine", "l2"])
def test_another_model_of_the_same_width_is_refused(tmp_path: Path, space: str) -> None:
    name = by_chroma_alone(tmp_path, space)
    collection = chromadb.PersistentClient(tmp_path).get_collection(name, embedding_function=None)
    turned = np.asarray(collection.get(["lunch"], include=["embeddings"])["embeddings"])[:, ::-1]
    collection.update(["lunch"], embeddings=np.ascontiguousarray(turned))
    before = everything(collection)
    with pytest.raises(FingerprintMismatchError, match=r"6 of 7 texts agree.*nothing was changed"):
        PassageStore.attach(tmp_path, name)
    assert everything(collection) == before


def test_one_wrong_vector_is_found_where_the_sample_looks(tmp_path: Path, encoder: LexSemBridgeEncoder) -> None:
    texts = [f"part P-{number} of the pump" for number in range(60)]
    vectors = encoder.encode_document(texts)
    client = chromadb.PersistentClient(tmp_path)
    for name, wrong in (("last", 59), ("first", 0)):
        rows = vectors.copy()
        turned = rows[wrong] + 0.1 * rows[wrong][::-1]  # as of a fine-tuned copy of the model
        rows[wrong] = turned / np.linalg.norm(turned)
        assert 0.99 < vectors[wrong] @ rows[wrong] < 0.998
        collection = client.create_collection(name, embedding_function=None)
        collection.add(ids=[str(number) for number in range(60)], documents=texts, embeddings=rows)
        with pytest.raises(FingerprintMismatchError, match="7 of 8 texts agree"):
            PassageStore.attach(tmp_path, name)


def test_the_backbone_it_was_attached_with_is_remembered(tmp_path: Path) -> None:
    name = by_chroma_alone(tmp_path, "l2")
    PassageStore.attach(tmp_path, name)
    short = LexSemBridgeEncoder(device="cpu")
    short.model.max_seq_length = 32  # long enough for this sample, not for what may be added
    with pytest.raises(FingerprintMismatchError, match=r"attached with all-MiniLM-L6-v2.*max_length: 256 against 32"):
        PassageStore.attach(tmp_path, name, short)


def test_nothing_is_added_to_vectors_that_nothing_vouches_for(tmp_path: Path, encoder: LexSemBridgeEncoder) -> None:
    collection = chromadb.PersistentClient(tmp_path).create_collection("bare", embedding_function=None)
    rows = np.random.default_rng(0).normal(size=(20, 384))
    collection.add(ids=[str(number) for number in range(20)], embeddings=rows / np.linalg.norm(rows, axis=1)[:, None])
    store = PassageStore.attach(tmp_path, "bare", encoder)
    assert (store.verification.by, store.verification.lowest_cosine) == ("nothing", None)
    with pytest.raises(FingerprintMismatchError, match="holds 20 vectors and no text"):
        store.add(["a passage"])
    assert len(store) == 20


WRITE_AND_ATTACH = """
import json, sys
import chromadb
from lsb_rag import PassageStore, Retriever
folder, texts = sys.argv[1], json.loads(sys.argv[2])
collection = chromadb.PersistentClient(folder).create_collection("theirs")  # as in Chroma's own first example
collection.add(ids=[str(n) for n in range(len(texts))], documents=texts)
store = PassageStore.attach(folder, "theirs")
print(json.dumps([
    collection.configuration_json["embedding_function"]["name"], store.space.name, store.verification.texts,
    store.verification.lowest_cosine, [hit.text for hit in Retriever(store).search("what does E-4012 mean", 1)],
]))
"""


def test_a_collection_of_chromas_default_embedding_function(tmp_path: Path) -> None:
    onnx = tmp_path / ".cache" / "chroma" / "onnx_models" / "all-MiniLM-L6-v2" / "onnx"
    export_onnx(onnx)
    command = [sys.executable, "-c", WRITE_AND_ATTACH, str(tmp_path / "db"), json.dumps(TEXTS)]
    home = {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path), "HF_HUB_OFFLINE": "1", "PATH": ""}
    done = subprocess.run(command, capture_output=True, text=True, env=home, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr
    function, space, texts, cosine, found = json.loads(done.stdout.splitlines()[-1])
    assert (function, space, texts, found) == ("default", "l2", 7, [TEXTS[0]])
    assert cosine > 0.9999


def export_onnx(folder: Path) -> None:
    """The backbone's weights in the file that Chroma would download, where it looks for it."""
    folder.mkdir(parents=True)
    for name in ONNX_FILES:
        if (embedded_backbone() / name).is_file():
            shutil.copy(embedded_backbone() / name, folder)
        else:
            (folder / name).write_text("{}")  # looked for, and not read
    backbone: Any = load_backbone(embedded_backbone(), device="cpu")[0]

    class Hidden(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = backbone.model

        def forward(self, ids: torch.Tensor, mask: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
            return self.model(input_ids=ids, attention_mask=mask, token_type_ids=types).last_hidden_state  # type: ignore[no-any-return]

    inputs = ["input_ids", "attention_mask", "token_type_ids"]
    ones = torch.ones(2, 256, dtype=torch.long)
    torch.onnx.export(
        Hidden().eval(),
        (ones, ones, ones * 0),
        str(folder / "model.onnx"),
        input_names=inputs,
        output_names=["hidden"],
        dynamic_axes={name: {0: "batch", 1: "tokens"} for name in (*inputs, "hidden")},
        dynamo=False,
    )
