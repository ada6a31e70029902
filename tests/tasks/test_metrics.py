"""Every figure against scikit-learn, and the rules for what scikit-learn leaves open."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as reference

from ottenok.core.errors import ConfigError, DataError, ModelError, SchemeError
from ottenok.core.schemes import LabelScheme, load_scheme
from ottenok.tasks.decision import Decision
from ottenok.tasks.metrics import METRICS, Kind, group, resampled
from ottenok.tasks.report import EvaluationOptions, Report, evaluate
from ottenok.tasks.task import Task

SENTIMENT = load_scheme("sentiment-3")
STARS = load_scheme("stars-5")
CEDR = load_scheme("cedr-5")
SOFTMAX = Decision(activation="softmax")
SIGMOID = Decision(activation="sigmoid")
QUICK = EvaluationOptions(resamples=0)
chance = st.sampled_from([0.05, 0.1, 0.3, 0.5, 0.6, 0.9])


@st.composite
def one_label(draw: st.DrawFn, labels: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Return true positions and probabilities; some labels may never occur."""
    rows = draw(st.integers(1, 30))
    truth = draw(hnp.arrays(np.int64, rows, elements=st.integers(0, labels - 1)))
    return truth, draw(hnp.arrays(np.float32, (rows, labels), elements=chance))


@st.composite
def multi_label(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Return the true labels and probabilities."""
    shape = (draw(st.integers(1, 30)), 5)
    return draw(hnp.arrays(np.bool_, shape)), draw(hnp.arrays(np.float32, shape, elements=chance))


def _mask(codes: np.ndarray, labels: int = 5) -> np.ndarray:
    return np.arange(labels) == codes[:, None]


def _quick(truth: np.ndarray, probs: np.ndarray, scheme: LabelScheme = STARS, decision: Decision = SOFTMAX) -> Report:
    return evaluate(Task.of(scheme, decision), truth, probs, options=QUICK)


def _averages(truth: np.ndarray, answer: np.ndarray, average: str) -> list[float]:
    found = reference.precision_recall_fscore_support(truth, answer, average=average, zero_division=0)
    return [float(value) for value in found[:3]]


@settings(deadline=None)
@given(one_label())
def test_one_label_figures_are_scikit_learns(sample: tuple[np.ndarray, np.ndarray]) -> None:
    """Accuracy, F1s, MAE and kappa equal scikit-learn's, also where labels are absent from truth or answers."""
    codes, probs = sample
    answer = probs.argmax(axis=1)

    report = _quick(_mask(codes), probs)

    expected = {
        "accuracy": reference.accuracy_score(codes, answer),
        "macro_f1": reference.f1_score(codes, answer, average="macro", zero_division=0),
        "weighted_f1": reference.f1_score(codes, answer, average="weighted", zero_division=0),
        "micro_f1": reference.f1_score(codes, answer, average="micro", zero_division=0),
        "macro_precision": reference.precision_score(codes, answer, average="macro", zero_division=0),
        "macro_recall": reference.recall_score(codes, answer, average="macro", zero_division=0),
        "mae": reference.mean_absolute_error(codes, answer),
    }
    assert {name: report.value(name) for name in expected} == pytest.approx(expected)
    assert [list(row) for row in report.confusion] == reference.confusion_matrix(
        codes, answer, labels=range(5)
    ).tolist()


@settings(deadline=None)
@given(one_label())
def test_one_hot_sigmoids_are_counted_as_published_scripts_count_them(sample: tuple[np.ndarray, np.ndarray]) -> None:
    """At 0.5, F1, the AUC of 0/1 predictions and accuracy equal scikit-learn's on indicators; the answer stays one."""
    codes, probs = sample
    truth, answer = _mask(codes), probs >= np.float32(0.5)

    report = _quick(truth, probs, STARS, SIGMOID)

    expected = {
        "open_accuracy": reference.accuracy_score(truth, answer),
        "open_f1": reference.f1_score(truth, answer, average="micro", zero_division=0),
        "open_auc": reference.roc_auc_score(truth, answer, average="micro"),
        "accuracy": reference.accuracy_score(codes, probs.argmax(axis=1)) if probs.any(axis=1).all() else None,
    }
    assert {name: report.value(name) for name, value in expected.items() if value is not None} == pytest.approx(
        {name: value for name, value in expected.items() if value is not None}
    )
    assert "open_f1" not in _quick(truth, probs).metrics


@settings(deadline=None)
@given(multi_label())
def test_auc_of_answers_is_scikit_learns(sample: tuple[np.ndarray, np.ndarray]) -> None:
    """The micro AUC of yes-or-no answers equals scikit-learn's of 0/1 predictions; undefined, it is left out."""
    truth, probs = sample
    found = _quick(truth, probs, CEDR, SIGMOID).metrics.get("answer_auc")

    if truth.all() or not truth.any():
        assert found is None
    else:
        assert found is not None
        assert found.value == pytest.approx(reference.roc_auc_score(truth, probs >= 0.5, average="micro"))


def test_balanced_f1_is_that_of_a_balanced_test() -> None:
    """Rows of rare labels repeated until all labels have as many give the same macro F1."""
    rng = np.random.default_rng(9)
    codes, repeats = np.repeat([0, 1, 2], [120, 40, 10]), np.repeat([1, 3, 12], [120, 40, 10])
    probs = rng.random((170, 3)) + np.eye(3)[codes] * 0.5
    even = np.repeat(np.arange(170), repeats)

    found = _quick(_mask(codes, 3), probs, SENTIMENT).value("balanced_f1")

    assert found == pytest.approx(_quick(_mask(codes[even], 3), probs[even], SENTIMENT).value("macro_f1"))
    assert found != pytest.approx(_quick(_mask(codes, 3), probs, SENTIMENT).value("macro_f1"))


@settings(deadline=None)
@given(one_label())
def test_kappa_is_scikit_learns(sample: tuple[np.ndarray, np.ndarray]) -> None:
    """Quadratic kappa equals scikit-learn's, and is left out where it is undefined."""
    codes, probs = sample
    answer = probs.argmax(axis=1)
    found = _quick(_mask(codes), probs).metrics.get("quadratic_kappa")

    if len(set(codes.tolist()) | set(answer.tolist())) == 1:
        assert found is None
    else:
        expected = reference.cohen_kappa_score(codes, answer, weights="quadratic", labels=range(5))
        assert found is not None
        assert found.value == pytest.approx(expected)


@settings(deadline=None)
@given(one_label())
def test_label_rows_are_scikit_learns_report(sample: tuple[np.ndarray, np.ndarray]) -> None:
    """Per label and averaged, precision, recall, F1 and support are those of `classification_report`."""
    codes, probs = sample
    answer = probs.argmax(axis=1)

    report = _quick(_mask(codes), probs)

    rows = reference.precision_recall_fscore_support(codes, answer, labels=range(5), zero_division=0)
    found = [[row.precision, row.recall, row.f1.value, row.support] for row in report.labels]
    assert np.array(found) == pytest.approx(np.array(rows).T)
    for average in report.averages:
        three = [average.precision, average.recall, average.f1]
        assert three == pytest.approx(_averages(codes, answer, average.name))


@settings(deadline=None)
@given(multi_label())
def test_multi_label_figures_are_scikit_learns(sample: tuple[np.ndarray, np.ndarray]) -> None:
    """Subset accuracy, Hamming loss and all F1s equal scikit-learn's for indicator matrices."""
    truth, probs = sample
    answer = probs >= 0.5

    report = _quick(truth, probs, CEDR, SIGMOID)

    pairs = list(zip(truth.T, answer.T, strict=True))
    expected = {
        "subset_accuracy": reference.accuracy_score(truth, answer),
        "label_accuracy": 1 - reference.hamming_loss(truth, answer),
        "two_class_f1": np.mean(
            [reference.f1_score(t, a, average="macro", labels=[False, True], zero_division=0) for t, a in pairs]
        ),
    } | {
        f"{average}_f1": reference.f1_score(truth, answer, average=average, zero_division=0)
        for average in ("macro", "micro", "weighted", "samples")
    }
    assert {name: report.value(name) for name in expected} == pytest.approx(expected)
    for average in report.averages:
        three = [average.precision, average.recall, average.f1]
        assert three == pytest.approx(_averages(truth, answer, average.name))


@settings(deadline=None)
@given(multi_label())
def test_auc_is_scikit_learns(sample: tuple[np.ndarray, np.ndarray]) -> None:
    """AUC per label and averaged equals scikit-learn's, with many ties; undefined ones are None and left out."""
    truth, probs = sample

    report = _quick(truth, probs, CEDR, SIGMOID)

    defined = [i for i in range(5) if 0 < truth[:, i].sum() < len(truth)]
    for i, row in enumerate(report.labels):
        expected = reference.roc_auc_score(truth[:, i], probs[:, i]) if i in defined else None
        assert row.auc == (None if expected is None else pytest.approx(expected))
    if len(defined) == 5:
        for average in report.averages:
            assert average.auc == pytest.approx(reference.roc_auc_score(truth, probs, average=average.name))


def test_auc_of_one_label_schemes_is_each_label_against_the_rest() -> None:
    """The AUC of a softmax model is scikit-learn's one-vs-rest AUC."""
    rng = np.random.default_rng(0)
    codes, probs = rng.integers(0, 3, 300), rng.dirichlet([1, 1, 1], 300)

    report = _quick(_mask(codes, 3), probs, SENTIMENT)

    for average in ("macro", "weighted"):
        expected = reference.roc_auc_score(codes, probs, multi_class="ovr", average=average)
        assert report.value(f"{average}_auc") == pytest.approx(expected, abs=1e-6)


def test_a_label_that_is_only_answered_counts_in_macro_f1() -> None:
    """On a source without neutral rows one neutral answer costs macro F1 a third, and the figure beside it nothing."""
    codes = np.array([0, 0, 2, 2])
    probs = np.eye(3)[[0, 0, 2, 1]]

    report = _quick(_mask(codes, 3), probs, SENTIMENT)

    assert report.value("macro_f1") == pytest.approx((1 + 0 + 2 / 3) / 3)
    assert report.value("macro_f1_present") == pytest.approx((1 + 2 / 3) / 2)


def test_a_label_that_never_occurs_does_not_count_in_macro_f1() -> None:
    """A label neither true nor answered is no part of a one-label macro average."""
    codes = np.array([0, 0, 2, 2])

    assert _quick(_mask(codes, 3), np.eye(3)[codes], SENTIMENT).value("macro_f1") == 1.0


def test_every_label_counts_in_multi_label_macro_f1() -> None:
    """In multi-label schemes an absent label counts 0, as scikit-learn does for indicator matrices."""
    truth = np.array([[True, False, False, False, False]] * 3)

    assert _quick(truth, truth.astype(float), CEDR, SIGMOID).value("macro_f1") == pytest.approx(0.2)


def test_the_two_poles_are_sentirueval_s_macro_f1() -> None:
    """SentiRuEval averages the F1 of negative and positive only, whatever the order of a model's labels."""
    shuffled = replace(SENTIMENT, labels=("neutral", "positive", "negative"), values=(0.0, 1.0, -1.0))
    codes, answer = np.array([0, 0, 0, 1, 1, 2, 2, 2]), np.array([0, 0, 0, 1, 2, 2, 2, 1])

    report = _quick(_mask(codes, 3), np.eye(3)[answer], shuffled)

    expected = reference.f1_score(codes, answer, labels=[1, 2], average="macro")
    assert report.value("polar_f1") == pytest.approx(expected)


def test_distances_follow_the_values_and_not_the_positions() -> None:
    """A model that lists neutral first still finds negative two steps from positive."""
    shuffled = replace(SENTIMENT, labels=("neutral", "positive", "negative"), values=(0.0, 1.0, -1.0))

    assert _quick(_mask(np.array([2]), 3), np.eye(3)[[1]], shuffled).value("mae") == 2.0


def test_rows_without_an_answer_are_misses() -> None:
    """A model that may abstain loses recall and accuracy; coverage is told, and MAE is over answered rows."""
    unsure = Decision(activation="softmax", thresholds=(0.6, 0.6, 0.6))
    probs = np.array([[0.9, 0.1, 0.0], [0.5, 0.3, 0.2], [0.1, 0.9, 0.0]])

    report = _quick(_mask(np.array([0, 0, 2]), 3), probs, SENTIMENT, unsure)

    assert report.value("accuracy") == pytest.approx(1 / 3)
    assert report.value("coverage") == pytest.approx(2 / 3)
    assert report.value("mae") == 0.5
    assert report.labels[0].recall == 0.5


def test_figures_per_source() -> None:
    """Each source is judged by its own rows, sorted by name."""
    codes = np.array([0, 2, 0, 2])
    report = evaluate(
        Task.of(SENTIMENT, SOFTMAX),
        _mask(codes, 3),
        np.eye(3)[[0, 2, 2, 2]],
        sources=["news", "news", "blogs", "blogs"],
        options=QUICK,
    )

    assert [(source.source, source.rows) for source in report.sources] == [("blogs", 2), ("news", 2)]
    assert report.sources[0].metrics["accuracy"].value == 0.5
    assert report.sources[1].metrics["macro_f1"].value == 1.0


def test_intervals_are_those_of_a_plain_bootstrap() -> None:
    """Intervals from grouped counts agree with a bootstrap that draws rows and calls scikit-learn."""
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 3, 400)
    probs = np.eye(3)[np.where(rng.random(400) < 0.7, codes, rng.integers(0, 3, 400))]
    answer = probs.argmax(axis=1)

    found = evaluate(Task.of(SENTIMENT, SOFTMAX), _mask(codes, 3), probs).metrics["macro_f1"]

    draws = (rng.integers(0, 400, 400) for _ in range(600))
    plain = [reference.f1_score(codes[rows], answer[rows], average="macro") for rows in draws]
    low, high = np.quantile(plain, [0.025, 0.975])
    assert found.low == pytest.approx(low, abs=0.008)
    assert found.high == pytest.approx(high, abs=0.008)


def test_an_interval_averages_over_the_labels_of_its_figure() -> None:
    """A label that is answered once is missing from a third of the resamples; macro F1 counts it in all of them."""
    codes = np.array([0, 2] * 100)
    answer = np.where(np.arange(200) == 7, 1, codes)

    report = evaluate(Task.of(SENTIMENT, SOFTMAX), _mask(codes, 3), np.eye(3)[answer])

    assert report.metrics["macro_f1"].value == pytest.approx(0.665, abs=0.001)
    assert report.metrics["macro_f1"].high == pytest.approx(2 / 3)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Of 200 samples from a system with accuracy 0.8, about 95 % have 0.8 in their interval."""
    rng = np.random.default_rng(2)
    covered = 0
    for seed in range(200):
        right = rng.random(300) < 0.8
        answer = np.where(right, 0, 1)
        report = evaluate(
            Task.of(SENTIMENT, SOFTMAX),
            _mask(np.zeros(300, dtype=int), 3),
            np.eye(3)[answer],
            options=EvaluationOptions(resamples=200, seed=seed),
        )
        interval = report.metrics["accuracy"]
        covered += (interval.low or 0) <= 0.8 <= (interval.high or 0)

    assert 0.90 <= covered / 200 <= 0.985


def test_intervals_repeat_with_their_seed() -> None:
    """The same seed gives the same report, another seed another interval."""
    rng = np.random.default_rng(3)
    truth, probs = rng.random((200, 5)) < 0.3, rng.random((200, 5))

    def run(seed: int) -> Report:
        options = EvaluationOptions(resamples=50, seed=seed)
        return evaluate(Task.of(CEDR, SIGMOID), truth, probs, options=options)

    assert run(1) == run(1)
    assert run(1).metrics["macro_f1"] != run(2).metrics["macro_f1"]


def test_blocks_of_resamples_cover_all_of_them() -> None:
    """Where every row is a pair of its own the resamples come in several blocks, as many as asked, of all rows each."""
    rng = np.random.default_rng(4)
    pairs = group(rng.random((9000, 28)) < 0.5, rng.random((9000, 28)) < 0.5)

    blocks = list(resampled(pairs, Kind(one_label=False, ranks=None), resamples=450, seed=0))

    assert len(blocks) > 1
    assert sum(len(block.rows) for block in blocks) == 450
    assert all((block.rows == 9000).all() for block in blocks)


def test_a_report_survives_json() -> None:
    """What is written as strict JSON is read back as the same report."""
    rng = np.random.default_rng(5)
    codes = rng.integers(0, 2, 50)
    report = evaluate(Task.of(SENTIMENT, SOFTMAX), _mask(codes, 3), rng.dirichlet([1, 1, 1], 50), sources=["a"] * 50)

    assert Report.from_json(json.loads(json.dumps(report.to_json(), allow_nan=False))) == report


def test_another_mapping_is_no_report() -> None:
    """A mapping that is no report is refused with the key that is wrong."""
    with pytest.raises(DataError, match="no evaluation report"):
        Report.from_json({"system": "x"})


def test_an_unknown_figure_is_answered_with_the_nearest() -> None:
    """A recipe that names a figure wrongly hears which one was meant."""
    with pytest.raises(ConfigError, match="Did you mean 'macro_f1'"):
        _quick(_mask(np.array([0]), 3), np.eye(3)[[0]], SENTIMENT).value("macro-f1")


def test_every_figure_has_a_name_and_a_meaning() -> None:
    """Reports hold known figures only, and lower is better only for errors."""
    known = METRICS
    rng = np.random.default_rng(6)
    one = _quick(_mask(rng.integers(0, 3, 50), 3), rng.random((50, 3)), SENTIMENT)
    several = _quick(rng.random((50, 5)) < 0.5, rng.random((50, 5)), CEDR, SIGMOID)
    hot = _quick(_mask(rng.integers(0, 5, 50)), rng.random((50, 5)), STARS, SIGMOID)

    assert set(known) - {"coverage", "loss", "source_f1", "cell_f1"} == set(one.metrics) | set(several.metrics) | set(
        hot.metrics
    )
    assert {name for name, found in known.items() if not found.higher_is_better} == {"loss", "mae", "calibration_error"}


@pytest.mark.parametrize(
    ("truth", "probs", "sources", "error"),
    [
        (np.zeros((0, 3), bool), np.zeros((0, 3)), None, DataError),
        (np.eye(3, dtype=bool), np.eye(3)[:2], None, DataError),
        (np.eye(3, dtype=bool), np.eye(3), ["a"], DataError),
        (np.eye(3, dtype=bool), np.full((3, 3), np.nan), None, ModelError),
        (np.eye(3, dtype=bool), np.zeros((3, 2)), None, ModelError),
    ],
)
def test_what_can_not_be_evaluated_is_refused(
    truth: np.ndarray, probs: np.ndarray, sources: list[str] | None, error: type[Exception]
) -> None:
    """No rows, other shapes and NaN are refused."""
    with pytest.raises(error):
        evaluate(Task.of(SENTIMENT, SOFTMAX), truth, probs, sources=sources, options=QUICK)


def test_a_decision_of_another_kind_is_refused() -> None:
    """A softmax decision can't be evaluated on a multi-label scheme."""
    with pytest.raises(SchemeError, match="multi-label"):
        _quick(np.eye(5, dtype=bool), np.eye(5), CEDR, SOFTMAX)
