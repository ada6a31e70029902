"""Texts that are known already, so that no generated one repeats them: exact and near duplicates, as in a corpus.

The keys, the sketches and the Jaccard index are those of `ottenok.data`; only the looking up is done here, one answer
at a time. A text takes about 170 bytes and its key.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ottenok.data.keys import key_digest
from ottenok.data.near import jaccard
from ottenok.data.sketches import NearOptions, band_hashes, band_plan, chunks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ottenok.core.progress import Progress

__all__ = ["KnownTexts", "Match", "Origin"]

_BATCH = 8_192
_BUCKET = 256  # texts of one template that are compared; more of them say nothing new


class Origin(IntEnum):
    """Where a known text is from; the greater, the worse is a copy of it."""

    GENERATED = 0
    EXAMPLE = 1
    TRAIN = 2
    VALIDATION = 3
    TEST = 4


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Match:
    """What a text repeats.

    Attributes:
        origin: Where the known text is from.
        exact: Whether their keys are the same; otherwise they are near duplicates.
    """

    origin: Origin
    exact: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Index:
    """Hashes in ascending order, and the place of the text of each."""

    hashes: NDArray[np.uint64]
    places: NDArray[np.int32]

    def extended(self, hashes: NDArray[np.uint64], places: NDArray[np.int32]) -> _Index:
        """The same with more of them."""
        every, where = np.concatenate((self.hashes, hashes)), np.concatenate((self.places, places))
        order = np.argsort(every, kind="stable")
        return _Index(hashes=every[order], places=where[order])

    def find(self, value: np.uint64) -> NDArray[np.int32]:
        """Places of the texts with this hash, at most `_BUCKET`."""
        start = int(np.searchsorted(self.hashes, value, side="left"))
        end = int(np.searchsorted(self.hashes, value, side="right"))
        return self.places[start : min(end, start + _BUCKET)]


_EMPTY = _Index(hashes=np.empty(0, dtype=np.uint64), places=np.empty(0, dtype=np.int32))


class KnownTexts:
    """A growing set of duplicate keys with their origins."""

    def __init__(self, options: NearOptions | None = None) -> None:
        self._options = options or NearOptions()
        self._keys: list[pa.Array] = []
        self._starts = np.zeros(1, dtype=np.int64)
        self._origins = np.empty(0, dtype=np.int8)
        self._exact = _EMPTY
        self._bands = [_EMPTY] * band_plan(self._options.threshold)[0]

    def __len__(self) -> int:
        return int(self._starts[-1])

    def add(self, keys: Sequence[str], origins: Sequence[Origin], progress: Progress | None = None) -> None:
        """Add texts.

        Args:
            keys: Their duplicate keys (`ottenok.text.normalise.dedupe_key`).
            origins: Where each is from.
            progress: Told how many were added.

        Raises:
            MissingExtraError: A package of the extra `data` is not installed.
        """
        if not keys:
            return
        start = len(self)
        lengths = np.fromiter(map(len, keys), dtype=np.int64, count=len(keys))
        hashes, places = [], []
        for chunk in chunks(lengths, _BATCH):
            bands, enough = band_hashes(keys[chunk], options=self._options)
            hashes.append(bands)
            places.append((start + chunk.start + np.flatnonzero(enough)).astype(np.int32))
            if progress is not None:
                progress.advance(chunk.stop - chunk.start)
        where = np.concatenate(places)
        self._bands = [
            index.extended(column, where) for index, column in zip(self._bands, np.concatenate(hashes).T, strict=True)
        ]
        everywhere = np.arange(start, start + len(keys), dtype=np.int32)
        self._exact = self._exact.extended(_digests(keys), everywhere)
        self._keep(keys, origins)

    def _keep(self, keys: Sequence[str], origins: Sequence[Origin]) -> None:
        self._keys.append(pa.array(keys, type=pa.large_string()))
        self._starts = np.append(self._starts, len(self) + len(keys))
        self._origins = np.append(self._origins, np.array(origins, dtype=np.int8))

    def find(self, keys: Sequence[str]) -> list[Match | None]:
        """Return what each text repeats: the worst where it is several, a text of a test before one of train."""
        bands, enough = band_hashes(keys, options=self._options)
        sketches: list[NDArray[np.uint64] | None] = [None] * len(keys)
        for row, place in enumerate(np.flatnonzero(enough).tolist()):
            sketches[place] = bands[row]
        return [
            self._find(key, digest, sketch) for key, digest, sketch in zip(keys, _digests(keys), sketches, strict=True)
        ]

    def _find(self, key: str, digest: np.uint64, sketch: NDArray[np.uint64] | None) -> Match | None:
        same = [place for place in self._exact.find(digest).tolist() if self._key(place) == key]
        near = [] if sketch is None else self._near(key, sketch)
        found = [Match(origin=Origin(self._origins[place]), exact=True) for place in same]
        found += [Match(origin=Origin(self._origins[place]), exact=False) for place in near]
        return max(found, default=None)

    def _near(self, key: str, sketch: NDArray[np.uint64]) -> list[int]:
        """Places of the texts whose Jaccard index with this one reaches the threshold."""
        pairs = zip(self._bands, sketch, strict=True)
        candidates = sorted({place for index, value in pairs for place in index.find(value).tolist()})
        if not candidates:
            return []
        right = np.arange(1, len(candidates) + 1, dtype=np.int64)
        keys = [key, *(self._key(place) for place in candidates)]
        values = jaccard(keys, np.zeros_like(right), right, self._options)
        return [place for place, value in zip(candidates, values, strict=True) if value >= self._options.threshold]

    def _key(self, place: int) -> str:
        chunk = int(np.searchsorted(self._starts, place, side="right")) - 1
        return str(self._keys[chunk][place - int(self._starts[chunk])].as_py())


def _digests(keys: Sequence[str]) -> NDArray[np.uint64]:
    digests = (int.from_bytes(key_digest(key)[:8], "little") for key in keys)
    return np.fromiter(digests, dtype=np.uint64, count=len(keys))
