"""The run: ask, read, sift, append, until every label has its texts or there is a reason to stop.

Requests run side by side in one thread (asyncio); the files and the sieve are touched between two of them, so nothing
needs a lock, and Ctrl-C ends every wait at once.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ottenok.core.errors import GenerationError
from ottenok.core.progress import SILENT, stage
from ottenok.data.corpus import open_corpus
from ottenok.generate.answers import BrokenAnswerError, read_texts
from ottenok.generate.cost import Spent
from ottenok.generate.prompts import load_prompts, make_request
from ottenok.generate.schedule import Budget, Pace, Schedule
from ottenok.generate.server import Server, UnansweredError
from ottenok.generate.sieve import Sieve
from ottenok.generate.store import Entry, open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from ottenok.core.progress import Progress
    from ottenok.generate.prompts import Prompt, Request
    from ottenok.generate.recipe import GenerationRecipe
    from ottenok.generate.server import Answer
    from ottenok.generate.store import Store

__all__ = ["GenerateOptions", "Summary", "generate"]

_FAILURES = 3  # requests in a row that a server leaves without an answer, each repeated by the client


def _ignore(_spent: Spent) -> None:
    """Watch nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateOptions:
    """What a run needs besides its recipe.

    Attributes:
        key: The server's key, or None for a server without keys. It gets into no file and no message.
        against: Corpus folders; copies and near copies of their texts are refused.
        resume: Go on with the output file that is there.
        watch: Called with what is spent, after each answer.
    """

    key: str | None = field(default=None, repr=False)
    against: Sequence[Path] = ()
    resume: bool = False
    watch: Callable[[Spent], None] = _ignore


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """How a request ended."""

    request: Request
    spent: Spent
    answer: Answer | None = None
    texts: tuple[str, ...] = ()
    problem: str = ""
    status: str = "ok"


def generate(
    recipe: GenerationRecipe, out: Path, *, options: GenerateOptions | None = None, progress: Progress = SILENT
) -> Summary:
    """Ask a server for labelled texts and append those that are new to a file of JSON lines.

    Args:
        recipe: What is wanted, and of which server.
        out: The file; two more are written beside it (`ottenok.generate.store`).
        options: All else.
        progress: Told about the reading of corpora, and each text of this run.

    Raises:
        ConfigError: The recipe names no server, a prompt can't be read, or `out` is there and is not resumed.
        DataError: A folder to compare with is no corpus, or `out` is something else.
        GenerationError: The server can't be reached, refuses, or leaves three requests in a row without an answer.
            What was accepted is in the file.
        MissingExtraError: A package of the extra `generate` is not installed.
    """
    options = options or GenerateOptions()
    prompts = load_prompts(recipe)
    server = Server(recipe, key=options.key)
    with open_store(out, recipe, resume=options.resume) as store:
        sieve = Sieve(recipe)
        for folder in options.against:
            sieve.put_corpus(open_corpus(folder), progress)
        sieve.put_generated(store.done.texts)
        run = _Run(recipe, prompts, store=store, sieve=sieve, options=options, progress=progress)
        missing = sum(map(run.schedule.missing, recipe.labels))
        with stage(progress, "generating", total=missing, unit="texts"):
            _run_to_end(run, server)
        return run.summary()


def _run_to_end(run: _Run, server: Server) -> None:
    """Run in this thread, or in another where this one has an event loop already, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(run.until_done(server))
        return
    with ThreadPoolExecutor(max_workers=1) as thread:
        thread.submit(asyncio.run, run.until_done(server)).result()


class _Run:
    def __init__(
        self,
        recipe: GenerationRecipe,
        prompts: Sequence[Prompt],
        *,
        store: Store,
        sieve: Sieve,
        options: GenerateOptions,
        progress: Progress,
    ) -> None:
        self._recipe, self._prompts = recipe, prompts
        self._store, self._sieve = store, sieve
        self._options, self._progress = options, progress
        self.schedule = Schedule(recipe, accepted=store.done.accepted, numbers=store.done.numbers)
        self._budget = Budget(recipe, store.done.spent)
        self._pace = Pace(recipe.limits.requests_per_minute)
        self._refused = Counter(store.done.refused)
        self._problems: Counter[str] = Counter()
        self._failures = 0
        self._stopped = ""

    async def until_done(self, server: Server) -> None:
        """Make requests, some at a time, until nothing more is to be asked."""
        under_way: set[asyncio.Task[_Outcome]] = set()
        async with server:
            try:
                while True:
                    self._begin(server, under_way)
                    if not under_way:
                        return
                    done, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                    self._settle_all(done)
            finally:
                for task in under_way:
                    task.cancel()
                await asyncio.gather(*under_way, return_exceptions=True)

    def _begin(self, server: Server, under_way: set[asyncio.Task[_Outcome]]) -> None:
        """Begin as many requests as may run."""
        self._stopped = ""
        while len(under_way) < self._recipe.limits.parallel:
            label = self.schedule.next_label()
            if label is None:
                return
            number = self.schedule.next_number(label)
            request = make_request(self._recipe, self._prompts, label=label, number=number)
            if not self._budget.allows(request, under_way=len(under_way)):
                self._stopped = "the limit of the cost is reached"
                return
            self.schedule.begin(label)
            under_way.add(asyncio.create_task(self._obtain(server, request)))

    async def _obtain(self, server: Server, request: Request) -> _Outcome:
        """Make a request until its answer can be read, a few times at most."""
        spent, answer, problem = Spent(), None, ""
        for attempt in range(self._recipe.limits.attempts):
            if attempt and not self._budget.allows(request, under_way=0):
                break
            await self._pace.wait()
            answer = None
            try:
                answer = await server.ask(request, seed=(request.seed + attempt) % 2**31)
                spent += self._budget.pay(request, answer)
                self._options.watch(self._budget.spent)
                return _Outcome(request=request, spent=spent, answer=answer, texts=read_texts(answer.content))
            except UnansweredError as error:
                return _Outcome(request=request, spent=spent, problem=str(error), status="unanswered")
            except BrokenAnswerError as error:
                problem = f"{error}{_why(answer)}"
        return _Outcome(request=request, spent=spent, answer=answer, problem=problem, status="broken")

    def _settle_all(self, done: set[asyncio.Task[_Outcome]]) -> None:
        """Write what came in; only then tell of a failure among it."""
        failures = [failure for task in done if (failure := task.exception())]
        for task in done:
            if task.exception() is None:
                self._settle(task.result())
        if failures:
            raise failures[0]
        if self._failures >= _FAILURES:
            raise GenerationError(
                f"the server left {self._failures} requests in a row without an answer, the last one with: "
                f"{self._problems.most_common(1)[0][0]}",
                hint="What was accepted is kept: go on later with --resume.",
            )

    def _settle(self, outcome: _Outcome) -> None:
        request = outcome.request
        verdicts = self._sieve.sift(outcome.texts, most=self.schedule.missing(request.label))
        good = [one.text for one in verdicts if not one.reason]
        bad = [one for one in verdicts if one.reason]
        if outcome.answer is not None and good:
            self._store.accept(request, outcome.answer, good)
        self._store.reject_texts(request, bad)
        reasons = Counter(one.reason for one in bad)
        if outcome.problem:
            self._store.reject_answer(request, outcome.problem, outcome.answer.content if outcome.answer else "")
            self._problems[outcome.problem] += 1
        self._store.finish(_entry(outcome, accepted=len(good), refused=reasons))
        self._failures = self._failures + 1 if outcome.status == "unanswered" else 0
        self._refused += reasons
        self.schedule.end(request.label, accepted=len(good))
        self._progress.advance(len(good))

    def summary(self) -> Summary:
        """Return what there is now."""
        hopeless = self.schedule.given_up
        given_up = f"requests for {', '.join(hopeless)} bring nothing new any more" if hopeless else ""
        return Summary(
            wanted={label: wanted.count for label, wanted in self._recipe.labels.items()},
            accepted=dict(self.schedule.accepted),
            refused=dict(self._refused.most_common()),
            problems=dict(self._problems.most_common()),
            spent=self._budget.spent,
            stopped=self._stopped or given_up,
        )


def _why(answer: Answer | None) -> str:
    """What the server said of the end of an answer, if it was not the usual."""
    return f" (ended with {answer.ending})" if answer and answer.ending not in {"", "stop"} else ""


def _entry(outcome: _Outcome, *, accepted: int, refused: Mapping[str, int]) -> Entry:
    return Entry(
        request=outcome.request.id,
        prompt=outcome.request.prompt.name,
        status=outcome.status,
        problem=outcome.problem,
        accepted=accepted,
        refused=dict(refused),
        spent=outcome.spent,
    )
