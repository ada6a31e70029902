"""The server, through the official `openai` client: one question, one answer, and what went wrong in words.

The client itself repeats requests after rate limits, server errors and timeouts. The key is known to it alone; it is
taken out of every message that a server sends back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from ottenok.core.errors import ConfigError, GenerationError
from ottenok.core.lazy import require
from ottenok.generate.answers import SCHEMA, BrokenAnswerError

if TYPE_CHECKING:
    from types import TracebackType

    from openai import APIStatusError

    from ottenok.generate.prompts import Request
    from ottenok.generate.recipe import GenerationRecipe

__all__ = ["Answer", "Server", "UnansweredError"]

_NO_KEY = "none"  # the client insists on one; servers without keys look at none
_HIDDEN = "***"
_LONGEST = 500


class UnansweredError(Exception):
    """A request got no answer though the client repeated it; another request may get one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a server answered.

    Attributes:
        content: What the model wrote.
        id: The server's own name of the answer; empty if it gave none.
        model: The model, as the server calls it.
        ending: Why the model stopped, as the server says: `stop`, `length`, ...
        seed: The seed that was sent, or None.
        input_tokens: As the server counted; None where it did not.
        output_tokens: As the server counted; None where it did not.
    """

    content: str
    id: str
    model: str
    ending: str
    seed: int | None
    input_tokens: int | None
    output_tokens: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """What is sent besides the prompt; servers differ in what they take."""

    schema: bool
    seed: bool


def _shapes(recipe: GenerationRecipe) -> list[_Shape]:
    """The shapes to try, the best first; an `auto` server that refuses one gets the next."""
    schemas = {"auto": (True, False), "schema": (True,), "text": (False,)}[recipe.server.answer]
    seeds = (True, False) if recipe.request.seed else (False,)
    return [_Shape(schema=schema, seed=seed) for seed in seeds for schema in schemas]


class Server:
    """An OpenAI-compatible server; an asynchronous context."""

    def __init__(self, recipe: GenerationRecipe, *, key: str | None) -> None:
        """Make the client; nothing is sent yet.

        Args:
            recipe: Names the server and the model.
            key: The key, or None for a server without keys.

        Raises:
            ConfigError: The recipe names no server or no model.
            MissingExtraError: `openai` is not installed (extra `generate`).
        """
        self._recipe = recipe
        self._options = recipe.server
        self._key = key
        self._shapes = _shapes(recipe)
        address, self._model = _named(recipe)
        self._api = require("openai", extra="generate")
        self._client = self._api.AsyncOpenAI(
            base_url=address,
            api_key=key or _NO_KEY,
            timeout=self._options.timeout,
            max_retries=self._options.retries,
        )
        # The client looks for these in the environment; they are for OpenAI and not for whoever runs this server.
        self._client.organization = self._client.project = None

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    def hide(self, text: str) -> str:
        """Return a text without the key."""
        return text.replace(self._key, _HIDDEN) if self._key else text

    async def ask(self, request: Request, *, seed: int) -> Answer:
        """Send a request and wait for its answer.

        Raises:
            BrokenAnswerError: What came back is no chat completion.
            UnansweredError: The server failed, was too busy or too slow, however often the client tried.
            GenerationError: The server can't be reached, or refuses the key, the model or the request.
        """
        api = self._api
        try:
            return await self._ask(request, seed)
        except api.APITimeoutError as error:
            raise UnansweredError(f"no answer in {self._options.timeout:g} seconds") from error
        except api.APIConnectionError as error:
            raise self._unreachable(error) from error
        except api.APIStatusError as error:
            raise self._refused(error) from error
        except (api.OpenAIError, ValueError) as error:
            raise BrokenAnswerError(f"no chat completion: {self.hide(str(error))[:_LONGEST]}") from error

    async def _ask(self, request: Request, seed: int) -> Answer:
        while True:
            shape = self._shapes[0]
            try:
                completion = await self._client.chat.completions.create(**self._body(request, shape, seed))
            except (self._api.BadRequestError, self._api.UnprocessableEntityError):
                if not self._next_shape(shape):
                    raise
            else:
                return self._read(completion, seed if shape.seed else None)

    def _next_shape(self, refused: _Shape) -> bool:
        """Go on to the next shape, unless another request has done so already; False where there is none."""
        if self._shapes[0] == refused:
            if len(self._shapes) == 1:
                return False
            del self._shapes[0]
        return True

    def _body(self, request: Request, shape: _Shape, seed: int) -> dict[str, Any]:
        options = self._recipe.request
        body = {
            "model": self._model,
            "messages": [{"role": "user", "content": request.text}],
            "temperature": options.temperature,
            "max_tokens": options.max_tokens,
            "seed": seed if shape.seed else None,
            "response_format": {"type": "json_schema", "json_schema": SCHEMA} if shape.schema else None,
            "extra_body": options.extra or None,
        }
        return {name: value for name, value in body.items() if value is not None}

    def _read(self, completion: Any, seed: int | None) -> Answer:  # noqa: ANN401 - whatever the server sent
        choices = getattr(completion, "choices", None)
        if not choices or choices[0].message is None:
            raise BrokenAnswerError("what came back is no chat completion")
        usage = completion.usage
        answer = Answer(
            content=self.hide(choices[0].message.content or ""),
            id=str(completion.id or ""),
            model=str(completion.model or self._model),
            ending=str(choices[0].finish_reason or ""),
            seed=seed,
            input_tokens=usage.prompt_tokens if usage else None,
            output_tokens=usage.completion_tokens if usage else None,
        )
        refusal = getattr(choices[0].message, "refusal", None)
        return answer if answer.content or not refusal else replace(answer, ending=f"refusal: {self.hide(refusal)}")

    def _unreachable(self, error: Exception) -> GenerationError:
        cause = f": {error.__cause__}" if error.__cause__ else ""
        return GenerationError(
            self.hide(f"the server {self._options.base_url} can't be reached{cause}"),
            hint="Check that it runs, and its address: server.base_url. What was accepted is kept; see --resume.",
        )

    def _refused(self, error: APIStatusError) -> Exception:
        said = self.hide(error.message)[:_LONGEST]
        hint = _HINTS.get(error.status_code)
        if error.status_code in {408, 409, 429} or error.status_code >= 500:
            return UnansweredError(said)
        return GenerationError(
            f"the server {self._options.base_url} refuses the request: {said}",
            hint=hint or "Check server.model and the keys of [request].",
        )


_HINTS = {
    401: "Check the key: it is read from the environment variable that --key-variable names.",
    402: "The account has no credit.",
    403: "Check that this key may use this model.",
    404: "Check server.base_url, which mostly ends with /v1, and server.model.",
}


def _named(recipe: GenerationRecipe) -> tuple[str, str]:
    """Address and model of the server."""
    for name, value in (("base_url", recipe.server.base_url), ("model", recipe.server.model)):
        if not value:
            raise ConfigError(
                "nothing is generated unless you name a server and a model",
                hint="For example: --server.base_url http://localhost:8000/v1 --server.model NAME",
                key=f"server.{name}",
            )
    return str(recipe.server.base_url), str(recipe.server.model)
