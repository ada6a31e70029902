"""Texts from standard input, one a line: decoded as a file is, and never a table or a file of another kind."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from ottenok.cli.screen import harmless

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Iterator

    from ottenok.tables.options import TableOptions

__all__ = ["lines_of_stream", "refuse_file"]

# Bytes of standard input by which it is told what it is.
_HEAD = 1 << 16
# How files begin that are no lines of text: packed, documents, pictures, programs, databases.
_MAGIC = (
    b"PAR1", b"PK\x03\x04", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"Rar!", b"%PDF",
    b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"\x7fELF", b"MZ\x90", b"\xd0\xcf\x11\xe0", b"SQLite format 3", b"ARROW1",
)  # fmt: skip
# Names of columns that hold texts or belong to them, in tables of all kinds.
_USUAL = {
    "author", "category", "class", "comment", "content", "date", "emotion", "id", "label", "mark", "message", "name",
    "rating", "review", "score", "sentence", "sentiment", "text", "title", "tweet", "user", "автор", "дата", "имя",
    "класс", "комментарий", "метка", "название", "отзыв", "оценка", "сообщение", "текст", "тональность", "内容", "文本",
    "标签", "评分", "评论", "情感",
}  # fmt: skip
_IDENTIFIER = re.compile(r"[\w.:-]{1,30}")
_JSON = re.compile(r'\s*(?:\[\s*)?\{\s*(?:"|$)')
_PATH = re.compile(r"(?:\.{1,2}[/\\]|~[/\\]|[A-Za-z]:[/\\]|/[^/\s]+/)\S*")
_SEP_LINE = re.compile(r'"?sep=.(?:")?\s*', re.IGNORECASE)


def refuse_file(text: str, *, hint: str) -> None:
    """Refuse a path, or the name of a file of data that is not there, which is hardly meant as a text.

    Raises:
        UsageError: It is one.
    """
    if "\n" in text or len(text) > 1000:
        return
    path = _PATH.fullmatch(text)
    if not (path or os.path.lexists(text) or Path(text.strip()).suffix):
        return
    from ottenok.tables.table import is_file_name

    if os.path.lexists(text) or is_file_name(Path(text.strip())):
        kind = "a folder" if Path(text).is_dir() else "a file"
        raise click.UsageError(f"{harmless(text)} is {kind}{hint}")
    if path:
        raise click.UsageError(f"{harmless(text)} looks like a path, and there is no such file")


def lines_of_stream(
    stream: IO[bytes], options: TableOptions, faults: deque[str], *, lines: bool
) -> Iterator[str | None]:
    """Return the lines of a stream, decoded as its first 64 KiB say; one that can't be read is a missing text.

    Why each of these can't be read is put into `faults`.

    Args:
        stream: Standard input.
        options: What is said of its encoding, and how long a line may be.
        faults: Gets the reasons.
        lines: Whether it is lines of text, whatever it looks like.

    Raises:
        DataError: Its encoding can't be told, or it is not text.
        InputError: At the end: no line can be read.
        UsageError: It is a table.
    """
    from ottenok.core.errors import DataError, InputError
    from ottenok.tables.encoding import find_encoding
    from ottenok.tables.streams import LongLine, Source, text_blocks

    head = stream.read(_HEAD)
    if head.startswith(_MAGIC):
        raise DataError(
            "this is a packed or binary file, not lines of text",
            hint="If it is a table, name the column of its texts: --text COLUMN -o OUT. Packed lines: zcat FILE | ...",
            file="standard input",
        )
    encoding = find_encoding(Source(io.BytesIO(head)), options.encoding)
    if not lines:
        # What begins as a table does is one: its header and its commas are no texts.
        text = head[len(encoding.mark) :].decode(encoding.codec, errors="replace")
        first, _, rest = text.replace("\r\n", "\n").replace("\r", "\n").partition("\n")
        if _SEP_LINE.fullmatch(first):
            first, _, rest = rest.partition("\n")
        names: list[str] = []
        if _JSON.match(text[:1000]):
            names = ["?"]
            with suppress(ValueError, TypeError, RecursionError):
                names = list(json.JSONDecoder().raw_decode(text, text.index("{"))[0]) or names
        elif rest.strip() and first.strip().strip('"').casefold() in _USUAL:
            names = [first.strip()]
        else:
            rows = [line for line in rest.split("\n")[:20] if line.strip()][:-1] or rest.splitlines()[:1]
            for delimiter in ",;\t|":
                try:
                    found = [name.strip() for name in next(csv.reader([first], delimiter=delimiter), [])]
                    widths = [len(next(csv.reader([row], delimiter=delimiter), [])) for row in rows]
                except csv.Error:
                    continue
                usual = any(name.casefold() in _USUAL for name in found)
                plain = len(rows) > 2 and len(set(found)) == len(found) and all(map(_IDENTIFIER.fullmatch, found))
                even = bool(widths) and sum(width == len(found) for width in widths) >= 0.8 * len(widths)
                if len(found) > 1 and even and (usual or plain) and all(len(name) <= 40 for name in found):
                    names = found
                    break
        if names:
            shown = ", ".join(repr(harmless(name)) for name in names[:20])
            raise click.UsageError(
                f"standard input looks like a table with the columns {shown}. Name the column of its texts: "
                "ottenok classify --text COLUMN -o OUT < FILE. If each line is a text as it stands, say --lines."
            )

    def read() -> Iterator[str | None]:
        read, lost = 0, Counter[str]()
        whole = io.BufferedReader(_Joined(head, stream), _HEAD)
        for block, clean in text_blocks(whole, encoding, file="standard input", limit=options.max_record):
            for line in block:
                if isinstance(line, LongLine):
                    faults.append(f"longer than {options.max_record:,} characters (--max-record)")
                elif not clean and any("\udc80" <= character <= "\udcff" for character in line):
                    faults.append(f"not {encoding.codec}")
                else:
                    read += not line.isspace()
                    yield line.rstrip("\r\n")
                    continue
                lost[faults[-1]] += 1
                yield None
        if lost and not read:
            ((reason, count),) = lost.most_common(1)
            raise InputError(
                f"no line can be read; the commonest reason: {reason} ({count:,} lines)",
                hint="Name the --encoding, if this is text.",
                file="standard input",
            )

    return read()


class _Joined(io.RawIOBase):
    """What was read of a stream, and the rest of it."""

    def __init__(self, head: bytes, rest: IO[bytes]) -> None:
        self._head = head
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # the buffer is always this
        data = self._head[: len(buffer)] if self._head else self._rest.read(len(buffer))
        self._head = self._head[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)
