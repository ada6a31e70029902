"""What turns a model's logits into probabilities of its labels, in numpy and in float64 inside.

Each function takes logits of shape `[rows, outputs]` and gives probabilities of shape `[rows, labels]`. None of them
overflows: exponents are taken of non-positive numbers only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    AnyFloats = npt.NDArray[np.floating[Any]]

__all__ = ["coral", "corn", "interpolate", "log_sigmoid", "log_softmax", "sigmoid", "softmax"]


def log_softmax(logits: Floats) -> Floats:
    """Return the logarithm of `softmax`, exact also where the softmax itself would be 0."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    logs: Floats = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return logs


def softmax(logits: Floats) -> Floats:
    """Return shares that sum to 1 in each row: for models whose labels exclude each other."""
    return np.exp(log_softmax(logits))


def log_sigmoid(logits: Floats) -> Floats:
    """Return the logarithm of `sigmoid`, exact also where the sigmoid itself would be 0."""
    return -np.logaddexp(0.0, -logits)


def sigmoid(logits: Floats) -> Floats:
    """Return each label's own probability: for models whose labels are independent yes-or-no questions."""
    return np.exp(log_sigmoid(logits))


def corn(logits: Floats) -> Floats:
    """Return class probabilities of a CORN model.

    Shi, Cao and Raschka 2021, "Deep Neural Networks for Rank-Consistent Ordinal Regression Based On Conditional
    Probabilities" (arXiv:2111.08851): output j is the logit of `P(rank > j | rank > j - 1)`, so products of the
    sigmoids are `P(rank > j)`, and neighbours' differences are the classes.

    Args:
        logits: `[rows, labels - 1]`, labels in the order of rank.
    """
    return _from_exceedance(np.exp(np.cumsum(log_sigmoid(logits), axis=1)))


def coral(logits: Floats) -> Floats:
    """Return class probabilities of a CORAL model.

    Cao, Mirjalili and Raschka 2020, "Rank consistent ordinal regression for neural networks" (Pattern Recognition
    Letters 140): output j is the logit of `P(rank > j)`. Where outputs cross, which training does not forbid, the
    running minimum is taken, so no class gets a negative probability.

    Args:
        logits: `[rows, labels - 1]`, labels in the order of rank.
    """
    return _from_exceedance(np.minimum.accumulate(sigmoid(logits), axis=1))


def _from_exceedance(above: Floats) -> Floats:
    """Turn `P(rank > j)`, non-increasing in j, into class probabilities."""
    rows = len(above)
    padded = np.concatenate([np.ones((rows, 1)), above, np.zeros((rows, 1))], axis=1)
    classes: Floats = padded[:, :-1] - padded[:, 1:]
    return classes


def interpolate(outputs: Floats, values: Sequence[float]) -> Floats:
    """Return the shares of a predicted number between its two neighbouring labels.

    The number is clipped to the labels' range and split linearly, so that the mean of `values` under the shares is the
    number itself: 0.2 between the labels at 0 and 1 becomes 0.8 and 0.2.

    Args:
        outputs: `[rows, 1]`, on the scale of `values`.
        values: Each label's place on the scale, all different, in the labels' order, which need not be sorted.
    """
    order = np.argsort(values)
    scale = np.asarray(values, dtype=np.float64)[order]
    number = np.clip(outputs[:, 0], scale[0], scale[-1])
    left = np.clip(np.searchsorted(scale, number, side="right") - 1, 0, len(scale) - 2)
    share = (number - scale[left]) / (scale[left + 1] - scale[left])
    rows = np.arange(len(number))
    result = np.zeros((len(number), len(scale)))
    result[rows, order[left]] = 1.0 - share
    result[rows, order[left + 1]] = share
    return result
