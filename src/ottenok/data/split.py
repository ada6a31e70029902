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
from ottenok.data.rows import FREE, TEST, TRAIN, VALIDATION, mix, salt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ottenok.recipes.corpus import SplitOptions

__all__ = ["Groups", "assign_splits", "cut_stratum"]

_SPLITS = np.array([TRAIN, VALIDATION, TEST], dtype=np.int8)
_RARE = 20  # sets of labels with fewer groups than this are stratified together
_BLOCK = 20_000  # groups per run of iterative stratification, whose time grows faster than their number


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
    groups: Groups, *, sources: Sequence[str], labels: Sequence[tuple[str, ...]], shares: SplitOptions, seed: int
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
            rows = np.flatnonzero(open_ & (groups.source == source) & ((groups.pinned == FREE) == with_test))
            rows = rows[np.argsort(mix(groups.digest[rows], salt(seed, "order")), kind="stable")]
            part = shares.of_splits(test=with_test)
            codes = groups.label[rows]
            several = any(len(labels[code]) != 1 for code in np.unique(codes))
            rare = (np.bincount(codes)[codes] < _RARE) & several
            for code in np.unique(codes[~rare]):
                chosen = rows[codes == code]
                bits = salt(seed, name, with_test, *labels[code])
                splits[chosen] = cut_stratum(len(chosen), part, start=(bits >> 11) / 2**53)
            rest = np.flatnonzero(rare)
            for begin in range(0, len(rest), _BLOCK):
                block = rest[begin : begin + _BLOCK]
                sets = [labels[code] for code in codes[block]]
                names = sorted({label for given in sets for label in given})
                marks = np.array([[label in given for label in names] for given in sets], dtype=bool)
                wanted = np.asarray(part)
                stratify = require("iterstrat.ml_stratifiers", extra="data").IterativeStratification
                # The package takes no newer generator.
                random = np.random.RandomState(salt(seed, name, with_test, begin) % 2**32)
                folds = stratify(marks.reshape(len(sets), -1), wanted[wanted > 0], random)
                splits[rows[block]] = _SPLITS[np.flatnonzero(wanted > 0)[folds]]
    return splits


def cut_stratum(count: int, shares: tuple[float, ...], *, start: float) -> NDArray[np.int8]:
    """Cut `count` groups in order by systematic sampling: int8[count].

    Each split gets its share of `count`, up or down to a whole number; `start` in 0..1 decides which way, so that many
    small strata together have the right shares too.
    """
    places = (np.arange(count) + start) / count
    splits: NDArray[np.int8] = _SPLITS[np.searchsorted(np.cumsum(shares)[:-1], places, side="right")]
    return splits
