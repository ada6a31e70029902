"""Spreadsheets, streamed through openpyxl's read-only mode."""

from __future__ import annotations

import re
import zipfile
import zlib
from contextlib import contextmanager
from itertools import islice
from typing import IO, TYPE_CHECKING, Any

from ottenok.core.errors import DataError
from ottenok.core.lazy import require
from ottenok.core.suggest import suggest
from ottenok.tables.delimited import names_of
from ottenok.tables.records import Rejected
from ottenok.tables.table import Row, Table, fold_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ottenok.tables.options import TableOptions
    from ottenok.tables.streams import Source

__all__ = ["XlsxTable"]

# What openpyxl and the XML below it raise on workbooks that are not what they should be.
_UNREADABLE = (
    AttributeError, EOFError, IndexError, KeyError, NotImplementedError, OSError, RecursionError, SyntaxError,
    TypeError, ValueError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
# As many as Excel has.
_MOST_ROWS = 1_048_576
_MOST_COLUMNS = 16_384
# Bytes of the table of strings, which is held in memory as a whole.
_MOST_STRINGS = 512 << 20
_ROW_NUMBER = re.compile(rb"<(?:\w+:)?row\b[^>]*?\sr=[\"'](\d+)")
_ERRORS = frozenset({"#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!", "#SPILL!", "#CALC!"})
# What Excel writes for characters that XML can't hold.
_ESCAPED = re.compile(r"(?:_x[0-9A-Fa-f]{4}_)+")


class XlsxTable(Table):
    """One sheet of a workbook. A row's number is its number below the header; blank rows are skipped."""

    format = "xlsx"

    def __init__(self, source: Source, options: TableOptions, wanted: Sequence[str | int]) -> None:
        super().__init__(source, options)
        with self._book() as book:
            self._title = self._choose(book, options.sheet, wanted)
            first = self._first(book[self._title])
            if first is None:
                raise DataError("the sheet is empty", file=self.file, key="sheet")
            self._header: tuple[object, ...] = ()
            if options.header:
                self.columns = names_of(first)
                while self.columns and not self.columns[-1]:
                    self.columns.pop()
                self._header = tuple(first[: len(self.columns)])
            else:
                self.columns = [str(place) for place in range(len(first))]

    @contextmanager
    def _book(self) -> Iterator[Any]:
        openpyxl = require("openpyxl", extra="data")
        with self._source.jump() as stream:
            self._source.check_members(stream)
            self._check_sizes(stream)
            try:
                book = openpyxl.load_workbook(stream, read_only=True, data_only=True, keep_links=False)
                try:
                    yield book
                finally:
                    book.close()
            except _UNREADABLE as error:
                raise DataError(
                    f"the workbook can't be read: {error}", hint="Save it again as .xlsx.", file=self.file
                ) from error

    def _check_sizes(self, stream: IO[bytes]) -> None:
        """Refuse row numbers that no spreadsheet has, which openpyxl would count up to, and giant tables of strings."""
        if getattr(self, "columns", None):
            return  # looked at before
        try:
            with zipfile.ZipFile(stream) as archive:
                for info in archive.infolist():
                    if info.filename.endswith("sharedStrings.xml") and info.file_size > _MOST_STRINGS:
                        raise DataError(
                            f"the workbook's strings take {info.file_size:,} bytes, and they are held in memory",
                            hint="Save the sheet as .csv.",
                            file=self.file,
                        )
                    if "worksheets/" in info.filename:
                        with archive.open(info) as sheet:
                            data = b""
                            # A row's number may stand across two pieces.
                            while piece := sheet.read(1 << 20):
                                data = data[-200:] + piece
                                for match in _ROW_NUMBER.finditer(data):
                                    if len(match[1]) > 7 or int(match[1]) > _MOST_ROWS:
                                        raise DataError(
                                            f"the workbook names row {match[1][:20].decode()}; a sheet has at most "
                                            f"{_MOST_ROWS:,} rows",
                                            hint="Save it again as .xlsx, or as .csv.",
                                            file=self.file,
                                        )
        except _UNREADABLE as error:
            raise DataError(
                f"the workbook can't be read: {error}", hint="Save it again as .xlsx.", file=self.file
            ) from error
        stream.seek(0)

    def _choose(self, book: Any, sheet: str | int | None, wanted: Sequence[str | int]) -> str:  # noqa: ANN401 - openpyxl has no types
        titles = [page.title for page in book.worksheets]
        if not titles:
            raise DataError("the workbook holds no sheet", file=self.file)
        if sheet is not None:
            if isinstance(sheet, str):
                same = [title for title in titles if fold_name(title) == fold_name(sheet)]
                if same:
                    return str(same[0])
            number = int(sheet) if str(sheet).isascii() and str(sheet).isdigit() else 0
            if 1 <= number <= len(titles):
                return str(titles[number - 1])
            told = ", ".join(f"{place} {title!r}" for place, title in enumerate(titles, start=1))
            raise DataError(
                f"there is no sheet {sheet!r}; the sheets are: {told}",
                hint=suggest(str(sheet), titles),
                file=self.file,
                key="sheet",
            )
        if len(titles) == 1:
            return str(titles[0])
        names = {fold_name(column) for column in wanted if isinstance(column, str)}
        fitting = []
        for title in titles if self._options.header and names else ():
            header = self._first(book[title])
            if header is not None and names <= {fold_name(name) for name in names_of(header)}:
                fitting.append(str(title))
        if fitting:
            if len(fitting) > 1:
                others = ", ".join(map(repr, fitting[1:6]))
                self.notes.append(
                    f"Read from the sheet {fitting[0]!r}; others have these columns too, and were not read: {others}."
                )
            elif fitting[0] != titles[0]:
                self.notes.append(f"Read from the sheet {fitting[0]!r}, the one of {len(titles)} with these columns.")
            return fitting[0]
        filled = next((title for title in titles if self._first(book[title]) is not None), titles[0])
        self.notes.append(f"Read from the sheet {filled!r}, one of {len(titles)}; choose another with --sheet.")
        return str(filled)

    def _first(self, page: Any) -> tuple[object, ...] | None:  # noqa: ANN401
        """Return the first row with a cell after those that are skipped."""
        if not hasattr(page, "iter_rows"):
            return None
        page.reset_dimensions()
        rows = islice(page.iter_rows(values_only=True, max_col=_MOST_COLUMNS), self._options.skip_rows, None)
        return next((row for row in rows if any(cell not in {None, ""} for cell in row)), None)

    def _advice(self, column: str) -> str:
        """Say which later row, of this sheet or another, has a name that the header has not."""
        with self._book() as book:
            for title in sorted((page.title for page in book.worksheets), key=lambda title: title != self._title):
                page = book[title]
                if not hasattr(page, "iter_rows"):
                    continue
                page.reset_dimensions()
                for place, cells in enumerate(islice(page.iter_rows(values_only=True, max_col=_MOST_COLUMNS), 50)):
                    if any(fold_name(name) == fold_name(column) for name in names_of(cells)):
                        if title == self._title:
                            return f"Row {place + 1} has this name: --skip-rows {place}"
                        skipped = f" --skip-rows {place}" if place else ""
                        return f"Row {place + 1} of the sheet {title!r} has this name: --sheet {title!r}{skipped}"
        return ""

    def _rows(self, places: Sequence[int], *, raw: bool) -> Iterator[Row | Rejected]:  # noqa: ARG002
        width = max(len(self.columns), 1)
        padding = (None,) * width
        with self._book() as book:
            page = book[self._title]
            # Some programs write a wrong size, and openpyxl would stop there.
            page.reset_dimensions()
            rows = page.iter_rows(values_only=True, max_col=width)
            header = not self._options.header
            number = 0
            for cells in islice(rows, self._options.skip_rows, None):
                blank = all(cell is None for cell in cells)
                if not header:
                    header = not blank
                    continue
                number += 1
                if width > 1 and cells == self._header:
                    yield Rejected(row=number, reason="the header again", content="")
                elif not blank:
                    padded = (*cells, *padding[len(cells) :])
                    yield number, [_plain(padded[place]) for place in places], None, False


def _plain(cell: object) -> object:
    """Return a cell with the characters that `_x000D_` and the like stand for, as nothing if it shows an error.

    Halves of a pair are one character.
    """
    if type(cell) is not str:
        return cell
    if cell in _ERRORS:
        return None
    if "_x" not in cell:
        return cell
    return _ESCAPED.sub(
        lambda found: b"".join(
            int(code, 16).to_bytes(2, "little") for code in found[0].replace("_x", "").split("_")[:-1]
        ).decode("utf-16-le", errors="surrogatepass"),
        cell,
    )
