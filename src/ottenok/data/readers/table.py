"""Tables of every format as a card's reader asks for them: the columns of the text, the labels and the sub-source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

from pydantic import Field

from ottenok.core.config import parse
from ottenok.core.errors import DataError
from ottenok.core.table import Table as Options
from ottenok.tables.labels import LabelReader, binary_labels, label_cell, list_labels, one_label
from ottenok.tables.options import MAX_EXPANSION, MAX_RECORD, TableOptions
from ottenok.tables.parquet import ParquetTable
from ottenok.tables.records import Record, Rejected, Shaper, merge_repeats
from ottenok.tables.table import Table, open_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ottenok.data.card import ReaderSpec
    from ottenok.tables.options import Format

__all__ = ["TableReaderOptions", "label_reader", "open_columns", "read_table", "rows_of"]

_FORMATS = {"hub": "parquet", "table": None}


class TableReaderOptions(Options):
    r"""Options of the readers of tables. A card says them all; for a user's file they are `auto`, that is, found out.

    Attributes:
        encoding: Of text formats, as Python names it, or `auto`.
        delimiter: Of CSV: one character, or `auto`.
        quote: Of CSV: one character, "" where quotes have no meaning, or `auto`; None: `"`, with delimiter `auto` found
            out.
        escape: Of CSV: whether `\"` in a quoted field is a quote, or `auto`; None: no, with delimiter `auto` found out.
        header: Whether the first record holds the names of the columns.
        merge_repeats: Join consecutive rows with the same text.
        sheet: Of XLSX: name or number of the sheet; None: the first with the wanted columns.
        skip_rows: Lines or rows before the header that are passed over.
        class_names: Of Parquet: give the names of labels that Hugging Face `datasets` wrote as numbers.
        config: Of a hub data set: its configuration, chosen when its files are listed; here it changes nothing.
        member: File of a ZIP archive; None: its only one.
        max_record: Characters of a record.
        max_expansion: Times that a packed file may grow.
    """

    encoding: str = "utf-8-sig"
    delimiter: str = ","
    quote: str | None = None
    escape: bool | Literal["auto"] | None = None
    header: bool = True
    merge_repeats: bool = False
    sheet: str | int | None = None
    skip_rows: int = Field(default=0, ge=0)
    class_names: bool = False
    config: str | None = None
    member: str | None = None
    max_record: int = Field(default=MAX_RECORD, ge=1)
    max_expansion: int = Field(default=MAX_EXPANSION, ge=1)


def open_columns(path: Path, spec: ReaderSpec, *, label: str | None) -> tuple[Table, list[int]]:
    """Open a table and find the columns that a spec reads: the text, the labels, the sub-source.

    Raises:
        ConfigError: An option is unknown or has a wrong value.
        DataError: The file can't be read, a column is not there, or the spec names too few.
    """
    file = str(path)
    options = parse(TableReaderOptions, spec.options, file=file)
    if spec.text is None:
        raise DataError("no text column is named", hint="Name it with text.", file=file, key="text")
    if label is None and spec.label is None and not spec.labels:
        raise DataError("no label column is named", hint="Name it with label or labels.", file=file, key="label")
    wanted: list[str | int] = [spec.text]
    if label is None:
        wanted.extend(spec.labels or ((spec.label,) if spec.label is not None else ()))
    if spec.part is not None:
        wanted.append(spec.part)
    auto = options.delimiter == "auto"
    found_out = auto or options.quote == "auto"
    quote = (None if found_out else '"') if options.quote in {None, "auto"} else options.quote
    escape = (None if auto else False) if options.escape is None else options.escape
    table = open_table(
        path,
        TableOptions(
            format=cast("Format | None", _FORMATS.get(spec.kind, spec.kind)),
            encoding=options.encoding,
            delimiter=options.delimiter,
            quote=quote,
            escape=None if escape == "auto" else escape,
            header=options.header,
            sheet=options.sheet,
            skip_rows=options.skip_rows,
            member=options.member,
            class_names=options.class_names,
            max_record=options.max_record,
            max_expansion=options.max_expansion,
        ),
        wanted=wanted,
    )
    places = [table.find(column) for column in wanted]
    if isinstance(table, ParquetTable):
        places[0] = table.find_text(spec.text)
    return table, places


def label_reader(spec: ReaderSpec, label: str | None) -> LabelReader:
    """Return what reads a row's labels out of the cells after its text: the file's own label, or as the spec says."""
    if label is not None:
        whole = (label,)
        return lambda _cells: whole
    if spec.labels:
        return binary_labels(spec.labels)
    if spec.cells is not None:
        separators, missing = spec.cells, frozenset(spec.missing)
        known: dict[str, tuple[str, ...]] = {}

        def read(cells: Sequence[object]) -> tuple[str, ...]:
            value = cells[0]
            found = known.get(value) if type(value) is str else None
            if found is None:
                found = label_cell(value, separators=separators, missing=missing)
                if type(value) is str and len(known) < 4096:
                    known[value] = found
            return found

        return read
    return one_label if spec.label_list is None else list_labels(spec.label_list)


def read_table(path: Path, spec: ReaderSpec, *, label: str | None) -> Iterator[Record | Rejected]:
    """Read the rows of a table (reader kinds `csv`, `tsv`, `json`, `jsonl`, `parquet`, `xlsx`, `hub`, `table`)."""
    table, places = open_columns(path, spec, label=label)
    rows = rows_of(table, places, spec, label=label)
    yield from merge_repeats(rows) if spec.options.get("merge_repeats") else rows


def rows_of(table: Table, places: Sequence[int], spec: ReaderSpec, *, label: str | None) -> Iterator[Record | Rejected]:
    """Read the rows of a table that `open_columns` opened."""
    limit = parse(TableReaderOptions, spec.options, file=table.file).max_record
    shape = Shaper(label_reader(spec, label), part=spec.part is not None, encoding=table.encoding, limit=limit)
    for block in table.blocks(places):
        shaped = (
            shape(number, cells, clean=block.clean)
            for number, cells in zip(block.numbers, zip(*block.cells, strict=True), strict=True)
        )
        if block.rejects:
            yield from sorted([*shaped, *block.rejects], key=lambda row: row.row)
        else:
            yield from shaped
