"""A task: one question that a model answers, with its labels and the rule from logits to answers.

A model answers one or more. The first is its primary one: what tools see that know of one task alone. Logits of a model
with several tasks travel as one array, the tasks side by side in the model's order.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ottenok.core.errors import ConfigError, SchemeError
from ottenok.tasks.decision import (
    ACTIVATIONS,
    check_fit,
    chosen,
    decide,
    log_odds,
    ordered_score,
    output_count,
    probabilities,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    import numpy.typing as npt

    from ottenok.core.schemes import LabelScheme
    from ottenok.tasks.decision import Decision, ProblemType
    from ottenok.tasks.selective import Selective

__all__ = ["Task", "check_names", "columns", "find_task", "task_name"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is asked of a text, and how the answer follows from a model's outputs.

    Attributes:
        name: By default that of the scheme; letters, digits, `.`, `_` and `-`, at most 100.
        scheme: The labels, in the order of the outputs.
        problem: What was learned: `multi-class`, `multi-label`, `ordinal` or `regression`.
        decision: From logits to labels.
        selective: Which of these labels are given; None: all.

    Raises:
        ConfigError: The name has other characters.
        SchemeError: There is not a limit for each label, the decision can't answer in the scheme's labels, or the
            problem can't have its activation.
    """

    name: str
    scheme: LabelScheme
    problem: ProblemType
    decision: Decision
    selective: Selective | None = None

    def __post_init__(self) -> None:
        check_names([self.name])
        allowed = ACTIVATIONS[self.problem]
        if self.decision.activation not in allowed:
            raise SchemeError(
                f"a {self.problem} model can't have the activation {self.decision.activation}, "
                f"only {' or '.join(allowed)}",
                key="decision.activation",
            )
        check_fit(self.decision, self.scheme)
        if self.selective is not None and len(self.selective.limits) != len(self.scheme.labels):
            found, expected = len(self.selective.limits), len(self.scheme.labels)
            raise SchemeError(f"found {found} limits, expected one for each of the {expected} labels")

    @classmethod
    def of(cls, scheme: LabelScheme, decision: Decision, *, name: str | None = None) -> Task:
        """Return the task that a scheme and a decision make, called by the scheme unless it has a name."""
        problem = next(one for one, activations in ACTIVATIONS.items() if decision.activation in activations)
        return cls(
            name=task_name(scheme.name) if name is None else name, scheme=scheme, problem=problem, decision=decision
        )

    @property
    def outputs(self) -> int:
        """How many logits the task has."""
        return output_count(self.decision.activation, len(self.scheme.labels))

    def probabilities(self, logits: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Turn this task's logits `[rows, outputs]` into float32 `[rows, labels]` in 0..1.

        Raises:
            ModelError: The logits have another shape, or are not finite.
        """
        return probabilities(logits, self.decision)

    def log_odds(self, logits: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Turn this task's logits into each label's log-odds; see `ottenok.tasks.decision.log_odds`.

        Raises:
            ModelError: The logits have another shape, or are not finite.
        """
        return log_odds(logits, self.decision)

    def chosen(self, probs: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Say which labels are in each row's answer, bool `[rows, labels]`; see `ottenok.tasks.decision.chosen`.

        Raises:
            ModelError: The probabilities have another shape than `[rows, labels]`, or are not finite.
        """
        return chosen(probs, self.scheme, self.decision)

    def decide(self, probs: npt.ArrayLike) -> list[tuple[str, ...]]:
        """Return each row's labels, in the scheme's order.

        Raises:
            ModelError: The probabilities have another shape than `[rows, labels]`, or are not finite.
        """
        return decide(probs, self.scheme, self.decision)

    def polarity(self, probs: npt.ArrayLike) -> list[float] | None:
        """Return the mean of the labels' values under each row's probabilities, -1..1; None for labels without order.

        Raises:
            ModelError: The probabilities have another shape than `[rows, labels]`, or are not finite.
        """
        if not self.scheme.values:
            return None
        found: list[float] = ordered_score(probs, self.scheme.values).tolist()
        return found


def columns(tasks: Iterable[Task]) -> dict[str, slice]:
    """Return where each task's logits stand among a model's, by name.

    Raises:
        ConfigError: Two tasks have the same name.
    """
    listed = list(tasks)
    check_names([task.name for task in listed])
    places, start = {}, 0
    for task in listed:
        places[task.name] = slice(start, start + task.outputs)
        start += task.outputs
    return places


def find_task(tasks: Iterable[Task], name: str | None = None) -> Task:
    """Return the task of this name; None: the first.

    Raises:
        SchemeError: There is none.
    """
    listed = list(tasks)
    for task in listed:
        if name in {None, task.name}:
            return task
    known = ", ".join(task.name for task in listed)
    raise SchemeError(f"there is no task {name!r}", hint=f"There are: {known or 'none'}.")


def check_names(names: Iterable[str]) -> None:
    """Refuse names of tasks that files, columns and graphs can't carry.

    Raises:
        ConfigError: A name is empty, too long or has other characters than letters, digits, `.`, `_` and `-`; or it
            occurs twice.
    """
    seen = set()
    for name in names:
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"a task can't be called {name!r}",
                hint="Use 1 to 100 Latin letters, digits, dots, underscores and hyphens; a letter or digit first.",
                key="tasks",
            )
        if name in seen:
            raise ConfigError(f"two tasks are called {name!r}", key="tasks")
        seen.add(name)


def task_name(text: str) -> str:
    """Return a name that a task may have, made from any text, such as a scheme's name: other characters become `-`."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:100]
    return name or "task"
