"""`ottenok shares`: the true shares of labels behind a classifier's answers."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Literal

import click

from ottenok.cli.options import (
    column_options,
    complete_files,
    json_option,
    page_option,
    places_options,
    seed_option,
    split_option,
    task_option,
)
from ottenok.cli.screen import harmless, heading, say, show_table, tell, write_json

if TYPE_CHECKING:
    from pathlib import Path

    from ottenok.studies.rows import Columns
    from ottenok.training.inputs import Places

__all__ = ["shares"]


@click.command()
@click.argument("file", shell_complete=complete_files)
@click.option("-m", "--model", help="Folder or hub name of a classifier.  [default: the one that ottenok ships]")
@task_option
@column_options
@click.option(
    "--by", metavar="COLUMN", help="Shares of each group too; of dates COLUMN:month (year, quarter, week, day)."
)
@click.option(
    "--validation",
    metavar="DATA",
    help="Labelled texts of the same kind (a file with --text and --label, a corpus): a few hundred correct best.",
)
@split_option("validation")
@click.option(
    "--like",
    multiple=True,
    metavar="SET",
    help="The texts are like this set of the model's own labelled rows; repeat it.",
)
@click.option(
    "--method",
    type=click.Choice(["auto", "em", "bbse", "answered"]),
    default="auto",
    show_default=True,
    help="How true shares are found; auto is em with --validation or --like, and else those of the answers.",
)
@click.option("--rows", type=click.IntRange(min=1), help="Most texts that are read, sampled from all.  [default: all]")
@seed_option("Seed of draws and samples.")
@json_option
@page_option("Write a page (.html) too.")
@places_options()
def shares(  # noqa: PLR0913 - click passes each option by name
    file: str,
    *,
    model: str | None,
    tasks: tuple[str, ...],
    columns: Columns,
    by: str | None,
    validation: str | None,
    split: Literal["train", "validation", "test"],
    like: tuple[str, ...],
    method: Literal["auto", "em", "bbse", "answered"],
    rows: int | None,
    seed: int,
    as_json: bool,
    out: Path | None,
    places: Places,
) -> None:
    """Say which shares of the texts in FILE truly have each label.

    \b
      ottenok shares reviews.csv --text review
      ottenok shares reviews/ --text review --by date:month -o shares.html
      ottenok shares reviews.csv --text review --validation labelled.csv --label mark

    A classifier makes mistakes, so the shares of its answers are not those of the labels. Labelled texts of the same
    kind tell how it answers each label, and the shares that explain its answers best are found. Without them a range is
    told, as wide as what texts of another kind may do. FILE is a table, a folder of them, a glob, or - for standard
    input.
    """  # noqa: D301 - click reads \b as: keep these lines
    from ottenok.cli.bars import Bars
    from ottenok.core.files import atomic_write_text
    from ottenok.drift.shares import true_shares

    if file == "-" and sys.stdin is None:
        raise click.UsageError("standard input is closed, and no file is named")
    found = true_shares(
        sys.stdin.buffer if file == "-" else file,
        text=columns.text,
        model=model,
        tasks=tasks,
        by=by,
        validation=validation,
        split=split,
        columns=columns,
        like=like,
        method=method,
        rows=rows,
        seed=seed,
        table=columns.table,
        places=places,
        progress=Bars(),
    )
    if out is not None:
        atomic_write_text(out, found.to_html())
        tell(f"The page is {harmless(out)}")
    if as_json:
        write_json(found.to_json())
        return
    whole = found.whole
    say(f"{whole.texts:,} texts of {harmless(found.data)}, classified by {harmless(found.model)}")
    for name, grid in found.tables().items():
        heading(name)
        show_table([grid.header[0], *(f">{one}" for one in grid.header[1:])], grid.rows)
    say()
    for note in found.notes:
        say(note)
    for reason, count in {**whole.withheld, **found.left_out}.items():
        tell(f"Texts without a share, {harmless(reason)}: {count:,}")
