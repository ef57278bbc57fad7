"""``lsb-rag info``: what is installed, and what a database holds."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING

from .. import __version__
from ..errors import LsbRagError
from .options import AsJson, Db, database, print_json

if TYPE_CHECKING:
    from ..backbones.base import Fingerprint
    from ..backbones.precision import Computation

LIBRARIES = ("chromadb", "onnxruntime", "torch", "transformers", "sentence-transformers")


@dataclass(frozen=True)
class CollectionInfo:
    """A collection: its size, the bytes of its statistics, and the fingerprint of its encoder."""

    name: str
    passages: int
    statistics_bytes: int
    fingerprint: Fingerprint | None


@dataclass(frozen=True)
class About:
    """The installation and a database.

    :param embedded_backbone: The embedded backbone's name, and its folder or the reason why there is none.
    :param graphs: What is known of the backbones that were loaded here: ``exported``, or why PyTorch computes them.
    :param computation: The computation that embeds passages on `device`.
    """

    version: str
    python: str
    libraries: dict[str, str]
    embedded_backbone: dict[str, str]
    graphs: dict[str, str]
    computation: Computation
    device: str
    db: str
    collections: list[CollectionInfo]

    def lines(self) -> list[str]:
        """Return the lines to print."""
        libraries = ", ".join(f"{name} {version}" for name, version in self.libraries.items())
        lines = [
            f"lsb-rag {self.version}, Python {self.python}, {libraries}",
            *(f"{name}: {where}" for name, where in self.embedded_backbone.items()),
            *(f"{name}: {what}" for name, what in self.graphs.items()),
            f"passages are embedded in {self.computation} on {self.device}{_advice(self)}",
            f"{self.db}: {len(self.collections) or 'no'} collection{'' if len(self.collections) == 1 else 's'}",
        ]
        for collection in self.collections:
            fingerprint = collection.fingerprint
            encoder = f"{fingerprint.backbone}, {fingerprint.dimension}-d" if fingerprint else "unknown"
            size = f"statistics {collection.statistics_bytes / 1e6:.1f} MB"
            lines.append(f"  {collection.name}: {collection.passages} passages, {encoder}, {size}")
        return lines


def info(db: Db = None, as_json: AsJson = False) -> None:
    """Show versions, the embedded backbone, and what the database holds."""
    from .console import loading, out, plain

    with loading():
        found = about(database(db))
    if as_json:
        printed = asdict(found)
        for one, collection in zip(printed["collections"], found.collections, strict=True):
            one["fingerprint"] = collection.fingerprint and collection.fingerprint.as_dict()
        print_json(printed)
    else:
        for line in found.lines():
            out.print(plain(line), soft_wrap=True)


def about(db: str | Path) -> About:
    """Collect information about the installation and the database `db`.

    :raises StoreError: When the database cannot be read.
    """
    from ..backbones.base import DEFAULT_BACKBONE
    from ..backbones.choice import passages_by_pytorch
    from ..backbones.embedded import embedded_backbone
    from ..backbones.graph import graph_computation
    from ..backbones.graph_cache import GraphCache, switched_off
    from ..backbones.precision import checked_precision, computation_for, default_device
    from ..store.client import collection_names
    from ..store.passage_store import PassageStore

    try:
        backbone = str(embedded_backbone())
    except LsbRagError as error:
        backbone = str(error)
    device, precision = default_device(), checked_precision()
    stores = [PassageStore(db, name, create=False) for name in collection_names(db)]
    return About(
        version=__version__,
        python=sys.version.split()[0],
        libraries=dict(_installed()),
        embedded_backbone={DEFAULT_BACKBONE: backbone},
        graphs={
            name: f"PyTorch computes it: {refused}" if refused else "exported, runs without PyTorch"
            for name, refused in GraphCache().known()
        },
        computation=computation_for(precision, device)
        if switched_off() or passages_by_pytorch(None, precision)
        else graph_computation(precision),
        device=device,
        db=str(db),
        collections=[
            CollectionInfo(store.name, len(store), store.statistics_bytes, store.fingerprint or store.attached_with)
            for store in stores
        ],
    )


def _installed() -> Iterator[tuple[str, str]]:
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):
            yield name, installed_version(name)


def _advice(found: About) -> str:
    """Return the advice to install OpenVINO, or an empty string where it would not help."""
    from ..backbones.openvino import has_openvino
    from ..backbones.precision import processor_multiplies_bfloat16

    computation = found.computation
    if computation.engine == "onnxruntime" and not has_openvino() and processor_multiplies_bfloat16():
        return "; OpenVINO would do it faster: pip install 'lsb-rag[openvino]'"
    return ""
