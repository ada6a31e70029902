"""Thresholds of multi-label answers, by an exact sweep over validation probabilities.

A cut lies between each two neighbouring probabilities, and every cut that can make a difference is tried. What is
maximised is a sum over labels, so each label's best cut is found alone; micro F1, a ratio of sums, is reached by
Dinkelbach's method. The metric that is reported is cross-fitted (each row is decided by thresholds that were found
without it), because thresholds that are judged on the rows that chose them always look good.

The sweep looks at each label alone. Metrics before and after are of whole answers: with what becomes of an empty one,
and with an exclusive label alone or gone. Thresholds that do not raise that metric are not kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from ottenok.core.errors import ModelError
from ottenok.core.table import Table
from ottenok.tasks.metrics import both_classes_f1, f1, ratio

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Probabilities = npt.NDArray[np.float32]
    Mask = npt.NDArray[np.bool_]
    Answer = Callable[[Probabilities, tuple[float, ...]], Mask]

__all__ = [
    "DEFAULT",
    "OWN",
    "Sweep",
    "ThresholdFit",
    "ThresholdMetric",
    "ThresholdOptions",
    "best_common",
    "best_each",
    "fit_thresholds",
    "sweep",
]

ThresholdMetric = Literal["macro_f1", "micro_f1", "weighted_f1", "two_class_f1", "label_accuracy", "youden_j"]

DEFAULT = 0.5
_DINKELBACH_STEPS = 100


# What a label contributes, from its counts; weighted F1 weighs it by the support, micro F1 is no sum at all.
OWN: Mapping[ThresholdMetric, Callable[[Floats, Floats, Floats, Floats], Floats]] = MappingProxyType(
    {
        **dict.fromkeys(("macro_f1", "weighted_f1", "micro_f1"), lambda *counts: f1(*counts[:3])),
        "two_class_f1": both_classes_f1,
        # The share of rows where "has the label" or "has it not" is answered rightly.
        "label_accuracy": lambda hits, selected, support, rows: ratio(rows - selected - support + 2.0 * hits, rows),
        # The share of true rows that are found less the share of others that are answered (Youden 1950). It does not
        # depend on how rare a label is: 0 is chance, 1 is right; without true rows the best is 0.
        "youden_j": lambda hits, selected, support, rows: ratio(hits, support) - ratio(selected - hits, rows - support),
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
    """Return each label's best threshold.

    Every metric but micro F1 is a sum over labels, so that each label's best cut is found alone. Micro F1 is reached by
    Dinkelbach's method for ratios (Management Science 13, 1967): for a given F1 the labels part, and each takes the cut
    with the most `2 hits - F1 * selected`; the F1 of those cuts is higher or, at the optimum, the same.
    """
    if metric != "micro_f1":
        return [_best(_values(cuts, metric), cuts.level) for cuts in sweeps]
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


class ThresholdOptions(Table):
    """How thresholds are chosen.

    Attributes:
        metric: What they maximise; names as in evaluation. `macro_f1` with a threshold per label gives each label its
            own best F1.
        per_label: One threshold per label, or one for all.
        minimum_positives: Labels with fewer true rows take the threshold that is best for all labels together: a
            threshold tuned on a handful of rows is noise.
        folds: Parts of the cross-fit.
        seed: Of the parts.
    """

    metric: ThresholdMetric = "macro_f1"
    per_label: bool = True
    minimum_positives: int = Field(default=20, ge=1)
    folds: int = Field(default=5, ge=2)
    seed: int = 0


_USUAL = ThresholdOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdFit:
    """What the sweep found.

    Attributes:
        thresholds: One per label, for `Decision.thresholds`; those from before where tuning does not help on rows not
            seen.
        metric: Name of the metric.
        before: The metric with the thresholds from before.
        after: The metric with thresholds that were found on the other folds: what to expect on new texts.
        optimistic: The metric with the best thresholds on the rows that chose them: for comparison only.
        guarded: Positions of the labels that took the common threshold for want of positives.
        kept: False where `after` did not beat `before`, so that the old thresholds stay.
        earlier: The thresholds from before.
        positives: True rows of each label.
        label_before: F1 of each label with the thresholds from before.
        label_after: F1 of each label with thresholds that were found on the other folds.
    """

    thresholds: tuple[float, ...]
    metric: ThresholdMetric
    before: float
    after: float
    optimistic: float
    guarded: tuple[int, ...]
    kept: bool
    earlier: tuple[float, ...]
    positives: tuple[int, ...]
    label_before: tuple[float, ...]
    label_after: tuple[float, ...]


def _above(probs: Probabilities, thresholds: tuple[float, ...]) -> Mask:
    mask: Mask = probs >= np.asarray(thresholds, dtype=np.float32)
    return mask


def _fit(
    probs: Probabilities, truth: Mask, options: ThresholdOptions, least: int
) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Return the thresholds and the positions of the labels that are guarded: those with under `least` true rows."""
    sweeps = [sweep(probs[:, label], truth[:, label]) for label in range(probs.shape[1])]
    if not options.per_label:
        return (best_common(sweeps, options.metric),) * len(sweeps), ()
    few = tuple(i for i, cuts in enumerate(sweeps) if cuts.support < least)
    thresholds = best_each(sweeps, options.metric)
    common = best_common(sweeps, options.metric) if few else DEFAULT
    return tuple(common if i in few else value for i, value in enumerate(thresholds)), few


def _counts(mask: Mask, truth: Mask) -> tuple[Floats, Floats, Floats]:
    """Return hits, answers and true rows, float64 `[labels]` each."""
    hits, selected, support = ((mask & truth).sum(axis=0), mask.sum(axis=0), truth.sum(axis=0))
    return hits.astype(np.float64), selected.astype(np.float64), support.astype(np.float64)


def _label_f1(mask: Mask, truth: Mask) -> tuple[float, ...]:
    return tuple(f1(*_counts(mask, truth)).tolist())


def _metric(mask: Mask, truth: Mask, metric: ThresholdMetric) -> float:
    hits, selected, support = _counts(mask, truth)
    if metric == "micro_f1":
        return float(f1(hits.sum(), selected.sum(), support.sum()))
    values = OWN[metric](hits, selected, support, np.full_like(hits, len(truth)))
    return float(values @ ratio(support, support.sum()) if metric == "weighted_f1" else values.mean())


def fit_thresholds(
    probs: npt.ArrayLike,
    truth: Mask,
    options: ThresholdOptions = _USUAL,
    *,
    earlier: tuple[float, ...] = (),
    answer: Answer = _above,
) -> ThresholdFit:
    """Choose the thresholds of a multi-label decision.

    Args:
        probs: `[rows, labels]` of validation rows, from `probabilities` with the final temperature.
        truth: bool `[rows, labels]`.
        options: What is maximised, and how carefully.
        earlier: The thresholds from before; empty: 0.5 for every label.
        answer: Makes bool `[rows, labels]` of probabilities and thresholds; the usual one answers with every label that
            reaches its threshold.

    Raises:
        ModelError: The shapes differ, or there are fewer rows than folds.
    """
    numbers = np.asarray(probs, dtype=np.float32)
    if not np.isfinite(numbers).all():
        raise ModelError("the probabilities are not finite numbers")
    if numbers.shape != truth.shape or len(truth) < options.folds:
        raise ModelError(
            f"found probabilities of shape {list(numbers.shape)} and labels of shape {list(truth.shape)}",
            hint=f"Thresholds need one probability per label and row, and at least {options.folds} rows.",
        )
    thresholds, few = _fit(numbers, truth, options, options.minimum_positives)
    old = earlier or (DEFAULT,) * truth.shape[1]
    # Each row is decided by thresholds that were found on the other folds, which have so many positives of a label that
    # has just enough of them.
    least = ceil(options.minimum_positives * (options.folds - 1) / options.folds)
    fold = np.random.default_rng(options.seed).permutation(len(numbers)) % options.folds
    was, becomes = answer(numbers, old), np.zeros_like(truth)
    for part in range(options.folds):
        held = fold == part
        found, _ = _fit(numbers[~held], truth[~held], options, least)
        becomes[held] = answer(numbers[held], found)
    before, after = _metric(was, truth, options.metric), _metric(becomes, truth, options.metric)
    return ThresholdFit(
        thresholds=thresholds if after > before else old,
        metric=options.metric,
        before=before,
        after=after,
        optimistic=_metric(answer(numbers, thresholds), truth, options.metric),
        guarded=few,
        kept=after > before,
        earlier=old,
        positives=tuple(truth.sum(axis=0).tolist()),
        label_before=_label_f1(was, truth),
        label_after=_label_f1(becomes, truth),
    )
