"""Lines of a text file, and CSV records that keep their own bytes and survive unclosed quotes."""

from __future__ import annotations

import codecs
import csv
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from ottenok.core.errors import InputError
from ottenok.inference.table import MAX_RECORD

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["Dialect", "Record", "detect_encoding", "open_lines", "split_records"]

_BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_HEAD = 1 << 16
# A record of more lines than this is taken for an unclosed quote.
_MOST_LINES = 10_000
# Lines read again after unclosed quotes, per line of the file, before its quotes count as meaningless.
_MOST_AGAIN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How a line is divided: a one-character delimiter, and a quote character or "" for none."""

    delimiter: str
    quote: str


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


class _EndlessRecordError(Exception):
    """A quoted field goes on past all measure."""


class _Feeder:
    """Gives lines to the parser and holds those of the current record, so that they can be read again."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self._back: deque[str] = deque()
        self._held: list[str] = []
        self._total = self._again = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._back:
            line = self._back.popleft()
        else:
            line = next(self._lines)
            self._total += 1
        self._held.append(line)
        if len(self._held) > 1 and (len(self._held) > _MOST_LINES or self._size() > MAX_RECORD):
            raise _EndlessRecordError
        return line

    def _size(self) -> int:
        return sum(map(len, self._held)) if len(self._held) % 64 == 0 else 0

    def take(self) -> list[str]:
        """Return the lines of the current record and begin the next."""
        held, self._held = self._held, []
        return held

    def give_back(self, lines: list[str]) -> bool:
        """Put lines before those still to come; False if far more lines were read again than there are."""
        self._back.extendleft(reversed(lines))
        self._again += len(lines)
        return self._again <= _MOST_AGAIN * (self._total + _MOST_LINES)


def split_records(lines: Iterable[str], dialect: Dialect, *, file: str) -> Iterator[Record]:
    """Divide lines into records; blank lines are skipped, and an unclosed quote costs its own line only.

    Raises:
        InputError: The quotes of the file make no sense.
    """
    # The limit is the process's, not the reader's; it is only ever raised.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_RECORD))
    feeder = _Feeder(lines)
    while True:
        try:
            for fields in _reader(feeder, dialect):
                raw = "".join(feeder.take())
                if fields:
                    yield Record(raw=raw, fields=fields)
        except (csv.Error, _EndlessRecordError) as error:
            yield _recover(feeder, error, file)
        else:
            return


def _reader(lines: Iterable[str], dialect: Dialect) -> Iterator[list[str]]:
    if dialect.quote:
        return csv.reader(lines, delimiter=dialect.delimiter, quotechar=dialect.quote, strict=True)
    return csv.reader(lines, delimiter=dialect.delimiter, quoting=csv.QUOTE_NONE, quotechar=None, strict=True)


def _recover(feeder: _Feeder, error: Exception, file: str) -> Record:
    """Give back all but the first line of a record that went wrong."""
    first, *rest = feeder.take()
    if not feeder.give_back(rest):
        raise InputError(
            "the quotes in this file do not pair up",
            hint="If quotes have no meaning in it, say so with --quote none.",
            file=file,
        ) from error
    single = not rest and "unexpected end" not in str(error)
    return Record(raw=first, fields=[], fault="text after a closing quote" if single else "unclosed quote")
