"""What a saved model may not make this library do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import modules as theirs
from sentence_transformers.util import import_from_string

from lsb_rag import LexSemBridgeEncoder
from lsb_rag.backbones.saved_model import KNOWN, TOKENIZERS, SavedModel
from lsb_rag.backbones.sentence_transformer import load_backbone
from lsb_rag.errors import BackboneError, CorruptFileError, LsbRagError
from lsb_rag.modules import LexicalTransformer, QueryModulation

from ..tiny import WIDTH

DENSE = "sentence_transformers.base.modules.dense.Dense"


@pytest.fixture
def folder(tiny_backbone: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_backbone, tmp_path / "model"))


@pytest.fixture(autouse=True)
def nothing_is_unpickled(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something was unpickled")

    monkeypatch.setattr(torch, "load", refuse)


def listing(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "modules.json").read_text())
    return found


def write(file: Path, content: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content if isinstance(content, str) else json.dumps(content))


def add_dense(folder: Path, path: str = "2_Dense", weights: str = "pytorch_model.bin", kind: str = DENSE) -> None:
    """Add a Dense module with pickled weights, as older versions of sentence-transformers wrote it."""
    config = {"in_features": WIDTH, "out_features": 8, "activation_function": "torch.nn.modules.activation.Tanh"}
    write(folder / path / "config.json", config)
    torch.save(torch.nn.Linear(WIDTH, 8).state_dict(), folder / path / weights)
    write(folder / "modules.json", [*listing(folder), {"idx": 2, "name": "2", "path": path, "type": kind}])


# -- weights ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["Dense", "CNN", "LSTM", "LayerNorm", "WeightedLayerPooling", "StaticEmbedding"])
def test_pickled_weights_of_any_module_are_refused(folder: Path, kind: str) -> None:
    add_dense(folder, kind=f"sentence_transformers.models.{kind}")
    with pytest.raises(BackboneError, match=r"2_Dense but pytorch_model\.bin, a pickle.*save_pretrained"):
        load_backbone(folder)


@pytest.mark.parametrize(
    "weights", ["pytorch_model.bin", "model.pt", "weights.pkl", "pytorch_model-00001-of-00002.bin"]
)
def test_pickled_weights_by_any_name_are_refused(folder: Path, weights: str) -> None:
    (folder / "model.safetensors").rename(folder / weights)
    with pytest.raises(BackboneError, match="a pickle"):
        load_backbone(folder)
    (folder / "modules.json").unlink()
    with pytest.raises(BackboneError, match="a pickle"):
        load_backbone(folder)


def test_other_safetensors_beside_a_pickle_are_not_its_weights(folder: Path) -> None:
    add_dense(folder)
    shutil.copy(folder / "model.safetensors", folder / "2_Dense" / "other.safetensors")
    with pytest.raises(BackboneError, match="no safetensors in 2_Dense"):
        load_backbone(folder)


@pytest.mark.parametrize("shard", ["w.bin", "w.dat"])
def test_pickled_weights_that_an_index_names_are_refused(folder: Path, shard: str) -> None:
    (folder / "model.safetensors").rename(folder / "decoy.safetensors")
    torch.save({}, folder / shard)
    write(folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": {"pooler.dense.bias": shard}})
    with pytest.raises(BackboneError, match="names weights that are no safetensors"):
        load_backbone(str(folder), device="cpu")


@pytest.mark.parametrize("length", ["abc", -5, 1.5, [1]])
def test_a_longest_input_that_is_no_number(folder: Path, length: object) -> None:
    write(folder / "sentence_bert_config.json", {"max_seq_length": length})
    with pytest.raises(CorruptFileError, match="max_seq_length"):
        load_backbone(str(folder), device="cpu")


def test_a_pickled_adapter_is_refused(folder: Path) -> None:
    write(folder / "adapter_config.json", {"peft_type": "LORA"})
    (folder / "adapter_model.bin").write_bytes(b"")
    with pytest.raises(BackboneError, match=r"adapter_model\.bin"):
        load_backbone(folder)


def test_pickled_weights_behind_a_router_are_refused(folder: Path) -> None:
    add_dense(folder, "1_Router/query_0_Dense")
    router = {"idx": 1, "name": "1", "path": "1_Router", "type": "sentence_transformers.models.Router"}
    write(folder / "modules.json", [listing(folder)[0], router])
    write(folder / "1_Router" / "router_config.json", {"types": {"query_0_Dense": DENSE}, "structure": {}})
    with pytest.raises(BackboneError, match="1_Router/query_0_Dense"):
        load_backbone(folder)


def test_pickles_that_nothing_reads_do_no_harm(folder: Path) -> None:
    torch.save({}, folder / "training_args.bin")
    torch.save({}, folder / "pytorch_model.bin")
    assert load_backbone(folder, device="cpu").get_embedding_dimension() == WIDTH


def test_pickled_weights_of_a_saved_encoder_are_refused(folder: Path, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    LexSemBridgeEncoder(folder, device="cpu").save(saved)
    add_dense(saved)
    with pytest.raises(BackboneError, match="2_Dense"):
        LexSemBridgeEncoder.load(saved)


def test_a_model_of_the_hub_is_checked_as_well(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_dense(folder)
    for owner in ("nobody", "sentence-transformers"):
        cached = tmp_path / "hub" / f"models--{owner}--pickled"
        write(cached / "refs" / "main", "a" * 40)
        shutil.copytree(folder, cached / "snapshots" / ("a" * 40))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for name in ("nobody/pickled", "pickled"):
        with pytest.raises(BackboneError, match="no safetensors in 2_Dense"):
            load_backbone(name)


# -- classes ----------------------------------------------------------------------------------------------------------


def test_every_known_class_is_the_one_that_is_meant() -> None:
    for kind in (LexicalTransformer, QueryModulation):
        assert KNOWN[f"{kind.__module__}.{kind.__qualname__}"] == kind.__name__
    for name in set(theirs.__all__) - {"Module", "InputModule"}:
        kind = getattr(theirs, name)
        for path in (f"{kind.__module__}.{name}", f"sentence_transformers.models.{name}", f"{theirs.__name__}.{name}"):
            assert KNOWN[path] == name
            assert import_from_string(path) is kind
    for path, name in TOKENIZERS.items():
        if path.startswith(theirs.__name__):
            assert import_from_string(path).__name__ == name


@pytest.mark.parametrize(
    "kind",
    [
        "sentence_transformers.util.http_get",
        "sentence_transformers.SentenceTransformer",
        "sentence_transformers.models.os.system",
        "sentence_transformers.base.modules.module.Module",
        "modeling_evil.Evil",
        "os.system",
        "",
    ],
)
def test_another_class_is_not_loaded(folder: Path, kind: str) -> None:
    write(folder / "modules.json", [listing(folder)[0] | {"type": kind}])
    with pytest.raises(BackboneError, match="code of its own, which is not run unless you pass trust_remote_code"):
        load_backbone(folder)


def test_code_that_is_trusted_runs(folder: Path) -> None:
    (folder / "modeling_own.py").write_text(
        "from sentence_transformers.sentence_transformer.modules import Normalize\nclass Own(Normalize): pass\n"
    )
    write(folder / "modules.json", [*listing(folder), {"idx": 2, "name": "2", "path": "2", "type": "modeling_own.Own"}])
    with pytest.raises(BackboneError, match=r"modeling_own\.Own"):
        load_backbone(folder)
    assert type(load_backbone(folder, device="cpu", trust_remote_code=True)[2]).__name__ == "Own"


def test_a_class_that_a_modules_configuration_names(folder: Path) -> None:
    add_dense(folder, weights="model.safetensors")
    for activation in ("os.system", "torch.hub.load", "torch.nn.modules.activation.Tanh.forward", "evil.Relu"):
        write(folder / "2_Dense" / "config.json", {"activation_function": activation})
        with pytest.raises(BackboneError, match="activation_function"):
            load_backbone(folder)
    words = {"idx": 0, "name": "0", "path": "0", "type": "sentence_transformers.models.WordEmbeddings"}
    write(folder / "modules.json", [words])
    write(folder / "0" / "wordembedding_config.json", {"tokenizer_class": "sentence_transformers.util.http_get"})
    with pytest.raises(BackboneError, match="tokenizer_class"):
        load_backbone(folder)


def test_a_model_saved_now_and_one_saved_before_are_loaded(folder: Path, tmp_path: Path) -> None:
    model = SentenceTransformer(
        modules=[*load_backbone(folder, device="cpu"), theirs.Dense(WIDTH, 8), theirs.LayerNorm(8), theirs.Normalize()],
        device="cpu",
    )
    model.save_pretrained(str(tmp_path / "now"))
    assert load_backbone(tmp_path / "now", device="cpu").get_embedding_dimension() == 8
    before = [
        one | {"type": f"sentence_transformers.models.{one['type'].split('.')[-1]}"}
        for one in listing(tmp_path / "now")
    ]
    write(tmp_path / "now" / "modules.json", before)
    assert load_backbone(tmp_path / "now", device="cpu").get_embedding_dimension() == 8


# -- damaged files ----------------------------------------------------------------------------------------------------

NESTED = "[" * 100_000 + "]" * 100_000
POOLING = {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}
MODULES = {
    "empty": [],
    "no list": {"0": POOLING},
    "a number": 5,
    "no object": ["0"],
    "no path": [{key: value for key, value in POOLING.items() if key != "path"}],
    "a path that is a number": [POOLING | {"path": 5}],
    "a type that is a list": [POOLING | {"type": []}],
    "outside": [POOLING | {"path": "../.."}],
    "outside by a detour": [POOLING | {"path": "1_Pooling/../../other"}],
    "from the root": [POOLING | {"path": "/etc"}],
    "outside on Windows": [POOLING | {"path": "..\\other"}],
    "on a drive": [POOLING | {"path": "C:\\other"}],
    "no path at all": [POOLING | {"path": "a\0b"}],
    "nested": NESTED,
    "cut short": "[{",
}
CONFIGS = {
    "a prompt that is a number": {"prompts": {"query": 5}},
    "prompts in a list": {"prompts": ["query: "]},
    "no object": [],
    "a default that is a list": {"default_prompt_name": ["query"]},
    "nested": NESTED,
    "cut short": '{"prompts": ',
}


def loaders(folder: Path, saved: Path) -> list[tuple[Path, Callable[[], object]]]:
    return [(folder, lambda: load_backbone(folder)), (saved, lambda: LexSemBridgeEncoder.load(saved, device="cpu"))]


@pytest.fixture(scope="module")
def saved_encoder(tiny_backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    saved = tmp_path_factory.mktemp("saved") / "encoder"
    LexSemBridgeEncoder(tiny_backbone, device="cpu").save(saved)
    return saved


@pytest.mark.parametrize(
    ("file", "content"),
    [("modules.json", content) for content in MODULES.values()]
    + [("config_sentence_transformers.json", content) for content in CONFIGS.values()],
    ids=[*MODULES, *(f"config: {name}" for name in CONFIGS)],
)
def test_a_damaged_file_is_one_sentence(
    folder: Path, saved_encoder: Path, tmp_path: Path, file: str, content: object
) -> None:
    saved = Path(shutil.copytree(saved_encoder, tmp_path / "saved"))
    for where, load in loaders(folder, saved):
        write(where / file, content)
        with pytest.raises(CorruptFileError, match=file) as caught:
            load()
        assert len(str(caught.value)) < 500


@pytest.mark.parametrize("prompts", [{"default_prompt_name": "nowhere"}, {"prompts": None}, {"requirements": 5}])
def test_the_rest_of_a_configuration_raises_nothing_foreign(
    folder: Path, saved_encoder: Path, tmp_path: Path, prompts: dict[str, object]
) -> None:
    saved = Path(shutil.copytree(saved_encoder, tmp_path / "saved"))
    for where, load in loaders(folder, saved):
        write(where / "config_sentence_transformers.json", prompts)
        with suppress(LsbRagError):
            load()


def test_a_router_that_leads_nowhere(folder: Path) -> None:
    router = {"idx": 1, "name": "1", "path": "", "type": "sentence_transformers.models.Router"}
    write(folder / "modules.json", [router])
    for types in ({"": router["type"]}, {".": router["type"]}, {"../other": DENSE}, {"a": 5}, []):
        write(folder / "router_config.json", {"types": types})
        with pytest.raises(CorruptFileError):
            SavedModel(str(folder)).check()
