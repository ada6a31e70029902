"""Reports as tables: the layout of the published model cards, and systems side by side."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ottenok.core.errors import ConfigError
from ottenok.tasks.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ottenok.tasks.metrics import Interval
    from ottenok.tasks.report import AverageMetrics, LabelMetrics, Report


__all__ = ["Grid", "confusion_table", "label_table", "source_table", "system_table"]


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
        return "\n".join("  ".join(_padded(line, widths)).rstrip() for line in lines)

    def markdown(self) -> str:
        """Return the table as Markdown. No line end at the end."""
        rule = ("---", *("---:" for _ in self.header[1:]))
        return "\n".join(f"| {' | '.join(_escaped(line))} |" for line in (self.header, rule, *self.rows))


def _padded(line: tuple[str, ...], widths: list[int]) -> list[str]:
    gaps = [" " * (width - _width(cell)) for cell, width in zip(line, widths, strict=True)]
    first = line[0] + gaps[0]
    return [first, *(gap + cell for cell, gap in zip(line[1:], gaps[1:], strict=True))]


def _width(text: str) -> int:
    """Return how many columns a terminal gives a text."""
    return sum(0 if unicodedata.combining(char) else _columns(char) for char in text)


def _columns(char: str) -> int:
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _escaped(line: tuple[str, ...]) -> list[str]:
    return [" ".join(cell.replace("|", "\\|").split()) for cell in line]


# As scikit-learn and the published cards write them.
_AVERAGES = {"macro": "macro avg", "weighted": "weighted avg", "micro": "micro avg"}
_NONE = "-"


def label_table(report: Report, *, titles: Sequence[str] | None = None, digits: int = 2) -> Grid:
    """Return the table of the published cards: a column per label and average, a row per figure.

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
        ("f1-score", lambda column: _number(_f1(column), digits)),
        ("auc-roc", lambda column: _number(column.auc, digits)),
        ("support", lambda column: str(column.support)),
    ]
    return Grid(
        header=("", *names, *(_AVERAGES[average.name] for average in averages)),
        rows=tuple((name, *(show(column) for column in columns)) for name, show in rows),
    )


def _f1(column: LabelMetrics | AverageMetrics) -> float:
    return column.f1 if isinstance(column.f1, float) else column.f1.value


def system_table(
    reports: Sequence[Report],
    *,
    names: Sequence[str] | None = None,
    down: Literal["figures", "systems"] = "figures",
    digits: int = 3,
) -> Grid:
    """Return systems side by side, with intervals where a figure has one.

    Args:
        reports: Of the same rows, one per system.
        names: Figures to show; None: the headline figures that any of the reports has.
        down: What the rows are: figures, which suits few systems, or systems, which suits many.
        digits: After the point.

    Raises:
        ConfigError: The reports are of different rows or schemes, so that their figures can't be compared.
    """
    _check_alike(reports)
    known = METRICS
    shown = tuple(names or _headlines(reports))
    titles = tuple(known[name].title if name in known else name for name in shown)
    systems = tuple(report.system for report in reports)
    cells = [[_interval(report.metrics.get(name), digits) for name in shown] for report in reports]
    if down == "systems":
        return _grid(systems, titles, cells)
    return _grid(titles, systems, [list(column) for column in zip(*cells, strict=True)])


def _grid(down: tuple[str, ...], across: tuple[str, ...], cells: list[list[str]]) -> Grid:
    return Grid(header=("", *across), rows=tuple((name, *row) for name, row in zip(down, cells, strict=True)))


def _headlines(reports: Sequence[Report]) -> list[str]:
    kinds = {"any", reports[0].kind}
    return [
        name
        for name, found in METRICS.items()
        if found.headline in kinds and any(name in report.metrics for report in reports)
    ]


def source_table(reports: Sequence[Report], *, name: str = "macro_f1", digits: int = 3) -> Grid:
    """Return a row per source and a column per system, showing one figure; empty without sources.

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
