"""Texts to be looked at: of tables, folders of them, globs or lists, whole or a sample, with their groups."""

from __future__ import annotations

import glob
import random
import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ottenok.core.errors import ConfigError, DataError, InputError
from ottenok.core.progress import stage
from ottenok.core.suggest import suggest
from ottenok.inference.classifier import listed
from ottenok.inference.files import read_texts
from ottenok.tables.options import TableOptions
from ottenok.tables.records import excerpt
from ottenok.tables.streams import PACKED, Source
from ottenok.tables.table import SUFFIXES, open_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ottenok.core.progress import Progress

__all__ = ["MOST_WINDOWS", "SPANS", "Sample", "Texts", "TextsFrom"]

# Windows that are read of a text, some thousand words: one huge text must not hold up what is asked of thousands.
MOST_WINDOWS = 8

# What a date may be cut to, behind the name of a column.
SPANS = ("year", "quarter", "month", "week", "day")
_YEAR_FIRST = re.compile(r"\s*(\d{4})[-/.年](\d{1,2})(?:[-/.月](\d{1,2}))?(?!\d)")
_DAY_FIRST = re.compile(r"\s*(\d{1,2})\.(\d{1,2})\.(\d{4})(?!\d)")
_NO_DATE, _NO_GROUP = "(no date)", "(none)"
# Characters of a group's name that are kept.
_LONGEST = 200
_AT_ONCE = 4096
_TABLES = "CSV, TSV, JSON, JSON lines, Parquet or XLSX"

# A file, a folder, a glob, a stream, or texts themselves.
TextsFrom = Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Some texts of a set.

    Attributes:
        name: Of the set, for people.
        texts: The texts, in their order.
        groups: Of each text; "" where there are none.
        rows: How many texts there are in all.
        left_out: Reason to number of rows that hold no text that can be read.
    """

    name: str
    texts: list[str]
    groups: list[str]
    rows: int
    left_out: dict[str, int]


@dataclass(slots=True)
class Texts:
    """The texts of a set, read once in blocks.

    Args:
        source: A table, a folder of tables or a built corpus, a glob, a stream of bytes, or a list or column of texts.
        text: Column of the texts, in tables.
        by: Column of the groups, or `COLUMN:month` (year, quarter, week, day) of dates; None: there are none.
        table: How tables are read.

    Attributes:
        left_out: Reason to number of rows that hold no text that can be read, of what was read by now.

    Raises:
        ConfigError: Groups are asked for of texts that are no table, or of a span of time that there is not.
        DataError: There is no such file, no table in the folder, or nothing matches.
        InputError: A value is no text.
    """

    source: TextsFrom
    text: str = "text"
    by: str | None = None
    table: TableOptions = field(default_factory=TableOptions)
    left_out: Counter[str] = field(default_factory=Counter, init=False)
    _files: list[Path | IO[bytes]] = field(default_factory=list, init=False)
    _values: list[Any] | None = field(default=None, init=False)
    _span: str | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if isinstance(self.source, str | Path):
            self._files = list(_tables(str(self.source)))
        elif hasattr(self.source, "read"):
            self._files = [self.source]
        else:
            self._values = list(listed(self.source, "reason"))
            if self.by is not None:
                raise ConfigError("texts that are given as a list have no columns, so no groups", key="by")
        if self.by is not None:
            column, colon, span = self.by.rpartition(":")
            if colon and span in SPANS:
                self.by, self._span = column, span
            elif colon and span.isalpha() and (hint := suggest(span, SPANS)):
                raise ConfigError(f"there is no span of time {span!r}", hint=hint, key="by")

    @property
    def name(self) -> str:
        """What people call the set: its path, or that it is a list."""
        if self._values is not None:
            return f"{len(self._values):,} texts"
        return str(self.source) if isinstance(self.source, str | Path) else "standard input"

    def blocks(self, progress: Progress) -> Iterator[tuple[list[str], list[str]]]:
        """Yield texts and their groups ("" where there are none), a block at a time; rows without a text are counted.

        Raises:
            DataError: A file can't be read, or has not the column.
            InputError: At the end: there is no text, or no date though spans of time were asked for.
        """
        rows, dated, undated = 0, False, ""
        if self._values is not None:
            texts = [value for value in self._values if isinstance(value, str) and value.strip()]
            if lost := len(self._values) - len(texts):
                self.left_out["empty text"] += lost
            rows = len(texts)
            yield texts, [""] * rows
        for file in self._files:
            source = Source(file, member=self.table.member, max_expansion=self.table.max_expansion)
            table = open_table(source, self.table, wanted=(self.text, *([self.by] if self.by else [])))
            places = [table.find(self.text), *([table.find(self.by)] if self.by else [])]
            for note in table.notes:
                progress.note(note)
            for block in table.blocks(places):
                self.left_out.update(reject.reason for reject in block.rejects)
                found, reasons = read_texts(block, 0, table, self.table.max_record)
                self.left_out.update(filter(None, reasons))
                groups = block.cells[1] if self.by else [""] * len(found)
                kept = [(text, self._group(group)) for text, group in zip(found, groups, strict=True) if text]
                rows += len(kept)
                dated = dated or any(group != _NO_DATE for _, group in kept)
                undated = undated or next((excerpt(str(cell)) for cell in groups if cell is not None), "")
                yield [text for text, _ in kept], [group for _, group in kept]
        if not rows:
            reason = f"; the commonest reason: {self.left_out.most_common(1)[0][0]}" if self.left_out else ""
            raise InputError(
                f"there is no text to be read in {self.name}{reason}",
                hint="Check the column of the texts (--text), the delimiter and the encoding.",
                key="--text",
            )
        if self._span is not None and not dated:
            raise InputError(
                f"no row of {self.name} has a date in the column {self.by!r}: the first has {undated!r}",
                hint="Dates are such as 2024-05-17, 17.05.2024 or 2024年5月17日.",
                key="--by",
            )

    def sample(self, most: int, progress: Progress, *, seed: int = 0) -> Sample:
        """Return at most so many texts, each as probable as any other, with all of them read and few held.

        Raises:
            DataError: As `blocks`.
            InputError: As `blocks`.
        """
        draw = random.Random(seed)  # noqa: S311 - a sample, no secret
        kept: list[tuple[int, str, str]] = []
        seen = 0
        progress.start(f"reading {self.name}", total=None, unit="rows")
        try:
            for texts, groups in self.blocks(progress):
                for text, group in zip(texts, groups, strict=True):
                    if len(kept) < most:
                        kept.append((seen, text, group))
                    elif (place := draw.randrange(seen + 1)) < most:
                        kept[place] = (seen, text, group)
                    seen += 1
                progress.advance(len(texts))
        finally:
            progress.finish()
        kept.sort()
        return Sample(
            name=self.name,
            texts=[text for _, text, _ in kept],
            groups=[group for _, _, group in kept],
            rows=seen,
            left_out=dict(sorted(self.left_out.items())),
        )

    def read(self, most: int | None, progress: Progress, *, seed: int = 0) -> Iterator[tuple[list[str], list[str]]]:
        """Yield all texts and their groups, or a sample of at most so many, a block at a time, as work goes on.

        Raises:
            DataError: As `blocks`.
            InputError: As `blocks`.
        """
        sample = None if most is None else self.sample(most, progress, seed=seed)
        total = None if sample is None else len(sample.texts)
        with stage(progress, "classifying", total=total, unit="texts"):
            if sample is None:
                for texts, groups in self.blocks(progress):
                    yield texts, groups
                    progress.advance(len(texts))
                return
            for start in range(0, len(sample.texts), _AT_ONCE):
                part = slice(start, start + _AT_ONCE)
                yield sample.texts[part], sample.groups[part]
                progress.advance(len(sample.texts[part]))

    def _group(self, cell: object) -> str:
        """Return the name of a row's group; days are dates, or text as 2024-05-17T08:00, 2024年5月17日 or 17.5.2024."""
        if self.by is None:
            return ""
        if self._span is None:
            name = "" if cell is None else str(cell).strip()
            return name[:_LONGEST] or _NO_GROUP
        day = cell if isinstance(cell, date) else None
        found = _YEAR_FIRST.match(str(cell)), _DAY_FIRST.match(str(cell))
        with suppress(ValueError):
            if day is None and found[0]:
                day = date(int(found[0][1]), int(found[0][2]), int(found[0][3] or 1))
            elif day is None and found[1]:
                day = date(int(found[1][3]), int(found[1][2]), int(found[1][1]))
        if day is None:
            return _NO_DATE
        if self._span == "week":
            year, week, _ = day.isocalendar()
            return f"{year}-W{week:02d}"
        if self._span == "quarter":
            return f"{day.year}-Q{(day.month + 2) // 3}"
        return day.isoformat()[: {"year": 4, "month": 7, "day": 10}[self._span]]


def _tables(source: str) -> list[Path]:
    """Return the tables that a path or a glob means, sorted.

    Raises:
        DataError: There are none.
    """
    path = Path(source)
    if path.is_dir():
        corpus = path / "corpus.parquet"
        if corpus.is_file():
            return [corpus]
        found = []
        for file in sorted(one for one in path.rglob("*") if one.is_file()):
            name = Path(file.stem) if file.suffix.lower() in PACKED else file
            hidden = any(part.startswith(".") for part in file.relative_to(path).parts)
            if name.suffix.lower() in SUFFIXES and not hidden and not file.name.endswith(".rejects.jsonl"):
                found.append(file)
        if not found:
            raise DataError("there is no table in this folder", hint=f"Expected {_TABLES}.", file=source)
        return found
    if not path.exists() and glob.has_magic(source):
        names = sorted(glob.glob(source, recursive=True))  # noqa: PTH207 - a pattern may be absolute
        found = [one for one in map(Path, names) if one.is_file()]
        if not found:
            raise DataError("no file matches", hint="Quote the pattern, and check it.", file=source)
        return found
    return [path]
