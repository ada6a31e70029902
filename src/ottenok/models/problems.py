"""Kinds of problem: what a label scheme's kind means for the number of outputs, the targets and the saved config."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ottenok.core.errors import ConfigError

if TYPE_CHECKING:
    from ottenok.core.schemes import LabelScheme
    from ottenok.recipes.model import Problem

__all__ = ["PROBLEMS", "ProblemFacts", "resolve_problem"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemFacts:
    """What follows from a problem.

    Attributes:
        hub_name: transformers' `problem_type`.
        activation: Name of `ottenok.tasks`'s activation for the model's outputs, and, where transformers has it,
            its `function_to_apply`.
        loss: The usual loss.
        link: Name of `ottenok.models.links.LINKS`: what stands between the head and the model's outputs.
        kinds: Kinds of scheme that it fits.
    """

    hub_name: str
    activation: str
    loss: str
    link: str
    kinds: tuple[str, ...]


PROBLEMS: dict[Problem, ProblemFacts] = {
    "multi-class": ProblemFacts(
        hub_name="single_label_classification",
        activation="softmax",
        loss="ce",
        link="identity",
        kinds=("multi-class", "ordinal"),
    ),
    "multi-label": ProblemFacts(
        hub_name="multi_label_classification",
        activation="sigmoid",
        loss="bce",
        link="identity",
        # Stars or sentiments as one-hot targets are published too, so every kind fits.
        kinds=("multi-label", "multi-class", "ordinal"),
    ),
    "ordinal": ProblemFacts(
        hub_name="single_label_classification", activation="softmax", loss="ce", link="corn", kinds=("ordinal",)
    ),
    "regression": ProblemFacts(
        hub_name="regression", activation="regression", loss="mse", link="identity", kinds=("ordinal",)
    ),
}


def resolve_problem(name: str, scheme: LabelScheme) -> Problem:
    """Return the problem that a recipe's `model.problem` means for a scheme; `auto` is the scheme's own kind.

    Raises:
        ConfigError: The problem does not fit the scheme.
    """
    # An ordinal scheme of three labels (negative, neutral, positive) is usually published as a multi-class one, and a
    # recipe that wants the order says so.
    problem: Problem = "multi-label" if scheme.kind == "multi-label" else "multi-class"
    if name != "auto":
        problem = name  # type: ignore[assignment]
    if scheme.kind not in PROBLEMS[problem].kinds:
        fitting = [known for known, facts in PROBLEMS.items() if scheme.kind in facts.kinds]
        raise ConfigError(
            f"the scheme {scheme.name} is {scheme.kind}, which can't be learned as {problem}",
            hint=f"Use one of: {', '.join(fitting)}.",
            key="model.problem",
        )
    return problem
