"""The report's sections, in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ottenok.core.progress import SILENT, tracked
from ottenok.studies.report.measured import measured_section
from ottenok.studies.report.origins import data_section, making_section, recipe_section
from ottenok.studies.report.parts import Section
from ottenok.studies.report.plots.training import training_plots
from ottenok.studies.report.tables import epochs_table, from_grid, labels_table, sets_table
from ottenok.tasks.metrics import best
from ottenok.tasks.tuning import tuning_sentences, tuning_table

if TYPE_CHECKING:
    from ottenok.core.progress import Progress
    from ottenok.studies.report.inputs import ReportInputs

__all__ = ["build_sections"]

_ANSWER = {
    "multi-class": "Each text gets one label.",
    "ordinal": "Each text gets one label, and the labels have an order.",
    "multi-label": "Each text gets any number of labels, also none.",
}


def build_sections(inputs: ReportInputs, *, progress: Progress = SILENT) -> tuple[Section, ...]:
    """Draw and tabulate everything.

    Args:
        inputs: What to show.
        progress: Hears of each section.
    """
    measured = tracked(inputs.sets, progress, "drawing", total=len(inputs.sets), unit="sets of rows")
    return (
        _summary(inputs),
        _training(inputs),
        *(measured_section(one, inputs) for one in measured),
        *_tuning(inputs),
        data_section(inputs.manifest),
        recipe_section(inputs.manifest),
        making_section(inputs.manifest, inputs.notes),
    )


def _summary(inputs: ReportInputs) -> Section:
    lines = [inputs.manifest.description, f"{_ANSWER[inputs.scheme.kind]} {_decision(inputs)}"]
    tables = [labels_table(inputs)]
    if inputs.sets:
        tables.insert(0, sets_table(inputs))
        first = inputs.sets[0].report
        if first.resamples:
            lines.append(f"Brackets are {first.confidence:.0%} intervals.")
    else:
        lines.append("Nothing was measured: the bundle holds no reports and no predictions.")
    return Section(name="summary", title="Summary", lines=tuple(line for line in lines if line), tables=tuple(tables))


def _decision(inputs: ReportInputs) -> str:
    decision = inputs.decision
    words = f"Probabilities are the {decision.activation} of the model's outputs"
    words += f", divided by {decision.temperature:.3f}." if decision.temperature != 1.0 else "."
    if inputs.temperature is not None and decision.temperature == 1.0 and inputs.temperature != 1.0:
        words += f" A temperature of {inputs.temperature:.3f} is in the weights already."
    if decision.empty == "top":
        words += " An answer without labels becomes the most probable label."
    elif decision.empty != "allow":
        words += f" An answer without labels becomes {decision.empty}."
    return words


def _tuning(inputs: ReportInputs) -> tuple[Section, ...]:
    """Return what temperature and thresholds did when they were fitted; nothing for models that do not say."""
    report = inputs.manifest.tuning_report()
    if report is None:
        return ()
    table = tuning_table(report)
    return (
        Section(
            name="decision",
            title="How temperature and thresholds were found",
            lines=tuning_sentences(report),
            tables=() if table is None else (from_grid("Before and after, label by label", table),),
        ),
    )


def _training(inputs: ReportInputs) -> Section:
    if not inputs.history:
        line = (
            "There are no curves: the model's folder has no history.jsonl, which ottenok train writes into the "
            "folder of its run."
        )
        return Section(name="training", title="Training", lines=(line,))
    return Section(
        name="training",
        title="Training",
        plots=training_plots(inputs.history, _chosen(inputs)),
        tables=(epochs_table(inputs),),
    )


def _chosen(inputs: ReportInputs) -> float | None:
    """Return the epoch whose weights were kept, or None if the recipe does not say; the earliest of equals."""
    run = inputs.manifest.recipe.get("run")
    metric = run.get("metric") if isinstance(run, dict) else None
    rows = [row for row in inputs.history if metric in row]
    if not isinstance(metric, str) or not rows:
        return None
    place = best(metric, [row[metric] for row in rows])
    return None if place is None else rows[place]["epoch"]
