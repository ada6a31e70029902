"""Prompts: plain text or Markdown files with places to fill in, and the requests that are made of them.

Which prompt, topic and seed a request has depends on the recipe, the label and the request's number alone, so a run
that was stopped goes on with the requests that it would have made.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from ottenok.core.errors import ConfigError
from ottenok.core.suggest import suggest
from ottenok.data.keys import salt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ottenok.generate.recipe import GenerationRecipe

__all__ = ["PLACES", "Prompt", "Request", "load_prompts", "make_request"]

PLACES = ("label", "description", "examples", "count", "topic")
# JSON in a prompt has quotes or spaces after its braces, so it is never taken for a place.
_PLACE = re.compile(r"\{([A-Za-z_]+)\}")
_LONGEST = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A prompt file.

    Attributes:
        name: The file's name, without folders.
        sha256: Of the file's bytes, lower-case hex.
        template: Its text.
    """

    name: str
    sha256: str
    template: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request for texts.

    Attributes:
        id: `<label>/<number>`, unique in an output file.
        label: The label of the texts.
        number: From 1, for each label.
        prompt: The prompt file.
        text: The prompt as it is sent.
        count: How many texts it asks for.
        seed: 0..2^31 - 1.
    """

    id: str
    label: str
    number: int
    prompt: Prompt
    text: str
    count: int
    seed: int


def load_prompts(recipe: GenerationRecipe) -> tuple[Prompt, ...]:
    """Read the prompt files and check their places.

    Raises:
        ConfigError: A file can't be read or is empty, or has a place that can't be filled.
    """
    return tuple(_load(Path(path), recipe) for path in recipe.prompts)


def _load(path: Path, recipe: GenerationRecipe) -> Prompt:
    try:
        content = path.read_bytes()
        template = content[:_LONGEST].decode("utf-8-sig").strip()
    except OSError as error:
        message = error.strerror or str(error)
        raise ConfigError(f"the prompt can't be read: {message}", hint="Check the path.", file=str(path)) from error
    except UnicodeDecodeError as error:
        raise ConfigError("the prompt is not UTF-8", hint="Save it as UTF-8.", file=str(path)) from error
    if not template:
        raise ConfigError("the prompt is empty", hint="Write what the model is to do.", file=str(path))
    for place in _PLACE.findall(template):
        _check(place, path, recipe)
    return Prompt(name=path.name, sha256=sha256(content).hexdigest(), template=template)


def _check(place: str, path: Path, recipe: GenerationRecipe) -> None:
    if place not in PLACES:
        raise ConfigError(f"the prompt has the unknown place {{{place}}}", hint=suggest(place, PLACES), file=str(path))
    if place == "topic" and not recipe.topics:
        raise ConfigError(
            "the prompt has the place {topic}, and the recipe has no topics",
            hint='Give it some: topics = ["...", "..."]',
            file=str(path),
        )


def make_request(recipe: GenerationRecipe, prompts: Sequence[Prompt], *, label: str, number: int) -> Request:
    """Return request `number` (from 1) for texts of `label`."""
    prompt = prompts[(number - 1) % len(prompts)]
    wanted, count = recipe.labels[label], recipe.request.texts
    # Prompts change quickly and topics slowly, in an order of the label's own.
    start = salt(recipe.seed, label, "topic") + (number - 1) // len(prompts)
    filled = {
        "label": recipe.title(label),
        "description": wanted.description,
        "examples": "\n".join(f"- {example}" for example in wanted.examples),
        "count": str(count),
        "topic": recipe.topics[start % len(recipe.topics)] if recipe.topics else "",
    }
    return Request(
        id=f"{label}/{number}",
        label=label,
        number=number,
        prompt=prompt,
        text=_PLACE.sub(lambda place: filled[place.group(1)], prompt.template),
        count=count,
        seed=salt(recipe.seed, label, number) % 2**31,
    )
