"""Losses. A new one is a function here or elsewhere and an entry below.

A loss takes `scores` (float32 `[batch, outputs]`), `targets` (int64 `[batch]` for one label per text, float32
`[batch, labels]` for several, float32 `[batch]` for a regression) and a `LossSetting`, and returns a scalar: a weighted
mean over the batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from ottenok.core.config import suggest
from ottenok.core.errors import ConfigError
from ottenok.core.lazy import load_object
from ottenok.models.problems import PROBLEMS

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from ottenok.recipes.model import LossOptions, Problem

__all__ = [
    "LOSSES",
    "LossFacts",
    "LossSetting",
    "binary_cross_entropy",
    "cross_entropy",
    "find_loss",
    "mean",
    "mean_by_weight",
    "resolve_loss",
    "squared_error",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class LossFacts:
    """What a loss is and what goes with it.

    Attributes:
        function: Where it is.
        problems: What it can teach.
        options: Options of `LossOptions` that belong to it, `class_weights` and `label_smoothing` included.
    """

    function: str
    problems: tuple[Problem, ...]
    options: tuple[str, ...] = ()


LOSSES = {
    "asymmetric": LossFacts(
        function="ottenok.models.focal:asymmetric",
        problems=("multi-label",),
        options=("class_weights", "gamma_positive", "gamma_negative", "clip"),
    ),
    "bce": LossFacts(
        function="ottenok.models.losses:binary_cross_entropy",
        problems=("multi-label",),
        options=("class_weights", "label_smoothing"),
    ),
    "ce": LossFacts(
        function="ottenok.models.losses:cross_entropy",
        problems=("multi-class", "ordinal"),
        options=("class_weights", "label_smoothing"),
    ),
    "focal": LossFacts(
        function="ottenok.models.focal:focal",
        problems=("multi-class", "multi-label", "ordinal"),
        options=("class_weights", "gamma"),
    ),
    "mse": LossFacts(function="ottenok.models.losses:squared_error", problems=("regression",)),
}

# Options that some losses have and others have not, and what they are when they are not asked for.
_OPTIONAL: dict[str, object] = {
    "class_weights": "none",
    "label_smoothing": 0.0,
    "gamma": None,
    "gamma_positive": None,
    "gamma_negative": None,
    "clip": None,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LossSetting:
    """What a loss gets besides scores and targets.

    Attributes:
        class_weights: float32 `[labels]`, or None for equal weights.
        example_weights: float32 `[batch]`, or None for equal weights.
        smoothing: Share of the target's mass that is spread over all labels.
        gamma: Of `focal`.
        gamma_positive: Of `asymmetric`.
        gamma_negative: Of `asymmetric`.
        clip: Of `asymmetric`.
    """

    class_weights: Tensor | None = None
    example_weights: Tensor | None = None
    smoothing: float = 0.0
    gamma: float = 2.0
    gamma_positive: float = 0.0
    gamma_negative: float = 4.0
    clip: float = 0.05

    @classmethod
    def of(cls, options: LossOptions, class_weights: Tensor | None) -> LossSetting:
        """Return what a recipe asks for.

        Args:
            options: The recipe's.
            class_weights: What its `class_weights` come to.
        """
        own = {name: getattr(options, name) for name in ("gamma", "gamma_positive", "gamma_negative", "clip")}
        given = {name: value for name, value in own.items() if value is not None}
        return cls(class_weights=class_weights, smoothing=options.label_smoothing, **given)


def cross_entropy(scores: Tensor, targets: Tensor, setting: LossSetting) -> Tensor:
    """Softmax cross-entropy; with class weights the mean is divided by the sum of the targets' weights, as in torch."""
    losses = functional.cross_entropy(
        scores, targets, weight=setting.class_weights, label_smoothing=setting.smoothing, reduction="none"
    )
    return mean_by_weight(losses, targets, setting)


def binary_cross_entropy(scores: Tensor, targets: Tensor, setting: LossSetting) -> Tensor:
    """Sigmoid cross-entropy, mean over labels and texts; a class weight multiplies the term of the positive target."""
    smooth = targets * (1.0 - setting.smoothing) + 0.5 * setting.smoothing
    losses = functional.binary_cross_entropy_with_logits(
        scores, smooth, pos_weight=setting.class_weights, reduction="none"
    ).mean(dim=-1)
    return mean(losses, setting.example_weights)


def squared_error(scores: Tensor, targets: Tensor, setting: LossSetting) -> Tensor:
    """Squared error of the one output; class weights and smoothing have no meaning here and are refused earlier."""
    return mean((scores.squeeze(-1) - targets) ** 2, setting.example_weights)


def mean(losses: Tensor, weights: Tensor | None) -> Tensor:
    """Return the mean of `[batch]` losses, by the examples' weights where there are any."""
    if weights is None:
        return losses.mean()
    return (losses * weights).sum() / weights.sum().clamp(min=1e-12)


def mean_by_weight(losses: Tensor, targets: Tensor, setting: LossSetting) -> Tensor:
    """Return the sum of `[batch]` losses that hold their class weight already, over the sum of the targets' weights."""
    shares = torch.ones_like(losses) if setting.class_weights is None else setting.class_weights[targets]
    if setting.example_weights is not None:
        losses, shares = losses * setting.example_weights, shares * setting.example_weights
    return losses.sum() / shares.sum().clamp(min=1e-12)


def find_loss(name: str) -> Callable[[Tensor, Tensor, LossSetting], Tensor]:
    """Return the loss called `name`.

    Raises:
        ConfigError: There is none.
    """
    loss: Callable[[Tensor, Tensor, LossSetting], Tensor] = load_object(_facts(name).function, extra="train")
    return loss


def resolve_loss(options: LossOptions, problem: Problem) -> str:
    """Return the name of the loss that a recipe means for a problem; `auto` is the problem's usual one.

    Raises:
        ConfigError: There is no such loss, it can't teach the problem, or an option does not belong to it.
    """
    name = PROBLEMS[problem].loss if options.name == "auto" else options.name
    facts = _facts(name)
    if problem not in facts.problems:
        fitting = [known for known, others in LOSSES.items() if problem in others.problems]
        raise ConfigError(
            f"the loss {name!r} is for problems that are {' or '.join(facts.problems)}, this one is {problem}",
            hint=f"Use one of: {', '.join(fitting)}.",
            key="loss.name",
        )
    for option, unset in _OPTIONAL.items():
        if option not in facts.options and getattr(options, option) != unset:
            having = [known for known, others in LOSSES.items() if option in others.options]
            raise ConfigError(
                f"the loss {name!r} has no {option}",
                hint=f"Leave it out; losses with it: {', '.join(having)}.",
                key=f"loss.{option}",
            )
    return name


def _facts(name: str) -> LossFacts:
    if name not in LOSSES:
        raise ConfigError(f"there is no loss {name!r}", hint=suggest(name, LOSSES), key="loss.name")
    return LOSSES[name]
