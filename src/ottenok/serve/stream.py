"""Large bodies of NDJSON: answered line by line while they come, in bounded memory."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import to_json
from starlette.responses import Response

from ottenok.serve import formats
from ottenok.serve.batching import Job
from ottenok.serve.guard import notes_of
from ottenok.serve.refused import Gone, Refused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from ottenok.serve.app import Service
    from ottenok.serve.served import Served
    from ottenok.tasks.task import Task

__all__ = ["NdjsonAnswers"]

# Groups of lines of a stream that are under way at once; texts and characters of a group.
_AHEAD = 8
_TEXTS = 32
_CHARACTERS = 8192


class _Line(BaseModel):
    """A line that is an object."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    inputs: str
    id: str | int | None = None


_LINE: TypeAdapter[str | _Line] = TypeAdapter(str | _Line)


class NdjsonAnswers(Response):
    """Answers NDJSON with NDJSON: each line a JSON string, or an object with `inputs`, and perhaps an `id`.

    Every line that is not empty gets a line, in order: an answer as `/v1/analyze` gives it, or an error; with its
    number, and its `id` if it has one. No more is read of the body than is being answered, so a client that sends much
    has to take its answers while it sends.

    Args:
        service: Answers.
        request: Its body is not read yet.
        model: Who answers.
        tasks: What is asked; None: all tasks.
        max_windows: Most windows of a text; None: as many as the server allows.
    """

    media_type = "application/x-ndjson"

    def __init__(
        self,
        service: Service,
        request: Request,
        model: Served,
        tasks: list[Task] | None,
        max_windows: int | None,
    ) -> None:
        super().__init__()
        del self.headers["content-length"]
        self._service = service
        self._request = request
        self._model = model
        self._tasks = tasks
        self._max_windows = max_windows
        self._characters = 0  # of the texts that are under way

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - the request has it
        """Read, answer and write at once, each waiting for the next."""
        seconds = self._service.settings.body_timeout
        groups: asyncio.Queue[asyncio.Task[bytes] | None] = asyncio.Queue(_AHEAD)
        reader = asyncio.create_task(self._read(groups))
        count = 0
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            while (group := await groups.get()) is not None:
                part = await group
                count += part.count(b"\n")
                # A client that takes nothing is not waited for.
                async with asyncio.timeout(seconds):
                    await send({"type": "http.response.body", "body": part, "more_body": True})
            await reader  # says why the body ended before its end
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            raise Gone from None
        finally:
            reader.cancel()
            while not groups.empty():
                left = groups.get_nowait()
                if left is not None:
                    left.cancel()
            with contextlib.suppress(asyncio.CancelledError, Gone, Refused):
                await reader
            notes_of(scope).facts.update(model=self._model.name, texts=count, stream=True)

    async def _read(self, groups: asyncio.Queue[asyncio.Task[bytes] | None]) -> None:
        """Put the lines of the body, in groups that are being answered, into the queue; None at the end."""
        number = 0
        try:
            async for lines in self._lines():
                begin = 0
                while begin < len(lines):
                    end, held = begin, 0
                    while end < len(lines) and end - begin < _TEXTS and held < _CHARACTERS:
                        held += len(lines[end])
                        end += 1
                    task = asyncio.create_task(self._answered(lines[begin:end], number + 1))
                    number += end - begin
                    begin = end
                    await groups.put(task)
        finally:
            await groups.put(None)

    async def _lines(self) -> AsyncIterator[list[bytes]]:
        """Yield the whole lines of each part of the body.

        Raises:
            Gone: The client is gone.
            Refused: A line is too long, or nothing comes.
        """
        settings = self._service.settings
        rest = bytearray()
        more = True
        while more:
            try:
                async with asyncio.timeout(settings.body_timeout):
                    message = await self._request.receive()
            except TimeoutError:
                raise Gone from None
            if message["type"] == "http.disconnect":
                raise Gone
            more = message.get("more_body", False)
            rest += message.get("body", b"")
            cut = rest.rfind(b"\n") + 1 if more else len(rest)
            lines = bytes(rest[:cut]).splitlines()
            del rest[:cut]
            if lines:
                yield lines
            if len(rest) > settings.max_body:
                yield [bytes(rest)]
                return

    async def _answered(self, lines: list[bytes], first: int) -> bytes:
        """Return the answers to lines, the first of which has this number."""
        found: list[dict[str, Any] | None] = []
        texts: list[str] = []
        places: list[int] = []
        settings = self._service.settings
        for number, line in enumerate(lines, start=first):
            if not line.strip():
                continue
            entry: dict[str, Any] = {"line": number}
            found.append(entry)
            if len(line) > settings.max_body:
                entry["error"] = f"The line is longer than {settings.max_body:,} bytes; what follows is not read."
                continue
            try:
                parsed = _LINE.validate_json(line)
            except ValidationError:
                entry["error"] = 'expected "text" or {"inputs": "text"}'
                continue
            text = parsed if isinstance(parsed, str) else parsed.inputs
            if isinstance(parsed, _Line) and parsed.id is not None:
                entry["id"] = parsed.id
            if len(text) > settings.max_text:
                entry["error"] = f"The text is longer than {settings.max_text:,} characters."
                continue
            texts.append(text)
            places.append(len(found) - 1)
        if texts:
            try:
                job = await self._classified(texts)
                for place, text, prediction in zip(places, texts, job.predictions, strict=True):
                    found[place] |= formats.analysis(text, prediction, self._model, self._tasks)  # type: ignore[operator]
            except Refused as error:
                for place in places:
                    found[place]["error"] = str(error)  # type: ignore[index]
        return b"".join(to_json(entry) + b"\n" for entry in found)

    async def _classified(self, texts: list[str]) -> Job:
        """Return the answered job of some texts; where there is no room, it waits for some."""
        engine = self._service.engine
        assert engine is not None
        characters = sum(map(len, texts))
        while not engine.has_room(characters, bulk=True):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    await engine.freed.wait()
        self._service.metrics.came(len(texts))
        ahead, self._characters = self._characters, self._characters + characters
        try:
            return await engine.answer(
                Job(
                    model=self._model,
                    texts=texts,
                    max_windows=self._max_windows,
                    timeout=self._service.settings.timeout,
                    bulk=True,
                    ahead=ahead,
                )
            )
        finally:
            self._characters -= characters
