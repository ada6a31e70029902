"""Thresholds of multi-label answers, by an exact sweep over validation probabilities.

Every threshold that can make a difference is tried: between each two neighbouring probabilities. The figure that is
reported is cross-fitted (each row is decided by thresholds that were found without it), because thresholds that are
judged on the rows that chose them always look good.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from ottenok.core.errors import ModelError
from ottenok.core.table import Table
from ottenok.decision.counts import f1, ratio, two_class_f1

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Probabilities = npt.NDArray[np.float32]
    Mask = npt.NDArray[np.bool_]

__all__ = ["ThresholdFit", "ThresholdMetric", "ThresholdOptions", "fit_thresholds"]

ThresholdMetric = Literal["macro_f1", "micro_f1", "weighted_f1", "two_class_f1"]

_DEFAULT = 0.5
_DINKELBACH_STEPS = 100


class ThresholdOptions(Table):
    """How thresholds are chosen.

    Attributes:
        metric: What they maximise; names as in evaluation.
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
        thresholds: One per label, for `Decision.thresholds`; all 0.5 where tuning does not help on rows not seen.
        metric: Name of the metric.
        before: The metric with 0.5 everywhere.
        after: The metric with thresholds that were found on the other folds: what to expect on new texts.
        optimistic: The metric with `thresholds` on the rows that chose them: for comparison only.
        guarded: Positions of the labels that took the common threshold for want of positives.
        kept: False where `after` did not beat `before`, so that 0.5 stays.
    """

    thresholds: tuple[float, ...]
    metric: ThresholdMetric
    before: float
    after: float
    optimistic: float
    guarded: tuple[int, ...]
    kept: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sweep:
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


def _sweep(probs: Probabilities, truth: Mask) -> _Sweep:
    order = np.argsort(-probs, kind="stable")
    ordered = probs[order].astype(np.float64)
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    return _Sweep(
        level=np.concatenate([[np.inf], ordered[ends]]),
        selected=np.concatenate([[0.0], ends + 1.0]),
        hits=np.concatenate([[0.0], np.cumsum(truth[order], dtype=np.float64)[ends]]),
        support=float(truth.sum()),
        rows=float(len(truth)),
    )


def _values(sweep: _Sweep, metric: ThresholdMetric) -> Floats:
    """Return the label's own metric at each cut."""
    support = np.full_like(sweep.hits, sweep.support)
    if metric == "two_class_f1":
        return two_class_f1(sweep.hits, sweep.selected, support, np.full_like(sweep.hits, sweep.rows))
    return f1(sweep.hits, sweep.selected, support)


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
    return float(ties[np.abs(ties - _DEFAULT).argmin()])


def _common(sweeps: list[_Sweep], metric: ThresholdMetric) -> float:
    """Return the one threshold that is best for all labels together."""
    levels = np.unique(np.concatenate([sweep.level for sweep in sweeps]))[::-1]
    total, hits, selected = np.zeros((3, len(levels)))
    for sweep, weight in zip(sweeps, _weights(sweeps, metric), strict=True):
        at = np.searchsorted(-sweep.level, -levels, side="right") - 1
        total += weight * _values(sweep, metric)[at]
        hits += sweep.hits[at]
        selected += sweep.selected[at]
    if metric == "micro_f1":
        total = f1(hits, selected, np.full_like(hits, sum(sweep.support for sweep in sweeps)))
    return _best(total, levels)


def _weights(sweeps: list[_Sweep], metric: ThresholdMetric) -> list[float]:
    return [sweep.support if metric == "weighted_f1" else 1.0 for sweep in sweeps]


def _each(sweeps: list[_Sweep], metric: ThresholdMetric) -> list[float]:
    """Return each label's best threshold; exact, since every metric but micro F1 is a sum over labels."""
    if metric == "micro_f1":
        return _each_micro(sweeps)
    return [_best(_values(sweep, metric), sweep.level) for sweep in sweeps]


def _each_micro(sweeps: list[_Sweep]) -> list[float]:
    """Return the thresholds with the best micro F1, by Dinkelbach's method for ratios (Management Science 13, 1967).

    For a given F1 the labels part: each takes the cut with the most `2 hits - F1 * selected`. The F1 of those cuts is
    higher or, at the optimum, the same.
    """
    support, goal = sum(sweep.support for sweep in sweeps), 0.0
    for _ in range(_DINKELBACH_STEPS):
        cuts = [int((2.0 * sweep.hits - goal * sweep.selected).argmax()) for sweep in sweeps]
        hits = sum(sweep.hits[cut] for sweep, cut in zip(sweeps, cuts, strict=True))
        selected = sum(sweep.selected[cut] for sweep, cut in zip(sweeps, cuts, strict=True))
        reached = float(2.0 * hits / max(selected + support, 1.0))
        if reached <= goal + 1e-12:
            break
        goal = reached
    return [_best(2.0 * sweep.hits - goal * sweep.selected, sweep.level) for sweep in sweeps]


def _fit(probs: Probabilities, truth: Mask, options: ThresholdOptions) -> tuple[Floats, tuple[int, ...]]:
    """Return the thresholds and the positions of the guarded labels."""
    sweeps = [_sweep(probs[:, label], truth[:, label]) for label in range(probs.shape[1])]
    few = tuple(i for i, sweep in enumerate(sweeps) if sweep.support < options.minimum_positives)
    if not options.per_label:
        return np.full(len(sweeps), _common(sweeps, options.metric)), ()
    thresholds = np.array(_each(sweeps, options.metric))
    if few:
        thresholds[list(few)] = _common(sweeps, options.metric)
    return thresholds, few


def _metric(mask: Mask, truth: Mask, metric: ThresholdMetric) -> float:
    hits, selected, support = ((mask & truth).sum(0), mask.sum(0), truth.sum(0))
    hits, selected, support = hits.astype(np.float64), selected.astype(np.float64), support.astype(np.float64)
    if metric == "micro_f1":
        return float(f1(hits.sum(), selected.sum(), support.sum()))
    if metric == "two_class_f1":
        return float(two_class_f1(hits, selected, support, np.full_like(hits, len(truth))).mean())
    values = f1(hits, selected, support)
    return float(values @ ratio(support, support.sum()) if metric == "weighted_f1" else values.mean())


def _above(probs: Probabilities, thresholds: Floats) -> Mask:
    mask: Mask = probs >= thresholds.astype(np.float32)
    return mask


def _cross_fitted(probs: Probabilities, truth: Mask, options: ThresholdOptions) -> Mask:
    """Decide each row by thresholds that were found on the other folds."""
    fold = np.random.default_rng(options.seed).permutation(len(probs)) % options.folds
    mask = np.zeros_like(truth)
    for part in range(options.folds):
        held = fold == part
        thresholds, _ = _fit(probs[~held], truth[~held], options)
        mask[held] = _above(probs[held], thresholds)
    return mask


def fit_thresholds(probs: npt.ArrayLike, truth: Mask, options: ThresholdOptions = _USUAL) -> ThresholdFit:
    """Choose the thresholds of a multi-label decision.

    Args:
        probs: `[rows, labels]` of validation rows, from `probabilities` with the final temperature.
        truth: bool `[rows, labels]`.
        options: What is maximised, and how carefully.

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
    thresholds, few = _fit(numbers, truth, options)
    before = _metric(_above(numbers, np.full(truth.shape[1], _DEFAULT)), truth, options.metric)
    after = _metric(_cross_fitted(numbers, truth, options), truth, options.metric)
    kept = after > before
    return ThresholdFit(
        thresholds=tuple(thresholds.tolist()) if kept else (_DEFAULT,) * truth.shape[1],
        metric=options.metric,
        before=before,
        after=after,
        optimistic=_metric(_above(numbers, thresholds), truth, options.metric),
        guarded=few,
        kept=kept,
    )
