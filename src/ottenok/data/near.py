"""Groups of near duplicates among millions of short texts, in bounded memory.

Bands of MinHash sketches only propose pairs; a pair counts when the Jaccard index of its two sets of shingles reaches
the threshold. So no pair is false, and of those at the threshold at most 0.5 % are missed. What is near to what is near
belongs to one group (connected components).

One band is in memory at a time. In a bucket of many alike texts (templates) each is compared with its neighbours and
with the bucket's first text, not with all: pairs grow with the texts, never with their square.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ottenok.core.lazy import require
from ottenok.core.progress import SILENT, stage
from ottenok.data.sketches import chunks, write_bands

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ottenok.core.progress import Progress
    from ottenok.data.sketches import NearOptions, Texts

__all__ = ["find_groups", "jaccard"]

_PAIRS = 16_384  # pairs compared at once
_WINDOW = 16  # in a bucket, each text is compared with this many that follow it,
_CROWD = 4  # and with this many only where the bucket holds more
_COLUMN_BITS = 30  # so that scipy keeps indices of 32 bits


def find_groups(texts: Texts, *, options: NearOptions, folder: Path, progress: Progress = SILENT) -> NDArray[np.int32]:
    """Group near duplicates: int32[n], the place of the first text of each text's group.

    Args:
        texts: What is grouped.
        options: What is near.
        folder: An empty folder for temporary files.
        progress: Told about two stages.

    Raises:
        MissingExtraError: `rensa` or `scipy` is not installed (extra `data`).
    """
    bands = write_bands(texts, options=options, folder=folder, progress=progress)
    groups = np.arange(len(texts.rows), dtype=np.int32)
    with stage(progress, "near duplicates: comparing", total=bands.count, unit="bands"):
        for band in range(bands.count):
            for left, right in _candidates(bands.read(band)):
                groups = _compare(groups, texts, bands.places[left], bands.places[right], options)
            progress.advance()
    return groups


def _candidates(hashes: NDArray[np.uint64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield pairs of places with equal hashes, nearest neighbours in the sorted order first."""
    order = np.argsort(hashes, kind="stable")
    ranked = hashes[order]
    fresh = np.concatenate(([True], ranked[1:] != ranked[:-1]))[: len(ranked)]
    heads = np.flatnonzero(fresh)
    bucket = np.cumsum(fresh) - 1
    crowded = np.diff(np.append(heads, len(ranked)))[bucket] > _WINDOW + 1
    for distance in range(1, min(_WINDOW, len(ranked) - 1) + 1):
        left = np.flatnonzero(ranked[distance:] == ranked[:-distance])
        if distance > _CROWD:
            left = left[~crowded[left]]
        if len(left):
            yield order[left], order[left + distance]
    far = np.flatnonzero(crowded & (np.arange(len(ranked)) - heads[bucket] > _CROWD))
    if len(far):
        yield order[heads[bucket[far]]], order[far]


def _compare(
    groups: NDArray[np.int32],
    texts: Texts,
    left: NDArray[np.int32],
    right: NDArray[np.int32],
    options: NearOptions,
) -> NDArray[np.int32]:
    """Join the groups of those pairs that are near and not in one group yet."""
    apart = groups[left] != groups[right]
    left, right = left[apart], right[apart]
    for chunk in chunks(texts.lengths[left] + texts.lengths[right], _PAIRS):
        a, b = left[chunk], right[chunk]
        apart = groups[a] != groups[b]
        a, b = a[apart], b[apart]
        places, pairs = np.unique(np.concatenate((a, b)), return_inverse=True)
        index = jaccard(texts.keys(places), pairs[: len(a)], pairs[len(a) :], options)
        near = index >= options.threshold
        groups = _join(groups, a[near], b[near])
    return groups


def jaccard(
    keys: Sequence[str], left: NDArray[np.int64], right: NDArray[np.int64], options: NearOptions
) -> NDArray[np.float64]:
    """Return the Jaccard index of the sets of shingles of `keys[left[i]]` and `keys[right[i]]`: float64[n], 0..1.

    Args:
        keys: Duplicate keys.
        left: int64[n], places in `keys`.
        right: int64[n], places in `keys`.
        options: The shingles' sizes.

    Raises:
        MissingExtraError: `scipy` is not installed (extra `data`).
    """
    sparse = require("scipy.sparse", extra="data")
    shingles = options.cut(keys)
    columns = (shingles.hashes >> np.uint64(64 - _COLUMN_BITS)).astype(np.int32)
    ones = np.ones(len(columns), dtype=np.int32)
    shape = (len(keys), 1 << _COLUMN_BITS)
    sets = sparse.csr_array((ones, columns, shingles.offsets.astype(np.int32)), shape=shape)
    sets.sum_duplicates()
    sets.data[:] = 1
    sizes = np.diff(sets.indptr).astype(np.int64)
    common = np.asarray(sets[left].multiply(sets[right]).sum(axis=1)).ravel()
    either = sizes[left] + sizes[right] - common
    return np.asarray(common / np.maximum(either, 1), dtype=np.float64)


def _join(groups: NDArray[np.int32], a: NDArray[np.int32], b: NDArray[np.int32]) -> NDArray[np.int32]:
    """Unite the groups of each pair; a group is called by its smallest member."""
    if not len(a):
        return groups
    sparse = require("scipy.sparse", extra="data")
    names, ends = np.unique(np.concatenate((groups[a], groups[b])), return_inverse=True)
    graph = sparse.coo_array((np.ones(len(a)), (ends[: len(a)], ends[len(a) :])), shape=(len(names), len(names)))
    count, part = require("scipy.sparse.csgraph", extra="data").connected_components(graph, directed=False)
    smallest = np.full(count, np.iinfo(np.int32).max, dtype=np.int32)
    np.minimum.at(smallest, part, names)
    renamed = np.arange(len(groups), dtype=np.int32)
    renamed[names] = smallest[part]
    return renamed[groups]
