"""Shingles: the windows of a few characters that a text is made of, as 64-bit hashes, many texts at once.

They are cut from the duplicate key (letters and digits only), so spaces and punctuation do not matter. A Han character
says as much as a syllable or a word, so Chinese texts get shorter windows than alphabetic ones. A key's script decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ottenok.data.keys import mix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Shingles", "cut_shingles"]

_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_HAN = ((0x3400, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x323AF))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shingles:
    """The shingles of n texts, one after the other; repeats within a text are still there.

    Attributes:
        hashes: uint64[m], of all texts.
        offsets: uint64[n + 1]; text i has `hashes[offsets[i]:offsets[i + 1]]`.
    """

    hashes: NDArray[np.uint64]
    offsets: NDArray[np.uint64]

    @property
    def counts(self) -> NDArray[np.int64]:
        """Shingles per text: int64[n]."""
        return np.diff(self.offsets).astype(np.int64)


def cut_shingles(keys: Sequence[str], *, size: int, han_size: int) -> Shingles:
    """Cut keys into overlapping windows of `size` characters, or `han_size` where half of a key or more is Han.

    A key that is shorter than its window has no shingle: there is nothing to compare but the whole.
    """
    points = np.frombuffer("".join(keys).encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint64)
    lengths = np.fromiter(map(len, keys), dtype=np.int64, count=len(keys))
    starts = np.concatenate(([0], np.cumsum(lengths)))
    han = np.concatenate(([0], np.cumsum(_is_han(points), dtype=np.int64)))
    is_han = 2 * (han[starts[1:]] - han[starts[:-1]]) >= np.maximum(lengths, 1)
    counts = np.maximum(lengths - np.where(is_han, han_size, size) + 1, 0)
    offsets = np.concatenate(([0], np.cumsum(counts)))
    windows = np.arange(offsets[-1]) + np.repeat(starts[:-1] - offsets[:-1], counts)
    wide, narrow = _windows(points, size), _windows(points, han_size)
    hashes = np.where(np.repeat(is_han, counts), narrow[windows], wide[windows])
    return Shingles(hashes=hashes, offsets=offsets.astype(np.uint64))


def _is_han(points: NDArray[np.uint64]) -> NDArray[np.bool_]:
    found = np.zeros(len(points), dtype=bool)
    for first, last in _HAN:
        found |= (points >= first) & (points <= last)
    return found


def _windows(points: NDArray[np.uint64], size: int) -> NDArray[np.uint64]:
    """The hash of the window that starts at each character; the last `size - 1` ones run over the end."""
    padded = np.concatenate((points, np.zeros(size, dtype=np.uint64)))
    rolling = np.zeros(len(points), dtype=np.uint64)
    for place in range(size):
        rolling = rolling * _FACTOR + padded[place : place + len(points)]
    return mix(rolling, size)
