"""Tables on the terminal. Without a terminal they are as wide as they need to be, so that nothing is cut in a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["heading", "number", "share", "show_table", "write"]

_FILE_WIDTH = 160


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_FILE_WIDTH)


def number(value: int) -> str:
    """Return a count with thousands separated; nothing for zero, so that what is there stands out."""
    return f"{value:,}" if value else ""


def share(part: int, whole: int) -> str:
    """Return `part` of `whole` in per cent, without decimals; nothing where the whole is zero."""
    return f"{part / whole:.0%}" if whole else ""


def heading(text: str) -> None:
    """Write a heading, set off by an empty line."""
    console = _console()
    console.print()
    console.print(Text(text, style="bold"))


def write(text: str = "") -> None:
    """Write a line of plain text."""
    _console().print(Text(text))


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table.

    Args:
        columns: Headings; one that begins with `>` is a column of numbers, set to the right.
        rows: Cells, as many per row as there are columns; shown as they are, never read as markup.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        right = column.startswith(">")
        table.add_column(column.removeprefix(">"), justify="right" if right else "left", no_wrap=right, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    _console().print(table)
