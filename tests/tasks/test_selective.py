"""Promises of precision: which answers are given."""

from __future__ import annotations

import numpy as np
import pytest

from ottenok.core.errors import ConfigError
from ottenok.core.schemes import load_scheme
from ottenok.tasks.decision import Decision
from ottenok.tasks.selective import fit_selective, risk_coverage, selective_sentence, selective_table
from ottenok.tasks.task import Task

SENTIMENT = Task.of(load_scheme("sentiment-3"), Decision(activation="softmax"))
EMOTIONS = Task.of(load_scheme("emotions-7"), Decision(activation="sigmoid"))


def _drawn(rows: int, random: np.random.Generator, *, honest: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities and truths that keep them; a share `1 - honest` of truths is drawn blindly."""
    logits = random.normal(size=(rows, 3)) * 2.5
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = (random.random((rows, 1)) > np.cumsum(probs, axis=1)).sum(axis=1)
    blind = random.random(rows) > honest
    truth[blind] = random.integers(0, 3, blind.sum())
    return probs.astype(np.float32), np.eye(3, dtype=np.bool_)[np.minimum(truth, 2)]


def test_the_promise_is_kept_on_new_rows() -> None:
    """Over many draws the precision of new answers is below the promise no oftener than the risk allows."""
    random = np.random.default_rng(0)
    new_probs, new_truth = _drawn(60_000, random, honest=0.97)
    broken = found = 0
    for _ in range(60):
        report = fit_selective(SENTIMENT, *_drawn(1200, random, honest=0.97), precision=0.85, risk=0.2)
        answer = SENTIMENT.chosen(new_probs)
        precisions = []
        for place, limit in enumerate(report.selective.limits):
            if limit is not None:
                given = answer[:, place] & (new_probs[:, place] >= limit)
                precisions.append(new_truth[given, place].mean())
        found += len(precisions)
        broken += any(value < 0.85 for value in precisions)
    assert broken <= 60 * 0.2 + 6
    assert found > 90


def test_more_rows_and_smaller_promises_give_more_answers() -> None:
    """Coverage grows with what is known, and shrinks with what is promised."""
    probs, truth = _drawn(8000, np.random.default_rng(1))

    few = fit_selective(SENTIMENT, probs[:600], truth[:600], precision=0.9)
    strict = fit_selective(SENTIMENT, probs, truth, precision=0.95)
    mild = fit_selective(SENTIMENT, probs, truth, precision=0.8)

    assert few.covered / 600 < mild.covered / 8000
    assert strict.covered < mild.covered <= 8000
    assert all(one.right / one.given >= 0.95 for one in strict.labels if one.given)


def test_answers_that_are_all_right_are_all_given() -> None:
    """Where nothing is wrong the limit is 0."""
    probs, _ = _drawn(3000, np.random.default_rng(2))
    report = fit_selective(SENTIMENT, probs, SENTIMENT.chosen(probs), precision=0.95)

    assert report.selective.limits == (0.0, 0.0, 0.0)
    assert report.covered == 3000
    assert report.area == 0.0


def test_what_can_not_be_promised_is_never_given() -> None:
    """Chance answers, or too few of them, have no limit, and the sentence says so."""
    random = np.random.default_rng(3)
    probs = random.random((500, 7)).astype(np.float32)
    report = fit_selective(EMOTIONS, probs, random.random((500, 7)) < 0.3, precision=0.9)

    assert report.selective.limits == (None,) * 7
    assert report.covered == 0
    assert "Never given" in selective_sentence(report)
    assert selective_table(report).rows[0][2] == "never"
    assert fit_selective(EMOTIONS, probs[:0], np.zeros((0, 7), dtype=np.bool_), precision=0.9).covered == 0


def test_risk_falls_with_confidence() -> None:
    """The curve goes from the surest answers to all of them, and its area is the mean of its risks."""
    probs, truth = _drawn(4000, np.random.default_rng(4))
    coverage, risk, area = risk_coverage(SENTIMENT, probs, truth)

    assert coverage[-1] == 1.0
    assert risk[-1] == pytest.approx(1.0 - (truth & SENTIMENT.chosen(probs)).any(axis=1).mean())
    assert risk[np.searchsorted(coverage, 0.3)] < risk[-1]
    assert area == pytest.approx(risk.mean(), abs=0.01)


def test_wrong_numbers_are_refused() -> None:
    """A promise of everything, or without risk, is none."""
    probs, truth = _drawn(10, np.random.default_rng(5))
    with pytest.raises(ConfigError, match="precision"):
        fit_selective(SENTIMENT, probs, truth, precision=1.0)
    with pytest.raises(ConfigError, match="risk"):
        fit_selective(SENTIMENT, probs, truth, precision=0.9, risk=0.0)
