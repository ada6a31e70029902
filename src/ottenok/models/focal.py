"""Losses that look away from what is right already: focal and asymmetric.

They are computed from logarithms of probabilities, so that scores far from 0 give neither infinite losses nor
gradients that are no numbers, whatever the gammas.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import logsigmoid, one_hot

from ottenok.models.losses import mean, mean_by_weight

if TYPE_CHECKING:
    from torch import Tensor

    from ottenok.models.losses import LossSetting

__all__ = ["asymmetric", "focal"]


def focal(scores: Tensor, targets: Tensor, setting: LossSetting) -> Tensor:
    """Focal loss (Lin et al. 2017): `-(1 - p)^gamma log p`, p being the probability that the model gives the truth.

    With `gamma` 0 it is the cross-entropy. For one label per text p comes from a softmax; for several each label counts
    by itself, from a sigmoid, and the mean is taken. Class weights are the paper's alpha, used as in `cross_entropy`
    and `binary_cross_entropy`.
    """
    if targets.is_floating_point():
        return _focal_of_several(scores, targets, setting)
    found = one_hot(targets, scores.shape[-1]).bool()
    total = scores.logsumexp(dim=-1)
    right = scores.masked_fill(~found, 0.0).sum(dim=-1) - total
    wrong = scores.masked_fill(found, -math.inf).logsumexp(dim=-1) - total
    losses = -torch.exp(setting.gamma * wrong) * right
    if setting.class_weights is not None:
        losses = losses * setting.class_weights[targets]
    return mean_by_weight(losses, targets, setting)


def _focal_of_several(scores: Tensor, targets: Tensor, setting: LossSetting) -> Tensor:
    positive = -torch.exp(setting.gamma * logsigmoid(-scores)) * logsigmoid(scores)
    negative = -torch.exp(setting.gamma * logsigmoid(scores)) * logsigmoid(-scores)
    return _joined(positive, negative, targets, setting)


def asymmetric(scores: Tensor, targets: Tensor, setting: LossSetting) -> Tensor:
    """Asymmetric loss (Ridnik et al. 2021), for several labels per text.

    A label that a text has costs `-(1 - p)^gamma_positive log p`; one that it has not `-q^gamma_negative log(1 - q)`,
    with `q = max(p - clip, 0)`, so that the many easy absent labels do not outweigh the few present ones. The gradient
    is that of the whole formula. With gammas and clip 0 it is `binary_cross_entropy`; a class weight multiplies the
    term of the present label, as there.
    """
    positive = -torch.exp(setting.gamma_positive * logsigmoid(-scores)) * logsigmoid(scores)
    shifted = torch.sigmoid(scores) - setting.clip
    kept = shifted > 0.0
    # log(1 - q) = log(1 - p + clip). Where nothing is kept the cost is 0, and no power of 0 may enter the gradient.
    floor = scores.new_tensor(setting.clip).log()
    focus = torch.where(kept, shifted, 1.0) ** setting.gamma_negative
    negative = torch.where(kept, -focus * torch.logaddexp(logsigmoid(-scores), floor), 0.0)
    return _joined(positive, negative, targets, setting)


def _joined(positive: Tensor, negative: Tensor, targets: Tensor, setting: LossSetting) -> Tensor:
    if setting.class_weights is not None:
        positive = positive * setting.class_weights
    losses = (targets * positive + (1.0 - targets) * negative).mean(dim=-1)
    return mean(losses, setting.example_weights)
