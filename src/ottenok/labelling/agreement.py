"""How far raters agree: Krippendorff's alpha, for one label a text and for sets of labels.

K. Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), whose worked example is a test. Sets of labels are
compared by MASI (Passonneau 2006, "Measuring Agreement on Set-Valued Items (MASI)").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from ottenok.tasks.metrics import Interval

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    import numpy.typing as npt

__all__ = ["alpha", "differ", "masi"]

_Value = TypeVar("_Value", bound="Hashable")


def differ(one: object, other: object) -> float:
    """Return 0 for equal values and 1 for others: the distance of labels without an order."""
    return float(one != other)


def masi(one: tuple[str, ...], other: tuple[str, ...]) -> float:
    """Return the distance of two sets of labels, 0..1: one less Jaccard's index times how one lies in the other.

    The second factor is 1 for equal sets, 2/3 where one holds the other, 1/3 where they overlap, else 0.
    """
    first, second = set(one), set(other)
    if first == second:
        return 0.0
    common = first & second
    within = 2 / 3 if common in (first, second) else 1 / 3
    return 1 - len(common) / len(first | second) * within if common else 1.0


def alpha(
    units: Sequence[Sequence[_Value]],
    distance: Callable[[_Value, _Value], float] = differ,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval | None:
    """Return Krippendorff's alpha: 1 is agreement, 0 what chance would give, below 0 worse than that.

    Args:
        units: The values that a unit got, one from each rater who gave one; units with fewer than two do not count.
        distance: Of two values, 0 for equal ones, symmetric; as Krippendorff's squared difference function.
        resamples: Of the bootstrap over units that the 95 % interval rests on; 0: no interval.
        seed: Of the bootstrap.

    Returns:
        None where it is not defined: no unit with two values, or all values the same.
    """
    paired = [list(values) for values in units if len(values) > 1]
    known = list(dict.fromkeys(value for values in paired for value in values))
    if len(known) < 2:
        return None
    places = {value: place for place, value in enumerate(known)}
    apart = np.array([[distance(one, other) for other in known] for one in known])
    counts = np.zeros((len(paired), len(known)))
    for unit, values in enumerate(paired):
        np.add.at(counts[unit], [places[value] for value in values], 1)
    sizes = counts.sum(axis=1)
    observed = np.einsum("uv,vw,uw->u", counts, apart, counts) / (sizes - 1)

    def value(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        margins = weights @ counts
        total = margins.sum(axis=1)
        expected = np.einsum("rv,vw,rw->r", margins, apart, margins) / (total - 1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(1 - weights @ observed / expected)

    whole = float(value(np.ones((1, len(paired))))[0])
    if not resamples:
        return Interval(value=whole)
    rng = np.random.default_rng(seed)
    drawn = value(rng.multinomial(len(paired), np.full(len(paired), 1 / len(paired)), size=resamples).astype(float))
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn):
        return Interval(value=whole)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(value=whole, low=float(low), high=float(high))
