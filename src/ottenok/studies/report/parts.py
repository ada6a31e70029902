"""What a report is made of: sections with sentences, plots, tables and mistakes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ottenok.studies.report.canvas import Drawing

__all__ = ["Cell", "Mistake", "Plot", "Section", "Table", "Words"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What is said of a plot.

    Attributes:
        name: Of its files and its element, unique in the report: small Latin letters, digits, `-`.
        title: A few words.
        alt: What it shows, with its main numbers, for those who can't see it.
        note: What a reader should know to read it right; may be empty.
    """

    name: str
    title: str
    alt: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A plot.

    Attributes:
        words: What is said of it.
        drawing: The picture.
        numbers: What is drawn, for `report.json`.
    """

    words: Words
    drawing: Drawing
    numbers: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: What it says.
        language: ISO 639-1 code, where it is not the report's.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """A wrong answer that the model was sure of.

    Attributes:
        id: Of the row.
        source: Of the row; may be empty.
        truth: Its labels; may be none.
        answer: What the model answered; may be none.
        scores: Label and probability, for each label that is in either.
        sureness: How far the probability is on the wrong side, 0..1.
        text: What was classified, at most some hundred characters; None where it is not at hand.
        language: ISO 639-1 code of the text; empty if unknown.
    """

    id: str
    source: str
    truth: tuple[str, ...]
    answer: tuple[str, ...]
    scores: tuple[tuple[str, float], ...]
    sureness: float
    text: str | None = None
    language: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of the report, with its own place in the table of contents.

    Attributes:
        name: Its id, unique in the report.
        title: Its heading.
        lines: Paragraphs.
        plots: Its plots.
        tables: Its tables.
        mistakes: Wrong answers, worst first.
        code: A text to be shown as it is, folded: the recipe.
        parts: Sections below it.
    """

    name: str
    title: str
    lines: tuple[str, ...] = ()
    plots: tuple[Plot, ...] = ()
    tables: tuple[Table, ...] = ()
    mistakes: tuple[Mistake, ...] = ()
    code: str = ""
    parts: tuple[Section, ...] = field(default=())

    def all_plots(self) -> tuple[Plot, ...]:
        """Return the plots of this section and of those below it."""
        return (*self.plots, *(plot for part in self.parts for plot in part.all_plots()))

    def has_texts(self) -> bool:
        """Say whether texts of the data are shown here or below."""
        own = any(mistake.text is not None for mistake in self.mistakes)
        return own or any(part.has_texts() for part in self.parts)
