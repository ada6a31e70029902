"""The manifest: what a corpus was made of, what was dropped and why, and the recipe; no times, no local folders."""

from __future__ import annotations

import json
import platform
from collections import Counter
from dataclasses import asdict
from importlib import metadata
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from ottenok.core.version import __version__
from ottenok.data.corpus import Corpus
from ottenok.data.dedupe import FREE
from ottenok.data.output import SPLIT_NAMES
from ottenok.data.reasons import Reason
from ottenok.data.stats import NO_LABEL, CorpusStats, Dropped, FileStats, Overlap, SourceStats, count_cells

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ottenok.core.schemes import LabelScheme
    from ottenok.data.clean import Cleaned
    from ottenok.data.harmonise import TaskLabels
    from ottenok.data.inputs import Inputs
    from ottenok.data.intake import Noted
    from ottenok.data.ledger import Ledger
    from ottenok.recipes.corpus import CorpusRecipe

__all__ = ["Account", "manifest_text"]

_PERCENTILES = (5, 25, 50, 75, 95, 99, 100)
# What decides a corpus besides the recipe and the files.
_PACKAGES = ("iterative-stratification", "numpy", "pyarrow", "rensa", "scipy")


class Account:
    """Says what became of every record, source by source."""

    def __init__(
        self, *, inputs: Inputs, noted: Noted, ledger: Ledger, cleaned: Cleaned, tasks: Sequence[TaskLabels]
    ) -> None:
        self._tasks = tasks
        self._inputs = inputs
        self._noted = noted
        self._ledger = ledger
        self._cleaned = cleaned
        self._sources = np.array([file.source for file in inputs.files], dtype=np.int16)[ledger.file]

    def stats(self, recipe: CorpusRecipe) -> CorpusStats:
        """Return all numbers."""
        files = self._files()
        sources = tuple(self._source(number, files) for number in range(len(self._inputs.sources)))
        return CorpusStats(
            name=recipe.name,
            scheme=", ".join(task.name for task in self._tasks),
            rows={split: sum(source.kept[split] for source in sources) for split in SPLIT_NAMES.values()},
            sources=sources,
            skipped=self._inputs.skipped,
            overlaps=self._overlaps(),
            near=self._cleaned.near,
        )

    def _source(self, number: int, files: list[FileStats]) -> SourceStats:
        one = self._inputs.sources[number]
        own = tuple(stats for stats, file in zip(files, self._inputs.files, strict=True) if file.source == number)
        rows = np.flatnonzero(self._sources == number)
        kept = rows[self._cleaned.reason[rows] == Reason.KEPT]
        by_split = {name: kept[self._cleaned.split[kept] == code] for code, name in SPLIT_NAMES.items()}
        rejected: Counter[str] = sum((Counter(file.rejected) for file in own), Counter())
        return SourceStats(
            name=one.card.name,
            title=one.card.title,
            use=one.spec.use,
            annotation=one.card.annotation,
            licence=one.card.licence.id,
            commercial=one.card.licence.commercial,
            citation=one.card.citation,
            homepage=one.card.homepage,
            files=own,
            missing=one.missing,
            read=sum(file.rows for file in own),
            rejected=dict(sorted(rejected.items())),
            dropped=(*self._left_out(number), *self._dropped(rows)),
            kept={name: len(chosen) for name, chosen in by_split.items()},
            labels={name: self._labels(chosen) for name, chosen in by_split.items()},
            languages=self._languages(kept),
            lengths=_percentiles(self._ledger.length[kept]),
        )

    def _files(self) -> list[FileStats]:
        distinct = self._noted.overlaps.distinct(len(self._inputs.files))
        return [
            FileStats(
                path=file.name,
                sha256=file.located.sha256,
                bytes=file.located.bytes,
                split=file.located.file.split,
                rows=self._noted.read[number],
                texts=int(distinct[number]),
                rejected={why: rows for (of, why), rows in sorted(self._noted.rejected.items()) if of == number},
            )
            for number, file in enumerate(self._inputs.files)
        ]

    def _left_out(self, source: int) -> list[Dropped]:
        """What never came into the ledger."""
        counts: Counter[tuple[str, Reason]] = Counter()
        for (number, reason), rows in self._noted.dropped.items():
            file = self._inputs.files[number]
            if file.source == source:
                counts[SPLIT_NAMES.get(file.split, ""), reason] += rows
        return [
            Dropped(split=split or None, reason=reason.title, of=None, rows=rows)
            for (split, reason), rows in sorted(counts.items())
        ]

    def _dropped(self, rows: NDArray[np.int64]) -> list[Dropped]:
        """What the cleaning dropped of the rows of one source."""
        lost = rows[self._cleaned.reason[rows] != Reason.KEPT]
        winner = self._cleaned.winner[lost]
        of = np.where(winner >= 0, self._sources[winner], -1)
        cells = np.stack([self._ledger.split[lost], self._cleaned.reason[lost], of], axis=1)
        names = [*self._inputs.names, None]
        return [
            Dropped(
                split=None if split == FREE else SPLIT_NAMES[split],
                reason=Reason(reason).title,
                of=names[source],
                rows=int(count),
            )
            for (split, reason, source), count in zip(*_count_rows(cells), strict=True)
        ]

    def _labels(self, rows: NDArray[np.int64]) -> dict[str, int]:
        found: dict[str, int] = {}
        for place, task in enumerate(self._tasks):
            counts: Counter[str] = Counter()
            codes, sizes = np.unique(self._cleaned.labels[rows, place], return_counts=True)
            for code, size in zip(codes, sizes, strict=True):
                for label in () if code < 0 else task.values[code] or (NO_LABEL,):
                    counts[label] += int(size)
            of = f"{task.name}:" if len(self._tasks) > 1 else ""
            found |= {f"{of}{label}": counts[label] for label in (*task.scheme.labels, NO_LABEL) if counts[label]}
        return found

    def _languages(self, rows: NDArray[np.int64]) -> dict[str, int]:
        codes, sizes = np.unique(self._ledger.language[rows], return_counts=True)
        names = [self._noted.languages.values[code][0] for code in codes]
        return dict(sorted(zip(names, sizes.tolist(), strict=True)))

    def _overlaps(self) -> tuple[Overlap, ...]:
        names = [f"{self._inputs.names[file.source]}:{_inner(file.name)}" for file in self._inputs.files]
        found = self._noted.overlaps.count(len(names))
        return tuple(
            Overlap(
                first=names[one.first],
                second=names[one.second],
                texts=one.texts,
                long_texts=one.long_texts,
                first_rows=one.first_rows,
                second_rows=one.second_rows,
            )
            for one in sorted(found, key=lambda one: (-one.texts, one.first, one.second))
        )


def _count_rows(cells: NDArray[np.integer]) -> tuple[list[list[int]], list[int]]:
    """Different rows of a table, and how often each occurs."""
    if not len(cells):
        return [], []
    found, counts = np.unique(cells, axis=0, return_counts=True)
    return found.tolist(), counts.tolist()


def _percentiles(lengths: NDArray[np.int32]) -> dict[str, int]:
    if not len(lengths):
        return {}
    found = np.percentile(lengths, _PERCENTILES, method="nearest")
    return {str(percentile): int(length) for percentile, length in zip(_PERCENTILES, found, strict=True)}


def _inner(path: str) -> str:
    """A file's path within its data set's folder."""
    parts = PurePosixPath(path).parts
    return "/".join(parts[1:] or parts)


def _versions() -> Iterator[tuple[str, str]]:
    for name in _PACKAGES:
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # not installed, so it has decided nothing


def manifest_text(stats: CorpusStats, recipe: CorpusRecipe, tasks: Sequence[TaskLabels], *, folder: Path) -> str:
    """Return the manifest as JSON text: the same for the same recipe, files and versions.

    Args:
        stats: The numbers.
        recipe: What was built.
        tasks: The corpus's tasks.
        folder: Where the corpus file is.
    """
    numbers = stats.to_json()
    manifest: dict[str, Any] = {"format": 1, **numbers, "label_scheme": _scheme_facts(tasks[0].scheme)}
    if len(tasks) > 1:
        described = [
            {"name": task.name, "scheme": {"name": task.name, **_scheme_facts(task.scheme)}, "classes": task.classes}
            for task in tasks
        ]
        manifest = {"format": 2, "name": numbers.pop("name"), "tasks": described, **numbers}
        manifest.pop("scheme")
        manifest["cells"] = [asdict(cell) for cell in count_cells(Corpus(folder=folder, manifest=manifest))]
    manifest |= {
        "recipe": recipe.without_folders().model_dump(mode="json"),
        "versions": {
            "ottenok": __version__,
            "python": platform.python_version(),
            **dict(sorted(_versions())),
        },
    }
    return json.dumps(manifest, ensure_ascii=False, indent=2) + "\n"


def _scheme_facts(scheme: LabelScheme) -> dict[str, Any]:
    return {
        "kind": scheme.kind,
        "labels": scheme.labels,
        "values": scheme.values,
        "titles": dict(scheme.titles),
        "source": scheme.source,
    }
