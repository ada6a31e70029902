"""Which of a model's texts are taken, and why the others are not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ottenok.core.language import detect_language
from ottenok.core.progress import SILENT, stage
from ottenok.generate.known import KnownTexts, Origin
from ottenok.text.normalise import TextOptions, dedupe_key, normalise

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ottenok.core.progress import Progress
    from ottenok.data.corpus import Corpus
    from ottenok.generate.known import Match
    from ottenok.generate.recipe import GenerationRecipe

__all__ = ["Sieve", "Verdict"]

# A text is kept as it was written: addresses and widths are the business of the corpus that it goes into.
_TIDY = TextOptions(width="keep", marks="keep", urls="keep", users="keep")
_SPLITS = {"train": Origin.TRAIN, "validation": Origin.VALIDATION, "test": Origin.TEST}
_ORIGINS = {
    Origin.EXAMPLE: "an example",
    Origin.TRAIN: "a train text",
    Origin.VALIDATION: "a validation text",
    Origin.TEST: "a test text",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of one text.

    Attributes:
        text: Tidied: one line, no control characters.
        reason: Why it is refused, short and constant; empty where it is taken.
    """

    text: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shelf:
    """The texts of a corpus, compared in the corpus's own normal form."""

    options: TextOptions
    known: KnownTexts

    def find(self, texts: Sequence[str]) -> list[Match | None]:
        """What each text repeats."""
        return self.known.find([dedupe_key(normalise(text, self.options)) for text in texts])


class Sieve:
    """Takes each text once, and none that repeats a known one."""

    def __init__(self, recipe: GenerationRecipe) -> None:
        self._recipe = recipe
        self._own = KnownTexts()
        self._shelves: list[_Shelf] = []
        examples = [key for wanted in recipe.labels.values() for key in map(_key, wanted.examples)]
        self._own.add(examples, [Origin.EXAMPLE] * len(examples))

    def put_corpus(self, corpus: Corpus, progress: Progress = SILENT) -> None:
        """Refuse copies and near copies of every text of a corpus from now on.

        Raises:
            MissingExtraError: A package of the extra `data` is not installed.
        """
        recipe: dict[str, Any] = corpus.manifest.get("recipe", {})
        options = TextOptions(**recipe.get("text", {}))
        table = corpus.table(columns=("text", "split"))
        known = KnownTexts()
        with stage(progress, f"texts of {corpus.manifest.get('name', 'the corpus')}", total=len(table), unit="rows"):
            for batch in table.to_batches(max_chunksize=1 << 20):
                keys = [dedupe_key(text) for text in batch.column("text").to_pylist()]
                known.add(keys, [_SPLITS[split] for split in batch.column("split").to_pylist()], progress)
        self._shelves.append(_Shelf(options=options, known=known))

    def put_generated(self, texts: Iterable[str]) -> None:
        """Refuse repeats of texts that were taken in an earlier run."""
        keys = [_key(text) for text in texts]
        self._own.add(keys, [Origin.GENERATED] * len(keys))

    def sift(self, texts: Sequence[str], *, most: int) -> list[Verdict]:
        """Judge the texts of an answer, in order.

        Args:
            texts: What the model wrote.
            most: How many are still wanted; the rest is refused.
        """
        tidy = [normalise(text, _TIDY) for text in texts]
        copies = self._copies(tidy)
        found: list[Verdict] = []
        taken = 0
        for text, copy in zip(tidy, copies, strict=True):
            reason = self._fault(text) or copy or ("" if taken < most else "more than wanted")
            reason = reason or self._repeat(text)
            taken += not reason
            found.append(Verdict(text=text, reason=reason))
        return found

    def _fault(self, text: str) -> str:
        """What is wrong with a text by itself."""
        rules = self._recipe.texts
        if sum(map(str.isalnum, text)) < rules.minimum_letters:
            return "too short"
        if len(text) > rules.maximum_characters:
            return "too long"
        if rules.check_language and detect_language(text) != self._recipe.language:
            return "another language"
        return ""

    def _copies(self, texts: Sequence[str]) -> list[str]:
        """Of which text of a corpus each is a copy."""
        matches: list[list[Match | None]] = [[None] * len(texts)]
        matches += [shelf.find(texts) for shelf in self._shelves]
        worst = (max((one for one in column if one), default=None) for column in zip(*matches, strict=True))
        return [_reason(match) for match in worst]

    def _repeat(self, text: str) -> str:
        """Whether it repeats an example or a text that was taken; if it does not, it is taken."""
        key = _key(text)
        reason = _reason(self._own.find([key])[0])
        if not reason:
            self._own.add([key], [Origin.GENERATED])
        return reason


def _key(text: str) -> str:
    return dedupe_key(normalise(text))


def _reason(match: Match | None) -> str:
    if match is None:
        return ""
    if match.origin is Origin.GENERATED:
        return "duplicate" if match.exact else "near duplicate"
    return f"{'copy' if match.exact else 'near copy'} of {_ORIGINS[match.origin]}"
