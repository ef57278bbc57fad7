from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from transformers import AutoTokenizer

from lsb_rag import LexSemBridgeEncoder, PassageStore, Retriever, load_authors_checkpoint
from lsb_rag.errors import BackboneError, CorruptFileError, InvalidInputError

from ..conftest import MANUAL
from ..tiny import WIDTH, tiny_masked_lm, tiny_tokenizer

QUERIES = ["what does E-4012 mean", "the the valve", "pump"]


def save_checkpoint(folder: Path, paradigm: str) -> Path:
    """A full state dict in the authors' layout: ``model.*``, ``linearlayer.*``, ``sparse_linear.*`` or ``scale``."""
    folder.mkdir(parents=True)
    tokenizer = tiny_tokenizer("wordpiece")
    masked = tiny_masked_lm("wordpiece", tokenizer)
    model = masked if paradigm == "clr" else masked.bert
    torch.manual_seed(7)
    state = {f"model.{key}": value.clone() for key, value in model.state_dict().items()}
    state["linearlayer.weight"] = torch.randn(WIDTH, len(tokenizer))
    state["linearlayer.bias"] = torch.randn(WIDTH)
    if paradigm == "llr":
        state["sparse_linear.weight"], state["sparse_linear.bias"] = torch.randn(1, WIDTH), torch.randn(1)
    if paradigm == "slr":
        state["scale"] = torch.tensor([1.7])
    save_file(state, folder / "model.safetensors")
    model.config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize("paradigm", ["slr", "llr", "clr"])
def test_a_full_checkpoint_gives_the_papers_vectors(tmp_path: Path, paradigm: str, pooling: str) -> None:
    folder = save_checkpoint(tmp_path / "checkpoint", paradigm)
    encoder = load_authors_checkpoint(folder, pooling=pooling, device="cpu")
    assert (encoder.modulation.paradigm, encoder.fusion, encoder.units) == (paradigm, "product", "wordpieces")

    # The paper's computation, densely, on the raw state dict.
    # The saved tokenizer: trained again, it may number its pieces otherwise.
    state, tokenizer = load_file(folder / "model.safetensors"), AutoTokenizer.from_pretrained(folder)
    masked = tiny_masked_lm("wordpiece", tokenizer).eval()
    inputs = tokenizer(QUERIES, padding=True, return_tensors="pt")
    with torch.inference_mode():
        hidden = masked.bert(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).last_hidden_state
        mask = inputs["attention_mask"][..., None]
        e = hidden[:, 0] if pooling == "cls" else (hidden * mask).sum(1) / mask.sum(1)
        counted = inputs["attention_mask"].bool() & ~torch.isin(
            inputs["input_ids"], torch.tensor(tokenizer.all_special_ids)
        )
        if paradigm == "clr":
            w = torch.log1p(torch.relu(masked.cls(hidden[:, 0])))
            w[:, tokenizer.all_special_ids] = 0
        else:
            w = torch.zeros(len(QUERIES), len(tokenizer))
            scores = torch.full(counted.shape, 1.7)
            if paradigm == "llr":
                scores = torch.relu(hidden @ state["sparse_linear.weight"][0] + state["sparse_linear.bias"])
            for row, position in counted.nonzero().tolist():
                t = inputs["input_ids"][row, position]
                w[row, t] = torch.maximum(w[row, t], scores[row, position])
        v = w @ state["linearlayer.weight"].T + state["linearlayer.bias"]
        expected = torch.nn.functional.normalize(torch.nn.functional.normalize(e) * torch.softmax(v, dim=1))
    np.testing.assert_allclose(encoder.encode_query(QUERIES), expected.numpy(), atol=1e-5)
    plain = torch.nn.functional.normalize(e).numpy()
    np.testing.assert_allclose(encoder.embed_query(QUERIES), plain, atol=1e-5)
    encoder.save(tmp_path / "again")
    again = LexSemBridgeEncoder.load(tmp_path / "again", device="cpu")
    assert again.encode_query(QUERIES).tobytes() == encoder.encode_query(QUERIES).tobytes()


def test_a_published_checkpoint_is_a_plain_encoder_and_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tokenizer = tiny_tokenizer("wordpiece")
    tiny_masked_lm("wordpiece", tokenizer).bert.save_pretrained(tmp_path / "bert")
    tokenizer.save_pretrained(tmp_path / "bert")
    modules = [Transformer(str(tmp_path / "bert")), Pooling(WIDTH, "cls"), Normalize()]
    folder = tmp_path / "Jasaxion" / "LexSemBridge_CLR_snowflake"
    SentenceTransformer(modules=modules, device="cpu").save_pretrained(str(folder))
    with caplog.at_level(logging.WARNING):
        encoder = LexSemBridgeEncoder(folder, device="cpu")
        LexSemBridgeEncoder(folder, device="cpu")
    said = [record.message for record in caplog.records if "plain encoder" in record.message]
    assert len(said) == 1
    assert "bridge was not saved" in said[0]
    assert encoder.encode_query(QUERIES).tobytes() == encoder.encode_document(QUERIES).tobytes()
    store = PassageStore(tmp_path / "db", "manual", encoder)  # the corpus-fitted bridge on top
    store.add(MANUAL)
    assert Retriever(store).search("E-4012", 1)[0].id == "pump"
    with pytest.raises(CorruptFileError, match="no full checkpoint"):
        load_authors_checkpoint(folder)


def test_pickles_and_incomplete_checkpoints_are_refused(tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path / "checkpoint", "llr")
    whole = load_file(folder / "model.safetensors")
    for key in ("sparse_linear.bias", "model.embeddings.word_embeddings.weight"):
        save_file({k: v for k, v in whole.items() if k != key}, folder / "model.safetensors")
        with pytest.raises(CorruptFileError, match="no complete checkpoint of LLR"):
            load_authors_checkpoint(folder)
    save_file({**whole, "linearlayer.weight": torch.zeros(WIDTH, 5)}, folder / "model.safetensors")
    with pytest.raises((CorruptFileError, ValueError), match=r"wordpieces|complete"):
        load_authors_checkpoint(folder)
    save_file(whole, folder / "model.safetensors")
    with pytest.raises(InvalidInputError, match="cls or mean"):
        load_authors_checkpoint(folder, pooling="max")
    (folder / "tokenizer.json").rename(folder / "elsewhere")
    with pytest.raises(CorruptFileError, match="no tokenizer"):
        load_authors_checkpoint(folder)
    (folder / "model.safetensors").write_bytes(b"\x80\x04\x95")
    with pytest.raises(CorruptFileError, match="damaged"):
        load_authors_checkpoint(folder)
    (folder / "model.safetensors").unlink()
    torch.save(whole, folder / "pytorch_model.bin")
    with pytest.raises(BackboneError, match=r"pytorch_model\.bin is a pickle"):
        load_authors_checkpoint(folder)
    shutil.rmtree(folder)
    with pytest.raises(BackboneError, match=r"no model\.safetensors"):
        load_authors_checkpoint(folder)
