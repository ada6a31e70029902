"""Class weights of the loss, from the rows that are learned from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ottenok.core.errors import ConfigError

if TYPE_CHECKING:
    import numpy.typing as npt

    from ottenok.models.options import Problem

__all__ = ["class_weights"]


def class_weights(
    wish: str | tuple[float, ...], truth: npt.NDArray[np.bool_], problem: Problem
) -> npt.NDArray[np.float32] | None:
    """Return one weight per label, or None for equal weights.

    `balanced` is scikit-learn's for one-label problems: rows / (labels * the label's rows). For multi-label problems
    the weight multiplies the positive term, and `balanced` is negatives / positives. `sqrt` is its square root.

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
    # A label without rows has nothing to weigh; it counts as if it had one.
    support = np.maximum(truth.sum(axis=0), 1).astype(np.float64)
    balanced = (rows - support) / support if problem == "multi-label" else rows / (labels * support)
    weights = np.sqrt(balanced) if wish == "sqrt" else balanced
    return np.asarray(weights, dtype=np.float32)
