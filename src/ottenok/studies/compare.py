"""Trained models side by side: metrics with intervals, paired tests against one of them, and what each costs."""

from __future__ import annotations

import json
import random
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from ottenok.bundle.folder import read_manifest
from ottenok.bundle.manifest import MANIFEST, ONNX, ONNX_INT8, WEIGHTS
from ottenok.core.errors import ConfigError, DataError, OttenokError
from ottenok.core.progress import SILENT, Progress, stage
from ottenok.core.suggest import suggest
from ottenok.inference.api import load
from ottenok.tasks.metrics import METRICS, Kind, fitting, goodness
from ottenok.tasks.paired import AREAS, Difference, Estimate, McNemar, PairedOptions, Rows, System, holm, mcnemar
from ottenok.tasks.predictions import load_predictions, prediction_files
from ottenok.tasks.report import EvaluationOptions, evaluate
from ottenok.training.folder import FREE_KEYS, completed, flat

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from ottenok.bundle.manifest import BundleManifest
    from ottenok.core.schemes import LabelScheme
    from ottenok.tasks.predictions import Predictions
    from ottenok.tasks.task import Task

__all__ = ["STUDY_FILE", "Compared", "Comparison", "Cost", "Failed", "check_metrics", "compare", "sample_texts"]

# In a study's folder: which folders are its variants, and what tables call them.
STUDY_FILE = "study.json"
_TESTS = PairedOptions()
_SENTENCES = (
    "Доставили быстро, всё работает, спасибо продавцу!",
    "Ужасное обслуживание, больше сюда ни ногой.",
    "Обычный фильм на один вечер, ничего особенного.",
    "Телефон греется, но за такие деньги лучше не найти.",
    "Сегодня весь день шёл дождь, и мы остались дома.",
    "Актёры играют отлично, а вот сценарий слабый.",
    "这家酒店的服务非常好，下次还会来。",
    "质量太差了，用了两天就坏了。",
    "电影一般，看过就忘。",
    "今天下午三点开会，请大家准时参加。",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a model costs; None where it is unknown, and means over the runs of one recipe.

    Attributes:
        parameters: Of the model.
        trained: How many of them were trained.
        epochs: Of training.
        minutes: Of training steps.
        weights_mb: Of `model.safetensors` (fp32), in millions of bytes, also where the file is no longer there.
        fp32_mb: Of the fp32 graph.
        int8_mb: Of the int8 graph.
        texts_per_second: Of the classifier, on `sample_texts`.
        graph: Which graph that was measured with: `int8` or `fp32`.
        device: That it was trained on.
    """

    parameters: int | None = None
    trained: int | None = None
    epochs: float | None = None
    minutes: float | None = None
    weights_mb: float | None = None
    fp32_mb: float | None = None
    int8_mb: float | None = None
    texts_per_second: float | None = None
    graph: str | None = None
    device: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One model, or several runs of one recipe.

    Attributes:
        name: As tables call it.
        folders: Names of its folders.
        seeds: Of its runs.
        metrics: Name to value, deviation over runs and interval.
        differences: Name to the difference to the baseline; empty for the baseline itself.
        corrected: Name to the p value after Holm's correction for all models that were tested.
        mcnemar: McNemar's test against the baseline, for single runs; its p value is not corrected.
        cost: What it takes.
    """

    name: str
    folders: tuple[str, ...]
    seeds: tuple[int | None, ...]
    metrics: dict[str, Estimate]
    differences: dict[str, Difference] = field(default_factory=dict)
    corrected: dict[str, float] = field(default_factory=dict)
    mcnemar: McNemar | None = None
    cost: Cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A model that could not be compared, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What came out.

    Attributes:
        split: Of the predictions.
        rows: Rows that all were measured on.
        scheme: Name of the label scheme.
        labels: Its labels.
        metrics: Names of the metrics, the most important first.
        baseline: Name of the model that the others are tested against.
        systems: The models.
        failed: Those that there are no metrics of.
        notes: What a reader should know, a sentence each.
        tests: Resamples, permutations and their seed.
        task: Name of the task; "" in comparisons of older versions.
        others: The same of the other tasks that all models have.
    """

    split: str
    rows: int
    scheme: str
    labels: tuple[str, ...]
    metrics: tuple[str, ...]
    baseline: str
    systems: tuple[Compared, ...]
    failed: tuple[Failed, ...] = ()
    notes: tuple[str, ...] = ()
    tests: PairedOptions
    task: str = ""
    others: tuple[Comparison, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as a mapping that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> Comparison:
        """Read what `to_json` wrote, also where it calls metrics of a model "figures", as older versions did.

        Raises:
            DataError: It is no comparison.
        """
        try:
            systems = [
                {"metrics" if key == "figures" else key: value for key, value in one.items()} for one in tree["systems"]
            ]
            return TypeAdapter(cls).validate_python({**tree, "systems": systems})
        except (KeyError, TypeError, AttributeError, ValidationError) as error:
            raise DataError(f"this is no comparison: {error}") from error


def compare(  # noqa: PLR0913 - an option each
    places: Sequence[str | Path],
    *,
    metrics: Sequence[str] = (),
    baseline: str | None = None,
    split: str = "test",
    tasks: Sequence[str] = (),
    common: bool = False,
    best_first: bool = False,
    speed: bool = False,
    tests: PairedOptions = _TESTS,
    progress: Progress = SILENT,
) -> Comparison:
    """Compare trained models on the rows that they were tested on, task by task.

    Args:
        places: Folders of runs, or of studies.
        metrics: Names of metrics, the most important first; empty: the usual ones of the labels' kind.
        baseline: Name or folder of the model that the others are tested against; None: the best by the first metric.
        split: Of the predictions: `test` or `validation`.
        tasks: Names of the tasks to compare by; empty: all that all models have, or else each model's first.
        common: Compare on the rows that all have, instead of refusing what differs.
        best_first: Order by the first metric, instead of as given.
        speed: Measure texts per second, which takes a while.
        tests: Resamples, permutations and their seed.
        progress: Whom to tell.

    Raises:
        BundleError: A folder's manifest can't be read.
        ConfigError: A metric or the baseline is none, or the labels differ.
        DataError: There are no runs or predictions, or the rows differ.
        MissingExtraError: scipy is not installed.
        SchemeError: A model has no such task.
    """
    folders = find_runs(places)
    manifests = [read_manifest(folder) for folder in folders]
    names: list[str | None] = [*tasks]
    if not names:
        shared = set.intersection(*({task.name for task in manifest.tasks} for manifest in manifests))
        names = [task.name for task in manifests[0].tasks if task.name in shared] or [None]
    schemes = [manifests[0].facts(name).scheme.canonical_scheme() for name in names]
    for metric in metrics:
        if not any(metric in fitting(Kind.of(scheme)) for scheme in schemes):
            check_metrics([metric], schemes[0])
    found: list[Comparison] = []
    costs: dict[str, Cost] = {}
    for name in names:
        runs, notes = _read_runs(folders, manifests, split, name, common=common)
        groups, scheme, labels = _group(runs), runs[0].task.scheme, runs[0].predictions.labels
        kind = Kind.of(scheme)
        # Of several tasks each has the metrics that its kind of labels has, of those that are asked for.
        chosen = [one for one in metrics if one in fitting(kind)] if len(names) > 1 else list(metrics)
        if not chosen:
            exact = "subset_accuracy" if scheme.kind == "multi-label" else "accuracy"
            usual = ("macro_f1", exact, "weighted_f1", "mae", "quadratic_kappa")
            chosen = [one for one in usual if one in fitting(kind)]
        check_metrics(chosen, scheme)
        if kind.ranks is not None:
            # In the order of the predictions' columns.
            ranks = kind.ranks[[scheme.labels.index(label) for label in labels]]
            kind = Kind(one_label=kind.one_label, ranks=ranks)
        rows = Rows(runs[0].predictions.truth, kind, chosen, tests)
        systems: dict[str, System] = {}
        measured: list[Compared] = []
        with stage(progress, "comparing", total=2 * len(groups), unit="models"):
            for key, group in groups.items():
                if key not in costs:  # which are those of all tasks together
                    costs[key] = _cost(group, speed=speed)
                systems[key], model = _measured(key, group, rows, costs[key])
                measured.append(model)
                progress.advance()
            if baseline is None:
                against = max(measured, key=lambda one: _goodness(one, chosen[0])).name
            else:
                folder_name = baseline.rstrip("/").rpartition("/")[2]
                named = [one.name for one in measured if baseline == one.name or folder_name in one.folders]
                if not named:
                    hint = suggest(baseline, [one.name for one in measured])
                    raise ConfigError(f"there is no model {baseline!r} here", hint=hint, key="baseline")
                against = named[0]
            second = systems[against]
            for place, one in enumerate(measured):
                if one.name != against:
                    first = systems[one.name]
                    single = len(first.answers) == len(second.answers) == 1
                    measured[place] = replace(
                        one,
                        differences=rows.differences(first, second),
                        mcnemar=mcnemar(rows.truth, first.answers[0], second.answers[0]) if single else None,
                    )
                progress.advance()
        if best_first:
            measured.sort(key=lambda one: -_goodness(one, chosen[0]))
        found.append(
            Comparison(
                split=split,
                rows=len(runs[0].predictions),
                scheme=scheme.name,
                labels=labels,
                metrics=tuple(chosen),
                baseline=against,
                systems=_corrected(measured, chosen),
                notes=tuple(notes),
                tests=tests,
                task=runs[0].task.name,
            )
        )
    return replace(found[0], others=tuple(found[1:]))


def check_metrics(metrics: Sequence[str], scheme: LabelScheme) -> None:
    """Refuse metrics that a scheme has not.

    Raises:
        ConfigError: A name is none of them; the nearest is named.
    """
    known = fitting(Kind.of(scheme))
    for name in metrics:
        if name not in known:
            raise ConfigError(
                f"there is no metric {name!r} for the labels of {scheme.name}", hint=suggest(name, known), key="metric"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """A trained model and what it said about some rows, for one task.

    Attributes:
        folder: Where it is.
        title: As tables call it, if its study says so.
        manifest: Its `ottenok.json`.
        task: With labels and decision as ottenok spells them.
        predictions: Of the split.
    """

    folder: Path
    title: str | None
    manifest: BundleManifest
    task: Task
    predictions: Predictions

    @property
    def seed(self) -> int | None:
        """The seed of its recipe."""
        seed = self.manifest.recipe.get("seed")
        return seed if isinstance(seed, int) else None


def find_runs(places: Sequence[str | Path]) -> list[Path]:
    """Return the folders of runs: those given, and those in the studies given, each once.

    Raises:
        DataError: A folder is absent, or holds no finished run.
    """
    found: dict[Path, Path] = {}
    for place in map(Path, places):
        inside = [place]
        if not (place / MANIFEST).is_file():
            # In the order of a study's variants, else by name.
            listed = [place / name for name in _titles(place)] or (sorted(place.iterdir()) if place.is_dir() else [])
            inside = [folder for folder in listed if (folder / MANIFEST).is_file()]
        if not inside:
            raise DataError(
                "there is no finished run here" if place.is_dir() else "there is no such folder",
                hint="Give folders that `ottenok train` or `ottenok study` wrote.",
                file=str(place),
            )
        for folder in inside:
            found.setdefault(folder.resolve(), folder)
    return list(found.values())


def _titles(study: Path) -> dict[str, str]:
    """Return the titles of a study's folders; nothing if this is no study."""
    file = study / STUDY_FILE
    if not file.is_file():
        return {}
    try:
        tree = json.loads(file.read_text(encoding="utf-8"))
        runs: list[dict[str, Any]] = tree["variants"] if "variants" in tree else tree["arms"]
        return {str(run["folder"]): str(run["title"]) for run in runs}
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"this study can't be read: {error!r}", file=str(file)) from error


def _read_runs(
    folders: Sequence[Path], manifests: Sequence[BundleManifest], split: str, name: str | None, *, common: bool
) -> tuple[list[_Run], list[str]]:
    """Read what all runs said for a task, on the same rows, in the order and with the labels of the first run.

    Returns:
        The runs, and what was left out, a sentence each.

    Raises:
        ConfigError: The labels differ.
        DataError: There are no predictions, or the rows differ and not only the common ones are wanted.
    """
    runs: list[_Run] = []
    for folder, manifest in zip(folders, manifests, strict=True):
        task = manifest.facts(name).task(canonical=True)
        file = prediction_files(folder, split, manifest.task_list())[task.name]
        predictions = load_predictions(file)
        if set(predictions.labels) != set(task.scheme.labels):
            raise DataError(f"these predictions have other labels than {MANIFEST}", file=str(file))
        title = _titles(folder.parent).get(folder.name)
        runs.append(_Run(folder=folder, title=title, manifest=manifest, task=task, predictions=predictions))
    first, scheme = runs[0], runs[0].task.scheme
    for run in runs[1:]:
        own = run.task.scheme
        if set(own.labels) != set(scheme.labels) or (own.kind == "multi-label") != (scheme.kind == "multi-label"):
            raise ConfigError(
                f"{run.folder.name} answers in the labels {', '.join(own.labels)} ({own.kind}), and "
                f"{first.folder.name} in {', '.join(scheme.labels)} ({scheme.kind})",
                hint="Compare models of one label scheme.",
            )
    ordered = [replace(run, predictions=run.predictions.in_order(first.predictions.labels)) for run in runs]
    hint = "Train on corpora with the same test rows, or compare on the rows that all have: --common"
    for other in () if common else ordered[1:]:
        one, two = ordered[0].predictions, other.predictions
        only = [sorted(set(a.ids) - set(b.ids)) for a, b in ((one, two), (two, one))]
        if any(only):
            parts = [
                f"{len(ids):,} only in {run.folder.name} (the first: {ids[0]})"
                for ids, run in zip(only, (first, other), strict=True)
                if ids
            ]
            raise DataError(f"the rows differ: {', '.join(parts)}", hint=hint)
        place = {row: i for i, row in enumerate(two.ids)}
        unlike = np.flatnonzero((one.truth != two.truth[[place[row] for row in one.ids]]).any(axis=1))
        if len(unlike):
            row, said = one.ids[int(unlike[0])], []
            for rows, run in ((one, first), (two, other)):
                true = [rows.labels[i] for i in np.flatnonzero(rows.truth[rows.ids.index(row)])]
                said.append(f"{', '.join(true) or 'without a label'} in {run.folder.name}")
            raise DataError(f"{len(unlike):,} rows have other labels: {row} is {' and '.join(said)}", hint=hint)
    # The ids that all have with the same truth, in the first one's order.
    kept = dict(zip(first.predictions.ids, map(bytes, first.predictions.truth), strict=True))
    for run in ordered[1:]:
        truth = dict(zip(run.predictions.ids, map(bytes, run.predictions.truth), strict=True))
        kept = {row: value for row, value in kept.items() if truth.get(row) == value}
    if not kept:
        raise DataError("these runs have no row in common", hint="Compare runs on the same test rows.")
    found, notes = [], []
    for run in ordered:
        if len(kept) < len(run.predictions):
            left = len(run.predictions) - len(kept)
            notes.append(f"{left:,} of the {len(run.predictions):,} rows of {run.folder.name} are left out.")
        place = {row: i for i, row in enumerate(run.predictions.ids)}
        found.append(replace(run, predictions=run.predictions.take([place[row] for row in kept])))
    return found, notes


def _group(runs: Sequence[_Run]) -> dict[str, tuple[_Run, ...]]:
    """Put runs together, by seed, whose recipes differ in the seed alone; return them under different names.

    A second run with the same seed measures nothing that the first does not: it is a group of its own.
    """
    groups: dict[tuple[str, int], list[_Run]] = {}
    for run in runs:
        whole = flat(completed(run.manifest.recipe))
        recipe = {key: value for key, value in whole.items() if key not in {*FREE_KEYS, "seed"}}
        data = run.manifest.data
        corpus = None if data is None else [data.name, data.rows, data.recipe]
        key, number = json.dumps([recipe, corpus], sort_keys=True, default=str), 0
        while any(other.seed == run.seed for other in groups.get((key, number), [])):
            number += 1
        groups.setdefault((key, number), []).append(run)
    parts = [tuple(sorted(part, key=lambda run: run.seed or 0)) for part in groups.values()]
    names = [part[0].title or part[0].manifest.name for part in parts]
    return {
        name if names.count(name) == 1 else f"{name} ({part[0].folder.name})": part
        for name, part in zip(names, parts, strict=True)
    }


def _measured(name: str, group: Sequence[_Run], rows: Rows, cost: Cost) -> tuple[System, Compared]:
    """Return what the runs of a group answer, by their own decisions, and how good that is."""
    answers: list[npt.NDArray[np.bool_]] = []
    for run in group:
        labels = run.task.scheme.labels
        chosen = run.task.chosen(run.predictions.in_order(labels).probs)
        answers.append(chosen[:, [labels.index(label) for label in run.predictions.labels]])
    system = System(answers=tuple(answers), probs=tuple(run.predictions.probs for run in group))
    found = rows.estimates(system)
    # Those that have neither intervals nor tests.
    asked = [one for one in rows.names if METRICS[one].count is None and one not in AREAS]
    values: dict[str, list[float]] = {one: [] for one in asked}
    for run in group if asked else ():
        ordered = run.predictions.in_order(run.task.scheme.labels)
        report = evaluate(
            run.task,
            ordered.truth,
            ordered.probs,
            sources=ordered.sources if any(ordered.sources) else None,
            languages=ordered.languages or None,
            options=EvaluationOptions(resamples=0),
        )
        for one in asked:
            if one in report.metrics:
                values[one].append(report.metrics[one].value)
    for one, each in values.items():
        if each:
            deviation = float(np.std(each, ddof=1)) if len(each) > 1 else None
            found[one] = Estimate(value=float(np.mean(each)), deviation=deviation)
    compared = Compared(
        name=name,
        folders=tuple(run.folder.name for run in group),
        seeds=tuple(run.seed for run in group),
        metrics=found,
        cost=cost,
    )
    return system, compared


def _goodness(one: Compared, metric: str) -> float:
    """Return a metric so that more is better; the least there is where a model has none."""
    return goodness(metric, one.metrics[metric].value) if metric in one.metrics else float("-inf")


def _corrected(systems: Sequence[Compared], metrics: Sequence[str]) -> tuple[Compared, ...]:
    """Correct the p values of each metric for the number of models that were tested."""
    corrected: dict[str, dict[str, float]] = {one.name: {} for one in systems}
    for metric in metrics:
        values = {one.name: one.differences[metric].p for one in systems if metric in one.differences}
        known = {name: p for name, p in values.items() if p is not None}
        for name, p in zip(known, holm(list(known.values())), strict=True):
            corrected[name][metric] = p
    return tuple(replace(one, corrected=corrected[one.name]) for one in systems)


def _cost(group: Sequence[_Run], *, speed: bool) -> Cost:
    """Return what a group's model costs, from its manifests; its speed is measured if that is asked for."""
    first = group[0]
    taken = [run.manifest.training for run in group if run.manifest.training is not None]
    files = first.manifest.files
    sizes = {name: files[name].bytes / 1e6 if name in files else None for name in (WEIGHTS, ONNX, ONNX_INT8)}
    graph = ("int8" if (first.folder / ONNX_INT8).is_file() else "fp32") if speed else None
    rate = None
    if speed:
        try:
            classifier, sample, rates = load(first.folder), sample_texts(512), []
            classifier(sample[:64])  # not counted
            for _ in range(3):
                begun = time.perf_counter()
                classifier(sample)
                rates.append(len(sample) / (time.perf_counter() - begun))
            rate = median(rates)
        except OttenokError:  # a model without graphs
            graph = None
    return Cost(
        parameters=taken[0].parameters if taken else None,
        trained=taken[0].trained if taken else None,
        epochs=mean(facts.epochs for facts in taken) if taken else None,
        minutes=mean(facts.seconds for facts in taken) / 60.0 if taken else None,
        weights_mb=sizes[WEIGHTS],
        fp32_mb=sizes[ONNX],
        int8_mb=sizes[ONNX_INT8],
        texts_per_second=rate,
        graph=graph,
        device=taken[0].device if taken else None,
    )


def sample_texts(count: int) -> list[str]:
    """Return made-up texts of one to eight sentences, Russian and Chinese: the same ones on every machine."""
    rng = random.Random(0)  # noqa: S311 - a sample, no secret
    return [" ".join(rng.choices(_SENTENCES, k=rng.choice((1, 1, 1, 2, 2, 3, 5, 8)))) for _ in range(count)]
