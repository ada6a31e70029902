"""Groups of near duplicates among millions of short texts, in bounded memory.

Texts are compared by their shingles: the windows of a few characters of their duplicate keys (letters and digits only,
so spaces and punctuation do not matter). A Han character says as much as a syllable or a word, so Chinese texts get
shorter windows than alphabetic ones; a key's script decides. Of a text, the first 10,000 letters and digits count.

Bands of MinHash sketches only propose pairs; a pair counts when the Jaccard index of its two sets of shingles reaches
the threshold. So no pair is false, and of those at the threshold at most 0.5 % are missed. What is near to what is near
belongs to one group (connected components).

MinHash (Broder 1997) through `rensa`; locality-sensitive hashing by bands as in Leskovec, Rajaraman and Ullman, Mining
of Massive Datasets, chapter 3: two texts whose sketches agree in all rows of one band are a candidate pair. One band is
in memory at a time. In a bucket of many alike texts (templates) each is compared with its neighbours and with the
bucket's first text, not with all: pairs grow with the texts, never with their square.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ottenok.core.lazy import require
from ottenok.core.progress import SILENT, stage
from ottenok.data.rows import mix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ottenok.core.progress import Progress
    from ottenok.recipes.corpus import CleanOptions

__all__ = ["Shingles", "Texts", "band_hashes", "band_plan", "chunks", "cut_shingles", "find_groups", "jaccard"]

_PERMUTATIONS = 128
_MISS = 0.005
_SEED = 1  # of the permutations: fixed, so that near duplicates do not depend on the recipe's seed
_BATCH = 8_192  # texts sketched at once
_CHARACTERS = 1_000_000  # of texts that are cut into shingles at once, which takes some 70 bytes each
_LONGEST = 10_000
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_HAN = ((0x3400, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x323AF))
_PAIRS = 16_384  # pairs compared at once
_WINDOW = 16  # in a bucket, each text is compared with this many that follow it,
_CROWD = 4  # and with this many only where the bucket holds more
_COLUMN_BITS = 30  # so that scipy keeps indices of 32 bits


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


def cut_shingles(keys: Sequence[str], options: CleanOptions) -> Shingles:
    """Cut duplicate keys into overlapping windows of characters: wide ones, or narrow ones where half a key is Han.

    A key that is shorter than its window has no shingle: there is nothing to compare but the whole.
    """
    keys = [key[:_LONGEST] for key in keys]
    points = np.frombuffer("".join(keys).encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint64)
    lengths = np.fromiter(map(len, keys), dtype=np.int64, count=len(keys))
    starts = np.concatenate(([0], np.cumsum(lengths)))
    in_han = np.zeros(len(points), dtype=bool)
    for first, last in _HAN:
        in_han |= (points >= first) & (points <= last)
    han = np.concatenate(([0], np.cumsum(in_han, dtype=np.int64)))
    is_han = 2 * (han[starts[1:]] - han[starts[:-1]]) >= np.maximum(lengths, 1)
    counts = np.maximum(lengths - np.where(is_han, options.shingle_han, options.shingle) + 1, 0)
    offsets = np.concatenate(([0], np.cumsum(counts)))
    windows = np.arange(offsets[-1]) + np.repeat(starts[:-1] - offsets[:-1], counts)
    wide, narrow = _windows(points, options.shingle), _windows(points, options.shingle_han)
    hashes = np.where(np.repeat(is_han, counts), narrow[windows], wide[windows])
    return Shingles(hashes=hashes, offsets=offsets.astype(np.uint64))


def _windows(points: NDArray[np.uint64], size: int) -> NDArray[np.uint64]:
    """The hash of the window that starts at each character; the last `size - 1` ones run over the end."""
    padded = np.concatenate((points, np.zeros(size, dtype=np.uint64)))
    rolling = np.zeros(len(points), dtype=np.uint64)
    for place in range(size):
        rolling = rolling * _FACTOR + padded[place : place + len(points)]
    return mix(rolling, size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """Texts that are kept somewhere else.

    Attributes:
        rows: int64[n], their row numbers, ascending.
        lengths: int[n], their characters.
        keys_of: Gives the duplicate keys of rows, ascending.
    """

    rows: NDArray[np.int64]
    lengths: NDArray[np.integer]
    keys_of: Callable[[NDArray[np.int64]], Sequence[str]]

    def keys(self, places: NDArray[np.integer] | slice) -> Sequence[str]:
        """Return the duplicate keys of the texts in these places, ascending."""
        return self.keys_of(self.rows[places])


def chunks(lengths: NDArray[np.integer], most: int) -> Iterator[slice]:
    """Cut a row of things into slices of at most `most`, and of about a million characters unless one alone has more.

    Args:
        lengths: int[n], the characters of each thing.
        most: Most things in a slice.
    """
    weights = np.maximum(lengths, -(-_CHARACTERS // most))
    bins = (np.cumsum(weights, dtype=np.int64) - weights) // _CHARACTERS
    edges = np.concatenate(([0], np.flatnonzero(np.diff(bins)) + 1, [len(lengths)]))
    for start, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        if start < end:
            yield slice(start, end)


def band_plan(threshold: float, permutations: int = _PERMUTATIONS) -> tuple[int, int]:
    """Return (bands, rows per band): the longest bands that miss at most 0.5 % of the pairs at the threshold."""
    plans = [(permutations // rows, rows) for rows in range(1, permutations + 1)]
    good = [(bands, rows) for bands, rows in plans if (1 - threshold**rows) ** bands <= _MISS]
    return max(good, key=lambda plan: plan[1], default=(permutations, 1))


def band_hashes(keys: Sequence[str], options: CleanOptions) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Sketch texts in memory and fold each band of each sketch into one number.

    Args:
        keys: Duplicate keys of n texts.
        options: The shingles, and the threshold that the bands are made for.

    Returns:
        uint64[m, bands] for the m texts that are long enough, and which of the n these are: bool[n].

    Raises:
        MissingExtraError: `rensa` is not installed (extra `data`).
    """
    count, width = band_plan(options.threshold)
    shingles = cut_shingles(keys, options)
    enough = shingles.counts >= options.minimum_shingles
    texts = int(enough.sum())
    if not texts:
        return np.empty((0, count), dtype=np.uint64), enough
    hashes = shingles.hashes[np.repeat(enough, shingles.counts)]
    offsets = np.concatenate(([0], np.cumsum(shingles.counts[enough]))).astype(np.uint64)
    sketch: Any = require("rensa", extra="data").RMinHash.digest_matrix_from_flat_token_hashes(
        hashes, offsets, count * width, _SEED
    )
    digests = np.array(sketch.to_rows(), dtype=np.uint64).reshape(texts, count, width)
    folded = np.zeros((texts, count), dtype=np.uint64)
    for place in range(width):
        folded = folded * _FACTOR + digests[:, :, place]
    return mix(folded, width), enough


def find_groups(texts: Texts, options: CleanOptions, *, folder: Path, progress: Progress = SILENT) -> NDArray[np.int32]:
    """Group near duplicates: int32[n], the place of the first text of each text's group.

    Args:
        texts: What is grouped.
        options: What is near.
        folder: An empty folder for temporary files: 8 bytes per text and band.
        progress: Told about two stages.

    Raises:
        MissingExtraError: `rensa` or `scipy` is not installed (extra `data`).
    """
    count, _ = band_plan(options.threshold)
    bands = [folder / f"band-{band}.u64" for band in range(count)]
    sketched = [np.empty(0, dtype=np.int32)]
    with ExitStack() as opened, stage(progress, "near duplicates: sketching", total=len(texts.rows), unit="rows"):
        files = [opened.enter_context(band.open("wb")) for band in bands]
        for chunk in chunks(texts.lengths, _BATCH):
            hashes, enough = band_hashes(texts.keys(chunk), options)
            for file, column in zip(files, hashes.T, strict=True):
                file.write(column.tobytes())
            sketched.append((chunk.start + np.flatnonzero(enough)).astype(np.int32))
            progress.advance(len(enough))
    # Which of the texts each sketch belongs to; short texts have none.
    places = np.concatenate(sketched)
    groups = np.arange(len(texts.rows), dtype=np.int32)
    with stage(progress, "near duplicates: comparing", total=count, unit="bands"):
        for band in bands:
            for left, right in _candidates(np.fromfile(band, dtype=np.uint64)):
                groups = _compare(groups, texts, places[left], places[right], options)
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
    options: CleanOptions,
) -> NDArray[np.int32]:
    """Unite the groups of those pairs that are near; a group is called by its smallest member.

    Groups are renamed once for all pairs: that touches every text.
    """
    sparse, csgraph = require("scipy.sparse", extra="data"), require("scipy.sparse.csgraph", extra="data")
    apart = groups[left] != groups[right]
    left, right = left[apart], right[apart]
    near = np.zeros(len(left), dtype=bool)
    for chunk in chunks(texts.lengths[left] + texts.lengths[right], _PAIRS):
        a, b = left[chunk], right[chunk]
        places, pairs = np.unique(np.concatenate((a, b)), return_inverse=True)
        near[chunk] = jaccard(texts.keys(places), pairs[: len(a)], pairs[len(a) :], options) >= options.threshold
    if not near.any():
        return groups
    a, b = groups[left[near]], groups[right[near]]
    names, ends = np.unique(np.concatenate((a, b)), return_inverse=True)
    graph = sparse.coo_array((np.ones(len(a)), (ends[: len(a)], ends[len(a) :])), shape=(len(names), len(names)))
    count, part = csgraph.connected_components(graph, directed=False)
    smallest = np.full(count, np.iinfo(np.int32).max, dtype=np.int32)
    np.minimum.at(smallest, part, names)
    renamed = np.arange(len(groups), dtype=np.int32)
    renamed[names] = smallest[part]
    return renamed[groups]


def jaccard(
    keys: Sequence[str], left: NDArray[np.int64], right: NDArray[np.int64], options: CleanOptions
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
    shingles = cut_shingles(keys, options)
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
