"""The manifest: what a corpus was made of, what was dropped and why, and the recipe; no times, no local folders."""

from __future__ import annotations

import json
import platform
from array import array
from collections import Counter
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from ottenok.core.version import __version__
from ottenok.data.corpus import Corpus
from ottenok.data.rows import FREE, SPLIT_NAMES, Reason
from ottenok.data.stats import (
    NO_LABEL,
    CorpusStats,
    Dropped,
    FileStats,
    Overlap,
    SourceStats,
    count_cells,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ottenok.core.schemes import LabelScheme
    from ottenok.data.build import ReadPass
    from ottenok.data.dedupe import Cleaned
    from ottenok.data.harmonise import TaskLabels
    from ottenok.data.inputs import Inputs
    from ottenok.data.rows import RowIndex
    from ottenok.recipes.corpus import CorpusRecipe

__all__ = ["LONG", "FileOverlap", "ManifestBuilder", "OverlapCounter"]

LONG = 6  # letters or digits; shorter texts ("да", "класс") meet by chance
_PERCENTILES = (5, 25, 50, 75, 95, 99, 100)
# What decides a corpus besides the recipe and the files.
_PACKAGES = ("iterative-stratification", "numpy", "pyarrow", "rensa", "scipy")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOverlap:
    """What two files share.

    Attributes:
        first: Number of a file, less than `second`.
        second: Number of another file.
        texts: Different texts that are in both.
        long_texts: Those of them with at least `LONG` letters or digits.
        first_rows: Rows of the first file whose text is in the second.
        second_rows: Rows of the second file whose text is in the first.
    """

    first: int
    second: int
    texts: int
    long_texts: int
    first_rows: int
    second_rows: int


class OverlapCounter:
    """Notes the text of every record, 12 bytes each, and counts at the end."""

    __slots__ = ("_files", "_keys")

    def __init__(self) -> None:
        self._keys = array("Q")
        self._files = array("i")

    def add(self, digest: bytes, *, letters: int, file: int) -> None:
        """Note a record of `file`: the digest of its published text's key, and how long that key is."""
        self._keys.append(int.from_bytes(digest[:8], "little"))
        self._files.append(2 * file + (letters >= LONG))

    def distinct(self, files: int) -> NDArray[np.int64]:
        """Count the different texts of each file: int64[files]."""
        return np.bincount(self._unique()[1] // 2, minlength=files)

    def count(self, files: int) -> list[FileOverlap]:
        """Count what every two of `files` files share; pairs that share nothing are left out."""
        keys, marks, rows = self._unique()
        totals = np.zeros((4, files, files), dtype=np.int64)
        for distance in range(1, files):
            left = np.flatnonzero(keys[distance:] == keys[:-distance])
            if not len(left):
                break
            right = left + distance
            cell = (marks[left] // 2, marks[right] // 2)
            weights: list[NDArray[np.int64]] = [
                np.ones(len(left), dtype=np.int64),
                (marks[left] % 2).astype(np.int64),
                rows[left],
                rows[right],
            ]
            for total, weight in zip(totals, weights, strict=True):
                np.add.at(total, cell, weight)
        return [
            FileOverlap(
                first=int(first),
                second=int(second),
                texts=int(totals[0, first, second]),
                long_texts=int(totals[1, first, second]),
                first_rows=int(totals[2, first, second]),
                second_rows=int(totals[3, first, second]),
            )
            for first, second in np.argwhere(totals[0])
        ]

    def _unique(self) -> tuple[NDArray[np.uint64], NDArray[np.int32], NDArray[np.int64]]:
        """Different (text, file) pairs in order, with their rows."""
        keys = np.frombuffer(self._keys, dtype=np.uint64)
        marks = np.frombuffer(self._files, dtype=np.int32)
        order = np.lexsort((marks, keys))
        keys, marks = keys[order], marks[order]
        fresh = np.ones(len(keys), dtype=bool)
        fresh[1:] = (keys[1:] != keys[:-1]) | (marks[1:] != marks[:-1])
        starts = np.flatnonzero(fresh)
        return keys[starts], marks[starts], np.diff(np.append(starts, len(keys)))


class ManifestBuilder:
    """Says what became of every record, source by source.

    Args:
        done: The pass that read the records.
        index: The rows that it took.
        cleaned: What became of them.
        recipe: What was built.
        inputs: What was read.
        tasks: The corpus's tasks.
    """

    def __init__(
        self,
        done: ReadPass,
        index: RowIndex,
        cleaned: Cleaned,
        *,
        recipe: CorpusRecipe,
        inputs: Inputs,
        tasks: Sequence[TaskLabels],
    ) -> None:
        self._done = done
        self._index = index
        self._cleaned = cleaned
        self._recipe = recipe
        self._inputs = inputs
        self._tasks = tasks
        self._sources = np.array([file.source for file in inputs.files], dtype=np.int16)[index.file]

    def stats(self) -> CorpusStats:
        """Return all numbers."""
        distinct = self._done.overlaps.distinct(len(self._inputs.files))
        files = [
            FileStats(
                path=file.name,
                sha256=file.located.sha256,
                bytes=file.located.bytes,
                split=file.located.file.split,
                rows=self._done.read[number],
                texts=int(distinct[number]),
                rejected={why: rows for (of, why), rows in sorted(self._done.rejected.items()) if of == number},
            )
            for number, file in enumerate(self._inputs.files)
        ]
        sources = tuple(self._source(number, files) for number in range(len(self._inputs.sources)))
        names = [
            f"{self._inputs.names[file.source]}:{'/'.join(parts[1:] or parts)}"
            for file in self._inputs.files
            for parts in [PurePosixPath(file.name).parts]
        ]
        overlaps = sorted(self._done.overlaps.count(len(names)), key=lambda one: (-one.texts, one.first, one.second))
        return CorpusStats(
            name=self._recipe.name,
            scheme=", ".join(task.name for task in self._tasks),
            rows={split: sum(source.kept[split] for source in sources) for split in SPLIT_NAMES.values()},
            sources=sources,
            skipped=self._inputs.skipped,
            overlaps=tuple(
                Overlap(**{**asdict(one), "first": names[one.first], "second": names[one.second]}) for one in overlaps
            ),
            near=self._cleaned.near,
        )

    def text(self, folder: Path) -> str:
        """Return the manifest as JSON text: the same for the same recipe, files and versions.

        Args:
            folder: Where the corpus file is.
        """
        numbers = self.stats().to_json()
        manifest: dict[str, Any] = {"format": 1, **numbers, "label_scheme": _scheme_facts(self._tasks[0].scheme)}
        if len(self._tasks) > 1:
            tasks = [
                {
                    "name": task.name,
                    "scheme": {"name": task.name, **_scheme_facts(task.scheme)},
                    "classes": task.classes,
                }
                for task in self._tasks
            ]
            manifest = {"format": 2, "name": numbers.pop("name"), "tasks": tasks, **numbers}
            manifest.pop("scheme")
            manifest["cells"] = [asdict(cell) for cell in count_cells(Corpus(folder=folder, manifest=manifest))]
        versions = {"ottenok": __version__, "python": platform.python_version()}
        for name in _PACKAGES:
            try:
                versions[name] = metadata.version(name)
            except metadata.PackageNotFoundError:
                continue  # not installed, so it has decided nothing
        manifest |= {"recipe": self._recipe.without_folders().model_dump(mode="json"), "versions": versions}
        return json.dumps(manifest, ensure_ascii=False, indent=2) + "\n"

    def _source(self, number: int, files: Sequence[FileStats]) -> SourceStats:
        one, cleaned = self._inputs.sources[number], self._cleaned
        own = tuple(stats for stats, file in zip(files, self._inputs.files, strict=True) if file.source == number)
        rows = np.flatnonzero(self._sources == number)
        kept = rows[cleaned.reason[rows] == Reason.KEPT]
        by_split = {name: kept[cleaned.split[kept] == code] for code, name in SPLIT_NAMES.items()}
        rejected: Counter[str] = sum((Counter(file.rejected) for file in own), Counter())
        codes, sizes = np.unique(self._index.language[kept], return_counts=True)
        languages = [self._done.languages.values[code][0] for code in codes]
        lengths: dict[str, int] = {}
        if len(kept):
            found = np.percentile(self._index.length[kept], _PERCENTILES, method="nearest").tolist()
            lengths = {str(percentile): int(length) for percentile, length in zip(_PERCENTILES, found, strict=True)}
        labels: dict[str, dict[str, int]] = {name: {} for name in by_split}
        for place, task in enumerate(self._tasks):
            of = f"{task.name}:" if len(self._tasks) > 1 else ""
            for name, chosen in by_split.items():
                counts: Counter[str] = Counter()
                found_codes, rows_of_code = np.unique(cleaned.labels[chosen, place], return_counts=True)
                for code, size in zip(found_codes.tolist(), rows_of_code.tolist(), strict=True):
                    for label in () if code < 0 else task.values[code] or (NO_LABEL,):
                        counts[label] += size
                known = (*task.scheme.labels, NO_LABEL)
                labels[name] |= {f"{of}{label}": counts[label] for label in known if counts[label]}
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
            dropped=self._dropped(number, rows),
            kept={name: len(chosen) for name, chosen in by_split.items()},
            labels=labels,
            languages=dict(sorted(zip(languages, sizes.tolist(), strict=True))),
            lengths=lengths,
        )

    def _dropped(self, source: int, rows: NDArray[np.int64]) -> tuple[Dropped, ...]:
        """What never came into the row index, and what the cleaning dropped, of the rows of one source."""
        counts: Counter[tuple[str, Reason]] = Counter()
        for (number, why), count in self._done.dropped.items():
            file = self._inputs.files[number]
            if file.source == source:
                counts[SPLIT_NAMES.get(file.split, ""), why] += count
        left_out = [
            Dropped(split=split or None, reason=why.title, of=None, rows=count)
            for (split, why), count in sorted(counts.items())
        ]
        lost = rows[self._cleaned.reason[rows] != Reason.KEPT]
        if not len(lost):
            return tuple(left_out)
        winner = self._cleaned.winner[lost]
        of = np.where(winner >= 0, self._sources[winner], -1)
        cells = np.stack([self._index.split[lost], self._cleaned.reason[lost], of], axis=1)
        names = [*self._inputs.names, None]
        found, sizes = np.unique(cells, axis=0, return_counts=True)
        cleaned = (
            Dropped(
                split=None if split == FREE else SPLIT_NAMES[split],
                reason=Reason(reason).title,
                of=names[place],
                rows=count,
            )
            for (split, reason, place), count in zip(found.tolist(), sizes.tolist(), strict=True)
        )
        return (*left_out, *cleaned)


def _scheme_facts(scheme: LabelScheme) -> dict[str, Any]:
    return {
        "kind": scheme.kind,
        "labels": scheme.labels,
        "values": scheme.values,
        "titles": dict(scheme.titles),
        "source": scheme.source,
    }
