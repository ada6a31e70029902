"""Losses: what each task's logits cost, and the one number that training minimises.

A loss takes `logits` (float32 `[batch, outputs]`), `targets` (int64 `[batch]` for one label per text, float32
`[batch, labels]` for several, float32 `[batch]` for a regression) and a `LossSetting`, and returns a scalar: a weighted
mean over the batch. A new one is a function here, a name in `FUNCTIONS`, and facts in `ottenok.recipes.model.LOSSES`.

Focal and asymmetric losses are computed from logarithms of probabilities, so that logits far from 0 give neither
infinite losses nor gradients that are no numbers, whatever the gammas.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch.nn import functional
from torch.nn.functional import log_softmax, logsigmoid, one_hot

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from ottenok.recipes.model import LossOptions

    Loss = Callable[[Tensor, Tensor, "LossSetting"], Tensor]

__all__ = [
    "FUNCTIONS",
    "LossSetting",
    "TaskLoss",
    "TaskTargets",
    "asymmetric",
    "binary_cross_entropy",
    "cross_entropy",
    "focal",
    "soft_cross_entropy",
    "squared_error",
    "total_loss",
]

# Stands for minus infinity in the logits of classes that a text's source can't give: as good as it in a softmax, and
# without gradients that are no numbers.
_NOWHERE = -1e4
_LEAST = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class LossSetting:
    """What a loss gets besides logits and targets.

    Attributes:
        class_weights: float32 `[labels]`, or None for equal weights.
        example_weights: float32 `[batch]`, 0 for a text without a label, or None for equal weights.
        present: bool `[batch, labels]`: the labels that a text could have got where it was labelled; None: all. A
            softmax is taken over these alone, and a sigmoid of another label costs nothing.
        smoothing: Share of the target's mass that is spread over all (present) labels.
        gamma: Of `focal`.
        gamma_positive: Of `asymmetric`.
        gamma_negative: Of `asymmetric`.
        clip: Of `asymmetric`.
    """

    class_weights: Tensor | None = None
    example_weights: Tensor | None = None
    present: Tensor | None = None
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

    def masked(self, logits: Tensor) -> Tensor:
        """Return logits with those of absent labels so low that a softmax gives them nothing."""
        return logits if self.present is None else logits.masked_fill(~self.present, _NOWHERE)

    def mean(self, losses: Tensor) -> Tensor:
        """Return the mean of `[batch]` losses, by the examples' weights where there are any; 0 of no example."""
        if self.example_weights is None:
            return losses.mean()
        return (losses * self.example_weights).sum() / self.example_weights.sum().clamp(min=_LEAST)

    def mean_by_class(self, losses: Tensor, targets: Tensor) -> Tensor:
        """Return the sum of `[batch]` losses that hold their class weight, over the sum of the targets' weights."""
        shares = torch.ones_like(losses) if self.class_weights is None else self.class_weights[targets]
        if self.example_weights is not None:
            losses, shares = losses * self.example_weights, shares * self.example_weights
        return losses.sum() / shares.sum().clamp(min=_LEAST)

    def mean_over_labels(self, losses: Tensor) -> Tensor:
        """Return the mean of `[batch, labels]` losses over each text's present labels, and over the texts."""
        if self.present is None:
            return self.mean(losses.mean(dim=-1))
        present = self.present.to(losses.dtype)
        return self.mean((losses * present).sum(dim=-1) / present.sum(dim=-1).clamp(min=1.0))


def cross_entropy(logits: Tensor, targets: Tensor, setting: LossSetting) -> Tensor:
    """Softmax cross-entropy; with class weights the mean is divided by the sum of the targets' weights, as in torch."""
    weights, smoothing = setting.class_weights, setting.smoothing
    if setting.present is None:
        losses = functional.cross_entropy(logits, targets, weight=weights, label_smoothing=smoothing, reduction="none")
        return setting.mean_by_class(losses, targets)
    costs = -log_softmax(setting.masked(logits), dim=-1)
    if weights is not None:
        costs = costs * weights
    present = setting.present.to(costs.dtype)
    spread = (costs * present).sum(dim=-1) / present.sum(dim=-1).clamp(min=1.0)
    chosen = costs.gather(1, targets.unsqueeze(1)).squeeze(1)
    return setting.mean_by_class((1.0 - smoothing) * chosen + smoothing * spread, targets)


def binary_cross_entropy(logits: Tensor, targets: Tensor, setting: LossSetting) -> Tensor:
    """Sigmoid cross-entropy, mean over labels and texts; a class weight multiplies the term of the positive target."""
    smooth = targets * (1.0 - setting.smoothing) + 0.5 * setting.smoothing
    return setting.mean_over_labels(
        functional.binary_cross_entropy_with_logits(logits, smooth, pos_weight=setting.class_weights, reduction="none")
    )


def squared_error(logits: Tensor, targets: Tensor, setting: LossSetting) -> Tensor:
    """Squared error of the one output; class weights and smoothing have no meaning here and are refused earlier."""
    return setting.mean((logits.squeeze(-1) - targets) ** 2)


def focal(logits: Tensor, targets: Tensor, setting: LossSetting) -> Tensor:
    """Focal loss (Lin et al. 2017): `-(1 - p)^gamma log p`, p being the probability that the model gives the truth.

    With `gamma` 0 it is the cross-entropy. For one label per text p comes from a softmax; for several each label counts
    by itself, from a sigmoid, and the mean is taken. Class weights are the paper's alpha, used as in `cross_entropy`
    and `binary_cross_entropy`.
    """
    if targets.is_floating_point():
        positive = -torch.exp(setting.gamma * logsigmoid(-logits)) * logsigmoid(logits)
        negative = -torch.exp(setting.gamma * logsigmoid(logits)) * logsigmoid(-logits)
        return _over_labels(positive, negative, targets, setting)
    logits = setting.masked(logits)
    found = one_hot(targets, logits.shape[-1]).bool()
    total = logits.logsumexp(dim=-1)
    right = logits.masked_fill(~found, 0.0).sum(dim=-1) - total
    wrong = logits.masked_fill(found, 2 * _NOWHERE).logsumexp(dim=-1) - total
    losses = -torch.exp(setting.gamma * wrong) * right
    if setting.class_weights is not None:
        losses = losses * setting.class_weights[targets]
    return setting.mean_by_class(losses, targets)


def asymmetric(logits: Tensor, targets: Tensor, setting: LossSetting) -> Tensor:
    """Asymmetric loss (Ridnik et al. 2021), for several labels per text.

    A label that a text has costs `-(1 - p)^gamma_positive log p`; one that it has not `-q^gamma_negative log(1 - q)`,
    with `q = max(p - clip, 0)`, so that the many easy absent labels do not outweigh the few present ones. The gradient
    is that of the whole formula. With gammas and clip 0 it is `binary_cross_entropy`; a class weight multiplies the
    term of the present label, as there.
    """
    positive = -torch.exp(setting.gamma_positive * logsigmoid(-logits)) * logsigmoid(logits)
    shifted = torch.sigmoid(logits) - setting.clip
    kept = shifted > 0.0
    # log(1 - q) = log(1 - p + clip). Where nothing is kept the cost is 0, and no power of 0 may enter the gradient.
    floor = logits.new_tensor(setting.clip).log()
    focus = torch.where(kept, shifted, 1.0) ** setting.gamma_negative
    negative = torch.where(kept, -focus * torch.logaddexp(logsigmoid(-logits), floor), 0.0)
    return _over_labels(positive, negative, targets, setting)


def _over_labels(positive: Tensor, negative: Tensor, targets: Tensor, setting: LossSetting) -> Tensor:
    if setting.class_weights is not None:
        positive = positive * setting.class_weights
    return setting.mean_over_labels(targets * positive + (1.0 - targets) * negative)


def soft_cross_entropy(logits: Tensor, teacher: Tensor, taught: Tensor, *, temperature: float, softmax: bool) -> Tensor:
    """Return how far a model is from a teacher's probabilities: Kullback-Leibler divergence, 0 where they agree.

    Args:
        logits: float32 `[batch, labels]`, of the student.
        teacher: float32 `[batch, labels]`: probabilities, softened by the temperature already.
        taught: float32 `[batch]`: 0 for texts of which the teacher said nothing.
        temperature: Divides the logits; the result is multiplied by its square, so that the gradient keeps its size.
        softmax: Whether a text has one label; otherwise each label counts by itself, and the mean is taken.
    """
    soft = logits / temperature
    if softmax:
        losses = (torch.xlogy(teacher, teacher) - teacher * log_softmax(soft, dim=-1)).sum(dim=-1)
    else:
        sure = torch.xlogy(teacher, teacher) + torch.xlogy(1.0 - teacher, 1.0 - teacher)
        costs = functional.binary_cross_entropy_with_logits(soft, teacher, reduction="none")
        losses = (costs + sure).mean(dim=-1)
    return temperature**2 * LossSetting(example_weights=taught).mean(losses)


FUNCTIONS: dict[str, Loss] = {
    "asymmetric": asymmetric,
    "bce": binary_cross_entropy,
    "ce": cross_entropy,
    "focal": focal,
    "mse": squared_error,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskTargets:
    """What the texts of a batch should be answered for one task.

    Attributes:
        answers: What the loss compares logits with; anything where there is no label.
        known: float32 `[batch]`: weight of a text with a label (usually 1), else 0; None: all have one and weigh 1.
        present: See `LossSetting.present`.
        teacher: float32 `[batch, labels]`: a teacher's softened probabilities; None: there is no teacher.
        taught: float32 `[batch]`: 1 for a text of which the teacher said something, else 0.
    """

    answers: Tensor
    known: Tensor | None = None
    present: Tensor | None = None
    teacher: Tensor | None = None
    taught: Tensor | None = None

    def to(self, device: torch.device) -> TaskTargets:
        """Return the same on another device, without waiting for the copy."""

        def moved(one: Tensor | None) -> Tensor | None:
            return None if one is None else one.to(device, non_blocking=True)

        return TaskTargets(
            answers=self.answers.to(device, non_blocking=True),
            known=moved(self.known),
            present=moved(self.present),
            teacher=moved(self.teacher),
            taught=moved(self.taught),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskLoss:
    """The loss of one task.

    Attributes:
        columns: Where its logits are among the model's.
        function: Of `FUNCTIONS`.
        setting: Class weights, smoothing and more.
        weight: Among the tasks' losses.
        softmax: Whether a text has one label.
        teacher_weight: Share of the teacher in the loss, 0..1.
        temperature: Of teacher and student.
    """

    columns: slice
    function: Loss
    setting: LossSetting
    weight: float = 1.0
    softmax: bool = True
    teacher_weight: float = 0.0
    temperature: float = 1.0

    def __call__(self, logits: Tensor, targets: TaskTargets) -> Tensor:
        """Return the mean over the texts that have a label, mixed with that over the texts that the teacher knows.

        Args:
            logits: float32 `[batch, outputs]` of all tasks.
            targets: Of this task.
        """
        own = logits[:, self.columns]
        share = 0.0 if targets.teacher is None else self.teacher_weight
        total = own.new_zeros(())
        if share < 1.0:
            setting = self.setting
            if targets.known is not None or targets.present is not None:
                setting = replace(setting, example_weights=targets.known, present=targets.present)
            total = (1.0 - share) * self.function(own, targets.answers, setting)
        if share > 0.0 and targets.teacher is not None and targets.taught is not None:
            total = total + share * soft_cross_entropy(
                own, targets.teacher, targets.taught, temperature=self.temperature, softmax=self.softmax
            )
        return total


def total_loss(losses: Sequence[TaskLoss], logits: Tensor, targets: Sequence[TaskTargets]) -> Tensor:
    """Return the weighted mean of the tasks' losses, a scalar.

    Args:
        losses: Of the tasks.
        logits: float32 `[batch, outputs]`, the tasks side by side.
        targets: Of the tasks.
    """
    parts = [one.weight * one(logits, target) for one, target in zip(losses, targets, strict=True)]
    return torch.stack(parts).sum() / sum(one.weight for one in losses)
