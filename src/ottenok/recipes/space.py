"""What a search may change: the `[search]` table of a training recipe; readable without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator, model_validator

from ottenok.core.table import Table
from ottenok.recipes.old_keys import new_key, translated

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Dimension", "SearchOptions"]


class Dimension(Table):
    """The values that a search may give one key of the recipe: a range of numbers, or choices.

    Attributes:
        low: Least value, for a number.
        high: Largest value, itself included.
        log: Draw the logarithm evenly: for learning rates.
        step: Only `low + n * step`.
        choices: The values themselves: texts, numbers, truth values, lists, or, for a key that is a table, tables that
            are laid over it.
    """

    low: float | None = None
    high: float | None = None
    log: bool = False
    step: float | None = Field(default=None, gt=0)
    choices: list[Any] | None = None

    @model_validator(mode="after")
    def _is_one_kind(self) -> Dimension:
        if self.choices is not None:
            if (self.low, self.high, self.step, self.log) != (None, None, None, False):
                raise ValueError("choices have no low, high, step or log")
            if not self.choices:
                raise ValueError("there is nothing to choose from")
            if any(choice in self.choices[:place] for place, choice in enumerate(self.choices)):
                raise ValueError("a choice is there twice")
            return self
        if self.low is None or self.high is None:
            raise ValueError("expected low and high, or choices")
        if not self.low < self.high:
            raise ValueError("low must be less than high")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("a logarithmic range begins above 0 and has no step")
        return self


class SearchOptions(Table):
    """How `ottenok search` looks for a better recipe; `ottenok train` does not read it.

    Attributes:
        space: Dotted key of the recipe to its values; empty: the built-in space, see
            `ottenok.studies.search.space`.
        pruner: Which trials end early, by the validation metric after each epoch: `median` stops one whose best epoch
            so far is worse than the median of the other trials at that epoch, `hyperband` gives many trials few epochs
            and few trials many (Li et al. 2018), `none` lets all run.
        startup: Trials that are drawn at random before the sampler (TPE, Bergstra et al. 2011) learns from them.
    """

    space: dict[str, Dimension] = Field(default_factory=dict)
    pruner: Literal["median", "hyperband", "none"] = "median"
    startup: int = Field(default=10, ge=1)

    @field_validator("space", mode="before")
    @classmethod
    def _flat(cls, value: Any) -> Any:  # noqa: ANN401 - not checked yet
        return _flattened(value) if isinstance(value, dict) else value


def _flattened(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Join nested tables to dotted keys, so that `optim.learning_rate = {...}` without quotes means the same."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict) and value and all(isinstance(inner, dict) for inner in value.values()):
            flat |= _flattened(value, f"{key}.")
            continue
        flat[new_key(key)] = value
        if isinstance(value, dict) and isinstance(value.get("choices"), list):
            # A table among the choices may have keys of an earlier version.
            flat[new_key(key)] = {**value, "choices": [translated({key: one})[0][key] for one in value["choices"]]}
    return flat
