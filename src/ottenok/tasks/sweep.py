"""The exact sweep: every cut of a label's rows that a threshold can make, and the best of them.

A cut lies between each two neighbouring probabilities. What is maximised is a sum over labels, so each label's best
cut is found alone; micro F1, a ratio of sums, is reached by Dinkelbach's method.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

import numpy as np

from ottenok.tasks.counts import f1, label_accuracy, two_class_f1, youden_j

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Probabilities = npt.NDArray[np.float32]
    Mask = npt.NDArray[np.bool_]

__all__ = ["DEFAULT", "OWN", "Sweep", "ThresholdMetric", "best_common", "best_each", "sweep"]

ThresholdMetric = Literal["macro_f1", "micro_f1", "weighted_f1", "two_class_f1", "label_accuracy", "youden_j"]

DEFAULT = 0.5
_DINKELBACH_STEPS = 100


def _plain_f1(hits: Floats, selected: Floats, support: Floats, rows: Floats) -> Floats:  # noqa: ARG001 - one form for all
    return f1(hits, selected, support)


# What a label contributes, from its counts; weighted F1 weighs it by the support, micro F1 is no sum at all.
OWN: Mapping[ThresholdMetric, Callable[[Floats, Floats, Floats, Floats], Floats]] = MappingProxyType(
    {
        "macro_f1": _plain_f1,
        "weighted_f1": _plain_f1,
        "micro_f1": _plain_f1,
        "two_class_f1": two_class_f1,
        "label_accuracy": label_accuracy,
        "youden_j": youden_j,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """Every cut of one label's rows, from none selected to all.

    Attributes:
        level: The least probability that the cut selects, falling; infinity for the first cut, which selects nothing.
        selected: Number of rows at or above the level.
        hits: Those of them that are true.
        support: True rows.
        rows: All rows.
    """

    level: Floats
    selected: Floats
    hits: Floats
    support: float
    rows: float


def sweep(probs: Probabilities, truth: Mask) -> Sweep:
    """Return every cut of one label; `probs` and `truth` are `[rows]`."""
    order = np.argsort(-probs, kind="stable")
    ordered = probs[order].astype(np.float64)
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    return Sweep(
        level=np.concatenate([[np.inf], ordered[ends]]),
        selected=np.concatenate([[0.0], ends + 1.0]),
        hits=np.concatenate([[0.0], np.cumsum(truth[order], dtype=np.float64)[ends]]),
        support=float(truth.sum()),
        rows=float(len(truth)),
    )


def _values(cuts: Sweep, metric: ThresholdMetric) -> Floats:
    """Return the label's own metric at each cut."""
    whole = np.ones_like(cuts.hits)
    return OWN[metric](cuts.hits, cuts.selected, cuts.support * whole, cuts.rows * whole)


def _best(values: Floats, levels: Floats) -> float:
    """Return the threshold of the highest value; of equals, the nearest to 0.5.

    A threshold stands midway between the levels on its two sides, so that small changes of probabilities (another
    CPU, int8) change as few answers as possible.
    """
    above = np.minimum(levels, 1.0)
    below = np.append(levels[1:], 0.0)
    middle = (above + below) / 2.0
    # Between neighbours of float32 there is no middle: the upper one itself makes the cut.
    thresholds = np.where(middle.astype(np.float32) > below, middle, above)
    # Where a probability is 1 no threshold leaves it out, so "nothing" can't be had.
    possible = thresholds.astype(np.float32) > below
    possible[1:] = True
    values = np.where(possible, values, -np.inf)
    ties = thresholds[values >= values.max() - 1e-12]
    return float(ties[np.abs(ties - DEFAULT).argmin()])


def best_common(sweeps: list[Sweep], metric: ThresholdMetric) -> float:
    """Return the one threshold that is best for all labels together."""
    levels = np.unique(np.concatenate([cuts.level for cuts in sweeps]))[::-1]
    total, hits, selected = np.zeros((3, len(levels)))
    for cuts in sweeps:
        at = np.searchsorted(-cuts.level, -levels, side="right") - 1
        total += (cuts.support if metric == "weighted_f1" else 1.0) * _values(cuts, metric)[at]
        hits += cuts.hits[at]
        selected += cuts.selected[at]
    if metric == "micro_f1":
        total = f1(hits, selected, np.full_like(hits, sum(cuts.support for cuts in sweeps)))
    return _best(total, levels)


def best_each(sweeps: list[Sweep], metric: ThresholdMetric) -> list[float]:
    """Return each label's best threshold; exact, since every metric but micro F1 is a sum over labels."""
    if metric == "micro_f1":
        return _each_micro(sweeps)
    return [_best(_values(cuts, metric), cuts.level) for cuts in sweeps]


def _each_micro(sweeps: list[Sweep]) -> list[float]:
    """Return the thresholds with the best micro F1, by Dinkelbach's method for ratios (Management Science 13, 1967).

    For a given F1 the labels part: each takes the cut with the most `2 hits - F1 * selected`. The F1 of those cuts is
    higher or, at the optimum, the same.
    """
    support, goal = sum(cuts.support for cuts in sweeps), 0.0
    for _ in range(_DINKELBACH_STEPS):
        best = [int((2.0 * cuts.hits - goal * cuts.selected).argmax()) for cuts in sweeps]
        hits = sum(cuts.hits[cut] for cuts, cut in zip(sweeps, best, strict=True))
        selected = sum(cuts.selected[cut] for cuts, cut in zip(sweeps, best, strict=True))
        reached = float(2.0 * hits / max(selected + support, 1.0))
        if reached <= goal + 1e-12:
            break
        goal = reached
    return [_best(2.0 * cuts.hits - goal * cuts.selected, cuts.level) for cuts in sweeps]
