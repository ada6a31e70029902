"""How far probabilities can be believed: reliability bins and the expected calibration error.

Guo et al. 2017, "On Calibration of Modern Neural Networks" (arXiv:1706.04599), equal-width bins. Even claims that are
perfectly right in the long run miss by chance on few rows; what chance alone gives is told beside each error (the idea
of Bröcker and Smith 2007, "Increasing the reliability of reliability diagrams", in closed form). A bootstrap interval
would mislead here: resampled rows add chance to the error, so that small errors lie below their own interval.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi
from typing import TYPE_CHECKING

import numpy as np

from ottenok.tasks.counts import ratio

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Calibration", "Reliability", "calibration", "reliability"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """What came true of what was claimed, per bin of claimed probability; tuples of one length.

    Attributes:
        count: Claims in the bin.
        claimed: Their mean probability; 0 in an empty bin.
        true: Share of them that hold; 0 in an empty bin.
        error: Expected calibration error: mean distance of `claimed` and `true` over claims, 0..1.
        chance: The error that perfectly honest claims would have on so many rows, on average. An error that is no
            larger says nothing against the probabilities.
    """

    count: tuple[int, ...]
    claimed: tuple[float, ...]
    true: tuple[float, ...]
    error: float
    chance: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The reliability of a set of probabilities.

    Attributes:
        overall: Of every claim; a one-label row makes one, its best label's probability, a multi-label row one a label.
        labels: Of each label's claims, in the scheme's order; empty for one-label schemes.
    """

    overall: Reliability
    labels: tuple[Reliability, ...] = ()


def calibration(probs: npt.NDArray[np.float32], truth: npt.NDArray[np.bool_], *, one_label: bool) -> Calibration:
    """Compare claims with the truth, all together and, for multi-label schemes, label by label; see `reliability`."""
    labels = (
        ()
        if one_label
        else tuple(
            reliability(probs[:, [label]], truth[:, [label]], one_label=False) for label in range(truth.shape[1])
        )
    )
    return Calibration(overall=reliability(probs, truth, one_label=one_label), labels=labels)


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
    claims = claims.astype(np.float64)
    bin_of = np.minimum((claims * bins).astype(np.int64), bins - 1)

    def total(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.bincount(bin_of, weights=weights, minlength=bins).astype(np.float64)

    count, claimed, true = total(np.ones(len(claims))), total(claims), total(holds.astype(np.float64))
    # The mean distance of a normal variable from its mean is its deviation times sqrt(2 / pi).
    deviations = np.sqrt(np.maximum(total(claims * (1.0 - claims)), 0.0))
    return Reliability(
        count=tuple(int(number) for number in count),
        claimed=tuple(ratio(claimed, count).tolist()),
        true=tuple(ratio(true, count).tolist()),
        error=float(np.abs(claimed - true).sum() / max(len(claims), 1)),
        chance=float(deviations.sum() * np.sqrt(2.0 / pi) / max(len(claims), 1)),
    )
