"""MinHash sketches of short texts, folded into bands that lie on the disk.

MinHash (Broder 1997) through `rensa`; locality-sensitive hashing by bands as in Leskovec, Rajaraman and Ullman, Mining
of Massive Datasets, chapter 3: two texts whose sketches agree in all rows of one band are a candidate pair.

Why `rensa` and not `datasketch`: it takes the shingles of thousands of texts as one flat array, which made it the
faster of the two on two million texts (`benchmarks/corpus_build.py` times the stage).
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ottenok.core.lazy import require
from ottenok.core.progress import SILENT, stage
from ottenok.data.keys import mix
from ottenok.data.shingles import Shingles, cut_shingles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from numpy.typing import NDArray

    from ottenok.core.progress import Progress

__all__ = ["Bands", "NearOptions", "Texts", "band_hashes", "band_plan", "chunks", "write_bands"]

_PERMUTATIONS = 128
_MISS = 0.005
_SEED = 1  # of the permutations: fixed, so that near duplicates do not depend on the recipe's seed
_BATCH = 8_192  # texts sketched at once
_CHARACTERS = 1_000_000  # of texts that are cut into shingles at once, which takes some 70 bytes each
_LONGEST = 10_000
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True, kw_only=True)
class NearOptions:
    """What makes two texts near duplicates. Of a text, the first 10,000 letters and digits are compared.

    Attributes:
        threshold: Least Jaccard index of the two sets of shingles, 0.5..1.
        size: Characters per shingle.
        han_size: Characters per shingle in texts of Han characters.
        minimum: Texts with fewer shingles are never near duplicates: in short texts one letter is much.
    """

    threshold: float = 0.8
    size: int = 5
    han_size: int = 3
    minimum: int = 10

    def cut(self, keys: Sequence[str]) -> Shingles:
        """Cut keys into shingles of these sizes."""
        return cut_shingles([key[:_LONGEST] for key in keys], size=self.size, han_size=self.han_size)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Bands:
    """The bands of m sketches, each in a file.

    Attributes:
        folder: Where the files are.
        count: How many there are.
        places: int32[m], which of the texts each sketch belongs to, ascending; short texts have none.
    """

    folder: Path
    count: int
    places: NDArray[np.int32]

    def read(self, band: int) -> NDArray[np.uint64]:
        """Read one band: uint64[m], equal where two sketches agree in it."""
        return np.fromfile(_file(self.folder, band), dtype=np.uint64)


def band_plan(threshold: float, permutations: int = _PERMUTATIONS) -> tuple[int, int]:
    """Return (bands, rows per band): the longest bands that miss at most 0.5 % of the pairs at the threshold."""
    plans = [(permutations // rows, rows) for rows in range(1, permutations + 1)]
    good = [(bands, rows) for bands, rows in plans if (1 - threshold**rows) ** bands <= _MISS]
    return max(good, key=lambda plan: plan[1], default=(permutations, 1))


def write_bands(texts: Texts, *, options: NearOptions, folder: Path, progress: Progress = SILENT) -> Bands:
    """Sketch texts and write their bands, 8 bytes per text and band, into `folder`.

    Args:
        texts: What is sketched.
        options: The shingles, and the threshold that the bands are made for.
        folder: An empty folder.
        progress: Told about one stage.

    Raises:
        MissingExtraError: `rensa` is not installed (extra `data`).
    """
    count, _ = band_plan(options.threshold)
    sketched = [np.empty(0, dtype=np.int32)]
    with ExitStack() as opened, stage(progress, "near duplicates: sketching", total=len(texts.rows), unit="rows"):
        files = [opened.enter_context(_file(folder, band).open("wb")) for band in range(count)]
        for chunk in chunks(texts.lengths, _BATCH):
            hashes, enough = band_hashes(texts.keys(chunk), options=options)
            _write(files, hashes)
            sketched.append((chunk.start + np.flatnonzero(enough)).astype(np.int32))
            progress.advance(len(enough))
    return Bands(folder=folder, count=count, places=np.concatenate(sketched))


def band_hashes(keys: Sequence[str], *, options: NearOptions) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
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
    shingles, enough = _without_short(options.cut(keys), options.minimum)
    return _band_hashes(shingles, count, width), enough


def _file(folder: Path, band: int) -> Path:
    return folder / f"band-{band}.u64"


def _write(files: Sequence[BinaryIO], hashes: NDArray[np.uint64]) -> None:
    for file, column in zip(files, hashes.T, strict=True):
        file.write(column.tobytes())


def _without_short(shingles: Shingles, minimum: int) -> tuple[Shingles, NDArray[np.bool_]]:
    counts = shingles.counts
    enough = counts >= minimum
    offsets = np.concatenate(([0], np.cumsum(counts[enough]))).astype(np.uint64)
    return Shingles(hashes=shingles.hashes[np.repeat(enough, counts)], offsets=offsets), enough


def _band_hashes(shingles: Shingles, count: int, width: int) -> NDArray[np.uint64]:
    """Sketch each text and fold each band of its sketch into one number: uint64[n, count]."""
    texts = len(shingles.offsets) - 1
    if not texts:
        return np.empty((0, count), dtype=np.uint64)
    sketch: Any = require("rensa", extra="data").RMinHash.digest_matrix_from_flat_token_hashes(
        shingles.hashes, shingles.offsets, count * width, _SEED
    )
    digests = np.array(sketch.to_rows(), dtype=np.uint64).reshape(texts, count, width)
    folded = np.zeros((texts, count), dtype=np.uint64)
    for place in range(width):
        folded = folded * _FACTOR + digests[:, :, place]
    return mix(folded, width)
