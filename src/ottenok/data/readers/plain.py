"""Two line formats without quoting: `id,content,label` of SMP 2020 and `label,text` of an NLPCC 2014 copy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ottenok.core.config import parse
from ottenok.core.table import Table
from ottenok.data.readers.table import label_reader
from ottenok.tables.options import TableOptions
from ottenok.tables.records import Record, Rejected, Shaper, excerpt
from ottenok.tables.streams import LongLine, lines_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ottenok.data.card import ReaderSpec

__all__ = ["LineOptions", "read_label_first", "read_smp"]


class LineOptions(Table):
    """Options of the readers of lines.

    Attributes:
        encoding: As Python names it, or `auto`.
        member: Member of a ZIP archive; without it, an archive's only file.
    """

    encoding: str = "utf-8-sig"
    member: str | None = None

    def table(self) -> TableOptions:
        """The same as options of a table."""
        return TableOptions(encoding=self.encoding, member=self.member)


def read_smp(path: Path, spec: ReaderSpec, *, label: str | None) -> Iterator[Record | Rejected]:
    """Read lines `id,content,label`, divided at the first and the last comma (reader kind `smp-text`)."""
    return _read(path, spec, label, _split_smp)


def read_label_first(path: Path, spec: ReaderSpec, *, label: str | None) -> Iterator[Record | Rejected]:
    """Read lines `label,text`, divided at the first comma (reader kind `label-first`)."""
    return _read(path, spec, label, _split_label_first)


def _split_smp(line: str) -> list[str]:
    _number, comma, rest = line.partition(",")
    text, second, label = rest.rpartition(",")
    return [text, label] if comma and second else []


def _split_label_first(line: str) -> list[str]:
    label, comma, text = line.partition(",")
    return [text, label] if comma else []


def _read(
    path: Path, spec: ReaderSpec, label: str | None, split: Callable[[str], list[str]]
) -> Iterator[Record | Rejected]:
    options = parse(LineOptions, spec.options, file=str(path)).table()
    shape = Shaper(label_reader(spec, label))
    for row, (line, clean) in enumerate(lines_of(path, options), start=1):
        fields = [] if isinstance(line, LongLine) else split(line)
        if fields:
            yield shape(row, fields, clean=clean)
        else:
            yield Rejected(row=row, reason="too few commas", content=excerpt(line))
