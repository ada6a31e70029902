"""The second pass, over the ledger: what stays, why the rest goes, and in which split everything ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ottenok.core.progress import SILENT, stage
from ottenok.data.dedupe import FREE, TEST, TRAIN, label_codes, resolve_near, resolve_same
from ottenok.data.keys import mix, salt
from ottenok.data.near import find_groups
from ottenok.data.raters import aggregate_ratings
from ottenok.data.reasons import Reason
from ottenok.data.sketches import NearOptions, Texts
from ottenok.data.split import Groups, Shares, assign_splits
from ottenok.data.stats import NearStats

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ottenok.core.progress import Progress
    from ottenok.data.dedupe import Verdict
    from ottenok.data.harmonise import TaskLabels
    from ottenok.data.inputs import Inputs
    from ottenok.data.ledger import Ledger
    from ottenok.data.spill import Spill
    from ottenok.recipes.corpus import CorpusRecipe

__all__ = ["Cleaned", "Cleaning"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """What became of the n rows of a ledger.

    Attributes:
        reason: int8[n], a `Reason`; KEPT where the row is in the corpus.
        winner: int32[n], the row that is kept instead, or -1.
        labels: int32[n, tasks], codes of the sets of labels, -1 for none; others than in the ledger where raters were
            aggregated, or labels of one text for several tasks were joined.
        split: int8[n], TRAIN, VALIDATION or TEST where the row is kept.
        near: Numbers of the near duplicates, or None.
    """

    reason: NDArray[np.int8]
    winner: NDArray[np.int32]
    labels: NDArray[np.int32]
    split: NDArray[np.int8]
    near: NearStats | None


class Cleaning:
    """The stages, in the order in which `run` calls them; each looks at the rows that the one before left."""

    def __init__(self, *, recipe: CorpusRecipe, inputs: Inputs, ledger: Ledger) -> None:
        self._recipe = recipe
        self._inputs = inputs
        self._ledger = ledger
        self._source = np.array([file.source for file in inputs.files], dtype=np.int16)[ledger.file]
        self._reason = np.zeros(len(ledger), dtype=np.int8)
        self._winner = np.full(len(ledger), -1, dtype=np.int32)
        self._labels = ledger.labels.copy()
        self._near: NearStats | None = None

    def run(self, spill: Spill, tasks: Sequence[TaskLabels], *, work: Path, progress: Progress = SILENT) -> Cleaned:
        """Run all stages.

        Args:
            spill: The texts.
            tasks: The corpus's tasks.
            work: An empty folder for temporary files.
            progress: Told about each stage.

        Raises:
            MissingExtraError: A package of the extra `data` is not installed.
        """
        self._aggregate()
        self._drop_same(tasks, progress)
        groups = self._drop_near(spill, work, progress)
        self._limit()
        split = self._split(groups, tasks)
        return Cleaned(reason=self._reason, winner=self._winner, labels=self._labels, split=split, near=self._near)

    @property
    def _alive(self) -> NDArray[np.int64]:
        return np.flatnonzero(self._reason == Reason.KEPT)

    def _aggregate(self) -> None:
        for source, one in enumerate(self._inputs.sources):
            if one.card.raters is not None:
                rows = np.flatnonzero(self._source == source)
                self._reason[rows], self._labels[rows] = aggregate_ratings(
                    self._ledger.text[rows], self._ledger.labels[rows], minimum=one.card.raters.minimum
                )

    def _drop_same(self, tasks: Sequence[TaskLabels], progress: Progress) -> None:
        rows = self._alive
        ledger, rule = self._ledger, self._recipe.clean.conflicts
        with stage(progress, "exact duplicates", total=len(rows), unit="rows"):
            before = self._labels[rows]
            self._settle(rows, resolve_same(ledger.text[rows], ledger.split[rows], before, rule=rule))
            progress.advance(len(rows))
        # A row's classes are those of its source: a label that only another source can give does not join it.
        changed = self._labels[rows] != before
        for place, task in np.argwhere(changed & (self._reason[rows] == Reason.KEPT)[:, None]).tolist():
            row = rows[place]
            known = tasks[task].classes.get(self._inputs.names[self._source[row]])
            label = tasks[task].values[self._labels[row, task]] if self._labels[row, task] >= 0 else ()
            if known is not None and not set(label) <= set(known):
                self._labels[row, task] = -1

    def _drop_near(self, spill: Spill, work: Path, progress: Progress) -> NDArray[np.int32]:
        """Return the group of each row of the ledger; every row is a group of its own unless it is near another."""
        groups = np.arange(len(self._ledger), dtype=np.int32)
        options = self._recipe.clean
        if options.near:
            rows = self._alive
            near = NearOptions(
                threshold=options.threshold,
                size=options.shingle,
                han_size=options.shingle_han,
                minimum=options.minimum_shingles,
            )
            texts = Texts(rows=rows, lengths=self._ledger.length[rows], keys_of=spill.keys)
            found = find_groups(texts, options=near, folder=work, progress=progress)
            self._near = _near_stats(found)
            self._settle(rows, resolve_near(found, self._ledger.split[rows], self._labels[rows]))
            groups[rows] = rows[found]
        return groups

    def _limit(self) -> None:
        rows = self._alive
        rows = rows[self._ledger.split[rows] != TEST]
        for source, one in enumerate(self._inputs.sources):
            if one.spec.limit is not None:
                own = rows[self._source[rows] == source]
                order = mix(self._ledger.digest[own], salt(self._recipe.seed, "limit", one.card.name))
                self._reason[own[np.argsort(order, kind="stable")[one.spec.limit :]]] = Reason.LIMIT

    def _split(self, groups: NDArray[np.int32], tasks: Sequence[TaskLabels]) -> NDArray[np.int8]:
        rows = self._alive
        first, members = np.unique(groups[rows], return_index=True, return_inverse=True)[1:]
        pinned = np.full(len(first), FREE, dtype=np.int8)
        np.maximum.at(pinned, members, self._ledger.split[rows])
        cuttable = np.ones(len(first), dtype=bool)
        np.logical_and.at(cuttable, members, self._cuttable(rows))
        heads = rows[first]
        codes, names = _strata(self._labels[heads], tasks)
        options = self._recipe.split
        splits = assign_splits(
            Groups(
                digest=self._ledger.digest[heads],
                pinned=pinned,
                cuttable=cuttable,
                source=self._source[heads].astype(np.int32),
                label=codes,
            ),
            sources=self._inputs.names,
            labels=names,
            shares=Shares(train=options.train, validation=options.validation, test=options.test),
            seed=self._recipe.seed,
        )
        split = np.full(len(self._ledger), FREE, dtype=np.int8)
        split[rows] = splits[members]
        return split

    def _cuttable(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which rows may become validation though they are train."""
        sources = np.array([one.validation_from_train for one in self._inputs.sources], dtype=bool)
        split = self._ledger.split[rows]
        may: NDArray[np.bool_] = (split == FREE) | (split == TRAIN) & sources[self._source[rows]]
        return may

    def _settle(self, rows: NDArray[np.int64], verdict: Verdict) -> None:
        self._reason[rows] = verdict.reason
        self._winner[rows] = np.where(verdict.winner >= 0, rows[verdict.winner], -1)
        self._labels[rows] = verdict.labels


def _strata(
    labels: NDArray[np.int32], tasks: Sequence[TaskLabels]
) -> tuple[NDArray[np.int32], Sequence[tuple[str, ...]]]:
    """Return the code of each row's labels of all tasks together, and what the codes stand for."""
    codes = label_codes(labels)
    if len(tasks) == 1:
        return codes, tasks[0].values
    first = np.unique(codes, return_index=True)[1]
    names = [
        tuple(
            f"{task.name}:{label}"
            for task, code in zip(tasks, row, strict=True)
            if code >= 0
            for label in task.values[code]
        )
        for row in labels[first].tolist()
    ]
    return codes, names


def _near_stats(groups: NDArray[np.int32]) -> NearStats:
    sizes = np.bincount(groups) if len(groups) else np.zeros(1, dtype=np.int64)
    big = sizes[sizes > 1]
    return NearStats(groups=len(big), texts=int(big.sum()), largest=int(big.max(initial=0)))
