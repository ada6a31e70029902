"""What a corpus holds and what its making dropped, as plain frozen objects: the manifest in types."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from ottenok.core.errors import DataError
from ottenok.data.corpus import MANIFEST_FILE

if TYPE_CHECKING:
    from ottenok.data.corpus import Corpus

__all__ = ["CorpusStats", "Dropped", "FileStats", "NearStats", "Overlap", "Skipped", "SourceStats", "corpus_stats"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileStats:
    """One file that was read.

    Attributes:
        path: As the card names it.
        sha256: Of its bytes.
        bytes: Its size.
        split: Its official split, or None.
        rows: Records read, rejected ones included.
        texts: Different texts in it.
        rejected: Reason to number of records that could not be used.
    """

    path: str
    sha256: str
    bytes: int
    split: str | None
    rows: int
    texts: int
    rejected: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """Rows that were read and are not in the corpus.

    Attributes:
        split: The split that they were meant for; None: not decided yet.
        reason: Why they are not there.
        of: Name of the source whose row is kept instead, where there is one.
        rows: How many.
    """

    split: str | None
    reason: str
    of: str | None
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceStats:
    """One source.

    Attributes:
        name: Its name.
        title: As its publisher calls it.
        use: How the recipe uses it.
        annotation: Who labelled it, as on the card.
        licence: SPDX identifier or `unknown`.
        commercial: Whether the terms allow commercial use; None: unknown.
        citation: Paper or page.
        homepage: Where it is described.
        files: What was read.
        missing: Optional files that were not there.
        read: Records read.
        rejected: Reason to records that could not be used.
        dropped: Rows that were left out, by split, reason and source.
        kept: Split to rows.
        labels: Split to label to rows; of a row with several labels each counts, `(none)` is a row without.
        languages: Language to rows.
        lengths: Percentile to characters of the kept texts.
    """

    name: str
    title: str
    use: str
    annotation: str
    licence: str
    commercial: bool | None
    citation: str
    homepage: str
    files: tuple[FileStats, ...]
    missing: tuple[str, ...]
    read: int
    rejected: dict[str, int]
    dropped: tuple[Dropped, ...]
    kept: dict[str, int]
    labels: dict[str, dict[str, int]]
    languages: dict[str, int]
    lengths: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """What two files share, counted before anything was removed.

    Attributes:
        first: `source:file`.
        second: `source:file`.
        texts: Different texts (letters and digits, case ignored) that are in both.
        long_texts: Those with at least six letters or digits; shorter ones meet by chance.
        first_rows: Rows of the first whose text is in the second.
        second_rows: Rows of the second whose text is in the first.
    """

    first: str
    second: str
    texts: int
    long_texts: int
    first_rows: int
    second_rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NearStats:
    """Groups of near duplicates that were found among different texts.

    Attributes:
        groups: How many groups of two texts or more.
        texts: Texts in them.
        largest: Texts in the largest.
    """

    groups: int
    texts: int
    largest: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A source of the recipe that is not in the corpus.

    Attributes:
        name: Its name.
        why: What is not there.
    """

    name: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusStats:
    """A corpus in numbers.

    Attributes:
        name: Its name.
        scheme: Its label scheme.
        rows: Split to rows.
        sources: What it was made of, by name.
        skipped: What the recipe names and was not there.
        overlaps: Files that share texts, most first.
        near: Near duplicates, or None where they were not looked for.
    """

    name: str
    scheme: str
    rows: dict[str, int]
    sources: tuple[SourceStats, ...]
    skipped: tuple[Skipped, ...]
    overlaps: tuple[Overlap, ...]
    near: NearStats | None

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as JSON values."""
        return asdict(self)


_FIELDS = ("name", "scheme", "rows", "sources", "skipped", "overlaps", "near")


def corpus_stats(corpus: Corpus) -> CorpusStats:
    """Return the numbers of a corpus, as its manifest holds them.

    Raises:
        DataError: The manifest lacks something, or is of another version.
    """
    found = {name: corpus.manifest[name] for name in _FIELDS if name in corpus.manifest}
    try:
        return TypeAdapter(CorpusStats).validate_python(found)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise DataError(
            f"the manifest is not what this version writes: {first['msg']}",
            hint="Build the corpus again.",
            file=str(corpus.folder / MANIFEST_FILE),
            key=".".join(map(str, first["loc"])),
        ) from error
