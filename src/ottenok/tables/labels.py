"""Labels as files hold them: one value, several 0/1 columns, or several labels in one cell."""

from __future__ import annotations

import ast
import json
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "MISSING", "SEPARATORS", "Fault", "LabelCells", "LabelReader", "ListStyle", "as_text", "binary_labels",
    "clean_label", "label_cell", "list_labels", "one_label", "study_cells",
]  # fmt: skip

LabelReader = Callable[[Sequence[object]], tuple[str, ...]]
ListStyle = Literal["json", "numpy", "comma", "space", "semicolon", "pipe", "hash"]

# Distinct values kept ready; a label column has few, and a wrongly chosen one must not fill the memory.
_MOST_KNOWN = 4096
_ON = frozenset({"1", "1.0", "true"})
_OFF = frozenset({"0", "0.0", "false"})
# numpy prints [ 2 3] and ['a' 'b']; Python prints ['a', 'b'].
_ITEM = re.compile(r"""'([^']*)'|"([^"]*)"|([^\s,'"\[\]]+)""")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufe0e\ufe0f\ufeff]")
# What programs write where there is no value. "none" in small letters is a label of many sets: no emotion.
MISSING = frozenset(
    {"nan", "NaN", "NAN", "None", "null", "NULL", "Null", "NA", "N/A", "n/a", "<NA>", "#N/A", "NaT", "nil", "\\N"}
)
SEPARATORS: dict[str, str] = {"hash": "#", "semicolon": ";", "pipe": "|", "comma": ",", "space": " "}
# What may divide labels where nothing is said. Some stand in labels too: there all parts have to stand alone as well.
_MARKS = "#;|,；，、/\n+&•·"
_DOUBTFUL = frozenset("\n+&•·")
_AND = frozenset({"and", "и", "和"})
_REPR = re.compile(r"^(?:array|set|frozenset|list|tuple)\((.*?)(?:,\s*dtype=[^()]*)?\)$", re.DOTALL)
# Keys under which exports hold a label, or a list of labels.
_LABEL_KEYS = (
    "choices",
    "choice",
    "labels",
    "label",
    "category",
    "class",
    "name",
    "value",
    "taxonomy",
    "result",
    "annotations",
)
_DEPTH = 8


class Fault(Exception):  # noqa: N818 - no error for users: it becomes the reason of a `Rejected`
    """A row can't be used, for a short constant reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def as_text(value: object, what: str) -> str:
    """Return a cell as text: whole numbers without a point, truth values as in JSON, nothing and NaN as "".

    A list of strings and `{"type": ..., "text": ...}`, as Telegram exports a message with links, is its text.

    Raises:
        Fault: The cell holds another list, an object or bytes.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if math.isnan(value):
            return ""
        return str(int(value)) if value.is_integer() else repr(value)
    if what == "text" and isinstance(value, list) and value:
        pieces = [piece.get("text") if isinstance(piece, dict) else piece for piece in value]
        strings = [piece for piece in pieces if isinstance(piece, str)]
        if len(strings) == len(pieces) and any(isinstance(piece, dict) for piece in value):
            return "".join(strings)
    if isinstance(value, (list, tuple, dict, bytes)):
        raise Fault(f"{what} is not a string")
    return str(value)


def clean_label(value: str) -> str:
    """Return a label without what no one sees: invisible characters, other spaces, white space around it, in NFC."""
    if value.isascii():
        return " ".join(value.split())
    return " ".join(_INVISIBLE.sub("", unicodedata.normalize("NFC", value)).split())


def one_label(cells: Sequence[object]) -> tuple[str, ...]:
    """Read one label from one cell, as it is; a native list (JSON, Parquet) gives several."""
    value = cells[0]
    if isinstance(value, (list, tuple)):
        return _items(value)
    label = as_text(value, "label").strip()
    if not label:
        raise Fault("missing label")
    return (label,)


def _items(values: Sequence[object]) -> tuple[str, ...]:
    items = (as_text(value, "label").strip() for value in values)
    return tuple(dict.fromkeys(item for item in items if item))


def binary_labels(names: Sequence[str]) -> LabelReader:
    """Read the names of the columns that hold 1; 1.0 and true count as 1, and the like as 0."""

    def read(cells: Sequence[object]) -> tuple[str, ...]:
        found = []
        for name, cell in zip(names, cells, strict=True):
            text = as_text(cell, "label").strip().lower()
            if text in _ON:
                found.append(name)
            elif text not in _OFF:
                raise Fault("label is not 0 or 1" if text else "missing label")
        return tuple(found)

    return read


def list_labels(style: ListStyle) -> LabelReader:
    """Read a list of labels from one cell: native (JSON, Parquet), or written as text in a style.

    An empty cell is a missing label in the bracketed styles, which write `[]`, and no labels in the others.
    """

    def read(cells: Sequence[object]) -> tuple[str, ...]:
        value = cells[0]
        if isinstance(value, (list, tuple)):
            return _items(value)
        text = as_text(value, "label").strip()
        if style == "space":
            return _items(text.split())
        if style in SEPARATORS:
            return _items(text.split(SEPARATORS[style]))
        if not text:
            raise Fault("missing label")
        if style == "json":
            try:
                values = json.loads(text)
            except (ValueError, RecursionError):
                values = None
            if not isinstance(values, list):
                raise Fault("label list is not JSON")
            return _items(values)
        if not (text.startswith("[") and text.endswith("]")):
            raise Fault("label list has no brackets")
        if _ITEM.sub("", text[1:-1]).strip(" ,\r\n\t"):
            raise Fault("label list can't be read")
        return _items(_printed(text[1:-1]))

    return read


def _printed(inner: str) -> list[str]:
    """Return the items of a list as numpy prints it, without its brackets."""
    return [next(group for group in match.groups() if group is not None) for match in _ITEM.finditer(inner)]


def label_cell(value: object, *, separators: str = "", missing: frozenset[str] = MISSING) -> tuple[str, ...]:
    """Return the labels that a cell of a user's file holds.

    Args:
        value: A string, a number, a list, or an object of Label Studio, doccano or spaCy (`{"choices": [...]}`,
            `{"joy": 1, "anger": 0}`); lists and objects may also be written as JSON, as Python or numpy print them, or
            as databases write arrays (`{joy,anger}`).
        separators: Characters that divide several labels in a string (see `study_cells`).
        missing: Strings that mean that there is no label.

    Returns:
        The labels, cleaned and each once; empty for an empty list.

    Raises:
        Fault: There is no label, or the cell can't be read.
    """
    found = _labels_in(value, separators, missing, 0)
    if found is None:
        raise Fault("missing label")
    return tuple(dict.fromkeys(found))


def _labels_in(value: object, separators: str, missing: frozenset[str], depth: int) -> list[str] | None:
    """Return the labels within a value; None where it is no value at all."""
    if depth > _DEPTH:
        raise Fault("label is nested too deep")
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return _labels_of_object(value, separators, missing, depth)
    if isinstance(value, (list, tuple, set, frozenset)):
        if value and all(isinstance(one, (list, tuple)) and len(one) == 2 for one in value):
            pairs = [one for one in value if isinstance(one[0], str) and isinstance(one[1], (bool, int, float))]
            if len(pairs) == len(value):  # a map of Parquet
                return _labels_of_object(dict(pairs), separators, missing, depth)
        if len(value) == 3 and [type(part) for part in value] == [int, int, str]:
            raise Fault("label is a span (start, end, name), not a label of the whole text")
        inside = [_labels_in(item, separators, missing, depth + 1) for item in value]
        found = [label for labels in inside if labels for label in labels]
        return found if found or not value else None
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="surrogateescape")
    whole = as_text(value, "label")
    text = clean_label(whole)
    if not text or text in missing:
        return None
    if isinstance(value, str) and text[-1] in ")]}" and len(text) < 1 << 16:
        written = _written(text)
        if written is not None:
            return _labels_in(written, separators, missing, depth + 1)
    return [part for part in _parts(whole, separators) if part not in missing] or None


def _parts(text: str, separators: str) -> list[str]:
    """Divide a label; line ends stay in the parts, since they may be what divides."""
    for mark in separators:
        text = text.replace(mark, "\0")
    if "\n" not in text:
        return [part for part in map(clean_label, text.split("\0")) if part]
    lines = ([line for line in map(clean_label, part.split("\n")) if line] for part in text.split("\0"))
    return ["\n".join(part) for part in lines if part]


def _labels_of_object(
    value: Mapping[object, object], separators: str, missing: frozenset[str], depth: int
) -> list[str] | None:
    if value.get("was_cancelled"):
        return None
    if {"start", "end"} <= value.keys() or {"start_offset", "end_offset"} <= value.keys():
        raise Fault("label is a span (start, end, name), not a label of the whole text")
    for key in _LABEL_KEYS:
        if key in value and not isinstance(value[key], bool):
            inner = value[key]
            if not isinstance(inner, (int, float)) or key in {"rating", "label", "value"}:
                return _labels_in(inner, separators, missing, depth + 1)
    if isinstance(value.get("rating"), int):
        return [str(value["rating"])]
    weights = list(value.values())
    if weights and all(isinstance(weight, (bool, int, float)) for weight in weights):
        if any(weight not in {0, 1} for weight in weights):
            raise Fault("label is a table of numbers that are not 0 or 1")
        return [label for name, weight in value.items() if weight and (label := clean_label(str(name)))]
    if not value:
        return []
    raise Fault("label is an object that can't be read")


def _written(text: str) -> object | None:
    """Return the list or object that a string writes out; None where it is a label with brackets in it."""
    call = _REPR.match(text)
    if call:
        text = call[1].strip()
    first, last = text[:1], text[-1:]
    if first + last not in {"[]", "{}", "()"}:
        return None
    if first == "(" and "," not in text:
        return None
    for parse in (json.loads, ast.literal_eval):
        try:
            found = parse(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            continue
        # Python reads ['a' 'b'], as numpy prints it, as one string.
        if isinstance(found, (list, tuple, set, dict)) and not ("' '" in text or "'\n '" in text or '" "' in text):
            return found
    inner = text[1:-1]
    if first == "{" and ":" in inner:
        raise Fault("label is an object that can't be read")
    if "," in inner and not any(quote in inner for quote in "'\""):
        return [part.strip() for part in inner.split(",")]
    if _ITEM.sub("", inner).strip(" ,\r\n\t"):
        return None
    return _printed(inner)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelCells:
    """What the cells of a label column as a whole say.

    Attributes:
        separators: Characters that divide several labels in one string.
        several: Rows with several labels.
        counts: How often each label is there, once divided.
        empty: Rows with an empty list.
        whole: Labels that hold a usual separator and were not divided.
        blanks: Labels that were not divided though each of their words is a label too.
    """

    separators: str
    several: int
    counts: Mapping[str, int]
    empty: int
    whole: tuple[str, ...] = ()
    blanks: tuple[str, ...] = ()


def study_cells(
    cells: Mapping[tuple[str, ...], int], *, known: Collection[str] = (), separators: str | None = None
) -> LabelCells:
    """Decide for a column as a whole whether its strings hold several labels.

    Strings are divided at a mark if in most of them at least half of the parts also stand alone in the column, in other
    company, or are known; at marks that labels may hold (`+`, `&`, line ends) if all do. `Very good, thanks`, whose
    parts never do, stays one label.

    Args:
        cells: How often each cell, read with `label_cell` and no separators, is there.
        known: Labels that are known to exist, such as those of a scheme; a known label is never divided.
        separators: What is said of them; None: found out.
    """
    chosen, whole = separators or "", list[str]()
    familiar = {name.casefold() for name in known}
    strings = Counter[str]()
    for labels, count in cells.items():
        for label in labels:
            strings[label] += count
    for mark in _MARKS if separators is None else "":
        divided = Counter[str]()
        for label, count in strings.items():
            for part in _parts(label, chosen):
                divided[part] += count
        torn = {
            label: {part.casefold() for part in _parts(label, mark)}
            for label in divided
            if mark in label.strip(mark) and label.casefold() not in familiar
        }
        alone = familiar | {label.casefold() for label in divided if mark not in label}
        company = Counter(part for parts in torn.values() for part in parts)
        sound = [
            label
            for label, parts in torn.items()
            if (
                parts <= alone
                if mark in _DOUBTFUL
                else 2 * sum(part in alone or company[part] > 1 for part in parts) >= len(parts)
            )
        ]
        numbers = [[part for part in _parts(label, mark) if part.isdecimal()] for label in torn]
        if all(len(parts) == 2 and (mark == "/" or parts[1] in {"0", "5"}) for parts in numbers):
            continue  # 3/5 and 4,5 are marks
        if torn and sum(divided[label] for label in sound) * 2 > sum(divided[label] for label in torn):
            chosen += mark
        elif mark not in _DOUBTFUL:
            whole += torn
    counts = Counter[str]()
    several = empty = 0
    for labels, count in cells.items():
        distinct = {part for label in labels for part in _parts(label, chosen)}
        counts.update(dict.fromkeys(distinct, count))
        several += count if len({part.casefold() for part in distinct}) > 1 else 0
        empty += count if not distinct else 0
    alone = {label.casefold() for label in counts}
    unsaid = () if separators is not None else [label for label in counts if label.casefold() not in familiar]
    words = {label: set(label.casefold().split()) - _AND for label in unsaid}
    blanks = tuple(label for label, found in words.items() if len(found) > 1 and found <= alone)
    return LabelCells(separators=chosen, several=several, counts=counts, empty=empty, whole=tuple(whole), blanks=blanks)
