"""How the rows of an epoch and the classes in a loss are balanced: the table `[balance]` of a training recipe."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ottenok.core.table import Table

__all__ = ["BalanceOptions", "WeightMethod"]

WeightMethod = Literal["none", "balanced", "sqrt", "effective"]


class BalanceOptions(Table):
    """How the rows of an epoch are chosen, and how a source's classes weigh.

    Attributes:
        method: `none`: each row once. `down`: every cell as big as the smallest. `up`: as the largest, rows repeat.
            `temperature`: cells in proportion to their size to the power `alpha`, the epoch as long as the corpus.
        over: What a cell is: `class`, `source`, or `source-class`: each source's rows of each class.
        alpha: For `temperature`: 1 changes nothing, 0 makes all cells equal (some shrink, some repeat); 0.5 is usual.
        repeats: Most times that a row may occur in an epoch; small cells then stay smaller than asked for.
        rates: Source to how often its rows are read in an epoch, 0 to 100, for example 0.25 or 3: with a rate below 1
            each epoch reads a part of them, another one each time. Sources that are not named have the rate 1. With
            the method `none` only.
        class_alpha: For tasks with one label per text: within a source a class weighs (mean rows of its classes / rows
            of the class) to this power in the loss, at most 4 times as much as the mean; 0: all weigh the same.
    """

    method: Literal["none", "down", "up", "temperature"] = "none"
    over: Literal["class", "source", "source-class"] = "source-class"
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.5
    repeats: Annotated[int, Field(ge=1)] = 20
    rates: dict[str, Annotated[float, Field(ge=0, le=100)]] = Field(default_factory=dict)
    class_alpha: Annotated[float, Field(ge=0, le=1)] = 0.0

    @model_validator(mode="after")
    def _one_way(self) -> BalanceOptions:
        if self.rates and self.method != "none":
            message = f"rates say how often each source is read, and so does the method {self.method!r}: choose one"
            raise ValueError(message)
        return self
