"""Curves over thresholds, and thinning, which keeps their line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottenok.studies.report.plots import confidence_plot, curves, thinned
from ottenok.tasks.auc import area
from ottenok.tasks.predictions import Predictions

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

    Rows = list[tuple[float, bool]]

# Few different scores, so that ties are common.
_ROWS: SearchStrategy[Rows] = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0]), st.booleans()), min_size=1, max_size=40
)


def _predictions(probs: list[list[float]], truth: list[list[bool]]) -> Predictions:
    ids = tuple(map(str, range(len(probs))))
    labels = tuple("abcdefgh"[: len(probs[0])])
    return Predictions(
        ids=ids,
        sources=ids,
        labels=labels,
        truth=np.array(truth, dtype=np.bool_),
        probs=np.array(probs, dtype=np.float32),
    )


@given(_ROWS)
def test_curves_are_what_each_threshold_gives(rows: Rows) -> None:
    """At every threshold the numbers are those of the rows that reach it, and the area is that of reports."""
    (found,) = curves(_predictions([[score] for score, _ in rows], [[true] for _, true in rows]))
    scores, truth = np.array([score for score, _ in rows], dtype=np.float32), np.array([true for _, true in rows])
    if not truth.any():
        assert found is None
        return

    assert found is not None
    assert found.auc == (None if truth.all() else pytest.approx(area(scores, truth)))
    assert (np.diff(found.thresholds) > 0).all()
    for place, threshold in enumerate(found.thresholds):
        answered = scores >= np.float32(threshold)
        precision, recall = truth[answered].mean(), (answered & truth).sum() / truth.sum()
        assert found.precision[place] == pytest.approx(precision)
        assert found.recall[place] == pytest.approx(recall)
        wanted = 2 * precision * recall / (precision + recall) if recall else 0.0
        assert found.f1[place] == pytest.approx(wanted)


def test_confidence_counts_the_answered_rows() -> None:
    """Coverage grows to 1 as the threshold falls; accuracy is that of the rows answered so far."""
    rows = _predictions(
        [[0.9, 0.1], [0.4, 0.6], [0.8, 0.2], [0.45, 0.55]],
        [[True, False], [True, False], [True, False], [False, True]],
    )
    lines = confidence_plot(rows, "test").numbers["lines"]

    assert lines["rows answered"]["threshold"] == pytest.approx([0.55, 0.6, 0.8, 0.9], abs=1e-5)
    assert lines["rows answered"]["value"] == [1.0, 0.75, 0.5, 0.25]
    assert lines["accuracy of the answers"]["value"] == pytest.approx([0.75, 2 / 3, 1.0, 1.0], abs=1e-5)


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
