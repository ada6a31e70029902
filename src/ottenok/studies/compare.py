"""Trained models side by side: figures with intervals, paired tests against one of them, and what each costs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ottenok.core.errors import ConfigError
from ottenok.core.progress import SILENT, Progress, stage
from ottenok.core.suggest import suggest
from ottenok.studies.compare_costs import Cost, cost
from ottenok.studies.compare_runs import align, find_runs, group_runs, in_order, read_runs
from ottenok.tasks.metrics import METRICS, Kind, fitting, goodness
from ottenok.tasks.paired import AREAS, Difference, Estimate, McNemar, PairedOptions, Rows, System, holm, mcnemar
from ottenok.tasks.report import EvaluationOptions, evaluate
from ottenok.tasks.task import Task

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ottenok.core.schemes import LabelScheme
    from ottenok.studies.compare_runs import Group, Run
    from ottenok.tasks.report import Report

__all__ = ["CompareSpec", "Compared", "Comparison", "Failed", "check_metrics", "compare", "usual_figures"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareSpec:
    """What to compare, and how.

    Attributes:
        metrics: Names of figures, the most important first; empty: the usual ones of the labels' kind.
        baseline: Name or folder of the model that the others are tested against; None: the best by the first metric.
        split: Of the predictions.
        common: Compare on the rows that all have, instead of refusing what differs.
        best_first: Order by the first metric, instead of as given.
        speed: Measure texts per second, which takes a while.
        tests: Resamples, permutations and their seed.
    """

    metrics: tuple[str, ...] = ()
    baseline: str | None = None
    split: str = "test"
    common: bool = False
    best_first: bool = False
    speed: bool = False
    tests: PairedOptions = field(default_factory=PairedOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One model, or several runs of one recipe.

    Attributes:
        name: As tables call it.
        folders: Names of its folders.
        seeds: Of its runs.
        figures: Name to value, deviation over runs and interval.
        differences: Name to the difference to the baseline; empty for the baseline itself.
        corrected: Name to the p value after Holm's correction for all models that were tested.
        mcnemar: McNemar's test against the baseline, for single runs; its p value is not corrected.
        cost: What it takes.
    """

    name: str
    folders: tuple[str, ...]
    seeds: tuple[int | None, ...]
    figures: dict[str, Estimate]
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
        metrics: Names of the figures, the most important first.
        baseline: Name of the model that the others are tested against.
        systems: The models.
        failed: Those that there are no figures of.
        notes: What a reader should know, a sentence each.
        tests: Resamples, permutations and their seed.
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

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as a mapping that JSON can hold."""
        return asdict(self)


def usual_figures(scheme: LabelScheme) -> tuple[str, ...]:
    """Return the figures that tables of comparisons show for a scheme, the most important first."""
    exact = "subset_accuracy" if scheme.kind == "multi-label" else "accuracy"
    names = ("macro_f1", exact, "weighted_f1", "mae", "quadratic_kappa")
    return tuple(name for name in names if name in fitting(Kind.of(scheme)))


def compare(
    places: Sequence[str | Path], spec: CompareSpec | None = None, *, progress: Progress = SILENT
) -> Comparison:
    """Compare trained models on the rows that they were tested on.

    Args:
        places: Folders of runs, or of studies.
        spec: What to compare, and how; None: the usual.
        progress: Whom to tell.

    Raises:
        BundleError: A folder's manifest can't be read.
        ConfigError: A metric or the baseline is none, or the labels differ.
        DataError: There are no runs or predictions, or the rows differ.
        MissingExtraError: scipy is not installed.
    """
    spec = spec or CompareSpec()
    runs, notes = align(read_runs(find_runs(places), spec.split), common=spec.common)
    scheme = runs[0].manifest.scheme.canonical_scheme()
    metrics = spec.metrics or usual_figures(scheme)
    check_metrics(metrics, scheme)
    groups = group_runs(runs)
    truth = runs[0].predictions.truth
    kind = _kind_in_order(scheme, runs[0].predictions.labels)
    rows = Rows(truth, kind, metrics, spec.tests)
    systems = {group.name: _system(group) for group in groups}
    found: list[Compared] = []
    with stage(progress, "comparing", total=2 * len(groups), unit="models"):
        for group in groups:
            found.append(_measured(group, systems[group.name], rows, spec))
            progress.advance()
        baseline = _baseline(found, metrics[0], spec.baseline)
        tested = []
        for one in found:
            tested.append(one if one.name == baseline else _tested(one, systems, baseline, rows))
            progress.advance()
    if spec.best_first:
        tested.sort(key=lambda one: -_goodness(one, metrics[0]))
    return Comparison(
        split=spec.split,
        rows=len(truth),
        scheme=scheme.name,
        labels=runs[0].predictions.labels,
        metrics=metrics,
        baseline=baseline,
        systems=tuple(_corrected(tested, metrics)),
        notes=tuple(notes),
        tests=spec.tests,
    )


def check_metrics(metrics: Sequence[str], scheme: LabelScheme) -> None:
    """Refuse figures that a scheme has not.

    Raises:
        ConfigError: A name is none of them; the nearest is named.
    """
    known = fitting(Kind.of(scheme))
    for name in metrics:
        if name not in known:
            raise ConfigError(
                f"there is no figure {name!r} for the labels of {scheme.name}", hint=suggest(name, known), key="metric"
            )


def _kind_in_order(scheme: LabelScheme, labels: tuple[str, ...]) -> Kind:
    kind = Kind.of(scheme)
    if kind.ranks is None:
        return kind
    return Kind(one_label=kind.one_label, ranks=kind.ranks[[scheme.labels.index(label) for label in labels]])


def _system(group: Group) -> System:
    return System(
        answers=tuple(run.answers for run in group.runs), probs=tuple(run.predictions.probs for run in group.runs)
    )


def _measured(group: Group, system: System, rows: Rows, spec: CompareSpec) -> Compared:
    return Compared(
        name=group.name,
        folders=tuple(run.folder.name for run in group.runs),
        seeds=tuple(run.seed for run in group.runs),
        figures=rows.estimates(system) | _others(group, rows.names),
        cost=cost(group, speed=spec.speed),
    )


def _others(group: Group, names: Sequence[str]) -> dict[str, Estimate]:
    """Return the figures that have neither intervals nor tests."""
    asked = [name for name in names if METRICS[name].count is None and name not in AREAS]
    if not asked:
        return {}
    reports = [_report(run) for run in group.runs]
    values = {name: [report.metrics[name].value for report in reports if name in report.metrics] for name in asked}
    return {
        name: Estimate(value=float(np.mean(found)), deviation=float(np.std(found, ddof=1)) if len(found) > 1 else None)
        for name, found in values.items()
        if found
    }


def _report(run: Run) -> Report:
    scheme = run.manifest.scheme.canonical_scheme()
    predictions = in_order(run.predictions, scheme.labels)
    options = EvaluationOptions(resamples=0)
    decision = run.manifest.decision
    return evaluate(Task.of(scheme, decision), predictions.truth, predictions.probs, options=options)


def _baseline(systems: Sequence[Compared], metric: str, asked: str | None) -> str:
    if asked is None:
        return max(systems, key=lambda one: _goodness(one, metric)).name
    for one in systems:
        if asked == one.name or asked.rstrip("/").rpartition("/")[2] in one.folders:
            return one.name
    names = [one.name for one in systems]
    raise ConfigError(f"there is no model {asked!r} here", hint=suggest(asked, names), key="baseline")


def _goodness(one: Compared, metric: str) -> float:
    """Return a figure so that more is better; the least there is where a model has none."""
    if metric not in one.figures:
        return float("-inf")
    return goodness(metric, one.figures[metric].value)


def _tested(one: Compared, systems: dict[str, System], baseline: str, rows: Rows) -> Compared:
    first, second = systems[one.name], systems[baseline]
    single = len(first.answers) == len(second.answers) == 1
    return replace(
        one,
        differences=rows.differences(first, second),
        mcnemar=mcnemar(rows.truth, first.answers[0], second.answers[0]) if single else None,
    )


def _corrected(systems: Sequence[Compared], metrics: Sequence[str]) -> list[Compared]:
    """Correct the p values of each figure for the number of models that were tested."""
    corrected: dict[str, dict[str, float]] = {one.name: {} for one in systems}
    for metric in metrics:
        values = {one.name: one.differences[metric].p for one in systems if metric in one.differences}
        known = {name: p for name, p in values.items() if p is not None}
        for name, p in zip(known, holm(list(known.values())), strict=True):
            corrected[name][metric] = p
    return [replace(one, corrected=corrected[one.name]) for one in systems]
