"""Tables of any format, opened and read in one way by every command.

`open_table` finds out what is not said of a file (its packing, format, encoding, dialect, sheet) and gives a `Table`:
the names of its columns, and its rows in blocks. Nothing of a file is held but a block.
"""

from __future__ import annotations

import re
import unicodedata
import zipfile
import zlib
from abc import ABC, abstractmethod
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ottenok.core.errors import DataError
from ottenok.core.suggest import suggest
from ottenok.tables.options import TableOptions
from ottenok.tables.records import Rejected, excerpt
from ottenok.tables.streams import PACKED, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["BLOCK_CHARACTERS", "SUFFIXES", "Block", "Row", "Table", "fold_name", "is_file_name", "open_table"]

# Characters of the cells of a block, whatever its number of rows.
BLOCK_CHARACTERS = 1 << 19
_DEFAULT = TableOptions()
SUFFIXES = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".txt": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".xlsx": "xlsx",
    ".xlsm": "xlsx",
}
_ADVICE = {
    ".xls": "Open it in a spreadsheet program and save it as .xlsx or .csv.",
    ".ods": "Open it in a spreadsheet program and save it as .xlsx or .csv.",
    ".feather": "Write it again as Parquet.",
    ".arrow": "Write it again as Parquet.",
    ".orc": "Write it again as Parquet.",
    ".pkl": "Write it again as Parquet or CSV: pickles can run code, so they are not read.",
    ".7z": "Unpack it first.",
    ".rar": "Unpack it first.",
    ".tar": "Unpack it first.",
    ".pdf": "Save its table as .csv or .xlsx.",
    ".docx": "Save its table as .csv or .xlsx.",
}
# What the standard library raises on bytes that are not what they claim to be, wherever in a file it meets them.
_UNREADABLE = (OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, UnicodeError)
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff\x00-\x08\x0e-\x1f]")


@dataclass(slots=True, kw_only=True)
class Block:
    """Some rows of a table, in its order.

    Attributes:
        numbers: The sound rows' numbers in the file, from 1, the header not counted.
        cells: The cells of each column that was asked for, one list a column, one cell a sound row.
        raw: The sound rows as they stand in the file: lines with their ends of CSV (a record may span several), lines
            without their ends of JSON lines, a `pyarrow.RecordBatch` of Parquet; None where a format has no such form,
            or it was not asked for.
        rejects: The rows that can't be divided into cells.
        clean: Whether no cell can hold NUL characters, or undecodable bytes as surrogates.
    """

    numbers: list[int] = field(default_factory=list)
    cells: list[list[Any]] = field(default_factory=list)
    raw: Any = None
    rejects: list[Rejected] = field(default_factory=list)
    clean: bool = True

    @property
    def rows(self) -> int:
        """How many rows of the file it covers, rejected ones included."""
        return len(self.numbers) + len(self.rejects)


# Number of a row, its asked cells, its raw form, and whether it is clean.
Row = tuple[int, "Sequence[Any]", "str | None", bool]


class Table(ABC):
    """An opened table. Rows may be read more than once.

    Attributes:
        file: How errors name it.
        format: `csv`, `tsv`, `json`, `jsonl`, `parquet` or `xlsx`.
        columns: Names of its columns, in NFC, or positions from 0 where it has no header. Of JSON, the keys of the
            first objects, nested ones as `review.text`.
        encoding: Python's name of a text format's encoding, of the kind that writes no byte order mark; else None.
        mark: The byte order mark at its start, or b"".
        preamble: What stands in a text format before the first row (skipped lines, the header), as it is.
        notes: What was found out and a user may want to know, in sentences.
    """

    format: str
    columns: list[str]
    encoding: str | None = None
    mark: bytes = b""
    preamble: str = ""
    kind = "column"

    def __init__(self, source: Source, options: TableOptions) -> None:
        self._source = source
        self._options = options
        self.file = source.file
        self.notes: list[str] = []

    @property
    def form(self) -> str:
        """How it is read, for people: its format, and of text formats the encoding and what divides cells."""
        parts = [self.format, *([self.encoding] if self.encoding else [])]
        dialect = getattr(self, "dialect", None)
        if dialect is not None:
            parts += [f"delimiter {dialect.delimiter!r}", f"quote {dialect.quote!r}" if dialect.quote else "no quotes"]
        return ", ".join(parts)

    def find(self, column: str | int) -> int:
        """Return the place of a column: by its name (in NFC, without white space around it), or its position from 0.

        A name wins over a position: `"0"` is the column that is named 0, or the first one of a file without a header.

        Raises:
            DataError: It is not there, or its name is there twice; the message lists the columns.
        """
        if isinstance(column, int):
            if 0 <= column < len(self.columns):
                return column
            raise DataError(
                f"there is no {self.kind} {column}: the file has {len(self.columns)} {self.kind}s, counted from 0",
                file=self.file,
                key=str(column),
            )
        wanted = unicodedata.normalize("NFC", column)
        found = [place for place, name in enumerate(self.columns) if name == wanted]
        if not found:
            folded = fold_name(column)
            found = [place for place, name in enumerate(self.columns) if fold_name(name) == folded]
        if len(found) == 1:
            return found[0]
        count = len(found)
        shown = [excerpt(name)[:40] for name in self.columns[:50]]
        problem = (
            f"there are {count} {self.kind}s called {column!r}" if count else f"there is no {self.kind} {column!r}"
        )
        if count:
            hint = "Rename one of them, or name positions with --no-header --skip-rows 1."
        elif column.isascii() and column.isdigit() and self.format in {"csv", "tsv", "xlsx"}:
            hint = "Positions are for files without a header: add --no-header."
        else:
            hint = self._advice(column) or suggest(column, shown) or ""
        raise DataError(
            f"{problem}; the {self.kind}s are: {', '.join(map(repr, shown))}", hint=hint, file=self.file, key=column
        )

    def _advice(self, column: str) -> str:  # noqa: ARG002 - formats with a header have some
        """Say where a column is that is not in the header; "" if that is not known."""
        return ""

    def blocks(self, places: Sequence[int] | None = None, *, rows: int = 4096, raw: bool = False) -> Iterator[Block]:
        """Read the table in blocks of at most so many rows, fewer where cells are long.

        Args:
            places: The columns to read, as `find` gave them; None: all. Others are never looked at.
            rows: Most rows of a block.
            raw: Whether rows are given as they stand in the file too. Rejects then show their content whatever columns
                were asked for.

        Raises:
            DataError: The file can't be read on.
        """
        wanted = list(range(len(self.columns))) if places is None else list(places)
        with guarded(self.file, self.format):
            yield from self._blocks(wanted, rows, raw=raw)

    def _blocks(self, places: Sequence[int], rows: int, *, raw: bool) -> Iterator[Block]:
        block = _empty(len(places), raw=raw)
        size = total = 0
        most = max(256 << 20, self._options.max_expansion * self._source.size)
        for row in self._rows(places, raw=raw):
            if isinstance(row, Rejected):
                block.rejects.append(row)
                size += len(row.content)
            else:
                number, cells, whole, clean = row
                block.numbers.append(number)
                block.clean = block.clean and clean
                for column, cell in zip(block.cells, cells, strict=True):
                    column.append(cell)
                    if type(cell) is str:
                        size += len(cell)
                if raw:
                    block.raw.append(whole)
            if size >= BLOCK_CHARACTERS or len(block.numbers) + len(block.rejects) >= rows:
                yield block
                total += size
                if total > most:
                    raise self._source.bomb(f"the table's cells hold over {total:,} characters")
                block, size = _empty(len(places), raw=raw), 0
        if block.rows:
            yield block

    @abstractmethod
    def _rows(self, places: Sequence[int], *, raw: bool) -> Iterator[Row | Rejected]:
        """Read the rows one by one, with the asked cells only."""

    def refuse_doubles(self) -> None:
        """Refuse a table two of whose columns have the same name, for formats that find columns by name.

        Raises:
            DataError: Naming them.
        """
        doubles = sorted({name for name in self.columns if self.columns.count(name) > 1})
        if doubles:
            raise DataError(
                f"there are several columns called {', '.join(map(repr, doubles))}; the columns are: "
                f"{', '.join(map(repr, self.columns[:50]))}",
                hint="Rename them and write the file again.",
                file=self.file,
                key=doubles[0],
            )


def _empty(columns: int, *, raw: bool) -> Block:
    return Block(cells=[[] for _ in range(columns)], raw=[] if raw else None)


@contextmanager
def guarded(file: str, kind: str) -> Iterator[None]:
    """Turn what the standard library raises on damaged files into one `DataError`."""
    try:
        yield
    except _UNREADABLE as error:
        raise DataError(
            f"the file can't be read as {kind}: {error}",
            hint="It may be damaged, or of another kind; fetch it again, or name its --input-format.",
            file=file,
        ) from error


def fold_name(name: str) -> str:
    """Return a name for comparison: in NFC, invisible characters left out, white space as single spaces."""
    return " ".join(_INVISIBLE.sub("", unicodedata.normalize("NFC", name)).split())


def is_file_name(path: Path) -> bool:
    """Whether a name ends as files of data do, known here or not, so that it is no hub name."""
    suffix = path.suffix.lower()
    return suffix in SUFFIXES or suffix in _ADVICE or suffix in PACKED


def open_table(
    place: str | Path | IO[bytes] | Source, options: TableOptions = _DEFAULT, *, wanted: Sequence[str | int] = ()
) -> Table:
    """Open a table.

    Args:
        place: A file, packed (gzip, zstd, bzip2, xz, a ZIP archive of one file) or not, or a stream of bytes.
        options: What is known of its form; the rest is found out.
        wanted: Names of the columns that will be asked for: they decide between dialects, sheets and lists in JSON.

    Raises:
        ConfigError: An option has a wrong value.
        DataError: There is no such file, it can't be read, is empty, or its format is not known.
    """
    from ottenok.tables.delimited import DelimitedTable
    from ottenok.tables.json_files import JsonLinesTable, JsonTable
    from ottenok.tables.parquet import ParquetTable
    from ottenok.tables.xlsx import XlsxTable

    formats: dict[str, Callable[[Source, TableOptions, Sequence[str | int]], Table]] = {
        "csv": DelimitedTable,
        "tsv": DelimitedTable,
        "json": JsonTable,
        "jsonl": JsonLinesTable,
        "parquet": ParquetTable,
        "xlsx": XlsxTable,
    }
    if isinstance(place, Source):
        where = place.file
    else:
        where = str(place) if isinstance(place, str | Path) else str(getattr(place, "name", "standard input"))
    with guarded(where, options.format or "a table"):
        if isinstance(place, Source):
            source = place
        else:
            source = Source(place, member=options.member, max_expansion=options.max_expansion)
        kind = options.format or _format(source)
        return formats[kind](source, options, wanted)


def _format(source: Source) -> str:
    """Return a file's format by its first bytes where these say it, else by the ending of its name.

    Raises:
        DataError: Neither tells.
    """
    with source.open() as stream:
        head = stream.read(1 << 16)
    suffix = "." + source.name.rpartition(".")[2] if "." in source.name else ""
    named = SUFFIXES.get(suffix)
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith(b"PK\x03\x04"):
        return "xlsx"
    if named in {"parquet", "xlsx"}:
        return named
    if suffix in _ADVICE or head.startswith((b"\xd0\xcf\x11\xe0", b"ARROW1", b"%PDF", b"Rar!", b"7z\xbc\xaf")):
        hint = _ADVICE.get(suffix, "Save it as .csv, .jsonl, .parquet or .xlsx.")
        raise DataError(f"the kind of file {suffix or source.name!r} is not known", hint=hint, file=source.file)
    if named in {"csv", "tsv"} and suffix != ".txt":
        return named
    text = head.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")
    if text.startswith((b"{", b"[")):
        from ottenok.tables.json_files import looks_like_lines

        if named == "jsonl":
            return "json" if text.startswith(b"[") or text.partition(b"\n")[0].strip() == b"{" else named
        lines = looks_like_lines(text)
        if lines is not None:
            return "jsonl" if lines else "json"
    if suffix in PACKED:
        raise DataError("the file is packed more than once", hint="Unpack it first.", file=source.file)
    if named is None and suffix and source.name != suffix:
        known = f"Known kinds: {', '.join(SUFFIXES)}, packed or not. Name another file's kind with --input-format."
        raise DataError(f"the kind of file {suffix!r} is not known", hint=known, file=source.file, key="format")
    return named or "csv"
