"""How far probabilities can be believed: reliability bins and the expected calibration error.

Guo et al. 2017, "On Calibration of Modern Neural Networks" (arXiv:1706.04599), equal-width bins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ottenok.decision.counts import ratio

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Reliability", "reliability"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """What came true of what was claimed, per bin of claimed probability; tuples of one length.

    Attributes:
        count: Claims in the bin.
        claimed: Their mean probability; 0 in an empty bin.
        true: Share of them that hold; 0 in an empty bin.
        error: Expected calibration error: mean distance of `claimed` and `true` over claims, 0..1.
    """

    count: tuple[int, ...]
    claimed: tuple[float, ...]
    true: tuple[float, ...]
    error: float


def reliability(
    probs: npt.NDArray[np.float32], truth: npt.NDArray[np.bool_], *, one_label: bool, bins: int = 15
) -> Reliability:
    """Compare claims with the truth.

    A one-label row makes one claim, its best label's probability; a multi-label row makes one per label.

    Args:
        probs: `[rows, labels]` in 0..1.
        truth: bool `[rows, labels]`.
        one_label: Whether exactly one label is true a row.
        bins: Number of bins of equal width.
    """
    if one_label:
        best = probs.argmax(axis=1)
        claims, holds = probs[np.arange(len(probs)), best], truth[np.arange(len(truth)), best]
    else:
        claims, holds = probs.ravel(), truth.ravel()
    bin_of = np.minimum((claims.astype(np.float64) * bins).astype(np.int64), bins - 1)
    count = np.bincount(bin_of, minlength=bins).astype(np.float64)
    claimed = np.bincount(bin_of, weights=claims, minlength=bins).astype(np.float64)
    true = np.bincount(bin_of, weights=holds, minlength=bins).astype(np.float64)
    error = float(np.abs(claimed - true).sum() / max(len(claims), 1))
    return Reliability(
        count=tuple(int(number) for number in count),
        claimed=tuple(ratio(claimed, count).tolist()),
        true=tuple(ratio(true, count).tolist()),
        error=error,
    )
