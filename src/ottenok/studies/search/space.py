"""The search space: keys of a recipe and the values that they may take.

Without a `[search]` table the space is built in: width of the head, dropout, learning rate, pooling and loss, each
made wide enough to hold the recipe's own value.
"""

from __future__ import annotations

import difflib
import json
from types import NoneType
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel

from ottenok.core.config import merge, parse
from ottenok.core.errors import ConfigError
from ottenok.recipes.space import Dimension
from ottenok.recipes.train import TrainRecipe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Space", "Value", "built_in", "plain_recipe"]

Value = float | int | str | bool

# What a search may not change, and why; everything below a key goes with it.
_NOTHING = "it changes nothing that is measured"
_FIXED = {
    **dict.fromkeys(("name", "description", "licence", "model.origin", "model.licence"), _NOTHING),
    "seed": "the best of several seeds is luck, not a better recipe",
    "data": "trials on other rows can't be compared (data.epoch_rows alone may change)",
    "decision": "trials are compared before temperature and thresholds are fitted",
    "run": "it is the same for all trials",
    "search": "it is what searches",
}
_FREE = frozenset({"data.epoch_rows"})
# What may stand for each other: the first token means nothing in a decoder, nor the last one in an encoder.
_POOLINGS = {"mean": ("cls", "mean", "max", "attention"), "last": ("last", "mean", "attention")}
_WIDTHS = (128, 256, 512)


class Space:
    """Keys that change and their values, the outer keys first, so that those within a table that is a choice win.

    Args:
        dimensions: Dotted key of the recipe to its values.
        metric: What trials are compared by.

    Raises:
        ConfigError: A key is unknown or may not change, has a range and is no number, or is set by two dimensions.
    """

    def __init__(self, dimensions: Mapping[str, Dimension], *, metric: str) -> None:
        self.dimensions = {key: dimensions[key] for key in sorted(dimensions, key=lambda key: (key.count("."), key))}
        self._whole: set[str] = set()  # keys that hold whole numbers
        known = _keys(TrainRecipe)
        seen: dict[str, str] = {}
        for key, dimension in self.dimensions.items():
            _check(key, known, metric)
            for leaf in {leaf for choice in dimension.choices or (None,) for leaf in _leaves(key, choice)}:
                _check(leaf, known, metric)
                if leaf in seen:
                    raise ConfigError(f"{leaf} is set by {seen[leaf]} too", key=f"search.space.{key}")
                seen[leaf] = key
            kinds = (known[key], *get_args(known[key]))
            if dimension.choices is None and float not in kinds:
                if int not in kinds:
                    told = "this key is no number, so it has no range"
                    raise ConfigError(told, hint="Give choices = [...].", key=f"search.space.{key}")
                if any(number is not None and number % 1 for number in (dimension.low, dimension.high, dimension.step)):
                    told = "this key is a whole number, so its range needs whole numbers"
                    raise ConfigError(told, key=f"search.space.{key}")
                self._whole.add(key)

    def suggest(self, trial: Any) -> dict[str, Value]:  # noqa: ANN401 - Optuna's
        """Return a trial's values, as a study keeps them: lists and tables are texts."""
        values: dict[str, Value] = {}
        for key, one in self.dimensions.items():
            if one.low is None or one.high is None:
                values[key] = trial.suggest_categorical(key, list(_choices(one)))
            elif key in self._whole:
                values[key] = trial.suggest_int(key, int(one.low), int(one.high), log=one.log, step=int(one.step or 1))
            else:
                values[key] = trial.suggest_float(key, one.low, one.high, log=one.log, step=one.step)
        return values

    def recipe(self, base: TrainRecipe, values: Mapping[str, Value]) -> TrainRecipe:
        """Return the recipe with these values (as a study keeps them) at their keys.

        Raises:
            ConfigError: The recipe refuses them.
        """
        tree = plain_recipe(base)
        for key, one in self.dimensions.items():
            nested: Any = values[key] if one.choices is None else _choices(one)[values[key]]
            for part in reversed(key.split(".")):
                nested = {part: nested}
            tree = merge(tree, nested)
        return parse(TrainRecipe, tree)

    def own(self, base: TrainRecipe) -> dict[str, Value] | None:
        """Return the recipe's own values as a study keeps them; None if the space does not hold them all."""
        values: dict[str, Value] = {}
        for key, one in self.dimensions.items():
            own: Any = plain_recipe(base)
            for part in key.split("."):
                own = own.get(part) if isinstance(own, dict) else None
            if one.low is None or one.high is None:
                found = [label for label, choice in _choices(one).items() if _covers(own, choice)]
            else:
                inside = isinstance(own, (int, float)) and one.low <= own <= one.high
                steps = (own - one.low) / one.step if inside and one.step is not None else 0.0
                found = [own] if inside and abs(steps - round(steps)) < 1e-9 else []
            if not found:
                return None
            values[key] = found[0]
        return values

    def to_json(self) -> dict[str, Any]:
        """Return key to values, as in a recipe."""
        return {key: one.model_dump(mode="json", exclude_defaults=True) for key, one in self.dimensions.items()}


def plain_recipe(recipe: TrainRecipe) -> dict[str, Any]:
    """Return a recipe's tree without its `[search]` table: what a trial is made from."""
    return recipe.model_dump(mode="json") | {"search": None}


def _keys(model: type[BaseModel], prefix: str = "") -> dict[str, Any]:
    """Return every dotted key, tables included, with its annotation."""
    found: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        found[f"{prefix}{name}"] = info.annotation
        for kind in (info.annotation, *get_args(info.annotation)):
            if isinstance(kind, type) and kind is not NoneType and issubclass(kind, BaseModel):
                found |= _keys(kind, f"{prefix}{name}.")
    return found


def _check(key: str, known: Mapping[str, Any], metric: str) -> None:
    """Refuse a key that the recipe has not, or that a search may not change."""
    if key not in known:
        near = [name for name in known if name.endswith(f".{key}")]
        near = near or difflib.get_close_matches(key, known, n=1, cutoff=0.8)
        parent = key.rpartition(".")[0]
        below = [name for name in known if name.rpartition(".")[0] == (parent if parent in known else "")]
        hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(below)}."
        raise ConfigError("the recipe has no such key", hint=hint, key=f"search.space.{key}")
    parents = [key[:place] for place in range(len(key) + 1) if place == len(key) or key[place] == "."]
    reason = next((_FIXED[parent] for parent in parents if parent in _FIXED), None)
    if metric == "loss" and parents[0] == "loss":
        reason = "run.metric is the loss, and values of different losses can't be compared"
    if reason is not None and key not in _FREE:
        raise ConfigError(f"a search may not change this: {reason}", key=f"search.space.{key}")


def _leaves(key: str, choice: Any) -> list[str]:  # noqa: ANN401 - any TOML value
    """Return the dotted keys that a choice sets: the key itself, or those of a table that is laid over it."""
    if not isinstance(choice, dict):
        return [key]
    return [leaf for name, value in choice.items() for leaf in _leaves(f"{key}.{name}", value)]


def _choices(dimension: Dimension) -> dict[Value, Any]:
    """Return choices as a study keeps them (lists and tables as text) to what the recipe gets."""
    every = dimension.choices or []
    texts = [json.dumps(choice, ensure_ascii=False) for choice in every]
    labels: list[Value] = []
    for choice, text in zip(every, texts, strict=True):
        if isinstance(choice, dict):
            # What is empty only undoes what the recipe has; it would make plots and tables wide.
            told = {name: value for name, value in choice.items() if value not in ([], "", {})}
            parts = [(name, value if isinstance(value, str) else json.dumps(value)) for name, value in told.items()]
            labels.append(", ".join(f"{name} {value}" for name, value in parts))
        else:
            labels.append(choice if isinstance(choice, (bool, int, float, str)) else text)
    return dict(zip(labels if len(set(labels)) == len(labels) else texts, every, strict=True))


def _covers(own: Any, choice: Any) -> bool:  # noqa: ANN401
    if isinstance(choice, dict) and isinstance(own, dict):
        return all(_covers(own.get(name), value) for name, value in choice.items())
    return bool(own == choice)


def built_in(recipe: TrainRecipe, losses: Sequence[str]) -> dict[str, Dimension]:
    """Return the space of a recipe that names none.

    Args:
        recipe: Whose own values it holds.
        losses: Losses that can teach the recipe's problem with its options; fewer than two: the loss stays.
    """
    head, own = recipe.model.head, recipe.model.pooling

    def choices(usual: Sequence[Any], own: Any) -> Dimension:  # noqa: ANN401
        return Dimension(choices=[*usual] if own in usual else [own, *usual])

    space = {
        "model.head.dropout": Dimension(low=min(0.0, head.dropout), high=max(0.7, head.dropout)),
        "optim.learning_rate": Dimension(
            low=min(1e-5, recipe.optim.learning_rate), high=max(3e-4, recipe.optim.learning_rate), log=True
        ),
        "model.pooling": choices(_POOLINGS.get(own, _POOLINGS["mean"]), own),
    }
    if len(losses) > 1 and recipe.run.metric != "loss":
        space["loss.name"] = choices(losses, recipe.loss.name)
    if head.kind == "linear":
        wide = [{"kind": "mlp", "hidden": [width]} for width in _WIDTHS]
        space["model.head"] = Dimension(choices=[{"kind": "linear", "hidden": []}, *wide])
    elif head.kind == "mlp":
        space["model.head.hidden"] = choices([[width] for width in _WIDTHS], list(head.hidden))
    return space
