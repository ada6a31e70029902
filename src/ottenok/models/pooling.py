"""Poolings: from the vectors of a text's tokens to one vector. A new one is a class here and a name in `POOLINGS`.

Every pooling takes `hidden` (float, `[batch, tokens, width]`) and `mask` (`[batch, tokens]`, 1 for real tokens) and
returns `[batch, width * factor]`. Padding never changes the result: it is masked out, on either side. The one exception
is `pooler`, which gets and returns the one vector that the encoder's own pooler has made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from ottenok.core.config import suggest
from ottenok.core.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "POOLINGS",
    "AttentionPooling",
    "ClsMeanPooling",
    "FirstPooling",
    "LastPooling",
    "MaxPooling",
    "MeanPooling",
    "PoolerPooling",
    "Pooling",
    "create_pooling",
]


class Pooling(nn.Module):
    """Base of the poolings.

    Attributes:
        factor: Width of the result, as a multiple of the encoder's width.
        reads_pooler: It gets the output of the encoder's own pooler in place of the tokens' vectors.
    """

    factor = 1
    reads_pooler = False

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return one vector per text."""
        raise NotImplementedError


class FirstPooling(Pooling):
    """The vector of the first real token, which is [CLS] or <s> in BERT-like encoders."""

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Take the first token that the mask keeps, so that padding on the left is harmless too."""
        return _take(hidden, mask.long().argmax(dim=1))


class LastPooling(Pooling):
    """The vector of the last real token, which in a decoder is the one that has seen the whole text."""

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Take the last token that the mask keeps."""
        positions = torch.arange(mask.shape[1], device=mask.device)
        return _take(hidden, (positions * mask.long()).argmax(dim=1))


class MeanPooling(Pooling):
    """The mean over the real tokens (Reimers and Gurevych 2019, Sentence-BERT)."""

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Average in at least float32: under bf16 autocast a sum over many tokens would lose digits."""
        weights = mask.unsqueeze(-1).to(torch.float32)
        total: Tensor = (hidden.to(torch.float32) * weights).sum(dim=1)
        return total / weights.sum(dim=1).clamp(min=1.0)


class MaxPooling(Pooling):
    """The largest value of each coordinate over the real tokens."""

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Replace padding by the type's least value first."""
        return hidden.masked_fill(mask.unsqueeze(-1) == 0, torch.finfo(hidden.dtype).min).max(dim=1).values


class AttentionPooling(Pooling):
    """A learned weighted mean: each token is scored by one linear layer, and a softmax over the real tokens weighs."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.score = nn.Linear(width, 1)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Score, mask, weigh, all in float32."""
        scores = self.score(hidden).squeeze(-1).to(torch.float32)
        weights = scores.masked_fill(mask == 0, torch.finfo(torch.float32).min).softmax(dim=1)
        pooled: Tensor = (hidden.to(torch.float32) * weights.unsqueeze(-1)).sum(dim=1)
        return pooled


class ClsMeanPooling(Pooling):
    """The first token's vector and the mean over all tokens, one after the other."""

    factor = 2

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.first = FirstPooling(width)
        self.mean = MeanPooling(width)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Join the two poolings."""
        return torch.cat([self.first(hidden, mask).to(torch.float32), self.mean(hidden, mask)], dim=-1)


class PoolerPooling(Pooling):
    """What the encoder's own, pretrained pooler gives: in BERT and LaBSE a layer with tanh over the first token."""

    reads_pooler = True

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:  # noqa: ARG002 - the poolings' one interface
        """Return `hidden`, `[batch, width]`, as it is."""
        return hidden


def _take(hidden: Tensor, positions: Tensor) -> Tensor:
    rows = torch.arange(hidden.shape[0], device=hidden.device)
    return hidden[rows, positions]


POOLINGS: dict[str, type[Pooling]] = {
    "cls": FirstPooling,
    "first": FirstPooling,
    "mean": MeanPooling,
    "max": MaxPooling,
    "attention": AttentionPooling,
    "cls+mean": ClsMeanPooling,
    "last": LastPooling,
    "pooler": PoolerPooling,
}


def create_pooling(name: str, width: int) -> Pooling:
    """Return the pooling called `name` for an encoder of the given width.

    Raises:
        ConfigError: There is none.
    """
    if name not in POOLINGS:
        raise ConfigError(f"there is no pooling {name!r}", hint=suggest(name, POOLINGS), key="model.pooling")
    return POOLINGS[name](width)
