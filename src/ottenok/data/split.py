"""Train, validation and test: official splits stay, everything else is cut by shares, groups are never divided.

Each stratum (a source's groups of one label, or of one set of labels) is cut by itself: its groups are put in the order
of a hash of text and seed, and every split takes its share of that order. So each source and label has the same shares
everywhere, the result depends on the texts and the seed only, and a source that is added moves no other source's rows.
Rare sets of labels are too few to cut one by one: they go together through iterative stratification (Sechidis,
Tsoumakas and Vlahavas, ECML PKDD 2011; the package iterative-stratification).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ottenok.core.lazy import require
from ottenok.data.dedupe import FREE, TEST, TRAIN, VALIDATION
from ottenok.data.keys import mix, salt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Groups", "Shares", "assign_splits", "cut_stratum"]

_SPLITS = np.array([TRAIN, VALIDATION, TEST], dtype=np.int8)
_RARE = 20  # sets of labels with fewer groups than this are stratified together
_BLOCK = 20_000  # groups per run of iterative stratification, whose time grows faster than their number


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """Shares of train, validation and test; each in 0..1, their sum 1."""

    train: float = 0.8
    validation: float = 0.1
    test: float = 0.1

    def of_splits(self, *, test: bool) -> tuple[float, ...]:
        """Shares of train, validation and, if asked for, test; what is left of the whole is scaled up to 1."""
        shares = (self.train, self.validation, self.test) if test else (self.train, self.validation)
        whole = sum(shares)
        return tuple(share / whole for share in shares) if whole else (1.0,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """The groups to be split, described by their first rows.

    Attributes:
        digest: uint64[g], a hash of the group's text.
        pinned: int8[g], the split that a group must have, or FREE.
        cuttable: bool[g]; a group pinned to train may still become validation.
        source: int32[g], place in the list of source names.
        label: int32[g], code in the table of label sets.
    """

    digest: NDArray[np.uint64]
    pinned: NDArray[np.int8]
    cuttable: NDArray[np.bool_]
    source: NDArray[np.int32]
    label: NDArray[np.int32]


def assign_splits(
    groups: Groups, *, sources: Sequence[str], labels: Sequence[tuple[str, ...]], shares: Shares, seed: int
) -> NDArray[np.int8]:
    """Return the split of each group: int8[g], TRAIN, VALIDATION or TEST.

    Args:
        groups: What is to be split.
        sources: Names of the sources, by `groups.source`.
        labels: Sets of labels, by `groups.label`.
        shares: How big each split is to be.
        seed: Another seed gives another split.

    Raises:
        MissingExtraError: Rare sets of labels, and `iterative-stratification` is not installed (extra `data`).
    """
    splits = groups.pinned.copy()
    open_ = (groups.pinned == FREE) | groups.cuttable & (groups.pinned == TRAIN)
    for source, name in enumerate(sources):
        for with_test in (True, False):
            chosen = open_ & (groups.source == source) & ((groups.pinned == FREE) == with_test)
            rows = np.flatnonzero(chosen)
            if len(rows):
                rows = rows[np.argsort(mix(groups.digest[rows], salt(seed, "order")), kind="stable")]
                splits[rows] = _cut_source(
                    groups.label[rows], labels, shares.of_splits(test=with_test), (seed, name, with_test)
                )
    return splits


def _cut_source(
    codes: NDArray[np.int32], labels: Sequence[tuple[str, ...]], shares: tuple[float, ...], salts: tuple[object, ...]
) -> NDArray[np.int8]:
    """Cut one source's groups, which come in their hashed order."""
    splits = np.empty(len(codes), dtype=np.int8)
    several = any(len(labels[code]) != 1 for code in np.unique(codes))
    counts = np.bincount(codes)
    rare = (counts[codes] < _RARE) & several
    for code in np.unique(codes[~rare]):
        chosen = np.flatnonzero(codes == code)
        splits[chosen] = cut_stratum(len(chosen), shares, start=_unit(salt(*salts, *labels[code])))
    rest = np.flatnonzero(rare)
    for begin in range(0, len(rest), _BLOCK):
        block = rest[begin : begin + _BLOCK]
        splits[block] = _cut_rare([labels[code] for code in codes[block]], shares, salt(*salts, begin))
    return splits


def cut_stratum(count: int, shares: tuple[float, ...], *, start: float) -> NDArray[np.int8]:
    """Cut `count` groups in order by systematic sampling: int8[count].

    Each split gets its share of `count`, up or down to a whole number; `start` in 0..1 decides which way, so that many
    small strata together have the right shares too.
    """
    places = (np.arange(count) + start) / count
    splits: NDArray[np.int8] = _SPLITS[np.searchsorted(np.cumsum(shares)[:-1], places, side="right")]
    return splits


def _cut_rare(sets: list[tuple[str, ...]], shares: tuple[float, ...], seed: int) -> NDArray[np.int8]:
    names = sorted({label for labels in sets for label in labels})
    marks = np.array([[name in labels for name in names] for labels in sets], dtype=bool).reshape(len(sets), -1)
    wanted = np.asarray(shares)
    stratify = require("iterstrat.ml_stratifiers", extra="data").IterativeStratification
    random = np.random.RandomState(seed % 2**32)  # what the package takes
    folds = stratify(marks, wanted[wanted > 0], random)
    splits: NDArray[np.int8] = _SPLITS[np.flatnonzero(wanted > 0)[folds]]
    return splits


def _unit(bits: int) -> float:
    """64 bits as a number in 0..1, 1 excluded."""
    return (bits >> 11) / 2**53
