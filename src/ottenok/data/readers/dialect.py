"""What divides the fields of a file: `delimiter = "auto"`.

Each pair of delimiter and quote divides the first lines. The wanted columns in the header decide first, then the share
of records that have the header's number of fields, then the number of fields.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ottenok.core.errors import DataError
from ottenok.data.readers.splitting import Broken, Dialect, Lines, split_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["detect_dialect", "usual_width"]

# In the order of preference where two do equally well.
_DELIMITERS = ",;\t|"
_QUOTES = ('"', "")
_RECORDS = 500


def detect_dialect(
    lines: Sequence[str], wanted: Sequence[str | int], *, header: bool, quote: str | None = None
) -> Dialect:
    """Return the dialect that divides the lines best, among those with the given quote if one is given."""
    quotes = _QUOTES if quote is None else (quote,)
    dialects = [Dialect(delimiter=delimiter, quote=mark) for mark in quotes for delimiter in _DELIMITERS]
    # max keeps the first of equals.
    return max(dialects, key=lambda dialect: _merit(lines, dialect, wanted, header=header))


def _merit(
    lines: Sequence[str], dialect: Dialect, wanted: Sequence[str | int], *, header: bool
) -> tuple[bool, float, int]:
    records = _split(lines, dialect)
    if not records:
        return False, 0.0, 0
    width = _width(records[0]) if header else _usual(records)
    rows = records[1:] if header else records
    right = sum(_width(record) == width for record in rows)
    names = [name.strip() for name in records[0]] if header and isinstance(records[0], list) else []
    fits = all(column < width if isinstance(column, int) else column in names for column in wanted)
    # One field per record divides nothing, however regular it is.
    share = right / len(rows) if rows else 1.0
    return fits, share if width > 1 else 0.0, width


def _split(lines: Sequence[str], dialect: Dialect) -> list[list[str] | Broken]:
    rows = split_rows(Lines([(list(lines), True)]), dialect, width=None, file="")
    records: list[list[str] | Broken] = []
    try:
        for row in rows:
            records.append(row)
            if len(records) == _RECORDS:
                break
    except DataError:
        return []
    return records


def _width(record: list[str] | Broken) -> int:
    return len(record) if isinstance(record, list) else 0


def _usual(records: Sequence[list[str] | Broken]) -> int:
    return Counter(map(_width, records)).most_common(1)[0][0]


def usual_width(lines: Sequence[str], dialect: Dialect) -> int:
    """Return the most frequent number of fields in the first records; 0 if there are none."""
    records = _split(lines, dialect)
    return _usual(records) if records else 0
