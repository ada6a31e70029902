"""How the rows of an epoch and the classes in a loss are balanced: the table `[balance]` of a training recipe."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ottenok.core.table import Table

__all__ = ["BalanceOptions", "WeightMethod"]

WeightMethod = Literal["none", "balanced", "sqrt", "effective"]


class BalanceOptions(Table):
    """How the rows of an epoch are chosen.

    Attributes:
        method: `none`: each row once. `down`: every cell as big as the smallest. `up`: as the largest, rows repeat.
            `temperature`: cells in proportion to their size to the power `alpha`, the epoch as long as the corpus.
        over: What a cell is: `class`, `source`, or `source-class`: each source's rows of each class.
        alpha: For `temperature`: 1 changes nothing, 0 makes all cells equal (some shrink, some repeat); 0.5 is usual.
        repeats: Most times that a row may occur in an epoch; small cells then stay smaller than asked for.
    """

    method: Literal["none", "down", "up", "temperature"] = "none"
    over: Literal["class", "source", "source-class"] = "source-class"
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.5
    repeats: Annotated[int, Field(ge=1)] = 20
