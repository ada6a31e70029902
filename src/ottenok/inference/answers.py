"""Predictions as columns, for files and data frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ottenok.core.schemes import LabelScheme
    from ottenok.inference.prediction import Prediction

__all__ = ["AnswerColumns"]

# Digits of numbers in files; int8 is not as exact, and files stay half as large.
_DIGITS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerColumns:
    """The columns that prediction adds to a table.

    Attributes:
        scheme: The labels.
        prefix: Of the columns' names.
    """

    scheme: LabelScheme
    prefix: str = "predicted_"

    @property
    def names(self) -> tuple[str, ...]:
        """`label` or `labels`, `polarity` where labels have an order, one probability per label, with the prefix."""
        label = "labels" if self.several else "label"
        polarity = ("polarity",) if self.scheme.values else ()
        return tuple(f"{self.prefix}{name}" for name in (label, *polarity, *self.scheme.labels))

    @property
    def several(self) -> bool:
        """Whether an answer may have several labels."""
        return self.scheme.kind == "multi-label"

    def values(self, prediction: Prediction) -> list[Any]:
        """Return one row: the label (None for none) or the list of labels, then numbers."""
        label = list(prediction.labels) if self.several else prediction.label
        polarity = [prediction.polarity] if self.scheme.values else []
        numbers = [
            None if value is None else round(value, _DIGITS)
            for value in (*polarity, *prediction.probabilities.values())
        ]
        return [label, *numbers]

    def rows(self, predictions: Sequence[Prediction]) -> list[list[Any]]:
        """Return one row per prediction."""
        return [self.values(prediction) for prediction in predictions]
