"""Two line formats without quoting: `id,content,label` of SMP 2020 and `label,text` of an NLPCC 2014 copy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ottenok.core.config import parse
from ottenok.tables.lines import lines_of
from ottenok.tables.options import LineOptions
from ottenok.tables.rows import Record, Rejected
from ottenok.tables.shape import Layout, Shaper, excerpt
from ottenok.tables.streams import open_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ottenok.data.card import ReaderSpec

__all__ = ["read_label_first", "read_smp"]


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
    options = parse(LineOptions, spec.options, file=str(path))
    encoding = options.resolve(path)
    shape = Shaper(spec, Layout(text=0, labels=(1,), part=None), label=label, encoding=encoding)
    with open_bytes(path, member=options.member) as stream:
        lines = lines_of(stream, encoding=encoding, file=str(path))
        for row, (line, clean) in enumerate(lines, start=1):
            fields = split(line)
            if fields:
                yield shape(row, fields, clean=clean)
            else:
                yield Rejected(row=row, reason="too few commas", content=excerpt(line))
