"""`ottenok study`: every variant of a recipe, and their comparison."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from ottenok.cli.options import cluster_option, json_option, keys_argument, out_option, places_options, recipe_keys
from ottenok.cli.screen import say, write_json

if TYPE_CHECKING:
    from ottenok.training.inputs import Places

__all__ = ["study"]


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("recipe")
@out_option("Folder of the study.", required=True, folder=True)
@click.option("--only", multiple=True, metavar="VARIANT", help="Train this variant and leave the others; several.")
@click.option(
    "--corpus", type=click.Path(path_type=Path), help="A built corpus, for variants without data of their own."
)
@click.option(
    "--weights",
    type=click.Choice(["keep", "best", "none"]),
    help="Whose weights stay: all, the best run's on validation rows, or none.  [default: the recipe's, or keep]",
)
@click.option("--common", is_flag=True, help="Compare on the rows that all variants have, where test rows differ.")
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="Figure to compare; several; the first rules.")
@click.option(
    "--baseline", metavar="VARIANT", help="Variant to test the others against.  [default: the recipe's, or the best]"
)
@cluster_option
@json_option
@places_options(tracking=True)
@keys_argument
def study(  # noqa: PLR0913 - click passes each option by name
    recipe: str,
    keys: tuple[str, ...],
    *,
    out: Path,
    only: tuple[str, ...],
    corpus: Path | None,
    weights: Literal["keep", "best", "none"] | None,
    common: bool,
    metrics: tuple[str, ...],
    baseline: str | None,
    cluster: str | None,
    workers: int | None,
    as_json: bool,
    places: Places,
) -> None:
    """Train all [[variants]] of RECIPE with all its seeds, and compare them on the same test rows.

    Every variant is a folder of its own in the study's, as `ottenok train` writes it. The same command given again goes
    on: finished variants are kept, a half-done one is taken up, a failed one is tried again. A variant that can't be
    trained is a row with its reason. Keys of the recipe can be given here for all variants, for example:
    --schedule.num_train_epochs 1

    With --cluster runs are trained at once, as many as there are workers; OUT and the data have to be on a disk that
    all machines share.

    Leaves results.md and results.json: figures with intervals, paired tests, costs, the epochs of every variant.
    """
    from ottenok.cli.bars import Bars
    from ottenok.cli.cluster import crew_of
    from ottenok.core.errors import ModelError
    from ottenok.recipes.train import TrainRecipe
    from ottenok.studies.compare_tables import as_text
    from ottenok.studies.study import study as run

    with crew_of(cluster, workers) as crew:
        found = run(
            recipe,
            out,
            over=recipe_keys(keys, top=(*TrainRecipe.model_fields, "seeds")),
            only=only,
            corpus=corpus,
            weights=weights,
            common=common,
            metrics=metrics,
            baseline=baseline,
            places=places,
            progress=Bars(),
            crew=crew,
        )
    if found.comparison is None:
        raise ModelError(
            f"none of the {len(found.failed) + len(found.waiting)} runs could be trained",
            hint=f"{next(iter(found.failed.values()), '')} The reasons are in {found.folder / 'results.md'}",
        )
    if as_json:
        write_json(found.comparison.to_json())
        return
    say(as_text(found.comparison))
    say(f"\nThe results are in {found.folder / 'results.md'} and results.json")
