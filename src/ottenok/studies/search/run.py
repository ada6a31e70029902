"""`ottenok search`: trials of a recipe's variants, told from each other by their validation metric alone."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ottenok.core.config import merge, parse
from ottenok.core.errors import ConfigError
from ottenok.core.lazy import load_object, require
from ottenok.core.progress import SILENT, Progress
from ottenok.recipes.space import SearchOptions
from ottenok.recipes.train import TrainRecipe, load_recipe
from ottenok.studies.search.folder import PLOTS_FOLDER, identity_of, open_folder
from ottenok.studies.search.plots import draw_plots
from ottenok.studies.search.results import BEST_FILE, TrialRow, write_results
from ottenok.studies.search.space import Space, built_in, space_of
from ottenok.studies.search.study import open_study
from ottenok.studies.search.trials import Task, begin, best_recipe, try_one
from ottenok.training.inputs import Places, corpus_of
from ottenok.training.memory import TokenMemory
from ottenok.training.processes import world

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ottenok.data.corpus import Corpus

__all__ = ["Budget", "Found", "search"]

_HOME = Places()
_PACKAGES = {
    "train": ("torch", "transformers", "accelerate", "safetensors"),
    "search": ("optuna", "tomli_w", "matplotlib"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How much to try.

    Attributes:
        trials: Trials of the whole search, over all its resumptions; failed ones count, those cut off don't.
        minutes: No trial begins after so many minutes of this call; None: no limit.
    """

    trials: int
    minutes: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What came out.

    Attributes:
        folder: Where everything is.
        metric: What trials were compared by.
        higher: Whether more of it is better.
        trials: All trials that were begun, by number.
        best: Number of the best one; None if none ran to its end.
        recipe: The file with its recipe, for `ottenok train`; None likewise.
        plots: The plots' files.
    """

    folder: Path
    metric: str
    higher: bool
    trials: tuple[TrialRow, ...]
    best: int | None
    recipe: Path | None
    plots: tuple[Path, ...]


def search(
    recipe: str | Path | TrainRecipe,
    out: str | Path,
    *,
    budget: Budget,
    over: Mapping[str, Any] | None = None,
    resume: bool = False,
    places: Places = _HOME,
    progress: tuple[Progress, Progress] = (SILENT, SILENT),
) -> Found:
    """Look for a better recipe.

    Trials are compared by the recipe's `run.metric` on the validation rows, at each trial's best epoch; the test rows
    are not read. Weights of trials that lose are deleted; the best trial keeps its checkpoints, so that
    `ottenok train OUT/best.toml -o OUT/trials/NNNN --resume` makes a classifier of it without training again.

    Args:
        recipe: A TOML file, the name of a recipe that ottenok has, or a recipe; its `[search]` says what may change.
        out: Folder of the search; empty or absent unless `resume`.
        budget: How much to try.
        over: Keys to replace in the recipe, nested; see `ottenok.core.config.override`.
        resume: Go on with the search that is in `out`. A trial that was cut off is marked as failed, and its place is
            taken by one with the same values that goes on from the last checkpoint.
        places: Where data is.
        progress: Whom to tell of trials, and whom of the training within a trial.

    Raises:
        OttenokError: The recipe, the data or the search space is wrong. A combination of the space that the recipe
            refuses is no error, but a failed trial.
        MissingExtraError: The extra `search` is not installed.
    """
    _check_ready()
    resolved = load_recipe(recipe, over) if not isinstance(recipe, TrainRecipe) else _replaced(recipe, over or {})
    corpus = corpus_of(resolved.data, places, progress[0])
    higher: bool = load_object("ottenok.training.trial:metric_direction", extra="train")(resolved, corpus)
    options = resolved.search or SearchOptions()
    space = _space(resolved, options, corpus)
    identity, folder = identity_of(resolved, options, space, corpus), Path(out)
    with (
        open_folder(folder, identity, resume=resume),
        open_study(folder, space, resolved, options, higher=higher) as study,
    ):
        shared = load_object("ottenok.training.trial:Shared", extra="train")(
            corpus=corpus, memory=TokenMemory(), tracking=_tracking(places, folder), progress=progress[1]
        )
        task = Task(study=study, folder=folder, shared=shared)
        _try_all(task, budget, progress[0])
        return _found(task)


def _tracking(places: Places, folder: Path) -> str:
    """Return where MLflow keeps the trials: together, so that it can compare them."""
    return places.tracking or f"sqlite:///{(folder / 'mlflow.db').absolute()}"


def _check_ready() -> None:
    for extra, packages in _PACKAGES.items():
        for package in packages:
            require(package, extra=extra)
    if world() > 1:
        raise ConfigError(
            "a search runs in one process, and torchrun started several", hint="Start it without torchrun."
        )


def _replaced(recipe: TrainRecipe, over: Mapping[str, Any]) -> TrainRecipe:
    return parse(TrainRecipe, merge(recipe.model_dump(mode="json"), over))


def _space(recipe: TrainRecipe, options: SearchOptions, corpus: Corpus) -> Space:
    dimensions = options.space or built_in(recipe, _losses(recipe, corpus))
    return space_of(dimensions, metric=recipe.run.metric)


def _losses(recipe: TrainRecipe, corpus: Corpus) -> list[str]:
    """Return the losses that the recipe could have instead of its own, its own among them as the recipe calls it."""
    problem = load_object("ottenok.models.problems:resolve_problem", extra="train")(
        recipe.model.problem, corpus.label_scheme
    )
    resolve = load_object("ottenok.models.losses:resolve_loss", extra="train")
    own = resolve(recipe.loss, problem)
    names = []
    for name in load_object("ottenok.models.losses:LOSSES", extra="train"):
        try:
            resolve(recipe.loss.model_copy(update={"name": name}), problem)
        except ConfigError:
            continue
        names.append(recipe.loss.name if name == own else name)
    return names


def _try_all(task: Task, budget: Budget, progress: Progress) -> None:
    for number in begin(task):
        progress.note(f"trial {number} was stopped half-done; its place is taken again")
    begun = time.monotonic()
    # What an earlier call did is left out, so that the time left is true.
    progress.start("trials", total=max(budget.trials - task.study.done(), 0), unit="trials")
    try:
        while (done := task.study.done()) < budget.trials:
            if budget.minutes is not None and time.monotonic() - begun >= 60.0 * budget.minutes:
                progress.note(f"the time is up after {done} of {budget.trials} trials; --resume goes on")
                break
            progress.note(_line(try_one(task), task))
            progress.advance()
    finally:
        progress.finish()


def _line(row: TrialRow, task: Task) -> str:
    """Say in a line what came of a trial."""
    metric, best = task.study.recipe.run.metric, task.study.best()
    told = f"trial {row.number}: "
    if row.state == "failed":
        return f"{told}failed: {row.reason}"
    told += "" if row.value is None else f"{metric} {row.value:.4f}"
    if row.state == "pruned":
        told += f", stopped after {row.epochs} epochs"
    elif best is not None and best.number == row.number:
        told += ", the best so far"
    values = ", ".join(f"{key} {_short(value)}" for key, value in row.values.items())
    return f"{told} ({values})"


def _short(value: float | str) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _found(task: Task) -> Found:
    rows = write_results(task.folder, task.study, best_recipe(task))
    best = task.study.best()
    return Found(
        folder=task.folder,
        metric=task.study.recipe.run.metric,
        higher=task.study.higher,
        trials=rows,
        best=None if best is None else best.number,
        recipe=None if best is None else task.folder / BEST_FILE,
        plots=draw_plots(task.folder / PLOTS_FOLDER, task.study),
    )
