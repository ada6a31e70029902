"""Tokens that several runs on one corpus share."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ottenok.data.corpus import Split
    from ottenok.recipes.train import TrainRecipe
    from ottenok.training.examples import Examples

__all__ = ["TokenMemory"]

# What surely does not change a text's tokens. Whatever is not named here counts, also sections that are new.
_NO_MATTER = frozenset(
    {
        "name",
        "description",
        "licence",
        "seed",
        "loss",
        "balance",
        "optim",
        "schedule",
        "batch",
        "run",
        "decision",
        "search",
    }
)
_MODEL_MATTERS = frozenset({"encoder", "revision"})


class TokenMemory:
    """Keeps each split's examples as they were read last, and gives them again to a recipe that reads the same.

    One memory is for one corpus. Of each split only the last reading is kept, so it holds what one run holds.
    """

    def __init__(self) -> None:
        self._kept: dict[Split, tuple[str, Examples]] = {}

    def examples(self, recipe: TrainRecipe, split: Split, read: Callable[[], Examples]) -> Examples:
        """Return what `read` gives, or gave to a recipe with the same encoder and the same text options."""
        key = _key(recipe)
        known = self._kept.get(split)
        if known is None or known[0] != key:
            known = (key, read())
            self._kept[split] = known
        return known[1]


def _key(recipe: TrainRecipe) -> str:
    tree = recipe.model_dump(mode="json")
    matters = {name: value for name, value in tree.items() if name not in _NO_MATTER}
    matters["model"] = {name: value for name, value in tree["model"].items() if name in _MODEL_MATTERS}
    return json.dumps(matters, sort_keys=True)
