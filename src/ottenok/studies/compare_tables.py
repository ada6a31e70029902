"""A comparison as tables: for the terminal and as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ottenok.tasks.metrics import METRICS
from ottenok.tasks.tables import Grid

if TYPE_CHECKING:
    from collections.abc import Callable

    from ottenok.studies.compare import Compared, Comparison
    from ottenok.studies.compare_costs import Cost
    from ottenok.tasks.paired import Difference, Estimate

__all__ = ["LEFT_OUT", "as_markdown", "as_text", "explanation", "grids"]

LEFT_OUT = "Not in the tables"
_NONE = "-"
_DIGITS = 3

# Title of a column, and how it is shown; a column that no model has anything in is left out.
_COSTS: tuple[tuple[str, Callable[[Cost], str | None]], ...] = (
    ("parameters", lambda cost: None if cost.parameters is None else f"{cost.parameters / 1e6:.1f} M"),
    ("trained", lambda cost: None if cost.trained is None else f"{cost.trained / 1e6:.1f} M"),
    ("weights, MB", lambda cost: _one(cost.weights_mb)),
    ("fp32 graph, MB", lambda cost: _one(cost.fp32_mb)),
    ("int8 graph, MB", lambda cost: _one(cost.int8_mb)),
    ("epochs", lambda cost: None if cost.epochs is None else f"{cost.epochs:g}"),
    ("training, minutes", lambda cost: _one(cost.minutes)),
    ("trained on", lambda cost: cost.device or None),
    ("texts/s", lambda cost: None if cost.texts_per_second is None else f"{cost.texts_per_second:,.0f}"),
    ("measured with", lambda cost: cost.graph),
)


def grids(comparison: Comparison) -> dict[str, Grid]:
    """Return heading to table; the comparison of a single model has no table of differences."""
    found = {f"Figures on {comparison.rows:,} {comparison.split} rows": _figures(comparison)}
    others = [one for one in comparison.systems if one.name != comparison.baseline]
    if others:
        found[f"Differences to {comparison.baseline}"] = _differences(comparison, others)
    found["Costs"] = _costs(comparison)
    return found


def _figures(comparison: Comparison) -> Grid:
    several = any(len(one.folders) > 1 for one in comparison.systems)
    rows = []
    for one in comparison.systems:
        cells = [_estimate(one.figures.get(name)) for name in comparison.metrics]
        rows.append((one.name, *([str(len(one.folders))] if several else []), *cells))
    titles = [_title(name) for name in comparison.metrics]
    return Grid(header=("", *(["runs"] if several else []), *titles), rows=tuple(rows))


def _differences(comparison: Comparison, others: list[Compared]) -> Grid:
    header: list[str] = [""]
    for name in comparison.metrics:
        header += [_title(name), "p"]
    unlike = any(one.mcnemar is not None for one in others)
    rows = []
    for one in others:
        cells = [one.name]
        for name in comparison.metrics:
            cells += [_difference(one.differences.get(name)), _chance(one.corrected.get(name))]
        rows.append(tuple(cells + (_mcnemar(one) if unlike else [])))
    return Grid(header=(*header, *(["rows won : lost", "McNemar's p"] if unlike else [])), rows=tuple(rows))


def _costs(comparison: Comparison) -> Grid:
    shown = [(title, show) for title, show in _COSTS if any(show(one.cost) is not None for one in comparison.systems)]
    return Grid(
        header=("", *(title for title, _ in shown)),
        rows=tuple((one.name, *(show(one.cost) or _NONE for _, show in shown)) for one in comparison.systems),
    )


def _title(name: str) -> str:
    known = METRICS
    return known[name].title if name in known else name


def _one(value: float | None) -> str | None:
    return None if value is None else f"{value:,.1f}"


def _estimate(found: Estimate | None) -> str:
    if found is None:
        return _NONE
    text = f"{found.value:.{_DIGITS}f}"
    if found.deviation is not None:
        text += f" ± {found.deviation:.{_DIGITS}f}"
    return text if found.low is None else f"{text} [{found.low:.{_DIGITS}f}, {found.high:.{_DIGITS}f}]"


def _difference(found: Difference | None) -> str:
    if found is None:
        return _NONE
    text = f"{found.value:+.{_DIGITS}f}"
    return text if found.low is None else f"{text} [{found.low:+.{_DIGITS}f}, {found.high:+.{_DIGITS}f}]"


def _chance(p: float | None) -> str:
    if p is None:
        return _NONE
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _mcnemar(one: Compared) -> list[str]:
    if one.mcnemar is None:
        return [_NONE, _NONE]
    return [f"{one.mcnemar.first:,} : {one.mcnemar.second:,}", _chance(one.mcnemar.p)]


def explanation(comparison: Comparison) -> tuple[str, ...]:
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
    return (*told, *comparison.notes)


def as_text(comparison: Comparison) -> str:
    """Return the comparison for a terminal."""
    parts = [f"{heading}\n\n{grid.text()}" for heading, grid in grids(comparison).items()]
    parts.append("\n".join(explanation(comparison)))
    if comparison.failed:
        lines = "\n".join(f"{one.name}: {one.reason}" for one in comparison.failed)
        parts.append(f"{LEFT_OUT}\n\n{lines}")
    return "\n\n".join(part for part in parts if part)


def as_markdown(comparison: Comparison, *, level: int = 2) -> str:
    """Return the comparison as Markdown, with headings of this level."""
    marks = "#" * level
    parts = [f"{marks} {heading}\n\n{grid.markdown()}" for heading, grid in grids(comparison).items()]
    parts += explanation(comparison)
    if comparison.failed:
        lines = "\n".join(f"- {one.name}: {one.reason}" for one in comparison.failed)
        parts.append(f"{marks} {LEFT_OUT}\n\n{lines}")
    return "\n\n".join(parts)
