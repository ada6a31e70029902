"""Labels with an order as one number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ottenok.core.errors import ModelError, SchemeError
from ottenok.tasks.arrays import finite

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

__all__ = ["ordered_score"]


def ordered_score(probs: npt.ArrayLike, values: Sequence[float]) -> npt.NDArray[np.float32]:
    """Return the mean of the labels' values under the probabilities: -1 is worst, 1 is best.

    Probabilities that do not sum to 1 (those of sigmoids) are divided by their sum first. Where all are 0 every label
    weighs the same.

    Args:
        probs: `[rows, labels]`, from `ottenok.tasks.decision.probabilities`.
        values: The scheme's values, one per label.

    Returns:
        float32 `[rows]`, between the least and the greatest value.

    Raises:
        SchemeError: The scheme has no values, so its labels have no order.
        ModelError: The probabilities have another shape, or are not finite.
    """
    if not values:
        raise SchemeError("these labels have no order, so there is no score", hint="Use the probabilities.")
    numbers = finite(probs, "probabilities")
    if numbers.shape[1] != len(values):
        raise ModelError(f"found {numbers.shape[1]} probabilities, expected one for each of {len(values)} values")
    total = numbers.sum(axis=1, keepdims=True)
    weights = np.where(total > 0.0, numbers, 1.0)
    score = weights @ np.asarray(values, dtype=np.float64) / weights.sum(axis=1)
    scores: npt.NDArray[np.float32] = np.clip(score, min(values), max(values)).astype(np.float32)
    return scores
