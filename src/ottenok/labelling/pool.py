"""The texts that are to be labelled: a file, or a sample of it where it is large, and labels that are there already."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ottenok.core.errors import ConfigError, DataError
from ottenok.core.progress import SILENT
from ottenok.core.schemes import LabelScheme
from ottenok.core.spellings import fold_label, spelled
from ottenok.tables.labels import Fault, label_cell, study_cells
from ottenok.tables.options import TableOptions
from ottenok.tables.records import read_text
from ottenok.tables.table import open_table

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from ottenok.core.progress import Progress

__all__ = ["Pool", "read_pool", "same_labels"]

# Texts of a large file that are chosen from; the vectors of so many take 80 MB and some minutes of one processor.
MOST_TEXTS = 50_000
# Of the texts that have labels already.
_MOST_GIVEN = 5_000
_DEFAULT = TableOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Texts of a file.

    Attributes:
        name: The file's name.
        texts: Each once.
        rows: Their numbers in the file, from 1, the header not counted.
        given: Place in `texts` to the labels that the file has for it, as the file spells them.
        total: Rows of the file that have a text.
        left_out: Why rows have none, and how many.
        notes: What was found out of the file's form, in sentences.
    """

    name: str
    texts: tuple[str, ...]
    rows: tuple[int, ...]
    given: Mapping[int, tuple[str, ...]]
    total: int
    left_out: Mapping[str, int]
    notes: tuple[str, ...] = ()


class _Sample:
    """A sample of rows of which each is as likely as the others: algorithm R (Vitter 1985)."""

    def __init__(self, most: int, rng: random.Random) -> None:
        self.rows: list[tuple[int, str, object]] = []
        self.seen = 0
        self._most = most
        self._rng = rng

    def add(self, row: tuple[int, str, object]) -> None:
        self.seen += 1
        if len(self.rows) < self._most:
            self.rows.append(row)
            return
        place = int(self._rng.random() * self.seen)
        if place < self._most:
            self.rows[place] = row


def read_pool(
    file: Path,
    *,
    text: str = "text",
    label: str | None = None,
    table: TableOptions = _DEFAULT,
    most: int = MOST_TEXTS,
    seed: int = 0,
    progress: Progress = SILENT,
) -> Pool:
    """Read the texts of a file; of more than `most` a sample, so that memory is bounded.

    Args:
        file: As `ottenok.tables.open_table` has it.
        text: Column of the texts.
        label: Column of labels that some rows have already; None: there is none.
        table: How the file is read.
        most: Most texts that are taken.
        seed: Of the sample: the same file gives the same.
        progress: Hears of the rows that are read.

    Raises:
        DataError: The file can't be read, lacks a column, or has no text.
    """
    opened = open_table(file, table, wanted=[text, *([label] if label else [])])
    places = [opened.find(text), *([opened.find(label)] if label else [])]
    rng = random.Random(seed)  # noqa: S311 - a sample, no secret
    free, labelled = _Sample(most, rng), _Sample(_MOST_GIVEN, rng)
    left_out: Counter[str] = Counter()
    progress.start("reading", total=None, unit="rows")
    try:
        for block in opened.blocks(places):
            left_out.update(reject.reason for reject in block.rejects)
            for number, *cells in zip(block.numbers, *block.cells, strict=True):
                try:
                    found = read_text(cells[0], clean=block.clean, encoding=opened.encoding, limit=table.max_record)
                except Fault as fault:
                    left_out[str(fault)] += 1
                    continue
                has_label = label is not None and cells[1] is not None and str(cells[1]).strip() != ""
                (labelled if has_label else free).add((number, found, cells[1] if has_label else None))
            progress.advance(block.rows)
    finally:
        progress.finish()
    unique: dict[str, int] = {}
    cells_of: dict[str, tuple[str, ...]] = {}
    for _, found, cell in labelled.rows:
        with suppress(Fault):
            cells_of.setdefault(found, label_cell(cell))
    for number, found, _ in sorted(free.rows + labelled.rows, key=lambda row: row[0]):
        unique.setdefault(found, number)
    if not unique:
        raise DataError(
            f"no row of this file has a text in {text!r}", hint="Name another column with --text.", file=str(file)
        )
    separators = study_cells(Counter(cells_of.values())).separators if cells_of else ""
    texts = tuple(unique)
    given = {}
    for place, found in enumerate(texts):
        if found in cells_of:
            parts = (label_cell(one, separators=separators) for one in cells_of[found])
            given[place] = tuple(dict.fromkeys(part for some in parts for part in some))
    return Pool(
        name=file.name,
        texts=texts,
        rows=tuple(unique.values()),
        given=given,
        total=free.seen + labelled.seen,
        left_out=dict(sorted(left_out.items())),
        notes=tuple(opened.notes),
    )


def same_labels(found: Collection[str], labels: Sequence[str]) -> dict[str, str]:
    """Return which of the asked labels each found one is: by its name or a usual spelling; others are left out."""
    by_name = {fold_label(label): label for label in labels}
    same = {label: by_name[fold_label(label)] for label in found if fold_label(label) in by_name}
    scheme = LabelScheme(name="asked", kind="multi-label", labels=tuple(labels), titles={}, source="--labels")
    return {**spelled([label for label in found if label not in same], scheme), **same}


def check_examples(pool: Pool, labels: Sequence[str]) -> dict[int, tuple[str, ...]]:
    """Return what the given labels of a pool are among the asked ones; rows of which one is unknown have none.

    Raises:
        ConfigError: There are given labels, and none of them is among the asked ones.
    """
    found = sorted({label for given in pool.given.values() for label in given})
    same = same_labels(found, labels)
    if found and not same:
        raise ConfigError(
            f"the labels there are {', '.join(map(repr, found[:10]))}, and none of them is among --labels",
            hint="Name the labels as the file spells them, or leave its column out.",
            file=pool.name,
        )
    return {
        place: tuple(dict.fromkeys(same[label] for label in given))
        for place, given in pool.given.items()
        if given and all(label in same for label in given)
    }
