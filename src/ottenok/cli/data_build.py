"""`ottenok data build`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ottenok.cli.options import (
    cache_option,
    folder_option,
    json_option,
    keys_argument,
    label_map_option,
    recipe_keys,
    table_options,
)
from ottenok.cli.screen import say, write_json

if TYPE_CHECKING:
    from ottenok.tables.options import TableOptions

__all__ = ["build"]


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("source", metavar="RECIPE|FILE|HUB_NAME")
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="Folder of the corpus.")
@click.option("--text", help="Text column of a file of your own.")
@click.option("--label", "labels", multiple=True, help="Its label column; repeat it for several 0/1 columns.")
@click.option("--scheme", help="Label scheme of the corpus.  [default: the recipe's, or a file's labels as they are]")
@label_map_option
@table_options
@folder_option
@cache_option
@json_option
@keys_argument
def build(  # noqa: PLR0913 - click passes each option by name
    source: str,
    out: Path,
    *,
    text: str | None,
    labels: tuple[str, ...],
    scheme: str | None,
    label_map: dict[str, str],
    table: TableOptions,
    data_root: Path | None,
    cache: Path,
    keys: tuple[str, ...],
    as_json: bool,
) -> None:
    """Make a corpus.

    From a recipe, by name or as a TOML file:

      ottenok data build sentiment-ru-zh -o corpora/ru-zh

    Or from a file of your own (CSV, TSV, JSON, JSON lines, Parquet, XLSX) or a hub data set:

      ottenok data build reviews.csv --text review --label mark -o out

    Every key of a recipe can be given here too, for example: --seed 2 --clean.threshold 0.9 --split.test 0.2
    """
    from ottenok.cli.bars import Bars
    from ottenok.data.build import build_corpus
    from ottenok.data.corpus import REJECTS_FILE
    from ottenok.data.stats import corpus_stats
    from ottenok.recipes.corpus import CorpusRecipe

    label = labels[0] if len(labels) == 1 else labels
    corpus = build_corpus(
        source,
        out,
        text=text,
        label=label or None,
        scheme=scheme,
        label_map=label_map,
        table=table,
        overrides=recipe_keys(keys, top=CorpusRecipe.model_fields),
        data_root=data_root,
        cache=cache,
        progress=Bars(),
    )
    found = corpus_stats(corpus)
    if as_json:
        write_json({"folder": str(corpus.folder), **found.to_json()})
        return
    kept = ", ".join(f"{split} {rows:,}" for split, rows in found.rows.items())
    say(f"{corpus.folder}: {sum(found.rows.values()):,} texts ({kept})")
    rejected = {source.name: source.rejected for source in found.sources if source.rejected}
    for name, reasons in rejected.items():
        told = ", ".join(f"{reason}: {count:,}" for reason, count in reasons.items())
        whole = sum(reasons.values())
        say(f"{name}: {whole:,} {'record was' if whole == 1 else 'records were'} rejected ({told})")
    if rejected:
        say(f"The rejected records are in {corpus.folder / REJECTS_FILE}")
    say(f"What was dropped and why: ottenok data stats {corpus.folder}")
