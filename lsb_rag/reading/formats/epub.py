"""Read books in EPUB, chapter by chapter."""

from __future__ import annotations

import posixpath
import zipfile
from typing import Any
from urllib.parse import unquote, urlsplit

from ...errors import ReadError
from ..block import Block, Document
from ..decoding import decode
from ..html import read_html
from .archive import open_archive
from .failures import reading

KIND = "book"
_TITLE = "{http://purl.org/dc/elements/1.1/}title"
_PAGES = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml")


def read_epub(raw: bytes) -> Document:
    """Read a book.

    :raises ReadError: When it cannot be read, or is encrypted.
    """
    with open_archive(raw, KIND) as archive, reading(KIND):
        container = _xml(archive, "META-INF/container.xml")
        package = next((path for one in _named(container, "rootfile") if (path := one.get("full-path"))), "")
        root = _xml(archive, package)
        folder = posixpath.dirname(package)
        pages = {
            one.get("id"): posixpath.normpath(posixpath.join(folder, unquote(urlsplit(one.get("href", "")).path)))
            for one in _named(root, "item")
            if one.get("media-type") in _PAGES
        }
        names = [pages[id] for one in _named(root, "itemref") if (id := one.get("idref")) in pages]
        encrypted = _encrypted(archive)
        blocks: list[Block] = []
        for name in dict.fromkeys(names):
            if name in encrypted:
                raise ReadError("The book is encrypted, so that only its reader can open it.")
            blocks += read_html(decode(_part(archive, name), markup=True).text).blocks
        title = next((" ".join("".join(one.itertext()).split()) for one in root.iter(_TITLE)), "")
        return Document(title, blocks)


def _encrypted(archive: zipfile.ZipFile) -> set[str]:
    """Return the names of encrypted parts; those of fonts are no obstacle."""
    if "META-INF/encryption.xml" not in archive.namelist():
        return set()
    references = _named(_xml(archive, "META-INF/encryption.xml"), "CipherReference")
    return {posixpath.normpath(unquote(one.get("URI", ""))) for one in references}


def _xml(archive: zipfile.ZipFile, name: str) -> Any:
    from lxml import etree

    return etree.fromstring(_part(archive, name), etree.XMLParser(resolve_entities=False, no_network=True))


def _part(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        return archive.read(name)
    except KeyError:
        raise ReadError(f"The book is damaged: it has no part {name!r}.") from None


def _named(root: Any, name: str) -> Any:
    return root.iter(f"{{*}}{name}")
