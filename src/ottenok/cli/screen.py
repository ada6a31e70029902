"""The border to the terminal: everything that a command writes goes through here.

Names, labels, columns and paths come from files that anybody may have written. `harmless` makes one line of plain
characters of them, so that they can neither move the cursor, nor forge lines, nor turn the writing direction. What the
terminal's encoding does not have becomes an escape, and never an error.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from itertools import zip_longest
from typing import IO, TYPE_CHECKING, Any
from unicodedata import combining, east_asian_width

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "bar",
    "harmless",
    "heading",
    "is_quiet",
    "number",
    "paint",
    "say",
    "set_verbosity",
    "share",
    "show_table",
    "tell",
    "tolerate",
    "width",
    "write_json",
]

_FILE_WIDTH = 160
_LEAST_WIDTH = 80  # a narrower terminal wraps lines: that reads better than columns of single letters
_LEAST_COLUMN = 12
# Control characters, line and paragraph separators, marks that turn the writing direction, and halves of characters.
_HARMFUL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")
_LINES = re.compile(_HARMFUL.pattern.replace("\x00-\x1f", "\x00-\x08\x0b-\x1f"))


_level = 0


def harmless(value: object) -> str:
    """Return a value as one line on which nothing but characters to be read stands; others become escapes."""
    return _HARMFUL.sub(_escape, str(value))


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    short = {9: "\\t", 10: "\\n", 13: "\\r"}.get(code)
    return short or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


def tolerate(*streams: IO[str]) -> None:
    """Let streams write an escape for a character that their encoding does not have."""
    for stream in streams:
        # Streams that tests or programs put in the place of the real ones need not know the method.
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def say(text: str = "") -> None:
    """Write lines of plain text to standard output."""
    click.echo(_LINES.sub(_escape, text), file=sys.stdout)


def set_verbosity(level: int) -> None:
    """Say how much is told: -1 faults alone, 0 as usual, 1 details too."""
    global _level  # noqa: PLW0603 - of this process's command line
    _level = level


def is_quiet() -> bool:
    """Whether nothing is told but faults."""
    return _level < 0


def tell(text: str, *, fault: bool = False, detail: bool = False) -> None:
    """Write lines of plain text to standard error, with a red `Error:` before a fault; details only with --verbose."""
    if not fault and _level < detail:
        return
    start = f"{click.style('Error:', fg='red', bold=True)} " if fault else ""
    click.echo(start + _LINES.sub(_escape, text), file=sys.stderr)


def write_json(value: Any, *, indent: int | None = 1) -> None:  # noqa: ANN401 - any JSON value
    """Write one JSON value to standard output; in ASCII where its encoding could not hold every character."""
    encoding = (getattr(sys.stdout, "encoding", None) or "utf-8").lower()
    ascii_only = not encoding.startswith("utf")
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent, allow_nan=False)
    # Half of a surrogate pair, which no encoding has, can stand in a path.
    click.echo(_SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text), file=sys.stdout)


_SURROGATE = re.compile("[\ud800-\udfff]")


def width() -> int:
    """Return how many characters a line holds."""
    return max(shutil.get_terminal_size().columns, _LEAST_WIDTH) if sys.stdout.isatty() else _FILE_WIDTH


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
    paint([("\n", None), (harmless(text), "bold")])


def paint(pieces: Iterable[tuple[str, str | None]]) -> None:
    """Write pieces of text in styles (`bold`, click's colours; None: plain), which a file does not get."""
    text = ""
    for piece, style in pieces:
        names = (style or "").split()
        colour = next((name for name in names if name != "bold"), None)
        plain = _LINES.sub(_escape, piece)
        text += click.style(plain, fg=colour, bold="bold" in names) if names else plain
    click.echo(text, file=sys.stdout, color=False if os.environ.get("NO_COLOR") else None)


def _cells(text: str) -> int:
    """Return how many cells of a terminal a text takes: Chinese characters take two."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(letter) else 1 + (east_asian_width(letter) in "WF") for letter in text)


def _broken(text: str, room: int) -> list[str]:
    """Break a text into lines of at most `room` cells, between words where that goes."""
    lines = [""]
    for word in re.split("(?<= )", text):
        if lines[-1] and _cells(lines[-1] + word.rstrip()) > room:
            lines.append("")
        for letter in word:
            if letter != " " and _cells(lines[-1] + letter) > room:
                lines.append("")
            lines[-1] += letter
    return lines


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, whole: int = 1) -> None:
    """Write a table; without a terminal it is as wide as it needs to be, so that nothing is cut in a file.

    Args:
        columns: Headings; one that begins with `>` is a column of numbers, set to the right.
        rows: Cells, as many per row as there are columns; shown as they are, never read as markup.
        whole: So many of the first columns are never broken into lines, and numbers never are.
    """
    right = [column.startswith(">") for column in columns]
    table = [[harmless(column.removeprefix(">")) for column in columns]]
    table += [[harmless(cell) for cell in row] for row in rows]
    widths = [max(map(_cells, column)) for column in zip(*table, strict=True)]
    breakable = [place for place in range(whole, len(columns)) if not right[place]]
    while sys.stdout.isatty() and breakable and sum(widths) + len(widths) > width():
        widest = max(breakable, key=lambda place: widths[place])
        if widths[widest] <= _LEAST_COLUMN:
            break
        widths[widest] -= 1
    for number, row in enumerate(table):
        broken = [_broken(cell, widths[place]) if place in breakable else [cell] for place, cell in enumerate(row)]
        for line in zip_longest(*broken, fillvalue=""):
            shown = ""
            for cell, room, to_right in zip(line, widths, right, strict=True):
                blank = " " * (room - _cells(cell))
                shown += (blank + cell if to_right else cell + blank) + " "
            click.echo(shown.rstrip(), file=sys.stdout)
        if number == 0:
            click.echo("─" * (sum(widths) + len(widths) - 1), file=sys.stdout)
