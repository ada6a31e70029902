"""What a page is made of: sections with sentences, plots, tables and mistakes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ottenok.studies.report.drawing import Drawing
    from ottenok.tasks.tables import Grid

__all__ = ["Cell", "Excerpt", "Mistake", "Plot", "Section", "Table", "from_grid", "plain_table", "visible"]


# Controls, and marks that turn the direction of what follows them: a stranger's text must not hide or reorder ours.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
# Longer than any name, sentence or recipe: more says nothing to a reader and makes the page too heavy to open.
_LONGEST = 200_000


def visible(text: str) -> str:
    """Return a text with hidden marks written out (`U+202E`), and without what is beyond 200,000 characters."""
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]}… ({len(text):,} characters)"
    return _HIDDEN.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A plot.

    Attributes:
        name: Of its files and its element, unique on the page: small Latin letters, digits, `-`.
        title: A few words.
        alt: What it shows, with its main numbers, for those who can't see it.
        note: What a reader should know to read it right; may be empty.
        drawing: The picture.
        numbers: What is drawn, for `report.json`.
    """

    name: str
    title: str
    alt: str
    note: str = ""
    drawing: Drawing
    numbers: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: What it says.
        language: ISO 639-1 code, where it is not the page's.
        link: An http address that it leads to; empty: none.
        code: Whether it is a name or a hash, to be set in a fixed width.
    """

    text: str
    language: str = ""
    link: str = ""
    code: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table; its first column is a heading.

    Attributes:
        title: What it shows.
        header: One name per column.
        rows: Each as long as the header.
        numeric: Whether all other columns are numbers, which are set to the right.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numeric: bool = True


def plain_table(
    title: str, header: Sequence[str], rows: Sequence[Sequence[str | Cell]], *, numeric: bool = True
) -> Table:
    """Return a table of strings and cells."""
    cells = tuple(tuple(cell if isinstance(cell, Cell) else Cell(text=cell) for cell in row) for row in rows)
    return Table(title=title, header=tuple(header), rows=cells, numeric=numeric)


def from_grid(title: str, grid: Grid) -> Table:
    """Return a table of `ottenok.tasks.tables`."""
    return plain_table(title, grid.header, grid.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """A wrong answer that the model was sure of.

    Attributes:
        id: Of the row.
        source: Of the row; may be empty.
        truth: Its labels; may be none.
        answer: What the model answered; may be none.
        probabilities: Label and probability, for each label that is in either.
        sureness: How far the probability is on the wrong side, 0..1.
        text: What was classified, at most some hundred characters; None where it is not at hand.
        language: ISO 639-1 code of the text; empty if unknown.
        marked: The text as HTML, in which the words are marked that speak for and against the answer; empty where that
            was not asked.
    """

    id: str
    source: str
    truth: tuple[str, ...]
    answer: tuple[str, ...]
    probabilities: tuple[tuple[str, float], ...]
    sureness: float
    text: str | None = None
    language: str = ""
    marked: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    """A text of the data, with what is said of it.

    Attributes:
        text: At most some hundred characters.
        language: ISO 639-1 code of the text; empty if unknown.
        facts: Name and value, each a line below it.
    """

    text: str
    language: str = ""
    facts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of a page, with its own place in the table of contents.

    Attributes:
        name: Its id, unique on the page.
        title: Its heading.
        lines: Paragraphs.
        plots: Its plots.
        tables: Its tables.
        mistakes: Wrong answers, worst first.
        excerpts: Texts of the data, the most notable first.
        code: A text to be shown as it is, folded: the recipe.
        parts: Sections below it.
    """

    name: str
    title: str
    lines: tuple[str, ...] = ()
    plots: tuple[Plot, ...] = ()
    tables: tuple[Table, ...] = ()
    mistakes: tuple[Mistake, ...] = ()
    excerpts: tuple[Excerpt, ...] = ()
    code: str = ""
    parts: tuple[Section, ...] = field(default=())

    def all_plots(self) -> tuple[Plot, ...]:
        """Return the plots of this section and of those below it."""
        return (*self.plots, *(plot for part in self.parts for plot in part.all_plots()))

    def has_texts(self) -> bool:
        """Say whether texts of the data are shown here or below."""
        own = bool(self.excerpts) or any(mistake.text is not None for mistake in self.mistakes)
        return own or any(part.has_texts() for part in self.parts)
