"""What the files of a saved model name, checked before any of it is loaded: modules, their weights, prompts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

from ..errors import BackboneError, CorruptFileError

TRANSFORMER_CONFIG = "sentence_bert_config.json"
INDEXES = ("model.safetensors.index.json", "adapter_model.safetensors.index.json")
"""Files that name the files of weights."""
PICKLED = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")
"""Suffixes of files that PyTorch unpickles."""
WEIGHTS = "model.safetensors"
MODULES = "modules.json"
CONFIG = "config_sentence_transformers.json"

OURS = {
    "lsb_rag.modules.lexical_transformer.LexicalTransformer": "LexicalTransformer",
    "lsb_rag.modules.query_modulation.QueryModulation": "QueryModulation",
}


def _spellings(package: str, old: str, files: Mapping[str, str]) -> dict[str, str]:
    """Return the names of classes by every path that a version of sentence-transformers has written.

    :param package: Where they are since version 5.4.
    :param old: Where they were before, each in a file of its own name.
    :param files: The file of each class.
    """
    return {
        path: name
        for name, file in files.items()
        for path in (f"{package}.{name}", f"{package}.{file}.{name}", f"{old}.{name}", f"{old}.{name}.{name}")
    }


_OLD = "sentence_transformers.models"
_NEW = "sentence_transformers.sentence_transformer.modules"
_BASE = {"Dense": "dense", "Normalize": "normalize", "Router": "router", "Asym": "router", "Transformer": "transformer"}
_OWN = {
    "BoW": "bow",
    "CLIPModel": "clip_model",
    "CNN": "cnn",
    "Dropout": "dropout",
    "LSTM": "lstm",
    "LayerNorm": "layer_norm",
    "Pooling": "pooling",
    "StaticEmbedding": "static_embedding",
    "WeightedLayerPooling": "weighted_layer_pooling",
    "WordEmbeddings": "word_embeddings",
    "WordWeights": "word_weights",
}
KNOWN = OURS | _spellings("sentence_transformers.base.modules", _OLD, _BASE) | _spellings(_NEW, _OLD, _BASE | _OWN)
"""Classes of the modules that are loaded, by the paths that ``modules.json`` names them by."""
TOKENIZERS = _spellings(
    f"{_NEW}.tokenizer",
    f"{_OLD}.tokenizer",
    {"PhraseTokenizer": "phrase", "WhitespaceTokenizer": "whitespace", "WordTokenizer": "word"},
)
WEIGHTED = ("CNN", "Dense", "LSTM", "LayerNorm", "StaticEmbedding", "WeightedLayerPooling", "WordEmbeddings")
"""Modules that would read ``pytorch_model.bin`` where there is no ``model.safetensors``."""
TRANSFORMERS = ("CLIPModel", "LexicalTransformer", "Transformer")
ROUTERS = ("Asym", "Router")
ROUTER_FILES = ("router_config.json", "config.json")
NAMING: dict[str | None, tuple[str, str, Callable[[str], object]]] = {
    "Dense": ("config.json", "activation_function", re.compile(r"torch\.nn\.(modules\.\w+\.)?\w+").fullmatch),
    "WordEmbeddings": ("wordembedding_config.json", "tokenizer_class", TOKENIZERS.get),
}
"""Modules whose configuration names a class, which is imported: its file, the key, and whether a name is allowed."""


@dataclass(frozen=True)
class SavedModel:
    """The files of a model.

    :param name: Its folder, or its name on the hub.
    :param revision: For a name on the hub.
    """

    name: str
    revision: str | None = None

    def check(self, *, trust_remote_code: bool | None = None) -> list[dict[str, Any]]:
        """Return the modules that ``modules.json`` lists, in its order; none where there is no such file.

        :param trust_remote_code: Whether modules of other classes than the known ones may be there; None where nobody
            can say so.
        :raises BackboneError: For a module of an unknown class, and for weights that are not safetensors.
        :raises CorruptFileError: For a file that is damaged or does not say what it has to.
        """
        self._check_config()
        if self._file(MODULES) is None:
            self._check_weights("", "Transformer")
            return []
        modules = self._read(MODULES)
        if not isinstance(modules, list) or not modules:
            raise self._damaged(MODULES, "it lists no module")
        for module in modules:
            if not isinstance(module, dict) or not all(isinstance(module.get(key), str) for key in ("path", "type")):
                raise self._damaged(MODULES, "a module has no path or no type")
            self._check_module(module["type"], module["path"], trust_remote_code)
        return modules

    def _check_config(self) -> None:
        config = self._object(CONFIG)
        prompts = config.get("prompts") or {}
        if not isinstance(prompts, dict) or not all(isinstance(text, str | None) for text in prompts.values()):
            raise self._damaged(CONFIG, "its prompts are no texts by name")
        if not isinstance(config.get("default_prompt_name"), str | None):
            raise self._damaged(CONFIG, "its default prompt has no name")

    def _check_module(self, kind: str, path: str, trust_remote_code: bool | None) -> None:
        where = PureWindowsPath(path)  # which tells the paths of every system
        if where.anchor or ".." in where.parts or "\0" in path:
            raise self._damaged(MODULES, f"the path {path[:60]!r} leads out of the model's folder")
        known = KNOWN.get(kind)
        if known is None and not trust_remote_code:
            raise self._foreign(f"The module type {kind[:100]!r}", trust_remote_code)
        if known in ROUTERS:
            for name, inner in self._routes(path).items():
                self._check_module(inner, f"{path}/{name}" if path else name, trust_remote_code)
            return
        if known in NAMING and not trust_remote_code:
            file, key, allowed = NAMING[known]
            named = self._object(file, path).get(key)
            if named is not None and not allowed(str(named)):
                raise self._foreign(f"The {key} {str(named)[:100]!r}", trust_remote_code)
        self._check_weights(path, known)

    def _routes(self, path: str) -> dict[str, str]:
        """Return the types of a router's modules, by their folders in its own."""
        file = next((name for name in ROUTER_FILES if self._file(name, path)), ROUTER_FILES[0])
        routes = self._object(file, path).get("types")
        if not isinstance(routes, dict) or not all(
            isinstance(kind, str) and PureWindowsPath(name).parts for name, kind in routes.items()
        ):
            raise self._damaged(file, "its types are none by name")
        return routes

    def _check_weights(self, path: str, kind: str | None) -> None:
        wanted = WEIGHTS if kind in WEIGHTED else ""
        if kind in TRANSFORMERS and self._file("adapter_config.json", path):
            wanted = "adapter_model.safetensors"
        folder = Path(self.name, path)
        there = sorted(file.name for file in folder.iterdir()) if folder.is_dir() else []
        pickled = [name for name in there if name.lower().endswith(PICKLED)]
        if wanted:
            is_there = self._file(wanted, path) is not None
        else:
            is_there = not pickled or any(name.endswith(".safetensors") for name in there)
        if kind in TRANSFORMERS:
            longest = self._object(TRANSFORMER_CONFIG, path).get("max_seq_length")
            if longest is not None and (not isinstance(longest, int) or longest < 1):
                raise self._damaged(TRANSFORMER_CONFIG, "its max_seq_length is no number of tokens")
        for index in INDEXES:
            shards = self._object(index, path).get("weight_map") if self._file(index, path) else {}
            if not isinstance(shards, dict) or not all(str(name).endswith(".safetensors") for name in shards.values()):
                raise BackboneError(f"{index} of the model {self.name} names weights that are no safetensors.")
        if not is_there:
            where = (path or "its folder") + (f" but {pickled[0]}, a pickle" if pickled else "")
            raise BackboneError(
                f"The model {self.name} has no safetensors in {where}; no other weights are read. Where you trust it, "
                "convert it: load it with sentence_transformers.SentenceTransformer, and save it with "
                "save_pretrained()."
            )

    # -- files ----------------------------------------------------------------------------------------------------

    def _file(self, name: str, folder: str = "") -> Path | None:
        from sentence_transformers.util import load_file_path

        options: Any = {"subfolder": folder, "revision": self.revision}
        found = load_file_path(self.name, name, **options)
        return Path(found) if found and Path(found).is_file() else None

    def _object(self, name: str, folder: str = "") -> dict[str, Any]:
        """Return what a file holds; nothing where it is not there."""
        found = self._read(name, folder)
        if not isinstance(found, dict):
            raise self._damaged(name, "it holds no object")
        return found

    def _read(self, name: str, folder: str = "") -> Any:
        file = self._file(name, folder)
        if file is None:
            return {}
        try:
            return json.loads(file.read_text(encoding="utf-8"))
        except RecursionError as error:
            raise self._damaged(name, "it is nested too deep") from error
        except (OSError, ValueError) as error:
            raise self._damaged(name, f"it is no JSON ({error})") from error

    def _damaged(self, file: str, why: str) -> CorruptFileError:
        return CorruptFileError(f"{file} of the model {self.name} is damaged: {why}.")

    def _foreign(self, what: str, trust_remote_code: bool | None) -> BackboneError:
        unless = "" if trust_remote_code is None else " unless you pass trust_remote_code"
        return BackboneError(f"{what} of {self.name} comes with code of its own, which is not run{unless}.")


def is_saved_pipeline(path: str | Path) -> bool:
    """Whether a folder holds a pipeline with a modulation, as :meth:`LexSemBridgeEncoder.save` writes it."""
    try:
        listing = (Path(path) / MODULES).read_text(encoding="utf-8")
        return any(entry["type"] in OURS for entry in json.loads(listing))
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return False
