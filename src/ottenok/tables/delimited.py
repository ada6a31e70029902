"""CSV, TSV and their kin (reader kind `csv`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ottenok.core.config import parse
from ottenok.core.errors import ConfigError, DataError
from ottenok.tables.dialect import detect_dialect, usual_width
from ottenok.tables.division import Broken, Dialect, Lines, split_rows
from ottenok.tables.lines import BlockLines, line_blocks, unpaired_quotes
from ottenok.tables.options import LineOptions
from ottenok.tables.rows import Record, Rejected
from ottenok.tables.shape import Layout, Shaper, excerpt, find_columns, merge_repeats, wanted_columns
from ottenok.tables.streams import open_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ottenok.data.card import ReaderSpec

__all__ = ["CsvOptions", "read_csv"]

_DEFAULT_QUOTE = '"'
_SAMPLE_LINES = 1000
_SAMPLE_SIZE = 1_000_000


class CsvOptions(LineOptions):
    """Options of the reader `csv`, besides `encoding` and `member`.

    Attributes:
        delimiter: One character, or `auto`.
        quote: One character, or "" where quotes have no meaning; None: found out with delimiter `auto`, else `"`.
        header: Whether the first record holds the names of the columns.
        merge_repeats: Join consecutive rows with the same text.
    """

    delimiter: str = ","
    quote: str | None = None
    header: bool = True
    merge_repeats: bool = False


def read_csv(path: Path, spec: ReaderSpec, *, label: str | None) -> Iterator[Record | Rejected]:
    """Read a file of delimited rows (reader kind `csv`)."""
    options = parse(CsvOptions, spec.options, file=str(path))
    rows = _rows(path, spec, options, label)
    return merge_repeats(rows) if options.merge_repeats else rows


def _rows(path: Path, spec: ReaderSpec, options: CsvOptions, label: str | None) -> Iterator[Record | Rejected]:
    file = str(path)
    wanted = wanted_columns(spec, label=label, file=file)
    encoding = options.resolve(path)
    dialect = _dialect(path, options, encoding, wanted)
    with open_bytes(path, member=options.member) as stream:
        source = BlockLines(line_blocks(stream, encoding=encoding, file=file))
        lines = Lines(source)
        names = _header(lines, dialect, file=file) if options.header else _numbers(path, options, encoding, dialect)
        text, *labels = find_columns(names, wanted, file=file)
        part = labels.pop() if spec.part is not None else None
        layout = Layout(text=text, labels=tuple(labels), part=part)
        shape = Shaper(spec, layout, label=label, encoding=encoding)
        # A broken record is shown only where every column is one that is read: no author's name can be in it.
        show = set(layout.positions) == set(range(len(names)))
        split = split_rows(lines, dialect, width=len(names), hopeless=unpaired_quotes(file))
        rows = enumerate(split, start=1)
        for row, fields in rows:
            if type(fields) is list:
                yield shape(row, fields, clean=source.clean)
            elif isinstance(fields, Broken):
                yield Rejected(row=row, reason=fields.reason, content=excerpt("".join(fields.lines)) if show else "")


def _dialect(path: Path, options: CsvOptions, encoding: str, wanted: Sequence[str | int]) -> Dialect:
    if options.quote is not None and len(options.quote) > 1:
        raise _not_one(path, "quote", options.quote)
    if options.delimiter == "auto":
        lines = _sample(path, options, encoding)
        return detect_dialect(lines, wanted, header=options.header, quote=options.quote)
    quote = _DEFAULT_QUOTE if options.quote is None else options.quote
    if len(options.delimiter) != 1 or options.delimiter in {quote, "\r", "\n", "\0"}:
        raise _not_one(path, "delimiter", options.delimiter)
    return Dialect(delimiter=options.delimiter, quote=quote)


def _not_one(path: Path, key: str, found: str) -> ConfigError:
    hint = "With delimiter auto both are found out."
    return ConfigError(f"expected one character, found {found!r}", hint=hint, file=str(path), key=key)


def _header(lines: Lines, dialect: Dialect, *, file: str) -> list[str]:
    names = next(split_rows(lines, dialect, width=None, hopeless=unpaired_quotes(file)), None)
    lines.held.clear()
    if names is None:
        raise DataError("the file is empty", hint="Expected a header and rows.", file=file)
    if isinstance(names, Broken):
        raise DataError(f"the header can't be read: {names.reason}", hint="Try delimiter auto.", file=file)
    return [name.strip() for name in names]


def _numbers(path: Path, options: CsvOptions, encoding: str, dialect: Dialect) -> list[str]:
    """Return the positions as names for a file without a header: as many as most of its first records have fields."""
    width = usual_width(_sample(path, options, encoding), dialect)
    if not width:
        raise DataError("the file is empty", hint="Expected rows.", file=str(path))
    return [str(position) for position in range(width)]


def _sample(path: Path, options: CsvOptions, encoding: str) -> list[str]:
    """Return the first 1,000 lines of a file, or fewer that make a megabyte."""
    found: list[str] = []
    size = 0
    with open_bytes(path, member=options.member) as stream:
        for lines, _clean in line_blocks(stream, encoding=encoding, file=str(path)):
            found += lines[: _SAMPLE_LINES - len(found)]
            size += sum(map(len, lines))
            if len(found) == _SAMPLE_LINES or size > _SAMPLE_SIZE:
                break
    return found
