"""Figures of several runs on the same rows, for many weightings of those rows at once.

A bootstrap resample is a weighting: so many times each row. So is a permutation that exchanges two systems' answers:
what a row gives to one system, it takes from the other. Both kinds of figure are linear in the rows up to the last
step, so a thousand weightings cost a few matrix products (see `ottenok.tasks.tally`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from ottenok.tasks.auc import weighted_areas
from ottenok.tasks.figures import counted
from ottenok.tasks.tally import Pairs, tally

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from ottenok.tasks.tally import Kind

    Floats = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]
    Probabilities = npt.NDArray[np.float32]

__all__ = ["AREAS", "Areas", "Counts", "Engine"]

# Averages of the labels' areas under the ROC curve: figures that need probabilities.
AREAS = ("macro_auc", "weighted_auc", "micro_auc")


class Engine(Protocol):
    """Rows, or kinds of rows, and the figures of weightings of them.

    Attributes:
        count: Rows of each kind, float64 `[kinds]`.
        cells: Numbers that one weighting needs, to bound memory.
    """

    count: Floats
    cells: int

    def figures(self, runs: Sequence[int], weights: Sequence[Floats]) -> Mapping[str, Floats]:
        """Return the figures of a system that has these runs' answers, each as often as its weights say.

        Args:
            runs: Numbers of runs.
            weights: One `[weightings, kinds]` per run.

        Returns:
            Name to `[weightings]`; NaN where one is undefined.
        """


class Counts:
    """Figures that follow from counts; rows with the same truth and the same answers of all runs are one kind.

    Args:
        truth: bool `[rows, labels]`.
        answers: bool `[rows, labels]` of each run.
        kind: Of the scheme.
    """

    def __init__(self, truth: Mask, answers: Sequence[Mask], kind: Kind) -> None:
        labels = truth.shape[1]
        packed = np.ascontiguousarray(np.packbits(np.concatenate([truth, *answers], axis=1), axis=1))
        keys = packed.view(np.dtype((np.void, packed.shape[1]))).ravel()
        _, first, count = np.unique(keys, return_index=True, return_counts=True)
        if len(answers) > 1:
            # In the order of the rows, so that draws do not depend on which system is named first. A run alone keeps
            # the order of `ottenok.tasks.tally.group`, and so the very intervals of its report.
            order = np.argsort(first)
            first, count = first[order], count[order]
        self.count = count.astype(np.float64)
        self.cells = 2 * len(first) + 2 * labels * labels
        self._kind = kind
        self._truth = truth[first]
        self._answers = [answer[first] for answer in answers]

    def figures(self, runs: Sequence[int], weights: Sequence[Floats]) -> Mapping[str, Floats]:
        """See `Engine`. Macro averages count the labels that any of these runs answers, whatever its weight."""
        pairs = Pairs(
            truth=np.concatenate([self._truth] * len(runs)),
            answer=np.concatenate([self._answers[run] for run in runs]),
            count=np.tile(self.count, len(runs)),
        )
        return counted(tally(pairs, np.concatenate(weights, axis=1), self._kind))

    def differ(self, first: Sequence[int], second: Sequence[int]) -> Mask:
        """Say which kinds of rows the runs of two systems answer differently, bool `[kinds]`."""
        unlike = [
            (self._answers[one] != self._answers[other]).any(axis=1) for one, other in zip(first, second, strict=True)
        ]
        found: Mask = np.logical_or.reduce(unlike)
        return found


class Areas:
    """Areas under the ROC curve; every row is a kind of its own.

    Args:
        truth: bool `[rows, labels]`.
        probs: `[rows, labels]` of each run.
        names: Which of `AREAS`.
    """

    def __init__(self, truth: Mask, probs: Sequence[Probabilities], names: Sequence[str]) -> None:
        self.count = np.ones(len(truth))
        self.cells = 8 * len(truth) * (truth.shape[1] if "micro_auc" in names else 1)
        self._truth = truth
        self._probs = probs
        self._names = names

    def figures(self, runs: Sequence[int], weights: Sequence[Floats]) -> Mapping[str, Floats]:
        """See `Engine`."""
        truth = np.concatenate([self._truth] * len(runs))
        probs = np.concatenate([self._probs[run] for run in runs])
        every = np.concatenate(weights, axis=1)
        found: dict[str, Floats] = {}
        if {"macro_auc", "weighted_auc"} & set(self._names):
            labels = range(truth.shape[1])
            areas = np.stack([weighted_areas(probs[:, i], truth[:, i], every) for i in labels], axis=-1)
            found["macro_auc"] = _mean(areas, np.ones_like(areas))
            found["weighted_auc"] = _mean(areas, every @ truth.astype(np.float64))
        if "micro_auc" in self._names:
            repeated = np.repeat(every, truth.shape[1], axis=1)
            found["micro_auc"] = weighted_areas(probs.ravel(), truth.ravel(), repeated)
        return found

    def differ(self, first: Sequence[int], second: Sequence[int]) -> Mask:
        """Say on which rows the runs of two systems give other probabilities, bool `[rows]`."""
        unlike = [
            (self._probs[one] != self._probs[other]).any(axis=1) for one, other in zip(first, second, strict=True)
        ]
        found: Mask = np.logical_or.reduce(unlike)
        return found


def _mean(areas: Floats, weights: Floats) -> Floats:
    """Return the weighted mean over labels of the areas that are defined."""
    known = np.where(np.isfinite(areas), weights, 0.0)
    total = known.sum(axis=-1)
    summed = (np.nan_to_num(areas) * known).sum(axis=-1)
    means: Floats = np.divide(summed, total, out=np.full(total.shape, np.nan), where=total > 0)
    return means
