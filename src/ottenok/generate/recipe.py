"""A generation recipe, its prompts, and the requests that are made of them.

A recipe names no server by itself: nothing is sent anywhere before the user names one. Which prompt, topic and seed a
request has depends on the recipe, the label and the request's number alone, so a run that was stopped goes on with the
requests that it would have made.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from ottenok.core.config import merge, parse, read_toml
from ottenok.core.errors import ConfigError
from ottenok.core.schemes import LabelScheme, load_scheme
from ottenok.core.suggest import suggest
from ottenok.core.table import Table
from ottenok.data.rows import salt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["GenerationRecipe", "Prompt", "Request", "load_generation_recipe", "load_prompts", "make_request"]

_PLACES = ("label", "description", "examples", "count", "topic")
# JSON in a prompt has quotes or spaces after its braces, so it is never taken for a place.
_PLACE = re.compile(r"\{([A-Za-z_]+)\}")
_LONGEST = 1 << 20


class Wanted(Table):
    """The texts of one label.

    Attributes:
        count: How many are wanted.
        title: What `{label}` becomes in a prompt; None: the label's name in the recipe's language.
        description: What `{description}` becomes: what the label means, in a sentence or two.
        examples: What `{examples}` becomes, as a list. They are sent to the server: write your own.
    """

    count: Annotated[int, Field(ge=1, le=1_000_000)]
    title: str | None = None
    description: str = ""
    examples: tuple[str, ...] = ()


class ServerOptions(Table):
    """The server. Its key is no part of a recipe: it comes from the environment.

    Attributes:
        base_url: Address of an OpenAI-compatible server, which mostly ends with `/v1`; None: nothing is generated.
        model: The model's name on that server.
        answer: `schema`: the server is told the JSON schema of an answer; `text`: it isn't; `auto`: it is, unless it
            refuses that.
        timeout: Seconds to wait for an answer.
        retries: How often the client repeats a request after rate limits (it waits as long as the server says, up to
            two minutes), server errors and timeouts.
    """

    base_url: str | None = None
    model: str | None = None
    answer: Literal["auto", "schema", "text"] = "auto"
    timeout: Annotated[float, Field(gt=0, le=3600)] = 120.0
    retries: Annotated[int, Field(ge=0, le=20)] = 5

    @field_validator("base_url")
    @classmethod
    def _check_address(cls, value: str | None) -> str | None:
        if value is not None:
            address = urlsplit(value)
            if address.scheme not in {"http", "https"} or not address.hostname:
                raise ValueError("an address begins with http:// or https:// and names a host")
            if address.username or address.password or address.query:
                raise ValueError("an address must hold no name, password or query; the key comes from the environment")
        return value

    @property
    def in_the_clear(self) -> bool:
        """Whether a key would travel unencrypted to another machine."""
        address = urlsplit(self.base_url or "")
        return address.scheme == "http" and address.hostname not in {"localhost", "127.0.0.1", "::1"}


class RequestOptions(Table):
    """What one request asks for.

    Attributes:
        texts: Texts per request.
        temperature: Of the model; None: the server's default, for models that take no temperature.
        max_tokens: Longest answer in tokens; None: the server's default.
        seed: Whether a seed is sent with each request. Servers promise at best to try to repeat an answer.
        extra: Further keys of the request's body, such as `top_p` or what only this server knows.
    """

    texts: Annotated[int, Field(ge=1, le=100)] = 10
    temperature: Annotated[float, Field(ge=0, le=2)] | None = 1.0
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    seed: bool = True
    extra: dict[str, Any] = Field(default_factory=dict)


class LimitOptions(Table):
    """Where it stops, and how fast it goes.

    Attributes:
        parallel: Most requests at a time.
        requests_per_minute: Most requests begun in a minute, in even steps, the client's own repeats not counted;
            None: no limit.
        attempts: How often a request is made when its answer can't be read, the first time included.
        fruitless: A label is given up after so many requests in a row without a single new text.
        max_cost: No request begins that would bring the cost over this; None: no limit.
    """

    parallel: Annotated[int, Field(ge=1, le=256)] = 4
    requests_per_minute: Annotated[float, Field(gt=0)] | None = 60.0
    attempts: Annotated[int, Field(ge=1, le=20)] = 3
    fruitless: Annotated[int, Field(ge=1)] = 10
    max_cost: Annotated[float, Field(gt=0)] | None = None


class Prices(Table):
    """What a million tokens of prompts (`input`) and of answers (`output`) cost, in a currency named for people."""

    input: Annotated[float, Field(ge=0)] = 0.0
    output: Annotated[float, Field(ge=0)] = 0.0
    currency: str = "USD"


class TextRules(Table):
    """Which texts are taken at all.

    Attributes:
        minimum_letters: Fewest letters and digits.
        maximum_characters: Most characters.
        check_language: Refuse texts that are not in the recipe's language (by their script).
    """

    minimum_letters: Annotated[int, Field(ge=1)] = 4
    maximum_characters: Annotated[int, Field(ge=1)] = 1000
    check_language: bool = True


class GenerationRecipe(Table):
    """Everything that decides what is asked for.

    Attributes:
        name: Name of the recipe.
        scheme: A built-in label scheme.
        language: Of the texts.
        seed: Another seed chooses other seeds of requests, and other topics.
        prompts: Prompt files, taken in turn; in a recipe's file, relative to that file.
        topics: What `{topic}` becomes, another one with each request; many topics make for fewer repeats.
        labels: What is wanted of each label.
        server: The server.
        request: What one request asks for.
        limits: Where it stops, and how fast it goes.
        prices: What tokens cost.
        texts: Which texts are taken at all.
    """

    name: Annotated[str, Field(min_length=1)]
    scheme: str
    language: Literal["ru", "zh", "en"]
    seed: int = 1
    prompts: Annotated[tuple[str, ...], Field(min_length=1)]
    topics: tuple[str, ...] = ()
    labels: Annotated[dict[str, Wanted], Field(min_length=1)]
    server: ServerOptions = ServerOptions()
    request: RequestOptions = RequestOptions()
    limits: LimitOptions = LimitOptions()
    prices: Prices = Prices()
    texts: TextRules = TextRules()

    @model_validator(mode="after")
    def _can_know_the_cost(self) -> GenerationRecipe:
        if self.limits.max_cost is not None and not (self.prices.input or self.prices.output):
            raise ValueError("a limit of the cost needs prices: give prices.input and prices.output")
        return self

    @property
    def label_scheme(self) -> LabelScheme:
        """The label scheme."""
        return load_scheme(self.scheme)

    def title(self, label: str) -> str:
        """Name of a label in the recipe's language."""
        scheme = self.label_scheme
        titles = scheme.titles.get(self.language, scheme.labels)
        return self.labels[label].title or titles[scheme.index(label)]


def load_generation_recipe(path: Path, overrides: Mapping[str, Any] | None = None) -> GenerationRecipe:
    """Read a recipe from a TOML file and lay overrides (`ottenok.core.config.override`) over it.

    Raises:
        ConfigError: The file can't be read, or a key is wrong or unknown.
        SchemeError: There is no such scheme, or it has no such label.
    """
    recipe = parse(GenerationRecipe, merge(read_toml(path), overrides or {}), file=str(path))
    for label in recipe.labels:
        recipe.label_scheme.index(label)
    return recipe.model_copy(update={"prompts": tuple(str(path.parent / one) for one in recipe.prompts)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A prompt file: its name without folders, the lower-case hex sha256 of its bytes, and its text."""

    name: str
    sha256: str
    template: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request for texts.

    Attributes:
        id: `<label>/<number>`, unique in an output file.
        label: The label of the texts.
        prompt: The prompt file.
        text: The prompt as it is sent.
        count: How many texts it asks for.
        seed: 0..2^31 - 1.
    """

    id: str
    label: str
    prompt: Prompt
    text: str
    count: int
    seed: int


def load_prompts(recipe: GenerationRecipe) -> tuple[Prompt, ...]:
    """Read the prompt files and check their places.

    Raises:
        ConfigError: A file can't be read or is empty, or has a place that can't be filled.
    """
    prompts = []
    for name in recipe.prompts:
        try:
            content = Path(name).read_bytes()
            template = content[:_LONGEST].decode("utf-8-sig").strip()
        except OSError as error:
            told = f"the prompt can't be read: {error.strerror or error}"
            raise ConfigError(told, hint="Check the path.", file=name) from error
        except UnicodeDecodeError as error:
            raise ConfigError("the prompt is not UTF-8", hint="Save it as UTF-8.", file=name) from error
        if not template:
            raise ConfigError("the prompt is empty", hint="Write what the model is to do.", file=name)
        for place in _PLACE.findall(template):
            if place not in _PLACES:
                told = f"the prompt has the unknown place {{{place}}}"
                raise ConfigError(told, hint=suggest(place, _PLACES), file=name)
            if place == "topic" and not recipe.topics:
                told = "the prompt has the place {topic}, and the recipe has no topics"
                raise ConfigError(told, hint='Give it some: topics = ["...", "..."]', file=name)
        prompts.append(Prompt(name=Path(name).name, sha256=sha256(content).hexdigest(), template=template))
    return tuple(prompts)


def make_request(recipe: GenerationRecipe, prompts: Sequence[Prompt], *, label: str, number: int) -> Request:
    """Return request `number` (from 1) for texts of `label`."""
    prompt = prompts[(number - 1) % len(prompts)]
    # Prompts change quickly and topics slowly, in an order of the label's own.
    topic = salt(recipe.seed, label, "topic") + (number - 1) // len(prompts)
    filled = {
        "label": recipe.title(label),
        "description": recipe.labels[label].description,
        "examples": "\n".join(f"- {example}" for example in recipe.labels[label].examples),
        "count": str(recipe.request.texts),
        "topic": recipe.topics[topic % len(recipe.topics)] if recipe.topics else "",
    }
    return Request(
        id=f"{label}/{number}",
        label=label,
        prompt=prompt,
        text=_PLACE.sub(lambda place: filled[place.group(1)], prompt.template),
        count=recipe.request.texts,
        seed=salt(recipe.seed, label, number) % 2**31,
    )
