"""Which way each metric is better, found out from answers and not from the list."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ottenok.core.errors import ConfigError
from ottenok.core.schemes import load_scheme
from ottenok.tasks.decision import Decision
from ottenok.tasks.metrics import METRICS, best, goodness, higher_is_better, metric
from ottenok.tasks.report import EvaluationOptions, Report, epoch_metrics, evaluate
from ottenok.tasks.task import Task

if TYPE_CHECKING:
    from collections.abc import Mapping

_QUICK = EvaluationOptions(resamples=0)
_TASKS = (
    Task.of(load_scheme("stars-5"), Decision(activation="softmax")),
    Task.of(load_scheme("sentiment-3"), Decision(activation="softmax")),
    Task.of(load_scheme("sentiment-3"), Decision(activation="sigmoid"), name="one-hot"),
    Task.of(load_scheme("cedr-5"), Decision(activation="sigmoid")),
)


def _reports(share: float) -> list[Report]:
    """Return reports of systems that are right and sure on this share of the rows, and unsure elsewhere."""
    rng = np.random.default_rng(0)
    found = []
    for task in _TASKS:
        rows, labels = 600, len(task.scheme.labels)
        truth = np.arange(labels) == rng.integers(0, labels, rows)[:, None]
        right = np.where(truth, 0.97, 0.03 / (labels - 1))
        # Wrong ones claim a far label, but not surely.
        wrong = np.where(np.roll(truth, labels // 2, axis=1), 0.55, 0.45 / (labels - 1))
        probs = np.where((np.arange(rows) < share * rows)[:, None], right, wrong)
        sources, languages = ["a", "b"] * (rows // 2), ["ru", "ru", "zh"] * (rows // 3)
        found.append(evaluate(task, truth, probs, sources=sources, languages=languages, options=_QUICK))
    return found


def _covered(share: float) -> float:
    """Return the coverage where this share of the rows is answered surely enough."""
    task = Task.of(load_scheme("sentiment-3"), Decision(activation="softmax", thresholds=(0.5,) * 3))
    probs = np.where((np.arange(100) < share * 100)[:, None], [0.8, 0.1, 0.1], [0.4, 0.3, 0.3])
    return evaluate(task, np.eye(3, dtype=bool)[[0] * 100], probs, options=_QUICK).value("coverage")


def _values(reports: list[Report]) -> Mapping[str, list[float]]:
    names = dict.fromkeys(name for report in reports for name in report.metrics)
    return {name: [report.metrics[name].value for report in reports if name in report.metrics] for name in names}


@pytest.mark.parametrize("name", [name for name in METRICS if name != "loss"])
def test_the_better_system_has_the_better_metric(name: str) -> None:
    """Of a good system and a bad one the list's direction picks the good one, in every scheme that has the metric."""
    good, bad = _values(_reports(0.9)), _values(_reports(0.3))
    if name == "coverage":  # told only where an answer is missing
        good, bad = ({name: [_covered(share)]} for share in (0.9, 0.3))

    assert good[name]
    for better, worse in zip(good[name], bad[name], strict=True):
        assert goodness(name, better) > goodness(name, worse)
        assert best(name, [worse, better, worse]) == 1
        assert best(f"stars-5/{name}", [worse, better, better]) == 1
        assert higher_is_better(name) == (better > worse)


def test_less_loss_is_better() -> None:
    """The loss of validation rows is no report's metric, but epochs may be chosen by it."""
    assert best("loss", [0.7, 0.4, 0.4, 0.9]) == 1
    assert best("sentiment-3/loss", [0.7, 0.4]) == 1


@pytest.mark.parametrize("name", METRICS)
def test_an_undefined_value_is_the_worst(name: str) -> None:
    """NaN is never chosen, unless there is nothing else; nothing is chosen from nothing."""
    assert best(name, [math.nan, 0.5, math.nan]) == 1
    assert best(name, [math.nan, 1e9, -1e9]) in {1, 2}
    assert best(name, [math.nan, math.nan]) == 0
    assert best(name, []) is None


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_has_a_name_and_a_meaning(name: str) -> None:
    """Each is known by its name, is called something in tables and is explained in a sentence."""
    found = metric(name)
    assert found.name == name
    assert found.title
    assert found.meaning.endswith(".")


def test_an_unknown_metric_is_refused_with_the_nearest() -> None:
    """Also behind a task's name."""
    for name in ("macro-f1", "emotions-7/macro-f1"):
        with pytest.raises(ConfigError, match="Did you mean 'macro_f1'"):
            higher_is_better(name)


def test_metrics_of_several_tasks_are_told_by_task_and_as_means() -> None:
    """One task has plain names; of several each has its own, and a mean over the tasks that have the metric."""
    reports = dict(zip(("stars-5", "sentiment-3", "one-hot", "cedr-5"), _reports(0.6), strict=True))
    alone = epoch_metrics({"cedr-5": reports["cedr-5"]})
    assert alone == {name: found.value for name, found in reports["cedr-5"].metrics.items()}

    both = epoch_metrics({name: reports[name] for name in ("stars-5", "cedr-5")})

    stars, cedr = reports["stars-5"], reports["cedr-5"]
    assert both["stars-5/mae"] == both["mae"] == stars.value("mae")
    assert both["macro_f1"] == pytest.approx((stars.value("macro_f1") + cedr.value("macro_f1")) / 2)
    cells = [cell.f1 for report in (stars, cedr) for cell in report.cells if cell.rows >= 50]
    assert both["cell_f1"] == pytest.approx(np.mean(cells))


def test_cells_are_the_rows_of_one_language_and_label() -> None:
    """F1 is counted in each language by itself; cells with few true rows do not count in the mean."""
    task = Task.of(load_scheme("sentiment-3"), Decision(activation="softmax"))
    codes = np.array([0] * 60 + [1] * 60 + [2] * 60 + [0] * 60 + [1] * 10)
    answers = np.array([0] * 60 + [1] * 60 + [2] * 60 + [0] * 30 + [2] * 30 + [0] * 10)
    languages = ["ru"] * 180 + ["zh"] * 70

    report = evaluate(task, np.eye(3, dtype=bool)[codes], np.eye(3)[answers], languages=languages, options=_QUICK)

    found = {(cell.language, cell.label): cell for cell in report.cells}
    assert len(found) == 6
    assert found["ru", "neutral"].f1 == 1.0
    zh = found["zh", "negative"]
    assert (zh.rows, zh.recall, zh.precision) == (60, 0.5, 0.75)
    assert zh.f1 == pytest.approx(0.6)
    assert (found["zh", "neutral"].rows, found["zh", "neutral"].f1) == (10, 0.0)
    assert report.value("cell_f1") == pytest.approx((1 + 1 + 1 + 0.6) / 4)
    few = evaluate(task, np.eye(3, dtype=bool)[[0, 1]], np.eye(3)[[0, 0]], languages=["ru"] * 2, options=_QUICK)
    assert few.value("cell_f1") == pytest.approx((2 / 3 + 0.0) / 2)
