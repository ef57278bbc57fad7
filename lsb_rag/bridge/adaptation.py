"""What was learned for one collection without labels: the weights of a query's words, and the bridge's strength."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import CorruptFileError, StoreError
from ..utils.files import write_text

if TYPE_CHECKING:
    from .weighting import Learned

logger = logging.getLogger(__name__)

FORMAT = "lsb-rag adaptation 3"
OLDER = ("lsb-rag adaptation 1", "lsb-rag adaptation 2")
"""Older formats: for plain means, and for the units and the ridge of earlier versions."""


@dataclass(frozen=True)
class Adaptation:
    """A head of LLR over words, ``w_t = max over j with t_j = t of ReLU(u . h_j + b)``, and the strength it goes with.

    :param u: One number for each of the d components of a hidden state; empty where words are weighted alike, as by
        SLR.
    :param b: The weight where u is 0.
    :param strength: Strength of the residual.
    :param fingerprint: Digest of the weights of the backbone whose hidden states u reads.
    :param measured: The gain on held-out queries drawn from the collection; for people.
    """

    u: tuple[float, ...]
    b: float
    strength: float
    fingerprint: str
    measured: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, head: Learned | None, strength: float, fingerprint: str, measured: Mapping[str, Any]) -> Adaptation:
        """Return what `head` learned; without a head, the strength alone."""
        if head is None:
            return cls((), 1.0, strength, fingerprint, dict(measured))
        u = tuple(head.linear.weight.detach().double().flatten().tolist())
        return cls(u, float(head.linear.bias.detach()), strength, fingerprint, dict(measured))

    @cached_property
    def head(self) -> Learned | None:
        """The weighting, on the CPU; None where words are weighted alike."""
        if not self.u:
            return None
        import torch

        from .weighting import Learned

        head = Learned(len(self.u))
        with torch.no_grad():
            head.linear.weight.copy_(torch.tensor([self.u]))
            head.linear.bias.fill_(self.b)
        return head.eval().requires_grad_(False)

    def as_dict(self) -> dict[str, Any]:
        """Return a dictionary for JSON, from which floats come back to the last bit."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_dict(cls, value: Any) -> Adaptation:
        """Return the adaptation that :meth:`as_dict` described.

        :raises CorruptFileError: For anything else.
        """
        try:
            if value["format"] != FORMAT:
                raise ValueError(f"the format is {value['format']!r}")
            u = tuple(map(float, value["u"]))
            b, strength = float(value["b"]), float(value["strength"])
            if not all(map(isfinite, (*u, b, strength))) or strength < 0:
                raise ValueError("it holds impossible numbers")
            return cls(u, b, strength, str(value["fingerprint"]), dict(value["measured"]))
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptFileError(f"This is no adaptation, or a damaged one: {error!r}.") from error


class KeptAdaptation:
    """The adaptation of one collection, in a JSON file beside its statistics.

    :param path: The file; None keeps the adaptation in memory, with its collection.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._modified = 0
        """When the file was modified that the adaptation was read from, in nanoseconds."""
        self._current: Adaptation | None = None

    def read(self) -> Adaptation | None:
        """Return what is kept now, whoever wrote it, or None.

        :raises CorruptFileError: When the file is damaged.
        """
        if self._path is None:
            return self._current
        try:
            modified = self._path.stat().st_mtime_ns
            if modified != self._modified:
                value = json.loads(self._path.read_text(encoding="utf-8"))
                older = isinstance(value, dict) and value.get("format") in OLDER
                if older:
                    logger.warning(
                        "The adaptation in %s was learned for the bridge of an earlier version and is not used; "
                        "`lsb-rag adapt` learns it again, `lsb-rag adapt --forget` removes it.",
                        self._path,
                    )
                self._current = None if older else Adaptation.from_dict(value)
                self._modified = modified
        except OSError:
            self._modified, self._current = 0, None
        except (ValueError, RecursionError) as error:
            raise CorruptFileError(
                f"The adaptation in {self._path} is damaged ({error}); `lsb-rag adapt` makes a new one, `lsb-rag adapt "
                "--forget` removes it."
            ) from error
        return self._current

    def write(self, adaptation: Adaptation | None) -> None:
        """Write `adaptation` in one piece; None forgets what is kept.

        :raises StoreError: When the file cannot be written; what was kept before stays.
        """
        if self._path is None:
            self._current = adaptation
            return
        try:
            if adaptation is None:
                self._path.unlink(missing_ok=True)
            else:
                write_text(self._path, json.dumps(adaptation.as_dict()))
        except OSError as error:
            raise StoreError(f"Cannot write the adaptation to {self._path}: {error}") from error
