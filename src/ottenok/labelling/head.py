"""The head that learns while people label, and what it reaches on texts that it has not learned from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ottenok.inference.head import fit_head, fold_rows
from ottenok.tasks.metrics import Interval, Kind, group, label_f1, resampled, tally

if TYPE_CHECKING:
    import numpy.typing as npt

    Vectors = npt.NDArray[np.float32]
    Probabilities = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]

__all__ = ["Head", "answers", "cross_fit", "macro_f1"]

_FOLDS = 5
_RESAMPLES = 500


class Head:
    """A logistic regression on embeddings; of several labels a text one for each label.

    Args:
        vectors: float32 `[texts, width]`.
        truth: bool `[texts, labels]`. A label that no text has gets probability 0, one that every text has 1.
        several: Whether a text may have several labels or none.
    """

    def __init__(self, vectors: Vectors, truth: Mask, *, several: bool) -> None:
        self._shares = truth.mean(axis=0, dtype=np.float64)
        self._head: Any = None
        if (truth.any(axis=0) & ~truth.all(axis=0)).any():
            self._head = fit_head(vectors, truth.astype(np.int64) if several else truth.argmax(axis=1))

    def __call__(self, vectors: Vectors) -> Probabilities:
        """Return float64 `[texts, labels]`."""
        if self._head is None or not len(vectors):
            return np.tile(self._shares, (len(vectors), 1))
        found = np.zeros((len(vectors), len(self._shares)))
        found[:, self._head.classes_] = self._head.predict_proba(vectors)
        return found


def cross_fit(vectors: Vectors, truth: Mask, *, several: bool, seed: int = 0) -> Probabilities:
    """Return each text's probabilities by a head that has not learned from it, `[texts, labels]`, in five folds.

    Args:
        vectors: float32 `[texts, width]`, of at least two texts.
        truth: bool `[texts, labels]`.
        several: Whether a text may have several labels or none.
        seed: Of the folds.
    """
    # Of several labels the rarest counts.
    rarest = np.where(truth, truth.sum(axis=0), len(truth) + 1).argmin(axis=1)
    fold = fold_rows(rarest, min(_FOLDS, len(truth)), seed=seed)
    found = np.empty(truth.shape)
    for held in np.unique(fold):
        rest = fold != held
        found[~rest] = Head(vectors[rest], truth[rest], several=several)(vectors[~rest])
    return found


def answers(probabilities: Probabilities, *, several: bool) -> Mask:
    """Return the labels that a head gives, bool `[texts, labels]`: those above one half, or the most probable one."""
    if several:
        return probabilities >= 0.5
    found = np.zeros(probabilities.shape, dtype=bool)
    found[np.arange(len(found)), probabilities.argmax(axis=1)] = True
    return found


def macro_f1(truth: Mask, given: Mask, *, several: bool, resamples: int = _RESAMPLES) -> Interval:
    """Return macro F1 over the labels that are true or given somewhere, with a 95 % bootstrap interval over texts.

    Where no answer is wrong a bootstrap knows no other either; the lower end is then Clopper and Pearson's for the
    share of right answers.

    Args:
        truth: bool `[texts, labels]`, of at least one text.
        given: bool `[texts, labels]`.
        several: Whether a text may have several labels.
        resamples: Of the bootstrap; 0: no interval.
    """
    pairs, kind = group(truth, given), Kind(one_label=not several, ranks=None)
    counts = tally(pairs, pairs.count, kind)

    def value(one: Any) -> npt.NDArray[np.float64]:  # noqa: ANN401 - a tally
        return np.asarray(label_f1(one)[..., counts.occurring].mean(axis=-1))

    if not resamples:
        return Interval(value=float(value(counts)))
    drawn = np.concatenate([value(one) for one in resampled(pairs, kind, resamples=resamples, seed=0)])
    low, high = np.quantile(drawn, [0.025, 0.975])
    if (truth == given).all():
        low = 0.025 ** (1 / len(truth))
    return Interval(value=float(value(counts)), low=float(low), high=float(high))
