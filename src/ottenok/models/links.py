"""Links: what stands between the head's raw outputs and the model's scores for the labels.

An ordinal link turns the head's outputs into log-probabilities of the labels inside the network. So a softmax over the
model's scores is right everywhere (transformers' pipelines, ONNX files, our own decisions), and cross-entropy over them
is the link's likelihood.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import logsigmoid, pad, softplus

from ottenok.core.config import suggest
from ottenok.core.errors import ConfigError
from ottenok.core.lazy import load_object

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["LINKS", "CoralLink", "CornLink", "IdentityLink", "Link", "create_link"]

LINKS = {
    "identity": "ottenok.models.links:IdentityLink",
    "corn": "ottenok.models.links:CornLink",
    "coral": "ottenok.models.links:CoralLink",
}

# The least distance between two neighbouring thresholds: with none, a label between them would have probability 0.
_LEAST_GAP = 1e-3


class Link(nn.Module):
    """Base of the links.

    Attributes:
        raw: Outputs that the head must have.
    """

    def __init__(self, labels: int) -> None:
        super().__init__()
        self.labels = labels
        self.raw = labels

    def forward(self, raw: Tensor) -> Tensor:
        """Turn `[batch, raw]` into the model's scores."""
        raise NotImplementedError


class IdentityLink(Link):
    """The head's outputs are the scores."""

    def forward(self, raw: Tensor) -> Tensor:
        """Return them unchanged."""
        return raw


class CornLink(Link):
    """Conditional ordinal link: output k is the logit of "more than label k, given more than label k-1".

    The chain rule gives the labels' log-probabilities (Shi, Cao and Raschka 2021, CORN); cross-entropy over these is
    CORN's loss, summed over a text's tasks.
    """

    def __init__(self, labels: int) -> None:
        super().__init__(labels)
        self.raw = labels - 1

    def forward(self, raw: Tensor) -> Tensor:
        """Return `[batch, labels]` log-probabilities."""
        raw = raw.to(torch.float32)
        passed = pad(logsigmoid(raw).cumsum(dim=-1), (1, 0))
        stopped = pad(logsigmoid(-raw), (0, 1))
        return passed + stopped


class CoralLink(Link):
    """Cumulative ordinal link: one output for the text and ordered thresholds, shared by all texts.

    The model is that of CORAL (Cao, Mirjalili and Raschka 2020) with thresholds that are ordered by construction, so it
    is fitted by the likelihood of the labels (proportional odds, McCullagh 1980) and not by a sum of binary losses.
    """

    def __init__(self, labels: int) -> None:
        super().__init__(labels)
        self.raw = 1
        self.first = nn.Parameter(torch.tensor(float(labels - 2) / 2.0))
        self.gaps = nn.Parameter(torch.full((labels - 2,), 0.5413))  # softplus of it is 1

    def forward(self, raw: Tensor) -> Tensor:
        """Return `[batch, labels]` log-probabilities."""
        falls = pad(softplus(self.gaps).cumsum(dim=0) + _LEAST_GAP, (1, 0))
        more = raw.to(torch.float32) + (self.first - falls)
        upper, lower = more[:, :-1], more[:, 1:]
        # sigmoid(u) - sigmoid(l) = sigmoid(u) sigmoid(-l) (1 - exp(l - u)), which keeps its digits far from 0.
        between = logsigmoid(upper) + logsigmoid(-lower) + torch.log(-torch.expm1(lower - upper))
        return torch.cat([logsigmoid(-more[:, :1]), between, logsigmoid(more[:, -1:])], dim=-1)


def create_link(name: str, labels: int) -> Link:
    """Return the link called `name` for so many labels.

    Raises:
        ConfigError: There is none, or an ordinal link is asked for fewer than 3 labels.
    """
    if name not in LINKS:
        raise ConfigError(f"there is no link {name!r}", hint=suggest(name, LINKS), key="model.link")
    if name != "identity" and labels < 3:
        raise ConfigError(
            f"an ordinal link needs at least 3 labels, the scheme has {labels}", hint='Use problem = "multi-class".'
        )
    link: Link = load_object(LINKS[name], extra="train")(labels)
    return link
