"""The corpus: one Parquet file of harmonised rows and the manifest that says how they came to be.

This is the border between data and training. A corpus folder holds `corpus.parquet`, `manifest.json`, and
`rejects.jsonl` where records were refused.

The columns are those of `COLUMNS`; in a corpus with several tasks `labels:<task>` for each task in place of `labels`,
null where the text has no label for the task.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ottenok.core.errors import DataError
from ottenok.core.lazy import need
from ottenok.core.schemes import LabelScheme, load_scheme, load_schemes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pyarrow as pa

__all__ = [
    "COLUMNS",
    "CORPUS_FILE",
    "FORMAT",
    "MANIFEST_FILE",
    "REJECTS_FILE",
    "Corpus",
    "CorpusTask",
    "Split",
    "corpus_columns",
    "open_corpus",
]

Split = Literal["train", "validation", "test"]

CORPUS_FILE = "corpus.parquet"
MANIFEST_FILE = "manifest.json"
REJECTS_FILE = "rejects.jsonl"
# Newest format of the manifest: 1 for one task, 2 for several.
FORMAT = 2
# id: "<source>/<file number>/<row>", unique; text: normalised, never empty; labels: list of the scheme's labels, in its
# order; source: card name, or the user's name for a file; part: sub-source or null; language: ISO 639-1;
# split: train, validation or test.
COLUMNS = ("id", "text", "labels", "source", "part", "language", "split")


def corpus_columns(tasks: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of a corpus with these tasks; with none, those of a corpus for one task: `COLUMNS`."""
    if not tasks:
        return COLUMNS
    return ("id", "text", *(f"labels:{task}" for task in tasks), "source", "part", "language", "split")


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusTask:
    """What the texts of a corpus are labelled for.

    Attributes:
        name: Its name.
        scheme: The labels.
        column: The column with the labels: null where a text has none for this task; an empty list where it was found
            to have none of the scheme's (multi-label only).
        classes: Source to the labels that it can give for this task, in the scheme's order: a set that knows no neutral
            says nothing of it. A source that is not named may give all.
    """

    name: str
    scheme: LabelScheme
    column: str
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """A corpus on disk; rows are read when they are asked for.

    Attributes:
        folder: Where it is.
        manifest: The parsed `manifest.json`: name, tasks, sources with licences and hashes, counts of what was
            dropped, from where and why, and the resolved recipe.
    """

    folder: Path
    manifest: dict[str, Any]

    @property
    def tasks(self) -> tuple[CorpusTask, ...]:
        """What the texts are labelled for; the first is the primary task.

        Raises:
            SchemeError: A scheme is not built in, and the manifest does not define it.
        """
        if "tasks" not in self.manifest:
            name = str(self.manifest["scheme"])
            scheme = _scheme(name, self.manifest.get("label_scheme"))
            return (CorpusTask(name=name, scheme=scheme, column="labels"),)
        return tuple(
            CorpusTask(
                name=task["name"],
                scheme=_scheme(task["scheme"]["name"], task["scheme"]),
                column=f"labels:{task['name']}",
                classes={source: tuple(labels) for source, labels in task["classes"].items()},
            )
            for task in self.manifest["tasks"]
        )

    def task(self, name: str | None = None) -> CorpusTask:
        """Return the task called `name`; None: the only or first one.

        Raises:
            DataError: There is none.
        """
        tasks = {task.name: task for task in self.tasks}
        if name is None:
            return next(iter(tasks.values()))
        if name not in tasks:
            raise DataError(
                f"the corpus has no task {name!r}", hint=f"It has: {', '.join(tasks)}.", file=str(self.folder)
            )
        return tasks[name]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the rows."""
        return corpus_columns([task["name"] for task in self.manifest.get("tasks", [])])

    @property
    def scheme(self) -> str:
        """Name of the primary task's label scheme."""
        return self.task().scheme.name

    @property
    def label_scheme(self) -> LabelScheme:
        """The primary task's label scheme; also one that only the corpus's recipe defines.

        Raises:
            SchemeError: It is not built in, and the manifest does not define it.
        """
        return self.task().scheme

    def table(self, split: Split | None = None, columns: Sequence[str] | None = None) -> pa.Table:
        """Read one split (None: all) as an Arrow table, with the given columns (None: all)."""
        with need("parquet"):
            import pyarrow.parquet as pq
        filters = [("split", "=", split)] if split else None
        return pq.read_table(self.folder / CORPUS_FILE, columns=list(columns or self.columns), filters=filters)

    def batches(self, size: int = 65_536, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Read the corpus in record batches of at most `size` rows, in the file's order."""
        with need("parquet"):
            import pyarrow.parquet as pq
        with pq.ParquetFile(self.folder / CORPUS_FILE) as file:
            yield from file.iter_batches(batch_size=size, columns=list(columns or self.columns))


def _scheme(name: str, found: Mapping[str, Any] | None) -> LabelScheme:
    if name in load_schemes() or found is None:
        return load_scheme(name)
    return LabelScheme(
        name=name,
        kind=found["kind"],
        labels=tuple(found["labels"]),
        values=tuple(found["values"]),
        titles={language: tuple(titles) for language, titles in found["titles"].items()},
        source=found["source"],
    )


def open_corpus(folder: str | Path) -> Corpus:
    """Open a corpus folder.

    Raises:
        DataError: The folder holds no corpus, or its manifest can't be read.
    """
    folder = Path(folder)
    for name in (MANIFEST_FILE, CORPUS_FILE):
        if not (folder / name).is_file():
            found = "this is a file" if folder.is_file() else "there is no such folder"
            raise DataError(
                f"this folder is no corpus: {name} is not in it" if folder.is_dir() else found,
                hint="Build one with: ottenok data build RECIPE -o FOLDER",
                file=str(folder),
            )
    try:
        manifest = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"the manifest can't be read: {error}", file=str(folder / MANIFEST_FILE)) from error
    if not isinstance(manifest, dict) or manifest.get("format", 1) not in range(1, FORMAT + 1):
        raise DataError(
            f"the manifest is not of a format that this version reads (1 to {FORMAT})",
            hint="Build the corpus again, or use the version of ottenok that made it.",
            file=str(folder / MANIFEST_FILE),
        )
    return Corpus(folder=folder, manifest=manifest)
