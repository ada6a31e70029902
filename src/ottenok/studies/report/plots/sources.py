"""F1 of each source with its interval: where a model holds and where it doesn't."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ottenok.studies.report.canvas import canvas, finish, legend
from ottenok.studies.report.fonts import writable
from ottenok.studies.report.parts import Plot, Words
from ottenok.studies.report.theme import SERIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ottenok.tasks.metrics import Interval
    from ottenok.tasks.report import Report, SourceMetrics

__all__ = ["source_plot"]


def source_plot(report: Report, group: str) -> Plot | None:
    """Draw macro F1 per source, best first; None where rows have no sources.

    In one-label schemes the macro average is over the labels that a source truly has.
    """
    name = "macro_f1" if report.kind == "multi-label" else "macro_f1_present"
    sources = sorted(
        (one for one in report.sources if one.source and name in one.metrics),
        key=lambda one: (-one.metrics[name].value, one.source),
    )
    if not sources:
        return None
    whole = report.metrics[name]
    figures = [one.metrics[name] for one in sources]
    worst = f"from {figures[0].value:.3f} ({sources[0].source}) to {figures[-1].value:.3f} ({sources[-1].source})"
    words = Words(
        name=f"sources-{group}",
        title="Macro F1 per source",
        alt=f"Macro F1 of {len(sources)} sources, {worst}; {whole.value:.3f} over all rows.",
        note=_note(report),
    )
    numbers = {
        one.source: {"rows": one.rows, **_interval(figure)} for one, figure in zip(sources, figures, strict=True)
    }
    with canvas(words.name, height=1.5 + 0.33 * len(sources)) as (figure, axes):
        _points(axes, figures, whole)
        labels = writable([one.source for one in sources], kind="source")
        axes.set_yticks(range(len(sources)), [_label(*pair) for pair in zip(labels, sources, strict=True)])
        axes.set_ylim(len(sources) - 0.5, -0.5)
        axes.set_xlabel("macro F1")
        legend(axes)
        return Plot(words=words, drawing=finish(figure, words), numbers=numbers)


def _note(report: Report) -> str:
    over = "" if report.kind == "multi-label" else " over the labels that a source truly has"
    lines = f"Lines are {report.confidence:.0%} bootstrap intervals." if report.resamples else ""
    return f"Macro F1{over}. {lines}".strip()


def _label(name: str, source: SourceMetrics) -> str:
    return f"{name} ({source.rows:,})"


def _points(axes: Axes, figures: list[Interval], whole: Interval) -> None:
    for place, one in enumerate(figures):
        if one.low is not None and one.high is not None:
            axes.plot([one.low, one.high], [place, place], color=SERIES[0], linewidth=2.2, solid_capstyle="butt")
    axes.plot([one.value for one in figures], range(len(figures)), "o", color=SERIES[0], markersize=6)
    axes.axvline(whole.value, color=SERIES[1], linestyle=(0.0, (5.0, 1.5)), label=f"all rows {whole.value:.3f}")
    axes.grid(visible=False, axis="y")


def _interval(one: Interval) -> dict[str, float | None]:
    return {"value": one.value, "low": one.low, "high": one.high}
