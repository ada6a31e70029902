"""The rows of an audit: of a file with texts and labels, or of a corpus with its splits, in the data's own labels."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ottenok.core.errors import ConfigError, DataError
from ottenok.core.progress import SILENT, tracked
from ottenok.data.fetch import locate
from ottenok.data.harmonise import Harmoniser, find_route
from ottenok.data.own import card_scheme, user_card
from ottenok.data.rows import Reason
from ottenok.data.sources import Source, read_source
from ottenok.recipes.corpus import OwnData
from ottenok.studies.rows import Columns, open_data
from ottenok.tables.records import Rejected, excerpt

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from ottenok.core.progress import Progress
    from ottenok.data.corpus import Corpus
    from ottenok.training.inputs import Places

__all__ = ["RANKS", "AuditRows", "read_rows"]

# Names that files give their splits, and the right that a text has to stay in each: a test's comes before all others.
_SPLITS = {
    **dict.fromkeys(("test", "testing", "eval", "evaluation", "holdout", "тест", "测试"), "test"),
    **dict.fromkeys(("validation", "valid", "val", "dev", "development", "валидация", "验证"), "validation"),
    **dict.fromkeys(("train", "training", "обучение", "训练"), "train"),
}
RANKS = {"validation": 1, "test": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRows:
    """Rows that have a text and a label, n of them.

    Attributes:
        name: What the data is, for headings.
        file: The table that they stand in.
        numbers: int64[n], the number of each row in the file, from 1.
        ids: Its id in a corpus; empty for a file.
        texts: The texts as they are in the file.
        labels: The labels, in code-point order, or in that of the corpus's scheme.
        truth: bool[n, labels].
        several: Whether a row may have any number of labels.
        splits: The split of each row; empty where there are none.
        rejects: Rows without a text or a label.
        corpus: The corpus; None for a file.
        column: The column of the labels, for a cleaned copy; None where several columns hold them.
    """

    name: str
    file: Path
    numbers: npt.NDArray[np.int64]
    ids: Sequence[str]
    texts: Sequence[str]
    labels: tuple[str, ...]
    truth: npt.NDArray[np.bool_]
    several: bool
    splits: Sequence[str]
    rejects: Sequence[Rejected]
    corpus: Corpus | None = None
    column: str | int | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def names(self, marks: npt.NDArray[np.bool_]) -> tuple[str, ...]:
        """Return the labels that a row of marks, bool[labels], stands for."""
        return tuple(self.labels[place] for place in np.flatnonzero(marks))

    @property
    def ranks(self) -> npt.NDArray[np.int64]:
        """int64[n]: 2 for test, 1 for validation, 0 for all else."""
        return np.array([RANKS.get(split, 0) for split in self.splits] or [0] * len(self), dtype=np.int64)


def read_rows(
    data: str | Path,
    columns: Columns,
    *,
    split_column: str | None = None,
    task: str | None = None,
    places: Places,
    progress: Progress = SILENT,
) -> AuditRows:
    """Read labelled rows.

    Args:
        data: A file, a corpus folder, or the name or path of a corpus recipe.
        columns: Of a file.
        split_column: Of a file, the column that says in which split a row is; None: there is none.
        task: Of a corpus with several; None: the first.
        places: Where data sets and built corpora are.
        progress: Told of rows.

    Raises:
        ConfigError: Something is said of a file's columns, and the data is a corpus, or the other way round.
        DataError: There is no such data, no such column or task, or no row can be used.
        SchemeError: There are fewer than two labels.
    """
    found = open_data(data, places, progress)
    if isinstance(found, Path):
        if task is not None:
            raise ConfigError("--task is for corpora, and this is a file", key="--task", file=str(data))
        return _from_file(found, columns, split_column, progress)
    if columns != Columns() or split_column is not None:
        raise ConfigError(
            "--text, --label, --label-map, --split-column and how a table is read are for files, and this is a corpus",
            hint="Leave them out.",
            file=str(data),
        )
    return _from_corpus(found, task)


def _from_file(path: Path, columns: Columns, split_column: str | None, progress: Progress) -> AuditRows:
    own = OwnData(
        name=path.name,
        file=str(path),
        text=columns.text,
        label=columns.label,
        label_map=dict(columns.label_map) or None,
        part=split_column,
        reader=columns.table.said(),
    )
    card = user_card(own, progress=progress)
    scheme = card_scheme(card)
    harmonise = Harmoniser(label=card.label, scheme=scheme, route=find_route(card.label, scheme))
    numbers: list[int] = []
    texts: list[str] = []
    given: list[tuple[str, ...]] = []
    splits: list[str] = []
    rejects: list[Rejected] = []
    records = read_source(Source(card=card, files=locate(card, root=None, cache=path.parent)))
    for _, row in tracked(records, progress, "read", total=None, unit="rows"):
        if isinstance(row, Rejected):
            rejects.append(row)
            continue
        mapped = harmonise(row.labels)
        if mapped.reason is not Reason.KEPT or mapped.unknown is not None:
            reason = mapped.reason.title if mapped.unknown is None else "unknown label"
            rejects.append(Rejected(row=row.row, reason=reason, content=excerpt(row.text)))
            continue
        numbers.append(row.row)
        texts.append(row.text)
        given.append(mapped.labels)
        if split_column is not None:
            part = (row.part or "").strip().casefold()
            splits.append(_SPLITS.get(part, part or "none"))
    if not texts:
        why = ", ".join(f"{reason} ({count:,})" for reason, count in Counter(one.reason for one in rejects).items())
        raise DataError(f"no row can be used: {why}", hint="Check --text and --label.", file=str(path))
    place = {label: number for number, label in enumerate(scheme.labels)}
    truth = np.zeros((len(texts), len(place)), dtype=np.bool_)
    for row_number, labels in enumerate(given):
        truth[row_number, [place[label] for label in labels]] = True
    return AuditRows(
        name=path.name,
        file=path,
        numbers=np.array(numbers, dtype=np.int64),
        ids=(),
        texts=texts,
        labels=scheme.labels,
        truth=truth,
        several=scheme.kind == "multi-label",
        splits=splits,
        rejects=rejects,
        column=columns.label if isinstance(columns.label, str | int) else None,
    )


def _from_corpus(corpus: Corpus, name: str | None) -> AuditRows:
    task = corpus.task(name)
    table = corpus.table(columns=("id", "text", task.column, "split"))
    kept = np.flatnonzero(table.column(task.column).is_valid().to_numpy())
    if not len(kept):
        raise DataError(f"no row has a label for {task.name}", file=str(corpus.folder))
    rows = table.take(kept)
    place = {label: number for number, label in enumerate(task.scheme.labels)}
    truth = np.zeros((len(kept), len(place)), dtype=np.bool_)
    for row_number, labels in enumerate(rows.column(task.column).to_pylist()):
        truth[row_number, [place[label] for label in labels]] = True
    from ottenok.data.corpus import CORPUS_FILE

    return AuditRows(
        name=str(corpus.manifest.get("name", corpus.folder.name)),
        file=corpus.folder / CORPUS_FILE,
        numbers=kept.astype(np.int64) + 1,
        ids=rows.column("id").to_pylist(),
        texts=rows.column("text").to_pylist(),
        labels=task.scheme.labels,
        truth=truth,
        several=task.scheme.kind == "multi-label",
        splits=rows.column("split").to_pylist(),
        rejects=(),
        corpus=corpus,
        column=task.column,
    )
