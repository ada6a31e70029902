"""The optimiser: the encoder's and the head's learning rates, decay for matrices only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import nn

    from ottenok.models.build import Network
    from ottenok.recipes.train import OptimOptions

__all__ = ["create_optimizer"]

_KINDS: dict[str, type[torch.optim.Optimizer]] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


def create_optimizer(network: Network, options: OptimOptions) -> torch.optim.Optimizer:
    """Return the optimiser over what is not frozen.

    Vectors (biases, norms) are not decayed. The fused form does the same arithmetic in one pass over memory.
    """
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in network.model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((network.is_encoder(name), parameter.ndim > 1), []).append(parameter)
    settings: list[dict[str, Any]] = [
        {
            "params": parameters,
            "lr": options.lr if encoder or options.head_lr is None else options.head_lr,
            "weight_decay": options.weight_decay if decays else 0.0,
        }
        for (encoder, decays), parameters in groups.items()
    ]
    kind: Any = _KINDS[options.name]
    optimizer: torch.optim.Optimizer = kind(settings, betas=options.betas, eps=options.epsilon, fused=True)
    return optimizer
