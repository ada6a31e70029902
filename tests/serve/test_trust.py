"""Keys, limits, slow and hostile clients, logs, and how the server ends."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from ottenok.core.errors import ConfigError
from ottenok.serve.settings import read_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from conftest import Running

# As in conftest.py.
KEYS = ("first-key-of-the-tests", "second-key-of-the-tests")
HEADERS = {"authorization": f"Bearer {KEYS[1]}"}

SECRET = "Тайный текст, которого нет в журнале"


@pytest.fixture(scope="module")
def client(strict: Running) -> Iterator[httpx.Client]:
    """Return a client of it that has a key."""
    with httpx.Client(base_url=strict.url, headers=HEADERS, timeout=30) as client:
        yield client


def raw(url: str, data: bytes, *, seconds: float = 20) -> bytes:
    """Send bytes and return everything until the server closes the connection."""
    host, _, port = url.removeprefix("http://").partition(":")
    found = b""
    with socket.create_connection((host, int(port)), timeout=seconds) as link:
        link.sendall(data)
        try:
            while part := link.recv(65536):
                found += part
        except ConnectionResetError:
            pass
    return found


def test_keys(strict: Running) -> None:
    """Each key opens every path; without one there is no answer but health and the page, and no body."""
    with httpx.Client(base_url=strict.url, timeout=30) as bare:
        for key in KEYS:
            answer = bare.post("/predict", json={"inputs": "a"}, headers={"authorization": f"Bearer {key}"})
            assert answer.status_code == 200
        for given in ({}, {"authorization": "Bearer wrong-key-of-the-tests"}, {"authorization": f"Basic {KEYS[0]}"}):
            for path in ("/predict", "/v1/analyze", "/v1/models", "/metrics", "/info", "/openapi.json", "/nothing"):
                answer = bare.get(path, headers=given)
                assert (answer.status_code, answer.content) == (401, b""), path
        assert bare.get("/health").status_code == 200


def test_keys_are_checked_when_they_are_read(tmp_path: Path) -> None:
    """Short or empty lists of keys are refused without showing them."""
    file = tmp_path / "keys"
    file.write_text("# nothing\n\n")
    with pytest.raises(ConfigError, match="has none"):
        read_keys(file, "")
    file.write_text("short\n")
    with pytest.raises(ConfigError) as error:
        read_keys(file, "")
    assert "short" not in str(error.value)
    assert read_keys(None, "key-number-one, key-number-two key-number-one") == ("key-number-one", "key-number-two")


def test_limits(client: httpx.Client) -> None:
    """Too large bodies, too long texts and too many of them are refused, in the shape of their path."""
    assert client.post("/predict", json={"inputs": "a" * 200_000}).status_code == 413
    long = client.post("/predict", json={"inputs": "a" * 30_000})
    assert (long.status_code, long.json()["error_type"]) == (413, "Validation")
    many = client.post("/v1/classify", json={"input": ["a"] * 9})
    assert many.status_code == 422
    assert many.json()["error"]["message"] == "batch size 9 > maximum allowed batch size 8"
    packed = client.post("/predict", content=b"\x1f\x8b", headers={"content-encoding": "gzip"})
    assert packed.status_code == 415

    def endless() -> Iterator[bytes]:
        yield b'{"inputs": "'
        for _ in range(50):
            yield b"a" * 10_000

    assert client.post("/predict", content=endless()).status_code == 413


def test_slow_clients(strict: Running) -> None:
    """Headers and bodies that do not come, or do not end, do not hold a connection."""
    key = HEADERS["authorization"].encode()
    begun = time.monotonic()
    with ThreadPoolExecutor() as pool:
        nothing = pool.submit(raw, strict.url, b"")
        half = pool.submit(raw, strict.url, b"POST /predict HTTP/1.1\r\nHost: localhost\r\nX-")
        again = pool.submit(raw, strict.url, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nGET /hea")
        head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: " + key
        body = pool.submit(raw, strict.url, head + b"\r\nContent-Length: 100\r\n\r\n{")
        flood = pool.submit(raw, strict.url, b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X-A: " + b"b" * 200_000)
        assert nothing.result() == b""
        assert half.result() == b""
        assert again.result().startswith(b"HTTP/1.1 200")
        assert body.result().startswith(b"HTTP/1.1 408")
        assert not flood.result().startswith(b"HTTP/1.1 200")
    assert time.monotonic() - begun < 20


def test_gone_clients(strict: Running) -> None:
    """That a client is gone is noticed also after a large body, and what it asked is dropped."""
    body = json.dumps({"input": ["Плохо. " * 900] * 8}, ensure_ascii=False).encode()
    head = f"POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nAuthorization: {HEADERS['authorization']}\r\n"
    head += f"X-Request-Id: gone-1\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", int(strict.url.rpartition(":")[2]))) as link:
        link.sendall(head.encode() + body)
    until = time.monotonic() + 60
    while '"gone-1"' not in strict.log.read_text(encoding="utf-8"):
        assert time.monotonic() < until
        time.sleep(0.02)
    assert '"id":"gone-1","method":"POST","path":"/v1/classify","status":499' in strict.log.read_text(encoding="utf-8")


def test_hosts_and_origins(client: httpx.Client) -> None:
    """Pages of other sites reach nothing, by no name; a site that is allowed does."""
    assert client.get("/v1/models", headers={"host": "evil.example"}).status_code == 403
    assert client.get("/v1/models", headers={"host": "localhost:99"}).status_code == 200
    assert client.get("/v1/models", headers={"origin": "https://evil.example"}).status_code == 403
    assert client.get("/v1/models", headers={"origin": "null"}).status_code == 403
    same = str(client.base_url).rstrip("/")
    assert client.get("/v1/models", headers={"origin": same}).status_code == 200
    good = client.get("/v1/models", headers={"origin": "https://good.example"})
    assert good.headers["access-control-allow-origin"] == "https://good.example"
    asked = {"origin": "https://good.example", "access-control-request-method": "POST"}
    assert httpx.options(f"{same}/v1/analyze", headers=asked).status_code == 200


def test_cors_is_off_by_default(http: httpx.Client) -> None:
    """Without --cors-origin no other site is let in, and no header says otherwise."""
    refused = http.get("/v1/models", headers={"origin": "https://good.example"})
    assert refused.status_code == 403
    assert "access-control-allow-origin" not in refused.headers


def test_request_ids(client: httpx.Client) -> None:
    """A request's number is that of the client if it is harmless, and is in every answer."""
    assert client.get("/health", headers={"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
    assert client.get("/nothing", headers={"x-request-id": "abc-2"}).headers["x-request-id"] == "abc-2"
    assert client.get("/health", headers={"x-request-id": 'a"b{c'}).headers["x-request-id"] != 'a"b{c'
    assert client.get("/health").headers["x-request-id"]


def test_logs(strict: Running, client: httpx.Client) -> None:
    """The log is lines of JSON with the request's number and measures, and no text, key or name of a label in it."""
    client.post("/predict", json={"inputs": SECRET}, headers={"x-request-id": "look-for-me"})
    client.post("/predict", json={"inputs": [SECRET, SECRET]})
    client.post("/predict", json={"wrong": SECRET})
    client.post("/models/" + "x" * 300, json={"inputs": SECRET})
    log = strict.log.read_text(encoding="utf-8")
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    mine = next(line for line in lines if line.get("id") == "look-for-me")
    assert (mine["path"], mine["status"], mine["texts"], mine["model"]) == ("/predict", 200, 1, "default")
    assert mine["tokens"] > 0
    assert "Тайный" not in log
    assert "\\u0422\\u0430\\u0439" not in log
    assert not any(key in log for key in KEYS)


def test_metrics(client: httpx.Client, watch_port: int) -> None:
    """The names are those of TEI and ours; another port gives them without a key, and nothing else."""
    client.post("/predict", json={"inputs": "Отлично!"})
    client.post("/v1/analyze", json={"inputs": ["Ужасно. " * 500, " "], "max_windows": 2})
    client.post("/predict", json={"inputs": ["a", "b"]})
    found = client.get("/metrics").text
    watched = httpx.get(f"http://127.0.0.1:{watch_port}/metrics")
    assert watched.status_code == 200
    assert httpx.post(f"http://127.0.0.1:{watch_port}/predict", json={"inputs": "a"}).status_code == 404
    for name in (
        'te_request_count{method="single"}',
        'te_request_success{method="batch"}',
        'te_request_failure{err="validation"}',
        "te_predict_count",
        "te_predict_success",
        'te_request_duration_bucket{le="1.5e-05"}',
        "te_request_tokenization_duration_sum",
        "te_request_queue_duration_sum",
        "te_request_inference_duration_sum",
        "te_predict_duration_count",
        "te_request_input_length_count",
        "te_batch_next_size_count",
        "te_batch_next_tokens_count",
        "te_queue_size",
        'ottenok_stage_seconds_count{model="default",stage="inference"}',
        'ottenok_labels_total{label="positive",model="default",task="sentiment-3"}',
        'ottenok_confidence_bucket{le="0.5",model="default"}',
        'ottenok_truncated_texts_total{model="default"}',
        'ottenok_windowed_texts_total{model="default"}',
        'ottenok_empty_texts_total{model="default"}',
        'ottenok_http_requests_total{path="/predict",status="200"}',
    ):
        assert f"\n{name} " in found, name
    assert "# TYPE te_request_count counter" in found


def test_the_dashboard_asks_for_what_is_there(client: httpx.Client) -> None:
    """Every metric and label in the Grafana dashboard is one that a server exports which has answered and refused."""
    client.post("/v1/analyze", json={"inputs": ["Ужасно. " * 500, " "], "max_windows": 2})
    client.post("/predict", json={"inputs": ["a", "b"]})
    page = client.get("/metrics").text
    there = {name: set(re.findall(r'(\w+)="', rest)) for name, rest in re.findall(r"^(\w+)(\{.*\})? \S+$", page, re.M)}
    board = json.loads((Path(__file__).parents[2] / "docs/serving/grafana.json").read_text(encoding="utf-8"))
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    assert len(asked) > 10
    for expression in asked:
        names = set(re.findall(r"\b(?:te|ottenok)_\w+", expression))
        assert names
        assert names <= there.keys(), expression
        labels = {label for found in re.findall(r"\bby ?\(([^)]*)\)", expression) for label in found.split(", ")}
        assert all(labels <= there[name] for name in names), expression


def test_traces(client: httpx.Client, traces: tuple[str, list[bytes]]) -> None:
    """With an endpoint each request is a span of its caller's trace, with its stages, and without its text."""
    proto = pytest.importorskip(
        "opentelemetry.proto.collector.trace.v1.trace_service_pb2", reason="needs the extra otel"
    )
    caller = "4bf92f3577b34da6a3ce929d0e0e4736"
    parent = {"traceparent": f"00-{caller}-00f067aa0ba902b7-01"}
    client.post("/predict", json={"inputs": SECRET}, headers=parent).raise_for_status()
    until = time.monotonic() + 60
    spans = []
    while not spans:
        assert time.monotonic() < until
        time.sleep(0.05)
        parts = [proto.ExportTraceServiceRequest.FromString(part) for part in traces[1]]
        every = [
            span for part in parts for one in part.resource_spans for scope in one.scope_spans for span in scope.spans
        ]
        spans = [span for span in every if span.trace_id.hex() == caller]
    by_name = {span.name: span for span in spans}
    assert set(by_name) == {"POST /predict", "tokenise", "queue", "compute"}
    assert by_name["compute"].parent_span_id == by_name["POST /predict"].span_id
    assert by_name["POST /predict"].start_time_unix_nano <= by_name["compute"].start_time_unix_nano
    assert not [part for part in traces[1] if SECRET.encode() in part]


def test_stream(client: httpx.Client) -> None:
    """NDJSON is answered line by line, in order, each bad line with an error; blank lines count and have no answer."""
    lines = [
        '"Отлично!"',
        "",
        '{"inputs": "Ужасно.", "id": "x-1"}',
        "{",
        '{"text": 7}',
        json.dumps("a" * 30_000),
        '"да"',
    ]
    with client.stream(
        "POST",
        "/v1/analyze?task=sentiment-3",
        content="\n".join(lines).encode(),
        headers={"content-type": "application/x-ndjson"},
    ) as answer:
        assert answer.status_code == 200
        found = [json.loads(line) for line in answer.iter_lines()]
    assert [one["line"] for one in found] == [1, 3, 4, 5, 6, 7]
    assert [one.get("label") for one in found][:2] == ["positive", "negative"]
    assert found[1]["id"] == "x-1"
    assert ["error" in one for one in found] == [False, False, True, True, True, False]
    assert "thresholds" in found[-1]


def memory(process_id: int) -> int:
    """Return the resident memory of a process, in kB."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{process_id}/status").read_text())[1])


def test_streams_take_little_memory(strict: Running, client: httpx.Client) -> None:
    """Twenty megabytes of lines pass through, and answers come while they are sent."""
    before = memory(strict.process.pid)
    sent = 0
    first: list[int] = []

    def lines() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(400):
            yield (b'{"broken": "' + b"x" * 480 + b'"}\n') * 100
            sent += 100

    got = bytearray()
    host, _, port = strict.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=60) as link:
        head = f"POST /v1/analyze HTTP/1.1\r\nHost: localhost\r\nAuthorization: {HEADERS['authorization']}\r\n"
        head += "Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        link.sendall(head.encode())

        def send() -> None:
            for part in lines():
                link.sendall(f"{len(part):x}\r\n".encode() + part + b"\r\n")
            link.sendall(b"0\r\n\r\n")

        sender = threading.Thread(target=send)
        sender.start()
        while part := link.recv(1 << 16):
            got += part
            first.append(sent)
        sender.join()
    assert got.count(b'"line"') == 40_000
    assert first[0] < 40_000
    assert memory(strict.process.pid) - before < 40_000


def test_end_under_load(start: Callable[..., AbstractContextManager[Running]]) -> None:
    """At SIGTERM the server says that it is not ready, answers everything that it took, and ends with success."""
    with start("--drain", "3") as running, httpx.Client(base_url=running.url, timeout=30) as watch:
        answered: dict[str, int] = {}
        broken: list[str] = []
        stop = threading.Event()

        def ask(client_number: int) -> None:
            with httpx.Client(base_url=running.url, timeout=30) as client:
                for number in range(10_000):
                    if stop.is_set():
                        return
                    name = f"{client_number}-{number}"
                    try:
                        body = {"inputs": "Курьер опоздал. " * 5}
                        answer = client.post("/predict", json=body, headers={"x-request-id": name})
                    except httpx.HTTPError:
                        broken.append(name)  # it takes no new connections any more
                        return
                    answered[name] = answer.status_code

        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(ask, number) for number in range(8)]
            while len(answered) < 30:
                time.sleep(0.01)
            running.process.terminate()
            ready = 200
            while ready == 200:
                ready = watch.get("/health").status_code
            assert ready == 503
            assert watch.get("/live").status_code == 200
            assert running.process.wait(120) == 0
            stop.set()
            for one in asked:
                one.result()
        assert set(answered.values()) == {200}
        log = [json.loads(line) for line in running.log.read_text().splitlines() if line.startswith("{")]
        taken = {line["id"] for line in log if line.get("path") == "/predict"}
        assert taken == set(answered)
        assert not taken & set(broken)


def test_processes(start: Callable[..., AbstractContextManager[Running]]) -> None:
    """Of several processes one may be killed: the others go on, another takes its place, and they count together."""
    with start("--processes", "2", "--threads", "1", "--drain", "0") as running:

        def ask() -> str:
            with httpx.Client(base_url=running.url, timeout=60) as client:
                client.post("/predict", json={"inputs": "Отлично!"}).raise_for_status()
                return client.get("/metrics").text

        def children() -> set[int]:
            names = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children").read_text().split()
            commands = {int(name): Path(f"/proc/{name}/cmdline").read_bytes() for name in names}
            return {name for name, command in commands.items() if b"spawn_main" in command}

        ask()
        before = children()
        assert len(before) == 2
        victim = before.pop()
        os.kill(victim, signal.SIGKILL)
        until = time.monotonic() + 120
        while victim in children() or len(children()) < 2:
            assert time.monotonic() < until
            time.sleep(0.05)
        for _ in range(5):
            found = ask()
        assert float(re.search(r"^te_predict_success (\S+)$", found, re.MULTILINE)[1]) >= 6
        running.process.terminate()
        assert running.process.wait(120) == 0
