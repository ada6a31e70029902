"""Scores of many texts by a torch model, and the measures of an epoch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import torch

from ottenok.core.errors import ConfigError
from ottenok.core.progress import SILENT, Progress
from ottenok.core.suggest import suggest
from ottenok.models.problems import PROBLEMS
from ottenok.tasks.decision import Decision, check_fit, probabilities
from ottenok.tasks.metrics import Kind, fitting
from ottenok.tasks.report import EvaluationOptions, evaluate
from ottenok.tasks.task import Task
from ottenok.tasks.tuning import check_tuning
from ottenok.training.batches import length_order
from ottenok.training.tokens import pad

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt
    from torch import Tensor, nn

    from ottenok.core.schemes import LabelScheme
    from ottenok.models.losses import LossSetting
    from ottenok.recipes.model import Problem
    from ottenok.recipes.train import DecisionOptions
    from ottenok.tasks.decision import Activation
    from ottenok.training.examples import Examples
    from ottenok.training.tokens import TokenTable

    Scores = npt.NDArray[np.float32]

__all__ = ["Validation", "check_metric", "measure_names", "measures", "plain_decision", "score"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """Scores a model on validation rows, and names the measures.

    Attributes:
        examples: The rows.
        answers: What the loss compares with, see `ottenok.training.examples.targets`.
        scheme: The labels.
        decision: The untuned decision of the problem.
        loss: The training loss.
        setting: Its class weights and smoothing.
        padding: The padding token's id.
        size: Rows in a batch.
        progress: Whom to tell.
        rank: This process.
        world: All processes.
    """

    examples: Examples
    answers: npt.NDArray[Any]
    scheme: LabelScheme
    decision: Decision
    loss: Callable[[Tensor, Tensor, LossSetting], Tensor]
    setting: LossSetting
    padding: int
    size: int
    progress: Progress = SILENT
    rank: int = 0
    world: int = 1

    def scores(self, model: nn.Module) -> Scores:
        """Return float32 `[rows, outputs]`; with several processes each scores its share and gets all."""
        return score(
            model,
            self.examples.tokens,
            padding=self.padding,
            size=self.size,
            progress=self.progress,
            share=(self.rank, self.world),
        )

    def __call__(self, model: nn.Module) -> dict[str, float]:
        """Return `loss` and every measure that follows from counts."""
        scores = self.scores(model)
        weights = self.setting.class_weights
        setting = replace(self.setting, class_weights=None if weights is None else weights.cpu())
        loss = float(self.loss(torch.from_numpy(scores), torch.from_numpy(self.answers), setting))
        return {"loss": loss} | measures(scores, self.examples, self.scheme, self.decision)


def score(
    model: nn.Module,
    tokens: TokenTable,
    *,
    padding: int,
    size: int,
    stage: str = "validating",
    progress: Progress = SILENT,
    share: tuple[int, int] = (0, 1),
) -> Scores:
    """Score texts in batches of about equal length.

    Args:
        model: A sequence classifier; it is left in evaluation mode.
        tokens: The texts.
        padding: The padding token's id.
        size: Texts in a batch.
        stage: What the progress calls it.
        progress: Whom to tell.
        share: This process and all processes; the shares' results are summed over `torch.distributed`.

    Returns:
        float32 `[texts, outputs]`, in the texts' order.
    """
    model.eval()
    device = next(model.parameters()).device
    result: Tensor | None = None
    rank, world = share
    # Longest texts come first, so a count of texts would promise too long a time.
    progress.start(stage, total=int(tokens.lengths.sum()), unit="tokens")
    with torch.inference_mode():
        for indices in length_order(tokens.lengths, size)[rank::world]:
            batch = {key: value.to(device) for key, value in pad(tokens.rows(indices.tolist()), padding).items()}
            scores = model(**batch).logits.to(torch.float32)
            if result is None:
                result = torch.zeros(len(tokens), scores.shape[1], device=device)
            result[torch.from_numpy(indices).to(device)] = scores
            progress.advance(int(tokens.lengths[indices].sum()) * world)
    progress.finish()
    return _joined(result, len(tokens), model, world)


def _joined(result: Tensor | None, rows: int, model: nn.Module, world: int) -> Scores:
    config: Any = model.config
    if result is None:
        result = torch.zeros(rows, config.num_labels, device=next(model.parameters()).device)
    if world > 1:
        torch.distributed.all_reduce(result)
    scores: Scores = result.cpu().numpy()
    return scores


def plain_decision(problem: Problem, scheme: LabelScheme, options: DecisionOptions) -> Decision:
    """Return the untuned decision of a problem.

    Raises:
        ConfigError: The recipe asks for thresholds in a one-label scheme.
        SchemeError: The label of empty answers, or the exclusive one, is none of the scheme's.
    """
    check_tuning(options.thresholds, scheme)
    several = problem == "multi-label"
    decision = Decision(
        activation=cast("Activation", PROBLEMS[problem].activation),
        empty=options.empty if several else "allow",
        exclusive=options.exclusive if several else "",
        values=scheme.values if problem == "regression" else (),
    )
    check_fit(decision, scheme)
    return decision


def measure_names(scheme: LabelScheme) -> tuple[str, ...]:
    """Return the names that `measures` may give for a scheme."""
    return fitting(Kind.of(scheme))


def check_metric(name: str, scheme: LabelScheme) -> None:
    """Refuse a metric that the best epoch can't be chosen by.

    Raises:
        ConfigError: It is neither `loss` nor one of `measure_names`.
    """
    known = ("loss", *measure_names(scheme))
    if name not in known:
        raise ConfigError(
            f"there is no measure {name!r} for the scheme {scheme.name}", hint=suggest(name, known), key="run.metric"
        )


def measures(scores: Scores, examples: Examples, scheme: LabelScheme, decision: Decision) -> dict[str, float]:
    """Return every figure of `ottenok.tasks.report` that is defined for these rows, without intervals."""
    report = evaluate(
        Task.of(scheme, decision),
        examples.truth,
        probabilities(scores, decision),
        sources=examples.sources.tolist(),
        options=EvaluationOptions(resamples=0),
    )
    return {name: found.value for name, found in report.metrics.items()}
