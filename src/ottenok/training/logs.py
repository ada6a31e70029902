"""Other tools that a run logs to, where the recipe asks for them: TensorBoard, MLflow."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from ottenok.training.observers import StoppedEarly
from ottenok.training.processes import rank

if TYPE_CHECKING:
    from collections.abc import Iterator

    from transformers import TrainerCallback

    from ottenok.core.progress import Progress
    from ottenok.recipes.train import TrainRecipe
    from ottenok.training.folder import RunFolder

__all__ = ["logged"]


@contextmanager
def logged(recipe: TrainRecipe, folder: RunFolder, progress: Progress) -> Iterator[list[TrainerCallback]]:
    """Yield the observers that log the run; if it breaks off, MLflow is told how.

    Raises:
        MissingExtraError: What the recipe asks for is not installed.
        ConfigError: MLflow's store can't be used.
    """
    observers: list[TrainerCallback] = []
    if recipe.run.tensorboard and rank() == 0:
        from ottenok.training.tensorboard import tensorboard

        observers.append(tensorboard(folder.tensorboard))
    if not recipe.run.mlflow or rank() != 0:
        yield observers
        return
    from ottenok.training.mlflow import MlflowObserver, open_log

    log = open_log(folder, recipe)
    try:
        yield [*observers, MlflowObserver(log, progress)]
    except BaseException as error:
        log.break_off("KILLED" if isinstance(error, (KeyboardInterrupt, StoppedEarly)) else "FAILED")
        raise
