"""The shares of words in a logit, from nothing but the logits of the text with some of its words."""

from __future__ import annotations

from itertools import compress
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
# Words of a text that are told apart, and of a part of a very long one; the least core too.
_MOST, _FEWEST = 600, 6
# The largest weight of the change of the core.
_MOST_AMONG = 0.75


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
    label: int,
    *,
    base: Floats,
    whole: Floats,
    windows: int = 1,
    read: slice = slice(None),
) -> tuple[WordShare, ...]:
    """Return each word's share of what a label's logit of the text has over that of a text without words.

    The share of a word is a weighed mean of two changes: of the empty text when it gets the word, and of the text's
    core when it gets or loses the word. The core are those half of the words that change the empty text most. Where it
    is all words (up to six), that is the Shapley value wherever words act alone or in pairs; else what its words do
    with each other stands for what the others do with them. What is left over is given to all words by the size of
    their shares, so that base and shares are together the logit. Compared with other methods in docs/explain.md.

    A text that is read in several windows is explained part by part, each about as long as a window; a word's share is
    then what it does in its part, by the part's weight. Where there are too many words for the work that an explanation
    may cost, neighbours go together.

    Args:
        text: As given.
        logits: The logits of texts, float64 `[texts, labels]`.
        label: Place of the label that is explained.
        base: Logits of a text without words, `[labels]`.
        whole: Logits of this text, `[labels]`.
        windows: In how many windows the text would be read whole.
        read: Which of them are read.
    """
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
        # Each word's mean change of the empty text and of the core, `[words, labels]`.
        alone = logits([word.text for word in own]) - base
        strength = np.abs(alone).max(axis=1)
        core = np.zeros(len(own), dtype=np.bool_)
        core[np.argsort(-strength, kind="stable")[: max(_FEWEST, (len(own) + 1) // 2)]] = True
        sets = np.vstack([core, core ^ np.eye(len(own), dtype=np.bool_)])
        of_core, *others = logits([joined(text, compress(own, one)) for one in sets])
        among = np.where(core, 1.0, -1.0)[:, None] * (of_core - np.array(others))
        # Half of what a pair does belongs to each word; the core's words stand for all.
        share = min(0.5 * strength.sum() / max(float(strength[core].sum()), 1e-9), _MOST_AMONG)
        changes: Floats = (1.0 - share) * alone + share * among
        found += zip(own, (weight * changes[:, label]).tolist(), strict=True)
    shares = np.array([share for _, share in found])
    gap = (whole - base)[label] - shares.sum()
    sizes = np.abs(shares)
    if len(shares):
        shares += gap * (sizes / sizes.sum() if sizes.any() else 1.0 / len(shares))
    told = zip((word for word, _ in found), shares.tolist(), strict=True)
    return tuple(WordShare(text=w.text, start=w.start, end=w.end, share=share) for w, share in told)
