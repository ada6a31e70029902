"""Reports as tables: the layout of the published model cards, and systems side by side."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ottenok.core.errors import ConfigError
from ottenok.tasks.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ottenok.tasks.metrics import Interval
    from ottenok.tasks.report import AverageMetrics, LabelMetrics, Report
    from ottenok.tasks.task import Task


__all__ = [
    "Grid",
    "code_span",
    "confusion_table",
    "decision_text",
    "escape_markdown",
    "label_table",
    "source_table",
    "system_table",
]

# Whatever may begin markup inside a line; an underscore everywhere but between two letters or digits.
_MARKUP = re.compile(r"[\\`*\[\]<>|~]|(?<![^\W_])_|_(?![^\W_])")
# In a table's cells, where intervals are, brackets are left that begin no link.
_CELL = re.compile(r"[\\`*<>|~]|\](?=[(\[:])|(?<![^\W_])_|_(?![^\W_])")
# What makes a heading, a list, a rule or an underline at the start of a line.
_START = re.compile(r"^(?=[#+\-=])|^(\d+)(?=[.)](?:\s|$))")
# Line ends and everything else that is no character to be read.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")


def escape_markdown(text: str, *, cell: bool = False) -> str:
    """Return a text as one line of Markdown that shows it as it is: no markup, no HTML, no link, no table cell more.

    Args:
        text: Any text.
        cell: Whether it stands in a table's cell, where a line can't begin a heading or a list.
    """
    line = (_CELL if cell else _MARKUP).sub(r"\\\g<0>", _CONTROLS.sub(" ", text).strip())
    return line if cell else _START.sub(lambda match: f"{match[1] or ''}\\", line, count=1)


def code_span(text: str) -> str:
    """Return a text as Markdown code; backticks in it, and bars, which end a table's cell, stay what they are."""
    line = _CONTROLS.sub(" ", text).strip()
    if not line:
        return ""
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    gap = " " if "`" in line else ""
    return f"{fence}{gap}{line}{gap}{fence}".replace("|", "\\|")


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A table of strings; the first column is a heading and goes left, the others go right.

    Attributes:
        header: One string per column.
        rows: Each as long as the header.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def text(self) -> str:
        """Return the table for a terminal; Chinese characters count as two columns. No line end at the end."""
        lines = (self.header, *self.rows)
        widths = [max(_width(line[i]) for line in lines) for i in range(len(self.header))]
        shown = []
        for line in lines:
            gaps = [" " * (width - _width(cell)) for cell, width in zip(line, widths, strict=True)]
            cells = [
                gap + cell if place else cell + gap for place, (cell, gap) in enumerate(zip(line, gaps, strict=True))
            ]
            shown.append("  ".join(cells).rstrip())
        return "\n".join(shown)

    def markdown(self) -> str:
        """Return the table as Markdown. No line end at the end."""
        rule = ("---", *("---:" for _ in self.header[1:]))
        lines = (tuple(escape_markdown(cell, cell=True) for cell in line) for line in (self.header, *self.rows))
        header, *rows = (f"| {' | '.join(line)} |" for line in lines)
        return "\n".join((header, f"| {' | '.join(rule)} |", *rows))


def _width(text: str) -> int:
    """Return how many columns a terminal gives a text."""
    wide = (2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text if not unicodedata.combining(char))
    return sum(wide)


_ANSWER = {
    "multi-class": "Each text gets one label.",
    "ordinal": "Each text gets one label, and the labels have an order.",
    "multi-label": "Each text gets any number of labels, also none.",
}


def decision_text(task: Task, *, folded: float | None = None, mark: Callable[[str], str] = str) -> str:
    """Return in sentences what answers a task has and how they follow from a model's outputs.

    Args:
        task: The task.
        folded: A temperature that was fitted and is in the weights already; None: there is none, or it is not known.
        mark: How labels are written.
    """
    decision, labels = task.decision, task.scheme.labels
    text = f"{_ANSWER[task.scheme.kind]} Probabilities are the {decision.activation} of the model's outputs"
    text += f", divided by the temperature {decision.temperature:.3f}." if decision.temperature != 1.0 else "."
    if folded is not None and folded != 1.0 and decision.temperature == 1.0:
        text += f" A temperature of {folded:.3f} is in the weights already."
    if decision.thresholds:
        pairs = zip(labels, decision.thresholds, strict=True)
        text += " Thresholds: " + ", ".join(f"{mark(label)} {threshold:.3f}" for label, threshold in pairs) + "."
    if decision.pick == "median":
        text += " The answer is the median label."
    if decision.empty != "allow":
        fallback = "the most probable label" if decision.empty == "top" else mark(decision.empty)
        text += f" An answer without labels becomes {fallback}."
    if decision.exclusive:
        text += f" {mark(decision.exclusive)} stands alone: it or the others are the answer, by what is further above"
        text += " its threshold."
    return text


# As scikit-learn and the published cards write them.
_AVERAGES = {"macro": "macro avg", "weighted": "weighted avg", "micro": "micro avg"}
_NONE = "-"


def label_table(report: Report, *, titles: Sequence[str] | None = None, digits: int = 2) -> Grid:
    """Return the table of the published cards: a column per label and average, a row per metric.

    The micro average is shown for multi-label schemes only: with one label a row it is the accuracy.

    Args:
        report: What to show.
        titles: Names of the labels, in their order; None: the labels themselves.
        digits: After the point.
    """
    averages = [average for average in report.averages if average.name != "micro" or report.kind == "multi-label"]
    names = titles or [label.label for label in report.labels]
    columns: list[LabelMetrics | AverageMetrics] = [*report.labels, *averages]
    rows: list[tuple[str, Callable[[LabelMetrics | AverageMetrics], str]]] = [
        ("precision", lambda column: _number(column.precision, digits)),
        ("recall", lambda column: _number(column.recall, digits)),
        ("f1-score", lambda column: _number(column.f1 if isinstance(column.f1, float) else column.f1.value, digits)),
        ("auc-roc", lambda column: _number(column.auc, digits)),
        ("support", lambda column: str(column.support)),
    ]
    return Grid(
        header=("", *names, *(_AVERAGES[average.name] for average in averages)),
        rows=tuple((name, *(show(column) for column in columns)) for name, show in rows),
    )


def system_table(
    reports: Sequence[Report],
    *,
    names: Sequence[str] | None = None,
    down: Literal["metrics", "systems"] = "metrics",
    digits: int = 3,
) -> Grid:
    """Return systems side by side, with intervals where a metric has one.

    Args:
        reports: Of the same rows, one per system.
        names: Metrics to show; None: the headline metrics that any of the reports has.
        down: What the rows are: metrics, which suits few systems, or systems, which suits many.
        digits: After the point.

    Raises:
        ConfigError: The reports are of different rows or schemes, so that their metrics can't be compared.
    """
    _check_alike(reports)
    kinds = {"any", reports[0].kind}
    shown = tuple(names or ()) or tuple(
        name
        for name, found in METRICS.items()
        if found.headline in kinds and any(name in report.metrics for report in reports)
    )
    titles = tuple(METRICS[name].title if name in METRICS else name for name in shown)
    systems = tuple(report.system for report in reports)
    cells = [[_interval(report.metrics.get(name), digits) for name in shown] for report in reports]
    names_down, names_across = systems, titles
    if down == "metrics":
        names_down, names_across, cells = titles, systems, [list(column) for column in zip(*cells, strict=True)]
    rows = tuple((name, *row) for name, row in zip(names_down, cells, strict=True))
    return Grid(header=("", *names_across), rows=rows)


def source_table(reports: Sequence[Report], *, name: str = "macro_f1", digits: int = 3) -> Grid:
    """Return a row per source and a column per system, showing one metric; empty without sources.

    Raises:
        ConfigError: The reports are of different rows or schemes.
    """
    _check_alike(reports)
    sources = reports[0].sources
    return Grid(
        header=("", "rows", *(report.system for report in reports)),
        rows=tuple(
            (
                source.source,
                str(source.rows),
                *(_interval(report.sources[i].metrics.get(name), digits) for report in reports),
            )
            for i, source in enumerate(sources)
        ),
    )


def _check_alike(reports: Sequence[Report]) -> None:
    kinds = {(report.rows, tuple((one.source, one.rows) for one in report.sources)) for report in reports}
    kinds_of_labels = {tuple(sorted(label.label for label in report.labels)) for report in reports}
    if len(kinds) != 1 or len(kinds_of_labels) != 1:
        raise ConfigError(
            "found reports of different rows or labels in one table",
            hint="Evaluate every system on the same rows, in the same labels.",
        )


def confusion_table(report: Report) -> Grid:
    """Return rows per true label (down) and answered label (across); empty for multi-label schemes."""
    names = tuple(label.label for label in report.labels)
    counts = zip(names, report.confusion, strict=False)
    return Grid(
        header=("true \\ answer", *names),
        rows=tuple((name, *(str(count) for count in row)) for name, row in counts),
    )


def _number(value: float | None, digits: int) -> str:
    return _NONE if value is None else f"{value:.{digits}f}"


def _interval(interval: Interval | None, digits: int) -> str:
    if interval is None:
        return _NONE
    value = _number(interval.value, digits)
    if interval.low is None:
        return value
    return f"{value} [{_number(interval.low, digits)}, {_number(interval.high, digits)}]"
