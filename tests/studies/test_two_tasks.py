"""A model with two tasks is measured, kept, tuned, reported and compared task by task."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

import ottenok
from ottenok.bundle.folder import open_bundle
from ottenok.cli.evaluate import evaluate as evaluate_command
from ottenok.cli.tune import tune as tune_command
from ottenok.core.errors import ConfigError, SchemeError
from ottenok.inference.api import load
from ottenok.studies.cards import record
from ottenok.studies.compare import Comparison, compare
from ottenok.studies.compare_tables import as_html, as_markdown, as_text
from ottenok.studies.evaluation import evaluate
from ottenok.studies.reporting import report
from ottenok.studies.tuning import tune
from ottenok.tasks.paired import PairedOptions
from ottenok.tasks.predictions import load_predictions
from ottenok.tasks.thresholds import ThresholdOptions
from studies.two_tasks import EMOTIONS, SENTIMENT, two_task_bundle, two_task_corpus

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("onnx")


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Return a corpus whose texts have labels for one or both of two tasks."""
    return two_task_corpus(tmp_path / "corpus")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Return the folder of a model with both tasks."""
    return two_task_bundle(tmp_path / "model")


def test_each_task_is_measured_on_the_rows_that_have_its_label(corpus: Path, model: Path) -> None:
    """Rows without a label for a task count for the other alone; figures are those of one task measured alone."""
    found = evaluate(model, corpus, resamples=0)

    assert {name: reports[0].rows for name, reports in found.tasks.items()} == {"sentiment-3": 36, "emotions-7": 42}
    assert [report.system for report in found.tasks["emotions-7"]] == ["pair", "majority", "TF-IDF linear"]
    assert found.reports == found.tasks["sentiment-3"]
    assert {report.task for report in found.tasks["emotions-7"]} == {"emotions-7"}
    alone = evaluate(load(model), corpus, tasks=["emotions-7"], resamples=0)
    assert alone.tasks == {"emotions-7": found.tasks["emotions-7"]}
    tree = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert tree["reports"] == tree["tasks"]["sentiment-3"]["reports"]
    assert len(tree["tasks"]["emotions-7"]["reports"]) == 3


def test_cells_that_were_not_learned_are_named(corpus: Path, model: Path) -> None:
    """F1 stands by language and label, and labels with under 200 training rows are called not learned."""
    tables = evaluate(model, corpus, resamples=0, baselines=False).tables()

    cells = tables["pair on both, test, sentiment-3: F1 per language and label"]
    told = {row[0]: row[3] for row in cells.rows}
    assert told["ru, negative"] == "1,000"
    assert told["zh, negative"] == "7: not learned"
    assert len(tables["pair on both, test, emotions-7: F1 per language and label"].rows) == 14


def test_the_card_keeps_both_tasks(corpus: Path, model: Path) -> None:
    """Recorded figures are in the manifest by task, and the card has tables for each."""
    record(model, evaluate(model, corpus, resamples=0))

    manifest = open_bundle(model).manifest
    assert set(manifest.metrics["both, test"]) == {"sentiment-3", "emotions-7"}
    assert manifest.reports("both, test", "emotions-7")[0].system == "pair"
    card = (model / "README.md").read_text(encoding="utf-8")
    for task in ("sentiment-3", "emotions-7"):
        assert f"### both, test, {task}: figures" in card


def test_predictions_are_a_file_for_each_task(corpus: Path, model: Path, tmp_path: Path) -> None:
    """The task's name stands before the suffix, and each file has its own labels and rows."""
    evaluate(model, corpus, resamples=0, baselines=False, predictions=tmp_path / "test.parquet")

    one, two = (load_predictions(tmp_path / f"test.{name}.parquet") for name in ("sentiment-3", "emotions-7"))
    assert (one.labels, two.labels) == (SENTIMENT.labels, EMOTIONS.labels)
    assert (len(one), len(two)) == (36, 42)
    assert (one.task, two.task) == ("sentiment-3", "emotions-7")
    assert set(one.languages) == {"ru", "zh"}


def test_both_tasks_are_tuned(corpus: Path, model: Path) -> None:
    """Thresholds go to the task whose labels may come together, temperatures to both; old figures keep their name."""
    record(model, evaluate(model, corpus, resamples=0, baselines=False))
    found = tune(model, corpus, thresholds=ThresholdOptions(minimum_positives=2))

    manifest = open_bundle(model, full=True).manifest
    assert manifest.facts("emotions-7").decision == found.decisions["emotions-7"]
    assert len(found.decisions["emotions-7"].thresholds) == 7
    assert set(manifest.tuning) == {"emotions-7"}  # thresholds can't be fitted for one label a row
    found = tune(model, corpus)
    assert set(open_bundle(model, full=True).manifest.tuning) == {"sentiment-3", "emotions-7"}
    assert found.reports["sentiment-3"].rows == 40
    assert found.reports["emotions-7"].rows == 40
    assert "both, test, before tuning 1" in open_bundle(model).manifest.metrics


def test_one_task_is_tuned_alone(corpus: Path, model: Path) -> None:
    """Only the task that is named gets another decision; what does not fit it is refused."""
    before = open_bundle(model).manifest
    found = tune(model, corpus, tasks=["sentiment-3"])

    after = open_bundle(model).manifest
    assert set(found.decisions) == {"sentiment-3"}
    assert after.facts("emotions-7").decision == before.facts("emotions-7").decision
    with pytest.raises(ConfigError):
        tune(model, corpus, tasks=["sentiment-3"], thresholds=ThresholdOptions())
    with pytest.raises(SchemeError, match="there is no task 'stars'"):
        tune(model, corpus, tasks=["stars"])


def test_a_file_for_another_task_names_it(tmp_path: Path) -> None:
    """Emotions are not judged as sentiment: the error says which --task they are for."""
    path = tmp_path / "a.csv"
    path.write_text('text,label\nУра!,joy\nУжас!,"fear, sadness"\nФу!,disgust\n', encoding="utf-8")
    with pytest.raises(SchemeError) as caught:
        evaluate(ottenok.load(), path)
    assert caught.value.hint == "They are labels of emotions-7: --task emotions-7"


def test_the_commands_take_a_task(corpus: Path, model: Path) -> None:
    """--task chooses, and --json has every task."""
    shown = CliRunner().invoke(
        evaluate_command,
        [str(model), str(corpus), "--task", "emotions-7", "--resamples", "0", "--no-baselines"],
        catch_exceptions=False,
    )
    assert "fear" in shown.stdout
    assert "negative" not in shown.stdout
    told = CliRunner().invoke(tune_command, [str(model), str(corpus), "--dry-run", "--json"], catch_exceptions=False)
    assert set(json.loads(told.stdout)["tasks"]) == {"sentiment-3", "emotions-7"}


def test_the_report_has_both_tasks(corpus: Path, model: Path, tmp_path: Path) -> None:
    """Each task has its sets of rows, from kept predictions as from a run, with its own labels and cells."""
    evaluate(model, corpus, resamples=0, baselines=False, predictions=model / "predictions" / "test.parquet")
    record(model, evaluate(model, corpus, resamples=0, baselines=False, split="validation"))
    written = report(model, tmp_path / "report", data=corpus, resamples=0, mistakes=3)

    tree = json.loads(written.numbers.read_text(encoding="utf-8"))
    assert tree["tasks"]["emotions-7"]["sets"] == ["emotions-7-test", "emotions-7-recorded-1"]
    assert tree["reports"]["sentiment-3-test"]["rows"] == 36
    assert len(tree["mistakes"]["emotions-7-test-mistakes"]) == 3
    assert {"roc-sentiment-3-test", "together-emotions-7-test"} < set(tree["plots"])
    text = written.page.read_text(encoding="utf-8")
    assert "7: not learned" in text
    assert "labels of sentiment-3, emotions-7" in text
    for task in ("sentiment-3", "emotions-7"):
        assert f'<h2 id="{task}-test">{task}: test rows</h2>' in text
    alone = report(model, tmp_path / "alone", tasks=["emotions-7"], data=corpus, split="validation", resamples=0)
    found = json.loads(alone.numbers.read_text(encoding="utf-8"))
    assert found["tasks"]["emotions-7"]["sets"][0] == "emotions-7-named"
    assert found["reports"]["emotions-7-named"]["rows"] == 40


def test_models_are_compared_task_by_task(corpus: Path, model: Path, tmp_path: Path) -> None:
    """Tables stand for each task that both have, with the metrics of its labels; one task can be chosen."""
    other = two_task_bundle(tmp_path / "other")
    for folder in (model, other):
        evaluate(folder, corpus, resamples=0, baselines=False, predictions=folder / "predictions" / "test.parquet")
    tests = PairedOptions(resamples=20, permutations=20)
    found = compare([model, other], tests=tests, metrics=["accuracy", "subset_accuracy", "macro_f1"])

    assert (found.task, found.rows, found.metrics) == ("sentiment-3", 36, ("accuracy", "macro_f1"))
    assert [(one.task, one.rows, one.metrics) for one in found.others] == [
        ("emotions-7", 42, ("subset_accuracy", "macro_f1"))
    ]
    assert found.systems[1].differences["accuracy"].value == 0.0
    for text in (as_text(found), as_markdown(found)):
        assert "sentiment-3: Metrics on 36 test rows" in text
        assert "emotions-7: Metrics on 42 test rows" in text
    page = as_html(found)
    assert page.count("<svg") == 4
    assert Comparison.from_json(json.loads(json.dumps(found.to_json()))) == found
    with pytest.raises(ConfigError, match="Did you mean 'accuracy'"):
        compare([model, other], metrics=["acuracy"])
    alone = compare([model, other], tests=tests, tasks=["emotions-7"])
    assert (alone.task, alone.others) == ("emotions-7", ())


def test_a_model_with_one_task_takes_its_rows_from_a_corpus_with_several(corpus: Path, tmp_path: Path) -> None:
    """Rows without a label for it are not there for it."""
    from toys import tiny_manifest, write_bundle

    single = write_bundle(tmp_path / "single", tiny_manifest("emotions-7"))
    found = evaluate(single, corpus, resamples=0, baselines=False)
    assert found.reports[0].rows == 42
    assert "tasks" not in found.to_json()
