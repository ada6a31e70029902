"""From a card and its files to records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ottenok.data.readers import read
from ottenok.tables.records import Record, Rejected

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ottenok.data.card import Card
    from ottenok.data.fetch import Located

__all__ = ["Source", "read_source"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A data set whose files are on this machine.

    Attributes:
        card: Its card, or what a user's file was turned into.
        files: Its files, as `ottenok.data.fetch.locate` found them.
    """

    card: Card
    files: Sequence[Located]

    @property
    def name(self) -> str:
        """The card's name."""
        return self.card.name


def read_source(source: Source) -> Iterator[tuple[int, Record | Rejected]]:
    """Yield the rows of every file of a source, each with the place of its file in `source.files`.

    A file's own reader, label and sub-source come before the card's and the row's.

    Raises:
        DataError: A file can't be read, or is not what its reader expects.
    """
    for number, located in enumerate(source.files):
        part = located.file.part
        for row in read(located.path, located.reader, label=located.file.label):
            if part is None or isinstance(row, Rejected) or row.part is not None:
                yield number, row
            else:
                yield number, Record(row=row.row, text=row.text, labels=row.labels, language=row.language, part=part)
