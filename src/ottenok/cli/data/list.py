"""`ottenok data list`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ottenok.cli.places import cache_option, data_root_option, json_option, write_json

if TYPE_CHECKING:
    from pathlib import Path

    from ottenok.data.card import Card

__all__ = ["list_cards"]


@click.command("list")
@data_root_option()
@cache_option()
@json_option()
def list_cards(data_root: Path | None, cache: Path, as_json: bool) -> None:  # noqa: FBT001 - click passes options by name
    """List the data sets that have a card: what they are, and whether their files are here."""
    from ottenok.data.card import card_names, load_card

    cards = [load_card(name) for name in card_names()]
    here = {card.name: _is_here(card, data_root, cache) for card in cards}
    if as_json:
        write_json([_as_json(card, here=here[card.name]) for card in cards])
        return
    from ottenok.cli.tables import number, show_table, write

    show_table(
        ("Name", "In", "Labels", "Labelled", ">Rows", "Licence", ""),
        (
            (
                card.name,
                ", ".join(card.languages),
                card.label.scheme,
                card.annotation,
                number(_rows(card)),
                card.licence.id,
                "✓" if here[card.name] else "",
            )
            for card in cards
        ),
        whole=4,
    )
    write(f"{len(cards)} data sets, {sum(here.values())} of them here (✓). More on one: ottenok data info NAME")


def _is_here(card: Card, root: Path | None, cache: Path) -> bool:
    from ottenok.core.errors import DataError
    from ottenok.data.fetch import absent

    if root is not None and not root.is_dir():
        raise DataError("the data root is not a folder", hint="Check --data-root or OTTENOK_DATA.", file=str(root))
    try:
        return all(file.optional for file in absent(card, root=root, cache=cache))
    except DataError:  # a set of the hub that was never fetched
        return False


def _rows(card: Card) -> int:
    return sum(file.rows or 0 for file in card.files if not file.alternative)


def _as_json(card: Card, *, here: bool) -> dict[str, object]:
    return {
        "name": card.name,
        "title": card.title,
        "languages": card.languages,
        "domain": card.domain,
        "scheme": card.label.scheme,
        "annotation": card.annotation,
        "rows": _rows(card) or None,
        "licence": card.licence.id,
        "here": here,
    }
