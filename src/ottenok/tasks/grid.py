"""A small table, as aligned text or as Markdown."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

__all__ = ["Grid"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A table of strings; the first column is a heading and goes left, the others go right.

    Attributes:
        header: One string per column.
        rows: Each as long as the header.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def text(self) -> str:
        """Return the table for a terminal; Chinese characters count as two columns. No line end at the end."""
        lines = (self.header, *self.rows)
        widths = [max(_width(line[i]) for line in lines) for i in range(len(self.header))]
        return "\n".join("  ".join(_padded(line, widths)).rstrip() for line in lines)

    def markdown(self) -> str:
        """Return the table as Markdown. No line end at the end."""
        rule = ("---", *("---:" for _ in self.header[1:]))
        return "\n".join(f"| {' | '.join(_escaped(line))} |" for line in (self.header, rule, *self.rows))


def _padded(line: tuple[str, ...], widths: list[int]) -> list[str]:
    gaps = [" " * (width - _width(cell)) for cell, width in zip(line, widths, strict=True)]
    first = line[0] + gaps[0]
    return [first, *(gap + cell for cell, gap in zip(line[1:], gaps[1:], strict=True))]


def _width(text: str) -> int:
    """Return how many columns a terminal gives a text."""
    return sum(0 if unicodedata.combining(char) else _columns(char) for char in text)


def _columns(char: str) -> int:
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _escaped(line: tuple[str, ...]) -> list[str]:
    return [" ".join(cell.replace("|", "\\|").split()) for cell in line]
