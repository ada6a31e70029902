"""ROC and precision-recall curves, each label against the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ottenok.studies.report.canvas import canvas, finish, legend
from ottenok.studies.report.parts import Plot, Words
from ottenok.studies.report.theme import DASHES, SERIES
from ottenok.tasks.curves import precision_recall, roc, thinned

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt
    from matplotlib.axes import Axes

    from ottenok.tasks.curves import Curve
    from ottenok.tasks.predictions import Predictions

__all__ = ["precision_recall_plots", "roc_plots", "rounded"]

# More lines in one figure can't be told apart.
_LINES = len(SERIES)
# Characters of a label, of which two stand side by side below the plot.
_SHORT = 11


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """What differs between the two kinds of curve."""

    name: str
    title: str
    area: str
    axes: tuple[str, str]
    note: str
    chance: bool
    curve: Callable[[Any, Any], Curve | None]


_ROC = _Kind(
    name="roc",
    title="ROC",
    area="AUC",
    axes=("false positive rate", "true positive rate"),
    note="Each label against the rest. The dotted line is guessing, AUC 0.5.",
    chance=True,
    curve=roc,
)
_PRECISION_RECALL = _Kind(
    name="pr",
    title="Precision and recall",
    area="AP",
    axes=("recall", "precision"),
    note="Each label against the rest. AP is the average precision; guessing has a label's share of the rows.",
    chance=False,
    curve=precision_recall,
)


def roc_plots(rows: Predictions, names: Sequence[str], group: str) -> tuple[Plot, ...]:
    """Draw the labels' ROC curves, at most seven in a figure.

    Args:
        rows: Probabilities and truth.
        names: Of the labels, as plots can write them.
        group: The set's name, which ends the plots' names.
    """
    return _plots(_ROC, rows, names, group)


def precision_recall_plots(rows: Predictions, names: Sequence[str], group: str) -> tuple[Plot, ...]:
    """Draw the labels' precision-recall curves; see `roc_plots`."""
    return _plots(_PRECISION_RECALL, rows, names, group)


def _plots(kind: _Kind, rows: Predictions, names: Sequence[str], group: str) -> tuple[Plot, ...]:
    found = [kind.curve(rows.probs[:, i], rows.truth[:, i]) for i in range(len(names))]
    places = [i for i, curve in enumerate(found) if curve is not None]
    parts = [places[start : start + _LINES] for start in range(0, len(places), _LINES)]
    plots = []
    for number, part in enumerate(parts, start=1):
        several = len(parts) > 1
        curves = {names[i]: curve for i in part if (curve := found[i]) is not None}
        areas = ", ".join(f"{label} {kind.area} {curve.area:.3f}" for label, curve in curves.items())
        words = Words(
            name=f"{kind.name}-{group}" + (f"-{number}" if several else ""),
            title=kind.title + (f" ({number} of {len(parts)})" if several else ""),
            alt=f"{kind.title} curves: {areas}.",
            note=kind.note,
        )
        numbers = {rows.labels[i]: _numbers(kind, curve) for i in part if (curve := found[i]) is not None}
        plots.append(_plot(kind, words, curves, numbers))
    return tuple(plots)


def _numbers(kind: _Kind, curve: Curve) -> dict[str, Any]:
    kept = thinned(curve.x, curve.y)
    return {
        kind.area.lower(): round(curve.area, 6),
        kind.axes[0].replace(" ", "_"): rounded(curve.x[kept]),
        kind.axes[1].replace(" ", "_"): rounded(curve.y[kept]),
    }


def rounded(numbers: npt.NDArray[Any]) -> list[float]:
    """Return numbers for `report.json`, with as many digits as a drawing can show."""
    return [round(float(number), 5) for number in numbers]


def _plot(kind: _Kind, words: Words, curves: dict[str, Curve], numbers: Any) -> Plot:  # noqa: ANN401 - any JSON value
    columns = 2 if len(curves) > 3 and all(len(label) <= _SHORT for label in curves) else 1
    with canvas(words.name, height=3.1 + 0.2 * (len(curves) / columns)) as (figure, axes):
        for place, (label, curve) in enumerate(curves.items()):
            kept = thinned(curve.x, curve.y)
            axes.plot(
                curve.x[kept],
                curve.y[kept],
                color=SERIES[place],
                linestyle=DASHES[place],
                label=f"{label}  {kind.area} {curve.area:.3f}",
            )
        if kind.chance:
            axes.plot([0, 1], [0, 1], color=SERIES[6], linestyle=":", linewidth=1.2)
        _square(axes, kind)
        legend(axes, columns=columns)
        return Plot(words=words, drawing=finish(figure, words), numbers=numbers)


def _square(axes: Axes, kind: _Kind) -> None:
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.01)
    axes.set_xlabel(kind.axes[0])
    axes.set_ylabel(kind.axes[1])
