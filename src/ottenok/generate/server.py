"""The server, through the official `openai` client: one question, one answer, what it cost, and what went wrong.

The client itself repeats requests after rate limits, server errors and timeouts, and the server is told the JSON schema
of an answer. The key is known to the client alone; it is taken out of every message that a server sends back.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ottenok.core.errors import ConfigError, GenerationError
from ottenok.core.lazy import require
from ottenok.generate.recipe import make_request

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ottenok.generate.recipe import GenerationRecipe, Prompt, Request

__all__ = [
    "Answer",
    "BrokenAnswerError",
    "Server",
    "Spent",
    "UnansweredError",
    "count_roughly",
    "estimate",
    "plan",
    "read_texts",
]

_SCHEMA = {
    "type": "object",
    "properties": {"texts": {"type": "array", "items": {"type": "string"}}},
    "required": ["texts"],
    "additionalProperties": False,
}
_FORMAT = {"type": "json_schema", "json_schema": {"name": "texts", "strict": True, "schema": _SCHEMA}}
_THOUGHTS = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
_FENCE = re.compile(r"```\w*\s*\n(.*?)(?:```|\Z)", re.DOTALL)
_TRIES = 50  # places where JSON may begin; prose is full of brackets
_SAID = 500  # characters of a server's message that are told
_HINTS = {
    401: "Check the key: it is read from the environment variable that --key-variable names.",
    402: "The account has no credit.",
    403: "Check that this key may use this model.",
    404: "Check server.base_url, which mostly ends with /v1, and server.model.",
}
# Assumptions, not measurements: tokenizers differ twofold. A Han character is a token, two other characters are one;
# a short text is 40 tokens.
_HAN = re.compile("[\u3007\u3400-\u9fff\uf900-\ufaff\U00020000-\U000323af]")
_TEXT_TOKENS = 40


class BrokenAnswerError(Exception):
    """No text can be read from an answer; the message says why. The request is worth another attempt."""


class UnansweredError(Exception):
    """A request got no answer though the client repeated it; another request may get one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What requests have cost.

    Attributes:
        requests: Requests that were answered, every attempt counted.
        input_tokens: Tokens of prompts.
        output_tokens: Tokens of answers.
        cost: At the prices of the recipe.
        estimated: Whether tokens of some answers are estimates, because the server did not count.
    """

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0
    estimated: bool = False

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            requests=self.requests + other.requests,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cost=self.cost + other.cost,
            estimated=self.estimated or other.estimated,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a server answered.

    Attributes:
        content: What the model wrote.
        id: The server's own name of the answer; empty if it gave none.
        model: The model, as the server calls it.
        ending: Why the model stopped, as the server says: `stop`, `length`, ...
        seed: The seed that was sent, or None.
        spent: What it cost, by the server's count of tokens, or roughly where it has none.
    """

    content: str
    id: str
    model: str
    ending: str
    seed: int | None
    spent: Spent


def count_roughly(text: str) -> int:
    """Guess the tokens of a text."""
    han = len(_HAN.findall(text))
    return han + math.ceil((len(text) - han) / 2)


def _spent(recipe: GenerationRecipe, input_tokens: int, output_tokens: int, *, estimated: bool) -> Spent:
    cost = (input_tokens * recipe.prices.input + output_tokens * recipe.prices.output) / 1e6
    return Spent(requests=1, input_tokens=input_tokens, output_tokens=output_tokens, cost=cost, estimated=estimated)


def estimate(recipe: GenerationRecipe, request: Request) -> Spent:
    """Guess what one request takes."""
    return _spent(recipe, count_roughly(request.text), request.count * _TEXT_TOKENS, estimated=True)


def plan(
    recipe: GenerationRecipe, prompts: Sequence[Prompt], *, have: Mapping[str, int]
) -> tuple[list[Request], Spent]:
    """Return the first request of each label and prompt, and a guess of what all texts that are missing cost.

    Args:
        recipe: What is wanted.
        prompts: Its prompts.
        have: Texts of each label that are there already.
    """
    shown: list[Request] = []
    whole = Spent(estimated=True)
    for label, wanted in recipe.labels.items():
        needed = math.ceil(max(wanted.count - have.get(label, 0), 0) / recipe.request.texts)
        requests = [make_request(recipe, prompts, label=label, number=number + 1) for number in range(needed)]
        shown += requests[: len(prompts)]
        whole = sum((estimate(recipe, request) for request in requests), whole)
    return shown, whole


class Server:
    """An OpenAI-compatible server; `client` is to be closed at the end.

    Args:
        recipe: Whose server it is.
        key: The server's key; None for a server without keys.

    Raises:
        ConfigError: The recipe names no server or no model.
        MissingExtraError: `openai` is not installed.
    """

    def __init__(self, recipe: GenerationRecipe, *, key: str | None) -> None:
        for name, value in (("base_url", recipe.server.base_url), ("model", recipe.server.model)):
            if not value:
                raise ConfigError(
                    "nothing is generated unless you name a server and a model",
                    hint="For example: --server.base_url http://localhost:8000/v1 --server.model NAME",
                    key=f"server.{name}",
                )
        self._api = require("openai", extra="generate")
        self._recipe, self._key = recipe, key
        # Servers differ in what they take: (schema?, seed?), the best first; one that refuses it gets the next.
        schemas = {"auto": (True, False), "schema": (True,), "text": (False,)}[recipe.server.answer]
        seeds = (True, False) if recipe.request.seed else (False,)
        self._shapes = [(schema, seed) for seed in seeds for schema in schemas]
        options = recipe.server
        self.client: Any = self._api.AsyncOpenAI(
            base_url=options.base_url,
            api_key=key or "none",  # the client insists on one; servers without keys look at none
            timeout=options.timeout,
            max_retries=options.retries,
        )
        # The client looks for these in the environment; they are for OpenAI and not for whoever runs this server.
        self.client.organization = self.client.project = None

    def hide(self, text: str) -> str:
        """Return a text without the key."""
        return text.replace(self._key, "***") if self._key else text

    async def ask(self, request: Request, *, seed: int) -> Answer:
        """Send a request and wait for its answer.

        Raises:
            BrokenAnswerError: What came back is no chat completion.
            UnansweredError: The server failed, was too busy or too slow, however often the client tried.
            GenerationError: The server can't be reached, or refuses the key, the model or the request.
        """
        api, options, asked = self._api, self._recipe.server, self._recipe.request
        while True:
            schema, seeded = shape = self._shapes[0]
            body = {
                "model": options.model,
                "messages": [{"role": "user", "content": request.text}],
                "temperature": asked.temperature,
                "max_tokens": asked.max_tokens,
                "seed": seed if seeded else None,
                "response_format": _FORMAT if schema else None,
                "extra_body": asked.extra or None,
            }
            try:
                completion = await self.client.chat.completions.create(
                    **{name: value for name, value in body.items() if value is not None}
                )
                return self._read(completion, request, seed if seeded else None)
            except api.APITimeoutError as error:
                raise UnansweredError(f"no answer in {options.timeout:g} seconds") from error
            except api.APIConnectionError as error:
                cause = f": {error.__cause__}" if error.__cause__ else ""
                raise GenerationError(
                    self.hide(f"the server {options.base_url} can't be reached{cause}"),
                    hint="Check that it runs, and its address: server.base_url. What was accepted is kept: --resume.",
                ) from error
            except api.APIStatusError as error:
                said, status = self.hide(error.message)[:_SAID], error.status_code
                if status in {400, 422} and (self._shapes[0] != shape or len(self._shapes) > 1):
                    if self._shapes[0] == shape:  # unless another request has gone on to the next already
                        del self._shapes[0]
                    continue
                if status in {408, 409, 429} or status >= 500:
                    raise UnansweredError(said) from error
                raise GenerationError(
                    f"the server {options.base_url} refuses the request: {said}",
                    hint=_HINTS.get(status, "Check server.model and the keys of [request]."),
                ) from error
            except (api.OpenAIError, ValueError) as error:
                raise BrokenAnswerError(f"no chat completion: {self.hide(str(error))[:_SAID]}") from error

    def _read(self, completion: Any, request: Request, seed: int | None) -> Answer:  # noqa: ANN401 - what was sent
        choices = getattr(completion, "choices", None)
        if not choices or choices[0].message is None:
            raise BrokenAnswerError("what came back is no chat completion")
        message, usage = choices[0].message, completion.usage
        content = self.hide(message.content or "")
        refusal = "" if content else getattr(message, "refusal", None)
        used = usage.prompt_tokens if usage else None
        written = usage.completion_tokens if usage else None
        estimated = used is None or written is None
        if used is None or written is None:
            used, written = count_roughly(request.text), count_roughly(content)
        return Answer(
            content=content,
            id=str(completion.id or ""),
            model=str(completion.model or self._recipe.server.model),
            ending=f"refusal: {self.hide(refusal)}" if refusal else str(choices[0].finish_reason or ""),
            seed=seed,
            spent=_spent(self._recipe, used, written, estimated=estimated),
        )


def read_texts(content: str) -> tuple[str, ...]:
    """Return the texts of an answer, in its order.

    Understood are `{"texts": [...]}`, a JSON list, and JSON lines, of strings or of objects with a `text`; also within
    a code fence, after a model's thoughts, with prose around, and cut off in the middle of a line.

    Raises:
        BrokenAnswerError: Nothing of that is in it, or there is no text in what is.
    """
    content = _THOUGHTS.sub("", content)
    fence = _FENCE.search(content)
    content = (fence.group(1) if fence else content).strip()
    if not content:
        raise BrokenAnswerError("empty answer")
    # The whole; every line, also of a list that was cut off; the first JSON value with texts that is somewhere in it.
    lines = [line.strip().rstrip(",") for line in content.splitlines()]
    found = _texts(content) or tuple(text for line in lines for text in _texts(line))
    for place in list(re.finditer(r"[\[{]", content))[:_TRIES]:
        found = found or _texts(content[place.start() :], whole=False)
    if not found:
        raise BrokenAnswerError("no JSON with texts in the answer")
    return found


def _texts(content: str, *, whole: bool = True) -> tuple[str, ...]:
    """Return the texts of the JSON value that `content` is (or begins with); none if it is no JSON."""
    try:
        value, end = json.JSONDecoder().raw_decode(content)
    except (ValueError, RecursionError):
        return ()
    if whole and content[end:].strip():
        return ()
    if isinstance(value, dict):
        value = value.get("texts", value.get("text"))
    items = value if isinstance(value, list) else [value]
    texts = (item.get("text") if isinstance(item, dict) else item for item in items)
    return tuple(text for text in texts if isinstance(text, str) and text.strip())
