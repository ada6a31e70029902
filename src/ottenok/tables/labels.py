"""Labels as files hold them: one value, several 0/1 columns, or a list in one column."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from typing import Literal

__all__ = ["Fault", "as_text", "binary_labels", "list_labels", "one_label"]

LabelReader = Callable[[Sequence[object]], tuple[str, ...]]
ListStyle = Literal["json", "numpy", "comma", "space"]

# Distinct values kept ready; a label column has few, and a wrongly chosen one must not fill the memory.
_MOST_KNOWN = 4096
_ON = frozenset({"1", "1.0", "true"})
_OFF = frozenset({"0", "0.0", "false"})
# numpy prints [ 2 3] and ['a' 'b']; Python prints ['a', 'b'].
_ITEM = re.compile(r"""'([^']*)'|"([^"]*)"|([^\s,'"\[\]]+)""")


class Fault(Exception):  # noqa: N818 - no error for users: it becomes the reason of a `Rejected`
    """A row can't be used, for a short constant reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def as_text(value: object, what: str) -> str:
    """Return a cell as text: whole numbers without a point, truth values as in JSON, nothing and NaN as "".

    Raises:
        Fault: The cell holds a list, an object or bytes.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float_text(value)
    if isinstance(value, (list, tuple, dict, bytes)):
        raise Fault(f"{what} is not a string")
    return str(value)


def _float_text(value: float) -> str:
    if math.isnan(value):
        return ""
    return str(int(value)) if value.is_integer() else repr(value)


def one_label(position: int) -> LabelReader:
    """Read one label from one column; a native list (JSON, Parquet) gives several."""
    known: dict[str, tuple[str, ...]] = {}

    def read(fields: Sequence[object]) -> tuple[str, ...]:
        value = fields[position]
        if type(value) is str:
            found = known.get(value)
            if found is not None:
                return found
        if isinstance(value, (list, tuple)):
            return _items(value)
        labels = (as_text(value, "label").strip(),)
        if not labels[0]:
            raise Fault("missing label")
        if type(value) is str and len(known) < _MOST_KNOWN:
            known[value] = labels
        return labels

    return read


def _items(values: Sequence[object]) -> tuple[str, ...]:
    items = (as_text(value, "label").strip() for value in values)
    return tuple(dict.fromkeys(item for item in items if item))


def binary_labels(names: Sequence[str], positions: Sequence[int]) -> LabelReader:
    """Read the names of the columns that hold 1; 1.0 and true count as 1, and the like as 0."""
    pairs = tuple(zip(names, positions, strict=True))

    def read(fields: Sequence[object]) -> tuple[str, ...]:
        return tuple(name for name, position in pairs if _is_on(fields[position]))

    return read


def _is_on(value: object) -> bool:
    text = as_text(value, "label").strip().lower()
    if text in _ON:
        return True
    if text not in _OFF:
        raise Fault("label is not 0 or 1" if text else "missing label")
    return False


def list_labels(position: int, style: ListStyle) -> LabelReader:
    """Read a list of labels from one column: native (JSON, Parquet), or written as text in a style.

    An empty cell is a missing label in the bracketed styles, which write `[]`, and no labels in the others.
    """
    parse = _STYLES[style]

    def read(fields: Sequence[object]) -> tuple[str, ...]:
        value = fields[position]
        if isinstance(value, (list, tuple)):
            return _items(value)
        return _items(parse(as_text(value, "label").strip()))

    return read


def _json_list(text: str) -> Sequence[object]:
    if not text:
        raise Fault("missing label")
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        raise Fault("label list is not JSON") from None
    if not isinstance(values, list):
        raise Fault("label list is not JSON")
    return values


def _numpy_list(text: str) -> Sequence[object]:
    if not text:
        raise Fault("missing label")
    if not (text.startswith("[") and text.endswith("]")):
        raise Fault("label list has no brackets")
    inner = text[1:-1]
    if _ITEM.sub("", inner).strip(" ,\r\n\t"):
        raise Fault("label list can't be read")
    return [next(group for group in match.groups() if group is not None) for match in _ITEM.finditer(inner)]


def _comma_list(text: str) -> Sequence[object]:
    return text.split(",")


def _space_list(text: str) -> Sequence[object]:
    return text.split()


_STYLES: dict[ListStyle, Callable[[str], Sequence[object]]] = {
    "json": _json_list,
    "numpy": _numpy_list,
    "comma": _comma_list,
    "space": _space_list,
}
