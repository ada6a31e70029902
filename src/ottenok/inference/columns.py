"""What callers hand over, as lists of strings: columns of data frames, arrays, lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ottenok.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["as_texts", "check_texts"]

# How columns of other libraries become Python objects: Arrow, pandas and polars, numpy.
_CONVERSIONS = ("to_pylist", "to_list", "tolist")


def as_texts(column: Iterable[Any]) -> Iterable[Any]:
    """Return a column's values as Python objects; lists and other iterables as they are.

    Raises:
        InputError: This can't be a column of texts.
    """
    _check_column(column)
    for name in _CONVERSIONS:
        convert = getattr(column, name, None)
        if convert is not None:
            values: Iterable[Any] = convert()
            return values
    return column


def _check_column(column: object) -> None:
    if isinstance(column, str | bytes | dict) or not hasattr(column, "__iter__"):
        raise InputError(
            f"expected a text or a column of texts, found {type(column).__name__}",
            hint="Give a string, a list of strings, or one column of a data frame.",
        )
    if hasattr(column, "columns"):
        raise InputError("expected one column, found a whole data frame", hint='Choose the column: frame["text"].')


def check_texts(texts: Sequence[Any], *, first: int) -> None:
    """Refuse what is no text.

    Args:
        texts: The values.
        first: Number of the first one, for the error.

    Raises:
        InputError: Naming the row.
    """
    for row, text in enumerate(texts, start=first):
        if not isinstance(text, str):
            raise _no_text(text, row)


def _no_text(value: object, row: int) -> InputError:
    # NaN is the only float that differs from itself; data frames mark what is missing with it.
    missing = value is None or (isinstance(value, float) and value != value) or type(value).__name__ == "NAType"  # noqa: PLR0124
    found = "no text (the value is missing)" if missing else f"{type(value).__name__} {value!r}"[:100]
    hint = 'Drop such rows, or give them a text: column.fillna("").' if missing else "Convert the values to strings."
    return InputError(f"expected a text, found {found}", hint=hint, row=row)
