"""Tables on the terminal. Without a terminal they are as wide as they need to be, so that nothing is cut in a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["bar", "heading", "number", "share", "show_table", "width", "write"]

_FILE_WIDTH = 160
_LEAST_WIDTH = 80  # a narrower terminal wraps lines: that reads better than columns of single letters


def _console() -> Console:
    console = Console(highlight=False)
    if not console.is_terminal:
        return Console(highlight=False, width=_FILE_WIDTH)
    return console if console.width >= _LEAST_WIDTH else Console(highlight=False, width=_LEAST_WIDTH)


def width() -> int:
    """Return how many characters a line holds."""
    return _console().width


def bar(part: int, whole: int, *, cells: int = 20) -> str:
    """Return a horizontal bar of at most `cells` cells; what is there at all shows at least a sliver."""
    eighths = round(8 * cells * part / whole) if whole else 0
    eighths = max(eighths, 1) if part else 0
    return "█" * (eighths // 8) + (" ▏▎▍▌▋▊▉"[eighths % 8] if eighths % 8 else "")


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


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, whole: int = 1) -> None:
    """Write a table.

    Args:
        columns: Headings; one that begins with `>` is a column of numbers, set to the right.
        rows: Cells, as many per row as there are columns; shown as they are, never read as markup.
        whole: So many of the first columns are never broken into lines, and numbers never are.
    """
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for place, column in enumerate(columns):
        right = column.startswith(">")
        unbroken = right or place < whole
        table.add_column(
            column.removeprefix(">"),
            justify="right" if right else "left",
            no_wrap=unbroken,
            overflow="ellipsis" if unbroken else "fold",
        )
    for row in rows:
        table.add_row(*map(Text, row))
    _console().print(table)
