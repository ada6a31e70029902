"""`ottenok report`: a model's plots, tables and worst mistakes as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from ottenok.cli.places import cache_option, data_root_option

if TYPE_CHECKING:
    from ottenok.studies.report.folder import WrittenReport

__all__ = ["report"]


@click.command()
@click.argument("model")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="The report's folder.  [default: MODEL-report in the working directory]",
)
@click.option("--data", help="A corpus folder, the name of a corpus recipe, or a file with texts and labels.")
@click.option(
    "--split",
    type=click.Choice(["train", "validation", "test"]),
    default="test",
    show_default=True,
    help="Of the corpus, if the model has to be run on it.",
)
@click.option("--text", default="text", show_default=True, help="Column of the texts, for a file.")
@click.option(
    "--label", multiple=True, default=("label",), show_default=True, help="Column of the labels; several 0/1 columns."
)
@click.option("--title", help="Of the page.")
@click.option(
    "--mistakes",
    type=click.IntRange(min=0),
    default=30,
    show_default=True,
    help="How many of the worst mistakes to list.",
)
@click.option("--resamples", type=click.IntRange(min=0), default=1000, show_default=True, help="Of the bootstrap.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the bootstrap.")
@data_root_option()
@cache_option()
def report(  # noqa: PLR0913 - click passes each option by name
    model: str,
    *,
    out: Path | None,
    data: str | None,
    split: Literal["train", "validation", "test"],
    text: str,
    label: tuple[str, ...],
    title: str | None,
    mistakes: int,
    resamples: int,
    seed: int,
    data_root: Path | None,
    cache: Path,
) -> None:
    """Write a report on MODEL: one HTML page that needs no network, and each plot as SVG and PNG.

    MODEL is a trained classifier's folder, a hub name, or "default". Its figures are those of the predictions that
    training kept. With --data, mistakes are shown with their texts; and where training kept no predictions of that
    data, MODEL is run on it.

    Curves per epoch, confusion, ROC and precision-recall, thresholds, reliability, F1 per source with intervals, the
    worst mistakes, data and licences, recipe, versions. `report.json` has the numbers.
    """
    from ottenok.cli.bars import Bars
    from ottenok.studies.reporting import ReportSpec
    from ottenok.studies.reporting import report as run
    from ottenok.studies.rows import Columns
    from ottenok.training.inputs import Places

    spec = ReportSpec(
        data=data,
        split=split,
        columns=Columns(text=text, label=label[0] if len(label) == 1 else label),
        title=title,
        mistakes=mistakes,
        resamples=resamples,
        seed=seed,
        places=Places(cache=cache, root=data_root),
    )
    _tell(run(model, out, spec=spec, progress=Bars()))


def _tell(written: WrittenReport) -> None:
    click.echo(f"Written to {written.page}, with {written.plots} plots beside it.", err=True)
    if written.has_texts:
        click.echo("It contains texts of the data: mind their terms before you pass it on.", err=True)
