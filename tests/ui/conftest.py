from __future__ import annotations

from pathlib import Path

import pytest

from lsb_rag import LexSemBridgeEncoder, Passage, PassageStore
from lsb_rag.ui import Catalog

from ..conftest import MANUAL

HOSTILE = '</mark></div><script>alert(1)</script><img src=x onerror="alert(2)">\x1b[31m\u202e{{ 7 * 7 }}]]>&amp;'


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory, encoder: LexSemBridgeEncoder) -> Path:
    """A database with the manual, and one whose passages mean no good."""
    folder = tmp_path_factory.mktemp("page") / "db"
    PassageStore(folder, "manual", encoder).add(MANUAL)
    hostile = [
        Passage(f"{HOSTILE} E-4012", id=f"one{HOSTILE}", title=HOSTILE),
        Passage("E-4013 " + "long word " * 3000 + "W" * 5000, id="long"),
    ]
    PassageStore(folder, "hostile", encoder).add(hostile)
    return folder


@pytest.fixture(scope="session")
def catalog(database: Path) -> Catalog:
    return Catalog(database)
