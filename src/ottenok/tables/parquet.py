"""Parquet files (reader kinds `parquet` and `hub`): only the wanted columns are ever read from the disk."""

from __future__ import annotations

import json
from typing import IO, TYPE_CHECKING, Any

from ottenok.core.config import parse
from ottenok.core.errors import DataError
from ottenok.core.table import Table
from ottenok.tables.shape import Layout, Shaper, find_columns, wanted_columns
from ottenok.tables.streams import open_bytes, seekable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa

    from ottenok.data.card import ReaderSpec
    from ottenok.tables.rows import Record, Rejected

__all__ = ["HubOptions", "ParquetOptions", "read_hub", "read_parquet"]

_BATCH = 8192


class ParquetOptions(Table):
    """Options of the reader `parquet`.

    Attributes:
        class_names: Give the names of labels that Hugging Face `datasets` wrote as numbers, where the file names them.
        member: Member of a ZIP archive; without it, an archive's only file.
    """

    class_names: bool = False
    member: str | None = None


class HubOptions(ParquetOptions):
    """Options of the reader `hub`, besides those of `parquet`.

    Attributes:
        config: The data set's configuration, chosen when its files are listed on the hub; here it changes nothing.
    """

    config: str | None = None


def read_parquet(path: Path, spec: ReaderSpec, *, label: str | None) -> Iterator[Record | Rejected]:
    """Read a Parquet file in batches of 8,192 rows. A label column may hold strings, numbers or lists of them."""
    return _read(path, spec, parse(ParquetOptions, spec.options, file=str(path)), label)


def read_hub(path: Path, spec: ReaderSpec, *, label: str | None) -> Iterator[Record | Rejected]:
    """Read one of the Parquet files that the hub has of a data set (see `ottenok.data.fetch`)."""
    return _read(path, spec, parse(HubOptions, spec.options, file=str(path)), label)


def _read(path: Path, spec: ReaderSpec, options: ParquetOptions, label: str | None) -> Iterator[Record | Rejected]:
    file = str(path)
    wanted = wanted_columns(spec, label=label, file=file)
    last = len(wanted) - (spec.part is not None)
    layout = Layout(text=0, labels=tuple(range(1, last)), part=last if spec.part is not None else None)
    shape = Shaper(spec, layout, label=label)
    with open_bytes(path, member=options.member) as raw, seekable(raw) as stream:
        rows = _rows(stream, wanted, class_names=options.class_names, file=file)
        for row, fields in enumerate(rows, start=1):
            yield shape(row, fields, clean=False)


def _rows(
    stream: IO[bytes], wanted: Sequence[str | int], *, class_names: bool, file: str
) -> Iterator[tuple[object, ...]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(stream) as parquet:
            schema = parquet.schema_arrow
            columns = [schema.names[at] for at in find_columns(schema.names, wanted, file=file)]
            _check_text(schema.field(columns[0]), file=file)
            names = [_class_names(schema, column) if class_names else None for column in columns]
            for batch in parquet.iter_batches(batch_size=_BATCH, columns=list(dict.fromkeys(columns))):
                values = (_named(_values(batch.column(column)), of) for column, of in zip(columns, names, strict=True))
                yield from zip(*values, strict=True)
    except (pa.ArrowException, ValueError, OverflowError) as error:
        raise DataError(
            f"the Parquet file can't be read: {error}", hint="Fetch or write it again.", file=file
        ) from error


def _check_text(field: pa.Field, *, file: str) -> None:
    import pyarrow as pa

    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    if not (_is_string(kind) or _is_binary(kind) or pa.types.is_null(kind)):
        raise DataError(
            f"the column {field.name!r} holds {field.type}, not text", hint="Name another.", file=file, key="text"
        )


def _is_string(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_binary(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def _values(column: pa.Array) -> list[Any]:
    """Return a column's values; strings that are not UTF-8 keep their faulty bytes as surrogates."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not _is_binary(column.type):
        try:
            return list(column.to_pylist())
        except UnicodeDecodeError:
            if not _is_string(column.type):
                raise
            column = column.cast(pa.large_binary())
    return [
        value.decode("utf-8", errors="surrogateescape") if value is not None else None for value in column.to_pylist()
    ]


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


def _named(values: list[Any], names: list[str] | None) -> list[Any]:
    return values if names is None else [_name(value, names) for value in values]


def _name(value: object, names: list[str]) -> object:
    if isinstance(value, list):
        return [_name(item, names) for item in value]
    if isinstance(value, int) and value < len(names):
        return names[value] if value >= 0 else None  # -1 marks the rows of a test without labels
    return value
