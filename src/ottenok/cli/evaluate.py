"""`ottenok evaluate`: how good a classifier is on labelled rows, beside its baselines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from ottenok.cli.options import (
    bootstrap_options,
    column_options,
    json_option,
    out_option,
    places_options,
    read_option,
    split_option,
    task_option,
)
from ottenok.cli.screen import say, tell, write_json

if TYPE_CHECKING:
    from ottenok.studies.rows import Columns
    from ottenok.training.inputs import Places

__all__ = ["evaluate"]


@click.command()
@click.argument("model")
@click.argument("data")
@split_option()
@column_options
@task_option
@read_option
@click.option("--baselines/--no-baselines", default=True, help="Fit and measure the baselines too.")
@bootstrap_options
@click.option(
    "--noise",
    multiple=True,
    metavar="KIND:RATE",
    help="Under noise too, and how many answers change: typos, asr, upper, date, url, ...",
)
@click.option("--emoji", multiple=True, metavar="WAY", help="And with emoji treated: remove, name, name-ru, name-zh.")
@click.option(
    "--predictions",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the probabilities of all rows to FILE (Parquet, without texts).",
)
@click.option("--record", "keep", is_flag=True, help="Keep the figures in MODEL's manifest and card.")
@json_option
@out_option("Write to FILE: .json, .md or plain text.")
@places_options()
def evaluate(  # noqa: PLR0913 - click passes each option by name
    model: str,
    data: str,
    split: Literal["train", "validation", "test"],
    columns: Columns,
    tasks: tuple[str, ...],
    *,
    read: Literal["all", "end"] | None,
    baselines: bool,
    resamples: int,
    seed: int,
    noise: tuple[str, ...],
    emoji: tuple[str, ...],
    predictions: Path | None,
    keep: bool,
    as_json: bool,
    out: Path | None,
    places: Places,
) -> None:
    """Measure MODEL on DATA.

    MODEL is a trained classifier's folder, a hub name, or "default". DATA is a corpus folder, a file with texts and
    labels (CSV, TSV, JSONL, Parquet, XLSX), or the name of a corpus recipe.

    Prints precision, recall, F1, AUC and support per label with their averages; accuracy, F1 and more for the model and
    two baselines, fitted on the corpus's training rows; and macro F1 per source. Brackets are 95 % bootstrap intervals.

    MODEL/predictions/test.parquet, written by --predictions, is what `ottenok compare` reads.

    With --noise asr:0.3 --noise typos:0.1 --emoji remove, also what the model loses when the same texts are noisy:
    macro F1 under each, and its difference from clean texts.
    """
    from ottenok.cli.bars import Bars
    from ottenok.core.files import atomic_write_text
    from ottenok.inference.api import load
    from ottenok.studies.evaluation import evaluate as run

    if keep and read is not None:
        raise click.UsageError("--record keeps figures of a classifier as it is used: leave --read out.")
    bars = Bars()
    classifier = load(model, read=read, cache=places.cache, progress=bars)
    found = run(
        classifier,
        data,
        split=split,
        columns=columns,
        tasks=tasks,
        baselines=baselines,
        resamples=resamples,
        seed=seed,
        noise=noise,
        emoji=emoji,
        predictions=predictions,
        places=places,
        progress=bars,
    )
    if keep:
        from ottenok.inference.places import find_folder
        from ottenok.studies.cards import record

        record(find_folder(model, cache=places.cache, progress=None), found)
    if as_json:
        write_json(found.to_json())
    suffix = out.suffix.lower() if out else ""
    if suffix == ".json":
        text = json.dumps(found.to_json(), ensure_ascii=False, indent=2, allow_nan=False)
    else:
        markdown = suffix == ".md"
        parts = [
            f"{'## ' if markdown else ''}{heading}\n\n{grid.markdown() if markdown else grid.text()}"
            for heading, grid in found.tables().items()
        ]
        left_out = [f"Rows left out, {reason}: {rows:,}." for reason, rows in found.left_out.items()]
        notes = "\n".join(f"- {line}" if markdown else line for line in (*left_out, *found.notes))
        text = "\n\n".join([*parts, notes] if notes else parts)
    if out is not None:
        atomic_write_text(out, text + "\n")
        tell(f"Written to {out}")
    elif not as_json:
        say(text)
