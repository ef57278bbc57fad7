"""Documents that are ZIP archives of XML, checked before a parser unpacks them."""

from __future__ import annotations

import io
import zipfile

from ...errors import ReadError
from .failures import reading

MAX_UNPACKED_BYTES = 500_000_000
MAX_PART_BYTES = 30_000_000
"""Of a part in XML or HTML, which a parser holds in memory many times over."""
FREE_BYTES = 10_000_000
"""Up to this size an archive may be packed as closely as it likes."""
MAX_RATIO = 200
MAX_PARTS = 50_000
_HEAD_BYTES = 4096
_COMPOUND_FILE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_MARKUP = (".xml", ".rels", ".html", ".htm", ".xhtml", ".opf", ".ncx")


def open_archive(raw: bytes, kind: str) -> zipfile.ZipFile:
    """Open an archive whose parts unpack to a reasonable size.

    The sizes it states can be relied upon: `zipfile` gives no more of a part than them.

    :param kind: What it is, such as ``Word document``.
    :raises ReadError: When it is no archive, encrypted, a bomb, or defines XML entities.
    """
    if raw.startswith(_COMPOUND_FILE):
        # The format of Office before 2007, in which that of today is wrapped when it is encrypted.
        if "EncryptedPackage".encode("utf-16-le") in raw:
            raise ReadError(f"The {kind} is encrypted; save it without a password.")
        raise ReadError(f"The {kind} is in the old binary format; save it in the one of today.")
    with reading(kind):
        archive = zipfile.ZipFile(io.BytesIO(raw))
        parts = archive.infolist()
        unpacked = sum(part.file_size for part in parts)
        too_dense = unpacked > FREE_BYTES and unpacked > MAX_RATIO * len(raw)
        too_large = any(p.file_size > MAX_PART_BYTES for p in parts if p.filename.lower().endswith(_MARKUP))
        if unpacked > MAX_UNPACKED_BYTES or too_dense or too_large or len(parts) > MAX_PARTS:
            raise ReadError(
                f"The {kind} unpacks to {unpacked / 1e6:,.0f} MB in {len(parts):,} parts, which is refused."
            )
        if any(part.flag_bits & 1 for part in parts):
            raise ReadError(f"The {kind} is encrypted; save it without a password.")
        return archive


def refuse_entities(archive: zipfile.ZipFile, kind: str) -> None:
    """Refuse an Office document that declares a document type; the standard forbids it, and entities can be bombs.

    :raises ReadError: When it does.
    """
    with reading(kind):
        for part in archive.infolist():
            if part.filename.lower().endswith((".xml", ".rels")):
                with archive.open(part) as stream:
                    head = stream.read(_HEAD_BYTES).replace(b"\0", b"")  # UTF-16 too
                if b"<!DOCTYPE" in head or b"<!ENTITY" in head:
                    raise ReadError(f"The {kind} defines XML entities, which is refused.")


def core_title(archive: zipfile.ZipFile) -> str:
    """Return the title among the properties of an Office document, or an empty string."""
    from lxml import etree

    try:
        properties = archive.read("docProps/core.xml")
    except KeyError:
        return ""
    root = etree.fromstring(properties, etree.XMLParser(resolve_entities=False, no_network=True))
    return " ".join(root.findtext("{http://purl.org/dc/elements/1.1/}title", "").split())
