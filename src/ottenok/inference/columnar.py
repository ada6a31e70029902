"""Parquet files: columns keep their types, and the answers become columns at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from ottenok.core.errors import InputError
from ottenok.core.suggest import suggest
from ottenok.inference.table import BLOCK_CHARACTERS, Block, Reject, excerpt, fault_of, refuse_clash

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ottenok.inference.answers import AnswerColumns
    from ottenok.inference.options import FileOptions

__all__ = ["ParquetFile"]


class ParquetFile:
    """A Parquet file with a column of strings.

    Args:
        path: The file.
        text: The text column's name.
        columns: The answers' columns.
        options: None of them counts here.

    Raises:
        InputError: The file can't be read, or has not the text column.
    """

    def __init__(self, path: Path, text: str, columns: AnswerColumns, options: FileOptions) -> None:  # noqa: ARG002
        self._path = path
        self._text = text
        self._columns = columns
        try:
            with pq.ParquetFile(path) as file:
                self._schema: pa.Schema = file.schema_arrow
                groups = file.metadata.num_row_groups
                self._codec = file.metadata.row_group(0).column(0).compression if groups else "SNAPPY"
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"this is no Parquet file: {error}", file=str(path)) from error
        if text not in self._schema.names:
            hint = suggest(text, self._schema.names[:50])
            raise InputError(f"the file has no column {text!r}", hint=hint, file=str(path), key="--text")
        refuse_clash(self._schema.names, columns, file=str(path))

    def blocks(self, rows: int) -> Iterator[Block]:
        """Read the file in blocks of at most so many rows, fewer where texts are long."""
        first = 1
        with pq.ParquetFile(self._path) as file:
            for batch in file.iter_batches(batch_size=rows):
                for piece in _pieces(batch, self._text):
                    yield self._block(piece, first)
                    first += piece.num_rows

    def _block(self, batch: pa.RecordBatch, first: int) -> Block:
        values = batch.column(self._text).to_pylist()
        reasons = [fault_of(value) for value in values]
        return Block(
            rows=len(values),
            texts=[value for value, reason in zip(values, reasons, strict=True) if reason is None],
            records=batch.filter(pa.array([reason is None for reason in reasons], type=pa.bool_())),
            rejects=[
                Reject(row=first + number, reason=reason, content=excerpt(values[number]))
                for number, reason in enumerate(reasons)
                if reason
            ],
        )

    def write_part(self, part: Path, block: Block, answers: Sequence[Sequence[Any]]) -> None:
        """Write the rows of a block, each with its answer."""
        table = pa.Table.from_batches([block.records])
        for number, field in enumerate(self._fields()):
            values = pa.array([answer[number] for answer in answers], type=field.type)
            table = table.append_column(field, values)
        pq.write_table(table, part, compression=self._codec)

    def _fields(self) -> list[pa.Field]:
        label = pa.list_(pa.string()) if self._columns.several else pa.string()
        names = self._columns.names
        return [pa.field(names[0], label), *(pa.field(name, pa.float32()) for name in names[1:])]

    def join(self, parts: Sequence[Path], out: Path) -> None:
        """Write the parts as row groups of one file, with the schema and metadata of the original."""
        schema = self._schema
        for field in self._fields():
            schema = schema.append(field)
        with pq.ParquetWriter(out, schema, compression=self._codec) as writer:
            for part in parts:
                writer.write_table(pq.read_table(part).cast(schema))


def _pieces(batch: pa.RecordBatch, text: str) -> Iterator[pa.RecordBatch]:
    """Divide a batch where its texts together grow too long."""
    start = size = 0
    for number, value in enumerate(batch.column(text)):
        size += len(value.as_py()) if isinstance(value.as_py(), str) else 0
        if size >= BLOCK_CHARACTERS:
            yield batch.slice(start, number + 1 - start)
            start, size = number + 1, 0
    if start < batch.num_rows:
        yield batch.slice(start)
