"""How many texts every two files share, before anything is removed: the evidence for what the cleaning does."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LONG", "FileOverlap", "OverlapCounter"]

LONG = 6  # letters or digits; shorter texts ("да", "класс") meet by chance


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOverlap:
    """What two files share.

    Attributes:
        first: Number of a file, less than `second`.
        second: Number of another file.
        texts: Different texts that are in both.
        long_texts: Those of them with at least `LONG` letters or digits.
        first_rows: Rows of the first file whose text is in the second.
        second_rows: Rows of the second file whose text is in the first.
    """

    first: int
    second: int
    texts: int
    long_texts: int
    first_rows: int
    second_rows: int


class OverlapCounter:
    """Notes the text of every record, 12 bytes each, and counts at the end."""

    __slots__ = ("_files", "_keys")

    def __init__(self) -> None:
        self._keys = array("Q")
        self._files = array("i")

    def add(self, digest: bytes, *, letters: int, file: int) -> None:
        """Note a record of `file`: the digest of its published text's key, and how long that key is."""
        self._keys.append(int.from_bytes(digest[:8], "little"))
        self._files.append(2 * file + (letters >= LONG))

    def distinct(self, files: int) -> NDArray[np.int64]:
        """Count the different texts of each file: int64[files]."""
        return np.bincount(self._unique()[1] // 2, minlength=files)

    def count(self, files: int) -> list[FileOverlap]:
        """Count what every two of `files` files share; pairs that share nothing are left out."""
        keys, marks, rows = self._unique()
        totals = np.zeros((4, files, files), dtype=np.int64)
        for distance in range(1, files):
            left = np.flatnonzero(keys[distance:] == keys[:-distance])
            if not len(left):
                break
            right = left + distance
            cell = (marks[left] // 2, marks[right] // 2)
            weights: list[NDArray[np.int64]] = [
                np.ones(len(left), dtype=np.int64),
                (marks[left] % 2).astype(np.int64),
                rows[left],
                rows[right],
            ]
            for total, weight in zip(totals, weights, strict=True):
                np.add.at(total, cell, weight)
        return [
            FileOverlap(
                first=int(first),
                second=int(second),
                texts=int(totals[0, first, second]),
                long_texts=int(totals[1, first, second]),
                first_rows=int(totals[2, first, second]),
                second_rows=int(totals[3, first, second]),
            )
            for first, second in np.argwhere(totals[0])
        ]

    def _unique(self) -> tuple[NDArray[np.uint64], NDArray[np.int32], NDArray[np.int64]]:
        """Different (text, file) pairs in order, with their rows."""
        keys = np.frombuffer(self._keys, dtype=np.uint64)
        marks = np.frombuffer(self._files, dtype=np.int32)
        order = np.lexsort((marks, keys))
        keys, marks = keys[order], marks[order]
        fresh = np.ones(len(keys), dtype=bool)
        fresh[1:] = (keys[1:] != keys[:-1]) | (marks[1:] != marks[:-1])
        starts = np.flatnonzero(fresh)
        return keys[starts], marks[starts], np.diff(np.append(starts, len(keys)))
