"""The decision: temperature and thresholds, fitted on validation rows that training never saw."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ottenok.decision.decision import Decision, probabilities
from ottenok.decision.temperature import fit_temperature
from ottenok.decision.thresholds import fit_thresholds
from ottenok.models.scaling import fold_temperature

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

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
    """

    decision: Decision
    scores: Scores | None
    notes: tuple[str, ...]


def tune(parts: Parts, decision: Decision) -> Tuned:
    """Score the validation rows in fp32 and fit what the recipe asks for.

    The temperature is put into the model's last layer where that is linear, so that other tools, which know nothing of
    temperatures, give the same probabilities as ottenok; `decision` then keeps 1.
    """
    if parts.validation is None:
        return Tuned(decision=decision, scores=None, notes=())
    scores = parts.validation.scores(parts.network.model)
    tuned = Tuned(decision=decision, scores=scores, notes=())
    if parts.recipe.decision.temperature and decision.activation != "regression":
        tuned = _with_temperature(parts, tuned, scores)
    if parts.recipe.decision.thresholds is not None:
        tuned = _with_thresholds(parts, tuned)
    return tuned


def _with_temperature(parts: Parts, tuned: Tuned, scores: Scores) -> Tuned:
    truth = _truth(parts)
    fit = fit_temperature(scores, truth, tuned.decision)
    note = (
        f"Temperature {fit.temperature:.3f}, fitted on {len(truth)} validation rows: log loss {fit.loss_before:.4f} "
        f"before, {fit.loss_after:.4f} after."
    )
    if fold_temperature(parts.network.model, fit.temperature):
        note += " It is in the weights already."
        return Tuned(decision=tuned.decision, scores=scores / fit.temperature, notes=(note,))
    return Tuned(decision=replace(tuned.decision, temperature=fit.temperature), scores=scores, notes=(note,))


def _with_thresholds(parts: Parts, tuned: Tuned) -> Tuned:
    options = parts.recipe.decision.thresholds
    if options is None or tuned.scores is None:
        return tuned
    fit = fit_thresholds(probabilities(tuned.scores, tuned.decision), _truth(parts), options)
    note = (
        f"Thresholds fitted for {fit.metric}: {fit.before:.4f} with 0.5 everywhere, {fit.after:.4f} with thresholds "
        f"found on other rows{'' if fit.kept else ', so 0.5 stays'}."
    )
    decision = replace(tuned.decision, thresholds=fit.thresholds)
    return Tuned(decision=decision, scores=tuned.scores, notes=(*tuned.notes, note))


def _truth(parts: Parts) -> npt.NDArray[np.bool_]:
    if parts.validation is None:
        raise RuntimeError("there is nothing to tune on without validation")
    return parts.validation.examples.truth
