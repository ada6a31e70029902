"""Thresholds of multi-label answers, by an exact sweep over validation probabilities.

Every threshold that can make a difference is tried (`ottenok.tasks.sweep`). The figure that is reported is
cross-fitted (each row is decided by thresholds that were found without it), because thresholds that are judged on the
rows that chose them always look good.

The sweep looks at each label alone. Figures before and after are of whole answers: with what becomes of an empty one,
and with an exclusive label gone from beside others. Thresholds that do not raise that figure are not kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from ottenok.core.errors import ModelError
from ottenok.core.table import Table
from ottenok.tasks.counts import f1, ratio
from ottenok.tasks.sweep import DEFAULT, OWN, ThresholdMetric, best_common, best_each, sweep

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Probabilities = npt.NDArray[np.float32]
    Mask = npt.NDArray[np.bool_]
    Answer = Callable[[Probabilities, tuple[float, ...]], Mask]

__all__ = ["ThresholdFit", "ThresholdMetric", "ThresholdOptions", "fit_thresholds"]


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


def _cross_fitted(probs: Probabilities, truth: Mask, options: ThresholdOptions, answer: Answer) -> Mask:
    """Decide each row by thresholds that were found on the other folds."""
    fold = np.random.default_rng(options.seed).permutation(len(probs)) % options.folds
    # The other folds have so many positives of a label that has just enough of them.
    least = ceil(options.minimum_positives * (options.folds - 1) / options.folds)
    mask = np.zeros_like(truth)
    for part in range(options.folds):
        held = fold == part
        thresholds, _ = _fit(probs[~held], truth[~held], options, least)
        mask[held] = answer(probs[held], thresholds)
    return mask


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
    numbers = _checked(probs, truth, options)
    thresholds, few = _fit(numbers, truth, options, options.minimum_positives)
    old = earlier or (DEFAULT,) * truth.shape[1]
    was, becomes = answer(numbers, old), _cross_fitted(numbers, truth, options, answer)
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


def _checked(probs: npt.ArrayLike, truth: Mask, options: ThresholdOptions) -> Probabilities:
    numbers = np.asarray(probs, dtype=np.float32)
    if not np.isfinite(numbers).all():
        raise ModelError("the probabilities are not finite numbers")
    if numbers.shape != truth.shape or len(truth) < options.folds:
        raise ModelError(
            f"found probabilities of shape {list(numbers.shape)} and labels of shape {list(truth.shape)}",
            hint=f"Thresholds need one probability per label and row, and at least {options.folds} rows.",
        )
    return numbers
