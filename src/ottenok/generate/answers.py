"""What a model wrote, read as texts. JSON is asked for; what models do instead is expected too."""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["SCHEMA", "BrokenAnswerError", "read_texts"]

# What a server that takes JSON schemas is told to hold a model to.
SCHEMA: dict[str, Any] = {
    "name": "texts",
    "strict": True,
    "schema": {
        "type": "object",
        "properties": {"texts": {"type": "array", "items": {"type": "string"}}},
        "required": ["texts"],
        "additionalProperties": False,
    },
}

_THOUGHTS = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
_FENCE = re.compile(r"```\w*\s*\n(.*?)(?:```|\Z)", re.DOTALL)
_OPENING = re.compile(r"[\[{]")
_TRIES = 50  # places where JSON may begin; prose is full of brackets


class BrokenAnswerError(Exception):
    """No text can be read from an answer; the message says why. The request is worth another attempt."""


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
    for read in (_whole, _lines, _within):
        if texts := read(content):
            return texts
    raise BrokenAnswerError("no JSON with texts in the answer")


def _whole(content: str) -> tuple[str, ...]:
    return _texts(_parse(content))


def _lines(content: str) -> tuple[str, ...]:
    """The texts of the lines that are JSON; also of a list that was written line by line and cut off."""
    found = (_texts(_parse(line.strip().rstrip(","))) for line in content.splitlines() if line.strip())
    return tuple(text for texts in found for text in texts)


def _within(content: str) -> tuple[str, ...]:
    """The texts of the first JSON value with texts that is somewhere in the content."""
    decoder = json.JSONDecoder()
    for place in list(_OPENING.finditer(content))[:_TRIES]:
        try:
            value, _ = decoder.raw_decode(content, place.start())
        except (ValueError, RecursionError):
            continue
        if texts := _texts(value):
            return texts
    return ()


def _parse(content: str) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _texts(value: Any) -> tuple[str, ...]:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        value = value.get("texts", value.get("text"))
    items = value if isinstance(value, list) else [value]
    texts = (item.get("text") if isinstance(item, dict) else item for item in items)
    return tuple(text for text in texts if isinstance(text, str) and text.strip())
