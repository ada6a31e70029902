"""Parquet files: only the wanted columns are ever read from the disk."""

from __future__ import annotations

import json
import unicodedata
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ottenok.core.errors import DataError
from ottenok.core.lazy import need
from ottenok.tables.table import BLOCK_CHARACTERS, Block, Row, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa
    import pyarrow.parquet as pq

    from ottenok.tables.options import TableOptions
    from ottenok.tables.records import Rejected
    from ottenok.tables.streams import Source

__all__ = ["ParquetTable"]

# Rows that are unpacked at once; a hostile file may give one text to each of them.
_BATCH = 8192
_SHARED_BATCH = 128
_SMALL = 64 << 20


class ParquetTable(Table):
    """A Parquet file, whatever its codec, types and writer; needs the extra `parquet`.

    Attributes:
        schema: Its Arrow schema, without views, which few of Arrow's functions know.
        codec: How its first column is packed, as `pyarrow.parquet.write_table` names it.
    """

    format = "parquet"

    def __init__(self, source: Source, options: TableOptions, wanted: Sequence[str | int]) -> None:  # noqa: ARG002
        super().__init__(source, options)
        # Of texts that are kept as bytes.
        self._codec = "utf-8" if options.encoding in {None, "auto"} else str(options.encoding)
        # Places of columns within structs: the struct's place, the path in it, the type there.
        self._inner: dict[int, tuple[int, list[str], pa.DataType]] = {}
        with self._opened() as parquet:
            self.schema: pa.Schema = _without_views(parquet.schema_arrow)
            self.columns = [unicodedata.normalize("NFC", name.strip()) for name in self.schema.names]
            self.refuse_doubles()
            metadata = parquet.metadata
            columns = range(metadata.num_columns)
            groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
            first = groups[0].column(0).compression if groups and columns else "SNAPPY"
            self.codec: str = {"UNCOMPRESSED": "none", "LZ4_RAW": "lz4", "LZO": "snappy"}.get(first, first.lower())
            # Arrow can't keep packed what these encodings hold, and each text in them may share the one before it.
            self._shared = {
                metadata.row_group(number).column(at).path_in_schema.partition(".")[0]
                for number in range(metadata.num_row_groups)
                for at in columns
                if any(name.startswith("DELTA_") for name in metadata.row_group(number).column(at).encodings)
            }
            unpacked = sum(group.column(at).total_uncompressed_size for group in groups for at in columns)
            if unpacked > max(_SMALL, options.max_expansion * source.size):
                raise source.bomb(f"the Parquet file unpacks from {source.size:,} to {unpacked:,} bytes")
            if metadata.num_rows > max(1_000_000, options.max_expansion * source.size):
                raise source.bomb(f"the Parquet file has {metadata.num_rows:,} rows in {source.size:,} bytes")
        self._class_names = [
            _class_names(self.schema, name) if options.class_names else None for name in self.schema.names
        ]

    @contextmanager
    def _opened(self, dictionaries: Sequence[str] = ()) -> Iterator[pq.ParquetFile]:
        with need("parquet"):
            import pyarrow as pa
            import pyarrow.parquet as pq
        try:
            with (
                self._source.jump() as stream,
                pq.ParquetFile(stream, read_dictionary=list(dictionaries) or None) as parquet,
            ):
                yield parquet
        except (pa.ArrowException, ValueError, OverflowError) as error:
            raise DataError(
                f"the Parquet file can't be read: {error}", hint="Fetch or write it again.", file=self.file
            ) from error

    def find(self, column: str | int) -> int:
        """Return the place of a column, also of one within a struct: `review.text`, or `text` if no other ends so."""
        name = str(column)
        if name not in self.columns and not isinstance(column, int):
            paths = [path for field in self.schema for path in _paths(field)]
            ends = [path for path in paths if path.endswith(f".{name}")]
            if len(ends) == 1:
                note = f"The column {name!r} is taken from {ends[0]!r}."
                self.notes += [] if note in self.notes else [note]
                column = name = ends[0]
            elif ends:
                raise DataError(
                    f"there are {len(ends)} columns called {name!r}: {', '.join(map(repr, ends[:50]))}",
                    hint="Name one by its path.",
                    file=self.file,
                    key=name,
                )
        if name not in self.columns and "." in name:
            base, *path = name.split(".")
            kind = self.schema.field(self.columns.index(base)).type if base in self.columns else None
            for key in path:
                known = kind is not None and hasattr(kind, "fields") and kind.get_field_index(key) >= 0
                kind = kind.field(key).type if known and kind is not None else None
            if kind is not None:
                self._inner[len(self.columns)] = (self.columns.index(base), path, kind)
                self.columns.append(name)
                self._class_names.append(None)
                return len(self.columns) - 1
        return super().find(column)

    def find_text(self, column: str | int) -> int:
        """Return the place of a column that holds texts.

        Raises:
            DataError: There is no such column, or it holds no text.
        """
        place = self.find(column)
        kind = self._inner[place][2] if place in self._inner else self.schema.field(place).type
        if not _is_text(kind):
            raise DataError(
                f"the column {self.columns[place]!r} holds {kind}, not text",
                hint="Name another.",
                file=self.file,
                key="text",
            )
        return place

    def _blocks(self, places: Sequence[int], rows: int, *, raw: bool) -> Iterator[Block]:
        outer = [self._inner[place][0] if place in self._inner else place for place in places]
        names = self.schema.names if raw else [self.schema.names[place] for place in dict.fromkeys(outer)]
        # Texts that repeat stay packed until their size is known.
        packed = [name for name in names if name not in self._shared and _is_text(self.schema.field(name).type)]
        batch_rows = min(rows, _SHARED_BATCH if self._shared.intersection(names) else _BATCH)
        number = total = 0
        most = max(256 << 20, self._options.max_expansion * self._source.size)
        with self._opened(packed) as parquet:
            for batch in parquet.iter_batches(batch_size=batch_rows, columns=names):
                for piece in self._pieces(batch):
                    total += _size(piece)
                    if total > most:
                        raise self._source.bomb(f"the Parquet file's texts hold over {total:,} bytes")
                    plain = self._unpacked(piece)
                    cells = [
                        self._values(plain.column(self.schema.names[base]), place)
                        for place, base in zip(places, outer, strict=True)
                    ]
                    numbers = list(range(number + 1, number + 1 + piece.num_rows))
                    number += piece.num_rows
                    yield Block(numbers=numbers, cells=cells, raw=plain if raw else None, clean=False)

    def _rows(self, places: Sequence[int], *, raw: bool) -> Iterator[Row | Rejected]:
        raise NotImplementedError

    def _pieces(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """Divide a batch whose texts are together too long."""
        if batch.num_rows > 1 and _size(batch) > 4 * BLOCK_CHARACTERS:
            half = batch.num_rows // 2
            yield from self._pieces(batch.slice(0, half))
            yield from self._pieces(batch.slice(half))
        elif batch.num_rows:
            yield batch

    def _unpacked(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        import pyarrow as pa

        columns = []
        for name in batch.schema.names:
            column, kind = batch.column(name), self.schema.field(name).type
            if pa.types.is_dictionary(column.type) and not pa.types.is_dictionary(kind):
                column = column.dictionary_decode()
            columns.append(column if column.type == kind else column.cast(kind))
        return pa.RecordBatch.from_arrays(columns, schema=pa.schema([self.schema.field(n) for n in batch.schema.names]))

    def _values(self, column: pa.Array, place: int) -> list[Any]:
        """Return a column's values; strings that are not UTF-8 keep their faulty bytes as surrogates."""
        import pyarrow as pa

        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        try:
            values = list(column.to_pylist())
        except UnicodeDecodeError:
            if not _is_text(column.type):
                raise
            values = list(column.cast(pa.large_binary()).to_pylist())
        if pa.types.is_binary(column.type) or any(type(value) is bytes for value in values[:1000] if value is not None):
            values = [
                value.decode(self._codec, errors="surrogateescape") if isinstance(value, bytes) else value
                for value in values
            ]
        if place in self._inner:
            for key in self._inner[place][1]:
                values = [None if value is None else value[key] for value in values]
        names = self._class_names[place]
        return values if names is None else [_name(value, names) for value in values]


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    types = pa.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    return any(
        test(kind)
        for test in (
            types.is_string, types.is_large_string, types.is_binary, types.is_large_binary, types.is_null,
        )
    )  # fmt: skip


def _without_views(schema: pa.Schema) -> pa.Schema:
    """Return a schema with plain strings and bytes for those that are views, however deep."""
    import pyarrow as pa

    types = pa.types

    def plain(field: pa.Field) -> pa.Field:
        kind = field.type
        if types.is_string_view(kind):
            kind = pa.large_string()
        elif types.is_binary_view(kind):
            kind = pa.large_binary()
        elif types.is_struct(kind):
            kind = pa.struct([plain(kind.field(place)) for place in range(kind.num_fields)])
        elif types.is_map(kind):
            kind = pa.map_(plain(kind.key_field), plain(kind.item_field), keys_sorted=kind.keys_sorted)
        elif types.is_fixed_size_list(kind):
            kind = pa.list_(plain(kind.value_field), kind.list_size)
        elif types.is_list(kind):
            kind = pa.list_(plain(kind.value_field))
        elif types.is_large_list(kind):
            kind = pa.large_list(plain(kind.value_field))
        return field.with_type(kind)

    return pa.schema([plain(field) for field in schema], metadata=schema.metadata)


def _paths(field: pa.Field) -> list[str]:
    """Return the path of a column and those of what is within it, if it is a struct."""
    import pyarrow as pa

    inner = (
        [field.type.field(place) for place in range(field.type.num_fields)] if pa.types.is_struct(field.type) else []
    )
    return [field.name, *(f"{field.name}.{path}" for part in inner for path in _paths(part))]


def _size(batch: pa.RecordBatch) -> int:
    """Return the bytes that a batch's texts have when no one is shared, and eight for every other cell."""
    import pyarrow as pa
    import pyarrow.compute as pc

    size = int(8 * batch.num_rows * batch.num_columns)
    for column in batch.columns:
        kind = column.type
        if pa.types.is_dictionary(kind):
            words = column.dictionary
            if not _is_text(words.type) or not len(words):
                continue
            lengths = pc.binary_length(words.cast(pa.large_binary()))
            size += pc.sum(lengths.take(column.indices)).as_py() or 0
        elif _is_text(kind) and not pa.types.is_null(kind):
            size += column.nbytes
    return size


def _class_names(schema: pa.Schema, column: str) -> list[str] | None:
    """Return the names of a `ClassLabel` column, or of a list of such, from what `datasets` wrote into the schema."""
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        feature = features[column]
        if isinstance(feature, list):  # an older way to write a sequence
            feature = feature[0]
        feature = feature.get("feature", feature)
        names = feature.get("names") if feature.get("_type") == "ClassLabel" else None
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return None
    return list(map(str, names)) if isinstance(names, list) else None


def _name(value: object, names: list[str]) -> object:
    if isinstance(value, list):
        return [_name(item, names) for item in value]
    if isinstance(value, int) and value < len(names):
        return names[value] if value >= 0 else None  # -1 marks the rows of a test without labels
    return value
