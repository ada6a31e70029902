"""What a reader yields: a row, or a rejected record with its reason. Nothing else crosses from files to the corpus."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Record", "Rejected"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One text with its labels as published.

    Attributes:
        row: 1-based number of the record in its file (header not counted); with the file it is the record's address.
        text: The text as published, decoded; never empty after stripping white space.
        labels: The published labels as strings, before any map; empty where the publisher marks "none of them".
        language: ISO 639-1 code where the file says so per row, else None (the card's language holds).
        part: Name of a sub-source where the file holds several (a product category, a film), else None.
    """

    row: int
    text: str
    labels: tuple[str, ...]
    language: str | None = None
    part: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A record that can't be used.

    Attributes:
        row: 1-based number of the record in its file.
        reason: Short and constant per kind of fault (`empty text`, `3 fields instead of 2`), so that it can be counted.
        content: The start of the raw record, at most 200 characters, for the rejects file; no author columns.
    """

    row: int
    reason: str
    content: str
