"""The first pass: read every record, harmonise it, note it in the ledger and put its text into the spill."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ottenok.core.language import detect_language
from ottenok.core.progress import SILENT, stage
from ottenok.data.harmonise import clean_text
from ottenok.data.keys import key_digest
from ottenok.data.ledger import Codes, LedgerRow, LedgerWriter
from ottenok.data.overlaps import OverlapCounter
from ottenok.data.readers import read
from ottenok.data.reasons import Reason
from ottenok.tables.rows import Rejected
from ottenok.text.normalise import dedupe_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ottenok.core.progress import Progress
    from ottenok.data.harmonise import Harmoniser, Mapped
    from ottenok.data.inputs import Input, InputFile, Inputs
    from ottenok.data.spill import SpillWriter
    from ottenok.recipes.corpus import CorpusRecipe
    from ottenok.tables.rejects import RejectsFile
    from ottenok.tables.rows import Record

__all__ = ["Intake", "Noted", "take_in"]

_ADVANCE = 1_000
_CONTENT = 200


@dataclass(slots=True, kw_only=True)
class Noted:
    """What is known of the records when all are read.

    Attributes:
        ledger: The rows that were taken.
        labels: The table of label sets of each task.
        languages: The table of languages.
        overlaps: The texts of all records, also of those whose labels the map leaves out.
        read: Records per file, rejected ones included.
        rejected: Rejected records per file and reason.
        dropped: Records that the recipe or its label map leaves out, per file and `Reason`.
    """

    ledger: LedgerWriter
    labels: tuple[Codes, ...]
    languages: Codes = field(default_factory=Codes)
    overlaps: OverlapCounter = field(default_factory=OverlapCounter)
    read: Counter[int] = field(default_factory=Counter)
    rejected: Counter[tuple[int, str]] = field(default_factory=Counter)
    dropped: Counter[tuple[int, Reason]] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """Where records come from and go to.

    Attributes:
        inputs: What is read.
        recipe: How.
        harmonisers: For each source and task what maps its labels, or None.
        spill: Takes the texts.
        rejects: Takes the records that can't be used.
        noted: Takes everything else.
    """

    inputs: Inputs
    recipe: CorpusRecipe
    harmonisers: Sequence[Sequence[Harmoniser | None]]
    spill: SpillWriter
    rejects: RejectsFile
    noted: Noted


def take_in(intake: Intake, progress: Progress = SILENT) -> Noted:
    """Read all files.

    Raises:
        DataError: A file can't be read.
    """
    for number, file in enumerate(intake.inputs.files):
        one = intake.inputs.sources[file.source]
        reading = _Reading(intake=intake, one=one, file=file, number=number, harmonise=intake.harmonisers[file.source])
        with stage(progress, f"reading {one.card.name}", total=file.located.file.rows, unit="rows"):
            reading.run(progress)
    return intake.noted


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """The reading of one file."""

    intake: Intake
    one: Input
    file: InputFile
    number: int
    harmonise: Sequence[Harmoniser | None]

    def run(self, progress: Progress) -> None:
        located = self.file.located
        count = 0
        for item in read(located.path, located.reader, label=located.file.label):
            if isinstance(item, Rejected):
                self._reject(item)
            else:
                self._record(item)
            count += 1
            if count % _ADVANCE == 0:
                progress.advance(_ADVANCE)
        progress.advance(count % _ADVANCE)
        self.intake.noted.read[self.number] += count

    def _record(self, record: Record) -> None:
        part = record.part or self.file.located.file.part
        if not self.one.spec.wants(part):
            self._drop(Reason.PART)
            return
        text = clean_text(record.text, self.intake.recipe.text, emoticons=self.one.card.emoticons)
        if not text:
            self._refuse(record, "empty text after cleaning", record.text)
            return
        key = dedupe_key(text)
        digest = key_digest(key)
        self._note_overlap(key if text == record.text else dedupe_key(record.text), key, digest)
        mapped = [None if one is None else one(record.labels) for one in self.harmonise]
        given = [one for one in mapped if one is not None]
        if given[0].unknown is not None:
            self._refuse(record, "unknown label", f"{given[0].unknown}: {record.text}")
        elif all(one.reason != Reason.KEPT for one in given):
            self._drop(given[0].reason)
        elif len(key) < self.intake.recipe.clean.minimum_letters:
            self._drop(Reason.SHORT)
        else:
            self.intake.noted.ledger.add(self._row(record, text, mapped, digest))
            self.intake.spill.add(text, key, part)

    def _row(self, record: Record, text: str, mapped: Sequence[Mapped | None], digest: bytes) -> LedgerRow:
        languages = self.one.card.languages
        language = record.language or (languages[0] if len(languages) == 1 else detect_language(text))
        return LedgerRow(
            file=self.number,
            row=record.row,
            split=self.file.split,
            labels=tuple(
                table.code(*one.labels) if one is not None and one.reason == Reason.KEPT else -1
                for table, one in zip(self.intake.noted.labels, mapped, strict=True)
            ),
            language=self.intake.noted.languages.code(language),
            length=len(text),
            digest=digest,
        )

    def _note_overlap(self, published: str, key: str, digest: bytes) -> None:
        """Overlaps are those of the texts as published; cleaning compares them as normalised."""
        digest = digest if published == key else key_digest(published)
        self.intake.noted.overlaps.add(digest, letters=len(published), file=self.number)

    def _drop(self, reason: Reason) -> None:
        self.intake.noted.dropped[self.number, reason] += 1

    def _refuse(self, record: Record, reason: str, content: str) -> None:
        self._reject(Rejected(row=record.row, reason=reason, content=content[:_CONTENT]))

    def _reject(self, rejected: Rejected) -> None:
        self.intake.noted.rejected[self.number, rejected.reason] += 1
        self.intake.rejects.write(source=self.one.card.name, file=self.file.name, rejected=rejected)
