# ruff: noqa: RUF001 - texts in other scripts
from __future__ import annotations

import codecs
import os
import random

import pytest

from lsb_rag.errors import ReadError
from lsb_rag.reading.decoding import decode

TEXTS = {
    "cp1252": "Die Größe der Öffnung beträgt 5 mm – “so” wie’s heißt. Für Auskünfte siehe Rückseite.",
    "cp1250": "Zażółć gęślą jaźń. Wszystkie urządzenia muszą być wyłączone przed czyszczeniem.",
    "iso8859-2": "Zażółć gęślą jaźń. Wszystkie urządzenia muszą być wyłączone przed czyszczeniem.",
    "cp1251": "Насос остановился, потому что вход заблокирован. Очистите фильтр и запустите снова.",
    "koi8-r": "Насос остановился, потому что вход заблокирован. Очистите фильтр и запустите снова.",
    "cp866": "Насос остановился, потому что вход заблокирован. Очистите фильтр и запустите снова.",
    "cp1253": "Η αντλία σταμάτησε επειδή η είσοδος είναι φραγμένη. Καθαρίστε το φίλτρο.",
    "cp1254": "Pompa durdu çünkü giriş tıkalı. Filtreyi temizleyin ve yeniden başlatın. Güç düğmesine basınız.",
    "cp1255": "המשאבה נעצרה כי הכניסה חסומה. נקה את המסנן והפעל מחדש.",
    "cp1256": "توقفت المضخة لأن المدخل مسدود. نظف المرشح ثم أعد التشغيل.",
    "cp932": "入口が詰まっているため、ポンプが停止しました。フィルターを清掃してください。",
    "euc_jp": "入口が詰まっているため、ポンプが停止しました。フィルターを清掃してください。",
    "iso2022_jp": "入口が詰まっているため、ポンプが停止しました。フィルターを清掃してください。",
    "gb18030": "由于入口堵塞，泵停止了。请清洁过滤器，然后重新启动设备。",
    "big5": "由於入口堵塞，泵停止了。請清潔過濾器，然後重新啟動設備。",
    "cp949": "입구가 막혀 펌프가 멈췄습니다. 필터를 청소한 후 다시 시작하십시오.",
}


@pytest.mark.parametrize("encoding", TEXTS)
def test_legacy_encodings_are_found_and_noted(encoding: str) -> None:
    decoded = decode(TEXTS[encoding].encode(encoding))
    assert decoded.text == TEXTS[encoding]
    assert ("it was read as" in decoded.note) is (encoding != "iso2022_jp")


@pytest.mark.parametrize("text", TEXTS.values())
def test_utf8_and_byte_order_marks_are_read_without_a_note(text: str) -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32"):
        decoded = decode(text.encode(encoding))
        assert (decoded.text, decoded.note) == (text, "")
    for mark, encoding in (
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
    ):
        assert decode(mark + text.encode(encoding)).text == text


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_utf16_and_utf32_are_known_by_their_nuls(encoding: str) -> None:
    for text in (
        "E-4012: the inlet is blocked.\n",
        "Насос E-4012 остановился.\n" * 5,
        "ポンプ E-4012\nが停止しました\n" * 9,
    ):
        assert decode(text.encode(encoding)).text == text


def test_a_sign_or_two_and_what_is_unclear_are_read_as_western() -> None:
    for raw in (b"5 \xb0C", b"It\x92s \x96 fine", b"na\xefve", b"a" * 200_000 + b"\xe9" + b"b" * 200_000):
        assert decode(raw).encoding == "cp1252"
    # The sample alone would be the same in the Central European encoding, the rest of the file is not.
    assert decode("Größe ok".encode("cp1252")).encoding == "cp1252"


def test_damaged_utf8_stays_utf8() -> None:
    raw = "Größe und Öffnung. ".encode() * 50
    for damaged in (raw[:-3] + b"\xc3", raw[:100] + b"\xff" + raw[100:], raw + "é".encode()[:1]):
        decoded = decode(damaged)
        assert decoded.encoding == "utf-8"
        assert decoded.text.startswith("Größe")
        assert "not UTF-8 throughout" in decoded.note


@pytest.mark.parametrize(
    ("markup", "encoding"),
    [
        ('<meta charset="iso-8859-5"><p>Вход', "iso8859_5"),
        ('<meta http-equiv="Content-Type" content="text/html; charset=windows-1251"><p>Вход', "cp1251"),
        ('<?xml version="1.0" encoding="koi8-r"?><p>Вход</p>', "koi8_r"),
        ("<meta charset=x-sjis><p>入口", "cp932"),
        ("<meta charset=gb2312><p>入口", "gb18030"),
        ("<meta charset=iso-8859-1><p>It’s €5", "cp1252"),
        ("<meta charset=iso-2022-jp><p>入口", "iso2022_jp"),
        # What is declared wrongly
        ("<meta charset=iso-8859-1><p>Größe 入口", "utf-8"),
        ("<meta charset=utf-16><p>Größe", "utf-8"),
        ("<meta charset=zlib><p>Größe", "utf-8"),
        ("<meta charset=no-such-one><p>It’s", "cp1252"),
        ("<meta charset=idna><p>It’s", "cp1252"),
    ],
)
def test_markup_declares_its_encoding(markup: str, encoding: str) -> None:
    assert decode(markup.encode(encoding), markup=True).text == markup


def test_a_declaration_counts_in_markup_alone() -> None:
    assert decode(b"<meta charset=koi8-r> 5 \xb0").text.endswith("5 °")


@pytest.mark.parametrize(
    "raw",
    [
        b"\x89PNG\r\n\x1a\n....",
        b"PK\x03\x04....",
        b"%PDF-1.7 ....",
        b"\x7fELF....",
        b"\x1f\x8b\x08....",
        b"text with a NUL\0 in it, which is no UTF-16",
        bytes(range(1, 32)) * 20,
        random.Random(1).randbytes(2000),
        b"\x01\x00\x02\x00\x03\x00" * 100,  # 16-bit numbers, not UTF-16
        os.urandom(4) + b"\0" * 1000,
    ],
)
def test_what_is_binary_is_refused_in_a_sentence(raw: bytes) -> None:
    with pytest.raises(ReadError, match=r"^The file is binary, not text\.$"):
        decode(raw)


def test_no_nul_no_mark_no_surrogate_and_no_carriage_return_is_left() -> None:
    utf16 = "a\0b\r\nc\ufeffd\re".encode("utf-16")
    lone = codecs.BOM_UTF16_LE + b"a\0\x00\xd8b\0"
    cut = codecs.BOM_UTF16_LE + b"a\0b"
    assert decode(utf16).text == "ab\ncd\ne"
    for raw in (lone, cut, codecs.BOM_UTF32_LE + b"\xff\xff\xff\xff", b"\xef\xbb\xbf\xff\xed\xa0\x80"):
        decoded = decode(raw)
        decoded.text.encode()
        assert "unreadable characters are replaced" in decoded.note


def test_escapes_of_a_terminal_and_nothing_are_text() -> None:
    assert decode(b"\x1b[31mred\x1b[0m \x08 form\x0cfeed").encoding == "utf-8"
    assert decode(b"").text == ""


def test_the_guess_takes_a_sample_of_a_long_file() -> None:
    line = "Зажмите деталь и очистите фильтр. "
    decoded = decode(b"a" * 3_000_000 + (line * 50_000).encode("cp1251"))
    assert decoded.encoding == "cp1251"
    assert decoded.text.endswith(line)
