"""Balance: which rows one epoch reads, and how much each class weighs in the loss.

A plan moves between two ends: the corpus as it is, and every cell (class, source, or source and class) equally often.
It is a list of row numbers, so it works with any training loop and costs eight bytes a row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ottenok.core.errors import ConfigError
from ottenok.core.suggest import suggest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import ArrayLike, NDArray

    from ottenok.recipes.balance import BalanceOptions, WeightMethod

__all__ = ["check_rates", "class_counts", "class_weights", "plan", "positive_weights", "row_weights"]

_MOST_WEIGHT = 4.0


def plan(labels: ArrayLike, sources: ArrayLike, options: BalanceOptions, *, seed: int) -> NDArray[np.int64]:
    """Return the rows of one epoch, shuffled; give every epoch its own seed.

    Args:
        labels: int[n] class codes from 0; or bool/int[n, k], 0/1 marks of k labels. A row with several labels counts as
            one of the rarest of them, a row without any as a class of its own: so rare labels are what is balanced.
        sources: int or str[n], each row's source; names, where `options.rates` has any.
        options: What to balance, and how.
        seed: Of the choice and the order.

    Returns:
        int64[m], row numbers; a row may occur several times, or not at all.

    Raises:
        ConfigError: `labels` and `sources` differ in length, or no row is left.
    """
    classes = np.asarray(labels)
    if classes.ndim == 2:
        # The rarest label of a row; a row without labels gets the number after the last label.
        rarity = np.where(classes.astype(bool), classes.sum(axis=0), np.iinfo(np.int64).max)
        classes = np.where(classes.any(axis=1), rarity.argmin(axis=1), classes.shape[1])
    names, places = np.unique(np.asarray(sources), return_inverse=True)
    if len(classes) != len(places):
        raise ConfigError(f"found {len(classes)} labels and {len(places)} sources; expected one of each per row")
    random = np.random.default_rng(seed)
    rows = np.arange(len(classes), dtype=np.int64)
    if len(rows) and (options.method != "none" or options.rates):
        cells = {"class": classes, "source": places, "source-class": places * (classes.max() + 1) + classes}
        keys = places if options.rates else cells[options.over]
        groups, sizes = np.unique(keys, return_inverse=True, return_counts=True)[1:]
        members = np.split(np.argsort(groups, kind="stable").astype(np.int64), np.cumsum(sizes)[:-1])
        if options.rates:
            wanted = np.rint(sizes * [options.rates.get(str(name), 1.0) for name in names]).astype(np.int64)
        elif options.method == "temperature":
            shares = sizes.astype(np.float64) ** options.alpha
            wanted = np.maximum(np.rint(shares / shares.sum() * sizes.sum()), 1).astype(np.int64)
        else:
            wanted = np.full(len(sizes), sizes.min() if options.method == "down" else sizes.max(), dtype=np.int64)
        if not options.rates:
            wanted = np.minimum(wanted, sizes * options.repeats)
        drawn = []
        for own, count in zip(members, wanted.tolist(), strict=True):
            # Each equally often, and a random choice of them once more.
            whole, rest = divmod(count, len(own))
            drawn += [np.tile(own, whole), random.choice(own, rest, replace=False)]
        rows = np.concatenate(drawn)
        if not len(rows):
            raise ConfigError("the rates leave no row to read", key="balance.rates")
    random.shuffle(rows)
    return rows


def check_rates(options: BalanceOptions, sources: Iterable[str]) -> None:
    """Refuse a rate for a source that is not among the corpus's (those that were left out of it count too).

    Raises:
        ConfigError: There is one; the message names the nearest source.
    """
    known = list(sources)
    for name in options.rates:
        if name not in known:
            raise ConfigError(
                f"there is no source {name!r} in the corpus", hint=suggest(name, known), key="balance.rates"
            )


def row_weights(classes: ArrayLike, sources: ArrayLike, alpha: float) -> NDArray[np.float32]:
    """Return how much each row weighs in the loss of a task with one label per text: float32[n].

    Within each source a class weighs (mean rows of its classes / rows of the class) to the power `alpha`, at most 4;
    then the weights of the source's rows are scaled to the mean 1, so that no source gains by it.

    Args:
        classes: int[n], class codes from 0; -1 where a row has no label for the task, which then weighs 0.
        sources: int or str[n], each row's source.
        alpha: 0..1; with 0 all rows weigh 1.
    """
    codes = np.asarray(classes)
    places = np.unique(np.asarray(sources), return_inverse=True)[1]
    weights = np.zeros(len(codes), dtype=np.float64)
    for place in np.unique(places[codes >= 0]):
        rows = np.flatnonzero((places == place) & (codes >= 0))
        found, counts = np.unique(codes[rows], return_inverse=True, return_counts=True)[1:]
        own = np.minimum((counts.mean() / counts) ** alpha, _MOST_WEIGHT)[found]
        weights[rows] = own / own.mean()
    return weights.astype(np.float32)


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
