"""Texts on the disk while a corpus is built: an Arrow file that is written once and read by row number."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["Spill", "SpillWriter", "open_spill", "write_spill"]

_ROWS = 16_384  # of a batch at most,
_CHARACTERS = 4_000_000  # or as many characters, so that long texts do not fill the memory
_SCHEMA = pa.schema([("text", pa.string()), ("key", pa.string()), ("part", pa.string())])


class SpillWriter:
    """Takes rows one by one and writes them in batches."""

    def __init__(self, sink: pa.ipc.RecordBatchFileWriter) -> None:
        self._sink = sink
        self._columns: tuple[list[str], list[str], list[str | None]] = ([], [], [])
        self._characters = 0

    def add(self, text: str, key: str, part: str | None) -> None:
        """Write one row."""
        texts, keys, parts = self._columns
        texts.append(text)
        keys.append(key)
        parts.append(part)
        self._characters += len(text)
        if len(texts) >= _ROWS or self._characters >= _CHARACTERS:
            self.flush()

    def flush(self) -> None:
        """Write the rows that wait."""
        if self._columns[0]:
            self._sink.write_batch(pa.record_batch(list(self._columns), schema=_SCHEMA))
            self._columns = ([], [], [])
            self._characters = 0


@contextmanager
def write_spill(path: Path) -> Iterator[SpillWriter]:
    """Write a spill file."""
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, _SCHEMA) as sink:
        writer = SpillWriter(sink)
        yield writer
        writer.flush()


class Spill:
    """A finished spill; one batch of it is in memory at a time.

    The file is read, not mapped: mapped pages would stay in the process and grow with the corpus.
    """

    def __init__(self, *, rows: pa.ipc.RecordBatchFileReader, keys: pa.ipc.RecordBatchFileReader) -> None:
        self._rows = rows
        self._keys = keys
        sizes = [keys.get_batch(number).num_rows for number in range(keys.num_record_batches)]
        self._starts = np.concatenate(([0], np.cumsum(sizes, dtype=np.int64)))

    def keys(self, rows: NDArray[np.int64]) -> list[str]:
        """Return the duplicate keys of rows: int64[n], ascending."""
        keys: list[str] = []
        batches = np.searchsorted(self._starts, rows, side="right") - 1
        for batch in np.unique(batches):
            column = self._keys.get_batch(int(batch)).column("key")
            keys.extend(column.take(pa.array(rows[batches == batch] - self._starts[batch])).to_pylist())
        return keys

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield all batches in order."""
        for number in range(self._rows.num_record_batches):
            yield self._rows.get_batch(number)


@contextmanager
def open_spill(path: Path) -> Iterator[Spill]:
    """Read a spill file."""
    only_keys = pa.ipc.IpcReadOptions(included_fields=[_SCHEMA.get_field_index("key")])
    with (
        pa.OSFile(str(path)) as file,
        pa.ipc.open_file(file) as rows,
        pa.OSFile(str(path)) as other,
        pa.ipc.open_file(other, options=only_keys) as keys,
    ):
        yield Spill(rows=rows, keys=keys)
