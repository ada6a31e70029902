"""One training run, from a recipe and a corpus to a folder with the trained classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transformers import set_seed

from ottenok.core.progress import SILENT, Progress
from ottenok.training.finish import Fitted, finish, finished
from ottenok.training.fit import fit
from ottenok.training.folder import open_run
from ottenok.training.prepare import prepare
from ottenok.training.processes import rank

if TYPE_CHECKING:
    from pathlib import Path

    from ottenok.data.corpus import Corpus
    from ottenok.recipes.train import TrainRecipe

__all__ = ["train"]


def train(
    recipe: TrainRecipe,
    *,
    corpus: Corpus,
    out: Path,
    resume: bool = False,
    tracking: str | None = None,
    progress: Progress = SILENT,
) -> Fitted | None:
    """Train a classifier.

    The run can be killed at any moment. Taken up again with `resume`, it goes on from its last checkpoint and ends
    with the same weights as an undisturbed run: bit for bit on one CPU with the same packages.

    Args:
        recipe: What to do.
        corpus: What to learn from.
        out: Folder of the run, which becomes the classifier's; empty or absent unless `resume`.
        resume: Take up the run that is in `out`; if there is none, begin.
        tracking: Address of MLflow's store, for `run.mlflow`; None: one in `out`.
        progress: Whom to tell.

    Returns:
        What came out; None in processes other than the first, where torchrun started several.

    Raises:
        ConfigError: The recipe does not fit the corpus, or `out` is in use.
        DataError: The corpus has no rows to learn from.
        ModelError: The encoder can't be loaded, or the loss is no longer a number.
    """
    folder = open_run(out, recipe, corpus, resume=resume, tracking=tracking)
    if (there := finished(folder)) is not None:
        progress.note("this run is finished already")
        return there if rank() == 0 else None
    # Before anything random is made, the head's first weights included.
    set_seed(recipe.seed)
    parts = prepare(recipe, corpus, progress)
    history = fit(parts, folder)
    return finish(parts, folder, history)
