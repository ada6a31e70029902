"""JSON: an object a line, arrays of objects, and documents with the objects somewhere inside; read an object at a time.

Columns are keys, those of objects within objects as `review.text`. A path goes through lists:
`annotations.result.value.choices` is every choice of every result of every annotation.
"""

from __future__ import annotations

import json
import re
import unicodedata
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from ottenok.core.errors import DataError
from ottenok.tables.encoding import decoded_chunks, find_encoding
from ottenok.tables.records import Rejected, excerpt
from ottenok.tables.streams import LongLine, text_blocks, too_long
from ottenok.tables.table import Row, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ottenok.tables.options import TableOptions
    from ottenok.tables.streams import Source

__all__ = ["JsonLinesTable", "JsonTable", "looks_like_lines"]

# Objects looked at to learn which keys there are: a key may be left out of some.
_PEEK = 1000
_PEEK_SIZE = 4 << 20
_DEPTH = 6
# Characters of a document that is no list of objects, and so has to be held whole.
_MAX_DOCUMENT = 64 << 20
_DECODER = json.JSONDecoder()
_BETWEEN = re.compile(r"[\s,]*")
_SPACE = re.compile(r"\s*")
_HINT = "Fetch the file again, or mend it; if it has one object per line, say --input-format jsonl."

# A parsed object and its line, or the reason why there is none, and its line.
_Item = tuple[dict[str, Any] | str, str]


def looks_like_lines(text: bytes) -> bool | None:
    """Return whether the head of a file is JSON lines (True), another JSON (False), or none (None).

    Args:
        text: The head, without a byte order mark; it begins with a brace or bracket.
    """
    decoded = text.decode("utf-8", errors="replace")
    first, _newline, rest = decoded.partition("\n")
    if decoded.startswith("["):
        return False if decoded[1:].lstrip().startswith(("{", "[", "]")) else None
    try:
        item = json.loads(first)
    except (ValueError, RecursionError):
        # An object over several lines, or a first line that is broken or longer than the head.
        return True if rest.lstrip().startswith("{") else False if ":" in decoded else None
    # One object alone is a row if nothing is in it that may be the rows.
    return bool(rest.strip()) or not any(isinstance(value, (list, dict)) for value in item.values())


class _Objects(Table):
    """A table whose rows are JSON objects."""

    kind = "key"

    def __init__(self, source: Source, options: TableOptions, wanted: Sequence[str | int]) -> None:
        super().__init__(source, options)
        self._encoding = find_encoding(source, options.encoding)
        self.encoding, self.mark = self._encoding.codec, self._encoding.mark
        self._wanted = [str(column) for column in wanted]
        head = self._head()
        self._no_records = not head
        self.columns = list(
            dict.fromkeys(path for item, _line in head if isinstance(item, dict) for path in _paths(item))
        )
        results = (result for item, _line in head if isinstance(item, dict) for result in _results(item))
        self._results = list(dict.fromkeys(str(result["from_name"]) for result in results if "from_name" in result))
        if head and not self.columns:
            reason = next((item for item, _line in head if isinstance(item, str)), "the objects are empty")
            raise DataError(f"none of the first {len(head)} records can be used: {reason}", hint=_HINT, file=self.file)

    def _head(self) -> list[_Item]:
        found: list[_Item] = []
        size = 0
        for item in self._items():
            found.append(item)
            size += len(item[1])
            if len(found) == _PEEK or size > _PEEK_SIZE:
                break
        return found

    def _items(self) -> Iterator[_Item]:
        raise NotImplementedError

    def find(self, column: str | int) -> int:
        """Return the place of a key: its name, its path, the end of its path, or the name of a Label Studio result."""
        name = unicodedata.normalize("NFC", str(column))
        if self._no_records and name not in self.columns:
            self.columns.append(name)  # a file without records has every key
        if name not in self.columns:
            ends = [path for path in self.columns if path.endswith(f".{name}")]
            # What a model predicted stands beside what people said.
            ends = [path for path in ends if not path.startswith("predictions.")] or ends
            if name in self._results:
                self.columns.append(f"annotations.result[{name}]")
                return len(self.columns) - 1
            tail = name
            while "." in tail and tail not in self.columns:
                tail = tail.partition(".")[2]
            if tail in self.columns:  # `messages.text` of a list that was taken as the rows
                return self.columns.index(tail)
            if len(ends) == 1:
                self.notes.append(f"The key {name!r} is taken from {ends[0]!r}.")
                return self.columns.index(ends[0])
            if "." in name and any(path == name.partition(".")[0] for path in self.columns):
                self.columns.append(name)  # a path through a list's positions
                if any(_value(item, name) is not None for item, _line in self._head() if isinstance(item, dict)):
                    return len(self.columns) - 1
                self.columns.pop()
        return super().find(name)

    def _rows(self, places: Sequence[int], *, raw: bool) -> Iterator[Row | Rejected]:
        paths = [self.columns[place] for place in places]
        plain = not any("." in path or "[" in path for path in paths)
        for number, (item, line) in enumerate(self._items(), start=1):
            if isinstance(item, str):
                yield Rejected(row=number, reason=item, content=excerpt(line) if raw else "")
                continue
            get = item.get
            cells = [get(path) for path in paths] if plain else [_value(item, path) for path in paths]
            # Escapes such as \ud83d may bring in what the bytes do not hold.
            yield number, cells, line, False


class JsonLinesTable(_Objects):
    """A file with one JSON object a line; blank lines are skipped."""

    format = "jsonl"

    def _items(self) -> Iterator[_Item]:
        skip = self._options.skip_rows
        with self._source.open() as stream:
            blocks = text_blocks(stream, self._encoding, file=self.file, limit=self._options.max_record)
            for line in islice(chain.from_iterable(lines for lines, _clean in blocks), skip, None):
                stripped = line.strip()
                if not stripped:
                    continue
                if type(line) is LongLine:
                    yield "the record is too long (--max-record)", stripped
                    continue
                if not stripped.isascii() and any("\udc80" <= char <= "\udcff" for char in stripped):
                    yield f"not {self.encoding}", stripped
                    continue
                try:
                    value = json.loads(stripped)
                except (ValueError, RecursionError):
                    yield "bad JSON", stripped
                    continue
                yield (value if isinstance(value, dict) else "not a JSON object"), stripped


class JsonTable(_Objects):
    """A JSON array of objects, or a document that holds one.

    Also read are several objects one after the other, the tables of pandas (`to_json` in every orientation), and the
    list of messages in an export. Of several lists, the first that has the wanted keys counts.
    """

    format = "json"

    def _items(self) -> Iterator[_Item]:
        with self._source.open() as stream:
            chunks = (text for text, _clean in decoded_chunks(stream, self._encoding, file=self.file))
            reader = _Reader(chunks, self.file, self._options.max_record)
            first = reader.peek()
            if first == "[":
                yield from reader.array()
            elif first == "{":
                yield from self._document(reader)
            else:
                found = f"it begins with {first!r}" if first else "it is empty"
                raise DataError(f"this is not JSON with objects: {found}", hint=_HINT, file=self.file)

    def _document(self, reader: _Reader) -> Iterator[_Item]:
        held: dict[str, Any] = {}
        for key, listed in reader.members():
            if listed is None:
                held[key] = reader.value(_MAX_DOCUMENT)
                continue
            head = list(islice(listed, 100))
            paths = {path for item, _text in head if isinstance(item, dict) for path in _paths(item)}
            if paths and all(name.removeprefix(f"{key}.") in paths for name in self._wanted):
                yield from chain(head, listed)
                return
            held[key] = [item for item, _text in chain(head, reader.bounded(listed, _MAX_DOCUMENT))]
        yield from ((row, "") for row in _rows_of(held, self._wanted))
        # Objects one after the other, each over several lines.
        while reader.peek() == "{":
            value = reader.value(self._options.max_record)
            yield value if isinstance(value, dict) else "not a JSON object", ""


class _Reader:
    """Takes values off the front of a text that comes in pieces."""

    def __init__(self, chunks: Iterator[str], file: str, limit: int) -> None:
        self._chunks = chunks
        self._file = file
        self._limit = limit
        self._text, self._at, self._row, self._taken = "", 0, 0, 0

    def _more(self) -> bool:
        text = next(self._chunks, None)
        if text is None:
            return False
        self._text, self._at = self._text[self._at :] + text, 0
        self._taken += len(text)
        return True

    def peek(self, gap: re.Pattern[str] = _SPACE) -> str:
        """Return the next character that is no white space (or `gap`); "" at the end."""
        while True:
            match = gap.match(self._text, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def value(self, limit: int) -> object:
        """Take the next value."""
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except (ValueError, RecursionError):
                value, end = None, len(self._text)
            # A number that ends with the text may go on in the next piece.
            if end < len(self._text) or isinstance(value, (dict, list, str)):
                self._at = end
                return value
            if len(self._text) - self._at > limit:
                raise too_long(self._row + 1, file=self._file, limit=limit)
            if not self._more():
                raise DataError(
                    "the JSON array breaks off or is faulty here", hint=_HINT, file=self._file, row=self._row + 1
                )

    def bounded(self, items: Iterator[_Item], limit: int) -> Iterator[_Item]:
        """Take items as long as they have at most so many characters together."""
        before = self._taken
        for item in items:
            if self._taken - before > limit:
                raise too_long(self._row, file=self._file, limit=limit)
            yield item

    def array(self) -> Iterator[_Item]:
        """Take the objects of the array that comes next."""
        self._at += 1
        while (char := self.peek(_BETWEEN)) != "]":
            if not char:
                raise DataError(
                    "the JSON array breaks off or is faulty here", hint=_HINT, file=self._file, row=self._row + 1
                )
            value = self.value(self._limit)
            self._row += 1
            yield (value if isinstance(value, dict) else "not a JSON object"), ""
        self._at += 1

    def members(self) -> Iterator[tuple[str, Iterator[_Item] | None]]:
        """Take the keys of the object that comes next, each with the objects of its list, or None for another value."""
        self._at += 1
        while (char := self.peek(_BETWEEN)) != "}":
            key = self.value(self._limit) if char else None
            if not isinstance(key, str) or self.peek() != ":":
                raise DataError("the JSON breaks off or is faulty", hint=_HINT, file=self._file, row=self._row + 1)
            self._at += 1
            is_list = self.peek() == "["
            if is_list:
                after = self._text[self._at + 1 :].lstrip()[:1] or (self._more() and self._text[1:].lstrip()[:1])
                is_list = after == "{"
            yield key, self.array() if is_list else None
        self._at += 1


def _paths(item: dict[str, Any], before: str = "", depth: int = 0) -> Iterator[str]:
    """Yield the paths of an object's keys, those of objects within it and of objects in its lists too."""
    for key, value in item.items():
        path = f"{before}{unicodedata.normalize('NFC', key)}"
        yield path
        if depth < _DEPTH:
            if isinstance(value, dict):
                yield from _paths(value, f"{path}.", depth + 1)
            elif isinstance(value, list):
                for inner in value[:20]:
                    if isinstance(inner, dict):
                        yield from _paths(inner, f"{path}.", depth + 1)


def _value(item: dict[str, Any], path: str) -> object:
    """Return what stands at a path; through a list, the list of what its objects have there."""
    if path in item:
        return item[path]
    if path.startswith("annotations.result["):
        name = path[len("annotations.result[") : -1]
        return [one.get("value") for one in _results(item) if one.get("from_name") == name] or None
    found: object = item
    for key in path.split("."):
        if isinstance(found, dict):
            found = found.get(key)
        elif isinstance(found, list):
            if key.isdigit():
                found = found[int(key)] if int(key) < len(found) else None
                continue
            inner = [one[key] for one in found if isinstance(one, dict) and key in one]
            found = [one for part in inner for one in (part if isinstance(part, list) else [part])]
        else:
            return None
    return found


def _results(item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the results of a Label Studio task that people gave."""
    annotations = item.get("annotations")
    for annotation in annotations if isinstance(annotations, list) else ():
        if isinstance(annotation, dict) and not annotation.get("was_cancelled"):
            yield from (result for result in annotation.get("result") or () if isinstance(result, dict))


def _rows_of(document: dict[str, Any], wanted: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows that a document holds: pandas' orientations, a list of objects within it, or itself."""
    if isinstance(document.get("data"), list) and isinstance(document.get("columns"), list):
        for row in document["data"]:
            if isinstance(row, list):
                yield dict(zip(map(str, document["columns"]), row, strict=False))
        return
    values = list(document.values())
    if values and all(isinstance(value, list) and value and not isinstance(value[0], dict) for value in values):
        yield from (dict(zip(document, row, strict=False)) for row in zip(*values, strict=False))
        return
    if values and all(isinstance(value, dict) for value in values):
        # By columns: every value has the same keys, which are rows; by rows: its keys are the columns.
        keys = dict.fromkeys(key for value in values for key in value)
        by_column = all(len(value) == len(keys) for value in values)
        if by_column and (all(name in document for name in wanted) if wanted else len(document) < len(keys)):
            yield from ({name: value.get(key) for name, value in document.items()} for key in keys)
            return
        if all(any(name.partition(".")[0] in value for value in values[:100]) for name in wanted):
            yield from values
            return
    lists = list(_lists(document, 0))
    for before, rows in (*lists, ("", [document])):
        paths = {path for row in rows[:100] for path in _paths(row)}
        tails = [name.removeprefix(before) for name in wanted]
        if all(name in paths or name.partition(".")[0] in paths for name in tails):
            yield from rows
            return
    yield from lists[0][1] if lists else [document]


def _lists(document: dict[str, Any], depth: int) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield the lists of objects within a document, and those within the objects of each list, joined.

    Each comes with what a path to it ends in.
    """
    if depth > _DEPTH:
        return
    joined: dict[str, list[dict[str, Any]]] = {}
    for name, value in document.items():
        if isinstance(value, dict):
            yield from _lists(value, depth + 1)
        elif isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
            yield f"{name}.", value
            for one in value:
                for key, inner in one.items():
                    if isinstance(inner, list) and inner and all(isinstance(item, dict) for item in inner):
                        joined.setdefault(f"{key}.", []).extend(inner)
    yield from joined.items()
