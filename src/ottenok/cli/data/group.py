"""`ottenok data`: data sets, and corpora made of them."""

from __future__ import annotations

import click

from ottenok.cli.lazy import LazyGroup

__all__ = ["data"]

_COMMANDS = {
    "build": ("ottenok.cli.data.build:build", "Make a corpus from a recipe, or from a file of your own."),
    "fetch": ("ottenok.cli.data.fetch:fetch", "Download data sets into the cache, checked."),
    "info": ("ottenok.cli.data.info:info", "Everything on a data set's card."),
    "list": ("ottenok.cli.data.list:list_cards", "The data sets that ottenok knows."),
    "recipes": ("ottenok.cli.data.recipes:recipes", "The corpus recipes that `build` knows by name."),
    "stats": ("ottenok.cli.data.stats:stats", "What is in a corpus, and what was dropped and why."),
}


@click.group(cls=LazyGroup, commands_at=_COMMANDS)
def data() -> None:
    """Data sets, and corpora made of them."""
