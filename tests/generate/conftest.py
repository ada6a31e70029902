"""A real HTTP server that speaks the protocol of OpenAI's chat completions, and a recipe that asks it."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from ottenok.generate.recipe import load_generation_recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ottenok.generate.recipe import GenerationRecipe

PROMPT = 'Напиши {count} текстов: {label}. {description}\n{examples}\nОтвет: {"texts": ["..."]}\n'
RECIPE = """
name = "tiny"
scheme = "emotions-7"
language = "ru"
prompts = ["prompt.md"]
[labels.fear]
count = 6
examples = ["мне очень страшно выходить из дома по ночам"]
[labels.disgust]
count = 4
[server]
model = "toy"
timeout = 20.0
[request]
texts = 2
[limits]
parallel = 2
requests_per_minute = 60000.0
[prices]
input = 1.0
output = 2.0
"""
_LETTERS = "абвгдежзиклмнопрстуфхцчшэюя"


@dataclass
class Reply:
    """What the server sends back: a model's words, or a raw body."""

    content: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: str | None = None
    finish: str = "stop"
    usage: bool = True
    wait: float = 0.0


@dataclass
class Chat:
    """The server: `answer` makes a reply from a request's body and the requests before it."""

    url: str = ""
    answer: Callable[[dict[str, Any], int], Reply] = lambda _body, _number: Reply()
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    now: int = 0
    most: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @staticmethod
    def texts(*texts: str, **more: Any) -> Reply:
        """Return the answer that is asked for."""
        return Reply(content=json.dumps({"texts": texts}, ensure_ascii=False), **more)

    @staticmethod
    def reply(content: str = "", **more: Any) -> Reply:
        """Return any other answer."""
        return Reply(content=content, **more)

    def fresh(self, number: int, **more: Any) -> Reply:
        """Return an answer with two texts that no other request has."""
        word = _LETTERS[number % 27] * 3 + _LETTERS[number // 27 % 27] * 3
        return self.texts(f"мне страшно от слова {word}", f"{word} снится каждую ночь", **more)

    def script(self, *replies: Reply) -> None:
        """Send these replies, then fresh ones."""
        self.answer = lambda _body, number: replies[number] if number < len(replies) else self.fresh(number)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    chat: Chat

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        chat = self.chat
        with chat.lock:
            number = len(chat.bodies)
            chat.bodies.append(body)
            chat.headers.append({name.lower(): value for name, value in self.headers.items()})
            chat.now += 1
            chat.most = max(chat.most, chat.now)
        try:
            reply = chat.answer(body, number)
            time.sleep(reply.wait)
        finally:
            with chat.lock:
                chat.now -= 1
        self._send(reply, number)

    def _send(self, reply: Reply, number: int) -> None:
        content = (_completion(reply, number) if reply.body is None else reply.body).encode()
        try:
            self.send_response(reply.status)
            for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except OSError:
            self.close_connection = True  # the client has gone

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's name
        pass


def _completion(reply: Reply, number: int) -> str:
    if reply.status != 200:
        return json.dumps({"error": {"message": reply.content}})
    return json.dumps(
        {
            "id": f"chatcmpl-{number}",
            "object": "chat.completion",
            "created": 1,
            "model": "toy-2026",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": reply.content},
                    "finish_reason": reply.finish,
                }
            ],
            "usage": {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150} if reply.usage else None,
        }
    )


@pytest.fixture
def chat() -> Iterator[Chat]:
    """Return a running server on a free port of this machine; it answers with fresh texts."""
    chat = Chat()
    chat.script()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"chat": chat}))
    server.daemon_threads = True
    chat.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield chat
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def recipe_path(tmp_path: Path) -> Path:
    """Write the recipe and its prompt; it names no server."""
    (tmp_path / "prompt.md").write_text(PROMPT, encoding="utf-8")
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


@pytest.fixture
def make(chat: Chat, recipe_path: Path) -> Callable[..., GenerationRecipe]:
    """Return what makes the recipe with the server's address, and with other options."""

    def make(**sections: dict[str, Any]) -> GenerationRecipe:
        server = {"base_url": chat.url, **sections.pop("server", {})}
        return load_generation_recipe(recipe_path, {"server": server, **sections})

    return make


@pytest.fixture
def rows() -> Callable[[Path], list[dict[str, Any]]]:
    """Return what reads a file of JSON lines; none if it is absent."""

    def read(path: Path) -> list[dict[str, Any]]:
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []

    return read
