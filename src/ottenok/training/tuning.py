"""The decision: temperature and thresholds, fitted on validation rows that training never saw."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ottenok.models.scaling import fold_temperature
from ottenok.tasks.task import Task
from ottenok.tasks.tuning import TuningOptions, fit_decision, tuning_sentences, tuning_table

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ottenok.core.progress import Progress
    from ottenok.tasks.decision import Decision
    from ottenok.tasks.tuning import DecisionFit, TuningReport
    from ottenok.training.prepare import Parts

    Scores = npt.NDArray[np.float32]

__all__ = ["Tuned", "tune"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """What was fitted.

    Attributes:
        decision: From the model's scores to labels.
        scores: float32 `[validation rows, outputs]` of the model as it is now; None without validation.
        notes: What was found, a sentence each.
        report: The same in numbers; None where nothing was fitted.
    """

    decision: Decision
    scores: Scores | None
    notes: tuple[str, ...] = ()
    report: TuningReport | None = None

    @property
    def temperature(self) -> float | None:
        """What the scores were divided by, in the weights or by the decision; None where none was fitted."""
        fitted = None if self.report is None else self.report.temperature
        return None if fitted is None else fitted.temperature


def tune(parts: Parts, decision: Decision) -> Tuned:
    """Score the validation rows in fp32, fit what the recipe asks for, and tell of it.

    The temperature is put into the model's last layer where that is linear, so that other tools, which know nothing of
    temperatures, give the same probabilities as ottenok; `decision` then keeps 1.
    """
    if parts.validation is None:
        return Tuned(decision=decision, scores=None)
    scores, asked = parts.validation.scores(parts.network.model), parts.recipe.decision
    temperature = asked.temperature and decision.activation != "regression"
    if not temperature and asked.thresholds is None:
        return Tuned(decision=decision, scores=scores)
    options = TuningOptions(temperature=temperature, thresholds=asked.thresholds)
    truth = parts.validation.examples.truth
    fit = fit_decision(Task.of(parts.scheme, decision), scores, truth, options=options)
    tuned = _folded(parts, fit, scores)
    _tell(tuned, parts.progress)
    return tuned


def _folded(parts: Parts, fit: DecisionFit, scores: Scores) -> Tuned:
    found, decision, report = fit.report.temperature, fit.decision, fit.report
    if found is not None and found.temperature != 1.0 and fold_temperature(parts.network.model, found.temperature):
        scores = scores / found.temperature
        decision = replace(decision, temperature=1.0)
        report = replace(report, temperature=replace(found, folded=True))
    return Tuned(decision=decision, scores=scores, notes=tuning_sentences(report), report=report)


def _tell(tuned: Tuned, progress: Progress) -> None:
    table = None if tuned.report is None else tuning_table(tuned.report)
    for line in (*tuned.notes, *(table.text().splitlines() if table else ())):
        progress.note(line)
