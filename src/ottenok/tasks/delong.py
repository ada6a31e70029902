"""How sure an area under the ROC curve is, without resampling.

DeLong, DeLong and Clarke-Pearson 1988, "Comparing the Areas under Two or More Correlated Receiver Operating
Characteristic Curves" (Biometrics 44): each row's part in an area gives its variance. Parts of several labels' areas
add up row by row, so a mean of areas has its variance too. The rows of the sample count as drawn at random, truth
included, as in a bootstrap of rows.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

__all__ = ["area_interval", "area_parts"]


def area_parts(scores: npt.NDArray[np.floating[Any]], truth: npt.NDArray[np.bool_]) -> Floats | None:
    """Return each row's part in one label's AUC, float64 `[rows]` of mean 0; None where the AUC is undefined.

    Args:
        scores: `[rows]`; only their order counts.
        truth: bool `[rows]`.
    """
    rows, positive = len(truth), int(truth.sum())
    negative = rows - positive
    if not positive or not negative:
        return None
    # Of each row: the share of the other kind that it is on the right side of, ties counting one half.
    below = _mean_ranks(scores)
    own = np.empty(rows)
    own[truth], own[~truth] = _mean_ranks(scores[truth]), _mean_ranks(scores[~truth])
    others = below - own
    share = np.where(truth, others / negative, 1.0 - others / positive)
    area = float(share[truth].mean())
    parts: Floats = (share - area) * np.where(truth, rows / positive, rows / negative)
    return parts


def _mean_ranks(scores: npt.NDArray[np.floating[Any]]) -> Floats:
    """Return the number of lower scores, with half of the other equal ones."""
    _, inverse, count = np.unique(scores, return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(count) - (count + 1) / 2.0)[inverse.ravel()]
    return ranks


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
