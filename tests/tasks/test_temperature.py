"""The temperature fit, against SciPy and against logits whose temperature is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import minimize_scalar
from sklearn.metrics import log_loss as reference_loss

from ottenok.core.errors import ConfigError, ModelError
from ottenok.tasks.calibration import cross_fitted, fit_temperature, log_loss, logits_of, untempered
from ottenok.tasks.decision import Decision, corn, output_count, probabilities, softmax

SOFTMAX = Decision(activation="softmax")
SIGMOID = Decision(activation="sigmoid")
EVERY = ["softmax", "sigmoid", "corn", "coral"]


def _one_hot(codes: np.ndarray, count: int) -> np.ndarray:
    return np.arange(count) == codes[:, None]


def _drawn(probs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    codes = (rng.random((len(probs), 1)) > probs.cumsum(axis=1)).sum(axis=1)
    return _one_hot(np.minimum(codes, probs.shape[1] - 1), probs.shape[1])


def test_an_overconfident_softmax_is_found_out() -> None:
    """Logits three times too large are answered with a temperature near 3."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 3)) * 2

    fit = fit_temperature(logits * 3, _drawn(softmax(logits), rng), SOFTMAX)

    assert fit.temperature == pytest.approx(3, rel=0.03)
    assert fit.loss_after < fit.loss_before


def test_a_timid_multi_label_model_is_found_out() -> None:
    """Sigmoid logits half as large as they should be are answered with a temperature near 0.5."""
    rng = np.random.default_rng(1)
    logits = rng.normal(-1, 2, size=(20_000, 4))
    truth = rng.random(logits.shape) < 1 / (1 + np.exp(-logits))

    assert fit_temperature(logits / 2, truth, SIGMOID).temperature == pytest.approx(0.5, rel=0.03)


def test_an_ordinal_model_is_found_out() -> None:
    """CORN logits twice too large are answered with a temperature near 2."""
    rng = np.random.default_rng(2)
    logits = rng.normal(size=(20_000, 4))

    fit = fit_temperature(logits * 2, _drawn(corn(logits), rng), Decision(activation="corn"))

    assert fit.temperature == pytest.approx(2, rel=0.05)


@pytest.mark.parametrize("activation", EVERY)
def test_the_search_finds_scipys_minimum(activation: str) -> None:
    """Golden-section search lands where SciPy's bounded search does."""
    rng = np.random.default_rng(4)
    decision = Decision(activation=activation)  # type: ignore[arg-type]
    truth = rng.random((500, 4)) < 0.3 if activation == "sigmoid" else _one_hot(rng.integers(0, 4, 500), 4)
    logits = (
        4 * truth[:, : output_count(decision.activation, 4)]
        + rng.normal(scale=3, size=(500, 4))[:, : output_count(decision.activation, 4)]
    )

    fit = fit_temperature(logits, truth, decision)

    def at(log_t: float) -> float:
        return log_loss(logits, truth, replace(decision, temperature=float(np.exp(log_t))))

    best = minimize_scalar(at, bounds=(np.log(0.05), np.log(20)), method="bounded", options={"xatol": 1e-8})
    assert fit.loss_after == pytest.approx(min(best.fun, fit.loss_before), abs=1e-6)


@pytest.mark.parametrize("activation", ["softmax", "corn", "coral"])
def test_loss_is_the_one_of_the_probabilities(activation: str) -> None:
    """The loss agrees with scikit-learn's on the probabilities that users see."""
    rng = np.random.default_rng(5)
    decision = Decision(activation=activation, temperature=1.3)  # type: ignore[arg-type]
    logits = np.sort(rng.normal(size=(300, output_count(decision.activation, 4))), axis=1)[:, ::-1]
    codes = rng.integers(0, 4, 300)

    probs = probabilities(logits, decision).astype(np.float64)

    expected = reference_loss(codes, probs / probs.sum(axis=1, keepdims=True), labels=range(4))
    assert log_loss(logits, _one_hot(codes, 4), decision) == pytest.approx(expected, rel=1e-5)


def test_loss_stays_finite_for_confident_mistakes() -> None:
    """A wrong answer with a logit of 1e4 costs 1e4 nats, not infinity."""
    truth = np.array([[False, True]])

    assert log_loss([[1e4, 0.0]], truth, SOFTMAX) == pytest.approx(1e4)
    assert log_loss([[1e4, 0.0]], truth, SIGMOID) == pytest.approx((1e4 + np.log(2)) / 2)
    assert log_loss([[1e4]], np.array([[True, False]]), Decision(activation="corn")) == pytest.approx(1e4)


@st.composite
def scored(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Return logits of three labels and the one true label of each row."""
    count = draw(st.integers(1, 30))
    logits = draw(hnp.arrays(np.float64, (count, 3), elements=st.floats(-30, 30, width=32)))
    return logits, _one_hot(draw(hnp.arrays(np.int64, count, elements=st.integers(0, 2))), 3)


@settings(deadline=None)
@given(scored(), st.sampled_from([SOFTMAX, SIGMOID]))
def test_temperature_never_raises_the_loss_of_its_rows(rows: tuple[np.ndarray, np.ndarray], decision: Decision) -> None:
    """Whatever the rows are, the fitted temperature is at least as good as none."""
    logits, truth = rows

    fit = fit_temperature(logits, truth, decision)

    assert fit.loss_after <= fit.loss_before
    tempered = log_loss(logits, truth, replace(decision, temperature=fit.temperature))
    assert tempered == pytest.approx(fit.loss_after)


@given(scored(), st.floats(0.05, 20))
def test_temperature_never_changes_the_top_label(rows: tuple[np.ndarray, np.ndarray], temperature: float) -> None:
    """The label with the highest logit stays the most probable one at any temperature."""
    logits, _ = rows
    best = logits.argmax(axis=1)

    for decision in (SOFTMAX, SIGMOID):
        probs = probabilities(logits, replace(decision, temperature=temperature))
        assert (probs[np.arange(len(best)), best] == probs.max(axis=1)).all()


def test_each_row_is_calibrated_by_the_others() -> None:
    """Rows of one fold share a temperature that is near the whole one, and a lone row gets none."""
    rng = np.random.default_rng(6)
    logits = rng.normal(size=(5000, 3)) * 2
    truth = _drawn(softmax(logits), rng)

    found = cross_fitted(logits * 3, truth, SOFTMAX)

    assert len(set(found)) == 5
    assert found == pytest.approx(np.full(5000, 3.0), rel=0.1)
    assert cross_fitted(logits[:1], truth[:1], SOFTMAX).tolist() == [1.0]
    assert cross_fitted(logits[:3], truth[:3], SOFTMAX).shape == (3,)


@pytest.mark.parametrize("decision", [SOFTMAX, SIGMOID])
@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_a_temperature_can_be_taken_back(decision: Decision, temperature: float) -> None:
    """Probabilities of before come back from those after, without the logits."""
    logits = np.random.default_rng(7).normal(scale=3, size=(200, 4))
    after = probabilities(logits, replace(decision, temperature=temperature))

    found = untempered(after, decision.activation, temperature)

    assert found == pytest.approx(probabilities(logits, decision), abs=1e-5 if decision is SOFTMAX else 1e-3)
    assert probabilities(logits_of(after, decision.activation), decision) == pytest.approx(after, abs=1e-6)


def test_certain_probabilities_have_finite_logits() -> None:
    """Exact zeros and ones are taken for the nearest numbers between."""
    assert np.isfinite(logits_of([[0.0, 1.0]], "sigmoid")).all()
    with pytest.raises(ConfigError, match="corn"):
        logits_of([[0.0, 1.0]], "corn")


def test_perfect_validation_rows_can_not_push_the_temperature_to_zero() -> None:
    """Where no row is wrong the temperature stops at the lower bound."""
    truth = _one_hot(np.arange(30) % 3, 3)

    assert fit_temperature(truth * 3.0, truth, SOFTMAX).temperature >= 0.0499


def test_a_temperature_that_changes_nothing_stays_at_one() -> None:
    """Where no temperature is better than another the logits are left alone."""
    truth = _one_hot(np.arange(30) % 3, 3)

    assert fit_temperature(np.zeros((30, 3)), truth, SOFTMAX).temperature == 1.0


@pytest.mark.parametrize(
    ("logits", "truth"),
    [(np.zeros((0, 2)), np.zeros((0, 2))), (np.zeros((2, 2)), np.eye(3)), ([[np.nan, 0]], [[1, 0]])],
)
def test_rows_that_can_not_be_fitted_are_refused(logits: np.ndarray, truth: np.ndarray) -> None:
    """No rows, other rows and NaN are refused."""
    with pytest.raises(ModelError):
        fit_temperature(logits, np.asarray(truth, dtype=bool), SOFTMAX)


def test_a_regression_has_no_temperature() -> None:
    """A number has no likelihood to fit."""
    with pytest.raises(ConfigError, match="no temperature"):
        fit_temperature([[0.0]], np.eye(1, 2, dtype=bool), Decision(activation="regression", values=(0.0, 1.0)))
