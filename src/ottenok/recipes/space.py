"""What a search may change: the `[search]` table of a training recipe; readable without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator, model_validator

from ottenok.core.table import Table

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
            _check_choices(self)
        else:
            _check_range(self)
        return self


def _check_choices(dimension: Dimension) -> None:
    if (dimension.low, dimension.high, dimension.step, dimension.log) != (None, None, None, False):
        raise ValueError("choices have no low, high, step or log")
    if not dimension.choices:
        raise ValueError("there is nothing to choose from")
    if any(choice in dimension.choices[:place] for place, choice in enumerate(dimension.choices)):
        raise ValueError("a choice is there twice")


def _check_range(dimension: Dimension) -> None:
    if dimension.low is None or dimension.high is None:
        raise ValueError("expected low and high, or choices")
    if not dimension.low < dimension.high:
        raise ValueError("low must be less than high")
    if dimension.log and (dimension.low <= 0 or dimension.step is not None):
        raise ValueError("a logarithmic range begins above 0 and has no step")


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
    """Join nested tables to dotted keys, so that `optim.lr = {...}` without quotes means the same."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        nested = isinstance(value, dict) and value and all(isinstance(inner, dict) for inner in value.values())
        flat |= _flattened(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value}
    return flat
