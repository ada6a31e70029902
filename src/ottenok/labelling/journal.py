"""Answers on disk: a line of JSON each, written through before the page hears of it, and never changed afterwards.

Nothing is removed: an undone answer stays, and a line says that it is undone. A line that was cut by a fall of the
system is taken off when the journal is opened again; all before it counts.
"""

from __future__ import annotations

import json
import os
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ottenok.core.errors import ConfigError, DataError
from ottenok.core.files import LockedError, flush, locked

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from io import FileIO
    from pathlib import Path

__all__ = ["Answer", "Journal", "opened"]

_FORMAT = 1
_BEGIN = b'{"kind":"begin",'
_HINT = "Name another file with --journal, or bring the old one back: it is not to be edited."
_KINDS = ("answer", "skip", "settle")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What somebody said of a text.

    Attributes:
        number: Its line in the journal, from 1.
        kind: `answer`; `skip`: no label was given; `settle`: it holds whatever the raters said.
        text: The text as it was shown.
        labels: The labels, in the order of the journal's; several or none only where a text may have them.
        rater: Who.
        how: Why this text was shown: see `ottenok.labelling.session`.
        time: When, in UTC, ISO 8601.
    """

    number: int
    kind: str
    text: str
    labels: tuple[str, ...]
    rater: str
    how: str
    time: str


class Journal:
    """An opened journal.

    Args:
        stream: The file, opened to append without a buffer: what could not be written must not be written later.
        path: Its place.

    Attributes:
        path: As given.
        labels: The labels that may be given; empty before `begin`.
        several: Whether a text may have several labels or none.
        measured: What the head reached, point by point, as it was written.
        cut: Bytes of a cut line that were taken off.

    Raises:
        DataError: It is no journal, or was changed by hand.
    """

    def __init__(self, stream: FileIO, path: Path) -> None:
        self.path = path
        self.labels: tuple[str, ...] = ()
        self.several = False
        self.measured: list[dict[str, Any]] = []
        self.cut = 0
        self._stream = stream
        # People and the learner write from threads of their own.
        self._lock = threading.RLock()
        self._standing: dict[int, Answer] = {}
        self._lines = 0
        done = 0
        with path.open("rb") as file:
            for line in file:
                # What is whole ends with a line end; a cut line may even be sound JSON.
                if not line.endswith(b"\n"):
                    if not done and not _BEGIN.startswith(line[: len(_BEGIN)]):
                        raise DataError("the file is no journal of ottenok label", hint=_HINT, file=str(path))
                    self.cut = len(line)
                    stream.truncate(done)
                    break
                done += len(line)
                self._lines += 1
                try:
                    self._read(json.loads(line))
                except (ValueError, KeyError, TypeError, RecursionError) as error:
                    raise DataError(
                        f"this line is none of a journal of ottenok label: {type(error).__name__}",
                        hint=_HINT,
                        file=str(path),
                        row=self._lines,
                    ) from error

    def _read(self, entry: dict[str, Any]) -> None:
        kind = entry["kind"]
        if kind == "begin":
            if entry["format"] != _FORMAT:
                raise ValueError("another format")
            self.labels, self.several = tuple(entry["labels"]), bool(entry["several"])
        elif not self.labels:
            raise ValueError("no beginning")
        elif kind in _KINDS:
            self._standing[self._lines] = Answer(
                number=self._lines,
                kind=kind,
                text=str(entry["text"]),
                labels=tuple(map(str, entry["labels"])),
                rater=str(entry["rater"]),
                how=str(entry["how"]),
                time=str(entry["time"]),
            )
        elif kind == "undo":
            self._standing.pop(entry["line"], None)
        elif kind == "measured":
            self.measured.append(entry["point"])
        else:
            raise ValueError("unknown kind")

    def _write(self, *entries: dict[str, Any]) -> None:
        lines = [json.dumps(entry, ensure_ascii=False, separators=(",", ":")) + "\n" for entry in entries]
        with self._lock:
            begin = self._stream.seek(0, os.SEEK_END)
            rest = memoryview("".join(lines).encode("utf-8", "surrogatepass"))
            try:
                while rest:
                    rest = rest[self._stream.write(rest) :]
                flush(self._stream)
            except OSError as error:
                # A full disk: what is half there is taken off, so that the next answer stands on a line of its own.
                self._stream.truncate(begin)
                error.filename = error.filename or str(self.path)
                raise
            for entry in entries:
                self._lines += 1
                self._read(entry)

    def begin(self, labels: Sequence[str], *, several: bool) -> None:
        """Say which labels there are; a journal that was begun may get more of them, and never fewer.

        Raises:
            ConfigError: Labels are missing or doubled, or others are there that this would take away.
        """
        asked = tuple(labels) or self.labels
        # Those that are there keep their order, and with it their keys.
        asked = tuple(sorted(asked, key=lambda label: self.labels.index(label) if label in self.labels else len(asked)))
        if len(set(asked)) < len(asked) or not all(label.strip() for label in asked):
            raise ConfigError(f"found {', '.join(map(repr, asked))}, expected each label once", key="--labels")
        if len(asked) < (1 if several else 2):
            raise ConfigError(
                f"found {len(asked)} labels, expected two or more",
                hint="Name them: --labels joy,anger,neutral. One alone is asked with --multi-label.",
                key="--labels",
            )
        if self.labels:
            used = {label for answer in self.standing() for label in answer.labels}
            lost = [label for label in self.labels if label in used - set(asked)]
            if lost:
                raise ConfigError(
                    f"the journal has answers with {', '.join(map(repr, lost))}, and --labels leaves them out",
                    hint="Name them too, or begin another journal: --journal FILE.",
                    file=str(self.path),
                    key="--labels",
                )
            if several != self.several:
                raise ConfigError(
                    f"the journal was begun {'with' if self.several else 'without'} --multi-label",
                    hint="Go on in the same way, or begin another journal: --journal FILE.",
                    file=str(self.path),
                    key="--multi-label",
                )
        if asked != self.labels:
            self._write({"kind": "begin", "format": _FORMAT, "labels": list(asked), "several": several})

    def add(self, kind: str, text: str, labels: Sequence[str], *, rater: str, how: str, time: str = "") -> Answer:
        """Write an answer and return it.

        Raises:
            OSError: The disk does not take it; then it does not count.
        """
        with self._lock:
            self.extend([(kind, text, labels, rater, how, time)])
            return self._standing[self._lines]

    def extend(self, answers: Sequence[tuple[str, str, Sequence[str], str, str, str]]) -> None:
        """Write many answers at once: kind, text, labels, rater, how, and time or ""."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._write(
            *(
                {
                    "kind": kind,
                    "text": text,
                    "labels": [label for label in self.labels if label in labels],
                    "rater": rater,
                    "how": how,
                    "time": time or now,
                }
                for kind, text, labels, rater, how, time in answers
            )
        )

    def undo(self, rater: str) -> Answer | None:
        """Take back the last thing that a rater said here, and return it; None where there is nothing."""
        own = [answer for answer in self.standing() if answer.rater == rater and answer.how != "import"]
        if not own:
            return None
        self._write({"kind": "undo", "line": own[-1].number})
        return own[-1]

    def measure(self, point: dict[str, Any]) -> None:
        """Write what the head reached."""
        self._write({"kind": "measured", "point": point})

    def standing(self) -> list[Answer]:
        """Return what holds, in its order: all that was said and not taken back."""
        with self._lock:
            return list(self._standing.values())


@contextmanager
def opened(path: Path) -> Iterator[Journal]:
    """Open a journal, or begin one; no other process can meanwhile.

    Raises:
        ConfigError: Another process has it.
        DataError: It is no journal.
    """
    try:
        with locked(path.with_name(f".{path.name}.lock")), path.open("ab", buffering=0) as stream:
            yield Journal(stream, path)
    except LockedError as error:
        who = "another process" if error.pid is None else f"process {error.pid}"
        raise ConfigError(
            f"{who} is labelling with this journal",
            hint="Two people label in one server: the second opens the same address and gives another name. "
            "Else stop the other one, or name another --journal.",
            file=str(path),
        ) from error
