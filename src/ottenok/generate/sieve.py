"""Which of a model's texts are taken: none that is faulty, and none that repeats a known text, exactly or nearly.

Keys, sketches and the Jaccard index are those of `ottenok.data`, so a copy here is what a corpus calls a duplicate.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ottenok.core.language import detect_language
from ottenok.core.progress import SILENT, stage
from ottenok.data.near import band_hashes, jaccard
from ottenok.recipes.corpus import CleanOptions
from ottenok.text.normalise import TextOptions, dedupe_key, normalise

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from ottenok.core.progress import Progress
    from ottenok.data.corpus import Corpus
    from ottenok.generate.recipe import GenerationRecipe

__all__ = ["KnownTexts", "Match", "Origin", "Sieve"]

# A text is kept as it was written: addresses and widths are the business of the corpus that it goes into.
_TIDY = TextOptions(width="keep", marks="keep", urls="keep", users="keep")
_BATCH = 8_192  # texts that are sketched at once; sketching takes some 70 bytes a character
_BUCKET = 256  # texts of one template that are compared; more of them say nothing new


class Origin(IntEnum):
    """Where a known text is from; the greater, the worse is a copy of it."""

    GENERATED = 0
    EXAMPLE = 1
    TRAIN = 2
    VALIDATION = 3
    TEST = 4


class Match(NamedTuple):
    """What a text repeats: where that is from, and whether exactly (otherwise nearly)."""

    origin: Origin
    exact: bool


class KnownTexts:
    """A growing set of texts by their duplicate keys (`ottenok.text.normalise.dedupe_key`), with their origins."""

    def __init__(self) -> None:
        self._options = CleanOptions()
        self._exact: dict[str, Origin] = {}
        self._keys: list[str] = []
        # Sketches, uint64[bands, m] in ascending order, and the place in `_keys` of each; a part for each `add`.
        self._sketches: list[tuple[NDArray[np.uint64], NDArray[np.int32]]] = []

    def add(self, keys: Sequence[str], origins: Sequence[Origin]) -> None:
        """Add texts, each from its origin.

        Raises:
            MissingExtraError: A package of the extra `data` is not installed.
        """
        if keys:
            hashes, enough = band_hashes(keys, self._options)
            places = (len(self._keys) + np.flatnonzero(enough)).astype(np.int32)
            order = np.argsort(hashes.T, axis=1, kind="stable")
            self._sketches.append((np.take_along_axis(hashes.T, order, 1), places[order]))
            self._keys += keys
        for key, origin in zip(keys, origins, strict=True):
            self._exact[key] = max(origin, self._exact.get(key, origin))

    def find(self, key: str) -> Match | None:
        """Return what a text repeats: the worst where it is several, a text of a test before one of train."""
        if not self._keys:
            return None
        if len(self._sketches) > 1:
            hashes, places = (np.concatenate(parts, axis=1) for parts in zip(*self._sketches, strict=True))
            order = np.argsort(hashes, axis=1, kind="stable")
            self._sketches = [(np.take_along_axis(hashes, order, 1), np.take_along_axis(places, order, 1))]
        found = [Match(self._exact[key], exact=True)] if key in self._exact else []
        near: set[int] = set()
        sketch, _ = band_hashes([key], self._options)
        for band, places, values in zip(*self._sketches[0], sketch.T, strict=True):
            for value in values:
                start, end = np.searchsorted(band, value, side="left"), np.searchsorted(band, value, side="right")
                near.update(places[start : min(end, start + _BUCKET)].tolist())
        if near:
            right = np.arange(1, len(near) + 1, dtype=np.int64)
            keys = [self._keys[place] for place in near]
            alike = jaccard([key, *keys], np.zeros_like(right), right, self._options) >= self._options.threshold
            found += [Match(self._exact[keys[place]], exact=False) for place in np.flatnonzero(alike)]
        return max(found, default=None)


class Sieve:
    """Takes each text once, and none that repeats a known one."""

    def __init__(self, recipe: GenerationRecipe) -> None:
        self._recipe = recipe
        self._own = KnownTexts()
        # The texts of each corpus are compared in the corpus's own normal form.
        self._shelves: list[tuple[TextOptions, KnownTexts]] = []
        self.put((example for wanted in recipe.labels.values() for example in wanted.examples), Origin.EXAMPLE)

    def put(self, texts: Iterable[str], origin: Origin) -> None:
        """Refuse repeats of these texts from now on."""
        keys = [dedupe_key(normalise(text)) for text in texts]
        self._own.add(keys, [origin] * len(keys))

    def put_corpus(self, corpus: Corpus, progress: Progress = SILENT) -> None:
        """Refuse copies and near copies of every text of a corpus from now on.

        Raises:
            MissingExtraError: A package of the extra `data` is not installed.
        """
        recipe: dict[str, Any] = corpus.manifest.get("recipe", {})
        table = corpus.table(columns=("text", "split"))
        known = KnownTexts()
        with stage(progress, f"texts of {corpus.manifest.get('name', 'the corpus')}", total=len(table), unit="rows"):
            for batch in table.to_batches(max_chunksize=_BATCH):
                keys = [dedupe_key(text) for text in batch.column("text").to_pylist()]
                known.add(keys, [Origin[split.upper()] for split in batch.column("split").to_pylist()])
                progress.advance(len(keys))
        self._shelves.append((TextOptions(**recipe.get("text", {})), known))

    def sift(self, texts: Sequence[str], *, most: int) -> list[tuple[str, str]]:
        """Judge the texts of an answer, in order.

        Args:
            texts: What the model wrote.
            most: How many are still wanted; the rest is refused.

        Returns:
            Each text, tidied to one line without control characters, and the reason why it is refused, short and
            constant; an empty one where it is taken.
        """
        tidy = [normalise(text, _TIDY) for text in texts]
        copies: list[list[Match | None]] = [[None] * len(tidy)]
        for options, known in self._shelves:
            copies.append([known.find(dedupe_key(normalise(text, options))) for text in tidy])
        worst = [max((one for one in column if one), default=None) for column in zip(*copies, strict=True)]
        rules, found, taken = self._recipe.texts, [], 0
        for text, copy in zip(tidy, worst, strict=True):
            if sum(map(str.isalnum, text)) < rules.minimum_letters:
                reason = "too short"
            elif len(text) > rules.maximum_characters:
                reason = "too long"
            elif rules.check_language and detect_language(text) != self._recipe.language:
                reason = "another language"
            elif copy is None and taken >= most:
                reason = "more than wanted"
            elif (match := copy or self._own.find(dedupe_key(normalise(text)))) is None:
                reason = ""
            elif match.origin is Origin.GENERATED:
                reason = "duplicate" if match.exact else "near duplicate"
            else:
                what = "an example" if match.origin is Origin.EXAMPLE else f"a {match.origin.name.lower()} text"
                reason = f"{'copy' if match.exact else 'near copy'} of {what}"
            if not reason:
                self.put([text], Origin.GENERATED)
                taken += 1
            found.append((text, reason))
        return found
