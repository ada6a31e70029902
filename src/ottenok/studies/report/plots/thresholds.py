"""What each threshold would give, with the chosen one marked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ottenok.studies.report.canvas import canvas, finish, legend
from ottenok.studies.report.parts import Plot, Words
from ottenok.studies.report.plots.curves import rounded
from ottenok.studies.report.theme import DASHES, INK, SERIES
from ottenok.tasks.curves import confidence, sweep, thinned

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt
    from matplotlib.axes import Axes

    from ottenok.tasks.predictions import Predictions

    Floats = npt.NDArray[np.float64]

__all__ = ["confidence_plot", "threshold_plots"]


def threshold_plots(
    rows: Predictions, names: Sequence[str], group: str, thresholds: Sequence[float]
) -> tuple[Plot, ...]:
    """Draw F1, precision and recall of each label against its threshold.

    Args:
        rows: Probabilities and truth.
        names: Of the labels, as plots can write them.
        group: The set's name, which ends the plots' names.
        thresholds: The chosen one of each label; empty where answers need none.
    """
    return tuple(
        _label(rows, place, names[place], group, thresholds[place] if thresholds else None)
        for place in range(len(names))
        if rows.truth[:, place].any()
    )


def _label(rows: Predictions, place: int, name: str, group: str, chosen: float | None) -> Plot:
    probs, truth = rows.probs[:, place], rows.truth[:, place]
    found = sweep(probs, truth)
    best = int(found.f1.argmax())
    alt = f"{name}: F1 is best, {found.f1[best]:.3f}, at the threshold {found.thresholds[best]:.3f}."
    if chosen is not None:
        at = _at(found.thresholds, chosen)
        now = 0.0 if at is None else float(found.f1[at])
        alt += f" At the chosen one, {chosen:.3f}, it is {now:.3f}."
    note = "The upright line is the model's threshold." if chosen is not None else _NO_THRESHOLD
    words = Words(name=f"threshold-{group}-{place + 1}", title=f"Threshold of {name}", alt=alt, note=note)
    lines = {"F1": found.f1, "precision": found.precision, "recall": found.recall}
    return _plot(words, found.thresholds, lines, chosen)


_NO_THRESHOLD = "The model has no threshold here: its answer is the most probable label."


def _at(thresholds: Floats, chosen: float) -> int | None:
    """Return the position of the last score that reaches a threshold; None if no score does."""
    # As decisions compare: in float32.
    reached = np.flatnonzero(thresholds.astype(np.float32) >= np.float32(chosen))
    return int(reached[-1]) if len(reached) else None


def confidence_plot(rows: Predictions, group: str) -> Plot:
    """Draw what leaving out unsure answers brings, for one-label schemes."""
    found = confidence(rows.probs, rows.truth)
    half = found.accuracy[int(np.searchsorted(found.coverage, 0.5))]
    words = Words(
        name=f"confidence-{group}",
        title="Answering only when sure",
        alt=f"Accuracy is {found.accuracy[-1]:.3f} over all rows, and {half:.3f} over the surer half of them.",
        note="If answers below a probability were left out: the share of rows that still get one, and how many are "
        "right.",
    )
    lines = {"accuracy of the answers": found.accuracy, "rows answered": found.coverage}
    return _plot(words, found.thresholds, lines, None)


def _plot(words: Words, thresholds: Floats, lines: Mapping[str, Floats], chosen: float | None) -> Plot:
    drawn: dict[str, dict[str, list[float]]] = {}
    with canvas(words.name) as (figure, axes):
        for place, (label, values) in enumerate(lines.items()):
            kept = thinned(thresholds[::-1], values[::-1])
            x, y = thresholds[::-1][kept], values[::-1][kept]
            axes.plot(x, y, color=SERIES[place], linestyle=DASHES[place], label=label)
            drawn[label] = {"threshold": rounded(x), "value": rounded(y)}
        _frame(axes, chosen)
        legend(axes, columns=len(lines))
        return Plot(words=words, drawing=finish(figure, words), numbers={"chosen": chosen, "lines": drawn})


def _frame(axes: Axes, chosen: float | None) -> None:
    axes.set_xlim(0.0, 1.0)
    axes.set_ylim(-0.01, 1.01)
    axes.set_xlabel("threshold")
    if chosen is not None:
        axes.axvline(chosen, color=INK, linewidth=1.2)
