"""From the fields of one row to a `Record` or a `Rejected`: what all readers of tables share.

Only the fields at the positions of the text, the labels and the sub-source are ever looked at.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ottenok.core.config import suggest
from ottenok.core.errors import DataError
from ottenok.tables.labels import Fault, as_text, binary_labels, list_labels, one_label
from ottenok.tables.rows import Record, Rejected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ottenok.data.card import ReaderSpec

__all__ = ["Layout", "Shaper", "excerpt", "find_columns", "merge_repeats", "wanted_columns"]

_EXCERPT = 200
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where the fields of a row are that are read.

    Attributes:
        text: Position of the text.
        labels: Positions of the label, or of the 0/1 columns; empty where the file's name is the label.
        part: Position of the sub-source, or None.
    """

    text: int
    labels: tuple[int, ...]
    part: int | None

    @property
    def positions(self) -> tuple[int, ...]:
        """Every position that is read."""
        return (self.text, *self.labels, *(() if self.part is None else (self.part,)))


def wanted_columns(spec: ReaderSpec, *, label: str | None, file: str) -> tuple[str | int, ...]:
    """Return the columns that a spec reads, in the order text, labels, sub-source.

    Raises:
        DataError: The spec names no text column, or neither a label column nor 0/1 columns nor a file-level label.
    """
    if spec.text is None:
        raise DataError("no text column is named", hint="Name it with text.", file=file, key="text")
    columns: list[str | int] = [spec.text]
    if label is None and spec.label is None and not spec.labels:
        raise DataError("no label column is named", hint="Name it with label or labels.", file=file, key="label")
    if label is None and spec.labels:
        columns.extend(spec.labels)
    elif label is None and spec.label is not None:
        columns.append(spec.label)
    if spec.part is not None:
        columns.append(spec.part)
    return tuple(columns)


def find_columns(names: Sequence[str], wanted: Sequence[str | int], *, file: str, kind: str = "column") -> list[int]:
    """Return the positions of the wanted columns: names as in the header, or 0-based positions.

    Raises:
        DataError: One is not there, or its name is there twice; the message lists the columns.
    """
    return [_find(names, column, file=file, kind=kind) for column in wanted]


def _find(names: Sequence[str], column: str | int, *, file: str, kind: str) -> int:
    if isinstance(column, int):
        if 0 <= column < len(names):
            return column
        raise DataError(
            f"there is no {kind} {column}: the file has {len(names)} {kind}s, counted from 0",
            file=file,
            key=str(column),
        )
    found = [position for position, name in enumerate(names) if name == column]
    if len(found) == 1:
        return found[0]
    shown = [excerpt(name)[:40] for name in names[:50]]
    problem = f"there are {len(found)} {kind}s called {column!r}" if found else f"there is no {kind} {column!r}"
    raise DataError(
        f"{problem}; the {kind}s are: {', '.join(map(repr, shown))}",
        hint=suggest(column, shown) if not found else f"Rename one, or give the {kind}'s position.",
        file=file,
        key=column,
    )


class Shaper:
    """Makes records of rows of fields.

    Args:
        spec: Says how labels are held.
        layout: Where the fields are.
        label: The file-level label, or None.
        encoding: Named in the reason for undecodable bytes.
    """

    def __init__(self, spec: ReaderSpec, layout: Layout, *, label: str | None, encoding: str = "utf-8") -> None:
        self._layout = layout
        self._read_labels = _label_reader(spec, layout, label)
        family = "utf-8" if encoding.lower().startswith(("utf-8", "utf8")) else encoding.lower()
        self._undecodable = f"not {family}"

    def __call__(self, row: int, fields: Sequence[object], *, clean: bool) -> Record | Rejected:
        """Return the record of a row; `clean=False` looks for NUL characters and undecodable bytes in it."""
        layout = self._layout
        text = fields[layout.text]
        try:
            if type(text) is not str:
                text = as_text(text, "text")
            if not text or text.isspace():
                raise Fault("empty text")  # noqa: TRY301 - one way out for every fault
            labels = self._read_labels(fields)
            part = None if layout.part is None else as_text(fields[layout.part], "part").strip() or None
            if not clean:
                self._check(text, *labels, part or "")
        except Fault as fault:
            return Rejected(row=row, reason=fault.reason, content=self.content(fields))
        return Record(row=row, text=text, labels=labels, part=part)

    def content(self, fields: Sequence[object]) -> str:
        """Return the start of the text and the labels of a row, for the rejects."""
        positions = (self._layout.text, *self._layout.labels)
        return excerpt(" | ".join("" if fields[at] is None else str(fields[at])[:_EXCERPT] for at in positions))

    def _check(self, *values: str) -> None:
        for value in values:
            if "\0" in value:
                raise Fault("NUL byte")
            surrogate = None if value.isascii() else _SURROGATE.search(value)
            if surrogate:
                raise Fault(self._undecodable if "\udc80" <= surrogate[0] <= "\udcff" else "half a surrogate pair")


def _label_reader(spec: ReaderSpec, layout: Layout, label: str | None) -> Callable[[Sequence[object]], tuple[str, ...]]:
    if label is not None:
        whole = (label,)
        return lambda _fields: whole
    if spec.labels:
        return binary_labels(spec.labels, layout.labels)
    if spec.label_list is not None:
        return list_labels(layout.labels[0], spec.label_list)
    return one_label(layout.labels[0])


def excerpt(raw: str) -> str:
    """Return at most 200 characters of raw text on one line, undecodable bytes and surrogates as escapes."""
    line = " ".join(raw[: 4 * _EXCERPT].replace("\0", "\\x00").split())
    if _SURROGATE.search(line):
        line = _SURROGATE.sub(_escape, line)
    return line[:_EXCERPT]


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def merge_repeats(rows: Iterator[Record | Rejected]) -> Iterator[Record | Rejected]:
    """Join consecutive records with the same text to one with all their labels, under the first one's number.

    For files of (tweet, company) pairs. A rejected row between two records divides them.
    """
    held: Record | None = None
    for row in rows:
        if isinstance(row, Record) and held is not None and row.text == held.text:
            labels = tuple(dict.fromkeys(held.labels + row.labels))
            held = Record(row=held.row, text=held.text, labels=labels, part=held.part)
            continue
        if held is not None:
            yield held
        held = row if isinstance(row, Record) else None
        if isinstance(row, Rejected):
            yield row
    if held is not None:
        yield held
