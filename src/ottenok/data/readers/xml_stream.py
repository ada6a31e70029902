"""XML read an element at a time through defusedxml: no entity is expanded, nothing outside is fetched."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from ottenok.core.errors import DataError
from ottenok.core.lazy import require
from ottenok.tables.options import MAX_RECORD
from ottenok.tables.streams import too_long

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element

__all__ = ["elements", "text_of"]


class _Metered:
    """A stream that refuses to give more bytes to one element than a record may have."""

    def __init__(self, stream: IO[bytes], file: str) -> None:
        self._stream = stream
        self._file = file
        self._given = 0
        self.row = 0

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._given += len(data)
        if self._given > 4 * MAX_RECORD:  # a character has up to four bytes
            raise too_long(self.row + 1, file=self._file)
        return data

    def next_row(self) -> int:
        self._given = 0
        self.row += 1
        return self.row


def elements(stream: IO[bytes], tag: str, *, file: str) -> Iterator[tuple[int, Element]]:
    """Yield each element `tag` with its 1-based number once it is whole, then forget it.

    Raises:
        DataError: The file is not well-formed XML, declares entities, or has no such element.
    """
    library = require("defusedxml.ElementTree", extra="data")
    common = require("defusedxml.common", extra="data")
    metered = _Metered(stream, file)
    try:
        root: Element | None = None
        for event, element in library.iterparse(metered, events=("start", "end")):
            root = element if root is None else root
            if event == "end" and element.tag == tag:
                yield metered.next_row(), element
                element.clear()
                root.clear()
    except common.DefusedXmlException as error:
        raise DataError(
            f"the XML declares entities or points outside, which no data set needs: {error}",
            hint="Don't trust this file; fetch it again from its publisher.",
            file=file,
        ) from error
    except (library.ParseError, ValueError, LookupError, RecursionError) as error:
        raise DataError(
            f"this is not well-formed XML: {error}",
            hint="Fetch the file again, or mend it at this place.",
            file=file,
            row=metered.row + 1,
        ) from error
    if not metered.row:
        raise DataError(f"the XML holds no element <{tag}>", hint="Choose the reader of its format.", file=file)


def text_of(element: Element | None) -> str:
    """Return an element's own text without white space around it; "" where there is none."""
    return (element.text or "").strip() if element is not None else ""
