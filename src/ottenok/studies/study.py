"""A study: every arm of a recipe with every seed is trained, and all are compared on the same test rows.

Each run is an ordinary folder of `ottenok train`. The same command given again keeps what is finished, goes on with
what is not, and tries again what failed.
"""

from __future__ import annotations

import gc
import time
import traceback
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ottenok.bundle.folder import read_manifest
from ottenok.bundle.manifest import MANIFEST, ONNX
from ottenok.core.errors import ConfigError, OttenokError
from ottenok.core.files import atomic_write_text
from ottenok.core.progress import SILENT, Progress
from ottenok.studies.compare import CompareSpec, Comparison, Failed, compare
from ottenok.studies.study_data import corpora_of
from ottenok.studies.study_recipe import Study, read_study
from ottenok.studies.study_results import write_results
from ottenok.studies.study_state import State, open_state
from ottenok.studies.study_weights import has_weights, spare_disk
from ottenok.studies.training import train
from ottenok.tasks.paired import PairedOptions
from ottenok.training.facts import public_recipe
from ottenok.training.folder import RUN_FILE, read_identity, refuse_other
from ottenok.training.hardware import world
from ottenok.training.inputs import Places

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ottenok.studies.study_recipe import ArmRun

__all__ = ["Studied", "StudySpec", "study"]

_ERROR_FILE = "error.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySpec:
    """How a study goes.

    Attributes:
        only: Names of the arms to train; empty: all. The others stay as they are.
        corpus: A built corpus in the place of the recipe's data.
        weights: Whose weights stay on the disk: `keep`, `best`, `none`; None: as the recipe says.
        common: Compare on the rows that all arms have, instead of refusing arms with other test rows.
        metrics: Figures of the comparison; empty: the recipe's.
        baseline: Name of the arm that the others are tested against; None: the recipe's.
        tests: Resamples, permutations and their seed.
        places: Where data is.
    """

    only: tuple[str, ...] = ()
    corpus: Path | None = None
    weights: Literal["keep", "best", "none"] | None = None
    common: bool = False
    metrics: tuple[str, ...] = ()
    baseline: str | None = None
    tests: PairedOptions = field(default_factory=PairedOptions)
    places: Places = field(default_factory=Places)


@dataclass(frozen=True, slots=True, kw_only=True)
class Studied:
    """What came out.

    Attributes:
        folder: Of the study, with `results.json` and `results.md`.
        comparison: Of the runs that are finished; None if there are none.
        done: Runs that are finished.
        failed: Folder to reason of those that are not, because of an error.
        waiting: Runs that were not begun.
    """

    folder: Path
    comparison: Comparison | None
    done: tuple[str, ...]
    failed: dict[str, str]
    waiting: tuple[str, ...]


def study(
    recipe: str | Path,
    out: str | Path,
    *,
    over: Mapping[str, Any] | None = None,
    spec: StudySpec | None = None,
    progress: Progress = SILENT,
) -> Studied:
    """Train every arm of a recipe with every seed, and compare them.

    An arm that fails becomes a row with its reason, and the study goes on. Ctrl-C stops it: what is trained is written
    down, and the same command goes on.

    Args:
        recipe: A TOML file, or the name of a recipe that ottenok has.
        out: The study's folder: empty, absent, or that of the same study.
        over: Nested keys that replace those of the recipe and of every arm.
        spec: How it goes; None: as usual.
        progress: Whom to tell.

    Raises:
        ConfigError: The recipe is wrong, two arms are the same, test rows differ, or a folder holds something else.
        MissingExtraError: The extra `train` is not installed.
    """
    spec = spec or StudySpec()
    if world() > 1:
        raise ConfigError("a study runs in one process", hint="Start it without torchrun.")
    plan = read_study(recipe, over, corpus=spec.corpus)
    plan.check_only(spec.only)
    state = open_state(Path(out), plan)
    work = _Work(plan, state, spec, progress)
    runs = work.prepare()
    try:
        work.train(runs)
    finally:
        # Also after Ctrl-C: hours of training are worth being written down.
        found = work.results()
    return found


class _Work:
    """One call of a study."""

    def __init__(self, plan: Study, state: State, spec: StudySpec, progress: Progress) -> None:
        self._plan = plan
        self._state = state
        self._spec = spec
        self._progress = progress
        self._split = "test" if all(run.recipe.run.test for run in plan.runs) else "validation"

    def prepare(self) -> tuple[ArmRun, ...]:
        """Check folders and data; return the runs whose data is there."""
        chosen = [run for run in self._plan.runs if not self._spec.only or run.arm.name in self._spec.only]
        for run in chosen:
            self._check_folder(run)
        ready = corpora_of(chosen, self._comparing(), self._spec.places, self._progress)
        for run, reason in ready.failed:
            self._fail(run, reason)
            self._progress.note(f"{run.arm.name}, seed {run.seed}: {reason}")
        return ready.runs

    def train(self, runs: Sequence[ArmRun]) -> None:
        """Train what is not finished, one run after the other."""
        clock = _Clock(len(runs), self._progress)
        for place, run in enumerate(runs):
            self._step(run, f"run {place + 1} of {len(runs)}, {run.arm.name}, seed {run.seed}", clock)

    def _comparing(self) -> CompareSpec:
        options = self._plan.options
        return CompareSpec(
            metrics=self._spec.metrics or options.metrics,
            baseline=self._plan.title(self._spec.baseline or options.baseline),
            split=self._split,
            common=self._spec.common,
            best_first=options.best_first,
            tests=self._spec.tests,
        )

    def _check_folder(self, run: ArmRun) -> None:
        """Refuse a folder with a run of another recipe, before hours are spent on the arms before it."""
        folder = self._state.folder / run.folder
        if (folder / RUN_FILE).is_file():
            there = read_identity(folder / RUN_FILE)
            asked = {"recipe": public_recipe(run.recipe), "corpus": there["corpus"]}
            refuse_other(there, asked, folder, what="run")

    def _step(self, run: ArmRun, name: str, clock: _Clock) -> None:
        folder = self._state.folder / run.folder
        if _complete(folder, run):
            self._state.change(run, state="done", reason="")
            clock.skip(f"{name}: finished before")
            return
        if not self._state.begin(run):
            clock.skip(f"{name}: {self._state.entries[run.folder].reason}")
            return
        self._progress.note(f"{name}: begins")
        begun = time.monotonic()
        try:
            train(run.recipe, folder, resume=True, places=self._spec.places, progress=self._progress)
        except KeyboardInterrupt:
            self._state.change(run, state="waiting", minutes=self._minutes(run, begun))
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the other arms have nothing to do with it
            self._fail(run, _reason(error), error)
            clock.skip(f"{name}: {_reason(error)}")
        else:
            self._state.change(run, state="done", minutes=self._minutes(run, begun))
            clock.tell(name, time.monotonic() - begun)
            spare_disk(self._state.folder, self._plan.runs, self._spec.weights or self._plan.options.weights)
        gc.collect()

    def _minutes(self, run: ArmRun, begun: float) -> float:
        return round(self._state.entries[run.folder].minutes + (time.monotonic() - begun) / 60.0, 3)

    def _fail(self, run: ArmRun, reason: str, error: Exception | None = None) -> None:
        self._state.change(run, state="failed", reason=reason)
        if error is not None and not isinstance(error, OttenokError):
            # What nobody foresaw can only be understood from its traceback.
            text = "".join(traceback.format_exception(error))
            atomic_write_text(self._state.folder / run.folder / _ERROR_FILE, text)

    def results(self) -> Studied:
        """Compare what is finished, and write it down."""
        entries = list(self._state.entries.values())
        done = [entry.folder for entry in entries if (self._state.folder / entry.folder / MANIFEST).is_file()]
        failed = {entry.folder: entry.reason for entry in entries if entry.state == "failed"}
        waiting = tuple(entry.folder for entry in entries if entry.folder not in {*done, *failed})
        comparison = self._compare(done, failed, waiting) if done else None
        write_results(self._plan, self._state, comparison)
        return Studied(
            folder=self._state.folder, comparison=comparison, done=tuple(done), failed=failed, waiting=waiting
        )

    def _compare(self, done: Sequence[str], failed: Mapping[str, str], waiting: Sequence[str]) -> Comparison:
        spec = self._comparing()
        titles = {run.arm.title for run in self._plan.runs if run.folder in done}
        if spec.baseline not in titles:
            spec = replace(spec, baseline=None)
        found = compare([self._state.folder / name for name in done], spec, progress=self._progress)
        missing = {**failed, **dict.fromkeys(waiting, "not trained yet")}
        return replace(found, failed=tuple(Failed(name=self._name(key), reason=why) for key, why in missing.items()))

    def _name(self, folder: str) -> str:
        """Return what tables call a run: its arm, and its seed where there are several."""
        entry = self._state.entries[folder]
        several = sum(other.name == entry.name for other in self._state.entries.values()) > 1
        return f"{entry.title}, seed {entry.seed}" if several else entry.title


class _Clock:
    """Tells how long the rest of a study will take: as long as its runs took on average."""

    def __init__(self, runs: int, progress: Progress) -> None:
        self._left = runs
        self._progress = progress
        self._taken: list[float] = []

    def skip(self, message: str) -> None:
        self._left -= 1
        self._progress.note(message)

    def tell(self, name: str, seconds: float) -> None:
        self._left -= 1
        self._taken.append(seconds / 60.0)
        rest = self._left * sum(self._taken) / len(self._taken)
        left = f"; about {rest:.1f} minutes left for {self._left} more" if self._left else ""
        self._progress.note(f"{name}: {self._taken[-1]:.1f} minutes{left}")


def _complete(folder: Path, run: ArmRun) -> bool:
    """Say whether nothing is left to do in a folder; a run whose weights were deleted can't be exported any more."""
    if not (folder / MANIFEST).is_file():
        return False
    return not run.recipe.run.export or not has_weights(folder) or ONNX in read_manifest(folder).files


def _reason(error: Exception) -> str:
    if isinstance(error, OttenokError):
        return error.message
    text = str(error).strip().splitlines()
    name = "out of memory" if isinstance(error, MemoryError) or _ran_out(error) else type(error).__name__
    return f"{name}: {text[0][:200]}" if text else name


def _ran_out(error: Exception) -> bool:
    """Say whether torch could get no memory: on a GPU it has an error of its own, on a CPU a RuntimeError."""
    return type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error)
