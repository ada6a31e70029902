"""The baselines: deterministic, the same metric code, good in Russian and in Chinese without spaces."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ottenok.core.errors import DataError
from ottenok.core.schemes import load_scheme
from ottenok.tasks.baselines import LabelledTexts, baseline_reports, fit_majority, fit_tfidf
from ottenok.tasks.decision import Decision, decide, indicator, probabilities
from ottenok.tasks.report import EvaluationOptions
from ottenok.tasks.task import Task

if TYPE_CHECKING:
    from pathlib import Path

SENTIMENT = load_scheme("sentiment-3")
CEDR = load_scheme("cedr-5")
GOOD = ["отличный фильм", "прекрасная игра актёров", "очень понравилось", "今天的菜很好吃", "服务非常好"]
BAD = ["ужасный фильм", "скучная игра", "совсем не понравилось", "今天的菜很难吃", "服务非常差"]
PLAIN = ["фильм идёт два часа", "в зале сто мест", "начало в семь", "饭店在二楼", "今天是星期三"]


def _rows(repeat: int = 4) -> LabelledTexts:
    names = [("positive",)] * 5 + [("negative",)] * 5 + [("neutral",)] * 5
    return LabelledTexts(texts=(GOOD + BAD + PLAIN) * repeat, truth=indicator(names * repeat, SENTIMENT))


def test_the_linear_baseline_reads_both_languages() -> None:
    """Russian words in other forms and Chinese words inside unbroken text are recognised."""
    baseline = fit_tfidf(_rows(), SENTIMENT)

    probs = probabilities(
        baseline.logits(["отличная игра", "ужасно скучный", "这里的菜真好吃", "服务很差"]), baseline.decision
    )

    assert [names[0] for names in decide(probs, SENTIMENT, baseline.decision)] == [
        "positive",
        "negative",
        "positive",
        "negative",
    ]


def test_the_linear_baseline_repeats() -> None:
    """The same rows and seed give the same logits to the last bit."""
    first, second = fit_tfidf(_rows(), SENTIMENT), fit_tfidf(_rows(), SENTIMENT)

    assert (first.logits(GOOD) == second.logits(GOOD)).all()


def test_one_label_probabilities_are_each_labels_own_divided_by_their_sum() -> None:
    """Each label's probability against the rest is normalised to a distribution, as scikit-learn's OvR does."""
    baseline = fit_tfidf(_rows(), SENTIMENT)

    probs = probabilities(baseline.logits(GOOD), baseline.decision)

    own = 1 / (1 + np.exp(-(baseline.features.transform(GOOD) @ baseline.weights + baseline.bias)))
    assert probs == pytest.approx(own / own.sum(axis=1, keepdims=True), abs=1e-6)

    assert baseline.decision.activation == "softmax"
    assert probs.sum(axis=1) == pytest.approx(np.ones(5), abs=1e-6)


def test_multi_label_rows_get_several_labels_or_none() -> None:
    """Labels are learned one by one; one that never occurs is never answered, one that always does always is."""
    names = [("joy", "anger"), ("sadness", "anger"), ("anger",)] * 6
    texts = ["радость и веселье", "слёзы и тоска", "стол и стул"] * 6
    baseline = fit_tfidf(LabelledTexts(texts=texts, truth=indicator(names, CEDR)), CEDR)

    probs = probabilities(baseline.logits(texts[:3]), baseline.decision)

    assert decide(probs, CEDR, baseline.decision) == [("joy", "anger"), ("sadness", "anger"), ("anger",)]


def test_the_majority_baseline_answers_with_the_commonest_label() -> None:
    """Every text gets the commonest label, with the training shares as probabilities."""
    truth = indicator([("neutral",)] * 6 + [("positive",)] * 3 + [("negative",)], SENTIMENT)
    baseline = fit_majority(truth, SENTIMENT)

    probs = probabilities(baseline.logits(["a", "b"]), baseline.decision)

    assert decide(probs, SENTIMENT, baseline.decision) == [("neutral",), ("neutral",)]
    assert probs[0].tolist() == pytest.approx([0.1, 0.6, 0.3], abs=0.05)


def test_the_multi_label_majority_is_usually_nothing() -> None:
    """Labels that fewer than half of the rows have are not answered."""
    baseline = fit_majority(indicator([("joy",), (), ("anger",)], CEDR), CEDR)

    assert decide(probabilities(baseline.logits(["a"]), baseline.decision), CEDR, baseline.decision) == [()]


def test_reports_share_the_models_metric_code() -> None:
    """Both baselines are reported on the test rows under their names, with the model's intervals and sources."""
    test = LabelledTexts(texts=GOOD + BAD, truth=_rows().truth[:10], sources=["ru"] * 3 + ["zh"] * 2 + ["ru"] * 5)

    majority, linear = baseline_reports(
        Task.of(SENTIMENT, Decision(activation="sigmoid")), _rows(), test, options=EvaluationOptions(resamples=20)
    )

    assert (majority.system, linear.system) == ("majority", "TF-IDF linear")
    assert majority.value("accuracy") == 0.5
    assert linear.value("accuracy") == 1.0
    assert linear.metrics["macro_f1"].low is not None
    assert [source.rows for source in linear.sources] == [8, 2]


def test_thresholds_are_tuned_on_rows_of_their_own() -> None:
    """A label whose best sign is right in fewer than half of its texts is found with tuning rows, and never by 0.5."""
    rng = np.random.default_rng(0)
    joy = rng.random(600) < 0.3
    sign = rng.random(600) < np.where(joy, 0.6, 0.25)
    rows = LabelledTexts(
        texts=["весёлый день" if there else "ровный день" for there in sign],
        truth=indicator([("joy",) if there else () for there in joy], CEDR),
    )
    options = EvaluationOptions(resamples=0)

    _, plain = baseline_reports(Task.of(CEDR, Decision(activation="sigmoid")), rows, rows, options=options)
    _, tuned = baseline_reports(Task.of(CEDR, Decision(activation="sigmoid")), rows, rows, options=options, tuning=rows)

    assert plain.labels[0].f1.value == 0.0
    assert tuned.labels[0].f1.value > 0.5


@pytest.mark.parametrize(("texts", "rows"), [([], 0), (["a"], 2)])
def test_rows_without_their_labels_are_refused(texts: list[str], rows: int) -> None:
    """No rows, and another number of labels than texts, are refused."""
    with pytest.raises(DataError):
        LabelledTexts(texts=texts, truth=np.zeros((rows, 3), dtype=bool))


@pytest.mark.data
def test_the_linear_baseline_is_a_strong_one(data_root: Path) -> None:
    """On RuSentiment's three classes it passes macro F1 0.68, so a model that beats it has learned something."""
    rows: dict[str, list[tuple[str, str]]] = {}
    for name in ("random_posts", "test"):
        file = data_root / "rusentiment" / f"rusentiment_{name}.csv"
        with file.open(encoding="utf-8", newline="") as stream:
            rows[name] = [(row["text"], row["label"]) for row in csv.DictReader(stream)]
    train, test = (
        LabelledTexts(
            texts=[text for text, label in rows[name] if label in SENTIMENT.labels],
            truth=indicator([(label,) for _, label in rows[name] if label in SENTIMENT.labels], SENTIMENT),
        )
        for name in ("random_posts", "test")
    )

    majority, linear = baseline_reports(
        Task.of(SENTIMENT, Decision(activation="sigmoid")), train, test, options=EvaluationOptions(resamples=0)
    )

    assert majority.value("macro_f1") < 0.3
    assert linear.value("macro_f1") > 0.68
