"""What divides the fields of a file: `delimiter = "auto"`.

Each delimiter divides the first lines. The wanted columns in the header decide first, then the share of records that
have the header's number of fields, then the number of fields. Quotes have their meaning unless they break more records
than they enclose fields.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ottenok.core.errors import DataError
from ottenok.tables.division import Broken, Dialect, Lines, split_rows
from ottenok.tables.lines import unpaired_quotes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["detect_dialect", "usual_width"]

# In the order of preference where two do equally well.
_DELIMITERS = ",;\t|"
_QUOTE = '"'
_RECORDS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class _Division:
    """What a dialect makes of the first lines.

    Attributes:
        records: Fields of each record; empty for a broken one.
        quoted: How many sound records have a quoted field.
    """

    records: list[list[str]]
    quoted: int

    @property
    def quotes_mislead(self) -> bool:
        """Whether more records are broken by quotes than have a quoted field."""
        return sum(not record for record in self.records) > self.quoted


def detect_dialect(
    lines: Sequence[str], wanted: Sequence[str | int], *, header: bool, quote: str | None = None
) -> Dialect:
    """Return the dialect that divides the lines best, among those with the given quote if one is given."""
    merits = {
        dialect: _merit(division, wanted, header=header)
        for dialect, division in _divisions(lines, quote)
        if division.records
    }
    # max keeps the first of equals.
    return max(merits, key=merits.__getitem__, default=Dialect(delimiter=",", quote=_QUOTE if quote is None else quote))


def _divisions(lines: Sequence[str], quote: str | None) -> Iterator[tuple[Dialect, _Division]]:
    for delimiter in _DELIMITERS:
        dialect = Dialect(delimiter=delimiter, quote=_QUOTE if quote is None else quote)
        division = _divide(lines, dialect)
        yield dialect, division
        if quote is None and (division.quotes_mislead or not division.records):
            plain = Dialect(delimiter=delimiter, quote="")
            yield plain, _divide(lines, plain)


def _divide(lines: Sequence[str], dialect: Dialect) -> _Division:
    source = Lines(lines)
    records: list[list[str]] = []
    quoted = 0
    try:
        for fields in split_rows(source, dialect, width=None, hopeless=unpaired_quotes("")):
            records.append([] if isinstance(fields, Broken) else fields)
            raw = "".join(source.held)
            quoted += bool(records[-1]) and (raw.startswith(_QUOTE) or dialect.delimiter + _QUOTE in raw)
            if len(records) == _RECORDS:
                break
    except DataError:
        return _Division(records=[], quoted=0)
    return _Division(records=records, quoted=quoted)


def _merit(division: _Division, wanted: Sequence[str | int], *, header: bool) -> tuple[bool, float, int]:
    records = division.records
    width = len(records[0]) if header else _usual(records)
    rows = records[1:] if header else records
    names = [name.strip() for name in records[0]] if header else []
    fits = all(column < width if isinstance(column, int) else column in names for column in wanted)
    share = sum(len(record) == width for record in rows) / len(rows) if rows else 1.0
    # One field per record divides nothing, however regular it is.
    return fits, share if width > 1 else 0.0, width


def _usual(records: Sequence[list[str]]) -> int:
    return Counter(map(len, records)).most_common(1)[0][0]


def usual_width(lines: Sequence[str], dialect: Dialect) -> int:
    """Return the most frequent number of fields in the first records; 0 if there are none."""
    records = _divide(lines, dialect).records
    return _usual(records) if records else 0
