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

BATCH = 16_384
_SCHEMA = pa.schema([("text", pa.string()), ("key", pa.string()), ("part", pa.string())])


class SpillWriter:
    """Takes rows one by one and writes them in batches of equal size."""

    def __init__(self, sink: pa.ipc.RecordBatchFileWriter) -> None:
        self._sink = sink
        self._columns: tuple[list[str], list[str], list[str | None]] = ([], [], [])

    def add(self, text: str, key: str, part: str | None) -> None:
        """Write one row."""
        texts, keys, parts = self._columns
        texts.append(text)
        keys.append(key)
        parts.append(part)
        if len(texts) == BATCH:
            self.flush()

    def flush(self) -> None:
        """Write the rows that wait; only the last batch may be smaller than the others."""
        if self._columns[0]:
            self._sink.write_batch(pa.record_batch(list(self._columns), schema=_SCHEMA))
            self._columns = ([], [], [])


@contextmanager
def write_spill(path: Path) -> Iterator[SpillWriter]:
    """Write a spill file."""
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, _SCHEMA) as sink:
        writer = SpillWriter(sink)
        yield writer
        writer.flush()


class Spill:
    """A finished spill, mapped into memory: pages come and go with the system's need."""

    def __init__(self, reader: pa.ipc.RecordBatchFileReader) -> None:
        self._reader = reader

    def keys(self, rows: NDArray[np.int64]) -> list[str]:
        """Return the duplicate keys of rows: int64[n], ascending."""
        keys: list[str] = []
        cuts = np.flatnonzero(np.diff(rows // BATCH)) + 1
        for part in np.split(rows, cuts):
            if len(part):
                column = self._reader.get_batch(int(part[0]) // BATCH).column("key")
                keys.extend(column.take(pa.array(part % BATCH)).to_pylist())
        return keys

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield all batches in order."""
        for number in range(self._reader.num_record_batches):
            yield self._reader.get_batch(number)


@contextmanager
def open_spill(path: Path) -> Iterator[Spill]:
    """Read a spill file."""
    with pa.memory_map(str(path)) as file, pa.ipc.open_file(file) as reader:
        yield Spill(reader)
