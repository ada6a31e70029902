"""Batching across requests: same answers, no waiting for each other, nothing left hanging."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ottenok.core.errors import ModelError
from ottenok.inference.classifier import BATCH_TOKENS
from ottenok.serve.batching import Engine, Job, mean_logits
from ottenok.serve.refused import Gone, Refused
from ottenok.serve.served import Served
from ottenok.serve.settings import Settings
from toys import FakeBackend, fake_classifier

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from ottenok.inference.tokens import TokenBatch


class Gate(FakeBackend):
    """A backend that computes when it is let, and says what it computed.

    Attributes:
        open: Set while it may compute.
        shapes: Rows and tokens of each batch.
        fail: Raised in place of an answer.
    """

    def __init__(self) -> None:
        super().__init__(3)
        self.open = threading.Event()
        self.open.set()
        self.shapes: list[tuple[int, ...]] = []
        self.fail: BaseException | None = None

    def run(self, batch: TokenBatch) -> Any:
        """Compute when it may."""
        self.open.wait(20)
        self.shapes.append(batch.ids.shape)
        if self.fail is not None:
            raise self.fail
        return super().run(batch)


def served(gate: FakeBackend | None = None, **options: Any) -> Served:
    """Return a model of no use."""
    return Served("fake", fake_classifier(backend=gate or FakeBackend(3), **options), Path())


@asynccontextmanager
async def engine(threads: int = 2, **given: Any) -> AsyncIterator[Engine]:
    """Run an engine."""
    made = Engine(Settings(**given), threads=threads)
    try:
        yield made
    finally:
        await asyncio.wait_for(made.stop(), 20)


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test's coroutine, for at most half a minute."""
    asyncio.run(asyncio.wait_for(work(), 30))


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    while not condition():
        await asyncio.sleep(0.005)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.lists(st.text(max_size=200), min_size=1, max_size=4), min_size=1, max_size=12))
def test_answers_do_not_depend_on_neighbours(requests: list[list[str]]) -> None:
    """Whatever is asked at once, each text is answered to the last bit as if it were alone."""
    model = served()

    async def work() -> None:
        async with engine() as batching:
            jobs = await asyncio.gather(*(batching.answer(Job(model=model, texts=texts)) for texts in requests))
        for texts, job in zip(requests, jobs, strict=True):
            assert job.predictions == [model.classifier(text) for text in texts]
            assert np.allclose(mean_logits(job), [model.classifier.logits([text])[0] for text in texts], atol=1e-6)

    run(work)


def test_requests_share_batches() -> None:
    """While a batch is computed, windows of one length gather and are computed together."""
    gate = Gate()
    model = served(gate)

    async def work() -> None:
        async with engine(threads=1) as batching:
            gate.open.clear()
            jobs = [asyncio.ensure_future(batching.answer(Job(model=model, texts=["x"])))]
            await until(lambda: batching._busy != {})
            jobs += [asyncio.ensure_future(batching.answer(Job(model=model, texts=["same"]))) for _ in range(20)]
            await until(lambda: batching.waiting == 21)
            gate.open.set()
            await asyncio.gather(*jobs)

    run(work)
    assert gate.shapes == [(1, 3), (20, 6)]


def test_gone_clients_cost_nothing() -> None:
    """What a client asked that is gone is not computed."""
    gate = Gate()
    model = served(gate)

    async def work() -> None:
        async with engine(threads=1) as batching:
            gate.open.clear()
            first = asyncio.ensure_future(batching.answer(Job(model=model, texts=["x"])))
            await until(lambda: batching._busy != {})
            left = [batching.answer(Job(model=model, texts=["gone"], gone=lambda: True)) for _ in range(5)]
            errors = await asyncio.gather(*left, return_exceptions=True)
            assert all(isinstance(error, Gone) for error in errors)
            gate.open.set()
            await first
            assert batching.held == 0

    run(work)
    assert gate.shapes == [(1, 3)]


def test_a_full_queue_refuses() -> None:
    """Where more tokens wait than may, a request is refused at once, and told when to come again."""
    gate = Gate()
    model = served(gate)

    async def work() -> None:
        async with engine(threads=1, queue_tokens=100) as batching:
            gate.open.clear()
            jobs = [asyncio.ensure_future(batching.answer(Job(model=model, texts=["y" * 48])))]
            await until(lambda: batching._busy != {})
            jobs.append(asyncio.ensure_future(batching.answer(Job(model=model, texts=["y" * 48]))))
            await until(lambda: batching.waiting == 2)
            with pytest.raises(Refused) as refused:
                await batching.answer(Job(model=model, texts=["z" * 60]))
            assert (refused.value.status, refused.value.kind) == (429, "Overloaded")
            assert refused.value.retry_after >= 1
            gate.open.set()
            await asyncio.gather(*jobs)
            assert (await batching.answer(Job(model=model, texts=["z" * 60]))).predictions

    run(work)


def test_deadlines() -> None:
    """A request that is not answered in its time is refused then, whatever the workers do."""
    gate = Gate()
    model = served(gate)

    async def work() -> None:
        async with engine(threads=1) as batching:
            gate.open.clear()
            with pytest.raises(Refused) as refused:
                await batching.answer(Job(model=model, texts=["x"], timeout=0.1))
            assert refused.value.status == 504
            gate.open.set()

    run(work)


def test_a_failing_model_fails_its_requests() -> None:
    """What can't be computed is refused, and the next is answered."""
    gate = Gate()
    model = served(gate)

    async def work() -> None:
        async with engine() as batching:
            gate.fail = ModelError("no")
            with pytest.raises(Refused) as refused:
                await batching.answer(Job(model=model, texts=["x"]))
            assert (refused.value.status, refused.value.kind) == (424, "Backend")
            gate.fail = None
            assert (await batching.answer(Job(model=model, texts=["x"]))).predictions
            assert batching.fault is None

    run(work)


def test_a_dead_worker_fails_everybody_at_once() -> None:
    """When a worker dies, what waits fails at once, and the engine says that it can't go on."""
    gate = Gate()
    model = served(gate)

    async def work() -> None:
        batching = Engine(Settings(), threads=1)
        gate.open.clear()
        gate.fail = SystemExit("dead")
        asked = [asyncio.ensure_future(batching.answer(Job(model=model, texts=["x"])))]
        await until(lambda: batching._busy != {})
        asked += [asyncio.ensure_future(batching.answer(Job(model=model, texts=[text]))) for text in ("yy", "zzz")]
        await until(lambda: batching.waiting == 3)
        gate.open.set()
        errors = await asyncio.gather(*asked, return_exceptions=True)
        assert [error.status for error in errors] == [503, 503, 503]
        assert batching.fault is not None
        with pytest.raises(Refused, match="died"):
            await batching.answer(Job(model=model, texts=["x"]))
        await batching.stop()

    run(work)


def test_what_takes_too_long_is_refused_at_once() -> None:
    """A text that can't be read in the time of a request is refused as soon as that is seen, and told what to do."""
    gate = Gate()
    gate.open.clear()
    model = served(gate)

    async def work() -> None:
        async with engine(threads=1, timeout=0.2) as batching:
            with pytest.raises(Refused, match="max_windows") as refused:
                await batching.answer(Job(model=model, texts=["long " * 8_000], timeout=0.5))
            assert refused.value.status == 413
            assert batching.held == 0
            gate.open.set()
            part = await batching.answer(Job(model=model, texts=["long " * 8_000], max_windows=2))
            assert part.predictions[0].windows == 2

    run(work)


def test_a_long_text_lets_short_ones_pass() -> None:
    """Short texts that come after a text of many windows are computed before most of it, which goes in small pieces."""
    gate = Gate()
    model = served(gate)

    async def work() -> None:
        async with engine(threads=1) as batching:
            gate.open.clear()
            long = asyncio.ensure_future(batching.answer(Job(model=model, texts=["long " * 8_000])))
            await until(lambda: batching._waiting.rows > 500)
            short = [asyncio.ensure_future(batching.answer(Job(model=model, texts=["short"]))) for _ in range(5)]
            await until(lambda: batching.waiting == 6)
            gate.open.set()
            await asyncio.gather(*short)
            assert not long.done()
            await long

    run(work)
    place = next(number for number, shape in enumerate(gate.shapes) if shape[1] == 7)
    assert place < len(gate.shapes) / 2
    # The first may have begun before they came.
    assert max(rows * length for rows, length in gate.shapes[1 : place + 20]) <= BATCH_TOKENS // 4


def test_windows_may_be_limited() -> None:
    """max_windows reads the first windows of each text, as a classifier that was loaded so."""
    model = served()
    text = "abcdefgh " * 50

    async def work() -> None:
        async with engine() as batching:
            job = await batching.answer(Job(model=model, texts=["one", text, "two"], max_windows=2))
            assert [one.windows for one in job.predictions] == [1, 2, 1]
            assert [one.truncated for one in job.predictions] == [False, True, False]
            short = fake_classifier(max_windows=2)
            assert job.predictions == [short(one) for one in ("one", text, "two")]

    run(work)


def test_stopping_answers_what_was_accepted() -> None:
    """stop() waits for the answers of what is under way."""
    gate = Gate()
    model = served(gate)

    async def work() -> None:
        batching = Engine(Settings(), threads=2)
        gate.open.clear()
        jobs = [asyncio.ensure_future(batching.answer(Job(model=model, texts=[f"text {n}"]))) for n in range(30)]
        await asyncio.sleep(0)
        stopping = asyncio.ensure_future(batching.stop())
        threading.Timer(0.05, gate.open.set).start()
        done = await asyncio.gather(*jobs)
        await stopping
        assert all(job.predictions for job in done)
        assert time.monotonic() > done[0].arrived

    run(work)
