"""Spreadsheets (reader kind `xlsx`), streamed through openpyxl's read-only mode."""

from __future__ import annotations

import zipfile
import zlib
from itertools import chain
from typing import IO, TYPE_CHECKING, Any

from ottenok.core.config import parse, suggest
from ottenok.core.errors import DataError
from ottenok.core.lazy import require
from ottenok.core.table import Table
from ottenok.tables.shape import Layout, Shaper, find_columns, wanted_columns
from ottenok.tables.streams import check_archive, open_bytes, seekable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ottenok.data.card import ReaderSpec
    from ottenok.tables.rows import Record, Rejected

__all__ = ["XlsxOptions", "read_xlsx"]

# What openpyxl and the XML below it raise on workbooks that are not what they should be.
_UNREADABLE = (
    AttributeError, EOFError, IndexError, KeyError, NotImplementedError, OSError, RecursionError, SyntaxError,
    TypeError, ValueError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


class XlsxOptions(Table):
    """Options of the reader `xlsx`.

    Attributes:
        header: Whether the first row holds the names of the columns.
        sheet: Name of the sheet; None: the first.
        member: Member of a ZIP archive; without it, an archive's only file.
    """

    header: bool = True
    sheet: str | None = None
    member: str | None = None


def read_xlsx(path: Path, spec: ReaderSpec, *, label: str | None) -> Iterator[Record | Rejected]:
    """Read one sheet. A row's number is its number on the sheet, less one for the header; blank rows are skipped."""
    options = parse(XlsxOptions, spec.options, file=str(path))
    file = str(path)
    wanted = wanted_columns(spec, label=label, file=file)
    with open_bytes(path, member=options.member) as raw, seekable(raw) as stream:
        check_archive(stream, file=file)
        rows = _cells(stream, options.sheet, file=file)
        names, rows = _names(rows, header=options.header, file=file)
        text, *labels = find_columns(names, wanted, file=file)
        part = labels.pop() if spec.part is not None else None
        shape = Shaper(spec, Layout(text=text, labels=tuple(labels), part=part), label=label)
        padding = (None,) * len(names)
        for row, cells in enumerate(rows, start=1):
            if any(cell is not None for cell in cells):
                yield shape(row, (*cells, *padding[len(cells) :]), clean=False)


def _cells(stream: IO[bytes], sheet: str | None, *, file: str) -> Iterator[tuple[object, ...]]:
    openpyxl = require("openpyxl", extra="data")
    try:
        book = openpyxl.load_workbook(stream, read_only=True, data_only=True, keep_links=False)
        try:
            page = _sheet(book, sheet, file=file)
            # Some programs write a wrong size, and openpyxl would stop there.
            page.reset_dimensions()
            yield from page.iter_rows(values_only=True)
        finally:
            book.close()
    except _UNREADABLE as error:
        raise DataError(f"the workbook can't be read: {error}", hint="Save it again as .xlsx.", file=file) from error


def _sheet(book: Any, name: str | None, *, file: str) -> Any:  # noqa: ANN401 - openpyxl has no types
    sheets = {sheet.title: sheet for sheet in book.worksheets}
    if not sheets:
        raise DataError("the workbook holds no sheet", file=file)
    if name is None:
        return next(iter(sheets.values()))
    if name not in sheets:
        raise DataError(f"there is no sheet {name!r}", hint=suggest(name, sheets), file=file, key="sheet")
    return sheets[name]


def _names(
    rows: Iterator[tuple[object, ...]], *, header: bool, file: str
) -> tuple[Sequence[str], Iterator[tuple[object, ...]]]:
    first = next(rows, None)
    if first is None:
        raise DataError("the sheet is empty", file=file)
    if header:
        return ["" if cell is None else str(cell).strip() for cell in first], rows
    return [str(position) for position in range(len(first))], chain([first], rows)
