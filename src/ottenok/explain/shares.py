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

__all__ = ["LONGEST", "word_shares"]

# Characters of a text that can be explained.
LONGEST = 20_000
# Tokens that are computed for a text at most, but for the rounding of its parts.
_BUDGET = 100_000
_FEWEST = 8


def word_shares(
    text: str,
    logits: Callable[[Sequence[str]], Floats],
    *,
    count: Callable[[Sequence[str]], Sequence[int]],
    room: int,
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
        count: The tokens of texts.
        room: Tokens that are read at once.
        read: Which of the parts are read.

    Raises:
        InputError: The text is longer than can be explained.
    """
    if len(text) > LONGEST:
        raise InputError(
            f"the text has {len(text):,} characters, and at most {LONGEST:,} can be explained",
            hint="Explain a part of it.",
        )
    base, whole = logits(["", text]).tolist()
    words = find_words(text)
    tokens = np.array(count([word.text for word in words]), dtype=np.float64) if words else np.zeros(0)
    # As many parts as windows, of about as many tokens each.
    windows = max(1, int(np.ceil(sum(count([text])) / room)))
    edges = np.minimum((np.cumsum(tokens) - tokens) * windows // max(tokens.sum(), 1.0), windows - 1)
    parts = [np.flatnonzero(edges == part) for part in range(windows)][read]
    weights = np.array([tokens[part].sum() for part in parts])
    units = max(_FEWEST, int(_BUDGET / max(weights.sum(), 1.0)))
    found: list[tuple[Word, float]] = []
    for part, weight in zip(parts, weights / max(weights.sum(), 1e-9), strict=True):
        runs = np.array_split(part, units) if len(part) > units else np.split(part, range(1, len(part)))
        spans = [(words[run[0]].start, words[run[-1]].end) for run in runs if len(run)]
        own = [Word(text[start:end], start, end) for start, end in spans]
        found += zip(own, (weight * _changes(text, own, logits, base)).tolist(), strict=True)
    shares = np.array([share for _, share in found])
    gap = (whole - base) - shares.sum()
    sizes = np.abs(shares)
    if len(shares):
        shares += gap * (sizes / sizes.sum() if sizes.any() else 1.0 / len(shares))
    told = (WordShare(text=w.text, start=w.start, end=w.end, share=s) for (w, _), s in zip(found, shares.tolist(), strict=True))
    return base, whole, tuple(told)


def _changes(text: str, words: Sequence[Word], logits: Callable[[Sequence[str]], Floats], base: float) -> Floats:
    """Return each word's mean change: of all words without it, and of none with it."""
    without = [joined(text, [*words[:place], *words[place + 1 :]]) for place in range(len(words))]
    found = logits([joined(text, words), *without, *(word.text for word in words)])
    loses, gains = found[0] - found[1 : len(words) + 1], found[len(words) + 1 :] - base
    return (loses + gains) / 2.0
