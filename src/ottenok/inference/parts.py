"""Finished parts of a long run, kept beside the output until it is whole, so that an interrupted run can go on."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ottenok.core.errors import InputError
from ottenok.core.files import atomic_path, atomic_write_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from ottenok.inference.table import Reject

__all__ = ["Parts", "open_parts"]

_STATE = "run.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The folder of finished parts.

    Attributes:
        folder: Where it is; removed when the output is written.
        suffix: Of the parts.
        done: How many parts an earlier run finished.
    """

    folder: Path
    suffix: str
    done: int

    def part(self, number: int) -> Path:
        """Return the path of a part, from 0."""
        return self.folder / f"{number:06d}{self.suffix}"

    def rejects(self, number: int) -> Path:
        """Return the path of the rows that a part left out."""
        return self.folder / f"{number:06d}.rejects.jsonl"

    def finish(self, number: int, rejects: Sequence[Reject], temporary: Path) -> None:
        """Keep a part whose file was written at `temporary`; the rejects first, since the part says that it is done."""
        lines = [json.dumps(asdict(reject), ensure_ascii=False) + "\n" for reject in rejects]
        atomic_write_text(self.rejects(number), "".join(lines))
        temporary.replace(self.part(number))

    def temporary(self) -> Path:
        """Return where to write a part before it is kept."""
        return self.folder / f"now{self.suffix}"

    def join_rejects(self, count: int, out: Path) -> bool:
        """Write the rejects of all parts into one file, or remove an old one; False if there are none."""
        filled = [path for path in map(self.rejects, range(count)) if path.stat().st_size]
        if not filled:
            out.unlink(missing_ok=True)
            return False
        with atomic_path(out) as temporary, temporary.open("wb") as stream:
            for path in filled:
                with path.open("rb") as source:
                    shutil.copyfileobj(source, stream)
        return True

    def reasons(self, count: int) -> Iterator[str]:
        """Yield the reason of every row that was left out."""
        for path in map(self.rejects, range(count)):
            with path.open(encoding="utf-8") as stream:
                for line in stream:
                    yield str(json.loads(line)["reason"])

    def remove(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


def open_parts(out: Path, identity: Mapping[str, Any], *, resume: bool) -> Parts:
    """Open the folder of parts of an output file, and find what is done.

    Args:
        out: The output file.
        identity: What the parts depend on, as JSON can hold it; parts of another run are thrown away.
        resume: False throws away what is there.

    Raises:
        InputError: The output's folder can't be written to.
    """
    folder = out.with_name(f".{out.name}.parts")
    state = json.dumps(identity, ensure_ascii=False, indent=2, sort_keys=True)
    if not (resume and _read(folder / _STATE) == state):
        shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        atomic_write_text(folder / _STATE, state)
    except OSError as error:
        hint = "Choose another output file."
        raise InputError(f"the output can't be written: {error.strerror}", hint=hint, file=str(out)) from error
    parts = Parts(folder=folder, suffix=out.suffix, done=0)
    done = 0
    while parts.part(done).is_file():
        done += 1
    return Parts(folder=folder, suffix=out.suffix, done=done)


def _read(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
