"""A study: every variant of a recipe with every seed is trained, and all are compared on the same test rows.

Each run is an ordinary folder of `ottenok train`. The same command given again keeps what is finished, goes on with
what is not, and tries again what failed. `study.json` in the study's folder says what became of each run.
"""

from __future__ import annotations

import gc
import hashlib
import json
import time
import traceback
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ottenok.bundle.folder import read_manifest
from ottenok.bundle.manifest import MANIFEST, ONNX
from ottenok.core.config import merge, parse, read_toml
from ottenok.core.errors import ConfigError, DataError, OttenokError
from ottenok.core.files import atomic_write_text
from ottenok.core.progress import SILENT, Progress
from ottenok.recipes.files import recipe_file
from ottenok.recipes.old_keys import translated
from ottenok.recipes.train import TrainRecipe
from ottenok.recipes.variants import StudyOptions, Variant, find_variant, take_variants
from ottenok.studies.compare import STUDY_FILE, Comparison, Failed, check_metrics, compare
from ottenok.studies.study_results import best_epoch, write_results
from ottenok.studies.training import train
from ottenok.tasks.metrics import goodness
from ottenok.tasks.paired import PairedOptions
from ottenok.training.facts import public_recipe
from ottenok.training.folder import RUN_FILE, read_history, read_identity, refuse_other
from ottenok.training.hardware import world
from ottenok.training.inputs import Places, corpus_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ottenok.data.corpus import Corpus
    from ottenok.studies.spread import Crew

__all__ = ["Entry", "Studied", "StudyPlan", "VariantRun", "read_study", "study"]

_HOME = Places()
_TESTS = PairedOptions()
_FORMAT = 2
_ERROR_FILE = "error.txt"
_WEIGHTS = (".safetensors", ".onnx", ".onnx_data")
# Keys of the data table that choose rows to learn from, not the corpus.
_NOT_CORPUS = {"epoch_rows", "validation_rows"}


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantRun:
    """One variant with one seed.

    Attributes:
        variant: The variant.
        seed: The seed.
        recipe: What is trained.
    """

    variant: Variant
    seed: int
    recipe: TrainRecipe

    @property
    def folder(self) -> str:
        """Name of its folder in the study's."""
        return f"{self.variant.name}-{self.seed}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPlan:
    """A study's recipe, resolved: every variant with every seed is one ordinary training recipe.

    Attributes:
        name: Of the recipe.
        description: Of the recipe.
        runs: Every variant with every seed, variant by variant.
        options: How the variants are compared.
    """

    name: str
    description: str
    runs: tuple[VariantRun, ...]
    options: StudyOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What became of one run.

    Attributes:
        name: Of the variant.
        title: As tables call it.
        seed: Its seed.
        folder: Name of its folder.
        state: `waiting` (also where it was stopped half-done), `done` or `failed`.
        reason: Why it failed.
        minutes: That it took, export and all, over all its attempts that were not interrupted.
    """

    name: str
    title: str
    seed: int
    folder: str
    state: Literal["waiting", "done", "failed"] = "waiting"
    reason: str = ""
    minutes: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Studied:
    """What came out.

    Attributes:
        folder: Of the study, with `results.json` and `results.md`.
        comparison: Of the runs that are finished; None if there are none.
        done: Runs that are finished.
        failed: Folder to reason of those that are not, because of an error.
        waiting: Runs that were not begun, or stopped half-done.
    """

    folder: Path
    comparison: Comparison | None
    done: tuple[str, ...]
    failed: dict[str, str]
    waiting: tuple[str, ...]


def read_study(recipe: str | Path, over: Mapping[str, Any] | None = None, *, corpus: Path | None = None) -> StudyPlan:
    """Read a recipe with variants, or with several seeds, or a plain one, which is a study of one run.

    A variant's keys replace the recipe's, and `over` replaces both.

    Args:
        recipe: A TOML file, or the name of a recipe that ottenok has.
        over: Nested keys to replace, `seeds` among them; a `seed` stands for all seeds.
        corpus: A built corpus in the place of the recipe's data; variants with data of their own keep theirs.

    Raises:
        ConfigError: There is no such recipe, a key or a value is wrong, or two variants come out the same.
    """
    path = recipe_file(recipe)
    over = translated(over or {})[0]
    tree = merge(read_toml(path), {"seeds": over.pop("seeds")} if "seeds" in over else {})
    found = take_variants(tree, file=str(path))
    base = found.tree if corpus is None else merge(found.tree, {"data": {"corpus": str(corpus)}})
    runs: list[VariantRun] = []
    known: dict[str, str] = {}
    for variant in found.variants or (Variant(name="run", title=str(base.get("name", "run"))),):
        named = bool(found.variants)
        file = f"{path}, variant {variant.name}" if named else str(path)
        resolved = parse(TrainRecipe, merge(variant.apply(base) if named else base, over), file=file)
        key = resolved.model_copy(update={"name": ""}).model_dump_json()
        if key in known:
            # A study would spend hours on showing that they are.
            raise ConfigError(
                f"the variants {known[key]!r} and {variant.name!r} are the same recipe",
                hint="Is what they differ in replaced on the command line? A single variant is chosen with --only.",
                file=str(path),
                key="variants",
            )
        known[key] = variant.name
        seeds = () if "seed" in over else found.seeds
        for seed in seeds or (resolved.seed,):
            one = resolved.model_copy(update={"seed": seed})
            runs.append(VariantRun(variant=variant, seed=seed, recipe=one))
    description = str(base.get("description", ""))
    return StudyPlan(name=str(base["name"]), description=description, runs=tuple(runs), options=found.options)


def study(  # noqa: PLR0913 - an option each
    recipe: str | Path,
    out: str | Path,
    *,
    over: Mapping[str, Any] | None = None,
    only: Sequence[str] = (),
    corpus: Path | None = None,
    weights: Literal["keep", "best", "none"] | None = None,
    common: bool = False,
    metrics: Sequence[str] = (),
    baseline: str | None = None,
    tests: PairedOptions = _TESTS,
    places: Places = _HOME,
    progress: Progress = SILENT,
    crew: Crew | None = None,
) -> Studied:
    """Train every variant of a recipe with every seed, and compare them.

    A variant that fails becomes a row with its reason, and the study goes on. Ctrl-C stops it: what is trained is
    written down, and the same command goes on.

    Args:
        recipe: A TOML file, or the name of a recipe that ottenok has.
        out: The study's folder: empty, absent, or that of the same study.
        over: Nested keys that replace those of the recipe and of every variant.
        only: Names of the variants to train; empty: all. The others stay as they are.
        corpus: A built corpus in the place of the recipe's data.
        weights: Whose weights stay on the disk: `keep` all, the `best` run's on validation rows, or `none`; None: as
            the recipe says.
        common: Compare on the rows that all variants have, instead of refusing variants with other test rows.
        metrics: Of the comparison; empty: the recipe's.
        baseline: Name of the variant that the others are tested against; None: the recipe's, or the best.
        tests: Resamples, permutations and their seed.
        places: Where data is.
        progress: Whom to tell.
        crew: Trains several runs at once, to the same results; None: one after the other, in this process.

    Raises:
        ConfigError: The recipe is wrong, two variants are the same, test rows differ, or a folder holds something else.
        MissingExtraError: The extra `train` is not installed.
    """
    if world() > 1:
        raise ConfigError("a study runs in one process", hint="Start it without torchrun.")
    plan = read_study(recipe, over, corpus=corpus)
    for name in only:
        find_variant([run.variant for run in plan.runs], name)
    asked = baseline or plan.options.baseline
    titles = (run.variant.title for run in plan.runs if asked in {run.variant.name, run.variant.title})
    work = _Work(
        plan,
        Path(out),
        weights=weights or plan.options.weights,
        common=common,
        metrics=tuple(metrics) or plan.options.metrics,
        baseline=next(titles, asked),
        tests=tests,
        places=places,
        progress=progress,
        at_once=1 if crew is None else crew.size,
    )
    runs = work.prepare([run for run in plan.runs if not only or run.variant.name in only])
    names = {
        run.folder: f"run {n} of {len(runs)}, {run.variant.name}, seed {run.seed}" for n, run in enumerate(runs, 1)
    }
    # What is asked for when somebody can do it: a run begins when it is given away.
    calls = ((run.recipe, work.folder / run.folder, places, run) for run in runs if work.begins(run, names[run.folder]))
    try:
        if crew is None:
            for call in calls:
                work.ended(call[3], names[call[3].folder], attempt(*call, progress=progress))
        else:
            for call, outcome in crew.spread(attempt, calls, lost=lambda told: Outcome(reason=told)):
                work.ended(call[3], names[call[3].folder], outcome)
    finally:
        # Also after Ctrl-C: hours of training are worth being written down.
        found = work.results()
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of an attempt to train one run.

    Attributes:
        reason: Why it failed; empty if it did not.
        trace: The traceback of an error that nobody foresaw.
        minutes: That it took, export and all.
    """

    reason: str = ""
    trace: str = ""
    minutes: float = 0.0


def attempt(
    recipe: TrainRecipe, folder: Path, places: Places, _run: VariantRun | None = None, *, progress: Progress = SILENT
) -> Outcome:
    """Train one run, or go on with it, in this process; no error gets out of it."""
    reason = trace = ""
    begun = time.monotonic()
    try:
        train(recipe, folder, resume=True, places=places, progress=progress)
    except OttenokError as error:
        reason = error.message
    except Exception as error:  # noqa: BLE001 - whatever it is, the other variants have nothing to do with it
        said = str(error).strip().splitlines()
        # Where torch can get no memory it has an error of its own on a GPU, and a RuntimeError on a CPU.
        short = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
        reason = "out of memory" if short or "can't allocate memory" in str(error) else type(error).__name__
        reason += f": {said[0][:200]}" if said else ""
        trace = "".join(traceback.format_exception(error))
    gc.collect()
    return Outcome(reason=reason, trace=trace, minutes=(time.monotonic() - begun) / 60.0)


class _Work:
    """One call of a study."""

    def __init__(  # noqa: PLR0913 - as `study`
        self,
        plan: StudyPlan,
        folder: Path,
        *,
        weights: Literal["keep", "best", "none"],
        common: bool,
        metrics: tuple[str, ...],
        baseline: str | None,
        tests: PairedOptions,
        places: Places,
        progress: Progress,
        at_once: int,
    ) -> None:
        self._plan, self.folder, self._weights, self._common = plan, folder, weights, common
        # Runs that are under way, how many are left, and the minutes of those that ended.
        self._running, self._left, self._at_once = set[str](), 0, at_once
        self._taken: list[float] = []
        self._metrics, self._baseline, self._tests = metrics, baseline, tests
        self._places, self._progress = places, progress
        self._split: Literal["test", "validation"] = (
            "test" if all(run.recipe.run.test for run in plan.runs) else "validation"
        )
        file = folder / STUDY_FILE
        known = file.is_file() or any((folder / run.folder).is_dir() for run in plan.runs)
        if folder.exists() and not known and (not folder.is_dir() or any(folder.iterdir())):
            told = "this folder is no study, and holds something else"
            raise ConfigError(told, hint="Name another folder.", file=str(folder))
        there: dict[str, Entry] = {}
        keys = {one.name for one in fields(Entry)}
        try:
            tree = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {"variants": []}
            # Older versions called variants arms, and had states of their own.
            for one in tree["variants"] if "variants" in tree else tree["arms"]:
                entry = Entry(**{key: value for key, value in one.items() if key in keys})
                there[entry.folder] = entry if entry.state in {"done", "failed"} else replace(entry, state="waiting")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            hint = "Delete the file: what is trained stays, and is found again."
            raise ConfigError("this study can't be read", hint=hint, file=str(file)) from error
        self.entries = {
            run.folder: replace(
                there.get(run.folder)
                or Entry(name=run.variant.name, title=run.variant.title, seed=run.seed, folder=run.folder),
                title=run.variant.title,
            )
            for run in plan.runs
        }
        self._change()

    def _change(self, folder: str | None = None, **changes: Any) -> None:  # noqa: ANN401 - fields of `Entry`
        """Change the entry of a run, if one is named, and write `study.json`, whole or not at all."""
        if folder is not None:
            self.entries[folder] = replace(self.entries[folder], **changes)
        variants = [asdict(entry) for entry in self.entries.values()]
        tree = {"format": _FORMAT, "name": self._plan.name, "variants": variants}
        atomic_write_text(self.folder / STUDY_FILE, json.dumps(tree, ensure_ascii=False, indent=1) + "\n")

    def prepare(self, chosen: Sequence[VariantRun]) -> list[VariantRun]:
        """Check folders, build every corpus once, and return the runs whose data is there.

        Raises:
            ConfigError: A folder holds a run of another recipe, or a metric is none of the labels'.
            DataError: Two corpora have other rows to compare on, or one has none.
        """
        for run in chosen:
            # Before hours are spent on the variants before it.
            file = self.folder / run.folder / RUN_FILE
            if file.is_file():
                there = read_identity(file)
                asked = {"recipe": public_recipe(run.recipe), "corpus": there["corpus"]}
                refuse_other(there, asked, file.parent, what="run")
        corpora: dict[str, Corpus | str] = {}
        ready = []
        for run in chosen:
            key = json.dumps(run.recipe.data.model_dump(mode="json", exclude=_NOT_CORPUS))
            if key not in corpora:
                try:
                    corpora[key] = corpus_of(run.recipe.data, self._places, self._progress)
                except OttenokError as error:
                    corpora[key] = f"there is no data: {error.message}"
            found = corpora[key]
            if isinstance(found, str):
                self._change(run.folder, state="failed", reason=found)
                self._progress.note(f"{run.variant.name}, seed {run.seed}: {found}")
            else:
                ready.append(run)
        # Corpora that can't be compared on are refused before anything is trained on them.
        digests: dict[str, tuple[Corpus, int]] = {}
        for corpus in corpora.values():
            if isinstance(corpus, str):
                continue
            tasks = corpus.tasks
            if len(tasks) == 1:
                check_metrics(self._metrics, tasks[0].scheme)
            table = corpus.table(self._split, columns=("id", *(task.column for task in tasks))).to_pylist()
            if not table:
                raise DataError(
                    f"the corpus has no {self._split} rows to compare on",
                    hint="With run.test = false the variants are compared on validation rows.",
                    file=str(corpus.folder),
                )
            rows = sorted(json.dumps([row["id"], *(row[task.column] for task in tasks)]) for row in table)
            digest = hashlib.sha256("\n".join(rows).encode()).hexdigest()
            digests.setdefault(digest, (corpus, len(rows)))
        if len(digests) > 1 and not self._common:
            (one, first), (two, second), *_ = digests.values()
            raise DataError(
                f"the corpora {one.manifest.get('name')} ({first:,} {self._split} rows) and "
                f"{two.manifest.get('name')} ({second:,}) have other rows to compare on",
                hint="Give their recipes the same test rows, or compare on the rows that all have: --common",
            )
        self._left = len(ready)
        return ready

    def begins(self, run: VariantRun, name: str) -> bool:
        """Note that a run begins; False if it is finished already."""
        folder = self.folder / run.folder
        if (folder / MANIFEST).is_file():
            manifest = read_manifest(folder)
            # A run whose weights were deleted can't be exported any more.
            whole = all((folder / file).is_file() for file in manifest.files if file.endswith(_WEIGHTS))
            if not run.recipe.run.export or not whole or ONNX in manifest.files:
                self._change(run.folder, state="done", reason="")
                self._progress.note(f"{name}: finished before")
                self._left -= 1
                return False
        self._change(run.folder, state="waiting", reason="")
        self._progress.note(f"{name}: begins")
        self._running.add(run.folder)
        return True

    def ended(self, run: VariantRun, name: str, outcome: Outcome) -> None:
        """Note what became of a run, and let go of the weights that the study does not keep."""
        folder, minutes = self.folder / run.folder, self.entries[run.folder].minutes + outcome.minutes
        self._running.discard(run.folder)
        self._left -= 1
        reason = outcome.reason
        if not reason and not (folder / MANIFEST).is_file():
            reason = f"its folder is not seen here: {folder} has to be on a disk that all machines share"
        state: Literal["done", "failed"] = "failed" if reason else "done"
        self._change(run.folder, state=state, reason=reason, minutes=round(minutes, 3))
        if outcome.trace:
            # What nobody foresaw can only be understood from its traceback.
            atomic_write_text(folder / _ERROR_FILE, outcome.trace)
        if reason:
            self._progress.note(f"{name}: {reason}")
            return
        self._taken.append(outcome.minutes)
        mean = sum(self._taken) / len(self._taken)
        rest = (
            f"; about {self._left * mean / self._at_once:.1f} minutes left for {self._left} more" if self._left else ""
        )
        self._progress.note(f"{name}: {outcome.minutes:.1f} minutes{rest}")
        # Weights and graphs that the study does not keep go; manifests, predictions and metrics stay.
        whole = [one for one in self._plan.runs if (self.folder / one.folder / MANIFEST).is_file()]
        done = [one for one in whole if one.folder not in self._running]
        values: dict[str, float] = {}
        for other in done:
            place, metric = self.folder / other.folder, other.recipe.run.metric
            best = best_epoch(place, metric)
            if best is not None:
                values[other.folder] = goodness(metric, read_history(place)[best][metric])
        kept = max(values, key=values.__getitem__, default=None)
        for other in done:
            if self._weights == "none" or (self._weights == "best" and other.folder != kept):
                place = self.folder / other.folder
                for file in read_manifest(place).files:
                    if file.endswith(_WEIGHTS):
                        (place / file).unlink(missing_ok=True)

    def results(self) -> Studied:
        """Compare what is finished, and write it down."""
        entries = list(self.entries.values())
        done = [entry for entry in entries if (self.folder / entry.folder / MANIFEST).is_file()]
        failed = {entry.folder: entry.reason for entry in entries if entry.state == "failed" and entry not in done}
        waiting = tuple(entry.folder for entry in entries if entry not in done and entry.folder not in failed)
        comparison = None
        if done:
            found = compare(
                [self.folder / entry.folder for entry in done],
                metrics=self._metrics,
                baseline=self._baseline if self._baseline in {entry.title for entry in done} else None,
                split=self._split,
                common=self._common,
                best_first=self._plan.options.best_first,
                tests=self._tests,
                progress=self._progress,
            )
            rows = []
            for folder, reason in {**failed, **dict.fromkeys(waiting, "not trained yet")}.items():
                entry = self.entries[folder]
                several = sum(other.name == entry.name for other in entries) > 1
                rows.append(Failed(name=f"{entry.title}, seed {entry.seed}" if several else entry.title, reason=reason))
            comparison = replace(found, failed=tuple(rows))
        write_results(self.folder, self._plan, self.entries, comparison)
        return Studied(
            folder=self.folder,
            comparison=comparison,
            done=tuple(entry.folder for entry in done),
            failed=failed,
            waiting=waiting,
        )
