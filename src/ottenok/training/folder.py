"""The folder of a run: what identifies it, so that `--resume` goes on with the same run and no other; its epochs."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ottenok.core.config import merge
from ottenok.core.errors import ConfigError
from ottenok.core.files import LockedError, atomic_write_text, locked, sha256_file
from ottenok.data.corpus import CORPUS_FILE
from ottenok.recipes.model import ModelOptions
from ottenok.recipes.old_keys import translated
from ottenok.recipes.train import TrainRecipe
from ottenok.training.facts import public_recipe, versions
from ottenok.training.hardware import rank

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ottenok.data.corpus import Corpus

__all__ = [
    "FREE_KEYS",
    "HISTORY_FILE",
    "LOCK_FILE",
    "RUN_FILE",
    "RunFolder",
    "completed",
    "flat",
    "open_run",
    "read_history",
    "read_identity",
    "refuse_other",
    "refuse_used",
]

RUN_FILE = "run.json"
HISTORY_FILE = "history.jsonl"
LOCK_FILE = ".lock"

# Options that change how a run goes and not what comes out; they may differ when a run is taken up again.
FREE_KEYS = {
    "run.save_total_limit",
    "run.save_steps",
    "run.save_minutes",
    "run.tensorboard",
    "run.mlflow",
    "run.export",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFolder:
    """Paths of a run.

    Attributes:
        path: The folder, which becomes the trained classifier's.
        resumed: Whether an earlier run is taken up.
        tracking: Address of MLflow's store; None: one in the run's folder.
        began_with: Packages of another version than now with which the run was begun, as `torch 2.9.0`.
    """

    path: Path
    resumed: bool
    tracking: str | None = None
    began_with: tuple[str, ...] = ()

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints; deleted when the run is finished."""
        return self.path / "checkpoints"

    @property
    def tensorboard(self) -> Path:
        """Folder of TensorBoard's logs."""
        return self.path / "tensorboard"

    @property
    def mlflow(self) -> Path:
        """Folder of what MLflow needs, and of its store where `tracking` names no other."""
        return self.path / "mlflow"


@contextmanager
def open_run(
    out: Path, recipe: TrainRecipe, corpus: Corpus, *, resume: bool, tracking: str | None = None
) -> Iterator[RunFolder]:
    """Begin a run in an empty or absent folder, or take up the one that is there; the folder is locked meanwhile.

    Args:
        out: The folder.
        recipe: Of the run.
        corpus: What it learns from.
        resume: Take up the run that is in the folder; if the folder is empty or absent, begin.
        tracking: Address of MLflow's store; None: one in the folder.

    Raises:
        ConfigError: The folder is in use and `resume` is not asked for, it holds a run of another recipe or corpus or
            no run at all, or another process works in it. Nothing in it has been touched then.
    """
    if rank() != 0:
        # The first process has the say; what it finds here stops them all.
        yield RunFolder(path=out, resumed=resume, tracking=tracking)
        return
    identity = {
        "recipe": public_recipe(recipe),
        "corpus": sha256_file(corpus.folder / CORPUS_FILE),
        "versions": versions(),
    }
    file = out / RUN_FILE
    resumed = resume and file.exists()
    changed: list[str] = []
    if resumed:
        there = read_identity(file)
        refuse_other(there, identity, out, what="run")
        began = there.get("versions", {})
        changed = [f"{name} {began[name]}" for name, now in versions().items() if began.get(name, now) != now]
    else:
        refuse_used(out, file=RUN_FILE, what="run")
    out.mkdir(parents=True, exist_ok=True)
    try:
        with locked(out / LOCK_FILE):
            if not resumed:
                atomic_write_text(file, json.dumps(identity, ensure_ascii=False, indent=2) + "\n")
            yield RunFolder(path=out, resumed=resumed, tracking=tracking, began_with=tuple(changed))
    except LockedError as error:
        raise ConfigError(
            f"another process ({error.pid}) trains in this folder",
            hint="Wait for it, or name another folder.",
            file=str(out),
        ) from error


def refuse_used(out: Path, *, file: str, what: str) -> None:
    """Refuse a folder that holds anything, if only half of it.

    Args:
        out: The folder.
        file: Name of the file in it that shows that it can be gone on with.
        what: What it is then: a run, a search.

    Raises:
        ConfigError: It is in use.
    """
    if not out.exists():
        return
    others = [out.name]
    if out.is_dir():
        # A process that was killed leaves its lock, which holds nobody any more, and half a file; a study its report.
        others = sorted(
            path.name
            for path in out.iterdir()
            if path.name not in {LOCK_FILE, "error.txt"} and not (path.name[0] == "." and path.suffix == ".part")
        )
    if not others:
        return
    known = file in others
    raise ConfigError(
        f"there is a {what} in this folder already" if known else f"this folder is not empty: it holds {others[0]}",
        hint="Go on with it by --resume, or name another folder."
        if known
        else f"There is no {what} in it to go on with. Name another folder.",
        file=str(out),
    )


def read_identity(file: Path) -> dict[str, Any]:
    """Read what a run or a search is.

    Raises:
        ConfigError: The file is damaged.
    """
    try:
        identity: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"this can't be taken up: {error}", file=str(file)) from error
    return identity


def refuse_other(there: dict[str, Any], asked: dict[str, Any], out: Path, *, what: str) -> None:
    """Refuse to go on with something else than what is in a folder.

    Args:
        there: What `read_identity` found: `recipe` and `corpus`.
        asked: The same of what is asked for.
        out: The folder.
        what: What is in it: a run, a search.

    Raises:
        ConfigError: They differ; the first key that does is named.
    """
    if there["corpus"] != asked["corpus"]:
        raise ConfigError(f"the {what} in this folder learns from another corpus", file=str(out), key="data")
    before, now = flat(completed(there["recipe"])), flat(asked["recipe"])
    changed = sorted(
        key for key in before.keys() | now.keys() if key not in FREE_KEYS and before.get(key) != now.get(key)
    )
    if changed:
        key = changed[0]
        raise ConfigError(
            f"the {what} in this folder has another recipe: {before.get(key)!r} there, {now.get(key)!r} asked for",
            hint="Resume it with its own recipe, or name another folder.",
            file=str(out),
            key=key,
        )


def completed(recipe: dict[str, Any]) -> dict[str, Any]:
    """Return the recipe of an earlier run with today's keys: one that it did not know had its usual value."""
    usual = public_recipe(TrainRecipe(name="usual", model=ModelOptions(encoder="usual")))
    return merge(usual, translated(recipe)[0])


def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a nested mapping as one of dotted keys to values."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def read_history(folder: Path) -> list[dict[str, float]]:
    """Return the rows of a folder's `history.jsonl`: an epoch each."""
    lines = (folder / HISTORY_FILE).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]
