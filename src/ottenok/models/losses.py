"""Losses. A new one is a function here or elsewhere and a name below.

A loss takes `scores` (float32 `[batch, outputs]`), `targets` (int64 `[batch]` for `ce`, float32 `[batch, labels]` for
`bce`, float32 `[batch]` for `mse`) and a `LossSetting`, and returns a scalar: a weighted mean over the batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from ottenok.core.config import suggest
from ottenok.core.errors import ConfigError
from ottenok.core.lazy import load_object

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

__all__ = ["LOSSES", "LossSetting", "binary_cross_entropy", "cross_entropy", "find_loss", "squared_error"]

LOSSES = {
    "bce": "ottenok.models.losses:binary_cross_entropy",
    "ce": "ottenok.models.losses:cross_entropy",
    "mse": "ottenok.models.losses:squared_error",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LossSetting:
    """What a loss gets besides scores and targets.

    Attributes:
        class_weights: float32 `[labels]`, or None for equal weights.
        example_weights: float32 `[batch]`, or None for equal weights.
        smoothing: Share of the target's mass that is spread over all labels.
    """

    class_weights: Tensor | None = None
    example_weights: Tensor | None = None
    smoothing: float = 0.0


def cross_entropy(scores: Tensor, targets: Tensor, setting: LossSetting) -> Tensor:
    """Softmax cross-entropy; with class weights the mean is divided by the sum of the targets' weights, as in torch."""
    losses = functional.cross_entropy(
        scores, targets, weight=setting.class_weights, label_smoothing=setting.smoothing, reduction="none"
    )
    shares = torch.ones_like(losses) if setting.class_weights is None else setting.class_weights[targets]
    if setting.example_weights is not None:
        losses, shares = losses * setting.example_weights, shares * setting.example_weights
    return losses.sum() / shares.sum().clamp(min=1e-12)


def binary_cross_entropy(scores: Tensor, targets: Tensor, setting: LossSetting) -> Tensor:
    """Sigmoid cross-entropy, mean over labels and texts; a class weight multiplies the term of the positive target."""
    smooth = targets * (1.0 - setting.smoothing) + 0.5 * setting.smoothing
    losses = functional.binary_cross_entropy_with_logits(
        scores, smooth, pos_weight=setting.class_weights, reduction="none"
    ).mean(dim=-1)
    return _mean(losses, setting.example_weights)


def squared_error(scores: Tensor, targets: Tensor, setting: LossSetting) -> Tensor:
    """Squared error of the one output; class weights and smoothing have no meaning here and are refused earlier."""
    return _mean((scores.squeeze(-1) - targets) ** 2, setting.example_weights)


def _mean(losses: Tensor, weights: Tensor | None) -> Tensor:
    if weights is None:
        return losses.mean()
    return (losses * weights).sum() / weights.sum().clamp(min=1e-12)


def find_loss(name: str) -> Callable[[Tensor, Tensor, LossSetting], Tensor]:
    """Return the loss called `name`.

    Raises:
        ConfigError: There is none.
    """
    if name not in LOSSES:
        raise ConfigError(f"there is no loss {name!r}", hint=suggest(name, LOSSES), key="loss.name")
    loss: Callable[[Tensor, Tensor, LossSetting], Tensor] = load_object(LOSSES[name], extra="train")
    return loss
