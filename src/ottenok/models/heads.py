"""Heads: from the pooled vector to one score per output. A new one is a class here or elsewhere and a name below.

A head is built from the width that it gets, the number of outputs, and `HeadOptions`. Its last linear layer is its
attribute `out`: calibration scales that layer.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from torch import nn

from ottenok.core.config import suggest
from ottenok.core.errors import ConfigError
from ottenok.core.lazy import load_object

if TYPE_CHECKING:
    from torch import Tensor

    from ottenok.models.options import HeadOptions

__all__ = ["ACTIVATIONS", "HEADS", "Head", "LinearHead", "MlpHead", "create_head"]

HEADS = {
    "linear": "ottenok.models.heads:LinearHead",
    "mlp": "ottenok.models.heads:MlpHead",
}

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "gelu": nn.GELU,
    "leaky-relu": nn.LeakyReLU,
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}


class Head(nn.Module):
    """Base of the heads: `[batch, width]` to `[batch, outputs]`.

    Attributes:
        out: The last linear layer.
    """

    out: nn.Linear

    def forward(self, pooled: Tensor) -> Tensor:
        """Return the scores, before any activation."""
        raise NotImplementedError


class LinearHead(Head):
    """Dropout and one linear layer."""

    def __init__(self, width: int, outputs: int, options: HeadOptions) -> None:
        super().__init__()
        if options.hidden:
            raise ConfigError(
                "a linear head has no hidden layers", hint='Use kind = "mlp", or no `hidden`.', key="model.head.hidden"
            )
        self.dropout = nn.Dropout(options.dropout)
        self.out = nn.Linear(width, outputs)

    def forward(self, pooled: Tensor) -> Tensor:
        """Return the scores, before any activation."""
        scores: Tensor = self.out(self.dropout(pooled))
        return scores


class MlpHead(Head):
    """One or more hidden layers (linear, activation), each behind dropout, then the linear output layer."""

    def __init__(self, width: int, outputs: int, options: HeadOptions) -> None:
        super().__init__()
        if not options.hidden or min(options.hidden) < 1:
            raise ConfigError(
                f"an mlp head needs the width of at least one hidden layer, found {list(options.hidden)}",
                hint="Give it, for example: hidden = [256]",
                key="model.head.hidden",
            )
        widths = (width, *options.hidden)
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Dropout(options.dropout), nn.Linear(before, after), _activation(options.activation)]
        self.hidden = nn.Sequential(*layers)
        self.dropout = nn.Dropout(options.dropout)
        self.out = nn.Linear(widths[-1], outputs)

    def forward(self, pooled: Tensor) -> Tensor:
        """Return the scores, before any activation."""
        scores: Tensor = self.out(self.dropout(self.hidden(pooled)))
        return scores


def _activation(name: str) -> nn.Module:
    if name not in ACTIVATIONS:
        raise ConfigError(
            f"there is no activation {name!r}", hint=suggest(name, ACTIVATIONS), key="model.head.activation"
        )
    return ACTIVATIONS[name]()


def create_head(width: int, outputs: int, options: HeadOptions) -> Head:
    """Return the head that `options` describe.

    Raises:
        ConfigError: There is no such head, or its options do not fit.
    """
    if options.kind not in HEADS:
        raise ConfigError(
            f"there is no head {options.kind!r}", hint=suggest(options.kind, HEADS), key="model.head.kind"
        )
    head: Head = load_object(HEADS[options.kind], extra="train")(width, outputs, options)
    return head
