"""What a corpus holds and what its making dropped, as plain frozen objects: the manifest in types."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from ottenok.core.errors import DataError
from ottenok.core.lazy import need
from ottenok.core.schemes import LEARNED_ROWS
from ottenok.data.corpus import MANIFEST_FILE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ottenok.data.corpus import Corpus

__all__ = [
    "NO_LABEL",
    "Cell",
    "CorpusStats",
    "Dropped",
    "FileStats",
    "NearStats",
    "Overlap",
    "Skipped",
    "SourceStats",
    "corpus_cells",
    "corpus_stats",
    "count_cells",
    "training_rows",
]

NO_LABEL = "(none)"
_LEAST_SHARE = 0.01  # of the rows; a language with fewer is noise of the detection by script


@dataclass(frozen=True, slots=True, kw_only=True)
class FileStats:
    """One file that was read.

    Attributes:
        path: As the card names it.
        sha256: Of its bytes.
        bytes: Its size.
        split: Its official split, or None.
        rows: Records read, rejected ones included.
        texts: Different texts in it.
        rejected: Reason to number of records that could not be used.
    """

    path: str
    sha256: str
    bytes: int
    split: str | None
    rows: int
    texts: int
    rejected: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """Rows that were read and are not in the corpus.

    Attributes:
        split: The split that they were meant for; None: not decided yet.
        reason: Why they are not there.
        of: Name of the source whose row is kept instead, where there is one.
        rows: How many.
    """

    split: str | None
    reason: str
    of: str | None
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceStats:
    """One source.

    Attributes:
        name: Its name.
        title: As its publisher calls it.
        use: How the recipe uses it.
        annotation: Who labelled it, as on the card.
        licence: SPDX identifier or `unknown`.
        commercial: Whether the terms allow commercial use; None: unknown.
        citation: Paper or page.
        homepage: Where it is described.
        files: What was read.
        missing: Optional files that were not there.
        read: Records read.
        rejected: Reason to records that could not be used.
        dropped: Rows that were left out, by split, reason and source.
        kept: Split to rows.
        labels: Split to label to rows; of a row with several labels each counts, `(none)` is a row without. In a corpus
            with several tasks labels are called `<task>:<label>`.
        languages: Language to rows.
        lengths: Percentile to characters of the kept texts.
    """

    name: str
    title: str
    use: str
    annotation: str
    licence: str
    commercial: bool | None
    citation: str
    homepage: str
    files: tuple[FileStats, ...]
    missing: tuple[str, ...]
    read: int
    rejected: dict[str, int]
    dropped: tuple[Dropped, ...]
    kept: dict[str, int]
    labels: dict[str, dict[str, int]]
    languages: dict[str, int]
    lengths: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """What two files share, counted before anything was removed.

    Attributes:
        first: `source:file`.
        second: `source:file`.
        texts: Different texts (letters and digits, case ignored) that are in both.
        long_texts: Those with at least six letters or digits; shorter ones meet by chance.
        first_rows: Rows of the first whose text is in the second.
        second_rows: Rows of the second whose text is in the first.
    """

    first: str
    second: str
    texts: int
    long_texts: int
    first_rows: int
    second_rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NearStats:
    """Groups of near duplicates that were found among different texts.

    Attributes:
        groups: How many groups of two texts or more.
        texts: Texts in them.
        largest: Texts in the largest.
    """

    groups: int
    texts: int
    largest: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A source of the recipe that is not in the corpus.

    Attributes:
        name: Its name.
        why: What is not there.
    """

    name: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """The rows of one class in one language: the smallest thing that a model learns or does not.

    Attributes:
        task: Name of the task.
        language: ISO 639-1 code.
        label: A label of the task's scheme; `(none)`: rows that were found to have none of them.
        train: Rows of the training split; a row with several labels counts for each.
        validation: Rows of the validation split.
        test: Rows of the test split.
    """

    task: str
    language: str
    label: str
    train: int
    validation: int
    test: int

    @property
    def learned(self) -> bool:
        """Whether there is enough to learn from."""
        return self.label == NO_LABEL or self.train >= LEARNED_ROWS


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusStats:
    """A corpus in numbers.

    Attributes:
        name: Its name.
        scheme: Its label scheme; of several tasks their names.
        rows: Split to rows.
        sources: What it was made of, by name.
        skipped: What the recipe names and was not there.
        overlaps: Files that share texts, most first.
        near: Near duplicates, or None where they were not looked for.
    """

    name: str
    scheme: str
    rows: dict[str, int]
    sources: tuple[SourceStats, ...]
    skipped: tuple[Skipped, ...]
    overlaps: tuple[Overlap, ...]
    near: NearStats | None

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as JSON values."""
        return asdict(self)


_FIELDS = ("name", "scheme", "rows", "sources", "skipped", "overlaps", "near")


def corpus_stats(corpus: Corpus) -> CorpusStats:
    """Return the numbers of a corpus, as its manifest holds them.

    Raises:
        DataError: The manifest lacks something, or is of another version.
    """
    tasks = ", ".join(task["name"] for task in corpus.manifest.get("tasks", []))
    found = ({"scheme": tasks} if tasks else {}) | {
        name: corpus.manifest[name] for name in _FIELDS if name in corpus.manifest
    }
    try:
        return TypeAdapter(CorpusStats).validate_python(found)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise DataError(
            f"the manifest is not what this version writes: {first['msg']}",
            hint="Build the corpus again.",
            file=str(corpus.folder / MANIFEST_FILE),
            key=".".join(map(str, first["loc"])),
        ) from error


def corpus_cells(corpus: Corpus) -> tuple[Cell, ...]:
    """Return the cells of a corpus, those without rows too: by task, language and class.

    Languages are those with at least 1 % of the corpus's rows, most rows first.
    """
    if "cells" in corpus.manifest:
        return tuple(Cell(**cell) for cell in corpus.manifest["cells"])
    return count_cells(corpus)


def training_rows(cells: Iterable[Cell]) -> dict[str, dict[str, dict[str, int]]]:
    """Return task to language to label to training rows: what a model's manifest keeps of the cells."""
    rows: dict[str, dict[str, dict[str, int]]] = {}
    for cell in cells:
        rows.setdefault(cell.task, {}).setdefault(cell.language, {})[cell.label] = cell.train
    return rows


def count_cells(corpus: Corpus) -> tuple[Cell, ...]:
    """Count the cells of a corpus in its rows; see `corpus_cells`."""
    with need("parquet"):
        import pyarrow.compute as pc
    counts: Counter[tuple[str, str, str, str]] = Counter()
    languages: Counter[str] = Counter()
    tasks = corpus.tasks
    for batch in corpus.batches(columns=("language", "split", *(task.column for task in tasks))):
        languages.update(batch.column("language").to_pylist())
        place = pc.binary_join_element_wise(batch.column("language"), batch.column("split"), "/")
        for task in tasks:
            labels = batch.column(task.column)
            bare = place.filter(pc.equal(pc.list_value_length(labels), 0))
            full = pc.binary_join_element_wise(place.take(pc.list_parent_indices(labels)), pc.list_flatten(labels), "/")
            found = [*full.value_counts().to_pylist()]
            found += [{**one, "values": f"{one['values']}/{NO_LABEL}"} for one in bare.value_counts().to_pylist()]
            for one in found:
                language, split, label = one["values"].split("/", 2)
                counts[task.name, language, label, split] += one["counts"]
    least = languages.total() * _LEAST_SHARE
    return tuple(
        Cell(
            task=task.name,
            language=language,
            label=label,
            train=counts[task.name, language, label, "train"],
            validation=counts[task.name, language, label, "validation"],
            test=counts[task.name, language, label, "test"],
        )
        for task in tasks
        for language, rows in languages.most_common()
        if rows >= least
        for label in (*task.scheme.labels, NO_LABEL)
        if label != NO_LABEL
        or any(counts[task.name, language, label, split] for split in ("train", "validation", "test"))
    )
