"""`ottenok data fetch`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ottenok.cli.places import cache_option, json_option, write_json

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["fetch"]


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@cache_option()
@json_option()
def fetch(names: tuple[str, ...], cache: Path, as_json: bool) -> None:  # noqa: FBT001 - click passes options by name
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
        click.echo(f"{name}: {len(found)} files, {sum(one.bytes for one in found):,} bytes, in {cache}")
