"""JSON: an object a line, arrays of objects, and documents with the objects somewhere inside; read an object at a time.

Columns are keys, those of objects within objects as `review.text`. A path goes through lists:
`annotations.result.value.choices` is every choice of every result of every annotation.
"""

from __future__ import annotations

import json
import re
import unicodedata
from itertools import accumulate, chain, islice, zip_longest
from typing import TYPE_CHECKING, Any

from ottenok.core.errors import DataError
from ottenok.tables.encoding import decoded_chunks, find_encoding
from ottenok.tables.records import Rejected, excerpt
from ottenok.tables.streams import LongLine, text_blocks, too_long
from ottenok.tables.table import Row, Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from collections.abc import Set as AbstractSet

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
# Where the object after a faulty one may begin, or its array end.
_NEXT = re.compile(r"\}\s*,?\s*(?=\{)|\}\s*,?\s*(?=\])")
_FAR = 1 << 20
_NO_OBJECT = "not a JSON object"
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


class _Faulty(str):
    """The start of an object that can't be read."""

    __slots__ = ()


class _Objects(Table):
    """A table whose rows are JSON objects."""

    kind = "key"

    def __init__(self, source: Source, options: TableOptions, wanted: Sequence[str | int]) -> None:
        super().__init__(source, options)
        self._place = ""  # the path of the list whose objects are the rows
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
            hint = 'Each row has to be an object with keys, as {"text": "…"}.' if reason == _NO_OBJECT else _HINT
            raise DataError(f"none of the first {len(head)} records can be used: {reason}", hint=hint, file=self.file)

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
            for before in _ends(self._place):  # `messages.text` of a list that was taken as the rows
                if (tail := name.removeprefix(f"{before}.")) in self.columns:
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
                stripped = stripped.removesuffix(",")  # as lines of an array have it
                try:
                    value = json.loads(stripped)
                except (ValueError, RecursionError):
                    yield "bad JSON", stripped
                    continue
                yield (value if isinstance(value, dict) else _NO_OBJECT), stripped


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
        most = max(_MAX_DOCUMENT, self._options.max_record)
        taken = ""
        for key, listed in reader.members():
            if listed is None:
                value = reader.value(most)
                if not taken:
                    held[key] = value
                continue
            head = list(islice(listed, 100))
            paths = {path for item, _text in head if isinstance(item, dict) for path in _plain_paths(item)}
            if paths and all(name.removeprefix(f"{key}.") in paths for name in self._wanted):
                if taken:
                    self._tell_others(taken, [key])
                taken = self._place = taken or key
                if taken == key:
                    yield from head
                    yield from listed
            elif not taken:
                held[key] = [item for item, _text in chain(head, reader.bounded(listed, most))]
            for _ in listed:
                pass
        if not taken:
            self._place, others, rows = _rows_of(held, self._wanted)
            self._tell_others(self._place, others)
            yield from ((row, "") for row in rows)
        # Objects one after the other, each over several lines.
        while reader.peek() == "{":
            value = reader.value(self._options.max_record)
            yield value if isinstance(value, dict) else _NO_OBJECT, ""

    def _tell_others(self, chosen: str, others: Sequence[str]) -> None:
        if others and self._wanted:
            names = ", ".join(f"{other}.{self._wanted[0]}" for other in others[:5])
            note = f"The rows are those of {chosen!r}; others have such keys too, and were not read: {names}."
            if note not in self.notes:
                self.notes.append(note)


class _Reader:
    """Takes values off the front of a text that comes in pieces."""

    def __init__(self, chunks: Iterator[str], file: str, limit: int) -> None:
        self._chunks = chunks
        self._file = file
        self._limit = limit
        self._text, self._at, self._row, self._taken = "", 0, 0, 0
        # Of the objects of the array that is read; None outside of arrays.
        self._keys: AbstractSet[str] | None = None

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
        """Take the next value; of an object of an array that is faulty, what it is (`_Faulty`)."""
        while True:
            fault = len(self._text)
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except (ValueError, RecursionError) as error:
                value, end = None, len(self._text)
                fault = getattr(error, "pos", fault)
            # What is faulty long before the end of what is there does not become sound by more of it.
            if self._keys and len(self._text) - fault > _FAR and (faulty := self._passed(limit)) is not None:
                return faulty
            # A number that ends with the text may go on in the next piece.
            if end < len(self._text) or isinstance(value, (dict, list, str)):
                self._at = end
                return value
            held = len(self._text) - self._at
            if held > limit:
                raise too_long(self._row + 1, file=self._file, limit=limit)
            more = self._more()
            # What is long is not read again with each piece, but when there is twice as much of it.
            while more and len(self._text) - self._at < min(2 * held, limit + 1) and self._more():
                pass
            if not more:
                if self._keys is not None and (faulty := self._passed(limit)) is not None:
                    return faulty
                raise DataError(
                    "the JSON array breaks off or is faulty here", hint=_HINT, file=self._file, row=self._row + 1
                )

    def _passed(self, limit: int) -> _Faulty | None:
        """Pass over a faulty object to the next one that is alike, or to the end of its array; None if there is none.

        Quotes that do not pair up make it impossible to tell where it ends, so the next object shows it.
        """
        start, keys = self._at, self._keys or frozenset()
        for match in _NEXT.finditer(self._text, start + 1, start + limit):
            place = match.end()
            if self._text[place : place + 1] == "]":
                alike = not self._text[place + 1 :].strip(" \t\r\n}")
            else:
                try:
                    found, _end = _DECODER.raw_decode(self._text, place)
                except (ValueError, RecursionError):
                    continue
                alike = isinstance(found, dict) and 2 * len(found.keys() & keys) >= len(keys or found)
            if alike:
                self._at = place
                return _Faulty(self._text[start : min(place, start + 1000)])
        return None

    def bounded(self, items: Iterator[_Item], limit: int) -> Iterator[_Item]:
        """Take items as long as they have at most so many characters together."""
        before = self._taken
        for item in items:
            if self._taken - before > limit:
                raise too_long(self._row, file=self._file, limit=limit)
            yield item

    def array(self) -> Iterator[_Item]:
        """Take the objects of the array that comes next; a faulty one costs itself only."""
        self._at += 1
        keys: AbstractSet[str] = set()
        while (char := self.peek(_BETWEEN)) != "]":
            if not char:
                raise DataError(
                    "the JSON array breaks off or is faulty here", hint=_HINT, file=self._file, row=self._row + 1
                )
            outer, self._keys = self._keys, keys
            value = self.value(self._limit)
            self._keys = outer
            self._row += 1
            if isinstance(value, dict):
                keys = keys or value.keys()
                yield value, ""
            elif isinstance(value, _Faulty):
                yield "bad JSON", value
            else:
                yield _NO_OBJECT, str(value)[:1000]
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


def _paths(item: dict[str, Any], before: str = "", depth: int = 0, *, lists: bool = True) -> Iterator[str]:
    """Yield the paths of an object's keys, those of objects within it and, with `lists`, in its lists too."""
    for key, value in item.items():
        path = f"{before}{unicodedata.normalize('NFC', key)}"
        yield path
        if depth < _DEPTH:
            if isinstance(value, dict):
                yield from _paths(value, f"{path}.", depth + 1, lists=lists)
            elif isinstance(value, list) and lists:
                for inner in value[:20]:
                    if isinstance(inner, dict):
                        yield from _paths(inner, f"{path}.", depth + 1)


def _plain_paths(item: dict[str, Any]) -> set[str]:
    """Return the paths of an object's keys that go through no list."""
    return set(_paths(item, lists=False))


def _value(item: dict[str, Any], path: str) -> object:
    """Return what stands at a path; through a list, what its object has there, or a tuple of what its objects have."""
    if path in item:
        return item[path]
    if path.startswith("annotations.result["):
        name = path[len("annotations.result[") : -1]
        return [one.get("value") for one in _results(item) if one.get("from_name") == name] or None
    found: object = item
    for key in path.split("."):
        if isinstance(found, dict):
            found = found.get(key)
        elif isinstance(found, list | tuple):
            if key.isdigit():
                found = found[int(key)] if int(key) < len(found) else None
                continue
            inner = [one[key] for one in found if isinstance(one, dict) and key in one]
            if len(inner) == 1:
                found = inner[0]
            else:  # no list, which may be one text in pieces
                found = tuple(one for part in inner for one in (part if isinstance(part, list | tuple) else [part]))
        else:
            return None
    return found


def _results(item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the results of a Label Studio task that people gave."""
    annotations = item.get("annotations")
    for annotation in annotations if isinstance(annotations, list) else ():
        if isinstance(annotation, dict) and not annotation.get("was_cancelled"):
            yield from (result for result in annotation.get("result") or () if isinstance(result, dict))


def _rows_of(document: dict[str, Any], wanted: Sequence[str]) -> tuple[str, list[str], Iterable[dict[str, Any] | str]]:
    """Return the rows that a document holds: pandas' orientations, a list of objects within it, or itself.

    Returns:
        The path of the list that was taken, of others that would have done, and the rows; a string is the reason why a
        row can't be read.
    """
    columns = document.get("columns")
    if isinstance(document.get("data"), list) and isinstance(columns, list):
        listed = (
            dict(zip(map(str, columns), row, strict=True))
            if isinstance(row, list) and len(row) == len(columns)
            else f"not a list of {len(columns)} values"
            for row in document["data"]
        )
        return "data", [], listed
    values = list(document.values())
    if values and all(isinstance(value, list) and value and not isinstance(value[0], dict) for value in values):
        return "", [], (dict(zip(document, row, strict=True)) for row in zip_longest(*values))
    if values and all(isinstance(value, dict) for value in values):
        # By columns: every value has the same keys, which are rows; by rows: its keys are the columns.
        keys = dict.fromkeys(key for value in values for key in value)
        by_column = all(len(value) == len(keys) for value in values) and len(document) < len(keys)
        if all(name in document for name in wanted) if wanted else by_column:
            return "", [], ({name: value.get(key) for name, value in document.items()} for key in keys)
        if all(any(name.partition(".")[0] in value for value in values[:100]) for name in wanted):
            return "", [], values
    lists = list(_lists(document, ""))
    whole = ("", [document])
    for paths_of in (_plain_paths, _paths):
        fitting = []
        for place, rows in (*lists, whole):
            paths = {path for row in rows[:100] for path in paths_of(row)}
            # A name may begin with the whole path of the list, or with its end.
            if all(any(name.removeprefix(f"{end}.") in paths for end in _ends(place)) for name in wanted):
                fitting.append((place, rows))
        if fitting:
            place, rows = fitting[0]
            others = [other for other, _rows in fitting[1:] if other and not other.startswith(f"{place}.")]
            return place, others if place else [], rows
    place, rows = lists[0] if lists else whole
    return place, [], rows


def _ends(place: str) -> list[str]:
    """Return the ends of the path of a list of rows, with which a name may begin: of `a.b` they are `b` and `a.b`."""
    return ["", *accumulate(reversed(place.split(".")), lambda end, key: f"{key}.{end}")]


def _lists(document: dict[str, Any], before: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield the lists of objects within a document with their paths, those within the objects of a list joined."""
    if before.count(".") > _DEPTH:
        return
    for name, value in document.items():
        if isinstance(value, dict):
            yield from _lists(value, f"{before}{name}.")
        elif isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
            yield f"{before}{name}", value
            joined: dict[str, list[Any]] = {}
            for one in value:
                for key, inner in one.items():
                    if isinstance(inner, list) and inner and all(isinstance(item, dict) for item in inner):
                        joined.setdefault(key, []).extend(inner)
            yield from _lists(joined, f"{before}{name}.")
