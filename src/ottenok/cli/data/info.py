"""`ottenok data info`."""

from __future__ import annotations

import click

from ottenok.cli.places import json_option, write_json

__all__ = ["info"]


@click.command()
@click.argument("name")
@json_option()
def info(name: str, as_json: bool) -> None:  # noqa: FBT001 - click passes options by name
    """Show everything on the card of the data set NAME."""
    from ottenok.data.card import load_card
    from ottenok.data.cardpage import render_card

    card = load_card(name)
    if as_json:
        write_json(card.model_dump(mode="json"))
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(render_card(card)))
