"""Reliability bins and the expected calibration error."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from ottenok.core.schemes import load_scheme
from ottenok.tasks.calibration import calibration, reliability
from ottenok.tasks.decision import Decision, probabilities, softmax
from ottenok.tasks.report import EvaluationOptions, Report, evaluate
from ottenok.tasks.task import Task


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


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000), st.booleans())
def test_honest_claims_have_little_error(seed: int, one_label: bool) -> None:
    """Where truth is drawn from the claims themselves, the error is what chance gives, and goes with more rows."""
    rng = np.random.default_rng(seed)
    errors = []
    for rows in (500, 20_000):
        probs = softmax(rng.normal(size=(rows, 3)) * 2) if one_label else rng.random((rows, 3))
        if one_label:
            drawn = (rng.random((rows, 1)) > probs.cumsum(axis=1)).sum(axis=1)
            truth = np.arange(3) == np.minimum(drawn, 2)[:, None]
        else:
            truth = rng.random(probs.shape) < probs
        found = reliability(probs.astype(np.float32), truth, one_label=one_label)
        errors.append(found.error)
        assert found.error == pytest.approx(found.chance, rel=1.2)

    assert errors[1] < 0.02


def test_dishonest_claims_stand_out_from_chance() -> None:
    """An error of claims that are wrong is many times that of chance."""
    probs = np.full((2000, 1), 0.9, dtype=np.float32)
    truth = np.random.default_rng(0).random((2000, 1)) < 0.7

    found = reliability(probs, truth, one_label=False)

    assert found.error == pytest.approx(0.2, abs=0.03)
    assert found.chance < 0.01


def test_chance_is_what_honest_claims_have_on_average() -> None:
    """The closed form agrees with the mean over many draws of the truth."""
    rng = np.random.default_rng(1)
    probs = rng.random((400, 2)).astype(np.float32)
    drawn = [reliability(probs, rng.random(probs.shape) < probs, one_label=False).error for _ in range(300)]

    assert reliability(probs, probs > 2, one_label=False).chance == pytest.approx(np.mean(drawn), rel=0.05)


def test_each_label_of_several_has_its_bins() -> None:
    """Multi-label rows tell of each label by itself, one-label rows of the answer alone."""
    probs = np.array([[0.9, 0.2], [0.9, 0.2]], dtype=np.float32)
    truth = np.array([[True, False], [False, False]])

    several = calibration(probs, truth, one_label=False)

    assert [label.error for label in several.labels] == pytest.approx([0.4, 0.2])
    assert several.overall.error == pytest.approx(0.3)
    assert calibration(probs, truth, one_label=True).labels == ()


@pytest.mark.parametrize(("scheme", "activation"), [("sentiment-3", "softmax"), ("cedr-5", "sigmoid")])
def test_a_report_tells_of_before_and_after_the_temperature(scheme: str, activation: str) -> None:
    """Told the temperature, a report has the bins of both; JSON keeps them, and old JSON without them is read."""
    facts, decision = load_scheme(scheme), Decision(activation=activation)  # type: ignore[arg-type]
    rng = np.random.default_rng(2)
    logits = rng.normal(size=(300, len(facts.labels))) * 4
    truth = np.arange(logits.shape[1]) == rng.integers(0, 3, (300, 1))

    report = evaluate(
        Task.of(facts, decision),
        truth,
        probabilities(logits / 3, decision),
        options=EvaluationOptions(resamples=0, temperature=3.0),
    )

    one_label = activation == "softmax"
    before = calibration(probabilities(logits, decision), truth, one_label=one_label)
    assert report.uncalibrated is not None
    assert report.calibration is not None
    assert report.uncalibrated.overall.error == pytest.approx(before.overall.error, abs=1e-4)
    assert report.calibration.overall.error == report.value("calibration_error") != before.overall.error
    assert len(report.calibration.labels) == (0 if one_label else 5)
    tree = report.to_json()
    assert Report.from_json(tree) == report
    del tree["calibration"], tree["uncalibrated"]
    assert Report.from_json(tree).calibration is None
