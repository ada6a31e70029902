"""The trials of a search, one after the other."""

from __future__ import annotations

import gc
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ottenok.core.errors import OttenokError
from ottenok.core.lazy import load_object
from ottenok.studies.search.folder import TRIALS_FOLDER
from ottenok.studies.search.results import TrialRow, write_results
from ottenok.studies.search.study import FOLDER, SearchStudy

if TYPE_CHECKING:
    from pathlib import Path

    from ottenok.recipes.train import TrainRecipe
    from ottenok.studies.search.space import Value
    from ottenok.training.trial import Shared

__all__ = ["Task", "begin", "best_recipe", "try_one"]

_CHECKPOINTS = "checkpoints"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What every trial needs.

    Attributes:
        study: The study, with space and recipe.
        folder: The search's folder.
        shared: What the trials share; its progress is told of the training within a trial.
    """

    study: SearchStudy
    folder: Path
    shared: Shared


def begin(task: Task) -> list[int]:
    """Make ready for the first trial of this call; return the numbers of trials whose places are taken again."""
    cut_off = task.study.retake()
    task.study.begin()
    _delete_losers(task)
    return cut_off


def try_one(task: Task) -> TrialRow:
    """Run one trial, keep what came of it, and delete the weights of those that lose."""
    trial, values = task.study.ask()
    try:
        _run(task, trial, values)
    except OttenokError as error:
        where = f"{error.where}: " if error.where else ""
        task.study.fail(trial, f"{where}{error.message}")
    finally:
        task.shared.progress.finish()
        # A trainer is full of circles; its network must be gone before the next one is made.
        gc.collect()
    _delete_losers(task)
    rows = write_results(task.folder, task.study, best_recipe(task))
    return next(row for row in rows if row.number == trial.number)


def _run(task: Task, trial: Any, values: dict[str, Value]) -> None:  # noqa: ANN401 - Optuna's
    recipe = task.study.space.recipe(task.study.recipe, values)
    watch = task.study.watcher(trial, recipe.schedule.epochs)
    done = load_object("ottenok.training.trial:trial", extra="train")(
        recipe,
        out=task.folder / TRIALS_FOLDER / trial.user_attrs[FOLDER],
        watch=watch,
        shared=task.shared,
    )
    if done.best is None:
        task.study.prune(trial)
        return
    # A run that was complete when it was taken up again has shown no epoch yet.
    watch(done.epochs)
    task.study.complete(trial, done.epochs[done.best][recipe.run.metric])


def best_recipe(task: Task) -> TrainRecipe | None:
    """Return the recipe of the best trial, if any was completed."""
    best = task.study.best()
    return None if best is None else task.study.space.recipe(task.study.recipe, best.params)


def _delete_losers(task: Task) -> None:
    """Delete the checkpoints of every trial that ended and is not the best."""
    best = task.study.best()
    kept = None if best is None else best.user_attrs[FOLDER]
    retaken = task.study.retaken()
    for trial in task.study.trials():
        name = trial.user_attrs.get(FOLDER, kept)
        if trial.state.is_finished() and trial.number not in retaken and name != kept:
            shutil.rmtree(task.folder / TRIALS_FOLDER / name / _CHECKPOINTS, ignore_errors=True)
