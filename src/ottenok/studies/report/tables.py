"""The tables of a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ottenok.studies.report.parts import Cell, Table
from ottenok.tasks.curves import precision_recall
from ottenok.tasks.metrics import METRICS, Interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from ottenok.core.schemes import LabelScheme
    from ottenok.studies.report.inputs import Measured, ReportInputs
    from ottenok.tasks.predictions import Predictions
    from ottenok.tasks.report import LabelMetrics, Report
    from ottenok.tasks.tables import Grid

__all__ = [
    "calibration_table",
    "class_table",
    "counts_table",
    "epochs_table",
    "from_grid",
    "labels_table",
    "plain_table",
    "sets_table",
]

_LANGUAGES = {"en": "English", "ru": "русский", "zh": "中文"}
_EPOCHS = {"epoch": "epoch", "train_loss": "train loss", "loss": "validation loss", "source_f1": "mean F1 over sources"}
_ALWAYS = {"accuracy", "subset_accuracy", "macro_f1", "weighted_f1", "micro_f1", "macro_auc", "mae", "quadratic_kappa"}
_SPEED = {"tokens_per_second": "tokens/s", "minutes": "minutes"}


def plain_table(
    title: str, header: Sequence[str], rows: Sequence[Sequence[str | Cell]], *, numeric: bool = True
) -> Table:
    """Return a table of strings and cells."""
    return Table(
        title=title,
        header=tuple(header),
        rows=tuple(tuple(cell if isinstance(cell, Cell) else Cell(text=cell) for cell in row) for row in rows),
        numeric=numeric,
    )


def from_grid(title: str, grid: Grid) -> Table:
    """Return a table of `ottenok.tasks.tables`."""
    return plain_table(title, grid.header, grid.rows)


def sets_table(inputs: ReportInputs) -> Table:
    """Return the model's headline figures, a column per set of rows."""
    kinds = {"any", inputs.scheme.kind}
    reports = [one.report for one in inputs.sets]
    shown = {
        name: found.title
        for name, found in METRICS.items()
        if found.headline in kinds and any(name in report.metrics for report in reports)
    }
    rows = [[title, *(interval(report.metrics.get(name)) for report in reports)] for name, title in shown.items()]
    header = ("", *(f"{one.title} ({one.report.rows:,})" for one in inputs.sets))
    return plain_table("The model", header, rows)


def labels_table(inputs: ReportInputs) -> Table:
    """Return the labels with their names in other languages, values and thresholds."""
    scheme, decision = inputs.scheme, inputs.decision
    languages = [language for language in _LANGUAGES if language in scheme.titles]
    header = ["label", *(_LANGUAGES[language] for language in languages)]
    header += ["value"] if scheme.values else []
    header += ["threshold"] if decision.thresholds else []
    rows = []
    for place, label in enumerate(scheme.labels):
        row = [Cell(text=label, code=True)]
        row += [Cell(text=scheme.titles[language][place], language=language) for language in languages]
        row += [Cell(text=f"{scheme.values[place]:g}")] if scheme.values else []
        row += [Cell(text=f"{decision.thresholds[place]:.3f}")] if decision.thresholds else []
        rows.append(row)
    return plain_table("Labels", header, rows, numeric=False)


def class_table(measured: Measured) -> Table:
    """Return a row per label and average: precision, recall, F1 with its interval, AUC, average precision, support."""
    report = measured.report
    precisions = _average_precisions(measured.predictions)
    header: tuple[str, ...] = ("label", "precision", "recall", "F1", "AUC", "AP", "rows")
    rows: list[Sequence[str | Cell]] = [
        (
            Cell(text=one.label, code=True),
            f"{one.precision:.3f}",
            f"{one.recall:.3f}",
            interval(one.f1),
            interval(_area(one)),
            number(precisions[place] if precisions else None),
            f"{one.support:,}",
        )
        for place, one in enumerate(report.labels)
    ]
    for average in report.averages:
        # With one label a row the micro average is the accuracy.
        if average.name != "micro" or report.kind == "multi-label":
            three = (f"{value:.3f}" for value in (average.precision, average.recall, average.f1))
            rows.append((f"{average.name} average", *three, number(average.auc), "", f"{average.support:,}"))
    if not precisions:
        header, rows = (*header[:5], *header[6:]), [[*row[:5], *row[6:]] for row in rows]
    return plain_table("Per label", header, rows)


def _average_precisions(rows: Predictions | None) -> list[float | None]:
    if rows is None:
        return []
    curves = [precision_recall(rows.probs[:, i], rows.truth[:, i]) for i in range(len(rows.labels))]
    return [None if curve is None else curve.area for curve in curves]


def counts_table(rows: Predictions, answer: npt.NDArray[np.bool_], scheme: LabelScheme) -> Table:
    """Return each label's two-by-two table as a row, for multi-label schemes; `answer` is bool `[rows, labels]`."""
    truth = rows.truth
    cells = (truth & answer, ~truth & answer, truth & ~answer, ~truth & ~answer)
    sums = [cell.sum(axis=0) for cell in cells]
    return plain_table(
        "Right and wrong, label by label",
        ("label", "rightly given", "wrongly given", "missed", "rightly left out"),
        [
            (Cell(text=label, code=True), *(f"{int(one[place]):,}" for one in sums))
            for place, label in enumerate(scheme.labels)
        ],
    )


def calibration_table(report: Report) -> Table:
    """Return the calibration error of each label's probabilities, for multi-label schemes."""
    now = report.calibration.labels if report.calibration else ()
    before = report.uncalibrated.labels if report.uncalibrated else ()
    header = ["label", "ECE", *(["before the temperature"] if before else []), "by chance"]
    rows: list[list[str | Cell]] = [
        [
            Cell(text=figures_of.label, code=True),
            f"{now[place].error:.4f}",
            *([f"{before[place].error:.4f}"] if before else []),
            f"{now[place].chance:.4f}",
        ]
        for place, figures_of in enumerate(report.labels)
    ]
    return plain_table("Calibration error per label", header, rows)


def epochs_table(inputs: ReportInputs) -> Table:
    """Return the table of epochs."""
    titles = {name: METRICS[name].title for name in METRICS if name in _ALWAYS}
    known = _EPOCHS | titles | _SPEED
    there = [name for name in known if any(name in row for row in inputs.history)]
    rows = [[_figure(name, row.get(name)) for name in there] for row in inputs.history]
    return plain_table("Epochs", [known[name] for name in there], rows)


def _figure(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    return {"epoch": f"{value:g}", "tokens_per_second": f"{value:,.0f}", "minutes": f"{value:.1f}"}.get(
        name, f"{value:.4f}"
    )


def _area(one: LabelMetrics) -> Interval | None:
    return None if one.auc is None else Interval(value=one.auc, low=one.auc_low, high=one.auc_high)


def number(value: float | None) -> str:
    """Return a figure with three digits, or a dash where there is none."""
    return "-" if value is None else f"{value:.3f}"


def interval(one: Interval | None) -> str:
    """Return a figure with its interval, if it has one, or a dash where there is no figure."""
    if one is None:
        return "-"
    return f"{one.value:.3f}" if one.low is None else f"{one.value:.3f} [{one.low:.3f}, {number(one.high)}]"
