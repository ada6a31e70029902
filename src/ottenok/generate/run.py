"""The run: ask, read, sift, append, until every label has its texts or there is a reason to stop.

Three files, appended to at once. `texts.jsonl` holds a row per text and is ready to be a source of a corpus;
`texts.requests.jsonl` says which requests were made and what they cost; `texts.rejects.jsonl` holds answers that can't
be read, and texts that were refused, with the reason. A line that a killed process left unfinished is dropped when the
next run begins. Requests run side by side in one thread (asyncio), so nothing needs a lock, and Ctrl-C ends every wait.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ottenok.core.errors import ConfigError, DataError, GenerationError
from ottenok.core.lazy import require
from ottenok.core.progress import SILENT, stage
from ottenok.data.corpus import open_corpus
from ottenok.generate.recipe import load_prompts, make_request
from ottenok.generate.server import BrokenAnswerError, Server, Spent, UnansweredError, estimate, read_texts
from ottenok.generate.sieve import Origin, Sieve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from ottenok.core.progress import Progress
    from ottenok.generate.recipe import GenerationRecipe, Prompt, Request
    from ottenok.generate.server import Answer

__all__ = ["Files", "Summary", "generate"]

_FORMAT = 1
_CONTENT = 2000  # characters of a broken answer that are kept
_FAILURES = 3  # requests in a row that a server leaves without an answer, each repeated by the client


class Files:
    """The files of a run, and what earlier runs left in them.

    Args:
        path: The file of texts; nothing is read where it is absent.
        recipe: Whose texts they must be.

    Raises:
        ConfigError: The file is of another scheme or language.
        DataError: A file is not what `ottenok generate` writes.
    """

    def __init__(self, path: Path, recipe: GenerationRecipe) -> None:
        self.path = path
        self.journal = path.with_name(f"{path.stem}.requests.jsonl")
        self.rejects = path.with_name(f"{path.stem}.rejects.jsonl")
        head, *entries = [*_lines(self.journal)] or [{}]
        self._begun = bool(head)
        if head and head.get("format") != _FORMAT:
            raise _strange("this is no journal of this version of ottenok", self.journal)
        for name in ("scheme", "language"):
            if head and head.get(name) != getattr(recipe, name):
                raise ConfigError(
                    f"this run was begun with the {name} {head.get(name)}, and the recipe has {getattr(recipe, name)}",
                    hint="Name another output file.",
                    file=str(self.journal),
                )
        self.texts: list[str] = []
        self.accepted: Counter[str] = Counter()  # texts of each label
        self.refused: Counter[str] = Counter()  # texts by reason
        self.numbers: dict[str, int] = {}  # the greatest number of a finished request of each label
        self.spent = Spent()
        finished = []
        for number, entry in enumerate(entries, start=2):
            try:
                self.refused += Counter(entry["refused"])
                self.spent += Spent(**entry["spent"])
                finished += [entry["request"]] * (entry["status"] != "unanswered")
            except (KeyError, TypeError) as error:
                raise _strange("this is no journal of requests", self.journal, number) from error
        labels = recipe.label_scheme.labels
        for number, row in enumerate(_lines(path), start=1):
            request = row.get("request")
            if not (isinstance(row.get("text"), str) and row.get("label") in labels and isinstance(request, str)):
                raise _strange(f"this row was not written by `ottenok generate` for {recipe.scheme}", path, number)
            self.texts.append(row["text"])
            self.accepted[row["label"]] += 1
            finished.append(request)
        for request in finished:
            label, _, number = request.rpartition("/")
            self.numbers[label] = max(self.numbers.get(label, 0), int(number) if number.isdecimal() else 0)

    def mend(self, recipe: GenerationRecipe) -> None:
        """Make the files ready to be appended to: without last lines that have no end, the journal with its head."""
        for file in (self.path, self.journal, self.rejects):
            if file.exists():
                os.truncate(file, file.read_bytes().rfind(b"\n") + 1)
        if not self._begun:
            head = {"format": _FORMAT, "recipe": recipe.name, "scheme": recipe.scheme, "language": recipe.language}
            _append(self.journal, [head])


def _strange(message: str, file: Path, row: int | None = None) -> DataError:
    return DataError(message, hint="Name another output file.", file=str(file), row=row)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines; a last one without an end is none."""
    if path.exists():
        with path.open(encoding="utf-8", newline="\n") as stream:
            for number, line in enumerate(stream, start=1):
                if not line.endswith("\n"):
                    return
                try:
                    value = json.loads(line)
                except ValueError:
                    value = None
                if not isinstance(value, dict):
                    raise _strange("this is no JSON object", path, number)
                yield value


def _append(path: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    """Append JSON lines in one write, so that a kill leaves all or none, and see that they reach the disk."""
    if lines:
        content = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        with path.open("ab", buffering=0) as stream:
            stream.write(content.encode("utf-8", "replace"))
            os.fsync(stream.fileno())


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What there is after a run, earlier runs of the same file included.

    Attributes:
        wanted: Texts that were wanted of each label.
        accepted: Texts that there are of each label.
        refused: Refused texts by reason.
        problems: Requests without a usable answer in this run, by what was wrong.
        spent: What it cost.
        stopped: Why it stopped before the end; empty if it did not.
    """

    wanted: Mapping[str, int]
    accepted: Mapping[str, int]
    refused: Mapping[str, int]
    problems: Mapping[str, int]
    spent: Spent
    stopped: str


def generate(
    recipe: GenerationRecipe,
    out: Path,
    *,
    key: str | None = None,
    against: Sequence[Path] = (),
    resume: bool = False,
    watch: Callable[[Spent], None] | None = None,
    progress: Progress = SILENT,
) -> Summary:
    """Ask a server for labelled texts and append those that are new to a file of JSON lines.

    Args:
        recipe: What is wanted, and of which server.
        out: The file; two more are written beside it.
        key: The server's key, or None for a server without keys. It gets into no file and no message.
        against: Corpus folders; copies and near copies of their texts are refused.
        resume: Go on with the output file that is there.
        watch: Called with what is spent, after each answer.
        progress: Told about the reading of corpora, and each text of this run.

    Raises:
        ConfigError: The recipe names no server, a prompt can't be read, `out` is there and is not resumed or is of
            another scheme or language, or another process is writing it.
        DataError: A folder to compare with is no corpus, or `out` is something else.
        GenerationError: The server can't be reached, refuses, or leaves three requests in a row without an answer.
            What was accepted is in the file.
        MissingExtraError: A package of the extra `generate` is not installed.
    """
    prompts = load_prompts(recipe)
    server = Server(recipe, key=key)
    if out.exists() and not resume:
        hint = "Go on with it: --resume. Or name another file."
        raise ConfigError("there is such a file already", hint=hint, file=str(out))
    filelock = require("filelock", extra="generate")
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(out.with_name(f".{out.name}.lock"), timeout=0):
            run = _Run(recipe, Files(out, recipe), server, watch=watch, progress=progress)
            run.files.mend(recipe)
            for folder in against:
                run.sieve.put_corpus(open_corpus(folder), progress)
            run.sieve.put(run.files.texts, Origin.GENERATED)
            with stage(progress, "generating", total=sum(map(run.missing, recipe.labels)), unit="texts"):
                try:
                    asyncio.get_running_loop()
                except RuntimeError:
                    asyncio.run(run.until_done(prompts))
                else:  # as in a notebook
                    with ThreadPoolExecutor(max_workers=1) as thread:
                        thread.submit(asyncio.run, run.until_done(prompts)).result()
            return run.summary()
    except filelock.Timeout as error:
        raise ConfigError("another process is writing this file", hint="Wait for it.", file=str(out)) from error


class _Run:
    def __init__(
        self,
        recipe: GenerationRecipe,
        files: Files,
        server: Server,
        *,
        watch: Callable[[Spent], None] | None,
        progress: Progress,
    ) -> None:
        self._recipe, self.files, self._server = recipe, files, server
        self._watch, self._progress = watch, progress
        self.sieve = Sieve(recipe)
        self._numbers = Counter(files.numbers)
        self._under_way: Counter[str] = Counter()
        self._fruitless: Counter[str] = Counter()  # requests of each label in a row that brought nothing new
        self._problems: Counter[str] = Counter()
        self._unanswered = 0  # in a row
        self._next = 0.0  # when the next request may begin
        self._stopped = ""

    def missing(self, label: str) -> int:
        """Return how many texts of a label are still wanted."""
        return max(self._recipe.labels[label].count - self.files.accepted[label], 0)

    def _hopeless(self, label: str) -> bool:
        return self._fruitless[label] >= self._recipe.limits.fruitless

    def _affords(self, request: Request, *, under_way: int) -> bool:
        """Say whether the cost stays within its limit if this and those that are under way cost what is usual."""
        limit, spent = self._recipe.limits.max_cost, self.files.spent
        if limit is None:
            return True
        usual = spent.cost / spent.requests if spent.requests else estimate(self._recipe, request).cost
        return spent.cost + usual * (under_way + 1) <= limit

    async def until_done(self, prompts: Sequence[Prompt]) -> None:
        """Make requests, some at a time, until nothing more is to be asked."""
        tasks: set[asyncio.Task[None]] = set()
        async with self._server.client:
            try:
                while True:
                    while len(tasks) < self._recipe.limits.parallel and (
                        request := self._next_request(prompts, under_way=len(tasks))
                    ):
                        tasks.add(asyncio.create_task(self._obtain(request)))
                    if not tasks:
                        return
                    done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        task.result()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def _next_request(self, prompts: Sequence[Prompt], *, under_way: int) -> Request | None:
        """Return a request for the label that is furthest from what is wanted; None if there is none to make now."""
        self._stopped = ""
        shares = {
            label: (self.files.accepted[label] + self._under_way[label] * self._recipe.request.texts) / wanted.count
            for label, wanted in self._recipe.labels.items()
            if not self._hopeless(label)
        }
        label = min(shares, key=shares.__getitem__, default=None)
        if label is None or shares[label] >= 1:
            return None
        request = make_request(self._recipe, prompts, label=label, number=self._numbers[label] + 1)
        if not self._affords(request, under_way=under_way):
            self._stopped = "the limit of the cost is reached"
            return None
        self._numbers[label] += 1
        self._under_way[label] += 1
        return request

    async def _obtain(self, request: Request) -> None:
        """Make a request until its answer can be read, a few times at most, and write down what came of it."""
        spent, answer, problem, per_minute = Spent(), None, "", self._recipe.limits.requests_per_minute
        texts: tuple[str, ...] = ()
        status = "broken"
        for attempt in range(self._recipe.limits.attempts):
            if attempt and not self._affords(request, under_way=0):
                break
            now = time.monotonic()
            begin = max(now, self._next)
            self._next = begin + (60.0 / per_minute if per_minute else 0.0)
            await asyncio.sleep(begin - now)
            answer = None
            try:
                answer = await self._server.ask(request, seed=(request.seed + attempt) % 2**31)
                spent += answer.spent
                self.files.spent += answer.spent
                if self._watch is not None:
                    self._watch(self.files.spent)
                texts, problem, status = read_texts(answer.content), "", "ok"
                break
            except UnansweredError as error:
                problem, status = str(error), "unanswered"
                break
            except BrokenAnswerError as error:
                ending = answer.ending if answer else "stop"
                problem = str(error) if ending in {"", "stop"} else f"{error} (ended with {ending})"
        sifted = self.sieve.sift(texts, most=self.missing(request.label))
        new = self._write(request, answer, sifted, {"status": status, "problem": problem, "spent": asdict(spent)})
        self._under_way[request.label] -= 1
        self._fruitless[request.label] = 0 if new else self._fruitless[request.label] + 1
        self._unanswered = self._unanswered + 1 if status == "unanswered" else 0
        self._progress.advance(new)
        if self._unanswered >= _FAILURES:
            raise GenerationError(
                f"the server left {self._unanswered} requests in a row without an answer, the last one with: {problem}",
                hint="What was accepted is kept: go on later with --resume.",
            )

    def _write(
        self, request: Request, answer: Answer | None, sifted: Sequence[tuple[str, str]], how: dict[str, Any]
    ) -> int:
        """Append what came of a request, which is not made again; return how many texts were taken."""
        files, prompt, facts = self.files, request.prompt, {"request": request.id, "label": request.label}
        now = {"time": datetime.now(UTC).isoformat(timespec="seconds")}
        good = [text for text, reason in sifted if not reason]
        refused = Counter(reason for _, reason in sifted if reason)
        rejects = [{**facts, "reason": reason, "text": text} for text, reason in sifted if reason]
        if answer is not None:
            origin: dict[str, Any] = {"language": self._recipe.language, "source": "generated", "model": answer.model}
            origin |= {"prompt": prompt.name, "prompt_sha256": prompt.sha256, "answer": answer.id, "seed": answer.seed}
            _append(files.path, [{"text": text, **facts, **origin, **now} for text in good])
        if how["problem"]:
            content = answer.content[:_CONTENT] if answer else ""
            rejects.append({**facts, "reason": how["problem"], "content": content})
            self._problems[how["problem"]] += 1
        _append(files.rejects, rejects)
        counts = {"accepted": len(good), "refused": dict(refused)}
        _append(files.journal, [{"request": request.id, "prompt": prompt.name, **how, **counts, **now}])
        files.accepted[request.label] += len(good)
        files.refused += refused
        return len(good)

    def summary(self) -> Summary:
        """Return what there is now."""
        given_up = ", ".join(label for label in self._recipe.labels if self._hopeless(label) and self.missing(label))
        nothing = f"requests for {given_up} bring nothing new any more" if given_up else ""
        return Summary(
            wanted={label: wanted.count for label, wanted in self._recipe.labels.items()},
            accepted={label: self.files.accepted[label] for label in self._recipe.labels},
            refused=dict(self.files.refused.most_common()),
            problems=dict(self._problems.most_common()),
            spent=self.files.spent,
            stopped=self._stopped or nothing,
        )
