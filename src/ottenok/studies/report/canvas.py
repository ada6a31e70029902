"""Drawing with matplotlib, without pyplot and without a screen.

matplotlib keeps its settings in one global table. They are set while a figure is drawn and put back afterwards, so a
program that draws figures of its own sees nothing of it (unless it draws in another thread at that very moment).
"""

from __future__ import annotations

import io
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ottenok.core.lazy import require
from ottenok.studies.report.fonts import families
from ottenok.studies.report.svg import alone, inline
from ottenok.studies.report.theme import GRID, INK, MUTED, PAPER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ottenok.studies.report.parts import Words

__all__ = ["HEIGHT", "WIDTH", "Drawing", "canvas", "finish", "legend"]

# Inches; 72 units of the SVG each. Letters of 10 units can be read when 330 units become the width of a telephone.
WIDTH, HEIGHT = 4.6, 3.5
_DOTS = 160
_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A figure in its three forms.

    Attributes:
        svg: A whole SVG file, on white.
        png: A PNG file, on white.
        element: The same SVG as an element of the page, in the page's colours.
        width: Its natural width on the page, in CSS pixels.
    """

    svg: str
    png: bytes
    element: str
    width: int


def _settings(name: str) -> dict[str, Any]:
    return {
        "font.family": list(families()),
        "font.size": 10.5,
        "axes.titlesize": 11.0,
        "legend.fontsize": 10.0,
        "svg.fonttype": "none",
        "svg.hashsalt": name,
        "text.parse_math": False,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": MUTED,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "grid.color": GRID,
        "grid.linewidth": 0.8,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "lines.linewidth": 1.8,
        "lines.markersize": 4.5,
        "legend.frameon": False,
        "figure.facecolor": PAPER,
        "axes.facecolor": "none",
    }


@contextmanager
def canvas(name: str, *, width: float = WIDTH, height: float = HEIGHT) -> Iterator[tuple[Figure, Axes]]:
    """Yield an empty figure and its axes; draw and `finish` inside the block.

    Args:
        name: Of the plot; makes the ids of the SVG, so that the same plot gives the same bytes.
        width: Inches.
        height: Inches.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    matplotlib = require("matplotlib", extra="report")
    figures = require("matplotlib.figure", extra="report")
    with matplotlib.rc_context(_settings(name)):
        figure: Figure = figures.Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.subplots()


def legend(axes: Axes, *, columns: int = 1) -> None:
    """Put the legend below the axes, where it hides no line."""
    handles, names = axes.get_legend_handles_labels()
    if not handles:
        return
    axes.figure.legend(handles, names, loc="outside lower center", ncols=columns, handlelength=2.6, columnspacing=1.2)


def finish(figure: Figure, words: Words) -> Drawing:
    """Render a figure; its name and alternative text are those of `words`."""
    text, picture = io.StringIO(), io.BytesIO()
    figure.savefig(text, format="svg", metadata=dict(_NO_METADATA))
    figure.savefig(picture, format="png", dpi=_DOTS, metadata={"Software": None})
    return Drawing(
        svg=alone(text.getvalue()),
        png=picture.getvalue(),
        element=inline(text.getvalue(), name=words.name, alt=words.alt),
        width=round(figure.get_figwidth() * 72),
    )
