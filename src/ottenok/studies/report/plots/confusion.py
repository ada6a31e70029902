"""Which labels are taken for which.

One-label schemes: rows per true and answered label, in counts and in shares of the true label. Multi-label schemes: how
often each label was answered in rows that truly have a label, which shows what it is mixed up with; and how often it
goes unanswered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ottenok.studies.report.canvas import WIDTH, canvas, finish
from ottenok.studies.report.parts import Plot, Words
from ottenok.studies.report.theme import INK, MUTED, SERIES
from ottenok.tasks.metrics import ratio

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    from matplotlib.axes import Axes

    Floats = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]

__all__ = ["confusion_plots", "together_plot"]

# A cell is as dark as its share; letters in it stay readable on light and on dark pages up to this strength.
_DARKEST = 0.8
_CELL, _LETTER, _MARGIN = 0.62, 0.095, 0.55
_MANY = 12


def confusion_plots(counts: Sequence[Sequence[int]], names: Sequence[str], rows: int, group: str) -> tuple[Plot, ...]:
    """Draw a one-label scheme's confusion matrix, in counts and in shares of each true label's rows.

    Args:
        counts: Rows per true (outer) and answered label.
        names: Of the labels, as plots can write them.
        rows: All rows; those missing in `counts` got no answer.
        group: The set's name, which ends the plots' names.
    """
    table = np.asarray(counts, dtype=np.float64)
    shares = ratio(table, np.broadcast_to(table.sum(axis=1, keepdims=True), table.shape))
    right = float(np.trace(table) / max(table.sum(), 1.0))
    missing = rows - int(table.sum())
    gap = f" {missing:,} rows without an answer are left out." if missing else ""
    alt = f"{right:.1%} of the answers are on the diagonal. {_worst(shares, names)}"
    plots = []
    for name, title, cells in (("counts", "rows", table), ("shares", "shares of the true label", shares)):
        words = Words(
            name=f"confusion-{name}-{group}",
            title=f"Confusion in {title}",
            alt=alt,
            note=f"True labels down, answers across; darker is a larger share of the true label's rows.{gap}",
        )
        texts = [[f"{cell:,.0f}" if name == "counts" else _share(cell) for cell in row] for row in cells]
        plots.append(_plot(words, shares, texts, (names, names), cells.tolist()))
    return tuple(plots)


def _worst(shares: Floats, names: Sequence[str]) -> str:
    """Say in words which mistake is the commonest."""
    wrong = shares.copy()
    np.fill_diagonal(wrong, -1.0)
    true, answer = divmod(int(wrong.argmax()), len(names))
    if wrong[true, answer] <= 0.0:
        return "No label was taken for another."
    return f"The commonest mistake: {wrong[true, answer]:.1%} of {names[true]} were taken for {names[answer]}."


def together_plot(truth: Mask, answer: Mask, names: Sequence[str], group: str) -> Plot:
    """Draw how often each label was answered in rows that truly have a label, for multi-label schemes.

    Args:
        truth: bool `[rows, labels]`.
        answer: bool `[rows, labels]`.
        names: Of the labels, as plots can write them.
        group: The set's name, which ends the plot's name.
    """
    # Rows without any true label, and rows without any answer, have a line and a column of their own.
    true = np.concatenate([truth, ~truth.any(axis=1, keepdims=True)], axis=1).astype(np.float64)
    said = np.concatenate([answer, ~answer.any(axis=1, keepdims=True)], axis=1).astype(np.float64)
    pairs = true.T @ said
    support = true.sum(axis=0)
    shares = ratio(pairs, np.broadcast_to(support[:, None], pairs.shape))
    labels = (*names, "(none)")
    kept = support > 0
    words = Words(
        name=f"together-{group}",
        title="Answers in rows of each label",
        alt=f"Share of each label's rows that got it: "
        f"{', '.join(f'{name} {shares[i, i]:.1%}' for i, name in enumerate(labels) if kept[i])}.",
        note="Down: rows that truly have the label (perhaps beside others). Across: the share of them that was "
        "answered with each label. The diagonal is recall.",
    )
    texts = [[_share(cell) for cell in row] for row in shares[kept]]
    down = [name for name, there in zip(labels, kept, strict=True) if there]
    return _plot(words, shares[kept], texts, (down, labels), np.round(shares[kept], 5).tolist())


def _share(value: float) -> str:
    return f"{100.0 * value:.0f}%" if value == 0.0 or value >= 0.005 else "<1%"


def _plot(
    words: Words,
    strength: Floats,
    texts: list[list[str]],
    names: tuple[Sequence[str], Sequence[str]],
    numbers: list[list[float]],
) -> Plot:
    down, across = names
    width, height = _size(down, across, texts)
    with canvas(words.name, width=width, height=height) as (figure, axes):
        _cells(axes, strength, texts, names)
        axes.set_xticks(range(len(across)), across, rotation=90 if len(across) > 4 else 0)
        axes.set_yticks(range(len(down)), down)
        axes.set_xlabel("answer")
        axes.set_ylabel("true label")
        return Plot(
            words=words,
            drawing=finish(figure, words),
            numbers={"true": list(down), "answer": list(across), "cells": numbers},
        )


def _size(down: Sequence[str], across: Sequence[str], texts: list[list[str]]) -> tuple[float, float]:
    """Return inches: enough for the cells, with the labels beside them."""
    cell = max(_CELL if len(across) <= _MANY else 0.44, _LETTER * max(len(text) for row in texts for text in row))
    label = _LETTER * max(map(len, down))
    below = _LETTER * max(map(len, across)) if len(across) > 4 else 0.2
    width = max(WIDTH, label + _MARGIN + cell * len(across))
    return width, max(3.0, below + _MARGIN + 0.44 * len(down))


def _cells(axes: Axes, strength: Floats, texts: list[list[str]], names: tuple[Sequence[str], Sequence[str]]) -> None:
    from matplotlib.patches import Rectangle

    down, across = names
    for row, line in enumerate(texts):
        for column, text in enumerate(line):
            alpha = _DARKEST * float(strength[row, column])
            box = Rectangle((column - 0.5, row - 0.5), 1.0, 1.0, facecolor=SERIES[0], alpha=alpha, linewidth=0)
            axes.add_patch(box)
            weight = "bold" if down[row] == across[column] else "normal"
            colour = INK if strength[row, column] > 0.0 else MUTED
            axes.text(column, row, text, ha="center", va="center", fontsize=10.0, fontweight=weight, color=colour)
    axes.set_xlim(-0.5, strength.shape[1] - 0.5)
    axes.set_ylim(strength.shape[0] - 0.5, -0.5)
    axes.grid(visible=False)
    axes.tick_params(length=0)
