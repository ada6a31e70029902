"""Curves over every threshold at once: ROC, precision and recall, F1, and what leaving out unsure answers brings.

Each curve is exact: it has a point per different score, from the strictest threshold to the loosest. `thinned` leaves
out points for drawing. ROC and precision-recall are checked against scikit-learn in the tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ottenok.tasks.metrics import f1, ratio

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Scores = npt.NDArray[np.floating[Any]]
    Mask = npt.NDArray[np.bool_]

__all__ = ["Confidence", "Curve", "Sweep", "confidence", "precision_recall", "roc", "sweep", "thinned"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A curve in the unit square, from the strictest threshold to the loosest.

    Attributes:
        x: float64 `[points]`: false positive rate, or recall.
        y: float64 `[points]`: true positive rate, or precision.
        thresholds: float64 `[points]`; infinite at the first point, where nothing is answered.
        area: Under the ROC curve, or the average precision.
    """

    x: Floats
    y: Floats
    thresholds: Floats
    area: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """One label's figures at each threshold; float64 `[points]`, thresholds falling."""

    thresholds: Floats
    precision: Floats
    recall: Floats
    f1: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Confidence:
    """What leaving out unsure answers brings, for one-label schemes; float64 `[points]`, thresholds falling.

    Attributes:
        thresholds: Least probability of an answer.
        coverage: Share of rows that are answered.
        accuracy: Share of them that are right.
    """

    thresholds: Floats
    coverage: Floats
    accuracy: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counts:
    """Rows at or above each different score, scores falling; float64 `[points]`."""

    level: Floats
    hits: Floats
    selected: Floats


def _counts(scores: Scores, truth: Mask) -> _Counts:
    order = np.argsort(-scores, kind="stable")
    falling = scores[order].astype(np.float64)
    # Equal scores are on one side of any threshold together: only the last of each group is a point.
    last = np.flatnonzero(np.append(np.diff(falling) != 0, True)) if len(falling) else np.zeros(0, dtype=np.int64)
    hits = np.cumsum(truth[order]).astype(np.float64)
    return _Counts(level=falling[last], hits=hits[last], selected=(last + 1).astype(np.float64))


def roc(scores: Scores, truth: Mask) -> Curve | None:
    """Return a label's ROC curve and its area, or None where all rows or none have the label.

    Args:
        scores: `[rows]`; only their order counts.
        truth: bool `[rows]`.
    """
    counts = _counts(scores, truth)
    positive = float(truth.sum())
    negative = len(truth) - positive
    if not positive or not negative:
        return None
    x = np.append(0.0, (counts.selected - counts.hits) / negative)
    y = np.append(0.0, counts.hits / positive)
    area = float(((y[1:] + y[:-1]) * np.diff(x)).sum() / 2.0)
    return Curve(x=x, y=y, thresholds=np.append(np.inf, counts.level), area=area)


def precision_recall(scores: Scores, truth: Mask) -> Curve | None:
    """Return a label's precision (y) over recall (x) and its average precision, or None where no row has the label.

    Average precision is the sum of precisions weighted by the recall that each threshold adds; nothing is interpolated
    (Davis and Goadrich 2006, "The Relationship Between Precision-Recall and ROC Curves").

    Args:
        scores: `[rows]`; only their order counts.
        truth: bool `[rows]`.
    """
    counts = _counts(scores, truth)
    if not truth.any():
        return None
    precision, recall = counts.hits / counts.selected, counts.hits / truth.sum()
    return Curve(
        x=np.append(0.0, recall),
        y=np.append(1.0, precision),
        thresholds=np.append(np.inf, counts.level),
        area=float((np.diff(recall, prepend=0.0) * precision).sum()),
    )


def sweep(probs: Scores, truth: Mask) -> Sweep:
    """Return a label's precision, recall and F1 at each of its different probabilities as the threshold.

    Args:
        probs: `[rows]` in 0..1; a row is answered where its probability reaches the threshold.
        truth: bool `[rows]`.
    """
    counts = _counts(probs, truth)
    support = np.full_like(counts.hits, float(truth.sum()))
    return Sweep(
        thresholds=counts.level,
        precision=ratio(counts.hits, counts.selected),
        recall=ratio(counts.hits, support),
        f1=f1(counts.hits, counts.selected, support),
    )


def confidence(probs: Scores, truth: Mask) -> Confidence:
    """Return coverage and accuracy when only answers of at least some probability are given.

    Args:
        probs: `[rows, labels]` in 0..1; the answer is the most probable label, the first of equals.
        truth: bool `[rows, labels]`, one True a row.
    """
    rows = np.arange(len(probs))
    best = probs.argmax(axis=1)
    counts = _counts(probs[rows, best], truth[rows, best])
    return Confidence(
        thresholds=counts.level, coverage=counts.selected / max(len(probs), 1), accuracy=counts.hits / counts.selected
    )


def thinned(x: Floats, y: Floats, points: int = 200) -> npt.NDArray[np.int64]:
    """Return the positions of at most `points` points that draw the same line: evenly along its length.

    The first and the last point always stay; so do all, if there are no more than `points`.

    Args:
        x: float64 `[all points]`, on the scale that it is drawn on.
        y: Likewise.
        points: At least 2.
    """
    if len(x) <= points:
        return np.arange(len(x))
    length = np.append(0.0, np.cumsum(np.hypot(np.diff(x), np.diff(y))))
    wanted = np.linspace(0.0, length[-1], points)
    return np.unique(np.append(np.searchsorted(length[:-1], wanted[:-1]), len(x) - 1))
