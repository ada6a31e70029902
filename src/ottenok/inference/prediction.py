"""What prediction answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Prediction", "TaskAnswer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskAnswer:
    """The answer of one task for one text.

    Attributes:
        labels: Every label in the answer, in the scheme's order: one or none, or any number in a multi-label scheme.
        probabilities: Each label's probability, 0..1, in the scheme's order. They sum to 1 unless the scheme is
            multi-label.
        polarity: For labels with an order, the mean of their values under the probabilities: -1 is worst, 1 is best;
            None otherwise, and where a label is withheld.
        reason: Why a label is withheld: `unsure`, `language` or `unfamiliar` (see `Prediction`); None otherwise.
    """

    labels: tuple[str, ...]
    probabilities: Mapping[str, float]
    polarity: float | None
    reason: str | None = None

    @property
    def label(self) -> str | None:
        """The answer; of several labels the most probable one; None where there is none."""
        return max(self.labels, key=self.probabilities.__getitem__, default=None)

    @property
    def confidence(self) -> float:
        """Probability of `label`, 0..1; 0 where there is none."""
        return 0.0 if self.label is None else self.probabilities[self.label]

    def to_json(self) -> dict[str, Any]:
        """Return the answer as a mapping that JSON can hold."""
        return {
            "label": self.label,
            "labels": list(self.labels),
            "confidence": self.confidence,
            "probabilities": dict(self.probabilities),
            "polarity": self.polarity,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Prediction:
    """The answer for one text.

    `label`, `labels`, `confidence`, `probabilities` and `polarity` are those of the first task, and a classifier with
    one task has no other. A text without anything to read (missing, empty, only white space, or nothing that the
    tokenizer keeps) is not guessed at: it has no label, probabilities of 0, no polarity, no windows, and a reason.
    Neither is a text in a language that the model does not know (`reason` is `language`), one that is unlike all that
    it was judged on (`unfamiliar`), or an answer that a promise of precision forbids (`unsure`; see `ottenok tune`):
    their probabilities are there, and labels withheld, unless the classifier was loaded with `always`.

    Attributes:
        tasks: Task name to its answer, in the model's order.
        windows: How many pieces the text was read in: 1, or more if it is longer than the model reads at once.
        truncated: True if a part of the text was left unread: what is beyond the caller's `max_windows`, or all but
            the end where ends are read (`read`).
        unknown: Share of the text's tokens that the model's vocabulary does not have, 0..1. Near 1 (another script),
            the answer rests on nothing.
        language: `ru`, `zh`, `uk`, `en` or `other`; None where it can't be told, as of `ok` and of random letters.
        unfamiliar: Share of the texts that the model was judged on that are less strange, 0..1; None where the model
            has no measure of it.
        reason: Why there is no label; None where there is one.
    """

    tasks: Mapping[str, TaskAnswer]
    windows: int
    truncated: bool = False
    unknown: float = 0.0
    language: str | None = None
    unfamiliar: float | None = None
    reason: str | None = None

    @property
    def label(self) -> str | None:
        """The answer; of several labels the most probable one; None where there is none."""
        return self._first.label

    @property
    def labels(self) -> tuple[str, ...]:
        """Every label in the answer, in the scheme's order."""
        return self._first.labels

    @property
    def confidence(self) -> float:
        """Probability of `label`, 0..1; 0 where there is none."""
        return self._first.confidence

    @property
    def probabilities(self) -> Mapping[str, float]:
        """Each label's probability, 0..1, in the scheme's order."""
        return self._first.probabilities

    @property
    def polarity(self) -> float | None:
        """For labels with an order their place between -1, the worst, and 1, the best; None otherwise."""
        return self._first.polarity

    @property
    def _first(self) -> TaskAnswer:
        return next(iter(self.tasks.values()))

    def to_json(self) -> dict[str, Any]:
        """Return the prediction as a mapping that JSON can hold; `tasks` is there if there are several."""
        tree = {
            **self._first.to_json(),
            "windows": self.windows,
            "truncated": self.truncated,
            "unknown": self.unknown,
            "language": self.language,
            "unfamiliar": self.unfamiliar,
            "reason": self.reason,
        }
        if len(self.tasks) > 1:
            tree["tasks"] = {name: answer.to_json() for name, answer in self.tasks.items()}
        return tree

    def __repr__(self) -> str:
        shown = ", ".join(f"{key}={value!r}" for key, value in self.to_json().items())
        return f"Prediction({shown})"
