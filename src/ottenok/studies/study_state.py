"""`study.json`: which folders are a study's, and what became of each; written after every step."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from pydantic import TypeAdapter, ValidationError

from ottenok.bundle.manifest import MANIFEST
from ottenok.core.errors import ConfigError
from ottenok.core.files import atomic_write_text
from ottenok.studies.compare_runs import STUDY_FILE
from ottenok.training.folder import HISTORY_FILE

if TYPE_CHECKING:
    from pathlib import Path

    from ottenok.studies.study_recipe import ArmRun, Study

__all__ = ["Entry", "State", "open_state"]

_FORMAT = 1
# A process that is killed so often in one arm without getting further is killed by the arm.
_MOST_DEATHS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One run of a study.

    Attributes:
        name: Of the arm.
        title: As tables call it.
        seed: Its seed.
        folder: Name of its folder.
        state: `waiting`, `running` (also where the process was killed in it), `done` or `failed`.
        reason: Why it failed.
        minutes: That it took, export and all, over all its attempts.
        deaths: Attempts in which the process was killed without having got further.
        mark: How far it was when the last attempt began.
    """

    name: str
    title: str
    seed: int
    folder: str
    state: Literal["waiting", "running", "done", "failed"] = "waiting"
    reason: str = ""
    minutes: float = 0.0
    deaths: int = 0
    mark: str = ""


class State:
    """The entries of a study, kept on the disk.

    Args:
        folder: Of the study.
        name: Of the study.
        entries: By folder.
    """

    def __init__(self, folder: Path, name: str, entries: dict[str, Entry]) -> None:
        self.folder = folder
        self.name = name
        self.entries = entries

    def change(self, run: ArmRun, **changes: Any) -> Entry:  # noqa: ANN401 - fields of `Entry`
        """Change an entry and write the file."""
        self.entries[run.folder] = replace(self.entries[run.folder], **changes)
        self.write()
        return self.entries[run.folder]

    def begin(self, run: ArmRun) -> bool:
        """Note that a run begins; False if the process was killed in it again and again without getting further."""
        before = self.entries[run.folder]
        mark = self._mark(run)
        killed = before.state == "running" and before.mark == mark
        deaths = before.deaths + 1 if killed else 0
        if deaths >= _MOST_DEATHS:
            self.change(run, state="failed", reason=_KILLED, deaths=0)
            return False
        self.change(run, state="running", reason="", deaths=deaths, mark=mark)
        return True

    def _mark(self, run: ArmRun) -> str:
        """Return what changes when a run gets further."""
        folder = self.folder / run.folder
        checkpoints = sorted(path.name for path in folder.glob("checkpoints/*"))
        history = folder / HISTORY_FILE
        size = history.stat().st_size if history.is_file() else 0
        return f"{' '.join(checkpoints)} {size} {(folder / MANIFEST).is_file()}"

    def write(self) -> None:
        """Write the file, whole or not at all."""
        tree = {"format": _FORMAT, "name": self.name, "arms": [asdict(entry) for entry in self.entries.values()]}
        atomic_write_text(self.folder / STUDY_FILE, json.dumps(tree, ensure_ascii=False, indent=1) + "\n")


_KILLED = "the process was killed in this arm again and again (out of memory?)"


def open_state(folder: Path, study: Study) -> State:
    """Begin a study in an empty or absent folder, or take up the one that is there.

    Raises:
        ConfigError: The folder holds something else.
    """
    file = folder / STUDY_FILE
    used = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    if used and not file.is_file() and not any((folder / run.folder).is_dir() for run in study.runs):
        raise ConfigError("this folder is not empty, and no study", hint="Name another folder.", file=str(folder))
    there = _read(file) if file.is_file() else {}
    entries = {}
    for run in study.runs:
        new = Entry(name=run.arm.name, title=run.arm.title, seed=run.seed, folder=run.folder)
        old = there.get(run.folder)
        entries[run.folder] = new if old is None else replace(old, title=new.title)
    state = State(folder, study.name, entries)
    state.write()
    return state


def _read(file: Path) -> dict[str, Entry]:
    try:
        tree = json.loads(file.read_text(encoding="utf-8"))
        entries = TypeAdapter(tuple[Entry, ...]).validate_python(tree["arms"])
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        hint = "Delete the file: what is trained stays, and is found again."
        raise ConfigError("this study can't be read", hint=hint, file=str(file)) from error
    return {entry.folder: entry for entry in entries}
