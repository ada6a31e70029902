"""Lines of a text file, and CSV records that keep their own bytes and survive unclosed quotes."""

from __future__ import annotations

import codecs
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from ottenok.core.errors import InputError
from ottenok.tables.delimited import Broken, Dialect, Lines, split_rows
from ottenok.tables.options import MAX_RECORD

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["Record", "detect_encoding", "open_lines", "split_records"]

_BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_HEAD = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A record as it stands in the file, line end included, and its fields, or why it has none."""

    raw: str
    fields: list[str]
    fault: str = ""


def detect_encoding(path: Path) -> str:
    """Return the encoding that a file's first bytes name, else UTF-8.

    Raises:
        InputError: The file can't be read, or is not UTF-8.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD)
    except OSError as error:
        raise InputError(f"the file can't be read: {error.strerror}", hint="Check the path.", file=str(path)) from error
    for mark, encoding in _BOMS.items():
        if head.startswith(mark):
            return encoding
    broken = head.decode("utf-8", errors="surrogateescape")
    faults = sum("\udc80" <= character <= "\udcff" for character in broken)
    # A few broken bytes cost their rows only; a file in another encoding is full of them.
    if faults > 8 and faults > len(broken) // 20:
        raise InputError(
            "the file is not UTF-8",
            hint="Name its encoding, for example: --encoding windows-1251 (or gb18030).",
            file=str(path),
        )
    return "utf-8"


@contextmanager
def open_lines(path: Path, encoding: str) -> Iterator[Iterator[str]]:
    """Open a file as lines with their ends; bytes that can't be decoded become surrogates U+DC80..U+DCFF.

    Raises:
        InputError: The encoding is unknown, or a line is longer than `MAX_RECORD` characters.
    """
    try:
        stream = path.open(encoding=encoding, errors="surrogateescape", newline="")
    except LookupError as error:
        hint = "Use utf-8, windows-1251 or gb18030."
        raise InputError(f"there is no text encoding {encoding!r}", hint=hint, key="encoding") from error
    with stream:
        yield _lines(stream, str(path))


def _lines(stream: IO[str], file: str) -> Iterator[str]:
    number = 0
    try:
        while line := stream.readline(MAX_RECORD + 1):
            number += 1
            if len(line) > MAX_RECORD:
                hint = "Check that this is a text file; divide longer texts first."
                raise InputError(f"line {number} is longer than {MAX_RECORD:,} characters", hint=hint, file=file)
            yield line
    except UnicodeError as error:
        raise InputError(f"the file can't be decoded: {error}", hint="Name its --encoding.", file=file) from error


def split_records(lines: Iterable[str], dialect: Dialect, *, file: str) -> Iterator[Record]:
    """Divide lines into records; blank lines are skipped, and an unclosed quote costs its own line only.

    Raises:
        InputError: The quotes of the file make no sense.
    """
    hopeless = InputError(
        "the quotes in this file do not pair up",
        hint="If quotes have no meaning in it, say so with --quote none.",
        file=file,
    )
    source = Lines(lines)
    for fields in split_rows(source, dialect, width=None, hopeless=hopeless):
        if isinstance(fields, Broken):
            yield Record(raw="".join(fields.lines), fields=[], fault=fields.reason)
        else:
            yield Record(raw="".join(source.held), fields=fields)
