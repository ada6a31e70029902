"""An explanation: how much each word of a text added to the answer, or took from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Explanation", "WordShare"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WordShare:
    """A word and its share in the answer.

    Attributes:
        text: The word as it stands in the text; several words where a text has too many to be told apart.
        start: Its first character, from 0.
        end: The character after its last.
        share: What it adds to the logit: above 0 it speaks for the label, below 0 against it.
    """

    text: str
    start: int
    end: int
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a label has the probability that it has.

    Logits are log-odds, `ln(p / (1 - p))` in nats, of the label's probability before thresholds: 0 is a probability of
    one half. For a regression they are the predicted number itself.

    Attributes:
        text: The text as it was given.
        task: The task's name.
        label: The label that is explained.
        base: The logit of a text without words.
        logit: The logit of this text: `base` and all shares together, to 1e-6.
        words: The words in the order of the text; `text[word.start : word.end] == word.text`.
    """

    text: str
    task: str
    label: str
    base: float
    logit: float
    words: tuple[WordShare, ...]

    def top(self, count: int = 3) -> tuple[WordShare, ...]:
        """Return the words that speak most for the label, strongest first; none that speak against it."""
        found = sorted((word for word in self.words if word.share > 0.0), key=lambda word: -word.share)
        return tuple(found[:count])

    def to_json(self) -> dict[str, Any]:
        """Return the explanation as a mapping that JSON can hold."""
        words = [{"text": word.text, "start": word.start, "end": word.end, "share": word.share} for word in self.words]
        return {
            "text": self.text,
            "task": self.task,
            "label": self.label,
            "base": self.base,
            "logit": self.logit,
            "words": words,
        }

    def to_html(self) -> str:
        """Return a page of its own, without scripts, that needs nothing from elsewhere; see `explanation_page`."""
        from ottenok.explain.page import explanation_page

        return explanation_page([self])
