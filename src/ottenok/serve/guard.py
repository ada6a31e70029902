"""What stands before every request: its number, its address, its origin, its key; and behind it the log and the count.

A plain ASGI middleware: what it refuses costs little, which is what an overloaded server needs most.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import itertools
import logging
import os
import re
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from ottenok.serve.refused import Gone, Refused, refusal_body

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from ottenok.serve.batching import Job
    from ottenok.serve.metrics import Metrics
    from ottenok.serve.settings import Settings
    from ottenok.serve.tracing import Tracing

__all__ = ["Guard", "Notes", "notes_of", "refusal"]

_LOG = logging.getLogger("ottenok.serve")
_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
# What answers without a key: a load balancer has none, and the page asks for it.
_OPEN = ("/health", "/ping", "/live", "/")
# What there is on the port for watching.
_WATCH = ("/metrics", "/health", "/ping", "/live")
_TOO_MANY = 429
_CLIENT_CLOSED = 499  # nginx's name for it, in the log alone


@dataclass(slots=True)
class Notes:
    """What is known of a request when it ends.

    Attributes:
        id: Of the request, in its answer's `x-request-id` and in the log.
        headers: Of the request, names in small letters.
        path: The route's pattern; empty where there is none.
        facts: For the log: the model, how many texts and tokens.
        job: The last job that answered it.
    """

    id: str
    headers: dict[bytes, bytes]
    path: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    job: Job | None = None


def notes_of(scope: Scope) -> Notes:
    """Return the notes of a request."""
    notes: Notes = scope["ottenok"]
    return notes


def refusal(refused: Refused, path: str) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Return status, headers and body of a refusal, in the shape that this path's clients expect."""
    if refused.status == 401:  # text-embeddings-inference has no body there, and OpenAI's client needs none
        headers = [(b"www-authenticate", b"Bearer"), (b"content-length", b"0")]
        return 401, headers, b""
    body = to_json(refusal_body(refused, openai=path.startswith("/v1/") or path == "/classify"))
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if refused.retry_after is not None:
        headers.append((b"retry-after", str(refused.retry_after).encode()))
    return refused.status, headers, body


class Guard:
    """The middleware.

    Args:
        app: What answers.
        settings: Keys, names, limits.
        metrics: Counts every end.
        draining: Says whether the server is about to stop: then connections are asked to close.
        tracing: Makes spans; None: there are none.

    Attributes:
        settings: As given.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        metrics: Metrics,
        draining: Callable[[], bool],
        tracing: Tracing | None = None,
    ) -> None:
        self._app = app
        self.settings = settings
        self._metrics = metrics
        self._draining = draining
        self._tracing = tracing
        self._keys = tuple(hashlib.sha256(key.encode()).digest() for key in settings.keys)
        self._begin = os.urandom(4).hex()
        self._numbers = itertools.count(1)
        hosts = settings.allow_hosts or (_LOOPBACK if _is_loopback(settings.host) else ())
        self._hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        if self._tracing is None:
            await self._answered(scope, headers, receive, send)
            return
        with self._tracing.request(scope["method"], headers) as span:
            status = await self._answered(scope, headers, receive, send)
            notes = notes_of(scope)
            self._tracing.end(span, notes.path or "other", status, notes.facts, notes.job)

    async def _answered(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, send: Send) -> int:
        """Answer a request, log and count it, and return the status."""
        began = time.perf_counter()
        given = headers.get(b"x-request-id", b"")
        number = given.decode() if _ID.fullmatch(given) else f"{self._begin}-{next(self._numbers)}"
        notes = scope["ottenok"] = Notes(number, headers)
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                more = [(b"x-request-id", number.encode()), (b"x-content-type-options", b"nosniff")]
                if self._draining():
                    more.append((b"connection", b"close"))
                message["headers"] = [*message.get("headers", ()), *more]
            await send(message)

        try:
            self._check(scope, headers)
            await self._app(scope, receive, answer)
        except Refused as error:
            if not status:
                await _send(answer, *refusal(error, scope["path"]))
        except Gone:
            status = status or _CLIENT_CLOSED
        except Exception as error:
            # The message may hold a part of a text: type and places say enough.
            places = [
                f"{Path(frame.filename).name}:{frame.lineno} {frame.name}"
                for frame in traceback.extract_tb(error.__traceback__)
            ]
            _LOG.error(
                "a fault of the server", extra={"facts": {"id": number, "type": type(error).__name__, "at": places}}
            )
            if status:
                raise  # the server closes the connection: the client sees that the answer is not whole
            message = f"A fault of the server; its log says more under the request's number {number}."
            await _send(answer, *refusal(Refused(message, kind="Backend", status=500), scope["path"]))
        finally:
            path = notes.path or "other"
            self._metrics.ended(path, status)
            # A flood of refusals is counted, not told one by one: an overloaded server has no time to write.
            level = logging.DEBUG if status == _TOO_MANY else logging.INFO
            if _LOG.isEnabledFor(level):
                facts = {
                    "id": number,
                    "method": scope["method"],
                    "path": path,
                    "status": status,
                    "ms": round((time.perf_counter() - began) * 1e3, 2),
                    **notes.facts,
                }
                # Where in the code it was written, which `_LOG.log` would look for, is not in the line.
                _LOG.handle(_LOG.makeRecord(_LOG.name, level, "", 0, "request", (), None, extra={"facts": facts}))
        return status

    def _check(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        """Refuse a request by its headers.

        Raises:
            Refused: It comes by another name, from another site's page, without a key, or with too large a body.
        """
        host = headers.get(b"host", b"").decode("latin-1").lower()
        name, _, port = host.rpartition(":")
        if self._hosts and (name if port.isdigit() or not port else host) not in self._hosts:
            raise Refused(
                "The server is not known by this Host. Whoever runs it can allow the name: --allow-host NAME.",
                status=403,
                param="Host",
            )
        origin = headers.get(b"origin")
        if origin is not None:
            site = origin.decode("latin-1").lower()
            cross = self.settings.cors_origins
            if site.partition("://")[2] != host and site not in cross and "*" not in cross:
                raise Refused("Pages of other sites may not ask this server (Origin).", status=403, param="Origin")
        if self.settings.metrics_port and scope["server"][1] == self.settings.metrics_port:
            if scope["path"] not in _WATCH or scope["method"] != "GET":
                raise Refused("This port is for watching the server alone.", status=404)
            return
        method, path = scope["method"], scope["path"]
        asked_first = method == "OPTIONS" and self.settings.cors_origins
        is_open = method in {"GET", "HEAD"} and (path in _OPEN or path.startswith("/page/"))
        if self._keys and not asked_first and not is_open:
            scheme, _, key = headers.get(b"authorization", b"").partition(b" ")
            digest = hashlib.sha256(key.strip()).digest()
            # Every key is compared, whichever fits: the time tells nothing.
            fits = [hmac.compare_digest(digest, known) for known in self._keys]
            if not any(fits) or scheme.lower() != b"bearer":
                raise Refused("An API key is needed: Authorization: Bearer KEY.", kind="Validation", status=401)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def _send(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
