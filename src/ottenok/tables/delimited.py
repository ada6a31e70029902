r"""CSV, TSV and their kin: rows survive unclosed quotes, and what divides them is found out.

Python's `csv` in strict mode splits the rows; lines are held until their record is whole. So an unclosed quote, which
would swallow the file up to the next quote, costs its own line only: the lines after it are given back and read again.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections import Counter, deque
from dataclasses import dataclass, replace
from itertools import chain, product
from typing import TYPE_CHECKING, Literal

from ottenok.core.errors import ConfigError, DataError
from ottenok.tables.encoding import Encoding, find_encoding
from ottenok.tables.options import MAX_RECORD
from ottenok.tables.records import Rejected, excerpt
from ottenok.tables.streams import LongLine, text_blocks
from ottenok.tables.table import Row, Table, fold_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ottenok.core.errors import OttenokError
    from ottenok.tables.options import TableOptions
    from ottenok.tables.streams import Source

__all__ = ["Broken", "DelimitedTable", "Dialect", "Lines", "split_rows"]

# In the order of preference where two do equally well.
_DELIMITERS = ",;\t|"
_QUOTE = '"'
# Of a file of one column, whose texts may hold any of those.
_NOTHING = "\x1f"
_SAMPLE_LINES = 1000
_SAMPLE_SIZE = 1_000_000
_RECORDS = 500
# A text of more lines than this is taken for an unclosed quote.
_MAX_LINES = 10_000
# Lines read again after unclosed quotes, per line of the file, before the file counts as not quoted at all.
_MOST_AGAIN = 10
_SEP_LINE = re.compile(r'^"?sep=(.)"?\s*$', re.IGNORECASE)
_ESCAPES = re.compile(r'(\\+)"')
_APOSTROPHES = re.compile(r"(?:^|[,;\t|])'(?:[^']|'')*'\s*(?:[,;\t|]|$)")
_ROW_NAME = re.compile(r"[\w.-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    r"""How a line is divided.

    Attributes:
        delimiter: One character.
        quote: One character, or "" where quotes have no meaning.
        escape: Whether `\"` in a quoted field is a quote, as Spark writes it; `""` is one in any case.
        spaces: Whether blanks after a delimiter belong to it, as in `1, "text", 2`.
    """

    delimiter: str
    quote: str
    escape: bool = False
    spaces: bool = False


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
        limit: Characters of a record.
    """

    __slots__ = ("_again", "_back", "_limit", "_lines", "_size", "_total", "held")

    def __init__(self, lines: Iterable[str], limit: int = MAX_RECORD) -> None:
        self._lines = iter(lines)
        self._limit = limit
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
        held.append(line)
        if len(held) > 1 or type(line) is LongLine:
            self._size = len(line) + (len(held[0]) if len(held) == 2 else self._size)
            if type(line) is LongLine or self._size > self._limit or len(held) > _MAX_LINES:
                raise _EndlessRecordError
        return line

    def give_back(self, lines: Sequence[str]) -> bool:
        """Put lines before those still to come; False if by now far more lines were read again than there are."""
        self._back.extendleft(reversed(lines))
        self._again += len(lines)
        return self._again <= _MOST_AGAIN * (self._total + _MAX_LINES)


def split_rows(
    lines: Lines, dialect: Dialect, *, width: int | None, hopeless: OttenokError, mend: bool = False
) -> Iterator[list[str] | Broken]:
    r"""Divide lines into records of `width` fields (None: any number); blank lines are skipped.

    Each yielded record's lines are in `lines.held` until the next one is asked for.

    Args:
        lines: The lines.
        dialect: How they are divided.
        width: Fields of a record.
        hopeless: Raised where the quotes of the file make no sense.
        mend: Whether a broken line with `\"` in it is tried with the other meaning of the backslash.
    """
    # The limit is the process's, not the reader's; it is only ever raised.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_RECORD, lines._limit))  # noqa: SLF001 - of this file
    reader = _reader(lines, dialect)
    while True:
        try:
            for fields in reader:
                if len(fields) == width or (width is None and fields):
                    yield fields
                elif fields:
                    found = f"{len(fields)} field{'s' if len(fields) > 1 else ''} instead of {width}"
                    broken = Broken(reason=found, lines=tuple(lines.held))
                    yield _mended(broken, lines, dialect, width) if mend else broken
                lines.held.clear()
        except (csv.Error, _EndlessRecordError) as error:
            held = tuple(lines.held)
            if len(held) == 1 and type(held[0]) is LongLine:
                broken = Broken(reason="the record is too long (--max-record)", lines=held)
            elif len(held) == 1 and "unexpected end" not in str(error):
                broken = Broken(reason="text after a closing quote", lines=held)
            elif lines.give_back(held[1:]):
                broken = Broken(reason="unclosed quote", lines=held[:1])
                lines.held[:] = held[:1]
            else:
                raise hopeless from error
            yield _mended(broken, lines, dialect, width) if mend else broken
            lines.held.clear()
        else:
            return


def _reader(lines: Iterable[str], dialect: Dialect) -> Iterator[list[str]]:
    if not dialect.quote:
        return csv.reader(lines, delimiter=dialect.delimiter, quoting=csv.QUOTE_NONE, quotechar=None, strict=True)
    if dialect.escape:
        # Backslashes before a quote: two are one, and an odd one makes the quote a part of the text.
        lines = (
            _ESCAPES.sub(lambda found: "\\" * (len(found[1]) // 2) + ('""' if len(found[1]) % 2 else '"'), line)
            if '\\"' in line
            else line
            for line in lines
        )
    return csv.reader(
        lines, delimiter=dialect.delimiter, quotechar=dialect.quote, skipinitialspace=dialect.spaces, strict=True
    )


def _mended(broken: Broken, lines: Lines, dialect: Dialect, width: int | None) -> list[str] | Broken:
    """Return the fields of a broken record if the other meaning of its backslashes makes it whole."""
    if width is None or dialect.quote != _QUOTE or '\\"' not in broken.lines[0]:
        return broken
    other = replace(dialect, escape=not dialect.escape)
    taken = Lines(broken.lines)
    try:
        fields = next(_reader(taken, other), [])
    except (csv.Error, _EndlessRecordError):
        return broken
    if len(fields) != width:
        return broken
    # What comes after it among its lines is another record.
    lines.give_back(broken.lines[len(taken.held) :])
    lines.held[:] = taken.held
    return fields


class DelimitedTable(Table):
    """A file of delimited rows. It has row names before its header's columns where R wrote them.

    Attributes:
        dialect: How its rows are divided.
        line_end: Of its first line.
    """

    def __init__(self, source: Source, options: TableOptions, wanted: Sequence[str | int]) -> None:
        super().__init__(source, options)
        self.format = "tsv" if options.format == "tsv" else "csv"
        self._encoding: Encoding = find_encoding(source, options.encoding)
        self.encoding, self.mark = self._encoding.codec, self._encoding.mark
        self._skip = options.skip_rows
        sample = self._sample()
        if not any(map(str.strip, sample)):
            raise DataError("the file is empty", hint="Expected a header and rows.", file=self.file)
        delimiter = None if options.delimiter == "auto" else options.delimiter
        if options.format == "tsv" and delimiter is None:
            delimiter = "\t"
        sep = _SEP_LINE.match(sample[0]) if delimiter is None else None
        if sep is not None:
            self._skip += 1
            self.preamble += sample.pop(0)
            delimiter = sep[1]
        self.line_end = next((end for end in ("\r\n", "\r", "\n") if sample and sample[0].endswith(end)), "\n")
        self.dialect = self._dialect(sample, delimiter, wanted)
        self._header: list[str] = []
        self._hopeless = DataError(
            "the quotes in this file do not pair up",
            hint='If quotes have no meaning in it, say so: --quote none, in a recipe quote = "".',
            file=self.file,
        )
        lines = Lines(sample, options.max_record)
        split = split_rows(lines, self.dialect, width=None, hopeless=self._hopeless)
        if not options.header:
            widths = Counter(len(fields) for fields in split if isinstance(fields, list))
            if not widths:
                raise DataError("the file is empty", hint="Expected rows.", file=self.file)
            self.columns = [str(place) for place in range(widths.most_common(1)[0][0])]
            return
        first = next(split, None)
        if first is None:
            raise DataError("the file is empty", hint="Expected a header and rows.", file=self.file)
        if isinstance(first, Broken):
            hint = "Name the --delimiter and --quote, or pass over lines before the header with --skip-rows."
            raise DataError(f"the header can't be read: {first.reason}", hint=hint, file=self.file)
        self.preamble += "".join(lines.held)
        self.columns = [unicodedata.normalize("NFC", name.strip()) for name in first]
        self._header = first
        if options.escape is None:
            self._add_unnamed(list(split))

    def _advice(self, column: str) -> str:
        """Say where a column that is not in the header is: in a later line, or the header is divided otherwise."""
        sample = self._sample()
        for place, line in enumerate(sample[1:50], start=self._skip + 1):
            for mark in _DELIMITERS:
                names = next(csv.reader([line], delimiter=mark), [])
                if len(names) > 1 and any(fold_name(name) == fold_name(column) for name in names):
                    return f"Line {place + 1} has this name: --skip-rows {place}"
        if len(self.columns) == 1 and column in self.columns[0]:
            if sample[0].startswith(_QUOTE) and any(mark in self.columns[0] for mark in _DELIMITERS):
                return "Each row stands in quotes as a whole, as one cell: take the outer quotes off and save it again."
            return "Name the --delimiter."
        return ""

    def _sample(self) -> list[str]:
        """Return the first 1,000 lines after those that are skipped, or fewer that make a megabyte."""
        found: list[str] = []
        size = 0
        for lines, _clean in self._line_blocks():
            found += lines
            size += sum(map(len, lines))
            if len(found) >= _SAMPLE_LINES + self._skip or size > _SAMPLE_SIZE:
                break
        self.preamble = "".join(found[: self._skip])
        return found[self._skip : _SAMPLE_LINES + self._skip]

    def _line_blocks(self) -> Iterator[tuple[list[str], bool]]:
        with self._source.open() as stream:
            yield from text_blocks(stream, self._encoding, file=self.file, limit=self._options.max_record)

    def _dialect(self, sample: Sequence[str], delimiter: str | None, wanted: Sequence[str | int]) -> Dialect:
        quote, escape = self._options.quote, self._options.escape
        if quote is not None and len(quote) > 1:
            raise self._not_one("quote", quote)
        if delimiter is not None and (len(delimiter) != 1 or delimiter in {quote, _QUOTE, "\r", "\n", "\0"}):
            raise self._not_one("delimiter", delimiter)
        known = escape is not None and quote is not None and delimiter is not None
        if known:
            return Dialect(delimiter=delimiter or ",", quote=quote or "", escape=bool(escape))
        return _best_dialect(sample, wanted, self._options, delimiter)

    def _not_one(self, key: str, found: str) -> ConfigError:
        hint = "With auto it is found out."
        return ConfigError(f"expected one character, found {found!r}", hint=hint, file=self.file, key=key)

    def _add_unnamed(self, rows: Sequence[list[str] | Broken]) -> None:
        """Add a column without a name where nearly all rows have one field more than the header.

        It is the last one where rows end with a delimiter, and the first one where it looks like R's row names.
        """
        records = [fields for fields in rows if isinstance(fields, list)]
        longer = [fields for fields in records if len(fields) == len(self.columns) + 1]
        if not longer or len(longer) < 0.9 * len(records):
            return
        names = [fields[0] for fields in longer]
        if not any(fields[-1].strip() for fields in longer):
            self.columns.append("")
        elif len(set(names)) == len(names) and all(map(_ROW_NAME.fullmatch, names)):
            self.columns.insert(0, "")
            self.notes.append("The header is one name shorter than the rows: their first field is taken for row names.")

    def _rows(self, places: Sequence[int], *, raw: bool) -> Iterator[Row | Rejected]:
        clean = True

        def flat() -> Iterator[str]:
            # Once unclean, always looked at: a line that is read again may come from an earlier block.
            nonlocal clean
            skip = self._skip
            for block, sound in self._line_blocks():
                clean = clean and sound
                yield from block[skip:] if skip else block
                skip = max(0, skip - len(block))

        lines = Lines(flat(), self._options.max_record)
        if self._options.header:
            next(split_rows(lines, self.dialect, width=None, hopeless=self._hopeless), None)
            lines.held.clear()
        # A broken record is shown only where every column is one that is read: no author's name can be in it.
        show = raw or set(places) == set(range(len(self.columns)))
        mend = self._options.escape is None
        split = split_rows(lines, self.dialect, width=len(self.columns), hopeless=self._hopeless, mend=mend)
        # Files that were put together have their header again and again; a single name may be a text as well.
        last = self._header[-1] if len(self._header) > 1 else None
        for number, fields in enumerate(split, start=1):
            if type(fields) is list:
                if fields[-1] == last and [fields[0].lstrip("\ufeff"), *fields[1:]] == self._header:
                    told = excerpt("".join(lines.held)) if show else ""
                    yield Rejected(row=number, reason="the header again", content=told)
                    continue
                yield number, [fields[place] for place in places], "".join(lines.held) if raw else None, clean
            elif isinstance(fields, Broken):
                yield Rejected(row=number, reason=fields.reason, content=excerpt("".join(fields.lines)) if show else "")

    def extended(self, raw: str, cells: Sequence[str]) -> str:
        """Return a row as it stands in the file with cells added at its end.

        Raises:
            DataError: Without quotes, a cell holds what divides cells.
        """
        body = raw.rstrip("\r\n")
        end = raw[len(body) :] or self.line_end
        if not cells:
            return f"{body}{end}"
        dialect = self.dialect
        delimiter = dialect.delimiter
        if delimiter == _NOTHING:
            delimiter = ","
            fields = next(_reader(io.StringIO(body, newline=""), dialect), [""])
            body = self._joined(fields, delimiter)
        return f"{body}{delimiter}{self._joined(cells, delimiter)}{end}"

    def replaced(self, raw: str, cells: Mapping[int, str]) -> str:
        """Return a row as it stands in the file with other cells in some places, counted from 0.

        Raises:
            DataError: Without quotes, a cell holds what divides cells.
        """
        body = raw.rstrip("\r\n")
        fields = next(_reader(io.StringIO(body, newline=""), self.dialect), [""])
        fields = [cells.get(place, field) for place, field in enumerate(fields)]
        delimiter = "," if self.dialect.delimiter == _NOTHING else self.dialect.delimiter
        return f"{self._joined(fields, delimiter)}{raw[len(body) :] or self.line_end}"

    def _joined(self, cells: Sequence[str], delimiter: str) -> str:
        stream = io.StringIO()
        quote = self.dialect.quote or (_QUOTE if self.dialect.delimiter == _NOTHING else None)
        quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE
        try:
            csv.writer(stream, delimiter=delimiter, quotechar=quote, quoting=quoting, lineterminator="").writerow(cells)
        except csv.Error as error:
            hint = "Without quotes, labels can't hold the delimiter."
            raise DataError(f"the answers can't be written: {error}", hint=hint, file=self.file) from error
        return stream.getvalue()


def _best_dialect(
    lines: Sequence[str], wanted: Sequence[str | int], options: TableOptions, delimiter: str | None
) -> Dialect:
    """Return the dialect that divides the first lines best, among those that agree with what is said.

    The wanted columns in the header decide first, then the share of records that have the header's number of fields,
    then the number of fields. Quotes have their meaning unless they break more records than they enclose fields.
    Apostrophes are quotes where nearly every line has a field between two.
    """
    quotes = (_QUOTE, "") if options.quote is None else (options.quote,)
    rows = lines[1:]
    if options.quote is None and len(rows) > 1 and sum(map(bool, map(_APOSTROPHES.search, rows))) >= 0.9 * len(rows):
        quotes = ("'", *quotes)
    escapes = (False, True) if options.escape is None else (options.escape,)
    if not any('\\"' in line for line in lines):
        escapes = (bool(options.escape),)
    merits: dict[Dialect, tuple[bool, float, int]] = {}
    for mark in _DELIMITERS if delimiter is None else delimiter:
        misled = True
        # Blanks before quotes come first: they win a tie, in which the quotes would be a part of the texts.
        blank = re.compile(rf'(?:^|{re.escape(mark)}) +"[^"]*" *(?:{re.escape(mark)}|\s*$)')
        spaced = (True, False) if _QUOTE in quotes and mark != " " and any(map(blank.search, lines)) else (False,)
        for quote in quotes:
            for escape, spaces in product(escapes, spaced) if quote == _QUOTE else ((False, False),):
                if not (misled or quote):
                    continue
                dialect = Dialect(delimiter=mark, quote=quote, escape=escape, spaces=spaces)
                records, quoted = _divide(lines, dialect)
                misled = misled and (not records or sum(not record for record in records) > quoted)
                if records:
                    merits[dialect] = _merit(records, wanted, header=options.header)
    fallback = Dialect(delimiter=delimiter or ",", quote=quotes[0])
    # max keeps the first of equals.
    best = max(merits, key=merits.__getitem__, default=fallback)
    header = next((line for line in lines if line.strip()), "")
    if delimiter is None and options.header and merits and not any(mark in header for mark in _DELIMITERS):
        # One column, whose texts may hold any of the marks.
        return replace(best, delimiter=_NOTHING, spaces=False)
    return best


def _divide(lines: Sequence[str], dialect: Dialect) -> tuple[list[list[str]], int]:
    """Return the fields of each record, empty for a broken one, and how many sound records have a quoted field."""
    source = Lines(lines)
    records: list[list[str]] = []
    quoted = 0
    try:
        for fields in split_rows(source, dialect, width=None, hopeless=DataError("")):
            records.append([] if isinstance(fields, Broken) else fields)
            raw = "".join(source.held)
            mark = dialect.quote or _QUOTE
            quoted += bool(records[-1]) and (raw.startswith(mark) or dialect.delimiter + mark in raw)
            if len(records) == _RECORDS:
                break
    except DataError:
        return [], 0
    return records, quoted


def _merit(records: Sequence[list[str]], wanted: Sequence[str | int], *, header: bool) -> tuple[bool, float, int]:
    width = len(records[0]) if header else Counter(map(len, records)).most_common(1)[0][0]
    rows = records[1:] if header else records
    names = {fold_name(name) for name in records[0]} if header else {str(place) for place in range(width)}
    fits = all(column < width if isinstance(column, int) else fold_name(column) in names for column in wanted)
    share = sum(len(record) == width for record in rows) / len(rows) if rows else 1.0
    longer = sum(len(record) == width + 1 for record in rows) / len(rows) if rows and header else 0.0
    # One field per record divides nothing, however regular it is.
    return fits, max(share, longer * 0.99) if width > 1 else share / 100, width


def names_of(fields: Iterable[object]) -> list[str]:
    """Return the names of columns that a header's cells give, in NFC."""
    return [unicodedata.normalize("NFC", "" if cell is None else str(cell).strip()) for cell in chain(fields)]
