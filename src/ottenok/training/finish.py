"""From a fitted network to the classifier's files."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ottenok.decision.temperature import fit_temperature
from ottenok.models.folder import save
from ottenok.models.scaling import fold_temperature
from ottenok.training.prepare import rank
from ottenok.training.scoring import plain_decision

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from ottenok.decision.decision import Decision
    from ottenok.training.folder import RunFolder
    from ottenok.training.history import History
    from ottenok.training.prepare import Parts

__all__ = ["Fitted", "finish"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A finished run.

    Attributes:
        folder: The classifier's files.
        decision: From the saved model's scores to labels.
        temperature: The fitted temperature. It is already in the saved weights where they can hold it, and in
            `decision` otherwise.
        scores: float32 `[validation rows, outputs]` of the saved model, in fp32; None without validation.
        truth: bool `[validation rows, labels]`; None without validation.
        epochs: The rows of `history.jsonl`.
        best: Position of the chosen epoch in `epochs`; None without validation: the last one.
    """

    folder: Path
    decision: Decision
    temperature: float
    scores: npt.NDArray[np.float32] | None
    truth: npt.NDArray[np.bool_] | None
    epochs: list[dict[str, float]]
    best: int | None


def finish(parts: Parts, folder: RunFolder, history: History) -> Fitted:
    """Score the validation rows in fp32, fit the temperature, and write the files."""
    model: Any = parts.network.model
    validation = parts.validation
    scores = None if validation is None else validation.scores(model)
    decision = plain_decision(parts.network.problem, parts.scheme, parts.recipe.decision.empty)
    temperature = 1.0
    if scores is not None and validation is not None and _wants_temperature(parts):
        temperature = fit_temperature(scores, validation.examples.truth, decision).temperature
        if fold_temperature(model, temperature):
            scores = scores / temperature
        else:
            decision = replace(decision, temperature=temperature)
    if rank() == 0:
        save(model, parts.network.tokenizer, folder.path, max_length=parts.recipe.text.max_length)
        shutil.rmtree(folder.checkpoints, ignore_errors=True)
    return Fitted(
        folder=folder.path,
        decision=decision,
        temperature=temperature,
        scores=scores,
        truth=None if validation is None else validation.examples.truth,
        epochs=history.rows,
        best=history.best(),
    )


def _wants_temperature(parts: Parts) -> bool:
    return parts.recipe.decision.temperature and parts.network.problem != "regression"
