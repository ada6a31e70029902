"""What stands over the encoder's pooled vector: hidden layers, heads, and the links of ordinal problems.

A head is built from the width that it gets, the number of outputs, and `HeadOptions`; its last linear layer is its
attribute `out`, which calibration scales. A hidden layer is dropout, a linear layer, a norm and an activation, in this
order. A row's result never depends on the other rows of its batch, except through batch norm in training.

An ordinal link turns a head's raw outputs into log-probabilities of the labels inside the network. So a softmax over
the model's logits is right everywhere (transformers' pipelines, ONNX files, our own decisions), and cross-entropy over
them is the link's likelihood.

A new one is a class here and a name in `ACTIVATIONS`, `NORMS`, `HEADS` or `LINKS`.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import nn
from torch.nn import functional
from torch.nn.functional import logsigmoid, pad, softplus

from ottenok.core.config import suggest
from ottenok.core.errors import ConfigError
from ottenok.recipes.model import HeadOptions, LayerOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

__all__ = [
    "ACTIVATIONS",
    "HEADS",
    "LINKS",
    "NORMS",
    "BatchNorm",
    "CoralLink",
    "CornLink",
    "Head",
    "IdentityLink",
    "LinearHead",
    "Link",
    "MlpHead",
    "ParallelHead",
    "Residual",
    "StackHead",
    "create_head",
    "create_link",
    "hidden_layers",
]

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
_KEY = "model.head"
_LEAST_BRANCHES = 2
# The least distance between two neighbouring thresholds: with none, a label between them would have probability 0.
_LEAST_GAP = 1e-3


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
    "batch": lambda width, _options, _key: BatchNorm(width),
    "group": _group_norm,
    "layer": lambda width, _options, _key: nn.LayerNorm(width),
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
    make_norm = NORMS[options.norm]
    layers: list[nn.Module] = []
    for before, after in pairwise((width, *options.hidden)):
        parts = [nn.Dropout(options.dropout), nn.Linear(before, after)]
        if make_norm is not None:
            parts.append(make_norm(after, options, key))
        parts.append(ACTIVATIONS[options.activation]())
        layers += [Residual(parts, before, after)] if options.residual else parts
    return nn.Sequential(*layers)


class Head(nn.Module):
    """Base of the heads: `[batch, width]` to `[batch, outputs]`.

    Attributes:
        out: The last linear layer.
        unused: Options that mean nothing to this kind of head, and are refused with it.
    """

    out: nn.Linear
    unused: ClassVar[tuple[str, ...]] = ()

    def forward(self, pooled: Tensor) -> Tensor:
        """Return the logits."""
        raise NotImplementedError


class StackHead(Head):
    """Hidden layers, if any, then dropout and the linear output layer.

    Args:
        width: Of the pooled vector.
        outputs: Logits to give.
        options: The layers.
        key: Where the options stand in a recipe, for errors.
    """

    def __init__(self, width: int, outputs: int, options: LayerOptions, *, key: str = _KEY) -> None:
        super().__init__()
        self.hidden = hidden_layers(width, options, key=key)
        self.dropout = nn.Dropout(options.dropout)
        self.out = nn.Linear((width, *options.hidden)[-1], outputs)

    def forward(self, pooled: Tensor) -> Tensor:
        """Return the logits."""
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


class ParallelHead(Head):
    """Branches of different widths and activations, each with scores of its own, and the layer over them.

    That layer is `out`, since it makes the scores. It begins as the mean over the branches, so that each of them learns
    from the first step as if it were alone, and learns from there which branch knows which label (stacking, Wolpert
    1992). Dropout on its inputs leaves out single scores of single branches.
    """

    unused = ("hidden", "norm", "groups", "residual")

    def __init__(self, width: int, outputs: int, options: HeadOptions) -> None:
        if len(options.branches) < _LEAST_BRANCHES:
            raise ConfigError(
                f"a parallel head needs at least {_LEAST_BRANCHES} branches, found {len(options.branches)}",
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
        """Return the logits."""
        joined = torch.cat([branch(pooled) for branch in self.branches], dim=-1)
        scores: Tensor = self.out(self.dropout(joined))
        return scores


HEADS: dict[str, type[LinearHead | MlpHead | ParallelHead]] = {
    "linear": LinearHead,
    "mlp": MlpHead,
    "parallel": ParallelHead,
}


def create_head(width: int, outputs: int, options: HeadOptions) -> Head:
    """Return the head that `options` describe.

    Raises:
        ConfigError: There is no such head, or its options do not fit.
    """
    if options.kind not in HEADS:
        raise ConfigError(f"there is no head {options.kind!r}", hint=suggest(options.kind, HEADS), key=f"{_KEY}.kind")
    maker = HEADS[options.kind]
    for name in maker.unused:
        if getattr(options, name) != HeadOptions.model_fields[name].default:
            raise ConfigError(
                f"a {options.kind} head has no `{name}`",
                hint=f"Leave it out, or use another kind of head: {', '.join(HEADS)}.",
                key=f"{_KEY}.{name}",
            )
    return maker(width, outputs, options)


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


LINKS: dict[str, type[Link]] = {"identity": IdentityLink, "corn": CornLink, "coral": CoralLink}


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
    return LINKS[name](labels)
