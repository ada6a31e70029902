"""Curves of the training, epoch by epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ottenok.studies.report.canvas import canvas, finish, legend
from ottenok.studies.report.parts import Plot, Words
from ottenok.studies.report.theme import DASHES, SERIES
from ottenok.tasks.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

    History = Sequence[Mapping[str, float]]

__all__ = ["training_plots"]

_LOSSES = {"train_loss": "training rows", "loss": "validation rows"}
_SOURCES = {"source_f1": "mean F1 over sources"}
# In this order, as many as there are colours.
_WANTED = (
    "accuracy",
    "macro_f1",
    "weighted_f1",
    "source_f1",
    "subset_accuracy",
    "micro_f1",
    "macro_auc",
    "quadratic_kappa",
)
_ERRORS = ("mae", "calibration_error")


def training_plots(history: History, chosen: float | None) -> tuple[Plot, ...]:
    """Draw losses, figures and errors over epochs.

    Args:
        history: The rows of `history.jsonl`.
        chosen: The epoch whose weights were kept; None if unknown.
    """
    titles = {name: found.title for name, found in METRICS.items()} | _SOURCES
    groups = (
        ("training-loss", "Loss", "loss", _LOSSES),
        ("training-figures", "Figures on validation rows", "", {name: titles[name] for name in _WANTED}),
        ("training-errors", "Errors on validation rows", "less is better", {name: titles[name] for name in _ERRORS}),
    )
    plots = []
    for name, title, unit, wanted in groups:
        series = {key: label for key, label in wanted.items() if any(key in row for row in history)}
        if series:
            words = Words(name=name, title=title, alt=_alt(title, history, series), note=_note(chosen))
            plots.append(_plot(words, history, dict(list(series.items())[: len(SERIES)]), unit, chosen))
    return tuple(plots)


def _alt(title: str, history: History, series: Mapping[str, str]) -> str:
    ends = [
        f"{label} {values[0]:.3f} after the first epoch, {values[-1]:.3f} after the last"
        for key, label in series.items()
        if (values := [row[key] for row in history if key in row])
    ]
    return f"{title} over {len(history)} epochs: {'; '.join(ends)}."


def _note(chosen: float | None) -> str:
    return "" if chosen is None else f"The dotted line marks epoch {chosen:g}, whose weights were kept."


def _plot(words: Words, history: History, series: Mapping[str, str], unit: str, chosen: float | None) -> Plot:
    numbers = {key: [[row["epoch"], row[key]] for row in history if key in row] for key in series}
    with canvas(words.name) as (figure, axes):
        for place, (key, label) in enumerate(series.items()):
            epochs, values = zip(*numbers[key], strict=True)
            axes.plot(epochs, values, color=SERIES[place], linestyle=DASHES[place], marker="o", label=label)
        axes.set_xlabel("epoch")
        axes.set_ylabel(unit)
        _epoch_ticks(axes, [row["epoch"] for row in history])
        if chosen is not None:
            axes.axvline(chosen, color=SERIES[6], linestyle=":", linewidth=1.2)
        legend(axes, columns=2)
        return Plot(words=words, drawing=finish(figure, words), numbers=numbers)


def _epoch_ticks(axes: Axes, epochs: list[float]) -> None:
    """Mark whole epochs, at most ten of them."""
    last = max(1, round(max(epochs)))
    step = -(-last // 10)
    axes.set_xticks(range(step, last + 1, step))
