"""Tests of whether two sets of texts differ, and by how much: counts, vectors, words.

Every test of a difference is a permutation test: which rows are called old and which new is drawn anew, and the p-value
is the share of draws in which they differ at least as much, so that it holds whatever the distributions are. The same
draws serve all tests of the same rows, so that it is known how often several of them are improbable together. Where
counts alone are known, a draw is one of the multivariate hypergeometric distribution.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import erfc, sqrt
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Whole = npt.NDArray[np.int64]

__all__ = [
    "ChangedWord",
    "area",
    "changed_words",
    "coded",
    "count_draws",
    "discoveries",
    "divisions",
    "largest_gap",
    "mean_gap",
    "p_values",
    "spread_bins",
    "together",
    "total_variation",
    "vector_gap",
]

# numpy draws from fewer than a thousand million; thinned counts say the same of shares.
_MOST_ROWS = 100_000_000
# Ridge of the spread of vectors, as a share of the mean variance.
_RIDGE = 0.3
# Draws times rows that are held at once.
_HELD = 1 << 22


def total_variation(old: Floats, new: Floats) -> Floats:
    """Return half the sum of the differences of shares, 0..1: what share of the texts would have to change.

    Args:
        old: Counts, `[..., categories]`.
        new: Counts, likewise.
    """
    moved: Floats = 0.5 * np.abs(_shares(old) - _shares(new)).sum(axis=-1)
    return moved


def largest_gap(old: Floats, new: Floats) -> Floats:
    """Return the largest difference of the shares up to a category, 0..1: the statistic of Kolmogorov and Smirnov.

    Args:
        old: Counts, `[..., categories]`, in order.
        new: Counts, likewise.
    """
    gaps: Floats = np.abs(np.cumsum(_shares(old) - _shares(new), axis=-1)).max(axis=-1)
    return gaps


def _shares(counts: Floats) -> Floats:
    shares: Floats = counts / np.maximum(counts.sum(axis=-1, keepdims=True), 1.0)
    return shares


def divisions(old: int, new: int, *, draws: int, generator: np.random.Generator) -> Iterator[npt.NDArray[np.bool_]]:
    """Yield blocks of divisions of rows into old and new, bool `[divisions, rows]`: the real one first, then draws.

    Args:
        old: How many rows are old, the first ones.
        new: How many are new.
        draws: How many divisions follow the real one.
        generator: What draws.
    """
    rows = old + new
    size = max(1, _HELD // max(rows, 1))
    for start in range(0, draws + 1, size):
        block = np.zeros((min(size, draws + 1 - start), rows), dtype=bool)
        for place, row in enumerate(block, start):
            row[generator.permutation(rows)[:old] if place else slice(old)] = True
        yield block


def coded(codes: Whole, statistic: Callable[[Floats, Floats], Floats]) -> Callable[[npt.NDArray[np.bool_]], Floats]:
    """Return what tells how much the old and the new rows of each division differ in their categories.

    Args:
        codes: Category of each row, below 0 of rows that have none.
        statistic: How much two tables of counts differ.
    """
    places = np.where(codes < 0, codes.max(initial=-1) + 1, codes)
    width = int(places.max(initial=0)) + 1
    kept = width - bool((codes < 0).any())
    whole = np.bincount(places, minlength=width)[:kept]

    def differ(block: npt.NDArray[np.bool_]) -> Floats:
        first = np.stack([np.bincount(places[row], minlength=width)[:kept] for row in block]).astype(np.float64)
        return statistic(first, whole - first)

    return differ


def mean_gap(rows: Floats) -> Callable[[npt.NDArray[np.bool_]], Floats]:
    """Return what tells half the sum of the differences of the means of old and new rows of each division.

    Args:
        rows: float `[rows, columns]`, NaN in rows that do not count.
    """
    known = ~np.isnan(rows[:, :1])
    wide = np.concatenate([np.nan_to_num(rows), known], axis=1).astype(np.float32)
    whole = wide.sum(axis=0, dtype=np.float64)

    def differ(block: npt.NDArray[np.bool_]) -> Floats:
        first = (block.astype(np.float32) @ wide).astype(np.float64)
        means = [side[:, :-1] / np.maximum(side[:, -1:], 1.0) for side in (first, whole - first)]
        gaps: Floats = 0.5 * np.abs(means[0] - means[1]).sum(axis=1)
        # Equal sums may differ by the order in which they were added up.
        return np.round(gaps, 6)

    return differ


def vector_gap(vectors: npt.NDArray[np.float32], places: Whole) -> Callable[[npt.NDArray[np.bool_]], Floats]:
    """Return what tells how far apart the mean vectors of old and new rows of each division are.

    The distance is in units of the spread of all rows, with a ridge: the kernel Fisher discriminant's (Harchaoui, Bach
    and Moulines 2008, NIPS), with a linear kernel. So a direction in which texts hardly differ counts as much as one in
    which they differ a lot, and what few texts show is not lost in the noise of the others.

    Args:
        vectors: float32 `[some rows, width]`.
        places: Which rows they are of.
    """
    centred = (vectors - vectors.mean(axis=0)).astype(np.float64)
    variances, axes = np.linalg.eigh(centred.T @ centred / max(len(centred), 1))
    scale = np.sqrt(np.maximum(variances, 0.0) + _RIDGE * max(float(variances.mean()), 1e-12))
    white = (centred @ (axes / scale)).astype(np.float32)

    def differ(block: npt.NDArray[np.bool_]) -> Floats:
        side = block[:, places].astype(np.float32)
        sizes = np.maximum([side.sum(axis=1), (1 - side).sum(axis=1)], 1.0)
        # The mean is taken off, so that both sides' sums are one and its opposite.
        gaps: Floats = np.square(side @ white).sum(axis=1) * np.square(1 / sizes[0] + 1 / sizes[1])
        return np.round(gaps, 6)

    return differ


def count_draws(
    old: Whole,
    new: Whole,
    statistic: Callable[[Floats, Floats], Floats],
    *,
    draws: int,
    generator: np.random.Generator,
) -> Floats:
    """Return how much two tables of counts differ, and then by chance in each draw, float64 `[1 + draws]`.

    Args:
        old: Rows in each category.
        new: Likewise.
        statistic: How much they differ, of counts with leading dimensions.
        draws: Permutations.
        generator: What draws.
    """
    both = old + new
    if both.sum() > _MOST_ROWS:
        old, new = (np.floor(one * (_MOST_ROWS / both.sum())).astype(np.int64) for one in (old, new))
        both = old + new
    drawn = generator.multivariate_hypergeometric(both, int(old.sum()), size=draws, method="marginals")
    first = np.concatenate([old[None], drawn]).astype(np.float64)
    return statistic(first, both - first)


def p_values(differences: Floats) -> Floats:
    """Return the share of all divisions that differ at least as much, for each of them, above 0 and up to 1.

    Args:
        differences: Of the real division and of draws, `[1 + draws]`.
    """
    ordered = np.sort(differences)
    values: Floats = (len(ordered) - np.searchsorted(ordered, differences - 1e-12)) / len(ordered)
    return values


def together(differences: Mapping[str, Floats], weights: Mapping[str, float]) -> dict[str, float]:
    """Return p-values of several tests together: the least one below A means a risk of A that any is false.

    Step by step by the least p-value of each draw (Westfall and Young 1993, "Resampling-Based Multiple Testing",
    algorithm 2.8). Draws that the tests share keep how they hang together, so that tests of nearly the same thing cost
    little; draws of their own make it Šidák's.

    Args:
        differences: Test to its differences, the real one first.
        weights: How much each test counts: with 3 its p-values are taken for a third.
    """
    if not differences:
        return {}
    names = list(differences)
    values = np.stack([p_values(differences[name]) / weights[name] for name in names])
    order = np.argsort(values[:, 0], kind="stable")
    # In each draw the least of the tests that are not told yet.
    least = np.minimum.accumulate(values[order][::-1], axis=0)[::-1]
    found = np.maximum.accumulate((least <= values[order][:, :1] + 1e-12).mean(axis=1))
    return {names[place]: float(one) for place, one in zip(order, found, strict=True)}


def spread_bins(numbers: Floats, *, most: int = 100) -> Whole:
    """Return the bins of numbers, int64 `[rows]`: at most so many, which hold about as many rows each."""
    ends = np.unique(np.quantile(numbers, np.arange(1, most + 1) / most, method="inverted_cdf"))
    return np.searchsorted(ends, numbers)


def area(old: npt.NDArray[np.float32], new: npt.NDArray[np.float32], *, generator: np.random.Generator) -> float:
    """Return how well old and new vectors are told apart, as the area under the ROC curve: .5 by chance, 1 always.

    By Fisher's linear discriminant, learned from half of the rows and asked of the other half, both ways.

    Args:
        old: float32 `[rows, width]`.
        new: Likewise.
        generator: What divides the rows.
    """
    halves = [np.array_split(one[generator.permutation(len(one))].astype(np.float64), 2) for one in (old, new)]
    if any(len(part) < 2 for half in halves for part in half):
        return 0.5
    found = []
    for learned in (0, 1):
        known, asked = [half[learned] for half in halves], [half[1 - learned] for half in halves]
        middle = [one.mean(axis=0) for one in known]
        spread = np.concatenate([one - centre for one, centre in zip(known, middle, strict=True)])
        scatter = spread.T @ spread / len(spread)
        # As strong a ridge as a twentieth of the mean variance keeps it from learning by heart.
        ridge = (0.05 + len(scatter) / len(spread)) * np.trace(scatter) / len(scatter)
        scatter += np.eye(len(scatter)) * max(ridge, 1e-12)
        line = np.linalg.solve(scatter, middle[1] - middle[0])
        before, after = (np.sort(one @ line) for one in asked)
        wins = np.searchsorted(before, after, side="left") + np.searchsorted(before, after, side="right")
        found.append(float(wins.sum()) / (2 * len(before) * len(after)))
    return max(0.5, float(np.mean(found)))


def discoveries(p_values: Sequence[float]) -> Floats:
    """Return p-values by Benjamini and Hochberg: of those below A, a share of A is false on average."""
    values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(values)
    ranked = values[order] * len(values) / np.arange(1, len(values) + 1)
    found = np.empty_like(values)
    found[order] = np.minimum(np.minimum.accumulate(ranked[::-1])[::-1], 1.0)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedWord:
    """A word that one set has more often.

    Attributes:
        word: In small letters.
        old: Share of the reference's texts that have it, 0..1.
        new: Share of the new texts.
        z: Log-odds over their standard error; above 0: more often in the new texts.
        p: Two-sided, over all words by Benjamini and Hochberg.
    """

    word: str
    old: float
    new: float
    z: float
    p: float


def changed_words(
    old: Mapping[str, int], new: Mapping[str, int], *, texts: tuple[int, int], least: int = 5
) -> list[ChangedWord]:
    """Return the words of two sets, those that changed most first.

    Log-odds with an informative prior, the two sets together (Monroe, Colaresi and Quinn 2008, "Fightin' Words",
    Political Analysis 16), of texts that have a word and not of occurrences, so that a text that repeats itself counts
    once.

    Args:
        old: Word to the reference's texts that have it.
        new: Word to new texts.
        texts: How many texts there are in each.
        least: Words that fewer texts of both have are left out.
    """
    words = sorted(word for word in {*old, *new} if old.get(word, 0) + new.get(word, 0) >= least)
    if not words or not all(texts):
        return []
    have = np.array([[old.get(word, 0), new.get(word, 0)] for word in words], dtype=np.float64)
    sizes = np.array(texts, dtype=np.float64)
    # The prior weighs as much as ten texts of each set, with the words that both have together.
    prior = 10.0 * have.sum(axis=1) / sizes.sum()
    yes, no = have + prior[:, None], sizes - have + 10.5 - prior[:, None]  # a half: a word may be in every text
    logs = np.log(yes) - np.log(no)
    scores = (logs[:, 1] - logs[:, 0]) / np.sqrt((1 / yes + 1 / no).sum(axis=1))
    p_values = discoveries([erfc(abs(score) / sqrt(2.0)) for score in scores])
    order = sorted(range(len(words)), key=lambda place: (-abs(scores[place]), words[place]))
    return [
        ChangedWord(
            word=words[place],
            old=float(have[place, 0] / sizes[0]),
            new=float(have[place, 1] / sizes[1]),
            z=float(scores[place]),
            p=float(p_values[place]),
        )
        for place in order
    ]
