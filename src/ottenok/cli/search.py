"""`ottenok search`: a better recipe, found by trials."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ottenok.cli.options import cluster_option, json_option, keys_argument, out_option, places_options, recipe_keys
from ottenok.cli.screen import heading, say, show_table, write_json

if TYPE_CHECKING:
    from ottenok.training.inputs import Places

__all__ = ["search"]

_SHOWN = 10


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("recipe")
@out_option("Folder of the search.", required=True, folder=True)
@click.option("--trials", type=click.IntRange(min=1), required=True, help="Trials in all, resumed ones included.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), metavar="MIN", help="Begin no trial after MIN.")
@click.option("--variant", metavar="NAME", help="Which of the recipe's variants, if it has some.")
@click.option("--resume", is_flag=True, help="Go on with the search that is in the folder.")
@click.option(
    "--space",
    type=click.Path(path_type=Path, dir_okay=False),
    help="TOML file with a [search] table, for the recipe's.",
)
@click.option("--corpus", type=click.Path(path_type=Path), help="A built corpus to learn from.")
@cluster_option
@json_option
@places_options(tracking=True)
@keys_argument
def search(  # noqa: PLR0913 - click passes each option by name
    recipe: str,
    keys: tuple[str, ...],
    *,
    out: Path,
    trials: int,
    timeout: float | None,
    variant: str | None,
    resume: bool,
    space: Path | None,
    corpus: Path | None,
    cluster: str | None,
    workers: int | None,
    as_json: bool,
    places: Places,
) -> None:
    """Look for better values of RECIPE's keys.

    What may change is in the recipe's [search] table, in --space FILE, or built in: width of the head, dropout,
    learning rate, pooling and loss. Trials are compared by the recipe's run.metric on the validation rows; the test
    rows are never looked at. Weights of trials that lose are deleted.

    With --cluster as many trials as there are workers are tried at once, in rounds; OUT and the data have to be on a
    disk that all machines share.

    Leaves best.toml (for `ottenok train`), trials.csv, trials.json and plots. A search that was stopped or killed goes
    on with --resume.
    """
    from ottenok.cli.bars import TrialBars, tell_above
    from ottenok.cli.cluster import crew_of
    from ottenok.core.config import merge, read_toml
    from ottenok.core.errors import ConfigError
    from ottenok.core.lazy import require
    from ottenok.recipes.train import TrainRecipe, load_recipe
    from ottenok.studies.search.run import Budget
    from ottenok.studies.search.run import search as run

    # What Optuna tells, the bar and the lines of trials tell too.
    require("optuna", extra="search").logging.set_verbosity(30)
    over: dict[str, Any] = {} if space is None else read_toml(space)
    if space is not None and set(over) != {"search"}:
        raise ConfigError(f"expected a [search] table and nothing else, found {sorted(over)}", file=str(space))
    over = merge(over, recipe_keys(keys, top=TrainRecipe.model_fields))
    if corpus is not None:
        over = merge(over, {"data": {"corpus": str(corpus)}})
    resolved = load_recipe(recipe, over, variant=variant)
    bars = TrialBars()
    try:
        with crew_of(cluster, workers) as crew:
            found = run(
                resolved,
                out,
                budget=Budget(trials=trials, minutes=timeout),
                resume=resume,
                places=places,
                progress=(bars.outer, bars.inner),
                crew=crew,
            )
    except KeyboardInterrupt:
        tell_above("The search goes on from here with --resume.")
        raise
    if as_json:
        write_json(json.loads((found.folder / "trials.json").read_text(encoding="utf-8")))
        return
    rows = found.trials.dropna(subset="value").sort_values("value", ascending=not found.higher, kind="stable")
    failed = int((found.trials["state"] == "failed").sum())
    shown = list(rows.columns[5:-2])
    heading(f"{min(len(rows), _SHOWN)} best of {len(found.trials)} trials")
    cells = []
    for row in rows.head(_SHOWN).to_dict("records"):
        state = " (stopped early)" if row["state"] == "pruned" else ""
        values = [f"{row[key]:.4g}" if isinstance(row[key], float) else str(row[key]) for key in shown]
        minutes = f"{row['seconds'] / 60.0:.1f}"
        cells.append([f"{row['number']}{state}", f"{row['value']:.4f}", str(row["epochs"]), minutes, *values])
    show_table(["trial", f">{found.metric}", ">epochs", ">minutes", *shown], cells)
    if failed:
        say(f"{failed} trials failed or were stopped; trials.csv says why.")
    if found.best is None:
        say("No trial ran to its end, so there is no best recipe.")
        return
    folder = found.trials.set_index("number").loc[found.best, "folder"]
    say(f"Train the best one:   ottenok train {found.recipe} -o FOLDER")
    say(
        "Weights of the others are deleted; the best one's are still there, and become a classifier with\n"
        f"                      ottenok train {found.recipe} -o {found.folder / 'trials' / folder} --resume"
    )
    say(f"{len(found.plots)} plots are in {found.folder / 'plots'}; trials.csv and trials.json are in {found.folder}")
