"""The ledger of a build: a few bytes per row in numpy columns. The texts themselves lie in the spill."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ottenok.data.keys import dense_ids, unpack_digests

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Codes", "Ledger", "LedgerRow", "LedgerWriter"]


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
class LedgerRow:
    """What is noted of one harmonised row.

    Attributes:
        file: Place of its file in the list of all files.
        row: Its number in the file.
        split: FREE, TRAIN, VALIDATION or TEST (see `dedupe`).
        labels: For each task the code of its set of labels, or -1 where it has none.
        language: Code of its language.
        length: Characters of the normalised text.
        digest: 16 bytes that stand for its duplicate key.
    """

    file: int
    row: int
    split: int
    labels: tuple[int, ...]
    language: int
    length: int
    digest: bytes


_TYPES = {"file": "h", "row": "q", "split": "b", "language": "h", "length": "i"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """All rows: one array per fact, each of length n; what they mean is said at `LedgerRow`.

    Attributes:
        text: int32[n], dense id of the duplicate key: equal where two texts are exact duplicates.
        digest: uint64[n], the first half of the key's digest, for choices by hash.
        file: int16[n].
        row: int64[n].
        split: int8[n].
        labels: int32[n, tasks].
        language: int16[n].
        length: int32[n].
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


@dataclass(slots=True)
class LedgerWriter:
    """Collects rows; `array` holds them as machine numbers, 29 bytes a row, 4 per task, and 16 for the digest.

    Attributes:
        tasks: How many tasks the corpus has.
    """

    tasks: int

    _columns: dict[str, array[int]] = field(
        default_factory=lambda: {name: array(code) for name, code in _TYPES.items()}
    )
    _labels: array[int] = field(default_factory=lambda: array("i"))
    _digests: bytearray = field(default_factory=bytearray)

    def add(self, row: LedgerRow) -> None:
        """Note one row."""
        for name, column in self._columns.items():
            column.append(getattr(row, name))
        self._labels.extend(row.labels)
        self._digests += row.digest

    def close(self) -> Ledger:
        """Return the columns and number the texts."""
        digests = unpack_digests([bytes(self._digests)])
        columns = {name: np.frombuffer(column, dtype=column.typecode) for name, column in self._columns.items()}
        labels = np.frombuffer(self._labels, dtype=np.int32).reshape(-1, self.tasks)
        return Ledger(text=dense_ids(digests), digest=digests[:, 0].copy(), labels=labels, **columns)
