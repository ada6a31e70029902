"""The server on Ray Serve."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Ray Serve's own code warns of what pydantic will remove, and leaves sockets to the collector.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def ray_serve(cluster: str) -> Iterator[Any]:
    """Return Ray Serve on a free port of the local Ray, and its address."""
    pytest.importorskip("uvicorn", reason="needs the extra server")
    from ray import serve

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    yield serve, f"http://127.0.0.1:{port}"
    serve.shutdown()


def test_replicas_and_a_change_of_the_model(ray_serve: Any, bundle: Path) -> None:
    """Two replicas answer as the server does, and another model takes over without a request failing."""
    from ottenok.cluster.serve import deployment

    serve, url = ray_serve
    small = {"num_cpus": 0.1}
    serve.run(deployment(f"first={bundle}", num_replicas=2, ray_actor_options=small), name="ottenok")
    failed: list[str] = []
    answered = 0
    stop = threading.Event()

    def ask() -> None:
        nonlocal answered
        with httpx.Client(base_url=url, timeout=60) as client:
            while not stop.is_set():
                found = client.post("/predict", json={"inputs": "Отлично"})
                answered += 1
                if found.status_code != 200:
                    failed.append(found.text)
                time.sleep(0.02)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        serve.run(deployment(f"second={bundle}", num_replicas=2, ray_actor_options=small), name="ottenok")
    finally:
        stop.set()
        asking.join()
    with httpx.Client(base_url=url, timeout=60) as client:
        assert [model["id"] for model in client.get("/v1/models").json()["data"]] == ["second"]
        many = client.post("/v1/analyze", json={"inputs": ["Отлично", "服务很好"]}).json()["results"]
    assert [set(one["tasks"]) for one in many] == [{"sentiment-3", "emotions-7"}] * 2
    assert answered > 0
    assert not failed
