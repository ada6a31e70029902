"""`ottenok train`: a classifier from a recipe."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

__all__ = ["train"]

_SETTINGS: dict[str, Any] = {"ignore_unknown_options": True}


@click.command(context_settings=_SETTINGS)
@click.argument("recipe")
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="Folder of the trained classifier.")
@click.option("--corpus", type=click.Path(path_type=Path), help="A built corpus to learn from (--data.corpus).")
@click.option("--resume", is_flag=True, help="Go on with the run in the folder.")
@click.option(
    "--data-root",
    type=click.Path(path_type=Path),
    envvar="OTTENOK_DATA",
    help="Folder of data sets that is looked into first.",
)
@click.option(
    "--cache",
    type=click.Path(path_type=Path),
    envvar="OTTENOK_CACHE",
    default=Path.home() / ".cache" / "ottenok",
    show_default="~/.cache/ottenok",
    help="Folder of fetched data sets and built corpora.",
)
@click.argument("overrides", nargs=-1, type=click.UNPROCESSED)
def train(
    recipe: str,
    out: Path,
    corpus: Path | None,
    resume: bool,  # noqa: FBT001 - click passes options by name
    data_root: Path | None,
    cache: Path,
    overrides: tuple[str, ...],
) -> None:
    """Train a classifier from RECIPE, a TOML file or the name of a recipe.

    Every key of the recipe can be given here, for example: --model.encoder FOLDER --optim.lr 3e-5

    A run that was stopped or killed goes on with --resume, and ends as if it had not been.
    """
    # transformers tells of much that ottenok checks itself.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    from ottenok.cli.bars import Bars
    from ottenok.core.config import assignments, override
    from ottenok.experiments.training import train as run
    from ottenok.training.inputs import Places

    given = [*assignments(overrides), *([] if corpus is None else [f"data.corpus={corpus}"])]
    places = Places(cache=cache, root=data_root)
    trained = run(recipe, out, over=override(given), resume=resume, places=places, progress=Bars())
    if trained is not None:
        click.echo(f"The classifier is in {trained.bundle.folder}")
