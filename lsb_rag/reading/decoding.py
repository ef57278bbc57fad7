"""Decode the bytes of a text file, whatever encoding it is in."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from ..errors import ReadError

SAMPLE_BYTES = 1 << 16
"""As much of a file is looked at where its encoding has to be guessed."""
DECLARATION_BYTES = 4096
MAX_CONTROL_SHARE = 0.05
"""Of text, fewer characters are controls."""
MAX_DAMAGE_SHARE = 0.05
"""UTF-8 has fewer broken characters among its non-ASCII ones, or is another encoding."""

_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MAGIC = (
    b"\x89PNG\r\n",
    b"\xff\xd8\xff",
    b"GIF8",
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"%PDF-",
    b"\x7fELF",
    b"\x1f\x8b\x08",
    b"BZh",
    b"\xfd7zXZ\x00",
    b"7z\xbc\xaf\x27\x1c",
    b"\x28\xb5\x2f\xfd",
    b"Rar!\x1a\x07",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    b"SQLite format 3\x00",
)
# Those of the WHATWG, under Python's names; a label never leads to a codec outside of these, such as idna or zlib.
_LEGACY = {
    "big5": "big5hkscs",
    "big5hkscs": "big5hkscs",
    "cp866": "cp866",
    "cp874": "cp874",
    "cp932": "cp932",
    "cp949": "cp949",
    "euc_jp": "euc_jp",
    "euc_kr": "cp949",
    "gb18030": "gb18030",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "iso2022_jp": "iso2022_jp",
    "koi8-r": "koi8-r",
    "koi8-u": "koi8-u",
    "mac-cyrillic": "mac-cyrillic",
    "mac-roman": "mac-roman",
    "shift_jis": "cp932",
    "tis-620": "cp874",
    "ascii": "cp1252",
    **{f"cp{page}": f"cp{page}" for page in range(1250, 1259)},
    **{f"iso8859-{part}": f"iso8859-{part}" for part in range(2, 17)},
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
}
_LABELS = {"x-sjis": "cp932", "windows-31j": "cp932", "x-mac-cyrillic": "mac-cyrillic", "macintosh": "mac-roman"}
# What texts are found in; of encodings that are close to one another, the common one.
_GUESSED = [
    *(f"cp{page}" for page in range(1250, 1258)),
    *("koi8_r", "iso8859_2", "iso8859_5", "iso8859_7", "cp866", "cp850", "mac_roman", "cp874"),
    *("cp932", "euc_jp", "gb18030", "big5", "cp949"),
]
_NON_ASCII = re.compile(rb"[\x80-\xff]")
_BLANK = re.compile(rb"[\t\n\r ]")
_CONTROLS = bytes(range(0x00, 0x08)) + bytes(range(0x0E, 0x1B)) + bytes(range(0x1C, 0x20)) + b"\x7f"
_PRINTABLE = bytes(range(0x20, 0x7F))
_CONTROL = re.compile(r"[\x00-\x07\x0e-\x1a\x1c-\x1f\x7f-\x9f\ufffe\uffff]")
_JAPANESE_ESCAPE = re.compile(rb"\x1b(?:\$[@B]|\([BIJ])")
# Quotes, dashes, the euro, signs such as the degree: in cp1252 they stand alone in English text.
_SIGNS = frozenset([0x80, 0x82, 0x84, 0x85, *range(0x91, 0x98), 0x99, *range(0xA0, 0xC0), 0xD7])
# What charset-normalizer takes for others: Polish and Czech letters that are signs in cp1250, and Hebrew, which has the
# bytes of small Cyrillic letters, but never those of its capitals and last letters.
_LATIN2 = re.compile(rb"(?<=[a-z])[\xb1\xb6\xb9\xbb\xbc\xbe](?=[a-z])")
_HEBREW = frozenset(range(0xE0, 0xFB))


@dataclass(frozen=True)
class Decoded:
    """The text of a file.

    :param text: Without NULs and byte-order marks; its lines end with a line feed.
    :param encoding: What it was read as.
    :param note: What a user should know of the decoding, to be said behind the name of the file, or an empty string.
    """

    text: str
    encoding: str
    note: str = ""


def decode(raw: bytes, *, markup: bool = False) -> Decoded:
    """Decode the bytes of a text file.

    A byte-order mark decides; UTF-16 and UTF-32 are known without one too, by their NULs. What is valid UTF-8 is read
    as that; else in the encoding that markup declares, or in the likeliest one.

    :param markup: Whether it is HTML or XML, which may declare its encoding.
    :raises ReadError: When it is not text.
    """
    for mark, encoding in _BOMS:
        if raw.startswith(mark):
            return _decoded(raw[len(mark) :] if encoding == "utf-8" else raw, encoding)
    if raw.startswith(_MAGIC):
        raise ReadError("The file is binary, not text.")
    if b"\0" in raw:
        return _without_mark(raw)
    if len(raw) - len(raw.translate(None, _CONTROLS)) > len(raw) * MAX_CONTROL_SHARE:
        raise ReadError("The file is binary, not text.")
    declared = _declared(raw) if markup else ""
    if declared == "iso2022_jp" or (not declared and _is_iso2022_jp(raw)):
        return _decoded(raw, "iso2022_jp")
    try:
        return Decoded(_tidied(raw.decode("utf-8")), "utf-8")
    except UnicodeDecodeError:
        pass
    if declared:
        return _decoded(raw, declared)
    damaged = raw.decode("utf-8", "replace")
    broken = damaged.count("\ufffd")
    # Each non-ASCII character begins with a byte of its own, which is not one of 0x80 to 0xbf.
    characters = len(raw) - len(raw.translate(None, bytes(range(0xC0, 0x100))))
    if broken <= max(1, characters * MAX_DAMAGE_SHARE) and characters > broken:
        return _decoded(raw, "utf-8")
    encoding = _guess(raw)
    text = raw.decode(encoding, "replace")
    return Decoded(_tidied(text), encoding, f"is not UTF-8; it was read as {encoding}.")


def _decoded(raw: bytes, encoding: str) -> Decoded:
    text = raw.decode(encoding, "replace")
    label = encoding.upper() if encoding.startswith("utf") else encoding
    note = f"is not {label} throughout; unreadable characters are replaced." if "\ufffd" in text else ""
    return Decoded(_tidied(text), encoding, note)


def _tidied(text: str) -> str:
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.replace("\0", "").replace("\ufeff", "")


def _without_mark(raw: bytes) -> Decoded:
    """Decode UTF-16 or UTF-32 without a byte-order mark: of ASCII characters, all bytes but one are NUL."""
    sample = raw[: SAMPLE_BYTES - SAMPLE_BYTES % 4]
    nuls = [sample[offset::4].count(0) / max(1, len(sample[offset::4])) for offset in range(4)]
    even, odd = (nuls[0] + nuls[2]) / 2, (nuls[1] + nuls[3]) / 2
    if max(nuls) < 0.5 and len(sample.translate(None, _PRINTABLE)) < len(sample) * 0.3:  # ASCII with a few NULs in it
        raise ReadError("The file is binary, not text.")
    if len(raw) % 4 == 0 and min(nuls[2:]) > 0.9 and nuls[0] < 0.1:
        encoding = "utf-32-le"
    elif len(raw) % 4 == 0 and min(nuls[:2]) > 0.9 and nuls[3] < 0.1:
        encoding = "utf-32-be"
    elif even <= odd / 20:
        encoding = "utf-16-le"
    elif odd <= even / 20:
        encoding = "utf-16-be"
    else:
        raise ReadError("The file is binary, not text.")
    decoded = _decoded(raw, encoding)
    begin = decoded.text[:SAMPLE_BYTES]
    if decoded.note or len(_CONTROL.findall(begin)) > len(begin) * MAX_CONTROL_SHARE:
        raise ReadError("The file is binary, not text.")
    return decoded


def _declared(raw: bytes) -> str:
    """Return the encoding that markup declares, as Python's codec, or an empty string."""
    from bs4.dammit import EncodingDetector

    label = EncodingDetector.find_declared_encoding(raw[:DECLARATION_BYTES], is_html=True) or ""
    label = label.strip().lower()
    if label in _LABELS:
        return _LABELS[label]
    try:
        return _LEGACY.get(codecs.lookup(label.removeprefix("x-")).name, "")
    except (LookupError, ValueError):
        return ""


def _is_iso2022_jp(raw: bytes) -> bool:
    if _JAPANESE_ESCAPE.search(raw) is None or not raw.isascii():
        return False
    try:
        raw.decode("iso2022_jp")
    except UnicodeDecodeError:
        return False
    return True


def _guess(raw: bytes) -> str:
    """Return the likeliest encoding of what is not UTF-8."""
    from charset_normalizer import from_bytes

    sample = _sample(raw)
    foreign = bytes(byte for byte in sample if byte >= 0x80)
    if len(foreign) < 3 or (set(foreign) <= _SIGNS and len(foreign) < len(sample) / 10):
        return "cp1252"
    if min(foreign) >= 0xA0 and len(_LATIN2.findall(sample)) > len(foreign) * 0.03:
        return "iso8859-2"
    matches = from_bytes(sample, cp_isolation=_GUESSED)
    best = matches.best()
    if best is None:
        return "cp1252"
    if best.encoding == "cp1251" and {byte for byte in foreign if byte >= 0xC0} <= _HEBREW:
        return "cp1255"
    # Encodings that give the same text for the sample need not for the rest of the file.
    usual = next((match for match in matches if "cp1252" in match.could_be_from_charset), None)
    if usual is not None and usual.chaos <= best.chaos and usual.coherence >= best.coherence:
        return "cp1252"
    return str(best.encoding)


def _sample(raw: bytes) -> bytes:
    """Return pieces of `raw` around its non-ASCII bytes. They begin and end where no character is cut."""
    pieces: list[bytes] = []
    taken = position = 0
    while taken < SAMPLE_BYTES and position < len(raw):
        if raw[position : position + SAMPLE_BYTES].isascii():
            position += SAMPLE_BYTES
            continue
        found = _NON_ASCII.search(raw, position)
        if found is None:
            break
        begin = max(position, found.start() - 100)
        blank = _BLANK.search(raw, found.start() + 400, found.start() + 4000)
        position = blank.end() if blank else found.start() + 4000
        pieces.append(raw[begin:position])
        taken += position - begin
    return b"\n".join(pieces)
