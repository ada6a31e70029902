"""The Optuna study of a search: its file, its sampler and pruner, and trials that were cut off.

What a trial is given depends on the recipe's seed, on how many trials came before it, and on their results; so a
search that was stopped and taken up again tries what an undisturbed one would have tried.
"""

from __future__ import annotations

import warnings
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from ottenok.core.errors import ConfigError
from ottenok.core.lazy import require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from ottenok.recipes.space import SearchOptions
    from ottenok.recipes.train import TrainRecipe
    from ottenok.studies.search.space import Axis, Space, Value

__all__ = ["FOLDER", "REASON", "SearchStudy", "open_study"]

# User attributes of a trial: name of its run folder, why it failed, number of the trial whose place it takes.
FOLDER, REASON, _RETAKES = "folder", "reason", "retakes"

_FILE = "study.db"
# Trials that must have ended before the median says anything.
_MEDIAN_FROM = 5


class SearchStudy:
    """An Optuna study and what ottenok knows of it.

    Args:
        study: Optuna's.
        space: What changes.
        options: The recipe's `[search]`.
        recipe: Its seed, metric and epochs.
    """

    def __init__(self, study: Any, space: Space, options: SearchOptions, recipe: TrainRecipe) -> None:  # noqa: ANN401
        self.optuna = require("optuna", extra="search")
        self.study = study
        self.space = space
        self.options = options
        self.recipe = recipe
        self.study.pruner = self._pruner()

    @property
    def higher(self) -> bool:
        """Whether more of the metric is better."""
        return bool(self.study.direction == self.optuna.study.StudyDirection.MAXIMIZE)

    def trials(self) -> list[Any]:
        """Return all trials that were begun, in the order of their numbers."""
        waiting = self.optuna.trial.TrialState.WAITING
        return [trial for trial in self.study.get_trials(deepcopy=False) if trial.state != waiting]

    def done(self) -> int:
        """Return how many places are taken: trials that ended by themselves, failed ones among them."""
        retaken = self.retaken()
        return sum(trial.state.is_finished() and trial.number not in retaken for trial in self.trials())

    def retaken(self) -> dict[int, int]:
        """Return number of each trial that was cut off to the number of the one that takes its place."""
        every = self.study.get_trials(deepcopy=False)
        return {trial.user_attrs[_RETAKES]: trial.number for trial in every if _RETAKES in trial.user_attrs}

    def best(self) -> Any:  # noqa: ANN401
        """Return the best completed trial, the earliest of equals; None if there is none."""
        states = (self.optuna.trial.TrialState.COMPLETE,)
        found = self.study.get_trials(deepcopy=False, states=states)
        sign = 1.0 if self.higher else -1.0
        return max(found, key=lambda trial: (sign * trial.value, -trial.number), default=None)

    def begin(self) -> None:
        """Plan the recipe itself as the first trial, so that no search ends worse than where it began."""
        own = self.space.own(self.recipe)
        if own is not None and not self.study.get_trials(deepcopy=False):
            self.study.enqueue_trial(own)

    def retake(self) -> list[int]:
        """Mark trials that were cut off as failed, plan their values again, and return their numbers."""
        state = self.optuna.trial.TrialState
        cut_off = self.study.get_trials(deepcopy=False, states=(state.RUNNING,))
        for trial in cut_off:
            # Its run goes on in its folder, from its last checkpoint.
            known = {FOLDER: trial.user_attrs[FOLDER]} if FOLDER in trial.user_attrs else {}
            if trial.number not in self.retaken():
                self.study.enqueue_trial(trial.params, user_attrs=known | {_RETAKES: trial.number})
            self.study.tell(trial.number, state=state.FAIL)
        return [trial.number for trial in cut_off]

    def ask(self) -> tuple[Any, dict[str, Value]]:
        """Begin the next trial and return it with its values."""
        seed = int(np.random.SeedSequence([self.recipe.seed, self.done()]).generate_state(1)[0])
        self.study.sampler = self.optuna.samplers.TPESampler(seed=seed, n_startup_trials=self.options.startup)
        trial = self.study.ask()
        if FOLDER not in trial.user_attrs:
            trial.set_user_attr(FOLDER, f"{trial.number:04d}")
        return trial, {axis.key: _suggest(trial, axis) for axis in self.space.axes}

    def watcher(self, trial: Any, epochs: int) -> Callable[[Sequence[dict[str, float]]], bool]:  # noqa: ANN401
        """Return what reports a trial's epochs to Optuna and says whether the trial goes on."""
        told = 0

        def watch(rows: Sequence[dict[str, float]]) -> bool:
            nonlocal told
            for step, row in enumerate(rows[told:], start=told + 1):
                trial.report(row[self.recipe.run.metric], step)
            told = len(rows)
            # Nothing is saved by stopping after the last epoch.
            return told >= epochs or not trial.should_prune()

        return watch

    def complete(self, trial: Any, value: float) -> None:  # noqa: ANN401
        """End a trial that ran to its end."""
        self.study.tell(trial, value)

    def prune(self, trial: Any) -> None:  # noqa: ANN401
        """End a trial that was stopped early; Optuna keeps its last epoch's value."""
        self.study.tell(trial, state=self.optuna.trial.TrialState.PRUNED)

    def fail(self, trial: Any, reason: str) -> None:  # noqa: ANN401
        """End a trial that can't work."""
        trial.set_user_attr(REASON, reason)
        self.study.tell(trial, state=self.optuna.trial.TrialState.FAIL)

    def _pruner(self) -> Any:  # noqa: ANN401
        pruners = self.optuna.pruners
        if self.options.pruner == "hyperband":
            return pruners.HyperbandPruner(min_resource=1, max_resource=self.recipe.schedule.epochs)
        if self.options.pruner == "median":
            # The first epoch says little where the learning rate still warms up.
            return pruners.MedianPruner(n_startup_trials=_MEDIAN_FROM, n_warmup_steps=1)
        return pruners.NopPruner()


def _suggest(trial: Any, axis: Axis) -> Value:  # noqa: ANN401
    dimension = axis.dimension
    if axis.kind is None:
        value: Value = trial.suggest_categorical(axis.key, list(axis.choices))
        return value
    low, high, step = dimension.low, dimension.high, dimension.step
    if low is None or high is None:
        raise ConfigError("a range needs low and high", key=f"search.space.{axis.key}")
    if axis.kind == "int":
        whole: int = trial.suggest_int(axis.key, int(low), int(high), log=dimension.log, step=int(step or 1))
        return whole
    number: float = trial.suggest_float(axis.key, low, high, log=dimension.log, step=step)
    return number


@contextmanager
def open_study(
    folder: Path, space: Space, recipe: TrainRecipe, options: SearchOptions, *, higher: bool
) -> Iterator[SearchStudy]:
    """Open the study of a folder, or begin one; it is an SQLite file that Optuna's dashboard reads too."""
    optuna = require("optuna", extra="search")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        storage = optuna.storages.RDBStorage(f"sqlite:///{(folder / _FILE).absolute()}")
        with closing(_Session(storage)):
            study = optuna.create_study(
                storage=storage,
                study_name=recipe.name,
                direction="maximize" if higher else "minimize",
                load_if_exists=True,
            )
            yield SearchStudy(study, space, options, recipe)


class _Session:
    """Lets go of the file at the end."""

    def __init__(self, storage: Any) -> None:  # noqa: ANN401
        self._storage = storage

    def close(self) -> None:
        self._storage.remove_session()
        self._storage.engine.dispose()
