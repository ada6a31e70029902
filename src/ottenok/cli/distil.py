"""`ottenok distil`: a small classifier that learns from larger ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ottenok.cli.options import json_option, keys_argument, out_option, places_options, recipe_keys
from ottenok.cli.screen import say, show_table, write_json

if TYPE_CHECKING:
    from ottenok.training.inputs import Places

__all__ = ["distil"]


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("recipe")
@out_option("Folder of the student.", required=True, folder=True)
@click.option(
    "--teacher", "teachers", multiple=True, metavar="MODEL", help="Classifier to learn from; several: averaged."
)
@click.option("--corpus", type=click.Path(path_type=Path), help="A built corpus to learn from.")
@click.option("--variant", metavar="NAME", help="Which of the recipe's variants, if it has some.")
@click.option("--resume", is_flag=True, help="Go on with the run that is in the folder.")
@json_option
@places_options(tracking=True)
@keys_argument
def distil(  # noqa: PLR0913 - click passes each option by name
    recipe: str,
    keys: tuple[str, ...],
    *,
    out: Path,
    teachers: tuple[str, ...],
    corpus: Path | None,
    variant: str | None,
    resume: bool,
    as_json: bool,
    places: Places,
) -> None:
    """Train a student on what teachers think of RECIPE's texts.

    The recipe is one of `ottenok train` with a table [distil]: teachers (folders or hub names), unlabelled (files with
    more texts), weight and temperature of the soft targets, hidden_weight. A student is made small by [model] encoder
    or by layers = [0, 1, 2], which keeps some of the encoder's layers.

    What the teachers say is written into the cache once. Shows teacher and student side by side for each task, source
    and language; what was stopped or killed goes on with the same command and --resume.
    """
    from ottenok.core.lazy import check_extra

    check_extra("train")
    from ottenok.cli.bars import Bars
    from ottenok.core.config import merge
    from ottenok.recipes.train import TrainRecipe, load_recipe
    from ottenok.studies.distil import distil as run

    over = recipe_keys(keys, top=TrainRecipe.model_fields)
    if corpus is not None:
        over = merge(over, {"data": {"corpus": str(corpus)}})
    if teachers:
        over = merge(over, {"distil": {"teachers": list(teachers)}})
    bars = Bars()
    resolved = load_recipe(recipe, over, variant=variant, note=bars.note)
    found = run(resolved, out, resume=resume, places=places, progress=bars)
    if found is None:
        return
    if as_json:
        write_json(found.rows)
        return
    if found.rows:
        show_table(found.table.header, found.table.rows)
    say(f"The student is in {found.trained.bundle.folder}")
