"""`ottenok generate`: labelled examples for rare labels, written by a language model."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ottenok.cli.options import json_option, keys_argument, recipe_keys
from ottenok.cli.screen import say, write_json

if TYPE_CHECKING:
    from ottenok.generate.server import Spent

__all__ = ["generate"]

_SOURCE = """\
As a source of a corpus recipe, so that no generated text gets into validation or a test:

[[sources]]
use = "train-only"
validation = "train"
[sources.own]
name = "generated"
file = "{file}"
languages = ["{language}"]"""


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("recipe")
@click.option("-o", "--out", type=click.Path(path_type=Path, dir_okay=False), help="File of JSON lines to write.")
@click.option(
    "--against",
    type=click.Path(path_type=Path, file_okay=False),
    multiple=True,
    help="A corpus whose texts may not come back, not even nearly. May be repeated.",
)
@click.option("--resume", is_flag=True, help="Go on with the file that is there.")
@click.option("--dry-run", is_flag=True, help="Show the prompts and a rough cost; ask no one.")
@click.option("--max-cost", type=click.FloatRange(min=0, min_open=True), help="Stop before it costs more than this.")
@click.option(
    "--key-variable",
    default="OPENAI_API_KEY",
    show_default=True,
    help="Environment variable that holds the server's key.",
)
@json_option
@keys_argument
def generate(  # noqa: PLR0913 - click passes each option by name
    recipe: str,
    keys: tuple[str, ...],
    *,
    out: Path | None,
    against: tuple[Path, ...],
    resume: bool,
    dry_run: bool,
    max_cost: float | None,
    key_variable: str,
    as_json: bool,
) -> None:
    """Have a language model write texts of the labels in RECIPE, a TOML file or the name of a recipe.

    No server is asked unless you name one, for example:
    --server.base_url http://localhost:8000/v1 --server.model NAME --prices.input 0.15 --prices.output 0.6

    Repeats are refused, and so are copies of texts of the corpora that --against names: name those that you test on.
    What was accepted is in the file at once; a run that was stopped or killed goes on with --resume.
    """
    from ottenok.cli.bars import Bars
    from ottenok.core.config import merge
    from ottenok.core.errors import ConfigError
    from ottenok.generate.recipe import GenerationRecipe, load_generation_recipe, load_prompts
    from ottenok.generate.run import Files
    from ottenok.generate.run import generate as run
    from ottenok.generate.server import plan
    from ottenok.recipes.files import recipe_file

    over: dict[str, Any] = recipe_keys(keys, top=GenerationRecipe.model_fields)
    if max_cost is not None:
        over = merge(over, {"limits": {"max_cost": max_cost}})
    chosen = load_generation_recipe(recipe_file(recipe, "generate"), over)
    currency = chosen.prices.currency
    if dry_run:
        have = Files(out, chosen).accepted if out is not None and resume else {}
        requests, spent = plan(chosen, load_prompts(chosen), have=have)
        if as_json:
            prompts = [{"request": one.id, "prompt": one.prompt.name, "text": one.text} for one in requests]
            write_json({"prompts": prompts, "estimate": asdict(spent)})
            return
        for request in requests:
            say(f"--- {request.id}, {request.prompt.name}, seed {request.seed}\n{request.text}\n")
        say(
            f"Roughly: {spent.requests:,} requests, {_price(spent, currency)}, if every text is a new one. "
            "Tokens are guessed, 40 for a text; no server was asked."
        )
        return
    if out is None:
        raise ConfigError("there is no file to write to", hint="Name one: -o FILE.jsonl")
    if out.suffix != ".jsonl":
        raise ConfigError(f"the file must end in .jsonl, found {out.suffix!r}", hint="For example: -o fear.jsonl")
    bars, key = Bars(), os.environ.get(key_variable) or None
    if key and chosen.server.in_the_clear:
        bars.note("The key goes to the server unencrypted: its address begins with http://")

    def watch(spent: Spent) -> None:
        bars.describe(_price(spent, currency))

    try:
        summary = run(chosen, out, key=key, against=against, resume=resume, watch=watch, progress=bars)
    except KeyboardInterrupt:
        bars.note(f"What was accepted is in {out}: go on with --resume.")
        raise
    if as_json:
        write_json(asdict(summary))
        return
    for label, count in summary.wanted.items():
        say(f"{label}: {summary.accepted[label]:,} of {count:,} texts")
    for reason, count in summary.refused.items():
        say(f"Refused, {reason}: {count:,}")
    for problem, count in summary.problems.items():
        say(f"Without a usable answer, {problem}: {count:,}")
    say(f"Spent: {summary.spent.requests:,} requests, {_price(summary.spent, currency)}")
    if summary.stopped:
        say(f"Stopped early: {summary.stopped}.")
    say(f"\nThe texts are in {out}")
    say(_SOURCE.format(file=out.absolute().as_posix(), language=chosen.language))


def _price(spent: Spent, currency: str) -> str:
    about = "about " if spent.estimated else ""
    tokens = f"{about}{spent.input_tokens + spent.output_tokens:,} tokens"
    return f"{tokens}, {spent.cost:.4f} {currency}" if spent.cost else f"{tokens}, no price"
