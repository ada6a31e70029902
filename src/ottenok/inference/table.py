"""What every kind of table file gives and takes: blocks of rows to classify, parts with answers, one output file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ottenok.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ottenok.inference.answers import AnswerColumns

__all__ = ["BLOCK_CHARACTERS", "Block", "Reject", "TableFile", "excerpt", "fault_of", "refuse_clash"]

# Characters of the texts of a block, whatever its number of rows.
BLOCK_CHARACTERS = 4 << 20
_SHOWN = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """A row that can't be classified.

    Attributes:
        row: Its number in the file, from 1, the header not counted.
        reason: Short, and the same for every row with this fault.
        content: The start of it, at most 200 characters.
    """

    row: int
    reason: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Some rows of a file, in its order.

    Attributes:
        rows: How many rows of the file it covers, rejected ones included.
        texts: What to classify.
        records: The rows of `texts`, in the format's own form.
        rejects: The others.
    """

    rows: int
    texts: list[str]
    records: Any
    rejects: list[Reject]


class TableFile(Protocol):
    """A file of rows, one column of which is to be classified."""

    def blocks(self, rows: int) -> Iterator[Block]:
        """Read the file in blocks of at most so many rows.

        Raises:
            InputError: The file can't be read, or has not the text column.
        """

    def write_part(self, part: Path, block: Block, answers: Sequence[Sequence[Any]]) -> None:
        """Write the rows of a block with their answers into a file of their own."""

    def join(self, parts: Sequence[Path], out: Path) -> None:
        """Write the output file from its parts."""


def fault_of(value: object, *, encoding: str = "utf-8") -> str | None:
    """Return why a value is no text to classify, or None if it is one."""
    if value is None or value != value:  # noqa: PLR0124 - NaN is what differs from itself
        return "missing text"
    if not isinstance(value, str):
        return f"no text but {type(value).__name__}"
    if not value or value.isspace():
        return "empty text"
    if not value.isascii() and any("\udc80" <= character <= "\udcff" for character in value):
        return f"not {encoding}"
    return None


def excerpt(value: object) -> str:
    """Return the start of a value, fit to be written as UTF-8."""
    text = "" if value is None else str(value)[:_SHOWN]
    return text.encode("utf-8", errors="replace").decode("utf-8")


def refuse_clash(present: Sequence[str], columns: AnswerColumns, *, file: str) -> None:
    """Refuse to write over a column that is in the file.

    Raises:
        InputError: An answer's column is there already.
    """
    for name in columns.names:
        if name in present:
            raise InputError(
                f"the file has a column {name!r} already",
                hint="Choose other names for the answers with --prefix.",
                file=file,
                key=name,
            )
