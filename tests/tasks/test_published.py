"""Worked examples: what others published, and what can be reckoned by hand in exact fractions."""

from __future__ import annotations

from fractions import Fraction
from math import comb, log

import numpy as np
import pytest

from ottenok.core.schemes import load_scheme
from ottenok.tasks.auc import area, area_interval, area_parts, measure_areas
from ottenok.tasks.calibration import fit_temperature, log_loss
from ottenok.tasks.decision import Decision, probabilities
from ottenok.tasks.paired import holm, mcnemar
from ottenok.tasks.report import EvaluationOptions, evaluate
from ottenok.tasks.task import Task


def _rated(normal: list[int], abnormal: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return scores and truth of so many normal and abnormal cases with each rating."""
    ratings = np.arange(len(normal))
    scores = np.concatenate([np.repeat(ratings, normal), np.repeat(ratings, abnormal)]).astype(np.float32)
    return scores, np.arange(len(scores)) >= sum(normal)


def test_delong_is_that_of_the_ct_ratings() -> None:
    """The 109 rated CT images of Hanley and McNeil (Radiology 143, 1982).

    Their area is .893, and Stata's manual (roctab, whose errors are DeLong's) gives .8932, a standard error of .0307
    and the 95 % interval .83295 to .95339.
    """
    scores, truth = _rated([33, 6, 6, 11, 2], [3, 2, 2, 11, 33])
    parts = area_parts(scores, truth)

    assert area(scores, truth) == pytest.approx(float(Fraction(1321, 1479)))
    assert parts is not None
    assert (parts**2).sum() / len(parts) ** 2 == pytest.approx(float(Fraction(17089, 18102960)))
    assert np.sqrt((parts**2).sum()) / len(parts) == pytest.approx(0.0307, abs=5e-5)
    assert area_interval(1321 / 1479, parts, 0.95) == pytest.approx((0.83295, 0.95339), abs=5e-6)
    found = measure_areas(scores[:, None], truth[:, None], confidence=0.95).labels[0]
    assert found is not None
    assert (found.low, found.high) == pytest.approx((0.83295, 0.95339), abs=5e-6)


def test_delong_by_hand() -> None:
    """Three true rows at 1, 3, 4 and two others at 2 and 3: every share in halves and thirds.

    Shares of the true rows: 0, 3/4, 1; of the others: 2/3, 1/2 (with the tie). The area is 7/12, the variances are
    13/48 over 3 rows and 1/72 over 2.
    """
    scores, truth = np.array([1, 3, 4, 2, 3], dtype=np.float32), np.array([True] * 3 + [False] * 2)
    parts = area_parts(scores, truth)

    assert area(scores, truth) == pytest.approx(7 / 12)
    assert parts is not None
    assert parts.mean() == pytest.approx(0)
    assert (parts**2).sum() / 25 == pytest.approx(float(Fraction(13, 48) / 3 + Fraction(1, 72) / 2))


@pytest.mark.parametrize(("confidence", "reach"), [(0.90, 1.6448536), (0.95, 1.9599640), (0.99, 2.5758293)])
def test_an_interval_reaches_as_many_errors_as_its_confidence_says(confidence: float, reach: float) -> None:
    """The interval of an area is normal, as wide on both sides, and stays within 0 and 1."""
    rng = np.random.default_rng(0)
    truth = rng.random(400) < 0.4
    scores = (rng.normal(size=400) + truth).astype(np.float32)
    parts, value = area_parts(scores, truth), area(scores, truth)
    assert parts is not None
    assert value is not None
    error = np.sqrt((parts**2).sum()) / 400

    low, high = area_interval(value, parts, confidence)

    assert (value - low, high - value) == pytest.approx((reach * error, reach * error))
    assert area_interval(0.999, parts, confidence)[1] == 1.0
    assert area_interval(0.001, parts, confidence)[0] == 0.0


def test_a_report_gives_delongs_interval() -> None:
    """The interval of a label's area in a report is the one of its column alone."""
    scores, truth = _rated([33, 6, 6, 11, 2], [3, 2, 2, 11, 33])
    task = Task.of(load_scheme("cedr-5"), Decision(activation="sigmoid"))
    probs = np.full((109, 5), 0.5, dtype=np.float32)
    probs[:, 2] = scores / 4
    mask = np.zeros((109, 5), dtype=bool)
    mask[:, 2] = truth

    label = evaluate(task, mask, probs, options=EvaluationOptions(resamples=1)).labels[2]

    assert (label.auc, label.auc_low, label.auc_high) == pytest.approx((0.89317, 0.83295, 0.95339), abs=5e-6)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        # Agresti, Categorical Data Analysis, section 10.1: 86 changed their mind one way, 150 the other.
        (86, 150, 2 * sum(Fraction(comb(236, k), 2**236) for k in range(87))),
        (0, 5, Fraction(2, 32)),
        (1, 5, Fraction(2 * (1 + 6), 64)),
        (3, 3, Fraction(1)),
        (0, 0, Fraction(1)),
    ],
)
def test_mcnemar_by_hand(first: int, second: int, expected: Fraction) -> None:
    """The exact two-sided p is a sum of binomial coefficients."""
    truth = np.ones((400, 1), dtype=bool)
    one, other = np.ones((400, 1), dtype=bool), np.ones((400, 1), dtype=bool)
    one[:second], other[second : first + second] = False, False

    found = mcnemar(truth, one, other)

    assert (found.first, found.second) == (first, second)
    assert found.p == pytest.approx(float(expected))


def test_mcnemar_finds_what_agresti_found() -> None:
    """His table (794, 150, 86, 570) has z = -4.17; the exact p is as small as that of the normal."""
    truth = np.ones((1600, 1), dtype=bool)
    first, second = np.ones((1600, 1), dtype=bool), np.ones((1600, 1), dtype=bool)
    first[794:880], second[880:1030] = False, False
    first[1030:], second[1030:] = False, False
    found = mcnemar(truth, first, second)
    assert (found.first, found.second) == (150, 86)
    assert 1e-5 < found.p < 1e-4


def test_holm_by_hand() -> None:
    """Of three the least is taken three times, the next twice; none falls below one before it; 1 is the most."""
    assert holm([0.01, 0.02, 0.03]) == pytest.approx([0.03, 0.04, 0.04])
    assert holm([0.03, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.4, 0.5]) == pytest.approx([0.8, 0.8])
    assert holm([0.7, 0.6]) == pytest.approx([1.0, 1.0])
    # Where nothing is raised each one is just multiplied.
    assert holm([0.0001, 0.0010, 0.0062, 0.0101, 0.0213]) == pytest.approx([0.0005, 0.004, 0.0186, 0.0202, 0.0213])


def test_corn_by_hand() -> None:
    """Shi, Cao and Raschka: sigmoids 2/3, 3/5, 1/2, 1/4 multiply to 2/3, 2/5, 1/5, 1/20; steps are classes."""
    logits = [[log(2), log(3 / 2), 0.0, -log(3)]]
    expected = [Fraction(1, 3), Fraction(4, 15), Fraction(1, 5), Fraction(3, 20), Fraction(1, 20)]

    found = probabilities(logits, Decision(activation="corn"))[0]

    assert found.tolist() == pytest.approx([float(share) for share in expected])
    assert sum(expected) == 1
    # Each class's loss is the negative logarithm of just that share.
    for rank, share in enumerate(expected):
        truth = np.arange(5)[None] == rank
        assert log_loss(logits, truth, Decision(activation="corn")) == pytest.approx(-log(share))


def test_corn_at_a_temperature_by_hand() -> None:
    """At temperature 2 logits of 2 log 2 are those of log 2."""
    decision = Decision(activation="corn", temperature=2.0)
    assert probabilities([[2 * log(2), 0.0]], decision)[0].tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3])


@pytest.mark.parametrize(("right", "rows"), [(3, 4), (9, 10), (2, 3), (99, 100)])
@pytest.mark.parametrize("margin", [1.0, 4.0])
def test_a_temperature_by_hand(right: int, rows: int, margin: float) -> None:
    """Two classes, every row as sure by `margin`: the best temperature makes the claim the share that is right.

    The sigmoid of margin / T must be right / rows, so T is margin / log(right / wrong), and the loss is the entropy.
    """
    logits = np.tile([margin, 0.0], (rows, 1))
    truth = np.eye(2, dtype=bool)[(np.arange(rows) >= right).astype(int)]

    fit = fit_temperature(logits, truth, Decision(activation="softmax"))

    share = right / rows
    assert fit.temperature == pytest.approx(margin / log(right / (rows - right)), rel=1e-4)
    assert fit.loss_after == pytest.approx(-share * log(share) - (1 - share) * log(1 - share))
    claimed = probabilities(logits, Decision(activation="softmax", temperature=fit.temperature))[0, 0]
    assert claimed == pytest.approx(share, abs=1e-5)
