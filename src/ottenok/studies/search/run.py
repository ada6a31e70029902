"""`ottenok search`: trials of a recipe's variants with Optuna, told from each other by their validation metric alone.

The folder of a search: `search.json` says what is searched, `study.db` is Optuna's study (its dashboard reads it too),
`trials/NNNN` are the trials' run folders, and `trials.csv`, `trials.json`, `best.toml` and `plots/` are what came out.

What a trial is given depends on the recipe's seed, on how many trials came before it, and on their results; so a search
that was stopped and taken up again tries what an undisturbed one would have tried.
"""

from __future__ import annotations

import json
import shutil
import time
import tomllib
import warnings
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ottenok.core.config import merge, parse
from ottenok.core.errors import ConfigError, OttenokError
from ottenok.core.files import atomic_path, atomic_write_text, sha256_file
from ottenok.core.lazy import check_extra, require
from ottenok.core.progress import SILENT, Progress
from ottenok.data.corpus import CORPUS_FILE, open_corpus
from ottenok.recipes.model import LOSSES, resolve_loss, resolve_problem
from ottenok.recipes.space import SearchOptions
from ottenok.recipes.train import TrainRecipe, load_recipe
from ottenok.studies.search.space import Space, built_in, plain_recipe
from ottenok.tasks.metrics import higher_is_better
from ottenok.training.facts import public_recipe
from ottenok.training.folder import read_identity, refuse_other, refuse_used
from ottenok.training.hardware import world
from ottenok.training.inputs import Places, corpus_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pandas import DataFrame

    from ottenok.studies.spread import Crew


__all__ = ["Budget", "Found", "search"]

_HOME = Places()
_SEARCH_FILE = "search.json"
# File name to Optuna's function, and how many trials must have been completed for it to say anything. `importances` is
# the share of the metric's variance that each key explains: with few trials it is a hint and no more.
_PLOTS = {
    "history": ("plot_optimization_history", 1),
    "epochs": ("plot_intermediate_values", 1),
    "slice": ("plot_slice", 1),
    "parallel": ("plot_parallel_coordinate", 2),
    "importances": ("plot_param_importances", 4),
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
        trials: A pandas DataFrame of all trials that were begun, by number: `state` (`complete`, `pruned` for one that
            was stopped early, `failed` or `running`), `value` (the best epoch's metric; of a pruned trial the last
            epoch's), measured `epochs`, `seconds`, a column for each key that changes, the `reason` of a failure, and
            the name of its `folder` in `trials/`.
        best: Number of the best one; None if none ran to its end.
        recipe: The file with its recipe, for `ottenok train`; None likewise.
        plots: The plots' files.
    """

    folder: Path
    metric: str
    higher: bool
    trials: DataFrame
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
    crew: Crew | None = None,
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
        crew: Tries several values at once, in rounds: as many trials as it is large are given values one after the
            other, none of which knows what comes of the others of its round. With a crew of one, and in the random
            trials at the start (`startup`) with any, that is what a search in one process tries.

    Raises:
        OttenokError: The recipe, the data or the search space is wrong. A combination of the space that the recipe
            refuses is no error, but a failed trial.
        MissingExtraError: The extra `search` is not installed.
    """
    check_extra("train")
    for package in ("optuna", "tomli_w", "matplotlib", "pandas"):
        require(package, extra="search")
    if world() > 1:
        raise ConfigError("a search runs in one process", hint="Start it without torchrun.")
    if isinstance(recipe, TrainRecipe):
        resolved = parse(TrainRecipe, merge(recipe.model_dump(mode="json"), over or {}))
    else:
        resolved = load_recipe(recipe, over)
    corpus = corpus_of(resolved.data, places, progress[0])
    from ottenok.training.dataset import TokenMemory
    from ottenok.training.run import Shared, check_trials

    check_trials(resolved, corpus)
    options, folder = resolved.search or SearchOptions(), Path(out)
    dimensions = options.space
    if not dimensions:
        # Also among the losses that the recipe could have, its own among them as the recipe calls it.
        problem = resolve_problem(resolved.model.problem, corpus.label_scheme)
        own, losses = resolve_loss(resolved.loss, problem), list[str]()
        for name in LOSSES:
            with suppress(ConfigError):
                resolve_loss(resolved.loss.model_copy(update={"name": name}), problem)
                losses.append(resolved.loss.name if name == own else name)
        dimensions = built_in(resolved, losses)
    space = Space(dimensions, metric=resolved.run.metric)
    identity = {
        "recipe": public_recipe(resolved)
        | {"search": {"pruner": options.pruner, "startup": options.startup, "space": space.to_json()}},
        "corpus": sha256_file(corpus.folder / CORPUS_FILE),
    }
    with _held(folder, identity, resume=resume), _opened(folder / "study.db", resolved) as study:
        # Together, so that MLflow can compare them.
        tracking = places.tracking or f"sqlite:///{(folder / 'mlflow.db').absolute()}"
        shared = Shared(corpus=corpus, memory=TokenMemory(), tracking=tracking, progress=progress[1])
        return _Search(study, space, options, resolved, folder).run(budget, shared, progress[0], crew)


@contextmanager
def _held(out: Path, identity: dict[str, Any], *, resume: bool) -> Iterator[None]:
    """Begin a search in an empty or absent folder, or take up the one that is there; hold it meanwhile."""
    file = out / _SEARCH_FILE
    if not (resume and file.is_file()):
        refuse_used(out, file=_SEARCH_FILE, what="search")
    out.mkdir(parents=True, exist_ok=True)
    filelock = require("filelock", extra="data")
    try:
        with filelock.FileLock(out / ".lock", timeout=0):
            if file.is_file():
                refuse_other(read_identity(file), identity, out, what="search")
            else:
                atomic_write_text(file, json.dumps(identity, ensure_ascii=False, indent=2) + "\n")
            yield
    except filelock.Timeout as error:
        told = "another search is at work in this folder"
        raise ConfigError(told, hint="Wait for it, or name another folder.", file=str(out)) from error


@contextmanager
def _opened(file: Path, recipe: TrainRecipe) -> Iterator[Any]:
    """Open Optuna's study in an SQLite file, or begin one; let go of the file at the end."""
    optuna = require("optuna", extra="search")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        storage = optuna.storages.RDBStorage(f"sqlite:///{file.absolute()}")
        try:
            direction = "maximize" if higher_is_better(recipe.run.metric) else "minimize"
            yield optuna.create_study(storage=storage, study_name=recipe.name, direction=direction, load_if_exists=True)
        finally:
            storage.remove_session()
            storage.engine.dispose()


class _Search:
    """A search that is under way."""

    def __init__(self, study: Any, space: Space, options: SearchOptions, recipe: TrainRecipe, folder: Path) -> None:  # noqa: ANN401
        optuna = require("optuna", extra="search")
        self.optuna, self.study, self.space, self.options = optuna, study, space, options
        self.recipe, self.folder = recipe, folder
        self.higher = study.direction == optuna.study.StudyDirection.MAXIMIZE
        study.pruner = _pruner(options.pruner, recipe)

    def run(self, budget: Budget, shared: Any, progress: Progress, crew: Crew | None) -> Found:  # noqa: ANN401 - torch's side
        """Try until the budget is spent, and return what was found."""
        for number in self.retry_cut_off():
            progress.note(f"trial {number} was stopped half-done; its place is taken again")
        own = self.space.own(self.recipe)
        if own is not None and not self.study.get_trials(deepcopy=False):
            # The recipe itself comes first, so that no search ends worse than where it began.
            self.study.enqueue_trial(own)
        missing = max(budget.trials - self.done(), 0)
        self.between_trials()
        progress.start("trials", total=missing, unit="trials")

        def after(_study: Any, trial: Any) -> None:  # noqa: ANN401 - Optuna's
            shared.progress.finish()
            progress.note(self.line(trial.number, self.between_trials()))
            progress.advance()

        try:
            if crew is not None:
                self.rounds(budget, shared, crew, after)
            else:
                self.study.optimize(
                    lambda trial: self.objective(trial, shared),
                    n_trials=missing,
                    timeout=None if budget.minutes is None else 60.0 * budget.minutes,
                    catch=(OttenokError,),
                    callbacks=[after],
                    # A trainer is full of circles; its network must go before the next one is made.
                    gc_after_trial=True,
                )
        finally:
            progress.finish()
        if (done := self.done()) < budget.trials:
            progress.note(f"the time is up after {done} of {budget.trials} trials; --resume goes on")
        rows, best = self.between_trials(), self.best()
        return Found(
            folder=self.folder,
            metric=self.recipe.run.metric,
            higher=self.higher,
            trials=rows,
            best=None if best is None else best.number,
            recipe=None if best is None else self.folder / "best.toml",
            plots=self.draw(),
        )

    def objective(self, trial: Any, shared: Any) -> float:  # noqa: ANN401
        """Train once; return the best epoch's metric."""
        from ottenok.training.run import trial as train

        try:
            recipe, out = self.begin(trial)
            watch = _Watcher(trial, recipe)
            done = train(recipe, out=out, watch=watch, shared=shared)
        except OttenokError as error:
            trial.set_user_attr("reason", f"{error.where}: {error.message}" if error.where else error.message)
            raise
        if done.best is None:
            raise self.optuna.TrialPruned
        watch(done.epochs)  # a run that was complete when it was taken up again has shown no epoch yet
        return done.epochs[done.best][recipe.run.metric]

    def begin(self, trial: Any) -> tuple[TrainRecipe, Path]:  # noqa: ANN401
        """Give a trial its folder and its values; return its recipe and the folder.

        Raises:
            OttenokError: The recipe can't have these values.
        """
        if "folder" not in trial.user_attrs:
            trial.set_user_attr("folder", f"{trial.number:04d}")
        recipe = self.space.recipe(self.recipe, self.space.suggest(trial))
        return recipe, self.folder / "trials" / trial.user_attrs["folder"]

    def rounds(self, budget: Budget, shared: Any, crew: Crew, after: Callable[[Any, Any], None]) -> None:  # noqa: ANN401
        """Try in rounds of as many trials as the crew is large."""
        begun = time.monotonic()
        while (done := self.done()) < budget.trials:
            if budget.minutes is not None and time.monotonic() - begun >= 60.0 * budget.minutes:
                return
            asked: dict[int, Any] = {}
            calls = []
            for place in range(done, min(done + crew.size, budget.trials)):
                self.seed(place)
                trial = self.study.ask()
                asked[trial.number] = trial
                try:
                    recipe, out = self.begin(trial)
                except OttenokError as error:
                    self.end(trial, _Tried(reason=error.message))
                    after(None, trial)
                    continue
                before = [one for one in self.study.get_trials(deepcopy=False) if one.number < trial.number]
                facts = (self.study.study_name, before, self.higher, self.options.pruner, trial.number)
                calls.append((recipe, out, shared.corpus.folder, shared.tracking, *facts))
            for call, tried in crew.spread(_try, calls, lost=lambda told: _Tried(reason=told)):
                trial = asked[call[-1]]
                self.end(trial, tried)
                after(None, trial)

    def end(self, trial: Any, tried: _Tried) -> None:  # noqa: ANN401
        """Tell Optuna what came of a trial that ran elsewhere."""
        state = self.optuna.trial.TrialState
        for step, value in enumerate(tried.values, start=1):
            trial.report(value, step)
        if tried.reason:
            trial.set_user_attr("reason", tried.reason)
            self.study.tell(trial, state=state.FAIL)
        elif tried.best is None:
            self.study.tell(trial, state=state.PRUNED)
        else:
            self.study.tell(trial, tried.values[tried.best])

    def seed(self, place: int) -> None:
        """Let the values of the trial that has so many before it depend on these, and on the recipe's seed."""
        seed = int(np.random.SeedSequence([self.recipe.seed, place]).generate_state(1)[0])
        self.study.sampler = self.optuna.samplers.TPESampler(seed=seed, n_startup_trials=self.options.startup)

    def trials(self) -> list[Any]:
        """Return all trials that were begun, in the order of their numbers."""
        waiting = self.optuna.trial.TrialState.WAITING
        return [trial for trial in self.study.get_trials(deepcopy=False) if trial.state != waiting]

    def retried(self) -> dict[int, int]:
        """Return number of each trial that was cut off to the number of the one that takes its place."""
        history = self.optuna.storages.RetryHeartbeatStaleTrialCallback.retry_history
        every = self.study.get_trials(deepcopy=False)
        return {past[-1]: trial.number for trial in every if (past := history(trial))}

    def retry_cut_off(self) -> list[int]:
        """Mark trials that were cut off as failed, plan them again by Optuna's callback, and return their numbers.

        Nobody else is in the folder, so what runs there was killed; what failed without a reason was stopped.
        """
        state, retried = self.optuna.trial.TrialState, self.retried()
        cut_off = [
            trial
            for trial in self.study.get_trials(states=(state.RUNNING, state.FAIL))
            if "reason" not in trial.user_attrs and trial.number not in retried
        ]
        for trial in cut_off:
            if trial.state == state.RUNNING:
                self.study.tell(trial.number, state=state.FAIL)
            self.optuna.storages.RetryHeartbeatStaleTrialCallback()(self.study, trial)
        return [trial.number for trial in cut_off]

    def done(self) -> int:
        """Return how many places are taken: trials that ended by themselves, failed ones among them."""
        retried = self.retried()
        return sum(trial.state.is_finished() and trial.number not in retried for trial in self.trials())

    def best(self) -> Any:  # noqa: ANN401
        """Return the best completed trial, the earliest of equals; None if there is none."""
        found = self.study.get_trials(deepcopy=False, states=(self.optuna.trial.TrialState.COMPLETE,))
        sign = 1.0 if self.higher else -1.0
        return max(found, key=lambda trial: (sign * trial.value, -trial.number), default=None)

    def between_trials(self) -> DataFrame:
        """Seed the sampler for the next trial, delete the weights of trials that lost, and write what there is."""
        self.seed(self.done())
        best, retried, rows = self.best(), self.retried(), []
        kept = None if best is None else best.user_attrs["folder"]
        for trial in self.trials():
            state, folder = trial.state.name.lower(), trial.user_attrs.get("folder", "")
            row = {
                "number": trial.number,
                "state": "failed" if state == "fail" else state,
                "value": None if state == "fail" else trial.value,
                "epochs": len(trial.intermediate_values),
                "seconds": None if trial.duration is None else round(trial.duration.total_seconds(), 1),
                **{key: trial.params.get(key) for key in self.space.dimensions},
                "reason": trial.user_attrs.get("reason", ""),
                "folder": folder,
            }
            if trial.number in retried:
                row["reason"] = f"stopped half-done; taken up again as trial {retried[trial.number]}"
            elif trial.state.is_finished() and folder and folder != kept:
                shutil.rmtree(self.folder / "trials" / folder / "checkpoints", ignore_errors=True)
            rows.append(row)
        columns = ["number", "state", "value", "epochs", "seconds", *self.space.dimensions, "reason", "folder"]
        frame = require("pandas", extra="search").DataFrame(rows, columns=columns)
        facts = {
            "recipe": self.recipe.name,
            "metric": self.recipe.run.metric,
            "direction": "maximize" if self.higher else "minimize",
            "seed": self.recipe.seed,
            "sampler": {"name": "TPE", "startup": self.options.startup},
            "pruner": self.options.pruner,
            "space": self.space.to_json(),
            "best": None if best is None else best.number,
            "trials": rows,
        }
        atomic_write_text(self.folder / "trials.json", json.dumps(facts, ensure_ascii=False, indent=1) + "\n")
        atomic_write_text(self.folder / "trials.csv", frame.to_csv(index=False, lineterminator="\n"))
        if best is not None:
            recipe = self.space.recipe(self.recipe, best.params)
            text = require("tomli_w", extra="search").dumps(_without_none(plain_recipe(recipe)))
            if parse(TrainRecipe, tomllib.loads(text)) != recipe.model_copy(update={"search": None}):
                # TOML has no null: an option whose default is something else can't be said to be nothing.
                hint = "It sets an option to None that has a default."
                raise ConfigError("this recipe can't be written as TOML", hint=hint)
            ended = sum(row["state"] in {"complete", "pruned"} for row in rows)
            value = f"{self.recipe.run.metric} {best.value:.4f}"
            head = f"# Found by `ottenok search`: trial {best.number} of {ended}, {value} on validation rows."
            atomic_write_text(self.folder / "best.toml", f"{head}\n{text}")
        return frame

    def line(self, number: int, frame: DataFrame) -> str:
        """Say in a line what came of a trial."""
        row = frame[frame["number"] == number].iloc[0]
        if row["state"] == "failed":
            return f"trial {number}: failed: {row['reason']}"
        best = self.best()
        told = f"trial {number}: {self.recipe.run.metric} {row['value']:.4f}"
        if row["state"] == "pruned":
            told += f", stopped after {row['epochs']} epochs"
        elif best is not None and best.number == number:
            told += ", the best so far"
        values = {key: row[key] for key in self.space.dimensions}
        short = {key: f"{value:.3g}" if isinstance(value, float) else value for key, value in values.items()}
        return f"{told} ({', '.join(f'{key} {value}' for key, value in short.items())})"

    def draw(self) -> tuple[Path, ...]:
        """Draw Optuna's own plots, as PNG and SVG, as many as the trials suffice for; return the files."""
        kinds = require("optuna.visualization.matplotlib", extra="search")
        pyplot = require("matplotlib.pyplot", extra="search")
        matplotlib = require("matplotlib", extra="search")
        state = self.optuna.trial.TrialState.COMPLETE
        completed = [trial.params for trial in self.study.get_trials(deepcopy=False, states=(state,))]
        files: list[Path] = []
        for name, (function, least) in _PLOTS.items():
            # Nothing has an importance where nothing differs.
            if len(completed) < least or (name == "importances" and all(each == completed[0] for each in completed)):
                continue
            named = {} if name in {"epochs", "importances"} else {"target_name": self.recipe.run.metric}
            # Optuna's plots set a style for the whole process, and say that they are experimental.
            with warnings.catch_warnings(), matplotlib.rc_context():
                warnings.simplefilter("ignore")
                getattr(kinds, function)(self.study, **named)
                figure = pyplot.gcf()
                wide = name in {"slice", "parallel"}  # a part for each key
                figure.set_size_inches(max(8.0, 3.5 * len(self.space.dimensions)) if wide else 9.0, 5.0)
                for part in figure.axes if name == "slice" else ():
                    part.tick_params(axis="x", labelrotation=30)
                try:
                    for suffix in (".png", ".svg"):
                        files.append(self.folder / "plots" / f"{name}{suffix}")
                        with atomic_path(files[-1]) as temporary:
                            figure.savefig(temporary, dpi=120, bbox_inches="tight")
                finally:
                    pyplot.close(figure)
        return tuple(files)


def _pruner(name: str, recipe: TrainRecipe) -> Any:  # noqa: ANN401 - Optuna's
    pruners = require("optuna", extra="search").pruners
    if name == "hyperband":
        return pruners.HyperbandPruner(min_resource=1, max_resource=recipe.schedule.num_train_epochs)
    # The first epoch says little where the learning rate still warms up.
    return pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=1) if name == "median" else pruners.NopPruner()


class _Watcher:
    """Reports a trial's epochs to Optuna and says whether the trial goes on.

    Attributes:
        values: The metric of every epoch that was reported.
    """

    def __init__(self, trial: Any, recipe: TrainRecipe) -> None:  # noqa: ANN401
        self._trial, self._metric, self._epochs = trial, recipe.run.metric, recipe.schedule.num_train_epochs
        self.values: list[float] = []

    def __call__(self, rows: Sequence[dict[str, float]]) -> bool:
        for row in rows[len(self.values) :]:
            self.values.append(row[self._metric])
            self._trial.report(row[self._metric], len(self.values))
        # Nothing is saved by stopping after the last epoch.
        return len(self.values) >= self._epochs or not self._trial.should_prune()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tried:
    """What came of a trial that ran elsewhere: its epochs' metric, the best one's place, or why it failed."""

    values: tuple[float, ...] = ()
    best: int | None = None
    reason: str = ""


def _try(
    recipe: TrainRecipe,
    out: Path,
    corpus: Path,
    tracking: str | None,
    name: str,
    past: Sequence[Any],
    higher: bool,  # noqa: FBT001 - as above
    pruner: str,
    _number: int,
) -> _Tried:
    """Train once in this process; what Optuna decides by is a copy of the trials that came before."""
    from ottenok.training.run import trial as train

    optuna = require("optuna", extra="search")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name=name, direction="maximize" if higher else "minimize", pruner=_pruner(pruner, recipe)
    )
    study.add_trials(past)
    watch = _Watcher(study.ask(), recipe)
    try:
        done = train(recipe, out=out, watch=watch, shared=_shared(corpus, tracking))
        if done.best is not None:
            watch(done.epochs)  # a run that was complete when it was taken up again has shown no epoch yet
    except OttenokError as error:
        reason = f"{error.where}: {error.message}" if error.where else error.message
        return _Tried(values=tuple(watch.values), reason=reason)
    return _Tried(values=tuple(watch.values), best=done.best)


@lru_cache(maxsize=1)
def _shared(corpus: Path, tracking: str | None) -> Any:  # noqa: ANN401 - torch's side
    """Return what the trials of one process share."""
    from ottenok.training.dataset import TokenMemory
    from ottenok.training.run import Shared

    return Shared(corpus=open_corpus(corpus), memory=TokenMemory(), tracking=tracking, progress=SILENT)


def _without_none(tree: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _without_none(value) if isinstance(value, dict) else value
        for key, value in tree.items()
        if value is not None
    }
