"""Is one system better than another? Tests and intervals on the same rows, for metrics of any kind.

- The paired permutation test (approximate randomisation: Noreen 1989; Yeh, COLING 2000) exchanges the two systems'
  answers row by row at random. Its p value is the share of exchanges that make a difference as large as the one found,
  with the one found among them, so that it is never 0.
- McNemar's test (1947), exact: of the rows that only one of the two gets right, how likely is so uneven a division?
- The interval of a difference is a percentile bootstrap over rows (Efron 1979), both systems on the same resample.
- Holm's correction (1979) for several comparisons.

All four ask what another sample of rows would give. Training again with another seed is another question: several runs
of one recipe are one system here, whose metric is their mean. Rows are then drawn, and exchanged, for all its runs at
once, and the spread of the runs stands beside as their standard deviation.

A bootstrap resample is a weighting: so many times each row. So is a permutation that exchanges two systems' answers:
what a row gives to one system, it takes from the other. Both kinds of metric are linear in the rows up to the last
step, so a thousand weightings cost a few matrix products (see `ottenok.tasks.report`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ottenok.core.errors import DataError
from ottenok.core.lazy import need
from ottenok.tasks.auc import weighted_areas
from ottenok.tasks.metrics import Pairs, counted, tally

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt

    from ottenok.tasks.metrics import Kind

    Floats = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]
    Probabilities = npt.NDArray[np.float32]

__all__ = [
    "AREAS",
    "Areas",
    "Counts",
    "Difference",
    "Estimate",
    "McNemar",
    "PairedOptions",
    "Rows",
    "System",
    "holm",
    "mcnemar",
]

# Averages of the labels' areas under the ROC curve: metrics that need probabilities.
AREAS = ("macro_auc", "weighted_auc", "micro_auc")


class Counts:
    """Metrics that follow from counts; rows with the same truth and the same answers of all runs are one kind.

    Args:
        truth: bool `[rows, labels]`.
        answers: bool `[rows, labels]` of each run.
        kind: Of the scheme.

    Attributes:
        count: Rows of each kind, float64 `[kinds]`.
        cells: Numbers that one weighting needs, to bound memory.
    """

    def __init__(self, truth: Mask, answers: Sequence[Mask], kind: Kind) -> None:
        labels = truth.shape[1]
        packed = np.ascontiguousarray(np.packbits(np.concatenate([truth, *answers], axis=1), axis=1))
        keys = packed.view(np.dtype((np.void, packed.shape[1]))).ravel()
        _, first, count = np.unique(keys, return_index=True, return_counts=True)
        if len(answers) > 1:
            # In the order of the rows, so that draws do not depend on which system is named first. A run alone keeps
            # the order of `ottenok.tasks.metrics.group`, and so the very intervals of its report.
            order = np.argsort(first)
            first, count = first[order], count[order]
        self.count = count.astype(np.float64)
        self.cells = 2 * len(first) + 2 * labels * labels
        self._kind = kind
        self._truth = truth[first]
        self._answers = [answer[first] for answer in answers]

    def metrics(self, runs: Sequence[int], weights: Sequence[Floats]) -> Mapping[str, Floats]:
        """Return the metrics of a system that has these runs' answers, each as often as its weights say.

        Macro averages count the labels that any of these runs answers, whatever its weight.

        Args:
            runs: Numbers of runs.
            weights: One float64 `[weightings, kinds]` per run.

        Returns:
            Name to float64 `[weightings]`; NaN where one is undefined.
        """
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
    """Areas under the ROC curve, which need probabilities; every row is a kind of its own.

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

    def metrics(self, runs: Sequence[int], weights: Sequence[Floats]) -> Mapping[str, Floats]:
        """Return the areas of a system that has these runs' answers; see `Counts.metrics`."""
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


_CELLS = 4_000_000  # numbers held at once: 32 MB
# Of two equal values one may come out a rounding error larger.
_SAME = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedOptions:
    """How to compare.

    Attributes:
        resamples: Of the bootstrap; 0: no intervals.
        permutations: Of the permutation test; 0: no p values.
        confidence: Of the intervals, between 0 and 1.
        seed: Of both.
    """

    resamples: int = 1000
    permutations: int = 5000
    confidence: float = 0.95
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One system: the runs of one recipe, which differ in their seed alone.

    Attributes:
        answers: bool `[rows, labels]` of each run.
        probs: float32 `[rows, labels]` of each run.
    """

    answers: tuple[Mask, ...]
    probs: tuple[Probabilities, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A system's metric.

    Attributes:
        value: Mean over its runs.
        deviation: Their standard deviation (n - 1); None for a single run.
        low: Lower end of the interval over rows; None without one.
        high: Upper end.
    """

    value: float
    deviation: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A metric of one system minus that of another.

    Attributes:
        value: Mean over the runs that were paired.
        low: Lower end of the interval over rows; None without one.
        high: Upper end.
        p: Of the two-sided paired permutation test; None without one.
    """

    value: float
    low: float | None = None
    high: float | None = None
    p: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class McNemar:
    """McNemar's test.

    Attributes:
        first: Rows that only the first system gets right.
        second: Rows that only the second one gets right.
        p: Two-sided and exact.
    """

    first: int
    second: int
    p: float


class Rows:
    """The rows that systems are compared on.

    Args:
        truth: bool `[rows, labels]`.
        kind: Of the scheme.
        names: Metrics to compare; those that follow from counts, and those of `AREAS`.
        options: Resamples and permutations.

    Raises:
        DataError: There are no rows.
    """

    def __init__(self, truth: Mask, kind: Kind, names: Sequence[str], options: PairedOptions) -> None:
        if not len(truth):
            raise DataError("there are no rows to compare on")
        self.truth = truth
        self.names = tuple(names)
        self._kind = kind
        self._options = options

    def estimates(self, system: System) -> dict[str, Estimate]:
        """Return a system's metrics; those that are undefined on these rows are left out."""
        found: dict[str, Estimate] = {}
        runs = range(len(system.answers))
        for engine in self._engines([system]):
            whole = [engine.metrics([run], [engine.count[None]]) for run in runs]
            drawn = [_means([engine.metrics([run], [weights]) for run in runs]) for weights in self._resamples(engine)]
            for name in (name for name in self.names if name in whole[0]):
                values = np.array([run[name][0] for run in whole])
                if np.isfinite(values).all():
                    low, high = self._interval([block[name] for block in drawn])
                    deviation = float(values.std(ddof=1)) if len(values) > 1 else None
                    found[name] = Estimate(value=float(values.mean()), deviation=deviation, low=low, high=high)
        return found

    def differences(self, first: System, second: System) -> dict[str, Difference]:
        """Return the first system's metrics minus the second's, run by run.

        With unequal numbers of runs, as many are compared as the smaller has.
        """
        found: dict[str, Difference] = {}
        size = min(len(first.answers), len(second.answers))
        systems = [System(answers=one.answers[:size], probs=one.probs[:size]) for one in (first, second)]
        for engine in self._engines(systems):
            observed = _differences(engine, size, engine.count[None], None)
            drawn = [_differences(engine, size, weights, None) for weights in self._resamples(engine)]
            # For p, of each kind of rows a random number exchange their answers, and the others keep them.
            generator = np.random.default_rng([self._options.seed, 1])
            unlike = engine.differ(range(size), range(size, 2 * size))
            count = engine.count[unlike].astype(np.int64)
            # Areas cost a pass over all rows, so they get fewer; the p value stays exact for the number there is.
            most = min(self._options.permutations, 1000) if isinstance(engine, Areas) else self._options.permutations
            swapped = []
            for block in _blocks(most, 2 * engine.cells):
                gone = np.zeros((block, len(engine.count)))
                gone[:, unlike] = generator.binomial(count, 0.5, size=(block, len(count)))
                swapped.append(_differences(engine, size, engine.count - gone, gone))
            for name in (name for name in self.names if name in observed):
                value, p = float(observed[name][0]), None
                if not np.isfinite(value):
                    continue
                if swapped:
                    every = np.concatenate([differences[name] for differences in swapped])
                    every = every[np.isfinite(every)]
                    p = float((1 + (np.abs(every) >= abs(value) - _SAME).sum()) / (1 + len(every)))
                low, high = self._interval([block[name] for block in drawn])
                found[name] = Difference(value=value, low=low, high=high, p=p)
        return found

    def _engines(self, systems: Sequence[System]) -> Iterator[Counts | Areas]:
        if set(self.names) - set(AREAS):
            yield Counts(self.truth, [answer for system in systems for answer in system.answers], self._kind)
        if areas := [name for name in self.names if name in AREAS]:
            yield Areas(self.truth, [probs for system in systems for probs in system.probs], areas)

    def _resamples(self, engine: Counts | Areas) -> Iterator[Floats]:
        generator = np.random.default_rng(self._options.seed)
        rows = int(engine.count.sum())
        for size in _blocks(self._options.resamples, engine.cells):
            yield generator.multinomial(rows, engine.count / rows, size=size).astype(np.float64)

    def _interval(self, blocks: list[Floats]) -> tuple[float | None, float | None]:
        values = np.concatenate(blocks) if blocks else np.zeros(0)
        values = values[np.isfinite(values)]
        if not len(values):
            return None, None
        tail = (1.0 - self._options.confidence) / 2.0
        low, high = np.quantile(values, [tail, 1.0 - tail])
        return float(low), float(high)


def _differences(engine: Counts | Areas, size: int, kept: Floats, gone: Floats | None) -> dict[str, Floats]:
    """Return the mean difference of two systems of `size` runs each: runs 0, 1, ... against size, size + 1, ...

    Args:
        engine: Has the runs of both systems.
        size: Runs of each.
        kept: How often each kind of rows counts as it is, float64 `[weightings, kinds]`.
        gone: How often with exchanged answers, likewise; None: not at all.
    """
    found = []
    for first in range(size):
        second = size + first
        if gone is None and isinstance(engine, Areas):
            one, two = engine.metrics([first], [kept]), engine.metrics([second], [kept])
        else:
            # Both sides know both runs' answers, so that their macro averages are over the same labels.
            other, pair = np.zeros_like(kept) if gone is None else gone, (first, second)
            one, two = engine.metrics(pair, (kept, other)), engine.metrics(pair, (other, kept))
        found.append({name: one[name] - two[name] for name in one})
    return _means(found)


def _means(runs: Sequence[Mapping[str, Floats]]) -> dict[str, Floats]:
    return {name: np.mean([run[name] for run in runs], axis=0) for name in runs[0]}


def _blocks(total: int, cells: int) -> Iterator[int]:
    size = max(1, _CELLS // max(cells, 1))
    for start in range(0, total, size):
        yield min(size, total - start)


def mcnemar(truth: Mask, first: Mask, second: Mask) -> McNemar:
    """Compare which rows two systems get exactly right; all arrays are bool `[rows, labels]`.

    Raises:
        MissingExtraError: scipy is not installed.
    """
    right = [(answer == truth).all(axis=1) for answer in (first, second)]
    only_first, only_second = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    unlike = only_first + only_second
    with need("data"):
        from scipy.stats import binomtest
    p = float(binomtest(only_first, unlike).pvalue) if unlike else 1.0
    return McNemar(first=only_first, second=only_second, p=p)


def holm(values: Sequence[float]) -> list[float]:
    """Return p values corrected for their number, in their order: the chance of any false alarm stays below each."""
    order = np.argsort(values, kind="stable")
    factors = len(values) - np.arange(len(values))
    corrected = np.minimum(np.maximum.accumulate(np.asarray(values, dtype=np.float64)[order] * factors), 1.0)
    result = np.empty(len(values))
    result[order] = corrected
    return [float(value) for value in result]
