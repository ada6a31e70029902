"""Whether probabilities can be believed, before and after the temperature."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ottenok.studies.report.canvas import canvas, finish, legend
from ottenok.studies.report.parts import Plot, Words
from ottenok.studies.report.plots.curves import rounded
from ottenok.studies.report.theme import DASHES, MUTED, SERIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ottenok.tasks.calibration import Reliability
    from ottenok.tasks.report import Report

__all__ = ["reliability_plot"]

_HELP = (
    "Each point is a range of claimed probabilities: what was claimed, and how much of it came true. On the dotted "
    "line claims hold; below it the model is too sure. The bars show where the claims lie. ECE is the mean distance "
    "from the line"
)


def reliability_plot(report: Report, group: str) -> Plot | None:
    """Draw what came true of what was claimed; None where the report does not know.

    Args:
        report: With its calibration, and that of before the temperature if there was one.
        group: The set's name, which ends the plot's name.
    """
    if report.calibration is None:
        return None
    now, before = report.calibration.overall, report.uncalibrated
    found = {"as the model is": now}
    if before is not None:
        found = {"after the temperature": now, "before it": before.overall}
    errors = ", ".join(f"{name} {one.error:.4f}" for name, one in found.items())
    words = Words(
        name=f"reliability-{group}",
        title="Reliability",
        alt=f"Expected calibration error: {errors}.",
        note=f"{_HELP}; on so many rows, honest claims would have {now.chance:.4f} by chance.",
    )
    of = "probability of each label" if report.kind == "multi-label" else "probability of the answer"
    with canvas(words.name, height=3.8) as (figure, axes):
        for place, (name, one) in enumerate(found.items()):
            _line(axes, one, name, place)
        _bars(axes, now)
        axes.plot([0, 1], [0, 1], color=SERIES[6], linestyle=":", linewidth=1.2)
        axes.set_xlim(0.0, 1.0)
        axes.set_ylim(0.0, 1.01)
        axes.set_xlabel(f"claimed {of}")
        axes.set_ylabel("share that came true")
        legend(axes)
        return Plot(words=words, drawing=finish(figure, words), numbers={n: _numbers(one) for n, one in found.items()})


def _line(axes: Axes, one: Reliability, name: str, place: int) -> None:
    filled = [i for i, count in enumerate(one.count) if count]
    axes.plot(
        [one.claimed[i] for i in filled],
        [one.true[i] for i in filled],
        color=SERIES[place],
        linestyle=DASHES[place],
        marker="os"[place],
        label=f"{name}  ECE {one.error:.4f}",
    )


def _bars(axes: Axes, one: Reliability) -> None:
    """Show at the bottom how many claims each range holds; the highest bar takes a sixth of the height."""
    bins, most = len(one.count), max(one.count)
    heights = [count / max(most, 1) / 6.0 for count in one.count]
    left = [(i + 0.08) / bins for i in range(bins)]
    axes.bar(left, heights, width=0.84 / bins, align="edge", color=MUTED, alpha=0.35, linewidth=0)


def _numbers(one: Reliability) -> dict[str, object]:
    return {
        "ece": round(one.error, 6),
        "chance": round(one.chance, 6),
        "count": list(one.count),
        "claimed": rounded(np.asarray(one.claimed)),
        "true": rounded(np.asarray(one.true)),
    }
