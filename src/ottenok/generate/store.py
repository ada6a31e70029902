"""The files of a run: the texts, a journal of requests, and what was refused. Everything is appended at once.

`texts.jsonl` holds a row per text and is ready to be a source of a corpus. `texts.requests.jsonl` says which requests
were made and what they cost; `texts.rejects.jsonl` holds answers that can't be read, and texts that were refused, with
the reason. A line that a killed process left unfinished is dropped when the next run begins.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ottenok.core.errors import ConfigError, DataError
from ottenok.core.lazy import require
from ottenok.core.schemes import load_scheme
from ottenok.generate.cost import Spent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from ottenok.generate.prompts import Request
    from ottenok.generate.recipe import GenerationRecipe
    from ottenok.generate.server import Answer
    from ottenok.generate.sieve import Verdict

__all__ = ["SOURCE", "Done", "Entry", "Store", "open_store", "read_done"]

SOURCE = "generated"
_FORMAT = 1
_CONTENT = 2000  # characters of a broken answer that are kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What earlier runs did.

    Attributes:
        texts: The texts that are there.
        accepted: How many of each label.
        numbers: Greatest number of a finished request of each label.
        refused: Refused texts by reason.
        spent: What it cost.
    """

    texts: tuple[str, ...]
    accepted: Mapping[str, int]
    numbers: Mapping[str, int]
    refused: Mapping[str, int]
    spent: Spent


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A line of the journal: one request that came to an end.

    Attributes:
        request: Its id.
        prompt: Name of the prompt file.
        status: `ok`, `broken` (no attempt gave an answer that can be read) or `unanswered`.
        problem: What was wrong, unless it is `ok`.
        accepted: Texts that were taken.
        refused: Texts that were refused, by reason.
        spent: What all attempts cost.
    """

    request: str
    prompt: str
    status: str
    problem: str
    accepted: int
    refused: Mapping[str, int]
    spent: Spent


class Store:
    """Writes the files of a run; made by `open_store`."""

    def __init__(self, path: Path, recipe: GenerationRecipe, done: Done) -> None:
        self.path = path
        self.done = done
        self._language = recipe.language
        if not _journal(path).exists():
            head = {"format": _FORMAT, "recipe": recipe.name, "scheme": recipe.scheme, "language": recipe.language}
            _append(_journal(path), [head])

    def accept(self, request: Request, answer: Answer, texts: Sequence[str]) -> None:
        """Append texts. They are one write, so that a kill leaves all of an answer's texts or none."""
        now = _now()
        _append(
            self.path,
            [
                {
                    "text": text,
                    "label": request.label,
                    "language": self._language,
                    "source": SOURCE,
                    "model": answer.model,
                    "prompt": request.prompt.name,
                    "prompt_sha256": request.prompt.sha256,
                    "request": request.id,
                    "answer": answer.id,
                    "seed": answer.seed,
                    "time": now,
                }
                for text in texts
            ],
        )

    def reject_texts(self, request: Request, verdicts: Iterable[Verdict]) -> None:
        """Append refused texts with their reasons."""
        lines = [
            {"request": request.id, "label": request.label, "reason": one.reason, "text": one.text} for one in verdicts
        ]
        _append(_rejects(self.path), lines)

    def reject_answer(self, request: Request, reason: str, content: str) -> None:
        """Append an answer that can't be read."""
        line = {"request": request.id, "label": request.label, "reason": reason, "content": content[:_CONTENT]}
        _append(_rejects(self.path), [line])

    def finish(self, entry: Entry) -> None:
        """Append a request that came to its end; it is not made again."""
        _append(_journal(self.path), [{**asdict(entry), "time": _now()}])


@contextmanager
def open_store(path: Path, recipe: GenerationRecipe, *, resume: bool) -> Iterator[Store]:
    """Open the files of a run for this process alone.

    Raises:
        ConfigError: There is such a file and `resume` is not set; the file is of another scheme or language; or
            another process is writing it.
        DataError: A file is not what `ottenok generate` writes.
    """
    if path.exists() and not resume:
        raise ConfigError(
            "there is such a file already", hint="Go on with it: --resume. Or name another file.", file=str(path)
        )
    filelock = require("filelock", extra="generate")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(path.with_name(f".{path.name}.lock"), timeout=0):
            for file in (path, _journal(path), _rejects(path)):
                _mend(file)
            yield Store(path, recipe, read_done(path, recipe))
    except filelock.Timeout as error:
        raise ConfigError("another process is writing this file", hint="Wait for it.", file=str(path)) from error


def read_done(path: Path, recipe: GenerationRecipe) -> Done:
    """Read what earlier runs did; nothing where there is no file.

    Raises:
        ConfigError: The file is of another scheme or language.
        DataError: A file is not what `ottenok generate` writes.
    """
    journal = list(_lines(_journal(path)))
    _check_head(journal, recipe, _journal(path))
    rows, entries = list(_lines(path)), journal[1:]
    _check_rows(rows, recipe, path)
    finished = [entry for entry in entries if entry.get("status") != "unanswered"]
    numbers: dict[str, int] = {}
    for request in (str(line["request"]) for line in (*rows, *finished)):
        label, _, number = request.rpartition("/")
        numbers[label] = max(numbers.get(label, 0), int(number))
    return Done(
        texts=tuple(row["text"] for row in rows),
        accepted=Counter(row["label"] for row in rows),
        numbers=numbers,
        refused=sum((Counter(entry["refused"]) for entry in entries), Counter()),
        spent=sum((Spent(**entry["spent"]) for entry in entries), Spent()),
    )


def _check_head(journal: Sequence[Mapping[str, Any]], recipe: GenerationRecipe, path: Path) -> None:
    head = journal[0] if journal else {}
    if journal and head.get("format") != _FORMAT:
        raise DataError(
            "this is no journal of this version of ottenok", hint="Name another output file.", file=str(path)
        )
    for name in ("scheme", "language"):
        wanted = getattr(recipe, name)
        if journal and head.get(name) != wanted:
            raise ConfigError(
                f"this run was begun with the {name} {head.get(name)}, and the recipe has {wanted}",
                hint="Name another output file.",
                file=str(path),
            )
    known = {field.name for field in fields(Entry)}
    for row, entry in enumerate(journal[1:], start=1):
        if not known <= set(entry):
            raise DataError("this is no journal of requests", hint="Name another output file.", file=str(path), row=row)


def _check_rows(rows: Sequence[Mapping[str, Any]], recipe: GenerationRecipe, path: Path) -> None:
    labels = load_scheme(recipe.scheme).labels
    for number, row in enumerate(rows, start=1):
        request = str(row.get("request", ""))
        if not isinstance(row.get("text"), str) or row.get("label") not in labels or not request[-1:].isdigit():
            raise DataError(
                f"this row was not written by `ottenok generate` for {recipe.scheme}",
                hint="Name another output file.",
                file=str(path),
                row=number,
            )


def _journal(path: Path) -> Path:
    return path.with_name(f"{path.stem}.requests.jsonl")


def _rejects(path: Path) -> Path:
    return path.with_name(f"{path.stem}.rejects.jsonl")


def _append(path: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    """Append JSON lines in one write, and see that they reach the disk."""
    if not lines:
        return
    content = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    with path.open("ab", buffering=0) as stream:
        stream.write(content.encode("utf-8", "replace"))
        os.fsync(stream.fileno())


def _mend(path: Path) -> None:
    """Cut off a last line that has no end."""
    if not path.exists():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(path, whole)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    with path.open(encoding="utf-8") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                value = json.loads(line)
            except ValueError:
                value = None
            if not isinstance(value, dict):
                raise DataError("this is no JSON object", hint="Name another file.", file=str(path), row=number)
            yield value


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
