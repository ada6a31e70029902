"""Noise in training: some texts of each epoch are read with typos or as speech recognition would have written them.

Which texts, and how, follows from the recipe's seed, the epoch and the row alone: not from the order of the batches. So
a run that is taken up again sees what it would have seen, and each epoch sees other noise.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from ottenok.core.table import Table
from ottenok.text.noise import NoiseKind, add_noise

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["NoiseOptions", "RowNoise"]


class NoiseOptions(Table):
    """Noise in the texts that are learned from; validation and test texts stay as they are.

    Attributes:
        kinds: Kinds of noise; each noisy text gets one of them. See `ottenok.text.noise.add_noise`.
        rate: Share of a noisy text's words that are hit.
        share: Share of an epoch's texts that get noise, drawn anew for each epoch.
    """

    kinds: Annotated[tuple[NoiseKind, ...], Field(min_length=1)] = ("typos", "asr")
    rate: float = Field(default=0.1, ge=0, le=1)
    share: float = Field(default=0.3, ge=0, le=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowNoise:
    """Reads rows with the noise of an epoch.

    Attributes:
        texts: The texts of all rows.
        options: How much noise.
        seed: Of the run.
        epoch: Returns the current epoch, from 0.
        encode: Texts to token ids.
    """

    texts: Sequence[str]
    options: NoiseOptions
    seed: int
    epoch: Callable[[], int]
    encode: Callable[[list[str]], list[list[int]]]

    def __call__(self, rows: Sequence[int]) -> dict[int, list[int]]:
        """Return place among `rows` to token ids, for the rows that have noise in this epoch."""
        epoch = self.epoch()
        noisy = {place: text for place, row in enumerate(rows) if (text := self._text(row, epoch)) is not None}
        return dict(zip(noisy, self.encode(list(noisy.values())), strict=True)) if noisy else {}

    def _text(self, row: int, epoch: int) -> str | None:
        chance = random.Random(f"{self.seed} {epoch} {row}")  # noqa: S311 - no secret
        if chance.random() >= self.options.share:
            return None
        kind = chance.choice(self.options.kinds)
        return add_noise(self.texts[row], kind, rate=self.options.rate, seed=chance.getrandbits(32))
