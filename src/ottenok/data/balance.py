"""Balance: which rows one epoch reads, and how much each class weighs in the loss.

A plan moves between two ends: the corpus as it is, and every cell (class, source, or source and class) equally often.
It is a list of row numbers, so it works with any training loop and costs eight bytes a row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ottenok.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from ottenok.recipes.balance import BalanceOptions, WeightMethod

__all__ = ["class_counts", "class_weights", "plan", "positive_weights"]


def plan(labels: ArrayLike, sources: ArrayLike, options: BalanceOptions, *, seed: int) -> NDArray[np.int64]:
    """Return the rows of one epoch, shuffled; give every epoch its own seed.

    Args:
        labels: int[n] class codes from 0; or bool/int[n, k], 0/1 marks of k labels. A row with several labels counts as
            one of the rarest of them, a row without any as a class of its own: so rare labels are what is balanced.
        sources: int or str[n], each row's source.
        options: What to balance, and how.
        seed: Of the choice and the order.

    Returns:
        int64[m], row numbers; a row may occur several times, or not at all.

    Raises:
        ConfigError: `labels` and `sources` differ in length.
    """
    classes = _classes(np.asarray(labels))
    places = np.unique(np.asarray(sources), return_inverse=True)[1]
    if len(classes) != len(places):
        raise ConfigError(f"found {len(classes)} labels and {len(places)} sources; expected one of each per row")
    random = np.random.default_rng(seed)
    rows = np.arange(len(classes), dtype=np.int64)
    if options.method != "none" and len(rows):
        cells = {"class": classes, "source": places, "source-class": places * (classes.max() + 1) + classes}
        rows = _draw(cells[options.over], options, random)
    random.shuffle(rows)
    return rows


def _draw(keys: NDArray[np.integer], options: BalanceOptions, random: np.random.Generator) -> NDArray[np.int64]:
    cells, sizes = np.unique(keys, return_inverse=True, return_counts=True)[1:]
    order = np.argsort(cells, kind="stable").astype(np.int64)
    members = np.split(order, np.cumsum(sizes)[:-1])
    wanted = np.minimum(_targets(sizes, options), sizes * options.repeats)
    return np.concatenate([_repeat(rows, int(count), random) for rows, count in zip(members, wanted, strict=True)])


def _targets(sizes: NDArray[np.integer], options: BalanceOptions) -> NDArray[np.int64]:
    """How many rows each cell gives: int64[cells]."""
    if options.method == "down":
        return np.full(len(sizes), sizes.min(), dtype=np.int64)
    if options.method == "up":
        return np.full(len(sizes), sizes.max(), dtype=np.int64)
    shares = sizes.astype(np.float64) ** options.alpha
    return np.asarray(np.maximum(np.rint(shares / shares.sum() * sizes.sum()), 1), dtype=np.int64)


def _repeat(rows: NDArray[np.int64], count: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Take `count` of `rows`: each equally often, and a random choice of them once more."""
    whole, rest = divmod(count, len(rows))
    return np.concatenate((np.tile(rows, whole), random.choice(rows, rest, replace=False)))


def _classes(labels: NDArray[np.integer]) -> NDArray[np.int64]:
    if labels.ndim == 1:
        return np.asarray(labels, dtype=np.int64)
    counts = labels.sum(axis=0)
    # The rarest label of a row; a row without labels gets the number after the last label.
    rarity = np.where(labels.astype(bool), counts, np.iinfo(np.int64).max)
    rarest = rarity.argmin(axis=1)
    return np.asarray(np.where(labels.any(axis=1), rarest, labels.shape[1]), dtype=np.int64)


def class_counts(labels: ArrayLike, classes: int) -> NDArray[np.int64]:
    """Count the rows of each class: int64[classes]; of int[n] class codes, or 0/1 marks [n, classes]."""
    found = np.asarray(labels)
    if found.ndim == 1:
        return np.asarray(np.bincount(found, minlength=classes), dtype=np.int64)
    return np.asarray(found.sum(axis=0), dtype=np.int64)


def class_weights(
    counts: Sequence[int] | NDArray[np.int64], method: WeightMethod, *, beta: float = 0.999
) -> NDArray[np.float32]:
    """Return the weight of each class in a softmax or ordinal loss: float32[k], on average 1 over the rows.

    Args:
        counts: Rows of each class.
        method: `none`: all 1. `balanced`: inverse to the counts, as in scikit-learn. `sqrt`: inverse to their square
            roots. `effective`: inverse to the effective number (1 - beta^n) / (1 - beta) of Cui et al., CVPR 2019.
        beta: For `effective`, at least 0 and below 1: near 1 is near `balanced`, 0 is `none`.

    A class without rows weighs 1: it can't occur in the loss, and no weight is infinite.

    Raises:
        ConfigError: `beta` is out of its range.
    """
    rows = np.asarray(counts, dtype=np.float64)
    present = rows > 0
    inverse = np.ones(len(rows))
    inverse[present] = 1 / _mass(rows[present], method, beta)
    total = float((inverse * rows).sum())
    scale = rows.sum() / total if total else 1.0
    return np.where(present, inverse * scale, 1.0).astype(np.float32)


def _mass(rows: NDArray[np.float64], method: WeightMethod, beta: float) -> NDArray[np.float64]:
    if not 0 <= beta < 1:
        raise ConfigError(f"found {beta}; expected at least 0 and below 1", key="beta")
    if method == "balanced":
        return rows
    if method == "sqrt":
        return np.sqrt(rows)
    if method == "effective":
        return -np.expm1(rows * np.log(beta)) if beta > 0 else np.ones_like(rows)
    return np.ones_like(rows)


def positive_weights(
    counts: Sequence[int] | NDArray[np.int64], rows: int, method: WeightMethod, *, beta: float = 0.999
) -> NDArray[np.float32]:
    """Return the weight of each label's positive rows in a multi-label (BCE) loss: float32[k].

    `balanced` is negatives / positives, so that both sides of a label weigh the same; the other methods take the same
    ratio of their own masses. Clipped to 1..100: a weight below 1 would favour frequent labels' negatives.

    Args:
        counts: Rows that have each label.
        rows: All rows.
        method: As for `class_weights`.
        beta: As for `class_weights`.

    Raises:
        ConfigError: `beta` is out of its range.
    """
    positive = np.maximum(np.asarray(counts, dtype=np.float64), 1.0)
    negative = np.maximum(rows - positive, 1.0)
    ratio = _mass(negative, method, beta) / _mass(positive, method, beta)
    return np.clip(ratio, 1.0, 100.0).astype(np.float32)
