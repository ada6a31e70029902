"""Division of lines into fields that survives unclosed quotes.

Python's `csv` in strict mode splits the rows; lines are held until their record is whole. So an unclosed quote, which
would swallow the file up to the next quote, costs its own line only: the lines after it are given back and read again.
"""

from __future__ import annotations

import csv
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ottenok.core.errors import OttenokError

__all__ = ["MAX_RECORD", "Broken", "Dialect", "Lines", "split_rows"]

# Characters of one record. No text of the field comes near; a binary file or a bomb passes it soon.
MAX_RECORD = 8 << 20
# A text of more lines than this is taken for an unclosed quote.
_MAX_LINES = 10_000
# Lines read again after unclosed quotes, per line of the file, before the file counts as not quoted at all.
_MOST_AGAIN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How a line is divided: a one-character delimiter, and a quote character or "" for none."""

    delimiter: str
    quote: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A record that can't be divided into the right number of fields: why, and its lines."""

    reason: str
    lines: tuple[str, ...]


class _EndlessRecordError(Exception):
    """A quoted field goes on past all measure."""


class Lines:
    """An iterator of lines that holds those of the current record, so that they can be given back and read again.

    Args:
        lines: With their ends.
    """

    __slots__ = ("_again", "_back", "_lines", "_size", "_total", "held")

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self._back: deque[str] = deque()
        self._again = self._total = self._size = 0
        self.held: list[str] = []

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        if self._back:
            line = self._back.popleft()
        else:
            line = next(self._lines)
            self._total += 1
        held = self.held
        if held:
            self._grow(line)
        held.append(line)
        return line

    def _grow(self, line: str) -> None:
        self._size = len(line) + (len(self.held[0]) if len(self.held) == 1 else self._size)
        if self._size > MAX_RECORD or len(self.held) >= _MAX_LINES:
            self.held.append(line)
            raise _EndlessRecordError

    def give_back(self, lines: Sequence[str]) -> bool:
        """Put lines before those still to come; False if by now far more lines were read again than there are."""
        self._back.extendleft(reversed(lines))
        self._again += len(lines)
        return self._again <= _MOST_AGAIN * (self._total + _MAX_LINES)


def split_rows(
    lines: Lines, dialect: Dialect, *, width: int | None, hopeless: OttenokError
) -> Iterator[list[str] | Broken]:
    """Divide lines into records of `width` fields (None: any number); blank lines are skipped.

    Each yielded record's lines are in `lines.held` until the next one is asked for.

    Raises:
        OttenokError: `hopeless`, where the quotes of the file make no sense.
    """
    # The limit is the process's, not the reader's; it is only ever raised.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_RECORD))
    reader = _reader(lines, dialect)
    while True:
        try:
            for fields in reader:
                if len(fields) == width or (width is None and fields):
                    yield fields
                elif fields:
                    yield Broken(reason=f"{len(fields)} fields instead of {width}", lines=tuple(lines.held))
                lines.held.clear()
        except (csv.Error, _EndlessRecordError) as error:
            yield _recover(lines, error, hopeless)
            lines.held.clear()
        else:
            return


def _reader(lines: Iterable[str], dialect: Dialect) -> Iterator[list[str]]:
    if dialect.quote:
        return csv.reader(lines, delimiter=dialect.delimiter, quotechar=dialect.quote, strict=True)
    return csv.reader(lines, delimiter=dialect.delimiter, quoting=csv.QUOTE_NONE, quotechar=None, strict=True)


def _recover(lines: Lines, error: Exception, hopeless: OttenokError) -> Broken:
    """Give back all but the first line of a record that went wrong, and say what was wrong with that line."""
    held = tuple(lines.held)
    if len(held) == 1 and "unexpected end" not in str(error):
        return Broken(reason="text after a closing quote", lines=held)
    if not lines.give_back(held[1:]):
        raise hopeless from error
    return Broken(reason="unclosed quote", lines=held[:1])
