"""`ottenok data build`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ottenok.cli.options import cache_option, folder_option, json_option, keys_argument, label_map_option, recipe_keys
from ottenok.cli.screen import say, write_json
from ottenok.core.errors import ConfigError

if TYPE_CHECKING:
    from ottenok.data.corpus import Corpus
    from ottenok.recipes.corpus import CorpusRecipe

__all__ = ["build"]


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("source", metavar="RECIPE|FILE|HUB_NAME")
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="Folder of the corpus.")
@click.option("--text", help="Text column of a file of your own.")
@click.option("--label", "labels", multiple=True, help="Its label column; repeat it for several 0/1 columns.")
@click.option("--scheme", help="Label scheme of the corpus.  [default: the recipe's, or a file's labels as they are]")
@label_map_option
@folder_option
@cache_option
@json_option
@keys_argument
def build(out: Path, data_root: Path | None, cache: Path, *, as_json: bool, **given: Any) -> None:  # noqa: ANN401 - click passes options by name
    """Make a corpus.

    From a recipe, by name or as a TOML file:

      ottenok data build sentiment-ru-zh -o corpora/ru-zh

    Or from a file of your own (CSV, TSV, JSON, JSON lines, Parquet, XLSX) or a hub data set:

      ottenok data build reviews.csv --text review --label mark -o out

    Every key of a recipe can be given here too, for example: --seed 2 --clean.threshold 0.9 --split.test 0.2
    """
    from ottenok.cli.bars import Bars
    from ottenok.data.build import build as run

    recipe = _recipe(**given)
    corpus = run(recipe, root=data_root, cache=cache, out=out, progress=Bars())
    _report(corpus, as_json=as_json)


def _recipe(
    *,
    source: str,
    text: str | None,
    labels: tuple[str, ...],
    scheme: str | None,
    label_map: dict[str, str],
    keys: tuple[str, ...],
) -> CorpusRecipe:
    from ottenok.core.config import merge, parse
    from ottenok.recipes.corpus import CorpusRecipe, load_recipe

    over = recipe_keys(keys, top=CorpusRecipe.model_fields)
    if text is None and not labels:
        if label_map:
            raise ConfigError("a recipe has label maps of its own", hint="Change them there.", key="--label-map")
        return load_recipe(_recipe_path(source), over if scheme is None else {**over, "scheme": scheme})
    if text is None or not labels:
        raise ConfigError(
            "a file of your own needs both --text and --label",
            hint="Name its columns.",
            key="--label" if text else "--text",
        )
    tree = _own_recipe(source, text=text, labels=labels, scheme=scheme, label_map=label_map)
    return parse(CorpusRecipe, merge(tree, over))


def _recipe_path(source: str) -> Path:
    from ottenok.recipes.files import recipe_file

    path = Path(source)
    if path.is_file() and path.suffix != ".toml":
        raise ConfigError(
            "this is no recipe",
            hint="If it is data of your own, say which columns hold texts and labels: --text COLUMN --label COLUMN",
            file=source,
        )
    return recipe_file(source, "data")


def _own_recipe(
    source: str, *, text: str, labels: tuple[str, ...], scheme: str | None, label_map: dict[str, str]
) -> dict[str, Any]:
    """The recipe that stands for one file and its columns."""
    name = Path(source).stem
    own: dict[str, Any] = {
        "name": name,
        _place(source): source,
        "text": _column(text),
        "label": _column(labels[0]) if len(labels) == 1 else list(labels),
    }
    if label_map:
        own["label_map"] = label_map
    return {"name": name, "scheme": scheme or "own", "sources": [{"own": own}]}


def _place(source: str) -> str:
    """Whether a source is a file or a hub data set: `owner/name` that is no path here is on the hub."""
    path = Path(source)
    on_hub = not path.exists() and source.count("/") == 1 and not path.suffix and not source.startswith((".", "/"))
    return "hub" if on_hub else "file"


def _column(name: str) -> str | int:
    return int(name) if name.isascii() and name.isdigit() else name


def _report(corpus: Corpus, *, as_json: bool) -> None:
    from ottenok.data.corpus import REJECTS_FILE
    from ottenok.data.stats import corpus_stats

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
