"""A corpus-fitted bridge as one file, with the fingerprint of the backbone it was fitted for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

from ..errors import CorruptFileError, ReadError
from ..lexical.analyzer import UnitKind
from ..statistics.in_memory import CorpusStatistics
from .adaptation import Adaptation
from .corpus import CorpusBridge


def save_bridge(bridge: CorpusBridge, fingerprint: str, path: str | Path) -> None:
    """Write `bridge` to one safetensors file, in one piece or not at all.

    :param fingerprint: Fingerprint, as JSON, of the backbone whose vectors the bridge was fitted on.
    :raises StoreError: When the disk is full or not writable; an earlier file stays as it was.
    """
    about = {"units": bridge.units or "", "ridge": repr(bridge.ridge), "fingerprint": fingerprint}
    if bridge.adaptation is not None:
        about["adaptation"] = json.dumps(bridge.adaptation.as_dict())
    bridge.statistics.save(Path(path), about)


def load_bridge(path: str | Path) -> tuple[CorpusBridge, str]:
    """Read a file written by :func:`save_bridge`.

    :return: The bridge, and the fingerprint, as JSON, of the backbone it goes with.
    :raises ReadError: When there is no such file.
    :raises CorruptFileError: When it is truncated, damaged, or holds something else.
    """
    try:
        statistics, about = CorpusStatistics.load(Path(path))
    except ReadError as error:
        raise ReadError(f"There is no saved bridge at {path}; save() writes one.") from error
    except CorruptFileError as error:
        raise CorruptFileError(
            f"{path} is no saved bridge, of another version, or damaged; fit and save it again. {error}"
        ) from error
    try:
        fingerprint = str(about["fingerprint"])
        units = cast("UnitKind | None", str(about["units"]) or None)
        saved = about.get("adaptation")
        adaptation = Adaptation.from_dict(json.loads(str(saved))) if saved else None
        bridge = CorpusBridge(
            statistics, float(about["ridge"]), units=units, adaptation=adaptation, fingerprint=fingerprint
        )
        return bridge, fingerprint
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise CorruptFileError(f"{path} holds statistics, but not those of a saved bridge ({error!r}).") from error
