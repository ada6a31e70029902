"""Area under the ROC curve by ranks: the chance that a true row scores above a false one, ties counting one half."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["area", "areas"]


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
