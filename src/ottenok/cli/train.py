"""`ottenok train`: a classifier from a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ottenok.cli.options import cluster_option, json_option, keys_argument, out_option, places_options, recipe_keys
from ottenok.cli.screen import say, write_json

if TYPE_CHECKING:
    from ottenok.training.inputs import Places

__all__ = ["train"]


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("recipe")
@out_option("Folder of the trained classifier.", required=True, folder=True)
@click.option("--corpus", type=click.Path(path_type=Path), help="A built corpus to learn from.")
@click.option("--variant", metavar="NAME", help="Which of the recipe's variants; all of them: ottenok study.")
@click.option(
    "--weights",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Safetensors of the network that were learned elsewhere: nothing is learned, the run is only finished.",
)
@click.option(
    "--weights-facts",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON of what learning --weights took: texts, tokens, seconds, epochs, device, precision, elsewhere.",
)
@click.option("--resume", is_flag=True, help="Go on with the run that is in the folder.")
@cluster_option
@json_option
@places_options(tracking=True)
@keys_argument
def train(  # noqa: PLR0913 - click passes each option by name
    recipe: str,
    keys: tuple[str, ...],
    *,
    out: Path,
    corpus: Path | None,
    variant: str | None,
    weights: Path | None,
    weights_facts: Path | None,
    resume: bool,
    cluster: str | None,
    workers: int | None,
    as_json: bool,
    places: Places,
) -> None:
    """Train a classifier from RECIPE, a TOML file or the name of a recipe.

    Every key of the recipe can be given here, for example: --model.encoder FOLDER --optim.learning_rate 3e-5

    Shows a table of epochs, and leaves a folder with the weights, ONNX graphs in full and in int8, and a model card. A
    run that was stopped or killed goes on with --resume, and ends as if it had not been. With --cluster several workers
    train it together, each with batch.batch_size rows in a step; folders have to be on a disk that all machines share.
    """
    from ottenok.core.lazy import check_extra

    if weights_facts is not None and weights is None:
        raise click.UsageError("--weights-facts tells of weights that were learned elsewhere: give --weights too.")
    # Before the recipe is read: whoever lacks torch should not mend other things first.
    check_extra("train")
    from ottenok.cli.bars import Bars
    from ottenok.core.config import merge
    from ottenok.recipes.train import TrainRecipe, load_recipe
    from ottenok.studies.training import train as run

    over = recipe_keys(keys, top=TrainRecipe.model_fields)
    if corpus is not None:
        over = merge(over, {"data": {"corpus": str(corpus)}})
    bars = Bars()
    resolved = load_recipe(recipe, over, variant=variant, note=bars.note)
    if cluster is not None:
        from ottenok.cluster.training import train_together

        if weights is not None:
            raise click.UsageError("--weights leaves nothing to train: give it without --cluster.")
        bundle = train_together(
            resolved, out, places=places, resume=resume, cluster=cluster, workers=workers, progress=bars
        )
    else:
        trained = run(
            resolved, out, resume=resume, weights=weights, weights_facts=weights_facts, places=places, progress=bars
        )
        if trained is None:
            return
        bundle = trained.bundle
    if not as_json:
        say(f"The classifier is in {bundle.folder}")
        return
    from ottenok.training.folder import read_history

    kept = bundle.manifest.to_json()
    epochs = read_history(bundle.folder)
    write_json({"folder": str(bundle.folder), **{key: kept[key] for key in ("metrics", "notes")}, "epochs": epochs})
