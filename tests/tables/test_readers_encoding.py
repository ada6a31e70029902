"""`encoding = "auto"`."""

from __future__ import annotations

import io

import pytest

from ottenok.core.errors import DataError
from ottenok.tables.encoding import detect_encoding

RU = "Хороший фильм, смотрел с удовольствием. Актёры играют плохо, сюжет ещё хуже!"
ZH = "这部电影非常好看，演员的表演也很不错。酒店太旧了，服务员态度很差！"


def _detect(content: bytes) -> str:
    return detect_encoding(io.BytesIO(content), file="a.csv").codec


@pytest.mark.parametrize(
    ("text", "encoding", "expected"),
    [
        (RU, "utf-8", "utf-8"),
        (RU, "utf-8-sig", "utf-8"),
        (RU, "windows-1251", "windows-1251"),
        (RU.upper(), "windows-1251", "windows-1251"),
        (RU, "koi8-r", "koi8-r"),
        (RU, "cp866", "cp866"),
        (RU, "utf-16", "utf-16-le"),
        (RU, "utf-16-le", "utf-16-le"),
        (RU, "utf-16-be", "utf-16-be"),
        (RU, "utf-32", "utf-32-le"),
        (RU, "utf-32-le", "utf-32-le"),
        (RU, "utf-32-be", "utf-32-be"),
        (RU, "mac_cyrillic", "mac_cyrillic"),
        ("這部電影非常好看，演員的表演也很不錯。", "big5", "big5"),
        (ZH, "utf-8", "utf-8"),
        (ZH, "gb18030", "gb18030"),
        ("плохо", "windows-1251", "windows-1251"),
        ("只是一般", "gb18030", "gb18030"),
        ("plain ASCII", "ascii", "utf-8"),
        ("", "ascii", "utf-8"),
    ],
)
def test_the_usual_encodings_are_told_apart(text: str, encoding: str, expected: str) -> None:
    """A file of one line or of many, with markup of ASCII around it, is told by its letters."""
    assert _detect(text.encode(encoding)) == expected
    lines = "".join(f"{number};{text};pos\r\n" for number in range(50))
    assert _detect(lines.encode(encoding)) == expected


def test_a_few_faulty_lines_leave_a_file_utf8() -> None:
    """A file is UTF-8 if most of its lines that are not ASCII are."""
    lines = [f"{RU}\n".encode()] * 3 + [f"{RU}\n".encode("windows-1251")] * 2

    assert _detect(b"".join(lines)) == "utf-8"
    assert _detect(b"".join(lines[1:])) == "utf-8"
    assert _detect(b"".join(lines[2:])) == "windows-1251"


def test_a_fault_far_from_the_start_is_seen() -> None:
    """A megabyte of ASCII proves nothing about what follows; a megabyte of UTF-8 does."""
    ascii_lines = b"0;plain;pos\n" * 200_000

    assert _detect(ascii_lines + f"{RU}\n".encode("windows-1251") * 20) == "windows-1251"
    assert _detect(f"{RU}\n".encode() * 20_000 + f"{RU}\n".encode("windows-1251") * 20) == "utf-8"


def test_a_character_cut_by_the_block_is_no_fault() -> None:
    """Whatever place in a character a block of the file ends at, UTF-8 is UTF-8."""
    for lead in range(4):
        assert _detect(b"a" * lead + ("я" * 600_000).encode()) == "utf-8"


@pytest.mark.parametrize(
    "content",
    [bytes(range(128, 256)) * 20, bytes(range(1, 32)) + b"\x98" * 40, b"\x89PNG\r\n\x1a\n" + b"\x9d\x01\xfe" * 99],
)
def test_what_is_no_text_is_one_error(content: bytes) -> None:
    """Bytes that no candidate makes sense of are refused, not guessed at."""
    with pytest.raises(DataError, match="encoding can't be told") as caught:
        _detect(content)

    assert caught.value.hint
