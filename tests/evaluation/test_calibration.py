"""Reliability bins and the expected calibration error."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from ottenok.evaluation.calibration import reliability


def test_bins_are_scikit_learns_calibration_curve() -> None:
    """Claimed and true shares of each bin equal scikit-learn's."""
    rng = np.random.default_rng(0)
    probs = rng.random((500, 1)).astype(np.float32)
    truth = rng.random((500, 1)) < probs**2

    found = reliability(probs, truth, one_label=False, bins=10)

    true, claimed = calibration_curve(truth.ravel(), probs.ravel(), n_bins=10)
    assert found.true == pytest.approx(true.tolist())
    assert found.claimed == pytest.approx(claimed.tolist())
    assert sum(found.count) == 500


def test_error_is_the_mean_distance() -> None:
    """Claims of 0.9 that hold half of the time are 0.4 off."""
    probs = np.array([[0.9, 0.1], [0.9, 0.1]], dtype=np.float32)

    found = reliability(probs, np.array([[True, False], [False, True]]), one_label=True)

    assert found.error == pytest.approx(0.4)


def test_certainty_falls_into_the_last_bin() -> None:
    """A probability of exactly 1 has a bin, and right certainty has no error."""
    found = reliability(np.ones((3, 1), dtype=np.float32), np.ones((3, 1), dtype=bool), one_label=True, bins=5)

    assert found.count == (0, 0, 0, 0, 3)
    assert found.error == 0.0
