"""Texts that several raters rated, each in a row of its own: one row per text, with what most of them said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ottenok.data.conflicts import count_votes
from ottenok.data.reasons import Reason

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["aggregate_ratings"]


def aggregate_ratings(
    texts: NDArray[np.int32], labels: NDArray[np.int32], *, minimum: int
) -> tuple[NDArray[np.int8], NDArray[np.int32]]:
    """Aggregate the ratings of one source.

    A rating votes for the label that the card maps it to (the rule `majority-sign`: for its sign). A text needs
    `minimum` ratings and one label that is alone in front.

    Args:
        texts: int32[n], the id of each row's text.
        labels: int32[n, tasks], code of each row's label, or -1 where it has none for the task.
        minimum: Fewest ratings of a text.

    Returns:
        int8[n], a `Reason`, KEPT for the first row of each text that has a label; and int32[n, tasks], the winning
        labels, -1 where there is none.
    """
    first, groups = np.unique(texts, return_index=True, return_inverse=True)[1:]
    winners = np.full((len(first), labels.shape[1]), -1, dtype=np.int32)
    most = np.zeros(len(first), dtype=np.int32)
    for task in range(labels.shape[1]):
        rated = labels[:, task] >= 0
        votes = count_votes(groups[rated].astype(np.int32), labels[rated, task], count=len(first))
        sure = votes.unique & (votes.rows >= minimum)
        winners[sure, task] = votes.winner[sure]
        most = np.maximum(most, votes.rows)
    fate = np.full(len(first), Reason.RATERS_DISAGREE, dtype=np.int8)
    fate[most < minimum] = Reason.FEW_RATERS
    fate[(winners >= 0).any(axis=1)] = Reason.RATING
    reason = fate[groups]
    reason[first[fate == Reason.RATING]] = Reason.KEPT
    return reason, winners[groups]
