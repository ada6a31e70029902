"""Intervals of areas under ROC curves, against a bootstrap of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from ottenok.tasks.auc import measure_areas

if TYPE_CHECKING:
    from ottenok.tasks.report import Interval

ROWS = 600


def _sample(ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    truth = rng.random((ROWS, 3)) < [0.1, 0.3, 0.5]
    # What labels share makes their areas go up and down together.
    noise = rng.normal(size=(ROWS, 1)) + rng.normal(size=(ROWS, 3))
    probs = 1 / (1 + np.exp(-(1.5 * truth + noise)))
    return (probs.round(1) if ties else probs).astype(np.float32), truth


def _deviation(interval: Interval | None) -> float:
    assert interval is not None
    assert interval.low is not None
    assert interval.high is not None
    return (interval.high - interval.low) / 2 / 1.96


@pytest.mark.parametrize("ties", [False, True])
def test_areas_are_scikit_learns(ties: bool) -> None:
    """Each label's area and the three averages equal scikit-learn's."""
    probs, truth = _sample(ties)

    found = measure_areas(probs, truth, confidence=None)

    for name, interval in (("macro", found.macro), ("weighted", found.weighted), ("micro", found.micro)):
        assert interval is not None
        assert interval.value == pytest.approx(roc_auc_score(truth, probs, average=name))
        assert interval.low is None
    assert [label.value for label in found.labels if label] == pytest.approx(roc_auc_score(truth, probs, average=None))


@pytest.mark.parametrize("ties", [False, True])
def test_intervals_are_as_wide_as_a_bootstraps(ties: bool) -> None:
    """DeLong's deviations agree with those of resampled rows: per label, of the mean, and of all claims together."""
    probs, truth = _sample(ties)
    rng = np.random.default_rng(0)
    drawn = [measure_areas(probs[rows], truth[rows], confidence=None) for rows in rng.integers(0, ROWS, (400, ROWS))]

    found = measure_areas(probs, truth, confidence=0.95)

    for name in ("macro", "micro", "weighted"):
        expected = np.std([getattr(areas, name).value for areas in drawn])
        # The weights of the weighted mean are taken as given.
        assert _deviation(getattr(found, name)) == pytest.approx(expected, rel=0.15)
    for label in range(3):
        expected = np.std([areas.labels[label].value for areas in drawn if areas.labels[label]])
        assert _deviation(found.labels[label]) == pytest.approx(expected, rel=0.15)


def test_undefined_areas_are_left_out() -> None:
    """A label that no row has is None, and the mean is that of the others."""
    probs, truth = _sample()
    truth[:, 1] = False

    found = measure_areas(probs, truth, confidence=0.95)

    assert found.labels[1] is None
    assert found.macro is not None
    assert found.macro.value == pytest.approx(roc_auc_score(truth[:, [0, 2]], probs[:, [0, 2]]))
    assert measure_areas(probs, truth & False, confidence=0.95).macro is None
