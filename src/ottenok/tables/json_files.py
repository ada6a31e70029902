"""JSON lines, and JSON arrays of objects; both are read an object at a time."""

from __future__ import annotations

import json
import re
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from ottenok.core.config import parse
from ottenok.core.errors import DataError
from ottenok.tables.division import MAX_RECORD
from ottenok.tables.lines import Piece, lines_of, text_chunks, too_long
from ottenok.tables.options import LineOptions
from ottenok.tables.rows import Record, Rejected
from ottenok.tables.shape import Layout, Shaper, find_columns, wanted_columns
from ottenok.tables.streams import open_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from ottenok.data.card import ReaderSpec

__all__ = ["read_json", "read_jsonl"]

# Objects looked at to learn which keys there are: a key may be left out of some.
_PEEK = 100
_DECODER = json.JSONDecoder()
_BETWEEN = re.compile(r"[\s,]*")

# A parsed object, or the reason why there is none. A line that does not parse may hold anything, so it is not shown.
_Item = dict[str, Any] | str


def read_jsonl(path: Path, spec: ReaderSpec, *, label: str | None) -> Iterator[Record | Rejected]:
    """Read one JSON object per line (reader kind `jsonl`)."""
    options = parse(LineOptions, spec.options, file=str(path))
    encoding = options.resolve(path)
    with open_bytes(path, member=options.member) as stream:
        lines = lines_of(stream, encoding=encoding, file=str(path))
        yield from _records((_parse_line(line, clean=clean) for line, clean in lines), path, spec, label)


def _parse_line(line: str, *, clean: bool) -> _Item:
    if not clean and any("\udc80" <= char <= "\udcff" for char in line):
        return "not utf-8"
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return "bad JSON"
    return value if isinstance(value, dict) else "not a JSON object"


def read_json(path: Path, spec: ReaderSpec, *, label: str | None) -> Iterator[Record | Rejected]:
    """Read a JSON array of objects (reader kind `json`)."""
    options = parse(LineOptions, spec.options, file=str(path))
    encoding = options.resolve(path)
    with open_bytes(path, member=options.member) as stream:
        pieces = text_chunks(stream, encoding=encoding, file=str(path))
        yield from _records(_parse_array(pieces, str(path)), path, spec, label)


def _parse_array(pieces: Iterator[Piece], file: str) -> Iterator[_Item]:
    text, at, row = _opened(pieces, file), 0, 0
    while True:
        at = _after_gap(text, at)
        if text.startswith("]", at):
            return
        value, end = _next_value(text, at)
        if isinstance(value, dict) or end < len(text):  # a number that ends with the text may go on in the next piece
            row, at = row + 1, end
            yield value if isinstance(value, dict) else "not a JSON object"
            continue
        if len(text) - at > MAX_RECORD:
            raise too_long(row + 1, file=file)
        more = next(pieces, None)
        if more is None:
            raise DataError("the JSON array breaks off or is faulty here", hint=_JSON_HINT, file=file, row=row + 1)
        text, at = text[at:] + more.text, 0


_JSON_HINT = "Fetch the file again, or mend it; if it has one object per line, use the reader jsonl."


def _opened(pieces: Iterator[Piece], file: str) -> str:
    text = ""
    for piece in pieces:
        text = (text + piece.text).lstrip()
        if text:
            break
    if not text.startswith("["):
        found = f"it begins with {text[:1]!r}" if text else "it is empty"
        raise DataError(f"this is not a JSON array of objects: {found}", hint=_JSON_HINT, file=file)
    return text[1:]


def _after_gap(text: str, at: int) -> int:
    match = _BETWEEN.match(text, at)
    return match.end() if match else at


def _next_value(text: str, at: int) -> tuple[object, int]:
    """Return the value at a position and where it ends; the end of the text if it is not whole or faulty."""
    try:
        return _DECODER.raw_decode(text, at)
    except (ValueError, RecursionError):
        return None, len(text)


def _records(items: Iterable[_Item], path: Path, spec: ReaderSpec, label: str | None) -> Iterator[Record | Rejected]:
    items = iter(items)
    head = list(islice(items, _PEEK))
    wanted = wanted_columns(spec, label=label, file=str(path))
    _check_keys(head, wanted, file=str(path))
    keys = [str(column) for column in wanted]
    last = len(keys) - (spec.part is not None)
    layout = Layout(text=0, labels=tuple(range(1, last)), part=last if spec.part is not None else None)
    shape = Shaper(spec, layout, label=label)
    for row, item in enumerate(chain(head, items), start=1):
        if isinstance(item, str):
            yield Rejected(row=row, reason=item, content="")
        else:
            # Escapes such as \ud83d may bring in what the bytes do not hold.
            yield shape(row, [item.get(key) for key in keys], clean=False)


def _check_keys(head: list[_Item], wanted: tuple[str | int, ...], *, file: str) -> None:
    names = list(dict.fromkeys(key for item in head if isinstance(item, dict) for key in item))
    if names:
        find_columns(names, [str(column) for column in wanted], file=file, kind="key")
    elif head:
        reason = next((item for item in head if isinstance(item, str)), "the objects are empty")
        raise DataError(f"none of the first {len(head)} records can be used: {reason}", hint=_JSON_HINT, file=file)
