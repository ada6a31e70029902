"""The exact threshold sweep, against brute force and against scikit-learn."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import balanced_accuracy_score, f1_score, hamming_loss

from ottenok.core.errors import ModelError
from ottenok.tasks.thresholds import (
    ThresholdMetric,
    ThresholdOptions,
    best_common,
    best_each,
    fit_thresholds,
    sweep,
)

# A coarse grid, so that equal probabilities are common.
grid = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0])
rows = st.integers(5, 9)
METRICS: list[ThresholdMetric] = [
    "macro_f1",
    "micro_f1",
    "weighted_f1",
    "two_class_f1",
    "label_accuracy",
    "youden_j",
]


def _sample(seed: int, count: int = 2000, labels: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities whose best threshold is far under 0.5, and the truth."""
    rng = np.random.default_rng(seed)
    truth = rng.random((count, labels)) < 0.15
    probs = np.clip(rng.normal(0.1 + 0.15 * truth, 0.08), 0, 1).astype(np.float32)
    return probs, truth


def _score(mask: np.ndarray, truth: np.ndarray, metric: str) -> float:
    if metric == "two_class_f1":
        columns = zip(mask.T, truth.T, strict=True)
        return float(np.mean([f1_score(t, m, average="macro", labels=[0, 1], zero_division=0) for m, t in columns]))
    if metric == "label_accuracy":
        return 1 - float(hamming_loss(truth, mask))
    if metric == "youden_j":
        columns = zip(mask.T, truth.T, strict=True)
        return float(np.mean([balanced_accuracy_score(t, m, adjusted=True) for m, t in columns]))
    return float(f1_score(truth, mask, average=metric.removesuffix("_f1"), zero_division=0))


def _plain_f1(mask: np.ndarray, truth: np.ndarray) -> float:
    whole = mask.sum() + truth.sum()
    return float(2 * (mask & truth).sum() / whole) if whole else 0.0


def _plain_score(mask: np.ndarray, truth: np.ndarray, metric: str) -> float:
    """Return the metric by its definition; quicker than scikit-learn on few rows."""
    columns = list(zip(mask.T, truth.T, strict=True))
    if metric == "micro_f1":
        return _plain_f1(mask, truth)
    if metric == "two_class_f1":
        return float(np.mean([(_plain_f1(m, t) + _plain_f1(~m, ~t)) / 2 for m, t in columns]))
    if metric == "label_accuracy":
        return float((mask == truth).mean())
    if metric == "youden_j":
        return float(np.mean([_share(m[t]) - _share(m[~t]) for m, t in columns]))
    support = truth.sum(axis=0) if metric == "weighted_f1" else np.ones(truth.shape[1])
    return float(sum(w * _plain_f1(m, t) for w, (m, t) in zip(support, columns, strict=True)) / max(support.sum(), 1))


def _share(mask: np.ndarray) -> float:
    return float(mask.mean()) if len(mask) else 0.0


@settings(max_examples=40, deadline=None)
@given(st.data(), st.sampled_from(METRICS), st.booleans())
def test_no_other_thresholds_are_better(data: st.DataObject, metric: ThresholdMetric, per_label: bool) -> None:
    """The sweep finds the best of all thresholds that can make a difference, as brute force over a grid shows."""
    shape = (data.draw(rows), 2)
    probs = data.draw(hnp.arrays(np.float32, shape, elements=grid))
    truth = data.draw(hnp.arrays(np.bool_, shape))
    options = ThresholdOptions(metric=metric, per_label=per_label, minimum_positives=1)

    fit = fit_thresholds(probs, truth, options)

    cuts = [0.0, 0.05, 0.2, 0.4, 0.6, 0.9, 1.0]
    tried = itertools.product(cuts, repeat=2) if per_label else ((cut, cut) for cut in cuts)
    best = max(_plain_score(probs >= np.float32(cut), truth, metric) for cut in tried)
    if truth.any(axis=0).all() or not per_label:
        assert fit.optimistic == pytest.approx(best)


@pytest.mark.parametrize("metric", METRICS)
def test_figures_are_scikit_learns(metric: ThresholdMetric) -> None:
    """The figures before and after are scikit-learn's."""
    probs, truth = _sample(1)

    fit = fit_thresholds(probs, truth, ThresholdOptions(metric=metric))

    assert fit.before == pytest.approx(_score(probs >= 0.5, truth, metric))
    assert fit.optimistic == pytest.approx(_score(probs >= np.float32(fit.thresholds), truth, metric))


def test_cross_fitted_gain_is_honest() -> None:
    """On noise the tuned figure on its own rows is flattering, and the cross-fitted one is not."""
    rng = np.random.default_rng(3)
    probs, truth = rng.random((60, 20)).astype(np.float32), rng.random((60, 20)) < 0.1

    fit = fit_thresholds(probs, truth, ThresholdOptions(minimum_positives=1))

    assert fit.after < fit.optimistic - 0.05


def test_thresholds_that_do_not_help_are_not_kept() -> None:
    """Where the cross-fitted figure does not rise, 0.5 stays."""
    truth = np.tile([[True, False], [False, True]], (50, 1))

    fit = fit_thresholds(np.where(truth, 0.9, 0.1), truth)

    assert not fit.kept
    assert fit.thresholds == (0.5, 0.5)
    assert fit.before == fit.after == 1.0


def test_rare_labels_take_the_common_threshold() -> None:
    """A label with fewer positives than the guard asks gets the threshold that is best for all together."""
    probs, truth = _sample(5)
    truth[10:, 2] = False

    fit = fit_thresholds(probs, truth, ThresholdOptions(minimum_positives=20))
    common = fit_thresholds(probs, truth, ThresholdOptions(per_label=False))

    assert fit.kept
    assert fit.guarded == (2,)
    assert fit.thresholds[2] == common.thresholds[0]
    assert fit.thresholds[0] != common.thresholds[0]


def test_each_label_is_told_of() -> None:
    """The fit holds each label's positives and its F1 before and after, which agree with the metric."""
    probs, truth = _sample(5)

    fit = fit_thresholds(probs, truth)

    assert fit.positives == tuple(truth.sum(axis=0))
    assert np.mean(fit.label_before) == pytest.approx(fit.before)
    assert np.mean(fit.label_after) == pytest.approx(fit.after)
    assert fit.earlier == (0.5,) * 4


def test_a_fit_can_begin_at_other_thresholds() -> None:
    """Thresholds of before are what a fit is compared with, and what stays where it does not help."""
    probs, truth = _sample(5)
    first = fit_thresholds(probs, truth)

    again = fit_thresholds(probs, truth, earlier=first.thresholds)

    assert again.earlier == first.thresholds
    assert again.before == first.optimistic
    assert not again.kept
    assert again.thresholds == first.thresholds


def test_figures_are_of_whole_answers() -> None:
    """Where an empty answer gets a label, the figures before and after count it."""
    probs, truth = _sample(5)

    def answer(found: np.ndarray, thresholds: tuple[float, ...]) -> np.ndarray:
        mask = found >= np.float32(thresholds)
        mask[~mask.any(axis=1), 0] = True
        return mask

    fit = fit_thresholds(probs, truth, answer=answer)

    assert fit.before == pytest.approx(_score(answer(probs, (0.5,) * 4), truth, "macro_f1"))
    assert fit.optimistic == pytest.approx(_score(answer(probs, fit.thresholds), truth, "macro_f1"))
    assert fit_thresholds(probs, truth).before < fit.before


def test_thresholds_stand_between_probabilities() -> None:
    """A threshold lies midway between the probabilities that it parts, so small changes move no answer."""
    probs = np.array([[0.1], [0.2], [0.3], [0.35]] * 5, dtype=np.float32)
    truth = np.array([[False], [False], [True], [True]] * 5)

    fit = fit_thresholds(probs, truth, ThresholdOptions(minimum_positives=1))

    assert fit.thresholds == pytest.approx([0.25])
    assert fit.after == 1.0


def test_neighbouring_floats_are_parted() -> None:
    """Even two probabilities with no float32 between them are parted."""
    low = np.float32(0.3)
    probs = np.array([[low], [np.nextafter(low, np.float32(1))]] * 20, dtype=np.float32)
    truth = np.array([[False], [True]] * 20)

    fit = fit_thresholds(probs, truth)

    assert fit.after == 1.0


def test_a_probability_of_one_is_always_reached() -> None:
    """No threshold leaves a certain row out, so "nothing" is not chosen where it can't be had."""
    probs = np.array([[1.0]] * 9 + [[0.5]], dtype=np.float32)
    truth = np.array([[False]] * 9 + [[True]])

    fit = fit_thresholds(probs, truth, ThresholdOptions(metric="two_class_f1", minimum_positives=1))

    assert fit.optimistic == pytest.approx(1 / 11)


def test_the_same_seed_gives_the_same_fit() -> None:
    """Folds are drawn from the seed alone."""
    probs, truth = _sample(7)

    assert fit_thresholds(probs, truth) == fit_thresholds(probs, truth)


@pytest.mark.parametrize(
    ("probs", "truth"),
    [
        (np.zeros((10, 2)), np.zeros((10, 3), dtype=bool)),
        (np.zeros((3, 2)), np.zeros((3, 2), dtype=bool)),
        (np.full((10, 2), np.nan), np.zeros((10, 2), dtype=bool)),
    ],
)
def test_what_can_not_be_swept_is_refused(probs: np.ndarray, truth: np.ndarray) -> None:
    """Other shapes, fewer rows than folds and NaN are refused."""
    with pytest.raises(ModelError):
        fit_thresholds(probs, truth)


@pytest.mark.parametrize("seed", [3, 4, 10, 14])
def test_the_guard_of_a_fold_is_rounded_up(seed: int) -> None:
    """With two folds and three true rows asked for, a half must have two of them: one and a half is not enough.

    The cross-fit is reckoned again here from the sweep alone; a guard of one, or of three, gives another figure.
    """
    rng = np.random.default_rng(seed)
    truth = np.stack([rng.random(40) < 0.5, np.zeros(40, dtype=bool)], axis=1)
    truth[rng.choice(40, 3, replace=False), 1] = True
    probs = np.clip(rng.random((40, 2)) * 0.6 + 0.35 * truth * rng.random((40, 2)), 0, 1).astype(np.float32)

    def cross_fitted(least: int) -> float:
        half = np.random.default_rng(0).permutation(40) % 2
        mask = np.zeros_like(truth)
        for part in (0, 1):
            sweeps = [sweep(probs[half != part, i], truth[half != part, i]) for i in (0, 1)]
            common, own = best_common(sweeps, "macro_f1"), best_each(sweeps, "macro_f1")
            cuts = [common if one.support < least else cut for one, cut in zip(sweeps, own, strict=True)]
            mask[half == part] = probs[half == part] >= np.asarray(cuts, dtype=np.float32)
        return float(f1_score(truth, mask, average="macro", zero_division=0))

    fit = fit_thresholds(probs, truth, ThresholdOptions(minimum_positives=3, folds=2))

    assert fit.after == pytest.approx(cross_fitted(2))
    assert fit.after != pytest.approx(cross_fitted(1))
    assert fit.after != pytest.approx(cross_fitted(3))


@pytest.mark.parametrize("metric", METRICS)
def test_thresholds_raise_their_metric(metric: ThresholdMetric) -> None:
    """More of every metric that thresholds are fitted for is better, and a fit that is kept has more of it."""
    truth = np.arange(400)[:, None] % [2, 4] == 0
    probs = np.where(truth, 0.3, 0.1).astype(np.float32)  # right, but never near 0.5

    fit = fit_thresholds(probs, truth, ThresholdOptions(metric=metric))

    assert fit.kept
    assert (fit.after, fit.optimistic) == (1.0, 1.0)
    assert fit.before < fit.after
