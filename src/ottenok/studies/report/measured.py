"""The section on one set of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ottenok.studies.report.fonts import writable
from ottenok.studies.report.mistakes import LONGEST, worst_mistakes
from ottenok.studies.report.parts import Section
from ottenok.studies.report.plots.calibration import reliability_plot
from ottenok.studies.report.plots.confusion import confusion_plots, together_plot
from ottenok.studies.report.plots.curves import precision_recall_plots, roc_plots
from ottenok.studies.report.plots.sources import source_plot
from ottenok.studies.report.plots.thresholds import confidence_plot, threshold_plots
from ottenok.studies.report.tables import calibration_table, class_table, counts_table, from_grid
from ottenok.tasks.decision import chosen
from ottenok.tasks.tables import system_table

if TYPE_CHECKING:
    from ottenok.studies.report.inputs import Measured, ReportInputs
    from ottenok.studies.report.parts import Plot

__all__ = ["measured_section"]

_DEFAULT = 0.5


def measured_section(measured: Measured, inputs: ReportInputs) -> Section:
    """Return everything about the model on one set of rows."""
    lines = [measured.origin]
    if measured.predictions is None:
        lines.append(
            "Only these figures are known. Curves and mistakes need each row's probabilities: run ottenok report "
            "again with --data CORPUS."
        )
    parts = [_figures(measured), _labels(measured, inputs), *_curves(measured, inputs)]
    parts += [*_calibration(measured, inputs), *_sources(measured)]
    parts += [] if measured.predictions is None else [_mistakes(measured, inputs)]
    return Section(name=measured.name, title=measured.title, lines=tuple(lines), parts=tuple(parts))


def _figures(measured: Measured) -> Section:
    grid = system_table((measured.report, *measured.baselines))
    lines = () if measured.baselines else ("No baselines are recorded for these rows.",)
    return Section(
        name=f"{measured.name}-figures", title="Figures", lines=lines, tables=(from_grid("Model and baselines", grid),)
    )


def _labels(measured: Measured, inputs: ReportInputs) -> Section:
    report, rows = measured.report, measured.predictions
    names = writable(inputs.scheme.labels, kind="label")
    tables = [class_table(measured)]
    plots: tuple[Plot, ...] = ()
    if report.confusion:
        plots = confusion_plots(report.confusion, names, report.rows, measured.name)
    elif rows is not None:
        answer = chosen(rows.probs, inputs.scheme, inputs.decision)
        plots = (together_plot(rows.truth, answer, names, measured.name),)
        tables.append(counts_table(rows, answer, inputs.scheme))
    return Section(
        name=f"{measured.name}-labels",
        title="Labels and confusion",
        lines=_translation(inputs.scheme.labels, names),
        plots=plots,
        tables=tuple(tables),
    )


def _translation(labels: tuple[str, ...], names: tuple[str, ...]) -> tuple[str, ...]:
    """Say what the names in pictures mean, where they are not the labels themselves."""
    other = [f"{name} is {label}" for label, name in zip(labels, names, strict=True) if label != name]
    return (f"In the pictures {', '.join(other)}.",) if other else ()


def _curves(measured: Measured, inputs: ReportInputs) -> list[Section]:
    rows, group = measured.predictions, measured.name
    if rows is None:
        return []
    names = writable(inputs.scheme.labels, kind="label")
    one_label = inputs.scheme.kind != "multi-label"
    thresholds = inputs.decision.thresholds or (() if one_label else (_DEFAULT,) * len(names))
    curves = (*roc_plots(rows, names, group), *precision_recall_plots(rows, names, group))
    swept = threshold_plots(rows, names, group, thresholds)
    sure = (confidence_plot(rows, group),) if one_label else ()
    return [
        Section(name=f"{group}-curves", title="ROC and precision-recall", plots=curves),
        Section(name=f"{group}-thresholds", title="Thresholds", plots=(*sure, *swept)),
    ]


def _calibration(measured: Measured, inputs: ReportInputs) -> list[Section]:
    report = measured.report
    plot = reliability_plot(report, measured.name)
    if plot is None:
        return []
    lines: tuple[str, ...] = ()
    if inputs.temperature is None:
        lines = ("No temperature is known for this model.",)
    elif report.uncalibrated is None and inputs.temperature != 1.0:
        lines = (f"What the {inputs.decision.activation} gave before the temperature is not known.",)
    tables = (calibration_table(report),) if report.calibration and report.calibration.labels else ()
    return [
        Section(
            name=f"{measured.name}-reliability",
            title="Can the probabilities be believed?",
            lines=lines,
            plots=(plot,),
            tables=tables,
        )
    ]


def _mistakes(measured: Measured, inputs: ReportInputs) -> Section:
    found = worst_mistakes(measured, inputs.scheme, inputs.decision, most=inputs.mistakes)
    wanted = "The wrong answers that the model was most sure of: wrong labels of the data, texts that can't be "
    lines = [f"{wanted}understood alone, or what the model is blind to."]
    if not found:
        lines = ["There are none, or none were asked for."]
    elif any(mistake.text is not None for mistake in found):
        lines.append(
            f"This part shows texts of the data, at most {LONGEST} characters of each. Mind the data's terms, and the "
            "people who wrote them, before you pass this file on; --mistakes 0 leaves them out."
        )
    else:
        lines.append("Their texts are in the corpus: run ottenok report again with --data CORPUS to see them.")
    return Section(name=f"{measured.name}-mistakes", title="Worst mistakes", lines=tuple(lines), mistakes=found)


def _sources(measured: Measured) -> list[Section]:
    plot = source_plot(measured.report, measured.name)
    if plot is None:
        return []
    return [Section(name=f"{measured.name}-sources", title="Sources", plots=(plot,))]
