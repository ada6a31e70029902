"""Paired tests, intervals of differences, several runs as one system."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import f1_score, mean_absolute_error, roc_auc_score

from ottenok.core.errors import DataError
from ottenok.core.schemes import load_scheme
from ottenok.tasks.auc import area, weighted_areas
from ottenok.tasks.decision import Decision
from ottenok.tasks.metrics import Kind
from ottenok.tasks.paired import Areas, PairedOptions, Rows, System, holm, mcnemar
from ottenok.tasks.report import EvaluationOptions, evaluate
from ottenok.tasks.task import Task

_THREE = Kind.of(load_scheme("sentiment-3"))
_MANY = Kind(one_label=False, ranks=None)
_NAMES = ("macro_f1", "accuracy", "weighted_f1", "mae", "macro_auc")


def _onehot(codes: np.ndarray, labels: int = 3) -> np.ndarray:
    return np.eye(labels, dtype=bool)[codes]


def _run(truth: np.ndarray, right: float, chance: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the answer and probabilities of a system that is right with this probability and else guesses."""
    codes = np.where(chance.random(len(truth)) < right, truth, chance.integers(0, 3, len(truth)))
    probs = chance.dirichlet(np.ones(3), len(truth)).astype(np.float32)
    probs += _onehot(codes)
    return _onehot(codes), probs / 2.0


def _system(truth: np.ndarray, right: float, *, runs: int = 1, seed: int = 0) -> System:
    chance = np.random.default_rng(seed)
    made = [_run(truth, right, chance) for _ in range(runs)]
    return System(answers=tuple(answer for answer, _ in made), probs=tuple(probs for _, probs in made))


def _truth(rows: int, seed: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 3, rows)


def test_estimates_are_those_of_reports() -> None:
    """One run's figures and intervals are the very numbers that an evaluation gives."""
    truth = _truth(300)
    system = _system(truth, 0.6)
    found = Rows(_onehot(truth), _THREE, _NAMES, PairedOptions()).estimates(system)
    report = evaluate(
        Task.of(load_scheme("sentiment-3"), Decision(activation="softmax")),
        _onehot(truth),
        system.probs[0],
        options=EvaluationOptions(),
    )
    for name in ("macro_f1", "accuracy", "weighted_f1", "mae"):
        expected = report.metrics[name]
        assert (found[name].value, found[name].low, found[name].high) == (expected.value, expected.low, expected.high)
    assert found["macro_auc"].value == pytest.approx(report.value("macro_auc"))
    low, high = found["macro_auc"].low, found["macro_auc"].high
    assert low is not None
    assert high is not None
    assert low < found["macro_auc"].value < high


def test_an_interval_of_an_area_is_the_bootstrap_of_the_area() -> None:
    """The AUC's interval is near scipy's, which draws rows one by one."""
    truth = _truth(200)
    system = _system(truth, 0.3)
    found = Rows(_onehot(truth), _THREE, ("macro_auc",), PairedOptions(resamples=600)).estimates(system)["macro_auc"]

    def statistic(rows: np.ndarray) -> float:
        values = [area(system.probs[0][rows, i], _onehot(truth)[rows, i]) for i in range(3)]
        return float(np.mean(values))

    drawn = stats.bootstrap(
        (np.arange(200),), statistic, vectorized=False, n_resamples=600, method="percentile", rng=1
    ).confidence_interval
    assert found.low == pytest.approx(drawn.low, abs=0.01)
    assert found.high == pytest.approx(drawn.high, abs=0.01)


@pytest.mark.parametrize(
    ("name", "figure"),
    [
        ("macro_f1", lambda truth, answer: f1_score(truth, answer, average="macro", labels=[0, 1, 2], zero_division=0)),
        ("mae", mean_absolute_error),
    ],
)
def test_the_permutation_test_is_scipys(name: str, figure) -> None:
    """On few rows the p value is near that of all possible exchanges, one by one."""
    truth = np.array([0, 1, 2, 0, 1, 2, 0, 1])
    one = np.array([0, 1, 2, 0, 1, 2, 0, 2])
    two = np.array([0, 2, 1, 1, 1, 2, 2, 1])
    systems = [System(answers=(_onehot(codes),), probs=()) for codes in (one, two)]
    found = Rows(_onehot(truth), _THREE, (name,), PairedOptions(permutations=20_000)).differences(*systems)[name]

    exact = stats.permutation_test(
        (one, two),
        lambda first, second: figure(truth, first) - figure(truth, second),
        permutation_type="samples",
        vectorized=False,
        n_resamples=np.inf,
    )
    assert found.value == pytest.approx(exact.statistic)
    assert found.p == pytest.approx(exact.pvalue, abs=0.02)


def test_accuracy_by_permutation_is_mcnemar() -> None:
    """For accuracy the two tests are one and the same, drawn and computed."""
    truth = _truth(400)
    one, two = _system(truth, 0.6, seed=1), _system(truth, 0.5, seed=2)
    drawn = Rows(_onehot(truth), _THREE, ("accuracy",), PairedOptions(permutations=20_000)).differences(one, two)
    exact = mcnemar(_onehot(truth), one.answers[0], two.answers[0])

    assert drawn["accuracy"].p == pytest.approx(exact.p, abs=0.01)
    assert drawn["accuracy"].value == pytest.approx((exact.first - exact.second) / 400)


def test_mcnemar_is_that_of_the_books() -> None:
    """121 against 59 unlike rows: the exact p that statsmodels documents."""
    truth = np.ones((314, 1), dtype=bool)
    first = np.arange(314) < 101 + 121
    second = (np.arange(314) < 101) | ((np.arange(314) >= 222) & (np.arange(314) < 222 + 59))
    found = mcnemar(truth, first[:, None], second[:, None])

    assert (found.first, found.second) == (121, 59)
    assert found.p == pytest.approx(4.434444926375551e-06)


def test_holm_is_that_of_the_books() -> None:
    """The steps by hand: 4 x .005, 3 x .01, 2 x .03, and .04 no less than what came before it."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_keeps_the_order(values: list[float]) -> None:
    """Corrected values are no smaller, at most 1, in the same order, and those of one test are as they were."""
    corrected = holm(values)

    assert all(before <= after <= 1.0 for before, after in zip(values, corrected, strict=True))
    assert [corrected[i] for i in np.argsort(values, kind="stable")] == sorted(corrected)
    assert max(corrected) <= min(1.0, len(values) * max(values)) + 1e-12
    assert holm(values[:1]) == values[:1]


def test_equal_systems_do_not_differ() -> None:
    """The same answers: a difference of 0, an interval of 0 and p = 1."""
    truth = _truth(80)
    system = _system(truth, 0.5)
    options = PairedOptions(resamples=50, permutations=50)
    for found in Rows(_onehot(truth), _THREE, _NAMES, options).differences(system, system).values():
        assert (found.value, found.low, found.high, found.p) == (0.0, 0.0, 0.0, 1.0)
    assert mcnemar(_onehot(truth), system.answers[0], system.answers[0]).p == 1.0


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(3, 40))
def test_differences_are_symmetric(seed: int, rows: int) -> None:
    """Exchanging the systems turns the sign, and leaves the p value."""
    truth = _truth(rows, seed)
    one, two = _system(truth, 0.7, seed=seed + 1), _system(truth, 0.4, seed=seed + 2)
    compare = Rows(_onehot(truth), _THREE, ("macro_f1", "macro_auc"), PairedOptions(resamples=40, permutations=40))
    there, back = compare.differences(one, two), compare.differences(two, one)
    for name, found in there.items():
        assert found.value == pytest.approx(-back[name].value)
        assert found.p == pytest.approx(back[name].p)
        if found.low is not None:
            assert found.low == pytest.approx(-back[name].high)


@pytest.mark.parametrize("name", ["macro_f1", "macro_auc"])
def test_p_values_are_uniform_where_nothing_differs(name: str) -> None:
    """Two systems of one kind are told apart by mistake about as often as the p value says."""
    found = []
    for seed in range(120):
        truth = _truth(60, seed)
        one, two = _system(truth, 0.5, seed=1000 + seed), _system(truth, 0.5, seed=2000 + seed)
        options = PairedOptions(resamples=0, permutations=99)
        found.append(Rows(_onehot(truth), _THREE, (name,), options).differences(one, two)[name].p)
    values = np.array(found, dtype=float)

    assert 0.42 < values.mean() < 0.58
    assert (values <= 0.1).mean() < 0.19
    assert (values >= 0.9).mean() < 0.19
    assert stats.kstest(values, "uniform").pvalue > 0.01


def test_a_real_difference_is_found() -> None:
    """A system that is right far more often has a small p value, and an interval above 0 around the difference."""
    truth = _truth(500)
    found = Rows(_onehot(truth), _THREE, ("macro_f1", "macro_auc"), PairedOptions(permutations=500)).differences(
        _system(truth, 0.7, seed=1), _system(truth, 0.4, seed=2)
    )
    for difference in found.values():
        assert difference.p is not None
        assert difference.low is not None
        assert difference.high is not None
        assert difference.p < 0.01
        assert 0 < difference.low < difference.value < difference.high


def test_runs_of_one_recipe_are_one_system() -> None:
    """Their figure is the mean and its deviation that over runs; the difference pairs as many runs as both have."""
    truth = _truth(150)
    three, two = _system(truth, 0.6, runs=3, seed=1), _system(truth, 0.5, runs=2, seed=2)
    rows = Rows(_onehot(truth), _THREE, ("accuracy",), PairedOptions(resamples=100, permutations=100))
    single = [(answer == _onehot(truth)).all(axis=1).mean() for answer in three.answers]
    others = [(answer == _onehot(truth)).all(axis=1).mean() for answer in two.answers]

    found = rows.estimates(three)["accuracy"]
    assert found.value == pytest.approx(np.mean(single))
    assert found.deviation == pytest.approx(np.std(single, ddof=1))
    assert rows.estimates(System(answers=three.answers[:1], probs=three.probs[:1]))["accuracy"].deviation is None
    difference = rows.differences(three, two)["accuracy"]
    assert difference.value == pytest.approx(np.mean(single[:2]) - np.mean(others))


def test_several_labels_are_compared_too() -> None:
    """A multi-label difference is scikit-learn's, with and without probabilities."""
    chance = np.random.default_rng(3)
    truth = chance.random((120, 4)) < 0.3
    probs = [(truth * 0.3 + chance.random((120, 4)) * 0.7).astype(np.float32) for _ in range(2)]
    systems = [System(answers=(one >= 0.5,), probs=(one,)) for one in probs]
    names = ("macro_f1", "weighted_auc", "micro_auc")
    found = Rows(truth, _MANY, names, PairedOptions(resamples=60, permutations=60)).differences(*systems)

    scores = [f1_score(truth, one >= 0.5, average="macro", zero_division=0) for one in probs]
    assert found["macro_f1"].value == pytest.approx(scores[0] - scores[1])
    for name in ("weighted", "micro"):
        areas = [roc_auc_score(truth, one, average=name) for one in probs]
        assert found[f"{name}_auc"].value == pytest.approx(areas[0] - areas[1], abs=1e-6)


def test_weighted_areas_are_scikit_learns() -> None:
    """With ties and weights, and undefined where a weighting leaves one class only."""
    chance = np.random.default_rng(0)
    scores, truth = chance.integers(0, 6, 50) / 6.0, chance.random(50) < 0.4
    weights = chance.integers(0, 4, (5, 50)).astype(np.float64)
    expected = [roc_auc_score(truth, scores, sample_weight=weight) for weight in weights]

    assert weighted_areas(scores, truth, weights) == pytest.approx(expected)
    assert weighted_areas(scores, truth, np.ones((1, 50)))[0] == pytest.approx(area(scores, truth))
    assert np.isnan(weighted_areas(scores, truth, truth[None].astype(np.float64)))[0]


def test_exchanged_rows_are_exchanged() -> None:
    """Weights over two runs give the areas of the mixed system that they describe."""
    truth = _onehot(_truth(40))
    one, two = _system(_truth(40), 0.5, seed=1).probs[0], _system(_truth(40), 0.5, seed=2).probs[0]
    swap = np.random.default_rng(0).random(40) < 0.5
    engine = Areas(truth, [one, two], ("macro_auc",))
    found = engine.metrics([0, 1], [(~swap[None]).astype(float), swap[None].astype(float)])["macro_auc"][0]

    mixed = np.where(swap[:, None], two, one)
    assert found == pytest.approx(np.mean([roc_auc_score(truth[:, i], mixed[:, i]) for i in range(3)]))


def test_a_label_that_one_system_alone_answers_counts_for_both() -> None:
    """Differences of macro averages are over the same labels on both sides."""
    truth = np.array([0, 2] * 10)
    stray = truth.copy()
    stray[0] = 1
    one, two = (System(answers=(_onehot(codes),), probs=()) for codes in (truth, stray))
    rows = Rows(_onehot(truth), _THREE, ("macro_f1",), PairedOptions(resamples=0, permutations=0))

    assert rows.estimates(one)["macro_f1"].value == 1.0
    found = rows.differences(one, two)["macro_f1"]
    assert 0 < found.value < 0.05
    assert (found.low, found.p) == (None, None)


def test_rows_are_needed() -> None:
    """Nothing can be compared on nothing."""
    with pytest.raises(DataError, match="no rows"):
        Rows(np.zeros((0, 3), dtype=bool), _THREE, ("accuracy",), PairedOptions())
