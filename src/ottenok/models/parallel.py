"""Several heads side by side, and a linear layer over their joined scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from ottenok.core.errors import ConfigError
from ottenok.models.heads import Head, StackHead

if TYPE_CHECKING:
    from torch import Tensor

    from ottenok.recipes.model import HeadOptions

__all__ = ["ParallelHead"]

_LEAST = 2


class ParallelHead(Head):
    """Branches of different widths and activations, each with scores of its own, and the layer over them.

    That layer is `out`, since it makes the scores. It begins as the mean over the branches, so that each of them learns
    from the first step as if it were alone, and learns from there which branch knows which label (stacking, Wolpert
    1992). Dropout on its inputs leaves out single scores of single branches.
    """

    unused = ("hidden", "norm", "groups", "residual")

    def __init__(self, width: int, outputs: int, options: HeadOptions) -> None:
        if len(options.branches) < _LEAST:
            raise ConfigError(
                f"a parallel head needs at least {_LEAST} branches, found {len(options.branches)}",
                hint='Give them, for example: branches = [{ hidden = [256] }, { hidden = [64], activation = "tanh" }]',
                key="model.head.branches",
            )
        super().__init__()
        self.branches = nn.ModuleList(
            StackHead(width, outputs, branch, key=f"model.head.branches.{number}")
            for number, branch in enumerate(options.branches)
        )
        self.dropout = nn.Dropout(options.dropout)
        self.out = nn.Linear(len(options.branches) * outputs, outputs)
        with torch.no_grad():
            self.out.weight.copy_(torch.eye(outputs).repeat(1, len(options.branches)) / len(options.branches))
            self.out.bias.zero_()

    def forward(self, pooled: Tensor) -> Tensor:
        """Return the scores, before any activation."""
        joined = torch.cat([branch(pooled) for branch in self.branches], dim=-1)
        scores: Tensor = self.out(self.dropout(joined))
        return scores
