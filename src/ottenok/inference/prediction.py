"""What prediction answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Prediction"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """The answer for one text.

    A text without anything to read (empty, only white space, or nothing that the tokenizer keeps) is not guessed at:
    it has no label, scores of 0, no score and no windows.

    Attributes:
        label: The answer; of several labels the most probable one; None where there is none.
        labels: Every label in the answer, in the scheme's order: one or none, or any number in a multi-label scheme.
        scores: Each label's probability, 0..1, in the scheme's order. They sum to 1 unless the scheme is multi-label.
        score: For labels with an order, the mean of their values under the probabilities: -1 is worst, 1 is best;
            None otherwise.
        windows: How many pieces the text was read in: 1, or more if it is longer than the model reads at once.
        truncated: True if a part of the text was left unread: what is beyond the caller's `max_windows`, or all but
            the end where ends are read (`read`).
        unknown: Share of the text's tokens that the model's vocabulary does not have, 0..1. Near 1 (another script),
            the answer rests on nothing.
    """

    label: str | None
    labels: tuple[str, ...]
    scores: Mapping[str, float]
    score: float | None
    windows: int
    truncated: bool = False
    unknown: float = 0.0

    @property
    def confidence(self) -> float:
        """Probability of `label`, 0..1; 0 where there is none."""
        return 0.0 if self.label is None else self.scores[self.label]

    def to_json(self) -> dict[str, Any]:
        """Return the prediction as a mapping that JSON can hold."""
        return {
            "label": self.label,
            "labels": list(self.labels),
            "scores": dict(self.scores),
            "score": self.score,
            "windows": self.windows,
            "truncated": self.truncated,
            "unknown": self.unknown,
        }
