from __future__ import annotations

import hashlib

from lsb_rag.utils.digests import content_id, text_digest


def test_an_id_is_the_beginning_of_the_sha256_of_the_content() -> None:
    assert content_id("pump") == hashlib.sha256(b"pump").hexdigest()[:32]
    assert len(content_id("")) == 32
    assert content_id("lone \ud800") != content_id("lone \ud801")  # any string has one


def test_a_digest_tells_texts_apart() -> None:
    assert len(text_digest("pump")) == 16
    assert text_digest("pump") != text_digest("Pump")
    assert text_digest(None) == text_digest("")
    assert text_digest("lone \ud800") != text_digest("lone \ud801")
    assert text_digest("pump").hex() == "24752f9dbd3d8bf45fe4da2150eb7b2c"  # kept in files, so it stays
