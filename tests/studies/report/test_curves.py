"""Curves over thresholds are those of scikit-learn, and thinning keeps their line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from ottenok.tasks.auc import area
from ottenok.tasks.curves import confidence, precision_recall, roc, sweep, thinned
from ottenok.tasks.metrics import f1

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

    Rows = list[tuple[float, bool]]

# Few different scores, so that ties are common.
_ROWS: SearchStrategy[Rows] = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0]), st.booleans()), min_size=1, max_size=40
)


def _split(rows: Rows) -> tuple[Any, Any]:
    return np.array([score for score, _ in rows], dtype=np.float32), np.array([true for _, true in rows])


@given(_ROWS)
def test_roc_is_that_of_scikit_learn(rows: Rows) -> None:
    """Points, thresholds and area agree; without both kinds of rows there is no curve."""
    scores, truth = _split(rows)
    found = roc(scores, truth)
    if truth.all() or not truth.any():
        assert found is None
        return
    x, y, thresholds = metrics.roc_curve(truth, scores, drop_intermediate=False)

    assert found is not None
    np.testing.assert_allclose(found.x, x)
    np.testing.assert_allclose(found.y, y)
    np.testing.assert_allclose(found.thresholds, thresholds)
    assert found.area == pytest.approx(metrics.roc_auc_score(truth, scores))
    assert found.area == pytest.approx(area(scores, truth))


@given(_ROWS)
def test_precision_recall_is_that_of_scikit_learn(rows: Rows) -> None:
    """Points and average precision agree, from the strictest threshold to the loosest."""
    scores, truth = _split(rows)
    found = precision_recall(scores, truth)
    if not truth.any():
        assert found is None
        return
    precision, recall, thresholds = metrics.precision_recall_curve(truth, scores)

    assert found is not None
    np.testing.assert_allclose(found.x, recall[::-1])
    np.testing.assert_allclose(found.y, precision[::-1])
    np.testing.assert_allclose(found.thresholds[1:], thresholds[::-1])
    assert found.area == pytest.approx(metrics.average_precision_score(truth, scores))


@given(_ROWS)
def test_a_sweep_is_what_each_threshold_gives(rows: Rows) -> None:
    """At every threshold the figures are those of the rows that reach it."""
    scores, truth = _split(rows)
    found = sweep(scores, truth)

    assert (np.diff(found.thresholds) < 0).all()
    for i, threshold in enumerate(found.thresholds):
        answered = scores >= threshold
        counts = [np.array(float(part.sum())) for part in (answered & truth, answered, truth)]
        assert found.f1[i] == pytest.approx(float(f1(*counts)))
        assert found.precision[i] == pytest.approx(truth[answered].mean())
        assert found.recall[i] == pytest.approx((answered & truth).sum() / max(truth.sum(), 1))


def test_confidence_counts_the_answered_rows() -> None:
    """Coverage grows to 1 as the threshold falls; accuracy is that of the rows answered so far."""
    probs = np.array([[0.9, 0.1], [0.4, 0.6], [0.8, 0.2], [0.45, 0.55]], dtype=np.float32)
    truth = np.array([[1, 0], [1, 0], [1, 0], [0, 1]], dtype=bool)

    found = confidence(probs, truth)

    np.testing.assert_allclose(found.thresholds, [0.9, 0.8, 0.6, 0.55])
    np.testing.assert_allclose(found.coverage, [0.25, 0.5, 0.75, 1.0])
    np.testing.assert_allclose(found.accuracy, [1.0, 1.0, 2 / 3, 0.75])


def test_thinning_keeps_the_ends_and_the_line() -> None:
    """A thousand points become at most fifty, and no left-out point is far from the line that they draw."""
    x = np.linspace(0.0, 1.0, 1001)
    y = np.sqrt(x)

    kept = thinned(x, y, 50)

    assert len(kept) <= 50
    assert kept[0] == 0
    assert kept[-1] == 1000
    assert np.abs(np.interp(x, x[kept], y[kept]) - y).max() < 0.02


def test_short_curves_stay_whole() -> None:
    """Nothing is left out of a curve that is short already."""
    assert thinned(np.zeros(3), np.zeros(3), 200).tolist() == [0, 1, 2]
