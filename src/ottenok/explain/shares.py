"""The shares of words in a logit, from nothing but the logits of the text with some of its words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ottenok.core.errors import InputError
from ottenok.explain.explanation import WordShare
from ottenok.explain.words import Word, find_words, joined

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

__all__ = ["LONGEST", "check_length", "word_shares"]

# Characters of a text that can be explained.
LONGEST = 20_000
# Words of a text that are told apart, and of a part of a very long one.
_MOST, _FEWEST = 600, 6


def check_length(text: str) -> None:
    """Refuse a text that is too long to be explained.

    Raises:
        InputError: It has more than 20,000 characters.
    """
    if len(text) > LONGEST:
        raise InputError(
            f"the text has {len(text):,} characters, and at most {LONGEST:,} can be explained",
            hint="Explain a part of it.",
        )


def word_shares(
    text: str,
    logits: Callable[[Sequence[str]], Floats],
    *,
    windows: int = 1,
    read: slice = slice(None),
) -> tuple[float, float, tuple[WordShare, ...]]:
    """Return the base, the logit, and each word's share of the difference.

    The share of a word is the mean of two changes: of the text when it loses the word, and of the empty text when it
    gets the word. That is the Shapley value wherever words act alone or in pairs, and needs two short rounds instead of
    hundreds. What words do in threes and more is left over: it is given to all words by the size of their shares, so
    that base and shares are together the logit. Compared with other methods in docs/explain.md.

    A text that is read in several windows is explained part by part, each about as long as a window; a word's share is
    then what it does in its part, by the part's weight. Where there are too many words for the work that an explanation
    may cost, neighbours go together.

    Args:
        text: As given.
        logits: The logits of texts; the empty one's is the base.
        windows: In how many windows the text would be read whole.
        read: Which of them are read.
    """
    base, whole = logits(["", text]).tolist()
    words = find_words(text)
    sizes = np.array([len(word.text) for word in words], dtype=np.float64)
    edges = np.minimum((np.cumsum(sizes) - sizes) * windows // max(sizes.sum(), 1.0), windows - 1)
    parts = [part for part in (np.flatnonzero(edges == place) for place in range(windows)) if len(part)][read]
    weights = np.array([sizes[part].sum() for part in parts])
    units = max(_FEWEST, _MOST // max(len(parts), 1))
    found: list[tuple[Word, float]] = []
    for part, weight in zip(parts, weights / weights.sum(), strict=True):
        runs = np.array_split(part, units) if len(part) > units else np.split(part, range(1, len(part)))
        spans = [(words[run[0]].start, words[run[-1]].end) for run in runs if len(run)]
        own = [Word(text[start:end], start, end) for start, end in spans]
        found += zip(
            own, (weight * _changes(text, own, logits, base, whole if len(parts) == 1 else None)).tolist(), strict=True
        )
    shares = np.array([share for _, share in found])
    gap = (whole - base) - shares.sum()
    sizes = np.abs(shares)
    if len(shares):
        shares += gap * (sizes / sizes.sum() if sizes.any() else 1.0 / len(shares))
    told = zip((word for word, _ in found), shares.tolist(), strict=True)
    return base, whole, tuple(WordShare(text=w.text, start=w.start, end=w.end, share=share) for w, share in told)


def _changes(
    text: str, words: Sequence[Word], logits: Callable[[Sequence[str]], Floats], base: float, whole: float | None
) -> Floats:
    """Return each word's mean change: of all words without it, and of none with it."""
    parts = [joined(text, [*words[:place], *words[place + 1 :]]) for place in range(len(words))]
    found = logits([*parts, *(word.text for word in words), *([joined(text, words)] if whole is None else [])])
    all_words = found[-1] if whole is None else whole
    mean: Floats = (all_words - found[: len(words)] + found[len(words) : 2 * len(words)] - base) / 2.0
    return mean
