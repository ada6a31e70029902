"""A comparison as tables: for the terminal, as Markdown, and as a page with a plot of each metric."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ottenok.tasks.metrics import METRICS, Interval
from ottenok.tasks.tables import Grid, escape_markdown

if TYPE_CHECKING:
    from collections.abc import Callable

    from ottenok.studies.compare import Comparison, Cost
    from ottenok.studies.report.parts import Section

__all__ = ["as_html", "as_markdown", "as_text"]

_LEFT_OUT = "Not in the tables"
_NONE = "-"

# Title of a column, and how it is shown; a column that no model has anything in is left out.
_COSTS: tuple[tuple[str, Callable[[Cost], object], str], ...] = (
    ("parameters", lambda cost: None if cost.parameters is None else cost.parameters / 1e6, "{:.1f} M"),
    ("trained", lambda cost: None if cost.trained is None else cost.trained / 1e6, "{:.1f} M"),
    ("weights, MB", lambda cost: cost.weights_mb, "{:,.1f}"),
    ("fp32 graph, MB", lambda cost: cost.fp32_mb, "{:,.1f}"),
    ("int8 graph, MB", lambda cost: cost.int8_mb, "{:,.1f}"),
    ("epochs", lambda cost: cost.epochs, "{:g}"),
    ("training, minutes", lambda cost: cost.minutes, "{:,.1f}"),
    ("trained on", lambda cost: cost.device or None, "{}"),
    ("texts/s", lambda cost: cost.texts_per_second, "{:,.0f}"),
    ("measured with", lambda cost: cost.graph, "{}"),
)


def _title(name: str) -> str:
    return METRICS[name].title if name in METRICS else name


def _chance(p: float | None) -> str:
    if p is None:
        return _NONE
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _figures(comparison: Comparison) -> Grid:
    several = any(len(one.folders) > 1 for one in comparison.systems)
    rows = []
    for one in comparison.systems:
        cells = [one.name, *([str(len(one.folders))] if several else [])]
        for name in comparison.metrics:
            found = one.metrics.get(name)
            text = _NONE if found is None else f"{found.value:.3f}"
            if found is not None and found.deviation is not None:
                text += f" ± {found.deviation:.3f}"
            if found is not None and found.low is not None:
                text += f" [{found.low:.3f}, {found.high:.3f}]"
            cells.append(text)
        rows.append(tuple(cells))
    header = ("", *(["runs"] if several else []), *map(_title, comparison.metrics))
    return Grid(header=header, rows=tuple(rows))


def _differences(comparison: Comparison) -> Grid | None:
    """Return the differences to the baseline with their p values; None for a single model."""
    others = [one for one in comparison.systems if one.name != comparison.baseline]
    if not others:
        return None
    single = any(one.mcnemar is not None for one in others)
    rows = []
    for one in others:
        cells = [one.name]
        for name in comparison.metrics:
            found = one.differences.get(name)
            text = _NONE if found is None else f"{found.value:+.3f}"
            if found is not None and found.low is not None:
                text += f" [{found.low:+.3f}, {found.high:+.3f}]"
            cells += [text, _chance(one.corrected.get(name))]
        if single:
            test = one.mcnemar
            cells += [_NONE, _NONE] if test is None else [f"{test.first:,} : {test.second:,}", _chance(test.p)]
        rows.append(tuple(cells))
    titles = [cell for name in comparison.metrics for cell in (_title(name), "p")]
    return Grid(header=("", *titles, *(["rows won : lost", "McNemar's p"] if single else [])), rows=tuple(rows))


def _costs(comparison: Comparison) -> Grid:
    shown = [one for one in _COSTS if any(one[1](system.cost) is not None for system in comparison.systems)]
    rows = []
    for system in comparison.systems:
        values = [(show(system.cost), form) for _, show, form in shown]
        rows.append((system.name, *(_NONE if value is None else form.format(value) for value, form in values)))
    return Grid(header=("", *(title for title, _, _ in shown)), rows=tuple(rows))


def _grids(comparison: Comparison) -> dict[str, Grid]:
    """Return heading to table, task by task, and last what each model costs."""
    found: dict[str, Grid] = {}
    for one in (comparison, *comparison.others):
        task = f"{one.task}: " if comparison.others else ""
        found[f"{task}Metrics on {one.rows:,} {one.split} rows"] = _figures(one)
        if (differences := _differences(one)) is not None:
            found[f"{task}Differences to {one.baseline}"] = differences
    return found | {"Costs": _costs(comparison)}


def _explanation(comparison: Comparison) -> tuple[str, ...]:
    """Return what a reader must know to read the tables, a sentence or two each."""
    tests = comparison.tests
    told = []
    if tests.resamples:
        told.append(
            f"Brackets are {tests.confidence:.0%} bootstrap intervals over rows ({tests.resamples:,} resamples)."
        )
    if any(len(one.folders) > 1 for one in comparison.systems):
        told.append("Of several runs of one recipe the mean and, after ±, the standard deviation over seeds are shown.")
    if len(comparison.systems) > 1 and tests.permutations:
        told.append(
            "p is that of the two-sided paired permutation test, with Holm's correction for the "
            f"{len(comparison.systems) - 1} models tested; it speaks of other rows, not of other seeds."
        )
    if any(one.mcnemar is not None for one in comparison.systems):
        told.append("McNemar's p is exact and not corrected.")
    notes = [note for one in (comparison, *comparison.others) for note in one.notes]
    return tuple(dict.fromkeys((*told, *notes)))


def as_text(comparison: Comparison) -> str:
    """Return the comparison for a terminal."""
    parts = [f"{heading}\n\n{grid.text()}" for heading, grid in _grids(comparison).items()]
    parts.append("\n".join(_explanation(comparison)))
    if comparison.failed:
        lines = "\n".join(f"{one.name}: {one.reason}" for one in comparison.failed)
        parts.append(f"{_LEFT_OUT}\n\n{lines}")
    return "\n\n".join(part for part in parts if part)


def as_markdown(comparison: Comparison, *, level: int = 2) -> str:
    """Return the comparison as Markdown, with headings of this level."""
    marks = "#" * level
    parts = [f"{marks} {escape_markdown(heading)}\n\n{grid.markdown()}" for heading, grid in _grids(comparison).items()]
    parts += _explanation(comparison)
    if comparison.failed:
        lines = "\n".join(f"- {escape_markdown(f'{one.name}: {one.reason}')}" for one in comparison.failed)
        parts.append(f"{marks} {_LEFT_OUT}\n\n{lines}")
    return "\n\n".join(parts)


def as_html(comparison: Comparison, *, title: str = "Comparison") -> str:
    """Return the comparison as a page of its own, as reports are: it needs no network and no scripts.

    Raises:
        MissingExtraError: The extra `report` is not installed.
    """
    from ottenok.studies.report.drawing import writable
    from ottenok.studies.report.page import page
    from ottenok.studies.report.parts import Section, from_grid
    from ottenok.studies.report.plots import interval_plot

    sections: list[Section] = []
    for number, one in enumerate((comparison, *comparison.others), start=1):
        names = writable([system.name for system in one.systems], kind="model")
        plots = []
        for metric in one.metrics:
            found = [
                (name, Interval(value=estimate.value, low=estimate.low, high=estimate.high))
                for name, system in zip(names, one.systems, strict=True)
                if (estimate := system.metrics.get(metric)) is not None
            ]
            if len(found) > 1:
                told = ", ".join(f"{name} {value.value:.3f}" for name, value in found)
                base = next(
                    name for name, system in zip(names, one.systems, strict=True) if system.name == one.baseline
                )
                plots.append(
                    interval_plot(
                        found,
                        name=f"compare-{number}-{metric.replace('_', '-')}",
                        title=_title(metric),
                        alt=f"{_title(metric)} of {len(found)} models: {told}.",
                        axis=_title(metric),
                        marked=base,
                    )
                )
        tables = [from_grid(f"Metrics on {one.rows:,} {one.split} rows", _figures(one))]
        if (differences := _differences(one)) is not None:
            tables.append(from_grid(f"Differences to {one.baseline}", differences))
        sections.append(
            Section(
                name=f"metrics-{number}",
                title=one.task or "Metrics",
                lines=_explanation(comparison) if number == 1 else (),
                plots=tuple(plots),
                tables=tuple(tables),
            )
        )
    sections.append(Section(name="costs", title="Costs", tables=(from_grid("Costs", _costs(comparison)),)))
    if comparison.failed:
        lines = tuple(f"{one.name}: {one.reason}" for one in comparison.failed)
        sections.append(Section(name="left-out", title=_LEFT_OUT, lines=lines))
    return page(title, f"{len(comparison.systems)} models, {comparison.rows:,} {comparison.split} rows.", sections)
