"""CSV and TSV files: rows keep their bytes, and the answers are added at the end of each."""

from __future__ import annotations

import csv
import io
import shutil
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from ottenok.core.errors import InputError
from ottenok.core.suggest import suggest
from ottenok.inference.records import Record, detect_encoding, open_lines, split_records
from ottenok.inference.table import BLOCK_CHARACTERS, Block, Reject, excerpt, fault_of, refuse_clash
from ottenok.tables.delimited import Dialect

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ottenok.inference.answers import AnswerColumns
    from ottenok.inference.options import FileOptions

__all__ = ["DelimitedFile"]

_DELIMITERS = ",;\t|"
_SAMPLE = 500


class DelimitedFile:
    """A file of delimited rows.

    Args:
        path: The file.
        text: The text column: a name, or a position from 0 in a file without a header.
        columns: The answers' columns.
        options: How it is divided; what is not said is found out.

    Raises:
        InputError: The file is empty, can't be read, or has not the text column.
    """

    def __init__(self, path: Path, text: str, columns: AnswerColumns, options: FileOptions) -> None:
        self._path = path
        self._file = str(path)
        self._columns = columns
        self._has_header = options.header
        self._encoding = options.encoding or detect_encoding(path)
        with open_lines(path, self._encoding) as lines:
            sample = list(islice(lines, _SAMPLE))
        if not sample:
            raise InputError("the file is empty", hint="Expected a header and rows.", file=self._file)
        self._dialect = _find_dialect(sample, text, options)
        self._end = "\r\n" if sample[0].endswith("\r\n") else "\n"
        records = [record for record in split_records(sample, self._dialect, file=self._file) if record.fields]
        self._header = records[0] if records and options.header else None
        self._width = _usual_width(records) if self._header is None else len(self._header.fields)
        self._position = self._find(text)
        if self._header is not None:
            refuse_clash(self._header.fields, columns, file=self._file)

    def _find(self, text: str) -> int:
        names = [str(i) for i in range(self._width)]
        if self._header is not None:
            names = [name.strip() for name in self._header.fields]
        if text not in names:
            raise InputError(
                f"the file has no column {text!r}", hint=suggest(text, names[:50]), file=self._file, key="--text"
            )
        return names.index(text)

    def blocks(self, rows: int) -> Iterator[Block]:
        """Read the file in blocks of at most so many rows."""
        block, size = Block(rows=0, texts=[], records=[], rejects=[]), 0
        with open_lines(self._path, self._encoding) as lines:
            records = split_records(lines, self._dialect, file=self._file)
            if self._header is not None:
                next(records)
            for row, record in enumerate(records, start=1):
                text = self._sort(row, record, block)
                size += len(text)
                if len(block.texts) + len(block.rejects) >= rows or size >= BLOCK_CHARACTERS:
                    yield _counted(block)
                    block, size = Block(rows=0, texts=[], records=[], rejects=[]), 0
        if block.texts or block.rejects:
            yield _counted(block)

    def _sort(self, row: int, record: Record, block: Block) -> str:
        """Put a record among the texts or the rejects, and return its text."""
        fields, reason = record.fields, record.fault or None
        if reason is None and len(fields) != self._width:
            reason = f"{len(fields)} fields instead of {self._width}"
        text = "" if reason else fields[self._position]
        reason = reason or fault_of(text, encoding=self._encoding)
        if reason is None:
            block.texts.append(text)
            block.records.append(record.raw)
        else:
            block.rejects.append(Reject(row=row, reason=reason, content=excerpt(text or record.raw)))
        return text

    def write_part(self, part: Path, block: Block, answers: Sequence[Sequence[Any]]) -> None:
        """Write the rows of a block, each with its answer."""
        with part.open("w", encoding=self._plain, errors="surrogateescape", newline="") as stream:
            for raw, answer in zip(block.records, answers, strict=True):
                stream.write(self._extended(raw, [self._cell(value) for value in answer]))

    @property
    def _plain(self) -> str:
        """The encoding of parts, which do not begin with a byte order mark."""
        return {"utf-8-sig": "utf-8", "utf-16": "utf-16-le"}.get(self._encoding, self._encoding)

    def _cell(self, value: object) -> str:
        if isinstance(value, list):
            return (";" if self._dialect.delimiter == "," else ",").join(value)
        return "" if value is None else str(value)

    def _extended(self, raw: str, cells: Sequence[str]) -> str:
        body = raw.rstrip("\r\n")
        end = raw[len(body) :] or self._end
        return f"{body}{self._dialect.delimiter}{self._encoded(cells)}{end}"

    def _encoded(self, cells: Sequence[str]) -> str:
        stream = io.StringIO()
        dialect = self._dialect
        quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE
        writer = csv.writer(
            stream, delimiter=dialect.delimiter, quotechar=dialect.quote or None, quoting=quoting, lineterminator=""
        )
        try:
            writer.writerow(cells)
        except csv.Error as error:
            hint = "Without quotes, labels can't hold the delimiter."
            raise InputError(f"the answers can't be written: {error}", hint=hint, file=self._file) from error
        return stream.getvalue()

    def join(self, parts: Sequence[Path], out: Path) -> None:
        """Write the header and the parts, one after the other, with the byte order mark of the original."""
        with out.open("wb") as stream:
            if self._encoding != self._plain:
                stream.write("\ufeff".encode(self._plain))
            if self._header is not None:
                header = self._extended(self._header.raw, self._columns.names)
                stream.write(header.encode(self._plain, errors="surrogateescape"))
            for part in parts:
                with part.open("rb") as source:
                    shutil.copyfileobj(source, stream)


def _counted(block: Block) -> Block:
    rows = len(block.texts) + len(block.rejects)
    return Block(rows=rows, texts=block.texts, records=block.records, rejects=block.rejects)


def _find_dialect(sample: list[str], text: str, options: FileOptions) -> Dialect:
    """Return the dialect whose header has the text column, and that divides most of the first lines alike."""
    quotes = ('"', "") if options.quote is None else (options.quote,)
    delimiters = _DELIMITERS if options.delimiter is None else options.delimiter
    choices = [Dialect(delimiter=mark, quote=quote) for quote in quotes for mark in delimiters]
    # max keeps the first of equals.
    return max(choices, key=lambda dialect: _merit(sample, dialect, text, header=options.header))


def _merit(sample: list[str], dialect: Dialect, text: str, *, header: bool) -> tuple[bool, float, int]:
    records = list(split_records(sample, dialect, file=""))
    whole = [record for record in records if record.fields]
    if not whole:
        return False, 0.0, 0
    width = len(whole[0].fields) if header else _usual_width(whole)
    found = [name.strip() for name in whole[0].fields] if header else [str(i) for i in range(width)]
    share = sum(len(record.fields) == width for record in whole) / len(records)
    return text in found, share if width > 1 else share / 2, width


def _usual_width(records: Sequence[Record]) -> int:
    widths = Counter(len(record.fields) for record in records)
    return widths.most_common(1)[0][0] if widths else 0
