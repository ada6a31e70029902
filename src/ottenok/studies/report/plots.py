"""The plots of a report; each gives a picture and the numbers in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ottenok.core.lazy import require
from ottenok.studies.report.drawing import DASHES, INK, MUTED, SERIES, WIDTH, canvas, finish, legend, writable
from ottenok.studies.report.parts import Plot
from ottenok.tasks.metrics import METRICS, Interval, ratio
from ottenok.tasks.selective import risk_coverage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from ottenok.tasks.predictions import Predictions
    from ottenok.tasks.report import Report
    from ottenok.tasks.task import Task

    Floats = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]
    History = Sequence[Mapping[str, float]]

__all__ = [
    "Curve",
    "confidence_plot",
    "confusion_plots",
    "curve_plots",
    "curves",
    "interval_plot",
    "reliability_plot",
    "risk_plot",
    "source_plot",
    "thinned",
    "threshold_plots",
    "together_plot",
    "training_plots",
]

_DASHED = (0.0, (5.0, 1.5))
# A cell is as dark as its share; letters in it stay readable on light and on dark pages up to this strength.
_DARKEST = 0.8
_CELL, _LETTER, _MARGIN = 0.62, 0.095, 0.55


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A label's curves over every threshold, by scikit-learn: each label against the rest.

    Attributes:
        false_positives: float64 `[points]`, shares of the rows without the label; with `true_positives` the ROC curve.
        true_positives: float64 `[points]`, shares of the rows with it.
        auc: Area under the ROC curve; None where all rows or none have the label, and there is no such curve.
        thresholds: float64 `[scores]`, rising; `precision`, `recall` and `f1` at each of them.
        precision: float64 `[scores]`.
        recall: float64 `[scores]`.
        f1: float64 `[scores]`.
        average_precision: The sum of precisions weighted by the recall that each threshold adds.
    """

    false_positives: Floats
    true_positives: Floats
    auc: float | None
    thresholds: Floats
    precision: Floats
    recall: Floats
    f1: Floats
    average_precision: float


def curves(rows: Predictions) -> list[Curve | None]:
    """Return the curves of each label, in the order of the columns; None where no row has the label.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    metrics = require("sklearn.metrics", extra="report")
    found: list[Curve | None] = []
    for place in range(len(rows.labels)):
        truth, scores = rows.truth[:, place], rows.probs[:, place]
        if not truth.any():
            found.append(None)
            continue
        whole = bool(truth.all())
        empty = np.zeros(0)
        x, y, _ = (empty, empty, empty) if whole else metrics.roc_curve(truth, scores, drop_intermediate=False)
        precision, recall, thresholds = metrics.precision_recall_curve(truth, scores)
        found.append(
            Curve(
                false_positives=x,
                true_positives=y,
                auc=None if whole else float(metrics.auc(x, y)),
                thresholds=thresholds.astype(np.float64),
                precision=precision,
                recall=recall,
                f1=ratio(2.0 * precision * recall, precision + recall)[:-1],
                average_precision=float(metrics.average_precision_score(truth, scores)),
            )
        )
    return found


def thinned(x: Floats, y: Floats, points: int = 200) -> npt.NDArray[np.int64]:
    """Return the positions of at most `points` points that draw the same line: evenly along its length.

    The first and the last point always stay; so do all, if there are no more than `points`.
    """
    if len(x) <= points:
        return np.arange(len(x))
    length = np.append(0.0, np.cumsum(np.hypot(np.diff(x), np.diff(y))))
    wanted = np.linspace(0.0, length[-1], points)
    return np.unique(np.append(np.searchsorted(length[:-1], wanted[:-1]), len(x) - 1))


def _rounded(numbers: npt.ArrayLike) -> list[float]:
    """Return numbers for `report.json`, with as many digits as a drawing can show."""
    return [round(float(number), 5) for number in np.asarray(numbers)]


def curve_plots(found: Sequence[Curve | None], labels: Sequence[str], group: str) -> tuple[Plot, ...]:
    """Draw the labels' ROC and precision-recall curves, at most seven in a figure.

    Args:
        found: From `curves`.
        labels: In the same order.
        group: The set's name, which ends the plots' names.
    """
    names = writable(labels, kind="label")
    plots = []
    for kind, title, area, axis, note in (
        (
            "roc",
            "ROC",
            "AUC",
            ("false positive rate", "true positive rate"),
            "Each label against the rest. The dotted line is guessing, AUC 0.5.",
        ),
        (
            "pr",
            "Precision and recall",
            "AP",
            ("recall", "precision"),
            "Each label against the rest. AP is the average precision; guessing has a label's share of the rows.",
        ),
    ):
        lines: list[tuple[int, Floats, Floats, float]] = []
        for place, one in enumerate(found):
            if one is not None and kind == "pr":
                lines.append((place, one.recall[::-1], one.precision[::-1], one.average_precision))
            elif one is not None and one.auc is not None:
                lines.append((place, one.false_positives, one.true_positives, one.auc))
        parts = [lines[start : start + len(SERIES)] for start in range(0, len(lines), len(SERIES))]
        for number, part in enumerate(parts, start=1):
            several = len(parts) > 1
            name = f"{kind}-{group}" + (f"-{number}" if several else "")
            told = ", ".join(f"{names[place]} {area} {value:.3f}" for place, _, _, value in part)
            columns = 2 if len(part) > 3 and all(len(names[place]) <= 11 for place, *_ in part) else 1
            numbers: dict[str, Any] = {}
            with canvas(name, height=3.1 + 0.2 * (len(part) / columns)) as (figure, axes):
                for series, (place, x, y, value) in enumerate(part):
                    kept = thinned(x, y)
                    style: dict[str, Any] = {"color": SERIES[series], "linestyle": DASHES[series]}
                    axes.plot(x[kept], y[kept], label=f"{names[place]}  {area} {value:.3f}", **style)
                    keys = (key.replace(" ", "_") for key in axis)
                    values = (_rounded(x[kept]), _rounded(y[kept]))
                    numbers[labels[place]] = {area.lower(): round(value, 6), **dict(zip(keys, values, strict=True))}
                if kind == "roc":
                    axes.plot([0, 1], [0, 1], color=SERIES[6], linestyle=":", linewidth=1.2)
                axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xlabel=axis[0], ylabel=axis[1])
                legend(axes, columns=columns)
                alt = f"{title} curves: {told}."
                plots.append(
                    Plot(
                        name=name,
                        title=title + (f" ({number} of {len(parts)})" if several else ""),
                        alt=alt,
                        note=note,
                        drawing=finish(figure, name=name, alt=alt),
                        numbers=numbers,
                    )
                )
    return tuple(plots)


def threshold_plots(
    found: Sequence[Curve | None], labels: Sequence[str], group: str, thresholds: Sequence[float]
) -> tuple[Plot, ...]:
    """Draw F1, precision and recall of each label against its threshold.

    Args:
        found: From `curves`.
        labels: In the same order.
        group: The set's name, which ends the plots' names.
        thresholds: The chosen one of each label; empty where answers need none.
    """
    plots = []
    for place, (one, name) in enumerate(zip(found, writable(labels, kind="label"), strict=True)):
        if one is None:
            continue
        best = len(one.f1) - 1 - int(one.f1[::-1].argmax())
        alt = f"{name}: F1 is best, {one.f1[best]:.3f}, at the threshold {one.thresholds[best]:.3f}."
        note = "The model has no threshold here: its answer is the most probable label."
        chosen = thresholds[place] if thresholds else None
        if chosen is not None:
            # As decisions compare: in float32. The first score that reaches the threshold is the last one answered.
            reached = np.flatnonzero(one.thresholds.astype(np.float32) >= np.float32(chosen))
            now = float(one.f1[reached[0]]) if len(reached) else 0.0
            alt += f" At the chosen one, {chosen:.3f}, it is {now:.3f}."
            note = "The upright line is the model's threshold."
        lines = {"F1": one.f1, "precision": one.precision[:-1], "recall": one.recall[:-1]}
        words = {"name": f"threshold-{group}-{place + 1}", "title": f"Threshold of {name}", "alt": alt, "note": note}
        plots.append(_over_thresholds(words, one.thresholds, lines, chosen))
    return tuple(plots)


def confidence_plot(rows: Predictions, group: str) -> Plot:
    """Draw what leaving out unsure answers brings, for one-label schemes."""
    best = rows.probs.argmax(axis=1)
    sure = rows.probs[np.arange(len(rows)), best].astype(np.float64)
    order = np.argsort(-sure, kind="stable")
    right = np.cumsum(rows.truth[np.arange(len(rows)), best][order])
    # Equal probabilities are on one side of any threshold together: only the last of each group is a point.
    last = np.flatnonzero(np.append(np.diff(sure[order]) != 0, True))
    coverage, accuracy = (last + 1) / len(rows), right[last] / (last + 1)
    half = accuracy[int(np.searchsorted(coverage, 0.5))]
    words = {
        "name": f"confidence-{group}",
        "title": "Answering only when sure",
        "alt": f"Accuracy is {accuracy[-1]:.3f} over all rows, and {half:.3f} over the surer half of them.",
        "note": "If answers below a probability were left out: the share of rows that still get one, and how many are "
        "right.",
    }
    lines = {"accuracy of the answers": accuracy[::-1], "rows answered": coverage[::-1]}
    return _over_thresholds(words, sure[order][last][::-1], lines, None)


def risk_plot(task: Task, rows: Predictions, group: str) -> Plot:
    """Draw what share of answers is wrong where only the surest are given, and the area under that curve."""
    coverage, risk, area = risk_coverage(task, rows.probs, rows.truth)
    name, drawn = f"risk-{group}", {}
    whole = float(risk[-1]) if len(risk) else 0.0
    half = float(risk[int(np.searchsorted(coverage, 0.5))]) if len(risk) else 0.0
    alt = f"Of all answers {whole:.3f} are wrong, of the surer half {half:.3f}; area under the curve {area:.4f}."
    note = "Answers in the order of their confidence: how many of the surest ones are wrong. The area is the mean risk."
    with canvas(name) as (figure, axes):
        if len(coverage):
            kept = thinned(coverage, risk)
            axes.plot(coverage[kept], risk[kept], color=SERIES[0], linestyle=DASHES[0], label=f"area {area:.4f}")
            drawn = {"coverage": _rounded(coverage[kept]), "risk": _rounded(risk[kept])}
            legend(axes, columns=1)
        axes.set(xlim=(0.0, 1.0), ylim=(-0.01, 1.01), xlabel="share of answers given", ylabel="share wrong")
        drawing = finish(figure, name=name, alt=alt)
    numbers = {"area": round(area, 6), "lines": drawn}
    return Plot(name=name, title="Risk and coverage", alt=alt, note=note, drawing=drawing, numbers=numbers)


def _over_thresholds(words: dict[str, str], x: Floats, lines: Mapping[str, Floats], chosen: float | None) -> Plot:
    drawn: dict[str, dict[str, list[float]]] = {}
    with canvas(words["name"]) as (figure, axes):
        for place, (label, values) in enumerate(lines.items()):
            kept = thinned(x, values)
            axes.plot(x[kept], values[kept], color=SERIES[place], linestyle=DASHES[place], label=label)
            drawn[label] = {"threshold": _rounded(x[kept]), "value": _rounded(values[kept])}
        axes.set(xlim=(0.0, 1.0), ylim=(-0.01, 1.01), xlabel="threshold")
        if chosen is not None:
            axes.axvline(chosen, color=INK, linewidth=1.2)
        legend(axes, columns=len(lines))
        drawing = finish(figure, name=words["name"], alt=words["alt"])
        return Plot(**words, drawing=drawing, numbers={"chosen": chosen, "lines": drawn})


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
    name = f"reliability-{group}"
    alt = f"Expected calibration error: {', '.join(f'{key} {one.error:.4f}' for key, one in found.items())}."
    note = (
        "Each point is a range of claimed probabilities: what was claimed, and how much of it came true. On the dotted "
        "line claims hold; below it the model is too sure. The bars show where the claims lie. ECE is the mean "
        f"distance from the line; on so many rows, honest claims would have {now.chance:.4f} by chance."
    )
    of = "probability of each label" if report.kind == "multi-label" else "probability of the answer"
    with canvas(name, height=3.8) as (figure, axes):
        for place, (key, one) in enumerate(found.items()):
            filled = [i for i, count in enumerate(one.count) if count]
            axes.plot(
                [one.claimed[i] for i in filled],
                [one.true[i] for i in filled],
                color=SERIES[place],
                linestyle=DASHES[place],
                marker="os"[place],
                label=f"{key}  ECE {one.error:.4f}",
            )
        # At the bottom, how many claims each range holds; the highest bar takes a sixth of the height.
        bins, most = len(now.count), max(*now.count, 1)
        left, heights = [(i + 0.08) / bins for i in range(bins)], [count / most / 6.0 for count in now.count]
        axes.bar(left, heights, width=0.84 / bins, align="edge", color=MUTED, alpha=0.35, linewidth=0)
        axes.plot([0, 1], [0, 1], color=SERIES[6], linestyle=":", linewidth=1.2)
        axes.set(xlim=(0.0, 1.0), ylim=(0.0, 1.01), xlabel=f"claimed {of}", ylabel="share that came true")
        legend(axes)
        numbers = {
            key: {
                "ece": round(one.error, 6),
                "chance": round(one.chance, 6),
                "count": list(one.count),
                "claimed": _rounded(one.claimed),
                "true": _rounded(one.true),
            }
            for key, one in found.items()
        }
        drawing = finish(figure, name=name, alt=alt)
        return Plot(name=name, title="Reliability", alt=alt, note=note, drawing=drawing, numbers=numbers)


def confusion_plots(counts: Sequence[Sequence[int]], labels: Sequence[str], rows: int, group: str) -> tuple[Plot, ...]:
    """Draw a one-label scheme's confusion matrix, in counts and in shares of each true label's rows.

    Args:
        counts: Rows per true (outer) and answered label.
        labels: In the same order.
        rows: All rows; those missing in `counts` got no answer.
        group: The set's name, which ends the plots' names.
    """
    names = writable(labels, kind="label")
    table = np.asarray(counts, dtype=np.float64)
    shares = ratio(table, np.broadcast_to(table.sum(axis=1, keepdims=True), table.shape))
    right = float(np.trace(table) / max(table.sum(), 1.0))
    missing = rows - int(table.sum())
    gap = f" {missing:,} rows without an answer are left out." if missing else ""
    wrong = shares.copy()
    np.fill_diagonal(wrong, -1.0)
    true, answer = divmod(int(wrong.argmax()), len(names))
    worst = "No label was taken for another."
    if wrong[true, answer] > 0.0:
        worst = f"The commonest mistake: {wrong[true, answer]:.1%} of {names[true]} were taken for {names[answer]}."
    plots = []
    for kind, title, cells in (("counts", "rows", table), ("shares", "shares of the true label", shares)):
        words = {
            "name": f"confusion-{kind}-{group}",
            "title": f"Confusion in {title}",
            "alt": f"{right:.1%} of the answers are on the diagonal. {worst}",
            "note": f"True labels down, answers across; darker is a larger share of the true label's rows.{gap}",
        }
        texts = [[f"{cell:,.0f}" if kind == "counts" else _share(cell) for cell in row] for row in cells]
        plots.append(_matrix(words, shares, texts, (names, names), cells.tolist()))
    return tuple(plots)


def together_plot(truth: Mask, answer: Mask, labels: Sequence[str], group: str) -> Plot:
    """Draw how often each label was answered in rows that truly have a label, for multi-label schemes.

    It shows what a label is mixed up with, and how often it goes unanswered.

    Args:
        truth: bool `[rows, labels]`.
        answer: bool `[rows, labels]`.
        labels: In the order of the columns.
        group: The set's name, which ends the plot's name.
    """
    # Rows without any true label, and rows without any answer, have a line and a column of their own.
    true = np.concatenate([truth, ~truth.any(axis=1, keepdims=True)], axis=1).astype(np.float64)
    said = np.concatenate([answer, ~answer.any(axis=1, keepdims=True)], axis=1).astype(np.float64)
    pairs, support = true.T @ said, true.sum(axis=0)
    shares = ratio(pairs, np.broadcast_to(support[:, None], pairs.shape))
    names = (*writable(labels, kind="label"), "(none)")
    kept = support > 0
    told = ", ".join(f"{name} {shares[i, i]:.1%}" for i, name in enumerate(names) if kept[i])
    words = {
        "name": f"together-{group}",
        "title": "Answers in rows of each label",
        "alt": f"Share of each label's rows that got it: {told}.",
        "note": "Down: rows that truly have the label (perhaps beside others). Across: the share of them that was "
        "answered with each label. The diagonal is recall.",
    }
    texts = [[_share(cell) for cell in row] for row in shares[kept]]
    down = [name for name, there in zip(names, kept, strict=True) if there]
    return _matrix(words, shares[kept], texts, (down, names), np.round(shares[kept], 5).tolist())


def _share(value: float) -> str:
    return f"{100.0 * value:.0f}%" if value == 0.0 or value >= 0.005 else "<1%"


def _matrix(
    words: dict[str, str],
    strength: Floats,
    texts: list[list[str]],
    names: tuple[Sequence[str], Sequence[str]],
    numbers: list[list[float]],
) -> Plot:
    from matplotlib.patches import Rectangle

    down, across = names
    # Enough for the cells, with the labels beside them.
    cell = max(_CELL if len(across) <= 12 else 0.44, _LETTER * max(len(text) for row in texts for text in row))
    below = _LETTER * max(map(len, across)) if len(across) > 4 else 0.2
    width = max(WIDTH, _LETTER * max(map(len, down)) + _MARGIN + cell * len(across))
    with canvas(words["name"], width=width, height=max(3.0, below + _MARGIN + 0.44 * len(down))) as (figure, axes):
        for row, line in enumerate(texts):
            for column, text in enumerate(line):
                share = float(strength[row, column])
                box = Rectangle(
                    (column - 0.5, row - 0.5), 1, 1, facecolor=SERIES[0], alpha=_DARKEST * share, linewidth=0
                )
                axes.add_patch(box)
                weight = "bold" if down[row] == across[column] else "normal"
                colour = INK if share > 0.0 else MUTED
                axes.text(column, row, text, ha="center", va="center", fontsize=10.0, fontweight=weight, color=colour)
        axes.set(xlim=(-0.5, strength.shape[1] - 0.5), ylim=(strength.shape[0] - 0.5, -0.5))
        axes.grid(visible=False)
        axes.tick_params(length=0)
        axes.set_xticks(range(len(across)), across, rotation=90 if len(across) > 4 else 0)
        axes.set_yticks(range(len(down)), down)
        axes.set(xlabel="answer", ylabel="true label")
        drawing = finish(figure, name=words["name"], alt=words["alt"])
        return Plot(**words, drawing=drawing, numbers={"true": list(down), "answer": list(across), "cells": numbers})


def interval_plot(  # noqa: PLR0913 - what is drawn, and what is said of it
    found: Sequence[tuple[str, Interval]],
    *,
    name: str,
    title: str,
    alt: str,
    note: str = "",
    axis: str,
    whole: Interval | None = None,
    marked: str | None = None,
    numbers: Any = None,  # noqa: ANN401 - any JSON value
) -> Plot:
    """Draw values with their intervals, one below the other.

    Args:
        found: Name (that plots can write) and value of each, from top to bottom.
        name: Of the plot.
        title: Of the plot.
        alt: Of the plot.
        note: Of the plot.
        axis: What the values are.
        whole: A value that the others are seen beside, as an upright line.
        marked: Name that has another colour.
        numbers: For `report.json`; None: those that are drawn.
    """
    with canvas(name, height=1.5 + 0.33 * len(found)) as (figure, axes):
        for place, (key, one) in enumerate(found):
            colour = SERIES[1 if key == marked else 0]
            if one.low is not None and one.high is not None:
                axes.plot([one.low, one.high], [place, place], color=colour, linewidth=2.2, solid_capstyle="butt")
            axes.plot([one.value], [place], "o", color=colour, markersize=6)
        if whole is not None:
            axes.axvline(whole.value, color=SERIES[1], linestyle=_DASHED, label=f"all rows {whole.value:.3f}")
        axes.grid(visible=False, axis="y")
        axes.set_yticks(range(len(found)), [key for key, _ in found])
        axes.set_ylim(len(found) - 0.5, -0.5)
        axes.set_xlabel(axis)
        legend(axes)
        drawn = {key: {"value": one.value, "low": one.low, "high": one.high} for key, one in found}
        drawing = finish(figure, name=name, alt=alt)
        return Plot(name=name, title=title, alt=alt, note=note, drawing=drawing, numbers=numbers or drawn)


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
    names = writable([one.source for one in sources], kind="source")
    values = [one.metrics[name] for one in sources]
    worst = f"from {values[0].value:.3f} ({names[0]}) to {values[-1].value:.3f} ({names[-1]})"
    over = "" if report.kind == "multi-label" else " over the labels that a source truly has"
    lines = f" Lines are {report.confidence:.0%} bootstrap intervals." if report.resamples else ""
    return interval_plot(
        [(f"{key} ({one.rows:,})", value) for key, one, value in zip(names, sources, values, strict=True)],
        name=f"sources-{group}",
        title="Macro F1 per source",
        alt=f"Macro F1 of {len(sources)} sources, {worst}; {report.metrics[name].value:.3f} over all rows.",
        note=f"Macro F1{over}.{lines}",
        axis="macro F1",
        whole=report.metrics[name],
        numbers={
            one.source: {"rows": one.rows, "value": value.value, "low": value.low, "high": value.high}
            for one, value in zip(sources, values, strict=True)
        },
    )


def training_plots(history: History, chosen: float | None) -> tuple[Plot, ...]:
    """Draw losses, metrics and errors over epochs, as many lines as there are colours.

    Args:
        history: The rows of `history.jsonl`.
        chosen: The epoch whose weights were kept; None if unknown.
    """
    titles = {name: metric.title for name, metric in METRICS.items()}
    wanted = ("accuracy", "macro_f1", "weighted_f1", "cell_f1", "source_f1", "subset_accuracy", "micro_f1", "macro_auc")
    errors = ("mae", "calibration_error")
    # Of several tasks the means stand under the plain names, and each task's own value behind its name.
    tasks = {key: f"{key.partition('/')[0]}: macro F1" for row in history for key in row if key.endswith("/macro_f1")}
    groups = (
        ("training-loss", "Loss", "loss", {"train_loss": "training rows", "loss": "validation rows"}),
        ("training-figures", "Metrics on validation rows", "", {name: titles[name] for name in wanted} | tasks),
        ("training-errors", "Errors on validation rows", "less is better", {name: titles[name] for name in errors}),
    )
    plots = []
    for name, title, unit, shown in groups:
        numbers = {key: [[row["epoch"], row[key]] for row in history if key in row] for key in shown}
        series = {key: label for key, label in shown.items() if numbers[key]}
        series = dict(list(series.items())[: len(SERIES)])
        if not series:
            continue
        ends = [
            f"{label} {numbers[key][0][1]:.3f} after the first epoch, {numbers[key][-1][1]:.3f} after the last"
            for key, label in series.items()
        ]
        alt = f"{title} over {len(history)} epochs: {'; '.join(ends)}."
        note = "" if chosen is None else f"The dotted line marks epoch {chosen:g}, whose weights were kept."
        with canvas(name) as (figure, axes):
            for place, (key, label) in enumerate(series.items()):
                epochs, values = zip(*numbers[key], strict=True)
                axes.plot(epochs, values, color=SERIES[place], linestyle=DASHES[place], marker="o", label=label)
            axes.set(xlabel="epoch", ylabel=unit)
            # Whole epochs, at most ten of them.
            last = max(1, round(max(row["epoch"] for row in history)))
            axes.set_xticks(range(-(-last // 10), last + 1, -(-last // 10)))
            if chosen is not None:
                axes.axvline(chosen, color=SERIES[6], linestyle=":", linewidth=1.2)
            legend(axes, columns=2)
            drawing = finish(figure, name=name, alt=alt)
            kept = {key: numbers[key] for key in series}
            plots.append(Plot(name=name, title=title, alt=alt, note=note, drawing=drawing, numbers=kept))
    return tuple(plots)
