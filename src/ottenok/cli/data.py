"""`ottenok data`: data sets, and corpora made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ottenok.cli.lazy import LazyGroup
from ottenok.cli.options import cache_option, folder_option, json_option
from ottenok.cli.screen import number, say, show_table, write_json

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["data", "fetch", "info", "list_cards", "recipes"]

_COMMANDS = {
    "build": ("ottenok.cli.data_build:build", "Make a corpus from a recipe, or from a file of your own."),
    "fetch": ("ottenok.cli.data:fetch", "Download data sets into the cache, checked."),
    "info": ("ottenok.cli.data:info", "Everything on a data set's card."),
    "list": ("ottenok.cli.data:list_cards", "The data sets that ottenok knows."),
    "recipes": ("ottenok.cli.data:recipes", "The corpus recipes that `build` knows by name."),
    "stats": ("ottenok.cli.data_stats:stats", "What is in a corpus, and what was dropped and why."),
}


@click.group(cls=LazyGroup, commands_at=_COMMANDS)
def data() -> None:
    """Data sets, and corpora made of them."""


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@cache_option
@json_option
def fetch(names: tuple[str, ...], cache: Path, *, as_json: bool) -> None:
    """Download the files of the data sets NAME into the cache.

    What is there and right is left as it is; a download that was broken off goes on where it stopped.
    """
    from ottenok.cli.bars import Bars
    from ottenok.data.card import load_card
    from ottenok.data.fetch import fetch as fetch_card

    cards = [load_card(name) for name in names]
    fetched = {card.name: fetch_card(card, cache=cache, progress=Bars()) for card in cards}
    if as_json:
        write_json(
            {name: [{"path": str(one.path), "sha256": one.sha256} for one in found] for name, found in fetched.items()}
        )
        return
    for name, found in fetched.items():
        say(f"{name}: {len(found)} files, {sum(one.bytes for one in found):,} bytes, in {cache}")


@click.command()
@click.argument("name")
@json_option
def info(name: str, *, as_json: bool) -> None:
    """Show everything on the card of the data set NAME."""
    from ottenok.data.card import load_card
    from ottenok.data.cardpage import render_card

    card = load_card(name)
    if as_json:
        write_json(card.model_dump(mode="json"))
        return
    say(render_card(card))


@click.command("list")
@folder_option
@cache_option
@json_option
def list_cards(data_root: Path | None, cache: Path, *, as_json: bool) -> None:
    """List the data sets that have a card: what they are, and whether their files are here."""
    from ottenok.core.errors import DataError
    from ottenok.data.card import card_names, load_card
    from ottenok.data.fetch import absent

    cards = sorted((load_card(name) for name in card_names()), key=lambda card: (card.kind != "labelled", card.name))
    if data_root is not None and not data_root.is_dir():
        hint = "Check --data-root or OTTENOK_DATA."
        raise DataError("the data root is not a folder", hint=hint, file=str(data_root))
    here = {}
    for card in cards:
        try:
            here[card.name] = all(file.optional for file in absent(card, root=data_root, cache=cache))
        except DataError:  # a set of the hub that was never fetched
            here[card.name] = False
    rows = {card.name: sum(file.rows or 0 for file in card.files if not file.alternative) for card in cards}
    if as_json:
        write_json(
            [
                {
                    "name": card.name,
                    "title": card.title,
                    "languages": card.languages,
                    "kind": card.kind,
                    "domain": card.domain,
                    "scheme": card.label.scheme or None,
                    "annotation": card.annotation,
                    "rows": rows[card.name] or None,
                    "licence": card.licence.id,
                    "here": here[card.name],
                }
                for card in cards
            ]
        )
        return
    show_table(
        ("Name", "In", "Labels", "Labelled", ">Rows", "Licence", ""),
        (
            (
                card.name,
                ", ".join(card.languages),
                card.label.scheme or card.kind,
                card.annotation,
                number(rows[card.name]),
                card.licence.id,
                "✓" if here[card.name] else "",
            )
            for card in cards
        ),
        whole=4,
    )
    others = sum(card.kind != "labelled" for card in cards)
    say(f"{len(cards) - others} data sets, {others} lexicons and unlabelled sets; {sum(here.values())} are here (✓).")
    say("More on one: ottenok data info NAME")


@click.command()
@json_option
def recipes(*, as_json: bool) -> None:
    """List the corpus recipes that `ottenok data build` knows by name."""
    from ottenok.recipes.corpus import load_recipe
    from ottenok.recipes.files import recipe_file, recipe_names

    found = [load_recipe(recipe_file(name, "data")) for name in recipe_names("data")]
    if as_json:
        write_json([recipe.model_dump(mode="json") for recipe in found])
        return
    show_table(
        ("Recipe", "Labels", "Sources"),
        (
            (recipe.name, ", ".join(recipe.task_names), ", ".join(source.name for source in recipe.sources))
            for recipe in found
        ),
    )
