"""The rows of a corpus that is being built: a few bytes of each in numpy columns, the texts in a file on the disk.

Texts are known by 128-bit keys, which are numbered where they are to be grouped. Everything that is chosen at random in
a corpus is chosen by a hash of the text and the seed, never by a row's place in the queue: so the order in which
sources are listed changes nothing, and a new source moves no old row.
"""

from __future__ import annotations

import hashlib
from array import array
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import BinaryIO

    import pyarrow as pa
    from numpy.typing import NDArray

__all__ = [
    "FREE",
    "SPLIT_NAMES",
    "TEST",
    "TRAIN",
    "VALIDATION",
    "Codes",
    "Reason",
    "RowIndex",
    "RowIndexWriter",
    "StagingFile",
    "StagingWriter",
    "dense_ids",
    "key_digest",
    "mix",
    "open_staging",
    "salt",
    "unpack_digests",
    "write_staging",
]

# A row's official split, as a number that is greater where the row has the greater right to stay.
FREE, TRAIN, VALIDATION, TEST = 0, 1, 2, 3
SPLIT_NAMES = {TRAIN: "train", VALIDATION: "validation", TEST: "test"}

_DIGEST_BYTES = 16
_ROWS = 16_384  # of a batch of the staging file at most,
_CHARACTERS = 4_000_000  # or as many characters, so that long texts do not fill the memory
_STAGED = ("text", "part")
_GAP = 4_096  # bytes between two keys that are rather read over than sought over
_TYPES = {"file": "h", "row": "q", "split": "b", "language": "h", "length": "i"}


class Reason(IntEnum):
    """Why a row is not in the corpus, in the order of the stages; `title` is what people read.

    Every row that was read is either kept or counted under one of these.
    """

    KEPT = 0
    PART = 1
    LABEL = 2
    NO_LABEL = 3
    SEVERAL_LABELS = 4
    SHORT = 5
    FEW_RATERS = 6
    RATERS_DISAGREE = 7
    RATING = 8
    CONFLICT = 9
    DUPLICATE = 10
    IN_VALIDATION = 11
    IN_TEST = 12
    NEAR_DUPLICATE = 13
    NEAR_VALIDATION = 14
    NEAR_TEST = 15
    LIMIT = 16
    JOINED = 17

    @property
    def title(self) -> str:
        """The reason in words, short and constant: it is a key of the manifest."""
        return _TITLES[self]


_TITLES = {
    Reason.KEPT: "kept",
    Reason.PART: "part not chosen",
    Reason.LABEL: "label left out by the map",
    Reason.NO_LABEL: "no label",
    Reason.SEVERAL_LABELS: "several labels",
    Reason.SHORT: "too short",
    Reason.FEW_RATERS: "too few raters",
    Reason.RATERS_DISAGREE: "raters disagree",
    Reason.RATING: "another rating of a kept text",
    Reason.CONFLICT: "conflicting labels",
    Reason.DUPLICATE: "duplicate",
    Reason.IN_VALIDATION: "same text in validation",
    Reason.IN_TEST: "same text in test",
    Reason.NEAR_DUPLICATE: "near duplicate",
    Reason.NEAR_VALIDATION: "near duplicate in validation",
    Reason.NEAR_TEST: "near duplicate in test",
    Reason.LIMIT: "over the limit",
    Reason.JOINED: "joined with the same text of another task",
}


def key_digest(key: str) -> bytes:
    """Return the 16-byte BLAKE2b digest of a key; two keys of two million share one with a chance of 1e-26."""
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES).digest()


def unpack_digests(digests: Iterable[bytes]) -> NDArray[np.uint64]:
    """Return digests as uint64[n, 2]."""
    return np.frombuffer(b"".join(digests), dtype="<u8").reshape(-1, 2).astype(np.uint64, copy=False)


def dense_ids(keys: NDArray[np.uint64]) -> NDArray[np.int32]:
    """Number equal rows of uint64[n, 2] alike: int32[n] from 0, in the order of the digests."""
    ids = np.empty(len(keys), dtype=np.int32)
    if not len(keys):
        return ids
    order = np.lexsort((keys[:, 1], keys[:, 0]))
    ranked = keys[order]
    fresh = np.empty(len(keys), dtype=bool)
    fresh[0] = True
    np.any(ranked[1:] != ranked[:-1], axis=1, out=fresh[1:])
    ids[order] = np.cumsum(fresh, dtype=np.int32) - 1
    return ids


def salt(*parts: object) -> int:
    """Return 64 bits that depend on the parts (a seed, names) and on nothing else: no platform, no run."""
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def mix(values: NDArray[np.uint64], by: int) -> NDArray[np.uint64]:
    """Scramble 64-bit values by `by`: the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    mixed = values ^ np.uint64(by & 0xFFFF_FFFF_FFFF_FFFF)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))


class Codes:
    """A table of values that rows name by number, in the order in which they were first met."""

    __slots__ = ("_codes", "values")

    def __init__(self) -> None:
        self.values: list[tuple[str, ...]] = []
        self._codes: dict[tuple[str, ...], int] = {}

    def code(self, *value: str) -> int:
        """Return the number of a value, a new one if it is new."""
        found = self._codes.get(value)
        if found is None:
            found = self._codes[value] = len(self.values)
            self.values.append(value)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class RowIndex:
    """What is known of the n harmonised rows besides their texts: one array per fact.

    Attributes:
        text: int32[n], dense id of the duplicate key: equal where two texts are exact duplicates.
        digest: uint64[n], the first half of the key's digest, for choices by hash.
        file: int16[n], place of the row's file in the list of all files.
        row: int64[n], the row's number in its file, from 1.
        split: int8[n], FREE, TRAIN, VALIDATION or TEST: the split that the row is meant for.
        labels: int32[n, tasks], for each task the code of the row's set of labels, or -1 where it has none.
        language: int16[n], code of the language.
        length: int32[n], characters of the normalised text.
    """

    text: NDArray[np.int32]
    digest: NDArray[np.uint64]
    file: NDArray[np.int16]
    row: NDArray[np.int64]
    split: NDArray[np.int8]
    labels: NDArray[np.int32]
    language: NDArray[np.int16]
    length: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.text)


class RowIndexWriter:
    """Collects rows as machine numbers: 33 bytes a row, and 4 more for each task.

    Args:
        tasks: How many tasks the corpus has.
    """

    __slots__ = ("_columns", "_digests", "_labels", "_tasks")

    def __init__(self, tasks: int) -> None:
        self._tasks = tasks
        self._columns: dict[str, array[int]] = {name: array(code) for name, code in _TYPES.items()}
        self._labels = array("i")
        self._digests = bytearray()

    def add(
        self, *, file: int, row: int, split: int, labels: tuple[int, ...], language: int, length: int, digest: bytes
    ) -> None:
        """Note one row; what each fact means is said at `RowIndex`, `digest` is the whole one of its key."""
        for column, value in zip(self._columns.values(), (file, row, split, language, length), strict=True):
            column.append(value)
        self._labels.extend(labels)
        self._digests += digest

    def close(self) -> RowIndex:
        """Return the columns and number the texts."""
        digests = unpack_digests([bytes(self._digests)])
        columns = {name: np.frombuffer(column, dtype=column.typecode) for name, column in self._columns.items()}
        labels = np.frombuffer(self._labels, dtype=np.int32).reshape(-1, self._tasks)
        return RowIndex(text=dense_ids(digests), digest=digests[:, 0].copy(), labels=labels, **columns)


class StagingWriter:
    """Takes rows one by one and writes them in batches; their keys go into a file beside, one after another."""

    def __init__(self, sink: pa.ipc.RecordBatchFileWriter, schema: pa.Schema, keys: BinaryIO) -> None:
        self._sink = sink
        self._schema = schema
        self._keys = keys
        self._columns: tuple[list[str], list[str | None]] = ([], [])
        self._characters = 0
        self.ends = array("q", [0])

    def add(self, text: str, key: str, part: str | None) -> None:
        """Write one row."""
        texts, parts = self._columns
        texts.append(text)
        parts.append(part)
        self.ends.append(self.ends[-1] + self._keys.write(key.encode()))
        self._characters += len(text)
        if len(texts) >= _ROWS or self._characters >= _CHARACTERS:
            self.flush()

    def flush(self) -> None:
        """Write the rows that wait."""
        if self._columns[0]:
            import pyarrow as pa

            self._sink.write_batch(pa.record_batch(list(self._columns), schema=self._schema))
            self._columns = ([], [])
            self._characters = 0


@contextmanager
def write_staging(path: Path) -> Iterator[StagingWriter]:
    """Write a staging file, and beside it the keys (`.keys`) and where each ends (`.ends`, int64)."""
    import pyarrow as pa

    schema = pa.schema([(name, pa.string()) for name in _STAGED])
    with (
        path.with_suffix(".keys").open("wb") as keys,
        pa.OSFile(str(path), "wb") as file,
        pa.ipc.new_file(file, schema) as sink,
    ):
        writer = StagingWriter(sink, schema, keys)
        yield writer
        writer.flush()
    path.with_suffix(".ends").write_bytes(writer.ends.tobytes())


class StagingFile:
    """The finished texts of a build; one batch of it is in memory at a time, and eight bytes for each key.

    The files are read, not mapped: mapped pages would stay in the process and grow with the corpus.
    """

    def __init__(self, *, rows: pa.ipc.RecordBatchFileReader, keys: BinaryIO, ends: NDArray[np.int64]) -> None:
        self._rows = rows
        self._keys = keys
        self._ends = ends

    def keys(self, rows: NDArray[np.int64]) -> list[str]:
        """Return the duplicate keys of rows: int64[n], ascending. Only what lies at and between near rows is read."""
        starts, ends = self._ends[rows], self._ends[rows + 1]
        edges = [0, *(np.flatnonzero(starts[1:] - ends[:-1] > _GAP) + 1).tolist(), len(rows)]
        begun, done = starts.tolist(), ends.tolist()
        found: list[str] = []
        for first, last in pairwise(edges if len(rows) else []):
            origin = begun[first]
            self._keys.seek(origin)
            block = self._keys.read(done[last - 1] - origin)
            found.extend(
                block[start - origin : end - origin].decode()
                for start, end in zip(begun[first:last], done[first:last], strict=True)
            )
        return found

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield all batches in order."""
        for number in range(self._rows.num_record_batches):
            yield self._rows.get_batch(number)


@contextmanager
def open_staging(path: Path) -> Iterator[StagingFile]:
    """Read a staging file."""
    import pyarrow as pa

    with (
        pa.OSFile(str(path)) as file,
        pa.ipc.open_file(file) as rows,
        path.with_suffix(".keys").open("rb", buffering=0) as keys,
    ):
        yield StagingFile(rows=rows, keys=keys, ends=np.fromfile(path.with_suffix(".ends"), dtype=np.int64))
