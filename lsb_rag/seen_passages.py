"""A bridge fitted on the passages that one object has embedded, each text once."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from .backbones.base import Matrix
from .bridge.corpus import CorpusBridge
from .encoder import LexSemBridgeEncoder
from .statistics.base import at_unit_length
from .statistics.in_memory import CorpusStatistics
from .utils.digests import text_digest


class SeenPassages:
    """Counts passages in as they are embedded. Threads may share an instance.

    The attribute ``bridge`` is the :class:`~lsb_rag.bridge.corpus.CorpusBridge` over them, None before the first.
    """

    def __init__(self) -> None:
        self.bridge: CorpusBridge | None = None
        self._statistics: CorpusStatistics | None = None
        self._digests: set[bytes] = set()
        self._lock = threading.Lock()

    def add(self, encoder: LexSemBridgeEncoder, texts: Sequence[str], vectors: Matrix) -> None:
        """Count passages in, but for those counted before.

        :param encoder: What embedded them; its analyzer cuts the units.
        :param vectors: Their vectors, shape ``[len(texts), d]``.
        """
        with self._lock:
            rows: dict[bytes, int] = {}
            for row, text in enumerate(texts):
                digest = text_digest(text)
                if digest not in self._digests:
                    rows.setdefault(digest, row)
            fresh = list(rows.values())
            if not fresh:
                return
            if self._statistics is None:
                self._statistics = CorpusStatistics(encoder.dimension)
                self.bridge = CorpusBridge(self._statistics, units=encoder.units, background=encoder.background)
            self._statistics.add([encoder.analyze(texts[row]) for row in fresh], at_unit_length(vectors[fresh]))
            self._digests.update(rows)

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:
            return {"bridge": self.bridge, "_statistics": self._statistics, "_digests": set(self._digests)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= {**state, "_lock": threading.Lock()}
