"""The page's server: for this machine alone, and within it for whoever has the address with its random part."""

from __future__ import annotations

import asyncio
import secrets
import signal
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import uvicorn
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route

from ottenok.core.errors import InputError
from ottenok.labelling.formats import write_answers
from ottenok.serve.app import PAGE as SERVED
from ottenok.serve.app import PAGE_HEADERS, Pages, parsed, read_body, refuse
from ottenok.serve.guard import Guard
from ottenok.serve.metrics import Metrics
from ottenok.serve.refused import Refused
from ottenok.serve.run import configured, listen, set_up_logs
from ottenok.serve.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from ottenok.labelling.learner import Learner
    from ottenok.labelling.session import Session

__all__ = ["Loop", "application", "serve"]

_PAGE = Path(__file__).parent / "page"
_HOST = "127.0.0.1"
# Characters of a text that the page gets; the rest of a longer one is left out, which it says.
_SHOWN = 20_000
_LISTED = 200


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")

    rater: str = Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f+]+$")
    key: str = ""
    labels: list[str] = []


@dataclass(slots=True, kw_only=True)
class Loop:
    """What the page is about.

    Attributes:
        session: Texts and answers.
        learner: Learns from them; it is started already.
        rater: Name that the page begins with; None: it asks.
        settings: Limits of the server.
        metrics: Counts of the server.
        end: Stops the server; set while it runs.
    """

    session: Session
    learner: Learner
    rater: str | None
    settings: Settings
    metrics: Metrics
    end: Callable[[], None] = lambda: None

    # ---- what the page hears ----

    def shown(self, rater: str) -> dict[str, Any] | None:
        """Return the text before a rater."""
        shown = self.session.show(rater)
        if shown is None:
            return None
        return {
            **self._text(shown.place),
            "how": shown.how,
            "earlier": None if shown.earlier is None else list(shown.earlier),
            "doubt": list(shown.doubt),
        }

    def _text(self, place: int) -> dict[str, Any]:
        text = self.session.texts[place]
        return {"key": self.session.key(place), "text": text[:_SHOWN], "characters": len(text)}

    def status(self) -> dict[str, Any]:
        """Return how far everything is."""
        session, learner = self.session, self.learner
        alpha, both = session.agreement()
        return {
            **session.counts(),
            "file": session.pool.name,
            "total": session.pool.total,
            "pool": session.askable,
            "embedded": min(learner.embedded, len(session.texts)),
            "texts": len(session.texts),
            "busy": learner.busy,
            "fault": learner.fault,
            "method": session.plan.how,
            "measured": session.journal.measured[-_LISTED:],
            "raters": session.raters(),
            "both": both,
            "alpha": None if alpha is None else {"value": alpha.value, "low": alpha.low, "high": alpha.high},
            "disagreements": len(session.disagreements()),
        }

    def disagreements(self) -> list[dict[str, Any]]:
        """Return the texts that raters disagree on, with what each said."""
        return [
            {
                **self._text(place),
                "said": [[rater, list(one.labels)] for rater, one in self.session.answers_of(place).items()],
            }
            for place in self.session.disagreements()[:_LISTED]
        ]

    def written(self, kind: Literal["csv", "jsonl", "label-studio", "doccano"]) -> bytes:
        """Return what is labelled as a file of this format."""
        with tempfile.TemporaryDirectory(prefix="ottenok-") as folder:
            file = Path(folder) / "labels"
            write_answers(self.session, file, kind)
            return file.read_bytes()


def application(loop: Loop, token: str) -> Guard:
    """Return the ASGI application; every path begins with the token.

    Args:
        loop: What it is about.
        token: The random part of the address; without it there is nothing but refusals.
    """
    session = loop.session

    def answered(rater: str) -> dict[str, Any]:
        return {"shown": loop.shown(rater), "status": loop.status()}

    async def page(_: Request) -> Response:
        return FileResponse(_PAGE / "index.html", headers=PAGE_HEADERS)

    async def begin(_: Request) -> Response:
        facts = {"labels": session.journal.labels, "several": session.journal.several, "rater": loop.rater}
        return _json({**facts, "raters": session.raters()})

    async def status(_: Request) -> Response:
        return _json(await asyncio.to_thread(loop.status))

    async def disagreements(_: Request) -> Response:
        return _json(await asyncio.to_thread(loop.disagreements))

    async def output(request: Request) -> Response:
        formats: dict[str, tuple[Any, str, str]] = {
            "csv": ("csv", "text/csv; charset=utf-8", "labels.csv"),
            "jsonl": ("jsonl", "application/x-ndjson", "labels.jsonl"),
            "label-studio": ("label-studio", "application/json", "label-studio.json"),
            "doccano": ("doccano", "application/x-ndjson", "doccano.jsonl"),
        }
        asked = request.query_params.get("format", "csv")
        if asked not in formats:
            raise Refused(f"There is no such format; there are {', '.join(formats)}.", param="format")
        kind, media, name = formats[asked]
        content = await asyncio.to_thread(loop.written, kind)
        return Response(content, media_type=media, headers={"content-disposition": f'attachment; filename="{name}"'})

    async def stop(_: Request) -> Response:
        asyncio.get_running_loop().call_later(0.2, loop.end)
        return _json({"ends": True})

    def said(name: str) -> Callable[[Request], Any]:
        """Return what takes something that a rater says, and answers with the next text."""

        def take(asked: _Asked) -> dict[str, Any]:
            if name == "answer":
                session.answer(asked.rater, asked.key, asked.labels)
            elif name == "skip":
                session.skip(asked.rater, asked.key)
            elif name == "undo":
                return {"undone": session.undo(asked.rater), **answered(asked.rater)}
            elif name == "settle":
                session.settle(asked.rater, asked.key, asked.labels)
                return {"disagreements": loop.disagreements(), **answered(asked.rater)}
            return answered(asked.rater)

        async def endpoint(request: Request) -> Response:
            asked = parsed(await read_body(request, loop.settings), _Asked)
            try:
                return _json(await asyncio.to_thread(take, asked))
            except InputError as error:
                raise Refused(error.message, param=error.key) from error
            except OSError as error:
                message = f"The answer could not be written to the disk ({error.strerror}), and does not count."
                raise Refused(message, status=507, kind="Unhealthy") from error

        return endpoint

    routes = [
        Route("/", page),
        Route("/api/begin", begin),
        Route("/api/status", status),
        Route("/api/disagreements", disagreements),
        Route("/api/output", output),
        Route("/api/stop", stop, methods=["POST"]),
        *(Route(f"/api/{name}", said(name), methods=["POST"]) for name in ("next", "answer", "skip", "undo", "settle")),
        Mount("/served", Pages(directory=SERVED)),
        Mount("/page", Pages(directory=_PAGE)),
    ]
    refused = partial(refuse, loop.metrics)
    handlers = {Refused: refused, HTTPException: refused}
    starlette = Starlette(routes=[Mount(f"/{token}", routes=routes)], exception_handlers=handlers)
    return Guard(starlette, settings=loop.settings, metrics=loop.metrics, draining=lambda: False)


def _json(value: Any) -> Response:  # noqa: ANN401 - any JSON value
    return Response(to_json(value), media_type="application/json", headers={"cache-control": "no-store"})


def serve(
    session: Session,
    learner: Learner,
    *,
    port: int = 0,
    rater: str | None = None,
    ready: Callable[[str], None] = lambda _address: None,
) -> None:
    """Serve the page until a signal, or until it is ended on the page; then every answer is on the disk.

    Args:
        session: Texts and answers.
        learner: Learns from them; it is started here, and ended.
        port: On 127.0.0.1; 0: any that is free.
        rater: Name that the page begins with.
        ready: Called with the address.

    Raises:
        ConfigError: The port can't be had.
    """
    set_up_logs("warning")
    settings = Settings(host=_HOST, port=port, max_body=1 << 16, max_connections=256)
    metrics = Metrics((), queued=lambda: 0, held=lambda: 0)
    loop = Loop(session=session, learner=learner, rater=rater, settings=settings, metrics=metrics)
    token = secrets.token_urlsafe(24)
    listening = listen(_HOST, port)
    config = configured(application(loop, token), settings, lifespan="off", timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    loop.end = lambda: setattr(server, "should_exit", True)
    session.changed = learner.hear
    learner.start()
    ready(f"http://{_HOST}:{listening.getsockname()[1]}/{token}/")
    # uvicorn ends as the signal would have ended it: then what is labelled is still to be written.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with suppress(KeyboardInterrupt):
            server.run([listening])
    finally:
        learner.stop()
