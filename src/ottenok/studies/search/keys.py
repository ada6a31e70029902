"""Dotted keys of a training recipe: which there are, what type they have, which a search may change."""

from __future__ import annotations

import difflib
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from ottenok.core.errors import ConfigError
from ottenok.recipes.train import TrainRecipe

__all__ = ["Kind", "check_key", "leaves", "number_kind", "value_at"]

Kind = Literal["float", "int"]

# What a search may not change, and why; everything below a key goes with it.
_FIXED = {
    "name": "it changes nothing that is measured",
    "description": "it changes nothing that is measured",
    "licence": "it changes nothing that is measured",
    "model.origin": "it changes nothing that is measured",
    "model.licence": "it changes nothing that is measured",
    "seed": "the best of several seeds is luck, not a better recipe",
    "data": "trials on other rows can't be compared (data.epoch_rows alone may change)",
    "decision": "trials are compared before temperature and thresholds are fitted",
    "run": "it is the same for all trials",
    "search": "it is what searches",
}
_FREE = frozenset({"data.epoch_rows"})


def check_key(key: str, *, metric: str) -> None:
    """Refuse a key that the recipe has not, or that a search may not change.

    Args:
        key: Dotted.
        metric: What trials are compared by.

    Raises:
        ConfigError: Naming the nearest key, or why it may not change.
    """
    if key not in _every(TrainRecipe):
        raise ConfigError("the recipe has no such key", hint=_nearest(key), key=f"search.space.{key}")
    parents = [key[:place] for place in range(len(key) + 1) if place == len(key) or key[place] == "."]
    reason = next((_FIXED[parent] for parent in parents if parent in _FIXED), None)
    if metric == "loss" and parents[0] == "loss":
        reason = "run.metric is the loss, and values of different losses can't be compared"
    if reason is not None and key not in _FREE:
        raise ConfigError(f"a search may not change this: {reason}", key=f"search.space.{key}")


def _nearest(key: str) -> str:
    """Return the key that was meant: with a section before it, or with a part spelt otherwise; or what there is."""
    known = _every(TrainRecipe)
    whole = [name for name in known if name.endswith(f".{key}")]
    if whole:
        return f"Did you mean {whole[0]!r}?"
    right, wrong = "", key
    while (head := f"{right}{wrong.partition('.')[0]}") in known and "." in wrong:
        right, wrong = f"{head}.", wrong.partition(".")[2]
    below = [name.removeprefix(right) for name in known if name.startswith(right)]
    near = difflib.get_close_matches(wrong, below, n=1)
    if near:
        return f"Did you mean {right + near[0]!r}?"
    return f"Known: {', '.join(right + name for name in below if '.' not in name)}."


def _every(model: type[BaseModel], prefix: str = "") -> dict[str, Any]:
    """Return every dotted key, tables included, with its annotation."""
    found: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        found[f"{prefix}{name}"] = info.annotation
        table = next((kind for kind in _kinds(info.annotation) if _is_table(kind)), None)
        if table is not None:
            found |= _every(table, f"{prefix}{name}.")
    return found


def _kinds(annotation: Any) -> tuple[Any, ...]:  # noqa: ANN401 - a type, a union or another form
    if get_origin(annotation) in {Union, UnionType}:
        return tuple(kind for kind in get_args(annotation) if kind is not NoneType)
    return (annotation,)


def _is_table(kind: Any) -> bool:  # noqa: ANN401
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def number_kind(key: str) -> Kind:
    """Return what kind of number a key holds.

    Raises:
        ConfigError: It holds no number, so it has no range.
    """
    kinds = _kinds(_every(TrainRecipe)[key])
    if float in kinds:
        return "float"
    if int in kinds:
        return "int"
    raise ConfigError(
        "this key is no number, so it has no range", hint="Give choices = [...].", key=f"search.space.{key}"
    )


def leaves(key: str, choice: Any) -> list[str]:  # noqa: ANN401 - any TOML value
    """Return the dotted keys that a choice sets: the key itself, or those of a table that is laid over it."""
    if not isinstance(choice, dict):
        return [key]
    return [leaf for name, value in choice.items() for leaf in leaves(f"{key}.{name}", value)]


def value_at(tree: Any, key: str) -> Any:  # noqa: ANN401
    """Return what a nested table holds at a dotted key; None where it is absent."""
    for part in key.split("."):
        if not isinstance(tree, dict):
            return None
        tree = tree.get(part)
    return tree
