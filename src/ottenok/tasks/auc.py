"""Areas under ROC curves by ranks, and how sure they are without resampling.

An area is the chance that a true row is above a false one, ties counting one half. Its variance is that of DeLong,
DeLong and Clarke-Pearson 1988, "Comparing the Areas under Two or More Correlated Receiver Operating Characteristic
Curves" (Biometrics 44), from each row's part in it. Parts of several labels' areas add up row by row, so a mean of
areas has its variance too. The rows of the sample count as drawn at random, truth included, as in a bootstrap of rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from ottenok.tasks.metrics import Interval

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Probabilities = npt.NDArray[np.float32]
    Mask = npt.NDArray[np.bool_]

__all__ = ["Areas", "area", "area_interval", "area_parts", "measure_areas", "weighted_areas"]


def area(scores: npt.NDArray[np.floating[Any]], truth: npt.NDArray[np.bool_]) -> float | None:
    """Return the AUC of one label, or None where all rows or none have it.

    Args:
        scores: `[rows]`; only their order counts.
        truth: bool `[rows]`.
    """
    positive = int(truth.sum())
    negative = len(truth) - positive
    if not positive or not negative:
        return None
    _, inverse, count = np.unique(scores, return_inverse=True, return_counts=True)
    # The mean rank of each group of equal scores.
    ranks = np.cumsum(count) - (count - 1) / 2.0
    above = ranks[inverse.ravel()[truth]].sum() - positive * (positive + 1) / 2.0
    return float(above / (positive * negative))


def weighted_areas(
    scores: npt.NDArray[np.floating[Any]], truth: npt.NDArray[np.bool_], weights: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the AUC of one label for many weightings of the same rows: resamples, permutations.

    Args:
        scores: `[rows]`; only their order counts.
        truth: bool `[rows]`.
        weights: `[weightings, rows]`: how often each row counts.

    Returns:
        `[weightings]`; NaN where a weighting has no true row or only such rows.
    """
    order = np.argsort(scores, kind="stable")
    _, starts = np.unique(scores[order], return_index=True)
    sorted_weights, sorted_truth = weights[:, order], truth[order]
    # Per group of equal scores: the weight of its true and of its false rows.
    positive = np.add.reduceat(sorted_weights * sorted_truth, starts, axis=1)
    negative = np.add.reduceat(sorted_weights * ~sorted_truth, starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative / 2.0
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    above = (positive * below).sum(axis=1)
    areas: npt.NDArray[np.float64] = np.divide(above, pairs, out=np.full(len(weights), np.nan), where=pairs > 0)
    return areas


def area_parts(scores: npt.NDArray[np.floating[Any]], truth: npt.NDArray[np.bool_]) -> Floats | None:
    """Return each row's part in one label's AUC, float64 `[rows]` of mean 0; None where the AUC is undefined.

    The sum of their squares over the square of the rows is DeLong's variance.

    Args:
        scores: `[rows]`; only their order counts.
        truth: bool `[rows]`.
    """
    rows, positive = len(truth), int(truth.sum())
    negative = rows - positive
    if not positive or not negative:
        return None

    def lower(values: npt.NDArray[np.floating[Any]]) -> Floats:
        """Return the number of lower scores, with half of the other equal ones."""
        _, inverse, count = np.unique(values, return_inverse=True, return_counts=True)
        ranks: Floats = (np.cumsum(count) - (count + 1) / 2.0)[inverse.ravel()]
        return ranks

    # Of each row: the share of the other kind that it is on the right side of, ties counting one half.
    own = np.empty(rows)
    own[truth], own[~truth] = lower(scores[truth]), lower(scores[~truth])
    others = lower(scores) - own
    share = np.where(truth, others / negative, 1.0 - others / positive)
    area = float(share[truth].mean())
    # A variance of so many values is over one less; a single value has none, and is left as it is.
    of_true, of_false = (rows / np.sqrt(count * max(count - 1, 1)) for count in (positive, negative))
    parts: Floats = (share - area) * np.where(truth, of_true, of_false)
    return parts


def area_interval(value: float, parts: Floats, confidence: float) -> tuple[float, float]:
    """Return the interval of an area, or of a mean of areas whose parts were averaged; normal, within 0..1.

    Args:
        value: The area.
        parts: float64 `[rows]`, from `area_parts`.
        confidence: Between 0 and 1.
    """
    error = float(np.sqrt((parts**2).sum())) / len(parts)
    reach = NormalDist().inv_cdf((1.0 + confidence) / 2.0) * error
    return max(value - reach, 0.0), min(value + reach, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Areas:
    """Areas under ROC curves; None where one is undefined: all rows or none have the label.

    Attributes:
        labels: Each label against the rest.
        macro: Their mean; undefined labels are left out.
        weighted: Their mean by support, likewise.
        micro: Of all claims of all labels together.
    """

    labels: tuple[Interval | None, ...]
    macro: Interval | None
    weighted: Interval | None
    micro: Interval | None


def measure_areas(probs: Probabilities, truth: Mask, *, confidence: float | None) -> Areas:
    """Return the areas of a report.

    Args:
        probs: float32 `[rows, labels]`.
        truth: bool `[rows, labels]`.
        confidence: Of the intervals, between 0 and 1; None: no intervals.
    """

    def interval(value: float, parts: Floats | None) -> Interval:
        if parts is None or confidence is None:
            return Interval(value=value)
        low, high = area_interval(value, parts, confidence)
        return Interval(value=value, low=low, high=high)

    def parts_of(scores: Probabilities, true: Mask) -> Floats | None:
        return None if confidence is None else area_parts(scores, true)

    columns = [(probs[:, i], truth[:, i]) for i in range(truth.shape[1])]
    values = [area(*column) for column in columns]
    parts = [parts_of(*column) for column in columns]

    def mean(weights: Floats) -> Interval | None:
        """Return the weighted mean of the areas that are defined."""
        known = [i for i, value in enumerate(values) if value is not None]
        total = float(sum(weights[i] for i in known))
        if not total:
            return None
        value = sum((values[i] or 0.0) * weights[i] for i in known) / total
        told = [part * weights[i] / total for i, part in enumerate(parts) if part is not None]
        return interval(float(value), np.sum(told, axis=0) if told else None)

    whole, every = area(probs.ravel(), truth.ravel()), parts_of(probs.ravel(), truth.ravel())
    # A row's claims stand and fall together.
    by_row = None if every is None else every.reshape(truth.shape).mean(axis=1)
    return Areas(
        labels=tuple(
            None if value is None else interval(value, part) for value, part in zip(values, parts, strict=True)
        ),
        macro=mean(np.ones(len(columns))),
        weighted=mean(truth.sum(axis=0).astype(np.float64)),
        micro=None if whole is None else interval(whole, by_row),
    )
