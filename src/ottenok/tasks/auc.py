"""Area under the ROC curve by ranks: the chance that a true row scores above a false one, ties counting one half."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["area", "areas", "weighted_areas"]


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


def areas(probs: npt.NDArray[np.floating[Any]], truth: npt.NDArray[np.bool_]) -> list[float | None]:
    """Return each label's AUC against all others; both arrays are `[rows, labels]`."""
    return [area(probs[:, label], truth[:, label]) for label in range(truth.shape[1])]


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
