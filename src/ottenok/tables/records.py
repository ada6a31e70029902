"""From the cells of a row to a record, or to a reject with its reason: all that crosses from files to the corpus."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TextIO

from ottenok.tables.labels import Fault, as_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

__all__ = ["Record", "Rejected", "RejectsFile", "Shaper", "excerpt", "merge_repeats", "read_text"]

_EXCERPT = 200
# What databases and pandas write for nothing, and nobody writes as a text.
_NO_TEXT = frozenset({"\\N", "<NA>", "#N/A"})
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One text with its labels as published.

    Attributes:
        row: 1-based number of the record in its file (header not counted); with the file it is the record's address.
        text: The text as published, decoded; never empty after stripping white space.
        labels: The published labels as strings, before any map; empty where the publisher marks "none of them".
        language: ISO 639-1 code where the file says so per row, else None (the card's language holds).
        part: Name of a sub-source where the file holds several (a product category, a film), else None.
    """

    row: int
    text: str
    labels: tuple[str, ...]
    language: str | None = None
    part: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A record that can't be used.

    Attributes:
        row: 1-based number of the record in its file.
        reason: Short and constant per kind of fault (`empty text`, `3 fields instead of 2`), so that it can be counted.
        content: The start of the raw record, at most 200 characters, for the rejects file; no author columns.
    """

    row: int
    reason: str
    content: str


def read_text(value: object, *, clean: bool = False, encoding: str | None = "utf-8", limit: int | None = None) -> str:
    """Return a cell as a text to be read.

    Args:
        value: A string, a number, or a list of strings and `{"text": ...}` as Telegram exports them.
        clean: Whether it can hold neither NUL characters nor undecodable bytes.
        encoding: Named in the reason for undecodable bytes.
        limit: Most characters.

    Raises:
        Fault: It is empty, no text, or can't be read.
    """
    text = value if type(value) is str else as_text(value, "text")
    if not text or text.isspace() or text in _NO_TEXT:
        raise Fault("empty text")
    if limit is not None and len(text) > limit:
        raise Fault("the record is too long (--max-record)")
    if not clean:
        _check(text, encoding)
    return text


def _check(value: str, encoding: str | None) -> None:
    if "\0" in value:
        raise Fault("NUL byte")
    surrogate = None if value.isascii() else _SURROGATE.search(value)
    if surrogate:
        undecodable = "\udc80" <= surrogate[0] <= "\udcff"
        raise Fault(f"not {encoding or 'utf-8'}" if undecodable else "half a surrogate pair")


class Shaper:
    """Makes records of rows of cells: the text, then the labels' columns, then the sub-source if there is one.

    Args:
        labels: Reads the labels of the cells between.
        part: Whether the last cell is the sub-source.
        encoding: Named in the reason for undecodable bytes.
        limit: Most characters of a text.
    """

    def __init__(
        self,
        labels: Callable[[Sequence[object]], tuple[str, ...]],
        *,
        part: bool = False,
        encoding: str | None = "utf-8",
        limit: int | None = None,
    ) -> None:
        self._labels = labels
        self._part = part
        self._encoding = encoding
        self._limit = limit

    def __call__(self, row: int, cells: Sequence[object], *, clean: bool) -> Record | Rejected:
        """Return the record of a row; `clean=False` looks for NUL characters and undecodable bytes in it."""
        try:
            text = read_text(cells[0], clean=clean, encoding=self._encoding, limit=self._limit)
            labels = self._labels(cells[1:-1] if self._part else cells[1:])
            part = as_text(cells[-1], "part").strip() or None if self._part else None
            if not clean:
                for value in (*labels, part or ""):
                    _check(value, self._encoding)
        except Fault as fault:
            shown = cells[:-1] if self._part else cells
            told = excerpt(" | ".join("" if cell is None else str(cell)[:_EXCERPT] for cell in shown))
            return Rejected(row=row, reason=fault.reason, content=told)
        return Record(row=row, text=text, labels=labels, part=part)


def excerpt(raw: str) -> str:
    """Return at most 200 characters of raw text on one line, undecodable bytes and surrogates as escapes."""
    line = " ".join(raw[: 4 * _EXCERPT].replace("\0", "\\x00").split())
    for half in set(_SURROGATE.findall(line)):
        code = ord(half)
        line = line.replace(half, f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}")
    return line[:_EXCERPT]


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


class RejectsFile:
    """Writes rejects as they come, a JSON object a line; the file is made only if there is one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream: TextIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None:
            self._stream.close()

    def write(self, *, source: str, file: str, rejected: Rejected) -> None:
        """Write one reject: source, file, row, reason and the start of its content."""
        if self._stream is None:
            self._stream = self._path.open("w", encoding="utf-8", errors="backslashreplace", newline="\n")
        entry: dict[str, Any] = {
            "source": source,
            "file": file,
            "row": rejected.row,
            "reason": rejected.reason,
            "content": rejected.content,
        }
        self._stream.write(json.dumps(entry, ensure_ascii=False) + "\n")
