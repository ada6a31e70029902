"""Texts that are unlike the others of the same data: another language, random letters, no letters, or far off."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from ottenok.audit.findings import Finding
from ottenok.core.language import read_language
from ottenok.core.progress import SILENT, stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from ottenok.core.progress import Progress

    Floats = npt.NDArray[np.float64]

__all__ = ["distances", "find_outliers"]

# A language that fewer rows have than this share is foreign to the data.
_FOREIGN = 0.02
# Share of letter pairs that words hardly have from which on letters are random.
_ODD = 0.3
# Texts that all others are measured against, and which of the nearest of them counts.
_SAMPLE = 4096
_NEIGHBOUR = 8
# Rows whose distances are computed at once.
_BLOCK = 2048
# Texts from which on it can be said what is far.
_FEWEST = 200
# Of the distances' logarithms: so many of their usual deviations (1.4826 times the median one) are far.
_FAR = 3.5
_NAMES = {"ru": "Russian", "zh": "Chinese", "uk": "Ukrainian", "en": "English", "other": "another language"}


def distances(vectors: npt.NDArray[np.float32], *, seed: int = 0, progress: Progress = SILENT) -> Floats:
    """Return how far each vector is from its neighbours: float64[n], 0..2, one minus the cosine.

    The neighbour that counts is the eighth nearest among at most 4,096 vectors drawn at random, so that time grows
    with the rows alone. A vector of zeros has no direction: NaN.

    Args:
        vectors: `[n, width]`.
        seed: Of the draw.
        progress: Told of texts.
    """
    mean = vectors[:: max(1, len(vectors) // _SAMPLE)].mean(axis=0)
    lengths = np.linalg.norm(vectors, axis=1)
    there = np.flatnonzero(lengths)
    found = np.full(len(vectors), np.nan)
    if len(there) <= _NEIGHBOUR + 1:
        return found
    picked = np.sort(np.random.default_rng(seed).choice(there, min(_SAMPLE, len(there)), replace=False))

    def directions(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        moved = vectors[rows] - mean
        return moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-9)  # type: ignore[no-any-return]

    sample = directions(picked)
    with stage(progress, "outliers", total=len(there), unit="texts"):
        for start in range(0, len(there), _BLOCK):
            rows = there[start : start + _BLOCK]
            near = directions(rows) @ sample.T
            # A text that is in the sample is its own nearest neighbour.
            place = np.searchsorted(picked, rows).clip(max=len(picked) - 1)
            own = np.flatnonzero(picked[place] == rows)
            near[own, place[own]] = -2.0
            found[rows] = 1.0 - np.partition(near, -_NEIGHBOUR, axis=1)[:, -_NEIGHBOUR]
            progress.advance(len(rows))
    return found


def find_outliers(texts: Sequence[str], far: Floats) -> list[Finding]:
    """Return the rows whose text is unlike the others.

    Args:
        texts: The texts.
        far: How far each is from its neighbours: see `distances`.
    """
    readings = [read_language(text) for text in texts]
    spoken = Counter(reading.language for reading in readings if reading.language is not None)
    known = [language for language, count in spoken.most_common() if count >= _FOREIGN * spoken.total()]
    usual = " and ".join(_NAMES[language] for language in known) or "no language"
    limit, spread, middle = np.inf, 1.0, 0.0
    told = far[~np.isnan(far)]
    if len(told) >= _FEWEST:
        logs = np.log(np.maximum(told, 1e-6))
        middle = float(np.median(logs))
        spread = max(1.4826 * float(np.median(np.abs(logs - middle))), 0.05)
        limit = _FAR
    found = []
    for row, (reading, distance) in enumerate(zip(readings, far.tolist(), strict=True)):
        strange = (np.log(max(distance, 1e-6)) - middle) / spread if not np.isnan(distance) else 0.0
        score, reason = 0.0, ""
        if reading.language is not None and reading.sure and reading.language not in known:
            score = 1.0 - spoken[reading.language] / spoken.total()
            reason = f"the text is in {_NAMES[reading.language]}; the data is in {usual}"
        elif reading.odd > _ODD and reading.language is None:
            score, reason = min(0.9, 0.5 + reading.odd), "the text looks like random letters"
        elif strange > limit:
            score = min(0.89, 0.5 + 0.02 * float(strange - limit))
            reason = (
                f"no other text is like it: {np.exp(strange * spread):.1f} times as far as usual from its neighbours"
            )
        elif reading.language is None and reading.sure and not any(letter.isalnum() for letter in texts[row][:4000]):
            score, reason = 0.3, "the text has no letters"
        if reason:
            found.append(Finding(kind="outlier", row=row, score=score, reason=reason))
    return found
