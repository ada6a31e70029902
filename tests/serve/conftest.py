"""A real server for the tests of this room: one process, the embedded model, started once."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.util import find_spec
from typing import TYPE_CHECKING

import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

pytest.importorskip("uvicorn", reason="needs the extra server")
pytest.importorskip("httptools", reason="needs the extra server")
pytest.importorskip("prometheus_client", reason="needs the extra server")


# Either opens the server with narrow limits.
KEYS = ("first-key-of-the-tests", "second-key-of-the-tests")


class Running:
    """A server process.

    Attributes:
        url: Where it listens.
        process: The process.
        log: The file with its standard error.
    """

    def __init__(self, process: subprocess.Popen[bytes], url: str, log: Path) -> None:
        self.process = process
        self.url = url
        self.log = log


@contextmanager
def _running(folder: Path, *options: str, environment: dict[str, str] | None = None) -> Iterator[Running]:
    log = folder / "server.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "ottenok", "serve", "--port", "0", *options],
            stderr=file,
            env={**os.environ, **(environment or {})},
        )
    try:
        until = time.monotonic() + 60
        while (found := re.search(r" on (http://\S+)", log.read_text(encoding="utf-8"))) is None:
            assert process.poll() is None, log.read_text(encoding="utf-8")
            assert time.monotonic() < until
            time.sleep(0.02)
        yield Running(process, found[1], log)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., AbstractContextManager[Running]]:
    """Return what runs `ottenok serve` with some options, on a free port."""

    def begin(*options: str, environment: dict[str, str] | None = None) -> AbstractContextManager[Running]:
        return _running(tmp_path_factory.mktemp("server"), *options, environment=environment)

    return begin


@pytest.fixture(scope="session")
def server(start: Callable[..., AbstractContextManager[Running]]) -> Iterator[Running]:
    """Return a server of the embedded model."""
    with start() as running:
        yield running


@pytest.fixture(scope="session")
def http(server: Running) -> Iterator[httpx.Client]:
    """Return a plain client of it."""
    with httpx.Client(base_url=server.url, timeout=60) as client:
        yield client


@pytest.fixture(scope="session")
def watch_port() -> int:
    """Return a port that is free."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture(scope="session")
def traces() -> Iterator[tuple[str, list[bytes]]]:
    """Return the address of a collector of OpenTelemetry traces, and what it gets."""
    got: list[bytes] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    collector = HTTPServer(("127.0.0.1", 0), Collector)
    thread = threading.Thread(target=collector.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{collector.server_port}", got
    collector.shutdown()
    thread.join()
    collector.server_close()


@pytest.fixture(scope="session")
def strict(
    start: Callable[..., AbstractContextManager[Running]],
    tmp_path_factory: pytest.TempPathFactory,
    watch_port: int,
    traces: tuple[str, list[bytes]],
) -> Iterator[Running]:
    """Return a server with keys, narrow limits and little patience."""
    file = tmp_path_factory.mktemp("keys") / "keys"
    file.write_text(f"# ours\n{KEYS[0]}\n")
    options = f"--threads 1 --max-body 100000 --max-text 20000 --max-texts 8 --header-timeout 1 --body-timeout 1 \
        --cors-origin https://good.example --metrics-port {watch_port} --api-key-file {file}"
    if find_spec("opentelemetry.exporter") is not None:
        options += f" --otlp-endpoint {traces[0]}"
    with start(*options.split(), environment={"OTTENOK_API_KEYS": KEYS[1]}) as running:
        yield running
