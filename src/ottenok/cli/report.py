"""`ottenok report`: a model's plots, tables and worst mistakes as one HTML page."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal

import click

from ottenok.cli.options import (
    bootstrap_options,
    column_options,
    json_option,
    out_option,
    places_options,
    split_option,
    task_option,
)
from ottenok.cli.screen import tell, write_json

if TYPE_CHECKING:
    from pathlib import Path

    from ottenok.studies.rows import Columns
    from ottenok.training.inputs import Places

__all__ = ["report"]


@click.command()
@click.argument("model")
@out_option("The report's folder.  [default: MODEL-report in the working directory]", folder=True)
@click.option("--data", help="A corpus folder, the name of a corpus recipe, or a file with texts and labels.")
@split_option()
@column_options
@task_option
@click.option("--title", help="Of the page.")
@click.option(
    "--mistakes",
    type=click.IntRange(min=0),
    default=30,
    show_default=True,
    help="How many of the worst mistakes to list.",
)
@bootstrap_options
@json_option
@places_options()
def report(  # noqa: PLR0913 - click passes each option by name
    model: str,
    *,
    out: Path | None,
    data: str | None,
    split: Literal["train", "validation", "test"],
    columns: Columns,
    tasks: tuple[str, ...],
    title: str | None,
    mistakes: int,
    resamples: int,
    seed: int,
    as_json: bool,
    places: Places,
) -> None:
    """Write a report on MODEL: one HTML page that needs no network, and each plot as SVG and PNG.

    MODEL is a trained classifier's folder, a hub name, or "default". Its figures are those of the predictions that
    training kept. With --data, mistakes are shown with their texts; and where training kept no predictions of that
    data, MODEL is run on it.

    Curves per epoch, confusion, ROC and precision-recall, thresholds, reliability, F1 per source with intervals, the
    worst mistakes, data and licences, recipe, versions. `report.json` has the numbers; --json writes them, with the
    places of the files, to standard output.
    """
    from ottenok.cli.bars import Bars
    from ottenok.studies.reporting import report as run

    written = run(
        model,
        out,
        data=data,
        split=split,
        columns=columns,
        tasks=tasks,
        title=title,
        mistakes=mistakes,
        resamples=resamples,
        seed=seed,
        places=places,
        progress=Bars(),
    )
    if as_json:
        numbers = json.loads(written.numbers.read_text(encoding="utf-8"))
        write_json({"page": str(written.page), "plots": written.plots, "has_texts": written.has_texts, **numbers})
    tell(f"Written to {written.page}, with {written.plots} plots beside it.")
    if written.has_texts:
        tell("It contains texts of the data: mind their terms before you pass it on.")
