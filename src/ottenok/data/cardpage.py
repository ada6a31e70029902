"""The page about the data sets, made from their cards: `python -m ottenok.data.cardpage docs/data.md`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ottenok.core.files import atomic_write_text
from ottenok.data.card import card_names, load_card

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ottenok.data.card import Card

__all__ = ["render", "render_card", "write_page"]

_LANGUAGES = {"ru": "Russian", "zh": "Chinese"}
_MAKERS = {
    "human": "people",
    "author": "the texts' authors",
    "distant": "emoticons",
    "translated": "people, on the English original",
    "unknown": "not documented",
}
_HEAD = """\
# Data sets

What ottenok knows of each public data set stands in its card, a TOML file in `src/ottenok/data/cards`. This page is
made from the cards by `python -m ottenok.data.cardpage docs/data.md`: change a card, not the page.

ottenok ships no texts. A set is read from a data root (`--data-root`, `OTTENOK_DATA`) or from the cache that
`ottenok data fetch NAME` fills; both have the layout of the file tables below. A file with a checksum is used only if
it has it. Where there is no address, `ottenok data fetch` says what to put where by hand.

A licence that is `unknown` means that the source states none. Such a set may do to train and to measure with, but that
is for you to judge; the card of a model names every set that the model has seen.
"""
_OTHERS = """\
Lexicons, and texts without labels. No corpus is made of them.
"""


def render(cards: Iterable[Card]) -> str:
    """Return the page in Markdown: sets of labelled texts, then lexicons and unlabelled texts, each by name."""
    cards = sorted(cards, key=lambda card: (card.kind != "labelled", card.name))
    others = [card for card in cards if card.kind != "labelled"]
    blocks = [_HEAD, _overview([card for card in cards if card.kind == "labelled"])]
    blocks += [_OTHERS, _overview(others)] if others else []
    blocks += [render_card(card) for card in cards]
    return "\n".join(blocks)


def write_page(path: Path) -> None:
    """Write the page about ottenok's own cards to `path`."""
    atomic_write_text(path, render(load_card(name) for name in card_names()))


def _overview(cards: Sequence[Card]) -> str:
    rows = []
    for card in cards:
        files = [file for file in card.files if not file.alternative]
        counted = sum(file.rows or 0 for file in files)
        needed = [file for file in files if not file.optional]
        if any(file.url is None for file in needed):
            access = "by hand"
        else:
            access = "fetch, checked" if all(file.sha256 for file in needed) else "fetch, no checksum published"
        rows.append(
            (
                f"[{card.name}](#{card.name})",
                ", ".join(_LANGUAGES.get(code, code) for code in card.languages),
                card.domain,
                card.label.scheme or card.kind,
                _MAKERS[card.annotation],
                f"{counted:,}" if counted else "",
                card.licence.id,
                access,
            )
        )
    return _table(("set", "language", "texts", "labels", "labelled by", "rows", "licence", "how to get it"), rows)


def render_card(card: Card) -> str:
    """Return the section about one data set in Markdown."""
    lines = [f"## {card.name}\n", f"**{card.title}.** {card.task}\n"]
    if card.kind == "labelled":
        told = [f"`{source}` is {target}" for source, target in card.label.map.items() if target]
        told += [f"no label is {card.label.empty}"] if card.label.empty else []
        dropped = ", ".join(f"`{source}`" for source, target in card.label.map.items() if not target)
        parts = [", ".join(told), f"dropped: {dropped}" if dropped else ""]
        lines.append(f"- Labels: `{card.label.scheme}`. {'; '.join(part for part in parts if part)}.")
    else:
        lines.append(f"- No labelled texts: {card.kind}.")
    if card.label.rule:
        lines.append(f"- Why so: {' '.join(card.label.rule.split())}")
    if card.raters:
        least = card.raters.minimum
        lines.append(
            f"- Raters: a text needs {least} ratings and a sign that is alone in front; other texts are dropped."
        )
    if card.emoticons:
        lines.append("- Emoticons are removed from the texts, because the labels were made from them.")
    lines += ["- Known faults:", *(f"  - {fault}" for fault in card.faults)]
    if card.overlaps:
        lines.append(f"- Shares texts with: {', '.join(f'[{name}](#{name})' for name in card.overlaps)}.")
    licence = card.licence
    commercial = {True: "allowed", False: "forbidden", None: "not stated"}[licence.commercial]
    passed_on = "may" if licence.redistribute else "may not"
    lines.append(
        f"- Licence: {licence.id}; commercial use {commercial}, texts {passed_on} be passed on. "
        f"({licence.statement.rstrip('.')}.)"
    )
    hub = f", on the hub as `{card.hub}`" if card.hub else ""
    lines.append(f"- Source: {card.citation}. <{card.homepage}>{hub}")
    files = []
    for file in card.files:
        remarks = (
            f"all {file.label}" if file.label else "",
            file.part or "",
            "optional" if file.optional else "",
            "a second form of other rows, not read" if file.alternative else "",
            "read beside the file before it" if file.beside else "",
            "" if file.url else "no address",
        )
        files.append(
            (
                f"`{file.path}`",
                file.split or "",
                "" if file.rows is None else f"{file.rows:,}",
                "" if file.bytes is None else f"{file.bytes:,}",
                f"`{file.sha256[:12]}`" if file.sha256 else "",
                ", ".join(remark for remark in remarks if remark),
            )
        )
    return "\n".join([*lines, "", _table(("file", "split", "rows", "bytes", "sha256 begins", "remark"), files)])


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


if __name__ == "__main__":
    write_page(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/data.md"))
