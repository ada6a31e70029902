"""The one metric code: for torch models, ONNX models and baselines alike, in numpy.

Figures are checked against scikit-learn in the tests; what macro averages count is said in
`ottenok.tasks.figures`. Intervals are percentile bootstrap intervals over rows (Efron 1979), except those of areas
under ROC curves (`ottenok.tasks.delong`); the calibration error has none (`ottenok.tasks.calibration`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ottenok.core.errors import DataError
from ottenok.tasks.areas import Areas, measure_areas
from ottenok.tasks.calibration import calibration
from ottenok.tasks.decision import chosen
from ottenok.tasks.figures import OPEN, counted, label_f1, label_precision, label_recall, macro
from ottenok.tasks.report import AverageFigures, Interval, LabelFigures, Report, SourceFigures
from ottenok.tasks.tally import Kind, group, resampled, tally
from ottenok.tasks.temperature import untempered

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from ottenok.core.schemes import LabelScheme
    from ottenok.tasks.calibration import Calibration
    from ottenok.tasks.decision import Decision
    from ottenok.tasks.tally import Tally

    Floats = npt.NDArray[np.float64]
    Probabilities = npt.NDArray[np.float32]
    Mask = npt.NDArray[np.bool_]

__all__ = ["EvaluationOptions", "evaluate"]


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
# Multi-label scripts answer with every label that a sigmoid gives at least this.
_HALF = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counted:
    """Counts of some rows, with every figure and its interval."""

    tally: Tally
    figures: dict[str, Interval]
    label_f1: tuple[Interval, ...]


def evaluate(
    truth: Mask,
    probs: npt.ArrayLike,
    *,
    scheme: LabelScheme,
    decision: Decision,
    sources: Sequence[str] | None = None,
    options: EvaluationOptions = _USUAL,
) -> Report:
    """Compare a system's probabilities with the truth.

    Args:
        truth: bool `[rows, labels]`, from `ottenok.tasks.labels.indicator`.
        probs: `[rows, labels]`, from `ottenok.tasks.probabilities`.
        scheme: The labels, in the order of the columns.
        decision: How probabilities become answers.
        sources: Each row's source, for figures per source.
        options: The system's name and the intervals.

    Raises:
        DataError: There are no rows, or their numbers differ.
        ModelError: Probabilities have another shape than the labels, or are not finite.
        SchemeError: The decision does not fit the scheme.
    """
    answer = chosen(probs, scheme, decision)
    _check(truth, answer, sources)
    numbers = np.asarray(probs, dtype=np.float32)
    kind = Kind.of(scheme)
    whole = _count(truth, answer, kind, options)
    areas = measure_areas(numbers, truth, confidence=options.confidence if options.resamples else None)
    believed = calibration(numbers, truth, one_label=kind.one_label)
    return Report(
        system=options.system,
        scheme=scheme.name,
        kind=scheme.kind,
        rows=len(truth),
        labels=_labels(whole, scheme, areas),
        averages=_averages(whole.tally, areas),
        figures=whole.figures | _open(truth, numbers, kind, decision, options) | _plain(areas, believed.overall.error),
        sources=() if sources is None else _sources(truth, answer, np.asarray(sources), kind, options),
        confusion=_confusion(whole.tally) if kind.one_label else (),
        confidence=options.confidence,
        resamples=options.resamples,
        seed=options.seed,
        calibration=believed,
        uncalibrated=_uncalibrated(truth, numbers, kind, decision, options),
    )


def _uncalibrated(
    truth: Mask, probs: Probabilities, kind: Kind, decision: Decision, options: EvaluationOptions
) -> Calibration | None:
    if options.temperature is None or decision.activation not in {"softmax", "sigmoid"}:
        return None
    before = untempered(probs, decision.activation, options.temperature)
    return calibration(before, truth, one_label=kind.one_label)


def _check(truth: Mask, answer: Mask, sources: Sequence[str] | None) -> None:
    if not len(truth):
        raise DataError("there are no rows to evaluate", hint="Check the file and the split.")
    if truth.shape != answer.shape:
        raise DataError(
            f"found labels of shape {list(truth.shape)} and probabilities of shape {list(answer.shape)}",
            hint="Each row needs one probability per label.",
        )
    if sources is not None and len(sources) != len(truth):
        raise DataError(f"found {len(sources)} sources for {len(truth)} rows")


def _count(truth: Mask, answer: Mask, kind: Kind, options: EvaluationOptions) -> _Counted:
    pairs = group(truth, answer)
    counts = tally(pairs, pairs.count, kind)
    drawn = [
        (counted(block), label_f1(block))
        for block in resampled(pairs, kind, resamples=options.resamples, seed=options.seed)
    ]
    figures = {}
    for name, value in counted(counts).items():
        # Full coverage says nothing, and undefined figures are left out rather than given as NaN.
        if np.isfinite(value) and not (name == "coverage" and value == 1.0):
            figures[name] = _interval(value, [block[name] for block, _ in drawn], options)
    labels = range(truth.shape[1])
    f1s = label_f1(counts)
    return _Counted(
        tally=counts,
        figures=figures,
        label_f1=tuple(_interval(f1s[i], [values[:, i] for _, values in drawn], options) for i in labels),
    )


def _open(
    truth: Mask, probs: Probabilities, kind: Kind, decision: Decision, options: EvaluationOptions
) -> dict[str, Interval]:
    """Return the figures of one-label answers at 0.5, as published scripts count them that learn one-hot sigmoids."""
    if not kind.one_label or decision.activation != "sigmoid":
        return {}
    found = _count(truth, probs >= np.float32(_HALF), Kind(one_label=False, ranks=None), options).figures
    return {name: found[known] for name, known in OPEN.items() if known in found}


def _interval(value: Floats, blocks: list[Floats], options: EvaluationOptions) -> Interval:
    values = np.concatenate(blocks) if blocks else np.zeros(0)
    # Resamples in which the figure is undefined (one label only, for kappa) can't take part.
    values = values[np.isfinite(values)]
    if not len(values):
        return Interval(value=float(value))
    tail = (1.0 - options.confidence) / 2.0
    low, high = np.quantile(values, [tail, 1.0 - tail])
    return Interval(value=float(value), low=float(low), high=float(high))


def _labels(whole: _Counted, scheme: LabelScheme, areas: Areas) -> tuple[LabelFigures, ...]:
    precision, recall = label_precision(whole.tally), label_recall(whole.tally)
    return tuple(
        LabelFigures(
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


def _averages(counts: Tally, areas: Areas) -> tuple[AverageFigures, ...]:
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
        AverageFigures(
            name=name,
            precision=three[0],
            recall=three[1],
            f1=three[2],
            auc=None if area is None else area.value,
            support=total,
        )
        for name, three, area in rows
    )


def _plain(areas: Areas, calibration_error: float) -> dict[str, Interval]:
    """Return the figures that need probabilities."""
    found = {"macro_auc": areas.macro, "weighted_auc": areas.weighted, "micro_auc": areas.micro}
    told = {name: interval for name, interval in found.items() if interval is not None}
    return told | {"calibration_error": Interval(value=calibration_error)}


def _sources(
    truth: Mask, answer: Mask, sources: npt.NDArray[np.str_], kind: Kind, options: EvaluationOptions
) -> tuple[SourceFigures, ...]:
    found = []
    for source in np.unique(sources):
        rows = np.flatnonzero(sources == source)
        figures = _count(truth[rows], answer[rows], kind, options).figures
        found.append(SourceFigures(source=str(source), rows=len(rows), figures=figures))
    return tuple(found)


def _confusion(counts: Tally) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(int(cell) for cell in row) for row in counts.confusion)
