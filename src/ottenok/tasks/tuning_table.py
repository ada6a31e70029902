"""What a fit of the decision found, for people: sentences, and a table with a row per label."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ottenok.tasks.grid import Grid

if TYPE_CHECKING:
    from ottenok.tasks.tuning import TemperatureReport, TuningReport

__all__ = ["tuning_sentences", "tuning_table"]


def tuning_sentences(report: TuningReport) -> tuple[str, ...]:
    """Return a sentence on the temperature and one on the thresholds, as far as they were fitted."""
    sentences = []
    if report.temperature is not None:
        sentences.append(_temperature(report, report.temperature))
    if report.thresholds is not None:
        sentences.append(_thresholds(report))
    return tuple(sentences)


def _rows(report: TuningReport) -> str:
    return f"fitted on {report.rows:,} rows ({report.data})"


def _temperature(report: TuningReport, found: TemperatureReport) -> str:
    before, after = found.before.overall, found.after.overall
    if found.temperature == 1.0:
        return (
            f"No temperature, {_rows(report)}, makes the probabilities better: calibration error {before.error:.4f} "
            f"({before.chance:.4f} by chance)."
        )
    where = " It is in the weights already." if found.folded else ""
    return (
        f"Temperature {found.temperature:.3f}, {_rows(report)}; each row judged by a fit on the others: calibration "
        f"error {before.error:.4f} before, {after.error:.4f} after ({after.chance:.4f} by chance); log loss "
        f"{found.loss_before:.4f} before, {found.loss_after:.4f} after.{where}"
    )


def _thresholds(report: TuningReport) -> str:
    fit, options = report.thresholds, report.options
    if fit is None:
        return ""
    kind = "one for all labels" if options is not None and not options.per_label else "one per label"
    text = (
        f"Thresholds for {fit.metric}, {kind}, {_rows(report)}: {fit.before:.4f} before, {fit.after:.4f} with each row "
        f"judged by thresholds found on the others{'' if fit.kept else ', so those of before stay'}."
    )
    if fit.guarded and fit.kept:
        names = ", ".join(report.labels[i] for i in fit.guarded)
        text += f" With too few true rows for a threshold of its own, the common one goes to: {names}."
    return text


def tuning_table(report: TuningReport) -> Grid | None:
    """Return a row per label of a multi-label scheme: thresholds, F1 and calibration error before and after.

    Figures after are cross-fitted. None for schemes with one label a row, whose sentences say it all.
    """
    columns = [*_threshold_columns(report), *_calibration_columns(report)]
    if not columns:
        return None
    header, cells = [name for name, _ in columns], [values for _, values in columns]
    return Grid(
        header=("label", *header),
        rows=tuple((label, *row) for label, row in zip(report.labels, zip(*cells, strict=True), strict=True)),
    )


def _threshold_columns(report: TuningReport) -> list[tuple[str, list[str]]]:
    fit = report.thresholds
    if fit is None:
        return []
    return [
        ("true rows", [f"{count:,}" for count in fit.positives]),
        ("threshold before", _numbers(fit.earlier)),
        ("after", _numbers(fit.thresholds)),
        ("F1 before", _numbers(fit.label_before)),
        ("F1 after", _numbers(fit.label_after if fit.kept else fit.label_before)),
    ]


def _calibration_columns(report: TuningReport) -> list[tuple[str, list[str]]]:
    found = report.temperature
    if found is None or not found.before.labels:
        return []
    return [
        ("calibration error before", _numbers([label.error for label in found.before.labels])),
        ("error after", _numbers([label.error for label in found.after.labels])),
    ]


def _numbers(values: tuple[float, ...] | list[float]) -> list[str]:
    return [f"{value:.3f}" for value in values]
