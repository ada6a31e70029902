"""The second pass of a build, over the row index: what stays, why the rest goes, and in which split everything ends.

Of several rows with one text one stays. The rules, in this order:

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

from ottenok.core.progress import SILENT, stage
from ottenok.data.near import Texts, find_groups
from ottenok.data.rows import FREE, TEST, TRAIN, VALIDATION, Reason, mix, salt
from ottenok.data.split import Groups, assign_splits
from ottenok.data.stats import NearStats

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ottenok.core.progress import Progress
    from ottenok.data.harmonise import TaskLabels
    from ottenok.data.inputs import Inputs
    from ottenok.data.rows import RowIndex, StagingFile
    from ottenok.recipes.corpus import CorpusRecipe

__all__ = [
    "Cleaned",
    "DedupeResult",
    "Votes",
    "aggregate_ratings",
    "clean",
    "count_votes",
    "label_codes",
    "resolve_near",
    "resolve_same",
]

_SAME = {FREE: Reason.DUPLICATE, TRAIN: Reason.DUPLICATE, VALIDATION: Reason.IN_VALIDATION, TEST: Reason.IN_TEST}
_NEAR = {VALIDATION: Reason.NEAR_VALIDATION, TEST: Reason.NEAR_TEST}


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


@dataclass(frozen=True, slots=True, kw_only=True)
class DedupeResult:
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
) -> DedupeResult:
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
    return _result(reason, first[texts], joined, kept=np.union1d(first[heads], np.flatnonzero(in_test)))


def resolve_near(groups: NDArray[np.int32], splits: NDArray[np.int8], labels: NDArray[np.int32]) -> DedupeResult:
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
    return _result(reason, winner, labels, kept=kept)


def label_codes(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Number the rows of int32[n, tasks] so that equal ones have one number: int32[n]; one task's codes stay."""
    if labels.shape[1] == 1:
        return labels[:, 0]
    return np.unique(labels, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int32)


def _result(
    reason: NDArray[np.int8], winner: NDArray[np.int32], labels: NDArray[np.int32], *, kept: NDArray[np.integer]
) -> DedupeResult:
    reason[kept] = Reason.KEPT
    winner = winner.copy()
    winner[kept] = -1
    return DedupeResult(reason=reason, winner=winner, labels=labels)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """What became of the n rows of a row index.

    Attributes:
        reason: int8[n], a `Reason`; KEPT where the row is in the corpus.
        winner: int32[n], the row that is kept instead, or -1.
        labels: int32[n, tasks], codes of the sets of labels, -1 for none; others than in the index where raters were
            aggregated, or labels of one text for several tasks were joined.
        split: int8[n], TRAIN, VALIDATION or TEST where the row is kept.
        near: Numbers of the near duplicates, or None.
    """

    reason: NDArray[np.int8]
    winner: NDArray[np.int32]
    labels: NDArray[np.int32]
    split: NDArray[np.int8]
    near: NearStats | None


def clean(
    index: RowIndex,
    recipe: CorpusRecipe,
    inputs: Inputs,
    tasks: Sequence[TaskLabels],
    *,
    staging: StagingFile,
    work: Path,
    progress: Progress = SILENT,
) -> Cleaned:
    """Run all stages; each looks at the rows that the one before left.

    Args:
        index: The rows.
        recipe: What is cleaned, and how rows are split.
        inputs: Where the rows come from.
        tasks: The corpus's tasks.
        staging: The texts.
        work: An empty folder for temporary files.
        progress: Told about each stage.

    Raises:
        MissingExtraError: A package of the extra `data` is not installed.
    """
    source = np.array([file.source for file in inputs.files], dtype=np.int16)[index.file]
    reason = np.zeros(len(index), dtype=np.int8)
    winner = np.full(len(index), -1, dtype=np.int32)
    labels = index.labels.copy()

    def settle(rows: NDArray[np.int64], result: DedupeResult) -> None:
        reason[rows], labels[rows] = result.reason, result.labels
        winner[rows] = np.where(result.winner >= 0, rows[result.winner], -1)

    for number, one in enumerate(inputs.sources):
        if one.card.raters is not None:
            rows = np.flatnonzero(source == number)
            reason[rows], labels[rows] = aggregate_ratings(
                index.text[rows], labels[rows], minimum=one.card.raters.minimum
            )

    rows = np.flatnonzero(reason == Reason.KEPT)
    with stage(progress, "exact duplicates", total=len(rows), unit="rows"):
        before = labels[rows]
        settle(rows, resolve_same(index.text[rows], index.split[rows], before, rule=recipe.clean.conflicts))
        progress.advance(len(rows))
    # A row's classes are those of its source: a label that only another source can give does not join it.
    changed = (labels[rows] != before) & (reason[rows] == Reason.KEPT)[:, None]
    for place, task in np.argwhere(changed).tolist():
        row = rows[place]
        known = tasks[task].classes.get(inputs.names[source[row]])
        joined = tasks[task].values[labels[row, task]] if labels[row, task] >= 0 else ()
        if known is not None and not set(joined) <= set(known):
            labels[row, task] = -1

    # Every row is a group of its own unless it is near another.
    groups = np.arange(len(index), dtype=np.int32)
    near = None
    if recipe.clean.near:
        rows = np.flatnonzero(reason == Reason.KEPT)
        texts = Texts(rows=rows, lengths=index.length[rows], keys_of=staging.keys)
        found = find_groups(texts, recipe.clean, folder=work, progress=progress)
        settle(rows, resolve_near(found, index.split[rows], labels[rows]))
        groups[rows] = rows[found]
        sizes = np.bincount(found) if len(found) else np.zeros(1, dtype=np.int64)
        big = sizes[sizes > 1]
        near = NearStats(groups=len(big), texts=int(big.sum()), largest=int(big.max(initial=0)))

    rows = np.flatnonzero((reason == Reason.KEPT) & (index.split != TEST))
    for number, one in enumerate(inputs.sources):
        if one.spec.limit is not None:
            own = rows[source[rows] == number]
            order = mix(index.digest[own], salt(recipe.seed, "limit", one.card.name))
            reason[own[np.argsort(order, kind="stable")[one.spec.limit :]]] = Reason.LIMIT

    split = np.full(len(index), FREE, dtype=np.int8)
    rows = np.flatnonzero(reason == Reason.KEPT)
    split[rows] = _split(rows, groups[rows], index, recipe, inputs, tasks, source=source[rows], labels=labels[rows])
    return Cleaned(reason=reason, winner=winner, labels=labels, split=split, near=near)


def _split(
    rows: NDArray[np.int64],
    groups: NDArray[np.int32],
    index: RowIndex,
    recipe: CorpusRecipe,
    inputs: Inputs,
    tasks: Sequence[TaskLabels],
    *,
    source: NDArray[np.int16],
    labels: NDArray[np.int32],
) -> NDArray[np.int8]:
    """Return the split of each row of `rows`: that of its group, cut by source and labels of the group's first row."""
    first, members = np.unique(groups, return_index=True, return_inverse=True)[1:]
    split = index.split[rows]
    pinned = np.full(len(first), FREE, dtype=np.int8)
    np.maximum.at(pinned, members, split)
    # A group may become validation if all its rows may: those without a split, and the train of some sources.
    may_cut = np.array([one.validation_from_train for one in inputs.sources], dtype=bool)[source]
    cuttable = np.ones(len(first), dtype=bool)
    np.logical_and.at(cuttable, members, (split == FREE) | (split == TRAIN) & may_cut)
    codes = label_codes(labels[first])
    names: Sequence[tuple[str, ...]] = tasks[0].values
    if len(tasks) > 1:
        known = labels[first][np.unique(codes, return_index=True)[1]]
        names = [
            tuple(
                f"{task.name}:{label}"
                for task, code in zip(tasks, row, strict=True)
                if code >= 0
                for label in task.values[code]
            )
            for row in known.tolist()
        ]
    splits = assign_splits(
        Groups(
            digest=index.digest[rows[first]],
            pinned=pinned,
            cuttable=cuttable,
            source=source[first].astype(np.int32),
            label=codes,
        ),
        sources=inputs.names,
        labels=names,
        shares=recipe.split,
        seed=recipe.seed,
    )
    return splits[members]
