"""A fitted temperature, put into the weights: every tool that opens the model then gives believable probabilities."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ottenok.models.classifier import OttenokClassifier

__all__ = ["fold_temperature", "output_layer"]

# Where architectures' own sequence classifiers keep their last linear layer.
_NATIVE_OUTPUTS = ("classifier.out_proj", "classifier", "score")


def output_layer(model: Any) -> nn.Linear | None:  # noqa: ANN401 - one class per architecture
    """Return the linear layer whose outputs are the model's scores; None if there is none that is known."""
    if isinstance(model, OttenokClassifier):
        inner: Any = model
        layer: nn.Linear | None = inner.head.out if inner.config.link == "identity" else None
        return layer
    modules: dict[str, nn.Module] = dict(model.named_modules())
    for name in _NATIVE_OUTPUTS:
        found = modules.get(name)
        if isinstance(found, nn.Linear):
            return found
    return None


def fold_temperature(model: Any, temperature: float) -> bool:  # noqa: ANN401
    """Divide the model's scores by `temperature`, by scaling its last linear layer.

    Returns:
        False, with the model unchanged, where no linear layer makes the scores (ordinal links).
    """
    layer = output_layer(model)
    if layer is None:
        return False
    with torch.no_grad():
        layer.weight.div_(temperature)
        if layer.bias is not None:
            layer.bias.div_(temperature)
    return True
