"""Training in one call."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ottenok.core.config import merge
from ottenok.core.lazy import require
from ottenok.core.progress import SILENT, Progress
from ottenok.training.inputs import Places, corpus_of
from ottenok.training.recipe import TrainRecipe, load_recipe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ottenok.training.finish import Fitted

__all__ = ["train"]


def train(
    recipe: str | Path | TrainRecipe,
    out: str | Path,
    *,
    places: Places,
    over: Mapping[str, Any] | None = None,
    resume: bool = False,
    progress: Progress = SILENT,
) -> Fitted | None:
    """Train a classifier from a recipe.

    Args:
        recipe: A TOML file, the name of a recipe that ottenok has, or a recipe.
        out: The classifier's folder; empty or absent unless `resume`.
        places: Where data is.
        over: Keys to replace in the recipe, nested; see `ottenok.core.config.override`.
        resume: Go on with the run that is in `out`.
        progress: Whom to tell.

    Returns:
        What came out; None in processes other than the first, where torchrun started several.

    Raises:
        OttenokError: The recipe or the data is wrong; see `ottenok.training.run.train`.
        MissingExtraError: The extra `train` is not installed.
    """
    require("torch", extra="train")
    require("transformers", extra="train")
    require("accelerate", extra="train")
    from ottenok.training.run import train as run

    resolved = load_recipe(recipe, over) if not isinstance(recipe, TrainRecipe) else _replaced(recipe, over or {})
    corpus = corpus_of(resolved.data, places, progress)
    return run(resolved, corpus=corpus, out=Path(out), resume=resume, progress=progress)


def _replaced(recipe: TrainRecipe, over: Mapping[str, Any]) -> TrainRecipe:
    return TrainRecipe.model_validate(merge(recipe.model_dump(), over))
