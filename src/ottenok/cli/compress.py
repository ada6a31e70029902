"""`ottenok compress`: a smaller copy of a classifier, and what each step cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from ottenok.cli.options import column_options, json_option, out_option, places_options, split_option
from ottenok.cli.screen import say, show_table, write_json

if TYPE_CHECKING:
    from pathlib import Path

    from ottenok.studies.rows import Columns
    from ottenok.training.inputs import Places

__all__ = ["compress"]


@click.command()
@click.argument("model")
@out_option("Folder of the smaller classifier.", required=True, folder=True)
@click.option("--data", required=True, help="Labelled rows to measure on: a corpus, recipe or table.")
@split_option()
@column_options
@click.option(
    "--vocabulary",
    multiple=True,
    metavar="SOURCE",
    help="Corpus folder, table or .txt (a text a line) whose texts' pieces stay; repeat it.  [default: all stay]",
)
@click.option(
    "--min-count", type=click.IntRange(min=1), default=1, show_default=True, help="Times that a piece must occur there."
)
@click.option(
    "--step",
    "steps",
    multiple=True,
    metavar="NAME",
    help="vocabulary, embeddings or layers, in the order that they are taken.  [default: all]",
)
@click.option(
    "--max-loss",
    type=click.FloatRange(min=0.0, max=1.0),
    default=0.005,
    show_default=True,
    help="Macro F1 that a task may lose.",
)
@click.option("--rows", type=click.IntRange(min=100), default=5000, show_default=True, help="Most rows to measure on.")
@json_option
@places_options()
def compress(  # noqa: PLR0913 - click passes each option by name
    model: str,
    out: Path,
    *,
    data: str,
    split: Literal["train", "validation", "test"],
    columns: Columns,
    vocabulary: tuple[str, ...],
    min_count: int,
    steps: tuple[str, ...],
    max_loss: float,
    rows: int,
    as_json: bool,
    places: Places,
) -> None:
    """Make a smaller copy of MODEL, a classifier's folder, a hub name or "default".

    Steps: vocabulary drops the pieces that no text of --vocabulary needs (answers to texts whose pieces stay do not
    change by a bit), embeddings and layers turn fp32 into int8. After each step size, texts/s and F1 are measured, and
    the cell (language and label) that fell most is named. A step after which a task has lost more than --max-loss of
    its macro F1 is refused, and the next goes on without it.

    DATA should hold other texts than those of --vocabulary: of a corpus, the training rows are read for the vocabulary.
    Needs no torch.
    """
    from ottenok.cli.bars import Bars
    from ottenok.studies.compress import compress as run

    found = run(
        model,
        out,
        data=data,
        split=split,
        columns=columns,
        vocabulary=vocabulary,
        least=min_count,
        steps=steps,
        most_loss=max_loss,
        most_rows=rows,
        places=places,
        progress=Bars(),
    )
    if as_json:
        write_json(found.to_json())
        return
    table = found.table()
    show_table(table.header, table.rows)
    for step in found.steps[1:]:
        say(f"{step.name} {'kept' if step.kept else 'refused'}: {step.told}.")
    for reason, count in found.left_out.items():
        say(f"Rows left out, {reason}: {count:,}.")
    say(f"The smaller classifier is in {found.bundle.folder}")
