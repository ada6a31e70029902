"""Which label a text has when several rows say different things."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Votes", "count_votes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Votes:
    """The vote of each group of rows, groups numbered from 0.

    Attributes:
        winner: int32[g], the label with most rows; of several the smallest code.
        unique: bool[g], whether no other label has as many rows.
        agreed: bool[g], whether all rows say the same.
        rows: int32[g], how many rows voted.
    """

    winner: NDArray[np.int32]
    unique: NDArray[np.bool_]
    agreed: NDArray[np.bool_]
    rows: NDArray[np.int32]


def count_votes(groups: NDArray[np.int32], labels: NDArray[np.int32], *, count: int) -> Votes:
    """Let the rows of each group vote for their label.

    Args:
        groups: int32[n], the group of each row, in 0..count-1; a group may have no row.
        labels: int32[n], label codes from 0; for several labels per row, one code per set of labels.
        count: How many groups there are.
    """
    width = int(labels.max(initial=0)) + 1
    ballots, sizes = np.unique(groups.astype(np.int64) * width + labels, return_counts=True)
    group, label = ballots // width, ballots % width
    most = np.zeros(count, dtype=np.int64)
    np.maximum.at(most, group, sizes)
    leading = sizes == most[group]
    winner = np.full(count, -1, dtype=np.int32)
    # Backwards, so that the smallest code is written last.
    winner[group[leading][::-1]] = label[leading][::-1]
    return Votes(
        winner=winner,
        unique=np.bincount(group[leading], minlength=count) == 1,
        agreed=np.bincount(group, minlength=count) == 1,
        rows=np.bincount(groups, minlength=count).astype(np.int32),
    )
