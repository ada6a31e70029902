"""A decision fitted on labelled rows, and what that did: temperature first, then thresholds.

Every metric "after" is cross-fitted: each row is calibrated and decided by what was fitted on other rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from ottenok.core.errors import ConfigError, DataError
from ottenok.tasks.calibration import Calibration, calibration, cross_fitted, fit_temperature, log_loss
from ottenok.tasks.decision import Decision, chosen, probabilities
from ottenok.tasks.tables import Grid
from ottenok.tasks.thresholds import ThresholdFit, ThresholdOptions, fit_thresholds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from ottenok.core.schemes import LabelScheme
    from ottenok.tasks.task import Task

    Floats = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]

__all__ = [
    "DecisionFit",
    "TemperatureReport",
    "TuningOptions",
    "TuningReport",
    "check_tuning",
    "fit_decision",
    "fitted_temperature",
    "tuning_sentences",
    "tuning_table",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningOptions:
    """What is fitted.

    Attributes:
        data: What the rows are, for people: `validation`, or a file's name.
        temperature: Whether a temperature is fitted; a regression has none.
        thresholds: How thresholds are fitted, for multi-label schemes; None: they stay.
    """

    data: str = "validation"
    temperature: bool = True
    thresholds: ThresholdOptions | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TemperatureReport:
    """What a temperature did.

    Attributes:
        temperature: What logits are divided by, beyond what they were before; 1 where none helps on rows not seen.
        loss_before: Log loss, in nats: a row's, or under sigmoid a row's and label's.
        loss_after: The same, cross-fitted.
        before: How far probabilities could be believed.
        after: The same, cross-fitted.
        folded: Whether it is in the weights, so that the decision itself does not have it.
    """

    temperature: float
    loss_before: float
    loss_after: float
    before: Calibration
    after: Calibration
    folded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningReport:
    """What a fit of the decision found.

    Attributes:
        data: What the rows are.
        rows: How many.
        labels: The scheme's.
        options: How thresholds were fitted; None: they were not.
        temperature: None where none was fitted.
        thresholds: None likewise; positions are those of `labels`.
    """

    data: str
    rows: int
    labels: tuple[str, ...]
    options: ThresholdOptions | None = None
    temperature: TemperatureReport | None = None
    thresholds: ThresholdFit | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the report as a mapping that JSON can hold."""
        tree: dict[str, Any] = _adapter().dump_python(self, mode="json")
        return tree

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> TuningReport:
        """Read what `to_json` wrote.

        Raises:
            DataError: It is no such report.
        """
        try:
            return _adapter().validate_python(tree)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(str(part) for part in first["loc"])
            raise DataError(f"this is no report of a tuning: {first['msg']}", key=key or None) from error


@cache
def _adapter() -> TypeAdapter[TuningReport]:
    return TypeAdapter(TuningReport)


def fitted_temperature(report: TuningReport | None) -> float | None:
    """Return the temperature that a tuning found, for `EvaluationOptions`; None where none was fitted."""
    return None if report is None or report.temperature is None else report.temperature.temperature


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionFit:
    """A fitted decision, and what the fit did."""

    decision: Decision
    report: TuningReport


def check_tuning(thresholds: ThresholdOptions | None, scheme: LabelScheme) -> None:
    """Refuse thresholds for labels that exclude each other.

    Raises:
        ConfigError: The scheme is not multi-label.
    """
    if thresholds is not None and scheme.kind != "multi-label":
        raise ConfigError(
            f"the scheme {scheme.name} has one label a row, so its answer is the most probable one, not what reaches a "
            "threshold",
            hint="Leave thresholds to multi-label schemes.",
            key="decision.thresholds",
        )


def fit_decision(task: Task, logits: npt.ArrayLike, truth: Mask, *, options: TuningOptions) -> DecisionFit:
    """Fit what the options ask for, on rows that the model was not trained on.

    Args:
        task: The labels, and the decision as it was before: what the fit begins at and is compared with.
        logits: `[rows, outputs]`, of rows that have a label for the task.
        truth: bool `[rows, labels]`.
        options: What is fitted.

    Raises:
        ConfigError: Thresholds are asked for in a one-label scheme, or a temperature for a regression.
        ModelError: There are too few rows, or the logits are not finite.
    """
    scheme, decision = task.scheme, task.decision
    check_tuning(options.thresholds, scheme)
    numbers = np.asarray(logits, dtype=np.float64)
    fitted, temperature, thresholds = decision, None, None
    if options.temperature:
        plain = replace(decision, temperature=1.0, thresholds=())
        scaled, one_label = numbers / decision.temperature, scheme.kind != "multi-label"
        fit = fit_temperature(scaled, truth, plain)
        others = scaled / cross_fitted(scaled, truth, plain)[:, None]
        loss = log_loss(others, truth, plain)
        before = calibration(probabilities(scaled, plain), truth, one_label=one_label)
        helps = loss < fit.loss_before
        after = calibration(probabilities(others, plain), truth, one_label=one_label) if helps else before
        temperature = TemperatureReport(
            temperature=fit.temperature if helps else 1.0,
            loss_before=fit.loss_before,
            loss_after=loss if helps else fit.loss_before,
            before=before,
            after=after,
        )
        fitted = replace(fitted, temperature=decision.temperature * temperature.temperature)
    if options.thresholds is not None:
        thresholds = fit_thresholds(
            probabilities(numbers, fitted),
            truth,
            options.thresholds,
            earlier=fitted.thresholds,
            answer=lambda probs, cuts: chosen(probs, scheme, replace(fitted, thresholds=cuts)),
        )
        fitted = replace(fitted, thresholds=thresholds.thresholds)
    report = TuningReport(
        data=options.data,
        rows=len(truth),
        labels=scheme.labels,
        options=options.thresholds,
        temperature=temperature,
        thresholds=thresholds,
    )
    return DecisionFit(decision=fitted, report=report)


def tuning_sentences(report: TuningReport) -> tuple[str, ...]:
    """Return a sentence on the temperature and one on the thresholds, as far as they were fitted."""
    sentences = []
    rows = f"fitted on {report.rows:,} rows ({report.data})"
    if (heat := report.temperature) is not None:
        before, after = heat.before.overall, heat.after.overall
        if heat.temperature == 1.0:
            sentences.append(
                f"No temperature, {rows}, makes the probabilities better: calibration error {before.error:.4f} "
                f"({before.chance:.4f} by chance)."
            )
        else:
            sentences.append(
                f"Temperature {heat.temperature:.3f}, {rows}; each row judged by a fit on the others: calibration "
                f"error {before.error:.4f} before, {after.error:.4f} after ({after.chance:.4f} by chance); log loss "
                f"{heat.loss_before:.4f} before, {heat.loss_after:.4f} after."
                + (" It is in the weights already." if heat.folded else "")
            )
    if (fit := report.thresholds) is not None:
        kind = "one for all labels" if report.options is not None and not report.options.per_label else "one per label"
        text = (
            f"Thresholds for {fit.metric}, {kind}, {rows}: {fit.before:.4f} before, {fit.after:.4f} with each row "
            f"judged by thresholds found on the others{'' if fit.kept else ', so those of before stay'}."
        )
        if fit.guarded and fit.kept:
            names = ", ".join(report.labels[i] for i in fit.guarded)
            text += f" With too few true rows for a threshold of its own, the common one goes to: {names}."
        sentences.append(text)
    return tuple(sentences)


def tuning_table(report: TuningReport) -> Grid | None:
    """Return a row per label of a multi-label scheme: thresholds, F1 and calibration error before and after.

    Metrics after are cross-fitted. None for schemes with one label a row, whose sentences say it all.
    """
    columns: list[tuple[str, Sequence[str]]] = []
    if (fit := report.thresholds) is not None:
        columns += [
            ("true rows", [f"{count:,}" for count in fit.positives]),
            ("threshold before", _numbers(fit.earlier)),
            ("after", _numbers(fit.thresholds)),
            ("F1 before", _numbers(fit.label_before)),
            ("F1 after", _numbers(fit.label_after if fit.kept else fit.label_before)),
        ]
    if (heat := report.temperature) is not None and heat.before.labels:
        columns += [
            ("calibration error before", _numbers([label.error for label in heat.before.labels])),
            ("error after", _numbers([label.error for label in heat.after.labels])),
        ]
    if not columns:
        return None
    cells = zip(*(values for _, values in columns), strict=True)
    return Grid(
        header=("label", *(name for name, _ in columns)),
        rows=tuple((label, *row) for label, row in zip(report.labels, cells, strict=True)),
    )


def _numbers(values: Sequence[float]) -> list[str]:
    return [f"{value:.3f}" for value in values]
