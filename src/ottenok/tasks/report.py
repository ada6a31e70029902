"""What an evaluation finds, by the one metric code for torch models, ONNX models and baselines alike.

Metrics are checked against scikit-learn in the tests. Intervals are percentile bootstrap intervals over rows (Efron
1979), except those of areas under ROC curves (`ottenok.tasks.auc`); the calibration error has none
(`ottenok.tasks.calibration`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import TypeAdapter, ValidationError

from ottenok.core.config import suggest
from ottenok.core.errors import ConfigError, DataError
from ottenok.tasks.auc import Areas, measure_areas
from ottenok.tasks.calibration import (
    Calibration,
    calibration,
    untempered,
)
from ottenok.tasks.metrics import (
    OPEN,
    Interval,
    Kind,
    counted,
    f1,
    group,
    label_f1,
    label_precision,
    label_recall,
    macro,
    ratio,
    resampled,
    tally,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from ottenok.core.schemes import LabelScheme
    from ottenok.tasks.calibration import Calibration
    from ottenok.tasks.metrics import Tally
    from ottenok.tasks.task import Task

    Floats = npt.NDArray[np.float64]
    Probabilities = npt.NDArray[np.float32]
    Mask = npt.NDArray[np.bool_]

__all__ = [
    "LEAST_ROWS",
    "AverageMetrics",
    "CellMetrics",
    "EvaluationOptions",
    "LabelMetrics",
    "Report",
    "SourceMetrics",
    "epoch_metrics",
    "evaluate",
    "upgraded_report",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelMetrics:
    """One label's metrics.

    Attributes:
        label: Its name.
        precision: Share of its answers that are right; 0 without answers.
        recall: Share of its true rows that are found; 0 without true rows.
        f1: Their harmonic mean.
        auc: Area under the ROC curve of this label against the rest; None where all rows or none have the label.
        support: True rows.
        auc_low: Lower end of the AUC's interval; None without one.
        auc_high: Upper end, likewise.
    """

    label: str
    precision: float
    recall: float
    f1: Interval
    auc: float | None
    support: int
    auc_low: float | None = None
    auc_high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AverageMetrics:
    """Averages over labels; `macro`, `weighted` (by support) or `micro` (all answers together).

    `auc` leaves out labels whose own AUC is undefined; None where all are.
    """

    name: Literal["macro", "weighted", "micro"]
    precision: float
    recall: float
    f1: float
    auc: float | None
    support: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceMetrics:
    """One source's metrics.

    Attributes:
        source: Its name.
        rows: Its rows.
        metrics: Name to value and interval; those that follow from counts.
    """

    source: str
    rows: int
    metrics: dict[str, Interval]


@dataclass(frozen=True, slots=True, kw_only=True)
class CellMetrics:
    """One label's metrics in one language.

    Attributes:
        language: ISO 639-1 code, or "" where it is unknown.
        label: Its name.
        rows: True rows of the label in this language.
        precision: Share of its answers that are right; 0 without answers.
        recall: Share of its true rows that are found; 0 without true rows.
        f1: Their harmonic mean.
    """

    language: str
    label: str
    rows: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One system's metrics on one set of rows.

    Attributes:
        system: What was evaluated: a model's or a baseline's name.
        scheme: Name of the label scheme.
        kind: Kind of the scheme.
        rows: Number of rows.
        labels: Metrics per label, in the scheme's order.
        averages: Macro, weighted and micro averages.
        metrics: Name (see `ottenok.tasks.metrics`) to value and interval.
        sources: Metrics per source, by name; empty where rows have no sources.
        confusion: Rows per true label (outer) and answered label (inner); empty for multi-label schemes.
        confidence: Of every interval, 0..1.
        resamples: Bootstrap resamples; 0: no intervals.
        seed: Of the resamples.
        calibration: How far the probabilities can be believed; None in reports of older versions.
        uncalibrated: The same before the temperature; None where there was none, or it is not known.
        cells: Metrics per language and label, languages by code; empty where languages are not known.
        task: Name of the task; "" in reports of older versions.
    """

    system: str
    scheme: str
    kind: Literal["multi-class", "multi-label", "ordinal"]
    rows: int
    labels: tuple[LabelMetrics, ...]
    averages: tuple[AverageMetrics, ...]
    metrics: dict[str, Interval]
    sources: tuple[SourceMetrics, ...]
    confusion: tuple[tuple[int, ...], ...]
    confidence: float
    resamples: int
    seed: int
    calibration: Calibration | None = None
    uncalibrated: Calibration | None = None
    cells: tuple[CellMetrics, ...] = ()
    task: str = ""

    def value(self, name: str) -> float:
        """Return one metric's value, for instance to choose the best checkpoint.

        Raises:
            ConfigError: The report has no such metric.
        """
        if name not in self.metrics:
            raise ConfigError(f"there is no metric {name!r} here", hint=suggest(name, self.metrics), key="metric")
        return self.metrics[name].value

    def to_json(self) -> dict[str, Any]:
        """Return the report as a mapping that JSON can hold."""
        tree: dict[str, Any] = _adapter().dump_python(self, mode="json")
        return tree

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> Report:
        """Read what `to_json` wrote, also where it calls metrics "figures", as older versions did.

        Raises:
            DataError: It is no report.
        """
        try:
            return _adapter().validate_python(upgraded_report(tree))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(str(part) for part in first["loc"])
            raise DataError(f"this is no evaluation report: {first['msg']}", key=key or None) from error


def upgraded_report(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return a report's tree with the keys of today: reports of older versions have `figures` for `metrics`."""
    found = {"metrics" if key == "figures" else key: value for key, value in tree.items()}
    if isinstance(sources := found.get("sources"), list | tuple):
        found["sources"] = [
            {"metrics" if key == "figures" else key: value for key, value in source.items()}
            if isinstance(source, Mapping)
            else source
            for source in sources
        ]
    return found


@cache
def _adapter() -> TypeAdapter[Report]:
    return TypeAdapter(Report)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationOptions:
    """How to evaluate.

    Attributes:
        system: The name of what is evaluated, for tables.
        resamples: Bootstrap resamples; 0 leaves intervals out, which is faster.
        confidence: Of the intervals, between 0 and 1.
        seed: Of the resamples.
        temperature: What the logits were divided by when the model was calibrated, wherever it is kept; given, the
            report also tells of the probabilities before it. None: there was none.
    """

    system: str = "model"
    resamples: int = 1000
    confidence: float = 0.95
    seed: int = 0
    temperature: float | None = None


_USUAL = EvaluationOptions()
# Fewest rows of a source, or true rows of a label in a language, that count in means over such parts.
LEAST_ROWS = 50


def evaluate(
    task: Task,
    truth: Mask,
    probs: npt.ArrayLike,
    *,
    sources: Sequence[str] | None = None,
    languages: Sequence[str] | None = None,
    options: EvaluationOptions = _USUAL,
) -> Report:
    """Compare a system's probabilities with the truth.

    Args:
        task: The labels, in the order of the columns, and how probabilities become answers.
        truth: bool `[rows, labels]`, from `ottenok.tasks.decision.indicator`; rows that have a label for the task.
        probs: `[rows, labels]`, from `Task.probabilities`.
        sources: Each row's source, for metrics per source.
        languages: Each row's language, for metrics per language and label.
        options: The system's name and the intervals.

    Raises:
        DataError: There are no rows, or their numbers differ.
        ModelError: Probabilities have another shape than the labels, or are not finite.
    """
    scheme, decision = task.scheme, task.decision
    answer = task.chosen(probs)
    if not len(truth):
        raise DataError("there are no rows to evaluate", hint="Check the file and the split.")
    if truth.shape != answer.shape:
        raise DataError(
            f"found labels of shape {list(truth.shape)} and probabilities of shape {list(answer.shape)}",
            hint="Each row needs one probability per label.",
        )
    for name, values in (("sources", sources), ("languages", languages)):
        if values is not None and len(values) != len(truth):
            raise DataError(f"found {len(values)} {name} for {len(truth)} rows")
    numbers, kind = np.asarray(probs, dtype=np.float32), Kind.of(scheme)
    whole = _count(truth, answer, kind, options)
    metrics = dict(whole.metrics)
    if kind.one_label and decision.activation == "sigmoid":
        # As published scripts count that learn one-hot sigmoids: every label that has at least a half is an answer.
        found = _count(truth, numbers >= np.float32(0.5), Kind(one_label=False, ranks=None), options).metrics
        metrics |= {name: found[known] for name, known in OPEN.items() if known in found}
    by_source = []
    for source in () if sources is None else np.unique(sources):
        rows = np.flatnonzero(np.asarray(sources) == source)
        of_source = _count(truth[rows], answer[rows], kind, options).metrics
        by_source.append(SourceMetrics(source=str(source), rows=len(rows), metrics=of_source))
    # Parts with few rows, whose metrics are noise, count only if all parts are such.
    if told := [one for one in by_source if one.rows >= LEAST_ROWS] or by_source:
        name = "macro_f1_present" if kind.one_label else "macro_f1"
        metrics["source_f1"] = Interval(value=float(np.mean([one.metrics[name].value for one in told])))
    cells = () if languages is None else _cells(truth, answer, np.asarray(languages), scheme)
    if (mean := _cell_f1(cells)) is not None:
        metrics["cell_f1"] = Interval(value=mean)
    areas = measure_areas(numbers, truth, confidence=options.confidence if options.resamples else None)
    for name, interval in (("macro", areas.macro), ("weighted", areas.weighted), ("micro", areas.micro)):
        if interval is not None:
            metrics[f"{name}_auc"] = interval
    believed, before = calibration(numbers, truth, one_label=kind.one_label), None
    metrics["calibration_error"] = Interval(value=believed.overall.error)
    if options.temperature is not None and decision.activation in {"softmax", "sigmoid"}:
        untouched = untempered(numbers, decision.activation, options.temperature)
        before = calibration(untouched, truth, one_label=kind.one_label)
    confusion = tuple(tuple(int(cell) for cell in row) for row in whole.tally.confusion)
    return Report(
        system=options.system,
        scheme=scheme.name,
        kind=scheme.kind,
        rows=len(truth),
        labels=_labels(whole, scheme, areas),
        averages=_averages(whole.tally, areas),
        metrics=metrics,
        sources=tuple(by_source),
        confusion=confusion if kind.one_label else (),
        confidence=options.confidence,
        resamples=options.resamples,
        seed=options.seed,
        calibration=believed,
        uncalibrated=before,
        cells=cells,
        task=task.name,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counted:
    """Counts of some rows, with every metric and its interval."""

    tally: Tally
    metrics: dict[str, Interval]
    label_f1: tuple[Interval, ...]


def _count(truth: Mask, answer: Mask, kind: Kind, options: EvaluationOptions) -> _Counted:
    pairs = group(truth, answer)
    counts = tally(pairs, pairs.count, kind)
    drawn = [
        (counted(block), label_f1(block))
        for block in resampled(pairs, kind, resamples=options.resamples, seed=options.seed)
    ]

    def interval(value: Floats, blocks: list[Floats]) -> Interval:
        values = np.concatenate(blocks) if blocks else np.zeros(0)
        # Resamples in which the metric is undefined (one label only, for kappa) can't take part.
        values = values[np.isfinite(values)]
        if not len(values):
            return Interval(value=float(value))
        tail = (1.0 - options.confidence) / 2.0
        low, high = np.quantile(values, [tail, 1.0 - tail])
        return Interval(value=float(value), low=float(low), high=float(high))

    f1s = label_f1(counts)
    return _Counted(
        tally=counts,
        # Full coverage says nothing, and undefined metrics are left out rather than given as NaN.
        metrics={
            name: interval(value, [block[name] for block, _ in drawn])
            for name, value in counted(counts).items()
            if np.isfinite(value) and not (name == "coverage" and value == 1.0)
        },
        label_f1=tuple(interval(f1s[i], [values[:, i] for _, values in drawn]) for i in range(truth.shape[1])),
    )


def _labels(whole: _Counted, scheme: LabelScheme, areas: Areas) -> tuple[LabelMetrics, ...]:
    precision, recall = label_precision(whole.tally), label_recall(whole.tally)
    return tuple(
        LabelMetrics(
            label=label,
            precision=float(precision[i]),
            recall=float(recall[i]),
            f1=whole.label_f1[i],
            auc=None if area is None else area.value,
            support=int(whole.tally.support[i]),
            auc_low=None if area is None else area.low,
            auc_high=None if area is None else area.high,
        )
        for i, (label, area) in enumerate(zip(scheme.labels, areas.labels, strict=True))
    )


def _averages(counts: Tally, areas: Areas) -> tuple[AverageMetrics, ...]:
    total = int(counts.support.sum())
    values = (label_precision(counts), label_recall(counts), label_f1(counts))
    hits, selected, support = (float(part.sum()) for part in (counts.hits, counts.selected, counts.support))
    micro = (hits / max(selected, 1.0), hits / max(support, 1.0), 2.0 * hits / max(selected + support, 1.0))
    shares = counts.support / max(support, 1.0)
    rows: list[tuple[Literal["macro", "weighted", "micro"], list[float], Interval | None]] = [
        ("macro", [float(macro(value, counts)) for value in values], areas.macro),
        ("weighted", [float(value @ shares) for value in values], areas.weighted),
        ("micro", list(micro), areas.micro),
    ]
    return tuple(
        AverageMetrics(
            name=name,
            precision=three[0],
            recall=three[1],
            f1=three[2],
            auc=None if area is None else area.value,
            support=total,
        )
        for name, three, area in rows
    )


def _cells(truth: Mask, answer: Mask, languages: npt.NDArray[np.str_], scheme: LabelScheme) -> tuple[CellMetrics, ...]:
    found = []
    for language in np.unique(languages):
        rows = np.flatnonzero(languages == language)
        hits, selected, support = (
            part.sum(axis=0).astype(np.float64) for part in (truth[rows] & answer[rows], answer[rows], truth[rows])
        )
        values = (ratio(hits, selected), ratio(hits, support), f1(hits, selected, support))
        found += [
            CellMetrics(
                language=str(language),
                label=label,
                rows=int(support[i]),
                precision=float(values[0][i]),
                recall=float(values[1][i]),
                f1=float(values[2][i]),
            )
            for i, label in enumerate(scheme.labels)
        ]
    return tuple(found)


def _cell_f1(cells: Sequence[CellMetrics]) -> float | None:
    true = [one for one in cells if one.rows]
    known = [one.f1 for one in true if one.rows >= LEAST_ROWS] or [one.f1 for one in true]
    return float(np.mean(known)) if known else None


def epoch_metrics(reports: Mapping[str, Report]) -> dict[str, float]:
    """Return the metrics of several tasks on the same rows as one flat table, name to value.

    One task gives its metrics by their own names. Several give `<task>/<metric>` for each, and under the plain name the
    mean over the tasks that have the metric; `cell_f1` is the mean over all cells of all tasks.

    Args:
        reports: Task to its report.
    """
    if len(reports) == 1:
        (report,) = reports.values()
        return {name: found.value for name, found in report.metrics.items()}
    every = {name: {metric: found.value for metric, found in one.metrics.items()} for name, one in reports.items()}
    names = dict.fromkeys(metric for values in every.values() for metric in values)
    means = {
        metric: float(np.mean([values[metric] for values in every.values() if metric in values])) for metric in names
    }
    cells = [cell for report in reports.values() for cell in report.cells]
    if (mean := _cell_f1(cells)) is not None:
        means["cell_f1"] = mean
    return means | {f"{name}/{metric}": value for name, values in every.items() for metric, value in values.items()}
