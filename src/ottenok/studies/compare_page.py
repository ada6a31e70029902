"""A comparison as one small HTML file: works offline, light and dark, on narrow screens too."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from ottenok.studies.compare_tables import LEFT_OUT, explanation, grids
from ottenok.tasks.metrics import METRICS

if TYPE_CHECKING:
    from ottenok.studies.compare import Comparison
    from ottenok.tasks.paired import Estimate
    from ottenok.tasks.tables import Grid

__all__ = ["as_html"]

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --mark: #2a6fb0; --base: #b0452a; }
@media (prefers-color-scheme: dark) { :root { --mark: #7cb7f0; --base: #f09a7c; } }
body { font: 16px/1.5 system-ui, "Noto Sans", "Noto Sans CJK SC", sans-serif; margin: 2rem auto; max-width: 75rem;
  padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .92rem; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .7rem; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; white-space: normal; overflow-wrap: anywhere;
  min-width: 8rem; max-width: min(28rem, 40vw); }
svg { width: 100%; min-width: 36rem; max-width: 61rem; height: auto; display: block; }
svg text { fill: currentColor; font-size: 13px; }
.mark { stroke: var(--mark); fill: var(--mark); } .base { stroke: var(--base); fill: var(--base); }
"""
_ROW, _LEFT, _WIDE = 26, 260, 720


def as_html(comparison: Comparison, *, title: str = "Comparison") -> str:
    """Return the page: a picture of each figure with its intervals, and the tables."""
    tables = [
        f"<h2>{escape(heading)}</h2>\n<div class=wide>{_table(grid)}</div>"
        for heading, grid in grids(comparison).items()
    ]
    notes = "".join(f"<p>{escape(sentence)}</p>\n" for sentence in explanation(comparison))
    pictures = "\n".join(_picture(comparison, name) for name in comparison.metrics)
    rest = "\n".join((*tables[1:], _failed(comparison)))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{escape(title)}</h1>\n"
        f"{tables[0]}\n{notes}{pictures}\n{rest}\n</body>\n</html>\n"
    )


def _failed(comparison: Comparison) -> str:
    if not comparison.failed:
        return ""
    lines = "".join(f"<li>{escape(one.name)}: {escape(one.reason)}</li>\n" for one in comparison.failed)
    return f"<h2>{LEFT_OUT}</h2>\n<ul>\n{lines}</ul>"


def _table(grid: Grid) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in grid.header)
    rows = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in grid.rows)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>"


def _picture(comparison: Comparison, name: str) -> str:
    """Return one figure of all models as points with intervals; nothing where fewer than two have it."""
    found = [(one.name, one.figures[name]) for one in comparison.systems if name in one.figures]
    if len(found) < 2:
        return ""
    ends = [end for _, one in found for end in _ends(one)]
    low, high = min(ends), max(ends)
    height = _ROW * (len(found) + 1) + 8
    lines = [_axis(low, high, height)]
    for row, (system, one) in enumerate(found):
        middle = _ROW * (row + 0.5) + 4
        kind = "base" if system == comparison.baseline else "mark"
        lines.append(f'<text x="0" y="{middle + 4:.0f}">{escape(_short(system))}</text>')
        lines.append(f'<g class="{kind}">{_point(one, low, high, middle)}</g>')
    title = METRICS[name].title if name in METRICS else name
    return (
        f'<h2>{escape(title)}</h2>\n<div class=wide><svg viewBox="0 0 {_LEFT + _WIDE} {height}" role="img" '
        f'aria-label="{escape(title)} with intervals">{"".join(lines)}</svg></div>'
    )


def _point(one: Estimate, low: float, high: float, middle: float) -> str:
    start, value, end = (_place(number, low, high) for number in (_ends(one)[0], one.value, _ends(one)[-1]))
    return (
        f'<line x1="{start:.1f}" x2="{end:.1f}" y1="{middle:.1f}" y2="{middle:.1f}" stroke-width="2"/>'
        f'<circle cx="{value:.1f}" cy="{middle:.1f}" r="4"/>'
    )


def _place(value: float, low: float, high: float) -> float:
    """Return where a value is drawn, from left to right."""
    share = (value - low) / (high - low) if high > low else 0.5
    return _LEFT + 20 + share * (_WIDE - 40)


def _ends(one: Estimate) -> tuple[float, ...]:
    return tuple(value for value in (one.low, one.value, one.high) if value is not None)


def _axis(low: float, high: float, height: int) -> str:
    base, left, right = height - _ROW, _LEFT + 20, _LEFT + _WIDE - 20
    return (
        f'<line x1="{left}" x2="{right}" y1="{base}" y2="{base}" stroke="currentColor" opacity=".4"/>'
        f'<text x="{left}" y="{height - 6}">{low:.3f}</text>'
        f'<text x="{right}" y="{height - 6}" text-anchor="end">{high:.3f}</text>'
    )


def _short(name: str) -> str:
    return name if len(name) <= 34 else f"{name[:33]}…"
