"""Tests of whether two sets of texts differ, and by how much: counts, vectors, words.

Every test of a difference is a permutation test: which rows are called old and which new is drawn anew, and the p-value
is the share of draws in which they differ at least as much, so that it holds whatever the distributions are. Of counts
such a draw is one of the multivariate hypergeometric distribution, which costs the same for ten rows and ten million.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import erfc, sqrt
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Whole = npt.NDArray[np.int64]

__all__ = [
    "ChangedWord",
    "adjusted",
    "area",
    "changed_words",
    "discoveries",
    "largest_gap",
    "permuted_counts",
    "spread_bins",
    "total_variation",
    "vector_test",
]

# numpy draws from fewer than a thousand million; thinned counts say the same of shares.
_MOST_ROWS = 100_000_000
_FEATURES = 256
_BLOCK = 64
# Rows of each side whose distances give the width of the kernel.
_PROBED = 500


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


def permuted_counts(
    old: Whole,
    new: Whole,
    statistic: Callable[[Floats, Floats], Floats],
    *,
    draws: int,
    generator: np.random.Generator,
) -> tuple[float, float]:
    """Return how much two tables of counts differ, and the p-value of that.

    Args:
        old: Rows in each category.
        new: Likewise.
        statistic: How much they differ, of counts with leading dimensions.
        draws: Permutations.
        generator: What draws.

    Returns:
        The statistic, and (1 + draws that differ as much) / (1 + draws); 1 where a side is empty.
    """
    both = old + new
    if both.sum() > _MOST_ROWS:
        old, new = (np.floor(one * (_MOST_ROWS / both.sum())).astype(np.int64) for one in (old, new))
        both = old + new
    found = float(statistic(old.astype(np.float64), new.astype(np.float64)))
    if not old.sum() or not new.sum():
        return found, 1.0
    drawn = generator.multivariate_hypergeometric(both, int(old.sum()), size=draws, method="marginals")
    chance = statistic(drawn.astype(np.float64), (both - drawn).astype(np.float64))
    return found, float(1 + (chance >= found - 1e-12).sum()) / (1 + draws)


def spread_bins(old: Floats, new: Floats, *, most: int = 100) -> tuple[Whole, Whole]:
    """Return two samples of numbers as counts in at most so many bins, which together hold about as many each."""
    both = np.concatenate([old, new])
    ends = np.unique(np.quantile(both, np.arange(1, most + 1) / most, method="inverted_cdf"))
    before, after = (np.bincount(np.searchsorted(ends, one), minlength=len(ends)) for one in (old, new))
    return before, after


def vector_test(
    old: npt.NDArray[np.float32], new: npt.NDArray[np.float32], *, draws: int, generator: np.random.Generator
) -> float:
    """Return the p-value of the maximum mean discrepancy of two samples of vectors, by permutation.

    The kernel is Gaussian and as wide as the median distance (Gretton et al. 2012, JMLR 13), by random Fourier features
    (Rahimi and Recht 2007), so that time and memory grow with the rows alone.

    Args:
        old: float32 `[rows, width]`.
        new: Likewise.
        draws: Permutations.
        generator: What draws.
    """
    if not len(old) or not len(new):
        return 1.0
    both = np.concatenate([old, new]).astype(np.float32)
    probe = both[generator.permutation(len(both))[: 2 * _PROBED]]
    squares = ((probe[: len(probe) // 2] - probe[len(probe) - len(probe) // 2 :]) ** 2).sum(axis=1)
    width = float(np.sqrt(np.median(squares))) if len(squares) else 0.0
    if width <= 0:
        return 1.0
    waves = (generator.standard_normal((both.shape[1], _FEATURES)) / width).astype(np.float32)
    angles = both @ waves
    features = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
    features -= features.mean(axis=0)
    found = float(np.square(features[: len(old)].sum(axis=0)).sum())
    above = 0
    for start in range(0, draws, _BLOCK):
        size = min(_BLOCK, draws - start)
        # With the mean taken off, the sum over one side alone decides how far the sides' means are apart.
        picked = np.zeros((size, len(both)), dtype=np.float32)
        for row in picked:
            row[generator.choice(len(both), len(old), replace=False)] = 1.0
        above += int((np.square(picked @ features).sum(axis=1) >= found * (1 - 1e-5)).sum())
    return (1 + above) / (1 + draws)


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


def adjusted(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return p-values of several tests together by Holm: the least one below A means a risk of A that any is false."""
    found: dict[str, float] = {}
    largest = 0.0
    for place, name in enumerate(sorted(p_values, key=lambda one: p_values[one])):
        largest = max(largest, min(1.0, p_values[name] * (len(p_values) - place)))
        found[name] = largest
    return {name: found[name] for name in p_values}


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
