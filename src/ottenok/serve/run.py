"""The server's processes: uvicorn, with limits for slow clients, a gentle end, and logs as lines of JSON."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import uvicorn
from pydantic_core import to_json
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.supervisors import Multiprocess

from ottenok.core.errors import ConfigError
from ottenok.serve.app import application
from ottenok.serve.metrics import share_between_processes
from ottenok.serve.served import load_models

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from ottenok.serve.guard import Guard
    from ottenok.serve.settings import Settings

__all__ = ["Protocol", "configured", "listen", "serve", "set_up_logs"]

# Most bytes of a request's line and headers.
_MOST_HEADERS = 65_536


class _Lines(logging.Formatter):
    """Records as lines of JSON: time, level, event, and the facts that belong to it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        entry: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info and record.exc_info[0] is not None:
            # The message of an exception may hold a part of a text.
            entry["type"] = record.exc_info[0].__name__
        return to_json(entry, fallback=str).decode()


def set_up_logs(level: str) -> None:
    """Write the server's and uvicorn's records to standard error, a line of JSON each."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines())
    for name, least in (("ottenok.serve", level), ("uvicorn", "error")):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(least.upper())
        logger.propagate = False
    # None of it is in a line, and each is looked up for every one.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


class Protocol(HttpToolsProtocol):
    """uvicorn's HTTP, with an end to headers that do not come, or do not end."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Begin to wait for headers."""
        super().connection_made(transport)
        self._seconds = self.config.loaded_app.settings.header_timeout
        self._begun = False
        self._header_bytes = 0
        self._patience: asyncio.TimerHandle | None = self.loop.call_later(self._seconds, self._give_up)

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()

    def _enough(self) -> None:
        self._header_bytes = -1  # what comes now is the body
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def data_received(self, data: bytes) -> None:
        """Take bytes, of headers not too many."""
        if self._header_bytes >= 0:
            self._header_bytes += len(data)
            super().data_received(data)
            if self._header_bytes > _MOST_HEADERS and not self.transport.is_closing():
                self.send_400_response("The headers are too large.")
            return
        super().data_received(data)

    def on_message_begin(self) -> None:
        """Wait for the headers of the next request on this connection."""
        super().on_message_begin()
        self._header_bytes = max(0, self._header_bytes)
        if self._patience is None:
            self._patience = self.loop.call_later(self._seconds, self._give_up)

    def on_headers_complete(self) -> None:
        """Begin the request."""
        self._begun = True
        self._enough()
        super().on_headers_complete()
        # Clients that are gone are noticed without a task that waits for it in each request.
        self.scope["ottenok.gone"] = self.transport.is_closing  # type: ignore[typeddict-unknown-key] # ours

    def on_message_complete(self) -> None:
        """Read on after a large body: that a client is gone is heard by reading alone."""
        super().on_message_complete()
        if not self.pipeline:
            self.flow.resume_reading()

    def shutdown(self) -> None:
        """End the connection when its request is answered; one that is new may still send its first."""
        if not self._begun:
            self._enough()
            self._patience = self.loop.call_later(min(1.0, self._seconds), self._give_up)
        else:
            super().shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._enough()
        super().connection_lost(exc)


def _made(places: Sequence[str], options: dict[str, Any], settings: Settings, level: str) -> Guard:
    """Return the application, in each process anew."""
    set_up_logs(level)
    # Workers tokenise side by side already: threads of the tokenizer's own would only change places with them.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    return application(load_models(places, **options), settings)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on an address; port 0 takes any that is free.

    Raises:
        ConfigError: There is no such address, or it is taken.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=2048)
    except OSError as error:
        raise ConfigError(
            f"the address {host}, port {port}, can't be listened on: {error.strerror or error}",
            hint="Another program may have it: give another --port, or 0 for any that is free.",
        ) from error


def configured(app: Guard | Callable[[], Guard], settings: Settings, **more: Any) -> uvicorn.Config:  # noqa: ANN401 - uvicorn's options
    """Return how uvicorn serves an application: with limits for slow clients, and nothing told of itself or logged.

    Args:
        app: The application, or what makes it in each process.
        settings: Limits.
        more: Other options of uvicorn.
    """
    return uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=settings.max_connections,
        timeout_keep_alive=settings.keep_alive,
        **more,
    )


def serve(
    places: Sequence[str],
    options: dict[str, Any],
    settings: Settings,
    *,
    level: str = "info",
    ready: Callable[[str, int], None] = lambda _host, _port: None,
) -> None:
    """Serve until a signal.

    Args:
        places: Models as `load_models` has them.
        options: Of `ottenok.load`.
        settings: Everything else.
        level: Least level of what is logged: `debug`, `info`, `warning` or `error`.
        ready: Called with the address and port that are listened on, when the models are loaded.

    Raises:
        BundleError: A model can't be loaded.
        ConfigError: The address can't be listened on.
    """
    made = partial(_made, places, options, settings, level)
    app = made()  # also for several processes, each of which loads its own: what can't be loaded is said once, and here
    sockets = [listen(settings.host, settings.port)]
    if settings.metrics_port is not None:
        sockets.append(listen(settings.host, settings.metrics_port))
    config = configured(
        made if settings.processes > 1 else app,
        settings,
        factory=settings.processes > 1,
        workers=settings.processes,
        lifespan="on",
        timeout_graceful_shutdown=int(settings.timeout) + 5,
    )
    host, port = sockets[0].getsockname()[:2]
    ready(host, port)
    # uvicorn ends as the signal would have ended it, after everything is answered; for a server that is success.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if settings.processes == 1:
        uvicorn.Server(config).run(sockets)
        return
    clean = share_between_processes()
    try:
        Multiprocess(config, sockets).run()
    finally:
        clean()
