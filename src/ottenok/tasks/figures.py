"""The figures that a table or a recipe may name, each by its definition.

What "macro" averages over, in slices where labels are missing:

- One-label schemes: labels that occur in the truth or among the answers, as scikit-learn does when it is not told the
  labels, and so as published cards do. A label that is answered but never true counts with F1 0: a model that calls
  one hotel review neutral loses a third of its macro F1 on a corpus without neutral reviews.
- `macro_f1_present` therefore averages over labels that are true somewhere in the slice. It is the figure to compare
  with systems that know only those labels.
- Multi-label schemes: all labels, as scikit-learn does for indicator matrices.

What can't be divided is 0 (scikit-learn's `zero_division=0`).
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

import numpy as np

from ottenok.tasks.counts import f1, ratio, two_class_f1

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt

    from ottenok.tasks.tally import Kind, Tally

    Floats = npt.NDArray[np.float64]

__all__ = [
    "COUNTED",
    "OPEN",
    "Figure",
    "counted",
    "figures",
    "fitting",
    "label_f1",
    "label_precision",
    "label_recall",
    "macro",
]

# One-label answers read as multi-label scripts read them, to the multi-label figures that these are.
OPEN: Mapping[str, str] = MappingProxyType(
    {"open_accuracy": "subset_accuracy", "open_f1": "micro_f1", "open_auc": "answer_auc"}
)

Fits = Literal["any", "one-label", "multi-label", "ordered", "polar"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A named figure.

    Attributes:
        title: As tables call it.
        meaning: One sentence for documents and help.
        fits: Kinds of scheme that have it.
        better: Whether more or less of it is better.
        headline: In which schemes tables of systems show it; None: only when it is asked for.
    """

    title: str
    meaning: str
    fits: Fits
    better: Literal["higher", "lower"]
    headline: Literal["any", "multi-label"] | None


def label_precision(counts: Tally) -> Floats:
    """Return each label's precision, `[..., labels]`."""
    return ratio(counts.hits, counts.selected)


def label_recall(counts: Tally) -> Floats:
    """Return each label's recall, `[..., labels]`."""
    return ratio(counts.hits, counts.support)


def label_f1(counts: Tally) -> Floats:
    """Return each label's F1, `[..., labels]`."""
    return f1(counts.hits, counts.selected, counts.support)


def macro(values: Floats, counts: Tally) -> Floats:
    """Return the plain mean over labels `[...]`; see the module for which labels count."""
    if not counts.kind.one_label:
        return np.asarray(values.mean(axis=-1))
    return np.asarray(values[..., counts.occurring].mean(axis=-1))


def _weighted(values: Floats, counts: Tally) -> Floats:
    return ratio((values * counts.support).sum(axis=-1), counts.support.sum(axis=-1))


def _exact(counts: Tally) -> Floats:
    return ratio(counts.exact, counts.rows)


def _macro_f1(counts: Tally) -> Floats:
    return macro(label_f1(counts), counts)


def _macro_precision(counts: Tally) -> Floats:
    return macro(label_precision(counts), counts)


def _macro_recall(counts: Tally) -> Floats:
    return macro(label_recall(counts), counts)


def _macro_f1_present(counts: Tally) -> Floats:
    return np.asarray(label_f1(counts)[..., counts.present].mean(axis=-1))


def _balanced_f1(counts: Tally) -> Floats:
    # Each true label's row of the confusion matrix as shares, so that all rows have the same mass.
    shares = ratio(counts.confusion, counts.confusion.sum(axis=-1, keepdims=True))
    hits = np.diagonal(shares, axis1=-2, axis2=-1)
    values = f1(hits, shares.sum(axis=-2), shares.sum(axis=-1))
    return np.asarray(values[..., counts.present].mean(axis=-1))


def _answer_auc(counts: Tally) -> Floats:
    hits, selected, support = (part.sum(axis=-1) for part in (counts.hits, counts.selected, counts.support))
    cells = counts.rows * counts.hits.shape[-1]
    sensitive = np.where(support > 0, ratio(hits, support), np.nan)
    specific = np.where(cells > support, 1.0 - ratio(selected - hits, cells - support), np.nan)
    return np.asarray((sensitive + specific) / 2.0)


def _polar_f1(counts: Tally) -> Floats:
    ranks = _ranks(counts)
    values = label_f1(counts)
    return np.asarray((values[..., ranks.argmin()] + values[..., ranks.argmax()]) / 2.0)


def _weighted_f1(counts: Tally) -> Floats:
    return _weighted(label_f1(counts), counts)


def _micro_f1(counts: Tally) -> Floats:
    return f1(counts.hits.sum(axis=-1), counts.selected.sum(axis=-1), counts.support.sum(axis=-1))


def _samples_f1(counts: Tally) -> Floats:
    return ratio(counts.samples_f1, counts.rows)


def _two_class_f1(counts: Tally) -> Floats:
    rows = np.broadcast_to(counts.rows[..., None], counts.hits.shape)
    return np.asarray(two_class_f1(counts.hits, counts.selected, counts.support, rows).mean(axis=-1))


def _label_accuracy(counts: Tally) -> Floats:
    wrong = (counts.selected + counts.support - 2.0 * counts.hits).sum(axis=-1)
    return 1.0 - ratio(wrong, counts.rows * counts.hits.shape[-1])


def _coverage(counts: Tally) -> Floats:
    return ratio(counts.selected.sum(axis=-1), counts.rows)


def _ranks(counts: Tally) -> npt.NDArray[np.int64]:
    return np.arange(counts.hits.shape[-1]) if counts.kind.ranks is None else counts.kind.ranks


def _distances(counts: Tally) -> Floats:
    ranks = _ranks(counts)
    distances: Floats = np.abs(ranks[:, None] - ranks[None, :]).astype(np.float64)
    return distances


def _mae(counts: Tally) -> Floats:
    answered = counts.confusion.sum(axis=(-2, -1))
    errors = (counts.confusion * _distances(counts)).sum(axis=(-2, -1))
    return np.where(answered > 0, ratio(errors, answered), np.nan)


def _quadratic_kappa(counts: Tally) -> Floats:
    penalty = _distances(counts) ** 2
    true, answered = counts.confusion.sum(axis=-1), counts.confusion.sum(axis=-2)
    chance = (true[..., :, None] * answered[..., None, :] * penalty).sum(axis=(-2, -1))
    found = (counts.confusion * penalty).sum(axis=(-2, -1)) * true.sum(axis=-1)
    return np.where(chance > 0, 1.0 - ratio(found, chance), np.nan)


@cache
def figures() -> Mapping[str, Figure]:
    """Return every figure that a table or a recipe may name, in the order of tables."""
    text = resources.files("ottenok.tasks").joinpath("figures.toml").read_text(encoding="utf-8")
    return {
        name: Figure(
            title=entry["title"],
            meaning=entry["meaning"],
            fits=entry["fits"],
            better=entry.get("better", "higher"),
            headline=entry.get("headline"),
        )
        for name, entry in tomllib.loads(text).items()
    }


# Those that follow from counts alone and so have bootstrap intervals.
COUNTED: Mapping[str, Callable[[Tally], Floats]] = MappingProxyType(
    {
        "accuracy": _exact,
        "subset_accuracy": _exact,
        "label_accuracy": _label_accuracy,
        "macro_f1": _macro_f1,
        "macro_f1_present": _macro_f1_present,
        "polar_f1": _polar_f1,
        "balanced_f1": _balanced_f1,
        "macro_precision": _macro_precision,
        "macro_recall": _macro_recall,
        "weighted_f1": _weighted_f1,
        "micro_f1": _micro_f1,
        "samples_f1": _samples_f1,
        "two_class_f1": _two_class_f1,
        "mae": _mae,
        "quadratic_kappa": _quadratic_kappa,
        "answer_auc": _answer_auc,
        "coverage": _coverage,
    }
)


def fitting(kind: Kind) -> tuple[str, ...]:
    """Return the names of the figures that a scheme has."""
    kinds = {"any", "one-label" if kind.one_label else "multi-label"}
    if kind.ranks is not None:
        kinds |= {"ordered", "polar"} if len(kind.ranks) == 3 else {"ordered"}
    return tuple(name for name, figure in figures().items() if figure.fits in kinds)


def counted(counts: Tally) -> dict[str, Floats]:
    """Return every figure that follows from counts, `[...]` each; NaN where one is undefined."""
    return {name: COUNTED[name](counts) for name in fitting(counts.kind) if name in COUNTED}
