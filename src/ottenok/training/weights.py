"""Class weights of the loss, from the rows that are learned from."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from ottenok.core.errors import ConfigError
from ottenok.data.balance import class_counts, positive_weights
from ottenok.data.balance import class_weights as softmax_weights

if TYPE_CHECKING:
    import numpy.typing as npt

    from ottenok.recipes.balance import WeightMethod
    from ottenok.recipes.model import Problem

__all__ = ["class_weights"]


def class_weights(
    wish: str | tuple[float, ...], truth: npt.NDArray[np.bool_], problem: Problem
) -> npt.NDArray[np.float32] | None:
    """Return one weight per label, or None for equal weights.

    Args:
        wish: The recipe's `loss.class_weights`.
        truth: bool `[rows, labels]`.
        problem: What is learned.

    Raises:
        ConfigError: The weights are not one positive number per label.
    """
    rows, labels = truth.shape
    if wish == "none":
        return None
    if not isinstance(wish, str):
        if len(wish) != labels or min(wish) <= 0.0:
            raise ConfigError(
                f"found {list(wish)}, expected {labels} positive numbers, one per label", key="loss.class_weights"
            )
        return np.asarray(wish, dtype=np.float32)
    method = cast("WeightMethod", wish)
    counts = class_counts(truth, labels)
    if problem == "multi-label":
        return positive_weights(counts, rows, method)
    return softmax_weights(counts, method)
