"""Duplicates: which of several rows with one text stays, and why the others go.

The rules, in this order:

1. Test wins over validation, validation over train, and an official split over a row that has none yet. A text that is
   in a test is nowhere else.
2. Among the rows of the winning split the labels vote. Labels as a whole vote: for several labels per row, the set.
   One label with most rows wins; if two have as many, nobody can say, and every row of the text goes, also from the
   other splits. (Rule `drop`: any disagreement does that.) No row ever gets another row's label for the same task.
3. Of the rows that won, the first stays: sources by name, files in the card's order, rows as in the file.
4. Rows of an official test all stay, repeated and contradicting ones too: a figure on a published test means the test
   as it was published.

In a corpus with several tasks each task votes by itself, among the rows of the highest split that have a label for it;
the row that stays gets the winner of every task, also from rows that do not stay. So a text that two sources label for
different tasks becomes one row with both labels. Rows of an official test get none from outside.

Near duplicates follow rules 1 and 4. Within a split they go only if their labels are the same, because one word can
turn a statement round: "не понравилось" is near to "понравилось".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ottenok.data.conflicts import count_votes
from ottenok.data.reasons import Reason

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FREE", "TEST", "TRAIN", "VALIDATION", "Verdict", "label_codes", "resolve_near", "resolve_same"]

# A row's official split, as a number that is greater where the row has the greater right to stay.
FREE, TRAIN, VALIDATION, TEST = 0, 1, 2, 3

_SAME = {FREE: Reason.DUPLICATE, TRAIN: Reason.DUPLICATE, VALIDATION: Reason.IN_VALIDATION, TEST: Reason.IN_TEST}
_NEAR = {VALIDATION: Reason.NEAR_VALIDATION, TEST: Reason.NEAR_TEST}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of each row.

    Attributes:
        reason: int8[n], a `Reason`; 0 where the row is kept.
        winner: int32[n], the row that is kept instead; -1 where there is none (or the row itself is kept).
        labels: int32[n, tasks], the label codes that a kept row has now.
    """

    reason: NDArray[np.int8]
    winner: NDArray[np.int32]
    labels: NDArray[np.int32]

    @property
    def kept(self) -> NDArray[np.bool_]:
        """Which rows stay: bool[n]."""
        kept: NDArray[np.bool_] = self.reason == Reason.KEPT
        return kept


def resolve_same(
    texts: NDArray[np.int32],
    splits: NDArray[np.int8],
    labels: NDArray[np.int32],
    *,
    rule: Literal["majority", "drop"] = "majority",
) -> Verdict:
    """Keep at most one row of each text outside of official tests, and every row of those.

    Args:
        texts: int32[n], the dense id of each row's text.
        splits: int8[n], FREE, TRAIN, VALIDATION or TEST.
        labels: int32[n, tasks], label codes from 0; -1 where a row has no label for a task. A row has at least one.
        rule: What disagreeing rows of one split mean: see the module.
    """
    count = int(texts.max(initial=-1)) + 1
    in_test = splits == TEST
    tested = _highest(texts, splits, count) == TEST
    voted, won = np.zeros(labels.shape, dtype=bool), np.zeros(labels.shape, dtype=bool)
    winners = np.full((count, labels.shape[1]), -1, dtype=np.int32)
    for task in range(labels.shape[1]):
        has = labels[:, task] >= 0
        top = _highest(texts[has], splits[has], count)
        voted[:, task] = voting = has & (splits == top[texts])
        votes = count_votes(texts[voting], labels[voting, task], count=count)
        settled = votes.agreed | (votes.unique if rule == "majority" else False)
        winners[settled, task] = votes.winner[settled]
        won[:, task] = voting & settled[texts] & (labels[:, task] == winners[texts, task])
    right = np.where(tested[texts], in_test, won.any(axis=1))
    best = _highest(texts[right], splits[right], count)
    first = _first(texts, right & (splits == best[texts]), count)
    reason = _by_split(best[texts], _SAME)
    reason[voted.any(axis=1) & ~right & ~tested[texts] | (first[texts] < 0)] = Reason.CONFLICT
    reason[right] = Reason.DUPLICATE
    heads = np.flatnonzero((first >= 0) & ~tested)
    reason[right & (won & (labels[first[texts]] < 0)).any(axis=1) & ~tested[texts]] = Reason.JOINED
    joined = labels.copy()
    joined[first[heads]] = winners[heads]
    return _verdict(reason, first[texts], joined, kept=np.union1d(first[heads], np.flatnonzero(in_test)))


def resolve_near(groups: NDArray[np.int32], splits: NDArray[np.int8], labels: NDArray[np.int32]) -> Verdict:
    """Keep no row whose near duplicate is in a higher split, and one row per label outside of tests.

    Args:
        groups: int32[n], the dense id of each row's group of near duplicates; a text without any has its own.
        splits: int8[n], as for `resolve_same`.
        labels: int32[n, tasks], as for `resolve_same`; rows have one label if they agree in all tasks.
    """
    count = int(groups.max(initial=-1)) + 1
    top = _highest(groups, splits, count)
    lost = (top[groups] >= VALIDATION) & (splits < top[groups])
    # One row per group and label; an official training row before one that has no split yet.
    codes = label_codes(labels)
    cells = np.unique(groups.astype(np.int64) * (int(codes.max(initial=0)) + 1) + codes, return_inverse=True)[1]
    cells = cells.astype(np.int32)
    cell_count = int(cells.max(initial=-1)) + 1
    best = ~lost & (splits == _highest(cells, np.where(lost, np.int8(-1), splits), cell_count)[cells])
    first = _first(cells, best, cell_count)
    in_test = splits == TEST
    reason = np.full(len(groups), Reason.NEAR_DUPLICATE, dtype=np.int8)
    reason[lost] = _by_split(top[groups], _NEAR)[lost]
    winner = np.where(lost, _first(groups, ~lost & (splits == top[groups]), count)[groups], first[cells])
    kept = np.union1d(first[first >= 0], np.flatnonzero(in_test))
    return _verdict(reason, winner, labels, kept=kept)


def label_codes(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Number the rows of int32[n, tasks] so that equal ones have one number: int32[n]; one task's codes stay."""
    if labels.shape[1] == 1:
        return labels[:, 0]
    return np.unique(labels, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int32)


def _verdict(
    reason: NDArray[np.int8], winner: NDArray[np.int32], labels: NDArray[np.int32], *, kept: NDArray[np.integer]
) -> Verdict:
    reason[kept] = Reason.KEPT
    winner = winner.copy()
    winner[kept] = -1
    return Verdict(reason=reason, winner=winner, labels=labels)


def _highest(groups: NDArray[np.int32], splits: NDArray[np.int8], count: int) -> NDArray[np.int8]:
    top = np.full(count, -1, dtype=np.int8)
    np.maximum.at(top, groups, splits)
    return top


def _first(groups: NDArray[np.int32], chosen: NDArray[np.bool_], count: int) -> NDArray[np.int32]:
    """The first chosen row of each group, or -1."""
    first = np.full(count, -1, dtype=np.int32)
    rows = np.flatnonzero(chosen)[::-1].astype(np.int32)
    first[groups[rows]] = rows  # backwards, so that the first row is written last
    return first


def _by_split(top: NDArray[np.int8], table: dict[int, Reason]) -> NDArray[np.int8]:
    lookup = np.full(TEST + 1, Reason.DUPLICATE, dtype=np.int8)
    for split, reason in table.items():
        lookup[split] = reason
    return lookup[top]
