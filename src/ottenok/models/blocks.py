"""Parts of heads: activations, norms, hidden layers and residual connections.

A hidden layer is dropout, a linear layer, a norm and an activation, in this order. A row's result never depends on the
other rows of its batch, except through batch norm in training.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from torch import nn
from torch.nn import functional

from ottenok.core.config import suggest
from ottenok.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from ottenok.recipes.model import LayerOptions

__all__ = ["ACTIVATIONS", "NORMS", "BatchNorm", "Residual", "hidden_layers"]

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "gelu": nn.GELU,
    "leaky-relu": nn.LeakyReLU,
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}

_WIDEST = 65536
# Wu and He 2018 use 32 groups. In a group of one value nothing is left of it, in one of two only its sign.
_MOST_GROUPS = 32
_LEAST_IN_GROUP = 4


class BatchNorm(nn.BatchNorm1d):
    """Batch norm (Ioffe and Szegedy 2015) that a batch of one text does not stop.

    One text has no variance: in training it is normalised by the running figures, as in evaluation.
    """

    def forward(self, rows: Tensor) -> Tensor:
        """Normalise each column of `[batch, width]`."""
        if self.training and rows.shape[0] == 1:
            return functional.batch_norm(
                rows, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps
            )
        return super().forward(rows)


class Residual(nn.Module):
    """A hidden layer whose input is added to its output (He et al. 2016); between two widths, by a linear map.

    Args:
        parts: The layer.
        before: Its input's width.
        after: Its output's width.
    """

    def __init__(self, parts: Sequence[nn.Module], before: int, after: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(*parts)
        self.skip: nn.Module = nn.Identity() if before == after else nn.Linear(before, after, bias=False)

    def forward(self, rows: Tensor) -> Tensor:
        """Return `[batch, after]`."""
        total: Tensor = self.skip(rows) + self.inner(rows)
        return total


def _layer_norm(width: int, _options: LayerOptions, _key: str) -> nn.Module:
    return nn.LayerNorm(width)


def _batch_norm(width: int, _options: LayerOptions, _key: str) -> nn.Module:
    return BatchNorm(width)


def _group_norm(width: int, options: LayerOptions, key: str) -> nn.Module:
    fitting = [groups for groups in range(1, width // 2 + 1) if width % groups == 0] or [1]
    if options.groups is not None and options.groups not in fitting:
        raise ConfigError(
            f"{options.groups} groups do not divide a layer of width {width} into equal parts of at least two values",
            hint=f"Numbers of groups that do: {', '.join(map(str, fitting))}.",
            key=f"{key}.groups",
        )
    roomy = [groups for groups in fitting if groups <= _MOST_GROUPS and width // groups >= _LEAST_IN_GROUP]
    return nn.GroupNorm(options.groups or max(roomy, default=1), width)


# Name to a maker: from width, options and the options' key to a module, or None for no norm.
NORMS: dict[str, Callable[[int, LayerOptions, str], nn.Module] | None] = {
    "none": None,
    "batch": _batch_norm,
    "group": _group_norm,
    "layer": _layer_norm,
}


def hidden_layers(width: int, options: LayerOptions, *, key: str) -> nn.Sequential:
    """Return the hidden layers that `options` describe; none for no widths.

    Args:
        width: Of the first layer's input.
        options: The layers.
        key: Where the options stand in a recipe, for errors.

    Raises:
        ConfigError: A width, an activation or a norm is wrong.
    """
    _check(options, key)
    make_norm = NORMS[options.norm]
    layers: list[nn.Module] = []
    for before, after in pairwise((width, *options.hidden)):
        parts = [nn.Dropout(options.dropout), nn.Linear(before, after)]
        if make_norm is not None:
            parts.append(make_norm(after, options, key))
        parts.append(ACTIVATIONS[options.activation]())
        layers += [Residual(parts, before, after)] if options.residual else parts
    return nn.Sequential(*layers)


def _check(options: LayerOptions, key: str) -> None:
    least = 1 if options.norm in {"none", "batch"} else 2
    if not all(least <= width <= _WIDEST for width in options.hidden):
        raise ConfigError(
            f"found hidden layers of {list(options.hidden)}, expected widths of {least} to {_WIDEST}",
            key=f"{key}.hidden",
        )
    for name, value, known in (
        ("activation", options.activation, ACTIVATIONS),
        ("norm", options.norm, NORMS),
    ):
        if value not in known:
            raise ConfigError(f"there is no {name} {value!r}", hint=suggest(value, known), key=f"{key}.{name}")
    if options.groups is not None and options.norm != "group":
        raise ConfigError(
            f"groups belong to group norm, the norm here is {options.norm!r}",
            hint='Use norm = "group", or no `groups`.',
            key=f"{key}.groups",
        )
