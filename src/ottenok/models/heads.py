"""Heads: from the pooled vector to one score per output. A new one is a class here or elsewhere and a name below.

A head is built from the width that it gets, the number of outputs, and `HeadOptions`. Its last linear layer is its
attribute `out`: calibration scales that layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from torch import nn

from ottenok.core.config import suggest
from ottenok.core.errors import ConfigError
from ottenok.core.lazy import load_object
from ottenok.models.blocks import hidden_layers
from ottenok.recipes.model import HeadOptions, LayerOptions

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["HEADS", "Head", "LinearHead", "MlpHead", "StackHead", "create_head"]

HEADS = {
    "linear": "ottenok.models.heads:LinearHead",
    "mlp": "ottenok.models.heads:MlpHead",
    "parallel": "ottenok.models.parallel:ParallelHead",
}

_KEY = "model.head"


class Head(nn.Module):
    """Base of the heads: `[batch, width]` to `[batch, outputs]`.

    Attributes:
        out: The last linear layer.
        unused: Options that mean nothing to this kind of head, and are refused with it.
    """

    out: nn.Linear
    unused: ClassVar[tuple[str, ...]] = ()

    def forward(self, pooled: Tensor) -> Tensor:
        """Return the scores, before any activation."""
        raise NotImplementedError


class StackHead(Head):
    """Hidden layers, if any, then dropout and the linear output layer.

    Args:
        width: Of the pooled vector.
        outputs: Scores to give.
        options: The layers.
        key: Where the options stand in a recipe, for errors.
    """

    def __init__(self, width: int, outputs: int, options: LayerOptions, *, key: str = _KEY) -> None:
        super().__init__()
        self.hidden = hidden_layers(width, options, key=key)
        self.dropout = nn.Dropout(options.dropout)
        self.out = nn.Linear((width, *options.hidden)[-1], outputs)

    def forward(self, pooled: Tensor) -> Tensor:
        """Return the scores, before any activation."""
        scores: Tensor = self.out(self.dropout(self.hidden(pooled)))
        return scores


class LinearHead(StackHead):
    """Dropout and one linear layer."""

    unused = ("hidden", "norm", "groups", "residual", "branches")


class MlpHead(StackHead):
    """One or more hidden layers, then the linear output layer."""

    unused = ("branches",)

    def __init__(self, width: int, outputs: int, options: LayerOptions) -> None:
        if not options.hidden:
            raise ConfigError(
                "an mlp head needs the width of at least one hidden layer",
                hint="Give it, for example: hidden = [256]",
                key=f"{_KEY}.hidden",
            )
        super().__init__(width, outputs, options)


def create_head(width: int, outputs: int, options: HeadOptions) -> Head:
    """Return the head that `options` describe.

    Raises:
        ConfigError: There is no such head, or its options do not fit.
    """
    if options.kind not in HEADS:
        raise ConfigError(f"there is no head {options.kind!r}", hint=suggest(options.kind, HEADS), key=f"{_KEY}.kind")
    maker = load_object(HEADS[options.kind], extra="train")
    for name in maker.unused:
        if getattr(options, name) != HeadOptions.model_fields[name].default:
            raise ConfigError(
                f"a {options.kind} head has no `{name}`",
                hint=f"Leave it out, or use another kind of head: {', '.join(HEADS)}.",
                key=f"{_KEY}.{name}",
            )
    head: Head = maker(width, outputs, options)
    return head
