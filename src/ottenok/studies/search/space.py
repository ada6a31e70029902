"""The search space: keys of a recipe and the values that they may take.

Without a `[search]` table the space is built in: width of the head, dropout, learning rate, pooling and loss, each
made wide enough to hold the recipe's own value.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ottenok.core.config import merge, parse
from ottenok.core.errors import ConfigError
from ottenok.recipes.space import Dimension
from ottenok.recipes.train import TrainRecipe
from ottenok.studies.search.keys import Kind, check_key, leaves, number_kind, value_at

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Axis", "Space", "Value", "built_in", "plain_recipe", "space_of"]

Value = float | int | str | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One key that changes.

    Attributes:
        key: Dotted.
        dimension: Its values.
        kind: What number it is; None for choices.
    """

    key: str
    dimension: Dimension
    kind: Kind | None

    @property
    def choices(self) -> dict[Value, Any]:
        """Choices as a study keeps them (lists and tables as text) to what the recipe gets."""
        every = self.dimension.choices or []
        labels = [_label(choice) for choice in every]
        if len(set(labels)) < len(labels):
            labels = [_json(choice) for choice in every]
        return dict(zip(labels, every, strict=True))

    def holds(self, own: Any) -> Value | None:  # noqa: ANN401 - any TOML value
        """Return the recipe's own value as a study keeps it; None if it is none of the axis's."""
        if self.kind is None:
            return next((label for label, choice in self.choices.items() if _covers(own, choice)), None)
        low, high, step = self.dimension.low, self.dimension.high, self.dimension.step
        if low is None or high is None or not isinstance(own, (int, float)) or not low <= own <= high:
            return None
        steps = 0.0 if step is None else (own - low) / step
        return own if abs(steps - round(steps)) < 1e-9 else None


def _label(choice: Any) -> Value:  # noqa: ANN401
    if isinstance(choice, (bool, int, float, str)):
        return choice
    if isinstance(choice, dict):
        # What is empty only undoes what the recipe has; it would make plots and tables wide.
        told = {name: value for name, value in choice.items() if value not in ([], "", {})}
        return ", ".join(f"{name} {value if isinstance(value, str) else _json(value)}" for name, value in told.items())
    return _json(choice)


def _json(value: Any) -> str:  # noqa: ANN401
    return json.dumps(value, ensure_ascii=False)


def _covers(own: Any, choice: Any) -> bool:  # noqa: ANN401
    if isinstance(choice, dict) and isinstance(own, dict):
        return all(_covers(own.get(name), value) for name, value in choice.items())
    return bool(own == choice)


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """All keys that change, the outer ones first, so that those within a table that is a choice win."""

    axes: tuple[Axis, ...]

    def recipe(self, base: TrainRecipe, values: Mapping[str, Value]) -> TrainRecipe:
        """Return the recipe with these values (as a study keeps them) at their keys.

        Raises:
            ConfigError: The recipe refuses them.
        """
        tree = plain_recipe(base)
        for axis in self.axes:
            value = values[axis.key]
            tree = merge(tree, _nested(axis.key, axis.choices[value] if axis.kind is None else value))
        return parse(TrainRecipe, tree)

    def own(self, base: TrainRecipe) -> dict[str, Value] | None:
        """Return the recipe's own values as a study keeps them; None if the space does not hold them all."""
        tree = plain_recipe(base)
        values: dict[str, Value] = {}
        for axis in self.axes:
            value = axis.holds(value_at(tree, axis.key))
            if value is None:
                return None
            values[axis.key] = value
        return values

    def to_json(self) -> dict[str, Any]:
        """Return key to values, as in a recipe."""
        return {axis.key: axis.dimension.model_dump(mode="json", exclude_defaults=True) for axis in self.axes}


def plain_recipe(recipe: TrainRecipe) -> dict[str, Any]:
    """Return a recipe's tree without its `[search]` table: what a trial is made from."""
    return recipe.model_dump(mode="json") | {"search": None}


def _nested(key: str, value: Any) -> dict[str, Any]:  # noqa: ANN401
    for part in reversed(key.split(".")):
        value = {part: value}
    nested: dict[str, Any] = value
    return nested


def space_of(dimensions: Mapping[str, Dimension], *, metric: str) -> Space:
    """Check what may change against the recipe's tables.

    Raises:
        ConfigError: A key is unknown or may not change, has a range and is no number, or is set by two dimensions.
    """
    axes = []
    seen: dict[str, str] = {}
    for key in sorted(dimensions, key=lambda key: (key.count("."), key)):
        dimension = dimensions[key]
        check_key(key, metric=metric)
        for leaf in {leaf for choice in dimension.choices or (None,) for leaf in leaves(key, choice)}:
            check_key(leaf, metric=metric)
            if leaf in seen:
                raise ConfigError(f"{leaf} is set by {seen[leaf]} too", key=f"search.space.{key}")
            seen[leaf] = key
        axes.append(Axis(key=key, dimension=dimension, kind=_range_kind(key, dimension)))
    return Space(axes=tuple(axes))


def _range_kind(key: str, dimension: Dimension) -> Kind | None:
    if dimension.choices is not None:
        return None
    kind = number_kind(key)
    numbers = (dimension.low, dimension.high, dimension.step)
    if kind == "int" and any(number is not None and not number.is_integer() for number in numbers):
        raise ConfigError("this key is a whole number, so its range needs whole numbers", key=f"search.space.{key}")
    return kind


def built_in(recipe: TrainRecipe, losses: Sequence[str]) -> dict[str, Dimension]:
    """Return the space of a recipe that names none.

    Args:
        recipe: Whose own values it holds.
        losses: Losses that can teach the recipe's problem with its options; fewer than two: the loss stays.
    """
    model = recipe.model
    space = {
        "model.head.dropout": _range(0.0, 0.7, own=model.head.dropout),
        "optim.lr": _range(1e-5, 3e-4, own=recipe.optim.lr, log=True),
        "model.pooling": _choices(_POOLINGS.get(model.pooling, _POOLINGS["mean"]), own=model.pooling),
    }
    if len(losses) > 1 and recipe.run.metric != "loss":
        space["loss.name"] = _choices(losses, own=recipe.loss.name)
    return space | _head(recipe)


# What may stand for each other: the first token means nothing in a decoder, nor the last one in an encoder.
_POOLINGS = {"mean": ("cls", "mean", "max", "attention"), "last": ("last", "mean", "attention")}
_WIDTHS = (128, 256, 512)


def _head(recipe: TrainRecipe) -> dict[str, Dimension]:
    head = recipe.model.head
    if head.kind == "linear":
        wide = [{"kind": "mlp", "hidden": [width]} for width in _WIDTHS]
        return {"model.head": Dimension(choices=[{"kind": "linear", "hidden": []}, *wide])}
    if head.kind == "mlp":
        return {"model.head.hidden": _choices([[width] for width in _WIDTHS], own=list(head.hidden))}
    return {}


def _range(low: float, high: float, *, own: float, log: bool = False) -> Dimension:
    return Dimension(low=min(low, own), high=max(high, own), log=log)


def _choices(usual: Sequence[Any], *, own: Any) -> Dimension:  # noqa: ANN401
    return Dimension(choices=[*usual] if own in usual else [own, *usual])
