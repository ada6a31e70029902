"""Manifests: several tasks, manifests of the first format, and hostile ones."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ottenok.bundle.folder import open_bundle, read_manifest, write_manifest
from ottenok.bundle.manifest import BundleManifest, LicenceFacts, SchemeFacts, TaskFacts
from ottenok.core.errors import BundleError, OttenokError, SchemeError
from ottenok.core.schemes import load_scheme
from ottenok.tasks.decision import Decision
from ottenok.tasks.report import EvaluationOptions, Report, evaluate
from ottenok.tasks.task import Task

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SENTIMENT, EMOTIONS, STARS = (load_scheme(name) for name in ("sentiment-3", "emotions-7", "stars-5"))


def tasks() -> tuple[Task, ...]:
    """Return three tasks of three kinds."""
    return (
        Task(
            name="sentiment-3",
            scheme=SENTIMENT,
            problem="multi-class",
            decision=Decision(activation="softmax", temperature=1.5),
        ),
        Task(
            name="emotions-7",
            scheme=EMOTIONS,
            problem="multi-label",
            decision=Decision(activation="sigmoid", thresholds=(0.3,) * 7, empty="neutral", exclusive="neutral"),
        ),
        Task(name="stars-5", scheme=STARS, problem="ordinal", decision=Decision(activation="corn", pick="median")),
    )


def several() -> BundleManifest:
    """Return the manifest of a model with three tasks."""
    return BundleManifest(
        name="three",
        tasks=tuple(TaskFacts.of(task, first=place == 0) for place, task in enumerate(tasks())),
        max_length=64,
        licence=LicenceFacts(id="MIT", commercial=True),
    )


def _report(system: str) -> dict[str, Any]:
    truth = np.eye(3, dtype=bool)
    options = EvaluationOptions(system=system, resamples=0)
    report = evaluate(
        Task.of(SENTIMENT, Decision(activation="softmax")), truth, truth * 0.9, sources=["a"] * 3, options=options
    )
    return report.to_json()


def _old_report(system: str) -> dict[str, Any]:
    """Return a report as the first version wrote it, with figures instead of metrics."""
    tree = _report(system)
    tree["figures"] = tree.pop("metrics")
    for source in tree["sources"]:
        source["figures"] = source.pop("metrics")
    return {key: value for key, value in tree.items() if key not in {"cells", "task"}}


def _old_manifest(**changes: Any) -> dict[str, Any]:
    """Return a manifest as the first version wrote it."""
    return {
        "format": 1,
        "name": "old",
        "scheme": SchemeFacts.of(SENTIMENT).model_dump(mode="json"),
        "problem_type": "multi-class",
        "decision": Decision(activation="softmax", temperature=1.25).to_json(),
        "max_length": 64,
        "tuning": None,
        "metrics": {"test": _old_report("old")},
        "baselines": {"test": [_old_report("majority")]},
        "licence": {"id": "MIT", "commercial": True, "statement": ""},
    } | changes


def _read(folder: Path, tree: dict[str, Any] | str) -> BundleManifest:
    text = tree if isinstance(tree, str) else json.dumps(tree, ensure_ascii=False)
    (folder / "ottenok.json").write_text(text, encoding="utf-8")
    return read_manifest(folder)


def test_several_tasks_are_kept_with_their_outputs(tmp_path: Path) -> None:
    """Each task comes back with its scheme, problem, decision and output; the first one is the primary one."""
    write_manifest(tmp_path, several())

    manifest = read_manifest(tmp_path)

    assert manifest.task_list() == tasks()
    assert [task.output for task in manifest.tasks] == ["logits", "logits_emotions_7", "logits_stars_5"]
    assert (manifest.scheme.name, manifest.decision.temperature) == ("sentiment-3", 1.5)
    assert json.loads((tmp_path / "ottenok.json").read_text(encoding="utf-8"))["format"] == 2


def test_a_manifest_of_the_first_format_has_one_task(tmp_path: Path) -> None:
    """It is named by its scheme, and its reports and baselines are that task's."""
    manifest = _read(tmp_path, _old_manifest())

    (task,) = manifest.task_list()
    assert (task.name, task.problem, task.decision.temperature) == ("sentiment-3", "multi-class", 1.25)
    assert manifest.tasks[0].output == "logits"
    assert [report.system for report in manifest.reports("test")] == ["old", "majority"]
    assert manifest.reports("test")[0].metrics["macro_f1"].value == 1.0
    assert manifest.reports("test")[0].sources[0].metrics["accuracy"].value == 1.0
    assert manifest.reports("validation") == []
    assert manifest.tuning_report() is None
    write_manifest(tmp_path, manifest)
    assert read_manifest(tmp_path) == manifest


def test_an_old_report_is_read_by_itself() -> None:
    """Reports outside manifests are read in their old form too."""
    assert Report.from_json(_old_report("old")) == replace(Report.from_json(_report("old")), task="")


@pytest.mark.parametrize(
    ("scheme", "name"), [("own", "own"), ("настроение 3", "3"), ("оттенки", "task"), ("a/b", "a-b")]
)
def test_a_scheme_of_any_name_makes_a_task(tmp_path: Path, scheme: str, name: str) -> None:
    """A task's name has Latin letters, digits and few signs, whatever an old scheme is called."""
    facts = SchemeFacts.of(SENTIMENT).model_dump(mode="json") | {"name": scheme}
    assert _read(tmp_path, _old_manifest(scheme=facts)).tasks[0].name == name


def test_a_task_is_found_by_name() -> None:
    """Facts, reports and decisions are asked for by a task's name, and an unknown one is refused."""
    manifest = several()
    assert manifest.facts("stars-5").problem_type == "ordinal"
    assert manifest.facts().name == "sentiment-3"
    changed = manifest.with_decisions({"stars-5": Decision(activation="corn", temperature=2.0)})
    assert [task.decision.temperature for task in changed.tasks] == [1.5, 1.0, 2.0]
    with pytest.raises(SchemeError, match="there is no task 'stars'"):
        manifest.reports("test", "stars")


def test_labels_are_told_in_both_spellings() -> None:
    """The canonical task has ottenok's labels, and so have its decision's fallback and exclusive label."""
    facts = SchemeFacts(
        name="two", kind="multi-label", labels=("JOY", "NONE"), canonical=("joy", "neutral"), source="another tool"
    )
    decision = Decision(activation="sigmoid", empty="NONE", exclusive="NONE")
    task = TaskFacts(name="two", scheme=facts, problem_type="multi-label", decision=decision)

    assert task.task().scheme.labels == ("JOY", "NONE")
    canonical = task.task(canonical=True)
    assert canonical.scheme.labels == ("joy", "neutral")
    assert (canonical.decision.empty, canonical.decision.exclusive) == ("neutral", "neutral")


@pytest.mark.parametrize(
    "change",
    [
        {"decision": {"activation": "softmax", "temperature": float("nan")}},
        {"decision": {"activation": "softmax", "temperature": float("inf")}},
        {"decision": {"activation": "softmax", "temperature": 1e300}},
        {"decision": {"activation": "softmax", "temperature": 1e-300}},
        {"decision": {"activation": "softmax", "temperature": -1.0}},
        {"decision": {"activation": "softmax", "thresholds": [0.5, float("nan"), 0.5]}},
        {"decision": {"activation": "softmax", "thresholds": [0.5, 0.5, 1.5]}},
        {"decision": {"activation": "regression", "values": [1.0, 2.0, 1e300]}, "problem_type": "regression"},
        {"decision": {"activation": "regression", "values": [1.0, 2.0, float("inf")]}, "problem_type": "regression"},
        {"scheme": {"values": [-1.0, float("nan"), 1.0]}},
        {"scheme": {"values": [-1.0, 0.0, float("inf")]}},
        {"scheme": {"values": [-1.0, 0.0, 1e300]}},
        {"scheme": {"labels": [str(i) for i in range(20_000)], "values": [], "titles": {}}},
        {"scheme": {"labels": ["a", "b", "c" * 5000]}},
        {"scheme": {"labels": ["a", "b", ""]}},
        {"name": "../x"},
        {"name": ""},
        {"name": "x" * 200},
        {"output": "a b"},
        {"problem_type": "softmax"},
    ],
)
def test_a_hostile_task_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    """NaN, infinite, huge or endless values never get as far as an answer."""
    tree = several().to_json()
    if "scheme" in change:
        change = {**change, "scheme": tree["tasks"][0]["scheme"] | change["scheme"]}
    tree["tasks"][0] |= change

    with pytest.raises(BundleError):
        _read(tmp_path, tree)


@pytest.mark.parametrize(
    "text",
    [
        '{"format": 2, "name": "x", "max_length": NaN}',
        '{"format": 2, "name": "x", "max_length": 1e999}',
        '{"format": 2, "name": "x", "tasks": []}',
        '{"format": 2, "name": "x", "max_length": ' + "9" * 5000 + "}",
        '{"a":' * 50_000 + "1" + "}" * 50_000,
    ],
)
def test_a_hostile_file_is_refused(tmp_path: Path, text: str) -> None:
    """Numbers that JSON has not, endless numbers and endless nesting end as an error of ottenok's own."""
    with pytest.raises(OttenokError):
        _read(tmp_path, text)


@pytest.mark.parametrize("change", ["names", "outputs", "count"])
def test_tasks_are_told_apart(tmp_path: Path, change: str) -> None:
    """Two tasks of one name or output, and more than a hundred, are refused."""
    tree = several().to_json()
    if change == "names":
        tree["tasks"][2]["name"] = "sentiment-3"
    elif change == "outputs":
        tree["tasks"][2]["output"] = "logits"
    else:
        tree["tasks"] = [{**tree["tasks"][0], "name": f"t{i}", "output": f"logits_{i}"} for i in range(101)]
    with pytest.raises(BundleError):
        _read(tmp_path, tree)


def test_a_manifest_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    """The size is looked at first."""
    with (tmp_path / "ottenok.json").open("wb") as file:
        file.truncate(65 << 20)
    with pytest.raises(BundleError, match="at most"):
        read_manifest(tmp_path)


def test_stock_tools_see_the_first_task(tmp_path: Path, make_folder: Callable[..., Path]) -> None:
    """`config.json` has the first task's labels, and a folder where it has another task's is refused."""
    folder = make_folder(tmp_path / "model")
    write_manifest(folder, several())
    assert open_bundle(folder).manifest.task_list()[0].scheme == SENTIMENT

    make_folder(folder, id2label={str(i): label for i, label in enumerate(STARS.labels)})
    write_manifest(folder, several())
    with pytest.raises(BundleError, match="found the labels Star_1"):
        open_bundle(folder)
