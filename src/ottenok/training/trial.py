"""One trial of a search: a run up to its best epoch, without what makes a classifier of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from transformers import set_seed

from ottenok.core.errors import ConfigError, ModelError
from ottenok.tasks.metrics import higher_is_better
from ottenok.training.fit import fit
from ottenok.training.folder import open_run
from ottenok.training.history import read_history
from ottenok.training.observers import StoppedEarly
from ottenok.training.prepare import prepare
from ottenok.training.scoring import check_metric

if TYPE_CHECKING:
    from pathlib import Path

    from ottenok.core.progress import Progress
    from ottenok.data.corpus import Corpus
    from ottenok.recipes.train import TrainRecipe
    from ottenok.training.memory import TokenMemory
    from ottenok.training.observers import EpochWatch

__all__ = ["Shared", "TrialRun", "metric_direction", "trial"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What the trials of one search share.

    Attributes:
        corpus: What they learn from and validate on.
        memory: Tokens of earlier trials.
        tracking: Address of MLflow's store, for `run.mlflow`; None: one in each trial's folder.
        progress: Whom to tell.
    """

    corpus: Corpus
    memory: TokenMemory
    tracking: str | None
    progress: Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRun:
    """What came of a trial.

    Attributes:
        epochs: The rows of `history.jsonl`.
        best: Position of the best of them by the recipe's metric; None for a trial that was stopped early.
    """

    epochs: list[dict[str, float]]
    best: int | None


def metric_direction(recipe: TrainRecipe, corpus: Corpus) -> bool:
    """Tell whether more of the recipe's metric is better.

    Raises:
        ConfigError: The scheme has no such measure, or the corpus has no validation rows to measure on.
    """
    check_metric(recipe.run.metric, corpus.label_scheme)
    if not corpus.table("validation", columns=("id",)).num_rows:
        raise ConfigError(
            "the corpus has no validation rows, so there is nothing to compare trials by",
            hint="Give the corpus a validation split.",
            file=str(corpus.folder),
        )
    return higher_is_better(recipe.run.metric)


def trial(recipe: TrainRecipe, *, out: Path, watch: EpochWatch, shared: Shared) -> TrialRun:
    """Train up to the last epoch, or until `watch` has seen enough; the test split is not read.

    Args:
        recipe: What to do.
        out: Folder of the run. One that is there is taken up from its last checkpoint.
        watch: Is shown the rows of all epochs so far after each; says whether to go on.
        shared: Corpus and more.

    Raises:
        OttenokError: The recipe can't work; see `ottenok.training.run.train`.
        ModelError: Also: there is not enough memory for it.
    """
    folder = open_run(out, recipe, shared.corpus, resume=True, tracking=shared.tracking)
    set_seed(recipe.seed)
    try:
        history = fit(prepare(recipe, shared.corpus, shared.progress, memory=shared.memory), folder, watch=watch)
    except StoppedEarly:
        return TrialRun(epochs=read_history(out), best=None)
    except torch.OutOfMemoryError as error:
        raise ModelError("the memory does not suffice", hint="Try a smaller batch.size.") from error
    if recipe.run.mlflow:
        from ottenok.training.mlflow import finish_log

        finish_log(out, recipe, {}, card=None, tracking=shared.tracking)
    return TrialRun(epochs=history.rows, best=history.best())
