"""Batching across requests.

A request's texts are tokenised and become windows; windows of one length, whoever sent them, are computed together.
Nothing is padded, so scores do not depend on neighbours, and nothing waits for a clock: whoever computes takes what is
there, and while it is busy more gathers. Beside the event loop there are

- workers: each tokenises what has come in, all of it at once, or else computes a batch, outside of Python's lock, and
  decides what that ended. So one tokenises while another computes, and a request is handed over twice, not more often;
- the desk, which does for bulk requests what holds up others: it tokenises and decides them.

Windows are taken by age. Those of one request count as the younger the further they are in it, by the time that the
ones before them take: so a long text and a hundred short ones share the processors fairly, and nobody starves. While
ordinary requests come, bulk is computed a window or so at a time: a short text waits for no more than that.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import threading
import time
from collections import defaultdict, deque
from dataclasses import dataclass, field
from heapq import heappop, heappush
from queue import SimpleQueue
from typing import TYPE_CHECKING

import numpy as np

from ottenok.core.errors import OttenokError
from ottenok.inference.classifier import BATCH_TOKENS, Prepared
from ottenok.inference.tokens import TokenBatch, Windows
from ottenok.serve.refused import Gone, Refused, backend_failed, overloaded, too_long

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from ottenok.inference.prediction import Prediction
    from ottenok.serve.served import Served
    from ottenok.serve.settings import Settings

__all__ = ["Engine", "Job", "mean_logits"]

_LOG = logging.getLogger("ottenok.serve")
# Characters above which a request is bulk, and those that a worker tokenises at once: some milliseconds of work.
_BULK = 16_384
_GROUP = 16_384
# Tokens of a batch of bulk while ordinary requests come, and for how many seconds after the last of them.
_BULK_TOKENS = BATCH_TOKENS // 4
_LATELY = 1.0
# The share of a request's time that the work in hand may take: the time is an estimate.
_HOPE = 0.8
# A token has about so many characters: Chinese fewer, Russian more. Only for what is not tokenised yet.
_CHARACTERS = 2
_SWEEP = 0.05
# Seconds for a token before anything was measured, and over how many tokens they are measured.
_FIRST_GUESS = 5e-5
_MEASURED = 4096


@dataclass(slots=True, eq=False, kw_only=True)
class Job:
    """One request's texts for one model, from its arrival to its answer.

    Attributes:
        model: Who answers.
        texts: As they came.
        max_windows: Most windows of a text that are read; None: as the model was loaded.
        ends: Whether the end alone is read of a long text.
        timeout: Seconds in which it is answered.
        bulk: Whether it may wait for ordinary requests; long texts and many always do.
        ahead: Characters that the same client has under way already: its next windows count as the younger.
        gone: Says whether the client is gone; None: nobody asks.
        arrived: When it came, on the monotonic clock.
        tokens: Tokens that are read, special ones included.
        windows: How many windows they are in.
        batches: Texts and tokens of each batch that windows of it were in.
        tokenising: Seconds of the tokenizer.
        waiting: Seconds in the queue.
        computing: Seconds from the first batch to the last.
        predictions: The answers, one a text.
        logits: float64 `[texts, outputs]`, the mean over each text's windows; zeros where there is none.
    """

    model: Served
    texts: Sequence[str]
    max_windows: int | None = None
    ends: bool = False
    timeout: float = 30.0
    bulk: bool = False
    ahead: int = 0
    gone: Callable[[], bool] | None = None
    arrived: float = field(default_factory=time.monotonic)
    tokens: int = 0
    windows: int = 0
    tokenising: float = 0.0
    waiting: float = 0.0
    computing: float = 0.0
    predictions: list[Prediction] = field(default_factory=list)
    logits: npt.NDArray[np.float64] | None = None
    # The engine's own notes.
    cost: int = 0
    settled: bool = False
    left: int = 0
    queued: float = 0.0
    begun: float = 0.0
    read: Windows | None = None
    outputs: npt.NDArray[np.float32] | None = None
    fault: Refused | None = None
    future: asyncio.Future[None] | None = None


class _Waiting:
    """Windows that wait, by model and length; under the engine's lock."""

    def __init__(self) -> None:
        self._heaps: dict[tuple[int, int], list[tuple[float, int, Job, int]]] = defaultdict(list)
        self._numbers = itertools.count()

    def put(self, job: Job, *, seconds_per_token: float) -> None:
        """Add a job's windows."""
        assert job.read is not None
        before = job.ahead // _CHARACTERS
        for row, ids in enumerate(job.read.ids):
            length = len(ids)
            entry = (job.arrived + before * seconds_per_token, next(self._numbers), job, row)
            heappush(self._heaps[id(job.model), length], entry)
            before += length

    def take(self, tokens: int, bulk_tokens: int) -> list[tuple[Job, int]]:
        """Return the oldest window and others of its length and model; nothing if none is.

        Windows of jobs that nobody waits for are dropped on the way.

        Args:
            tokens: Most tokens of all.
            bulk_tokens: Tokens after which none of a bulk request is taken.
        """
        best: tuple[int, int] | None = None
        for key in list(self._heaps):
            heap = self._heaps[key]
            while heap and heap[0][2].settled:
                heappop(heap)
            if not heap:
                del self._heaps[key]
            elif best is None or heap[0] < self._heaps[best][0]:
                best = key
        found: list[tuple[Job, int]] = []
        if best is not None:
            heap, rows, bulk_rows = self._heaps[best], max(1, tokens // best[1]), max(1, bulk_tokens // best[1])
            while heap and len(found) < rows and (len(found) < bulk_rows or not heap[0][2].bulk):
                _, _, job, row = heappop(heap)
                if not job.settled:
                    found.append((job, row))
            if not heap:
                del self._heaps[best]
        return found

    @property
    def rows(self) -> int:
        """How many windows wait."""
        return sum(map(len, self._heaps.values()))

    def __bool__(self) -> bool:
        return bool(self._heaps)


class Engine:
    """Answers jobs; made and asked on one event loop.

    Args:
        settings: Threads, limits and timeouts.
        threads: Workers.
        answered: Called on the event loop with each job that was answered.
        computed: Called on the event loop with the windows and tokens of each batch.

    Attributes:
        freed: Set whenever a job ends: who waits for room looks again.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        threads: int,
        answered: Callable[[Job], None] = lambda _: None,
        computed: Callable[[int, int], None] = lambda _rows, _tokens: None,
    ) -> None:
        self._settings = settings
        self._answered = answered
        self._computed = computed
        self._lock = threading.Condition()
        self._waiting = _Waiting()
        self._held = {False: 0, True: 0}
        self._most = {False: settings.queue_tokens, True: settings.bulk_tokens}
        self._seconds_per_token = _FIRST_GUESS
        self._open: set[Job] = set()
        self._came: deque[Job] = deque()
        self._came_last = -_LATELY
        self._bulk: SimpleQueue[Job | None] = SimpleQueue()
        self._stopping = False
        self._dead: str | None = None
        self._busy: dict[int, float] = {}
        self._loop = asyncio.get_running_loop()
        self.freed = asyncio.Event()
        self._workers = threads
        self._threads = [
            *(threading.Thread(target=self._alive, args=(self._work,), name=f"worker {n}") for n in range(threads)),
            threading.Thread(target=self._alive, args=(self._desk,), name="desk"),
        ]
        for thread in self._threads:
            thread.daemon = True
            thread.start()
        self._sweeping = self._loop.create_task(self._sweep())

    # ---- on the event loop ----

    @property
    def fault(self) -> str | None:
        """Why no request can be answered; None: they can."""
        if self._dead is None:
            now = time.monotonic()
            if any(now - since > self._settings.timeout for since in list(self._busy.values())):
                return "a batch has been computing for longer than a request may take"
        return self._dead

    @property
    def held(self) -> int:
        """Tokens of the requests that are not answered yet, by estimate where they are not tokenised yet."""
        return sum(self._held.values())

    @property
    def waiting(self) -> int:
        """Requests that are not answered yet."""
        return len(self._open)

    def delay(self, *, bulk: bool = False) -> float:
        """Return the seconds that the work in hand will take."""
        return self._seconds(self._held[bulk])

    def _seconds(self, tokens: int) -> float:
        return tokens * self._seconds_per_token / self._workers

    def has_room(self, characters: int, *, bulk: bool = False) -> bool:
        """Say whether so much text would be taken now, and answered in time; a request alone is always taken."""
        held = self._held[bulk]
        tokens = held + characters // _CHARACTERS
        return held == 0 or (tokens <= self._most[bulk] and self._seconds(tokens) <= _HOPE * self._settings.timeout)

    async def answer(self, job: Job) -> Job:
        """Return the job when it is answered.

        Raises:
            Gone: The client is gone.
            Refused: There is no room, the time is over, the model can't be run, or a worker has died.
        """
        if self.fault is not None:
            raise Refused(f"The server can't answer: {self.fault}.", kind="Unhealthy", retry_after=5)
        characters = sum(map(len, job.texts))
        job.bulk = job.bulk or characters > _BULK
        if not self.has_room(characters, bulk=job.bulk) or self.delay(bulk=False) > job.timeout:
            raise overloaded(self.delay(bulk=job.bulk))
        job.cost = characters // _CHARACTERS + 2 * len(job.texts)
        self._held[job.bulk] += job.cost
        job.future = self._loop.create_future()
        self._open.add(job)
        if job.bulk:
            self._bulk.put(job)
        else:
            with self._lock:
                self._came_last = job.arrived
                self._came.append(job)
                self._lock.notify()
        try:
            await job.future
        finally:
            self._open.discard(job)
            with self._lock:
                job.settled = True
                self._held[job.bulk] -= job.cost
            self.freed.set()
            self.freed.clear()
        self._answered(job)
        return job

    async def _sweep(self) -> None:
        """End what takes too long, notice clients that are gone, and see that the threads live."""
        while True:
            await asyncio.sleep(_SWEEP)
            now = time.monotonic()
            lost = next((thread.name for thread in self._threads if not thread.is_alive()), None)
            if lost is not None and not self._stopping:
                self._die(f"the thread {lost} has ended")
            for job in list(self._open):
                age = now - job.arrived
                if age > job.timeout:
                    message = f"There was no answer within {job.timeout:g} seconds."
                    self._settle(job, Refused(message, kind="Overloaded", status=504, retry_after=1))
                elif job.gone is not None and job.gone():
                    self._settle(job, Gone())

    def _settle(self, job: Job, error: Exception | None) -> None:
        job.settled = True
        if job.future is None or job.future.done():
            return
        if error is None:
            job.future.set_result(None)
        else:
            job.future.set_exception(error)

    def _deliver(self, jobs: list[Job], rows: int = 0, tokens: int = 0) -> None:
        """End jobs, and count the batch that ended them, if it was one."""
        for job in jobs:
            self._settle(job, job.fault)
        if rows:
            self._computed(rows, tokens)

    def _die(self, reason: str) -> None:
        """Answer nothing more: what is open fails at once."""
        if self._dead is None:
            self._dead = reason
            _LOG.critical("the engine can't go on", extra={"facts": {"reason": reason}})
        for job in list(self._open):
            self._settle(job, Refused(f"The server can't answer: {reason}.", kind="Unhealthy", retry_after=5))

    async def stop(self) -> None:
        """Let the threads end; what is open is answered first."""
        while self._open and self._dead is None:
            await asyncio.sleep(_SWEEP / 5)
        self._sweeping.cancel()
        self._stopping = True
        self._bulk.put(None)
        with self._lock:
            self._lock.notify_all()
        for thread in self._threads:
            await asyncio.to_thread(thread.join, 1.0)

    # ---- in threads ----

    def _alive(self, work: Callable[[], None]) -> None:
        """Run a thread's work; whatever ends it before its time is the engine's end."""
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - also what is no Exception must not leave anybody waiting
            _LOG.critical("a thread has died", exc_info=error)
            reason = f"the thread {threading.current_thread().name} has died"
            self._on_loop(self._die, reason)

    def _on_loop(self, call: Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            self._loop.call_soon_threadsafe(call, *arguments)

    def _work(self) -> None:
        """Tokenise and compute, whichever there is to do."""
        while True:
            with self._lock:
                while True:
                    # What has come in and is to be tokenised at once, those of a kind together.
                    came: dict[tuple[int, bool], list[Job]] = defaultdict(list)
                    size = 0
                    while self._came and size < _GROUP:
                        job = self._came.popleft()
                        if not job.settled:
                            came[id(job.model), job.ends].append(job)
                            size += job.cost * _CHARACTERS
                    lately = time.monotonic() - self._came_last < _LATELY
                    bulk_tokens = _BULK_TOKENS if lately else BATCH_TOKENS
                    batch = [] if came else self._waiting.take(BATCH_TOKENS, bulk_tokens)
                    if came or batch:
                        break
                    if self._stopping:
                        return
                    self._lock.wait()
                if self._waiting or self._came:
                    self._lock.notify()
            for jobs in came.values():
                self._tokenise(jobs)
            if batch:
                self._compute(batch)

    def _desk(self) -> None:
        """Tokenise bulk requests."""
        for job in iter(self._bulk.get, None):
            if not job.settled:
                self._tokenise([job])

    def _compute(self, batch: list[tuple[Job, int]]) -> None:
        """Compute windows of one length, and decide the jobs that have no others left."""
        me, begun = threading.get_ident(), time.monotonic()
        for job, _ in batch:
            job.begun = job.begun or begun
        ids = np.array([job.read.ids[row] for job, row in batch], dtype=np.int64)  # type: ignore[union-attr]
        self._busy[me] = begun
        try:
            found = batch[0][0].model.classifier.backend.run(TokenBatch(ids=ids, rows=np.arange(len(batch))))
        except (OttenokError, MemoryError) as error:
            _LOG.exception("the model can't be run", exc_info=error)
            failed = list({id(job): job for job, _ in batch}.values())
            for job in failed:
                job.fault, job.settled = backend_failed(), True
            self._on_loop(self._deliver, failed)
            return
        finally:
            del self._busy[me]
        ended = time.monotonic()
        done: list[Job] = []
        with self._lock:
            for (job, row), logits in zip(batch, found, strict=True):
                job.outputs[row] = logits  # type: ignore[index] # there since it was tokenised
                job.left -= 1
                if not job.left:
                    job.computing, job.waiting = ended - job.begun, max(0.0, job.begun - job.queued)
                    done.append(job)
            # The last few thousand tokens; a batch that lasted long, as when the machine slept, hardly counts.
            measured = min((ended - begun) / ids.size, 4 * self._seconds_per_token)
            self._seconds_per_token += min(0.5, ids.size / _MEASURED) * (measured - self._seconds_per_token)
        self._decide(done)
        self._on_loop(self._deliver, done, len(batch), ids.size)

    def _tokenise(self, jobs: list[Job]) -> None:
        """Make windows of the texts of jobs of one kind, and put them in the queue."""
        begun = time.monotonic()
        first = jobs[0]
        reader = first.model.ends if first.ends else first.model.classifier
        try:
            windows = reader.read([text for job in jobs for text in job.texts])
        except Exception as error:  # noqa: BLE001 - whatever a text does, the others are answered
            if len(jobs) > 1:
                # The others are not to suffer for one.
                for job in jobs:
                    self._tokenise([job])
                return
            _LOG.exception("a text can't be tokenised", exc_info=error)
            first.fault = Refused("The text can't be tokenised. The server's log says why.", kind="Tokenizer")
            self._on_loop(self._deliver, jobs)
            return
        ended = time.monotonic()
        text = 0
        for job in jobs:
            job.read = _part(windows, text, text + len(job.texts), job.max_windows)
            text += len(job.texts)
            job.windows = job.left = len(job.read.ids)
            job.tokens = sum(map(len, job.read.ids))
            job.outputs = np.empty((job.left, job.model.classifier.backend.outputs), dtype=np.float32)
            job.tokenising, job.queued = ended - begun, ended
        with self._lock:
            for job in jobs:
                if job.settled:
                    continue
                self._held[job.bulk] += job.tokens - job.cost
                job.cost = job.tokens
                needed = self._seconds(job.tokens)
                if job.bulk and ended + _HOPE * needed > job.arrived + job.timeout:
                    job.fault, job.settled = too_long(needed, job.timeout), True
                elif job.left:
                    self._waiting.put(job, seconds_per_token=self._seconds_per_token)
            self._lock.notify()
        ready = [job for job in jobs if not job.left or job.fault is not None]
        if ready:
            self._decide([job for job in ready if job.fault is None])
            self._on_loop(self._deliver, ready)

    def _decide(self, jobs: list[Job]) -> None:
        """Turn logits into answers, of all these jobs of one model at once."""
        if not jobs:
            return
        parts = [job.read for job in jobs if job.read is not None]
        windows = parts[0]
        if len(parts) > 1:
            counts = np.concatenate([part.counts for part in parts])
            windows = Windows(
                ids=(),  # which nobody needs after computing
                texts=np.repeat(np.arange(len(counts)), counts),
                weights=np.concatenate([part.weights for part in parts]),
                counts=counts,
                truncated=np.concatenate([part.truncated for part in parts]),
                unknown=np.concatenate([part.unknown for part in parts]),
                readings=[reading for part in parts for reading in part.readings],
            )
        logits = np.concatenate([job.outputs for job in jobs if job.outputs is not None])
        try:
            answers = iter(jobs[0].model.classifier.finish(Prepared(windows=windows, batches=()), logits))
            for job in jobs:
                job.predictions = list(itertools.islice(answers, len(job.texts)))
        except OttenokError as error:
            if len(jobs) > 1:
                for job in jobs:
                    self._decide([job])
                return
            _LOG.exception("the model's logits are of no use", exc_info=error)
            jobs[0].fault = backend_failed()


def mean_logits(job: Job) -> npt.NDArray[np.float64]:
    """Return float64 `[texts, outputs]`: the mean logits over each text's windows; zeros where there is none."""
    assert job.read is not None
    assert job.outputs is not None
    found = np.zeros((len(job.texts), job.outputs.shape[1]))
    weights = np.zeros(len(job.texts))
    np.add.at(found, job.read.texts, job.outputs * job.read.weights[:, None])
    np.add.at(weights, job.read.texts, job.read.weights)
    return found / np.maximum(weights, 1.0)[:, None]


def _part(windows: Windows, first: int, last: int, most: int | None) -> Windows:
    """Return the windows of the texts from one number to another, of each at most so many."""
    start, end = np.searchsorted(windows.texts, [first, last]).tolist()
    texts = windows.texts[start:end] - first
    counts = windows.counts[first:last]
    truncated = windows.truncated[first:last]
    ids, weights = windows.ids[start:end], windows.weights[start:end]
    if most is not None and (counts > most).any():
        place = np.arange(len(texts)) - np.repeat(np.cumsum(counts) - counts, counts)
        kept = np.flatnonzero(place < most)
        ids, texts, weights = [ids[row] for row in kept.tolist()], texts[kept], weights[kept]
        truncated = truncated | (counts > most)
        counts = np.minimum(counts, most)
    return Windows(
        ids=ids,
        texts=texts,
        weights=weights,
        counts=counts,
        truncated=truncated,
        unknown=windows.unknown[first:last],
        readings=windows.readings[first:last],
    )
