"""Sets whose labels are towards what a text speaks of: a text has the labels of all its aspects."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ottenok.tables.records import Record, Rejected

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ottenok.data.card import ReaderSpec

__all__ = ["read_dimabsa", "read_pairs"]


def read_dimabsa(path: Path, spec: ReaderSpec, *, label: str | None) -> Iterator[Record | Rejected]:  # noqa: ARG001
    """Read JSON lines of DimABSA: `Text`, and under `Quadruplet` aspects with a `Polarity` each (kind `dimabsa`)."""
    with path.open(encoding="utf-8-sig") as stream:
        for row, line in enumerate((line for line in stream if not line.isspace()), start=1):
            try:
                item: dict[str, Any] = json.loads(line)
                text = str(item["Text"])
                labels = tuple(dict.fromkeys(str(aspect["Polarity"]) for aspect in item["Quadruplet"]))
            except (ValueError, KeyError, TypeError):
                yield Rejected(row=row, reason="not a text with aspects", content="")
                continue
            if not text or text.isspace():
                yield Rejected(row=row, reason="empty text", content="")
            else:
                yield Record(row=row, text=text, labels=labels if label is None else (label,))


def read_pairs(path: Path, spec: ReaderSpec, *, label: str | None) -> Iterator[Record | Rejected]:
    """Read delimited rows of a text and one of its aspects each (kind `csv-pairs`; options as for `csv`).

    A text comes once, under the number of its first row, with the different labels of all its rows; the texts of the
    file are held in memory.
    """
    from ottenok.data.readers import read

    found: dict[tuple[str, str | None], Record] = {}
    rejected: list[Rejected] = []
    for row in read(path, spec.model_copy(update={"kind": "csv"}), label=label):
        if isinstance(row, Rejected):
            rejected.append(row)
            continue
        key = (row.text, row.part)
        first = found.setdefault(key, row)
        labels = tuple(dict.fromkeys(first.labels + row.labels))
        found[key] = Record(row=first.row, text=row.text, labels=labels, part=row.part)
    rows: list[Record | Rejected] = [*found.values(), *rejected]
    yield from sorted(rows, key=lambda row: row.row)
