"""Explanations as a page of HTML: static, without scripts, and safe whatever the texts are."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

from ottenok.core.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ottenok.explain.explanation import Explanation

__all__ = ["MARKS", "explanation_page", "marked_text", "strengths"]

# Controls, halves of characters and marks that turn the writing direction: shown by their number.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
# Styles of marked words: blue and orange, told apart by those who see no red or green, and light enough for any text.
MARKS = "mark { color: inherit; background: none; border-radius: .2em; padding: .1em 0 }" + "".join(
    f"\n.f{n} {{ background: rgba(31, 119, 200, {n * 0.07:.2f}) }}"
    f"\n.a{n} {{ background: rgba(230, 120, 20, {n * 0.08:.2f}) }}"
    for n in range(1, 10)
)
_STYLE = f"""
body {{ font: 16px/1.7 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem }}
body {{ color: #111; background: #fff }}
blockquote {{ margin: 1rem 0; white-space: pre-wrap; overflow-wrap: anywhere }}
{MARKS}
table {{ border-collapse: collapse }}
th, td {{ padding: .1rem .8rem .1rem 0; text-align: left; overflow-wrap: anywhere }}
td:last-child {{ text-align: right; font-variant-numeric: tabular-nums }}
.muted {{ color: #555 }}
"""


def strengths(explanation: Explanation) -> list[int]:
    """Return each word's share as a whole number from -9 to 9, of the largest in the text; 0 is next to nothing."""
    largest = max((abs(word.share) for word in explanation.words), default=0.0)
    return [round(9.0 * word.share / largest) if largest else 0 for word in explanation.words]


def _plain(text: str) -> str:
    """Return a text that is only text in HTML, and hides and turns nothing."""
    return html.escape(_HIDDEN.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text))


def marked_text(explanation: Explanation) -> str:
    """Return the text as HTML with a `mark` around each word that matters.

    Words that speak for the label have the class `f1` to `f9`, those against it `a1` to `a9`, and a title with the
    share. Everything of the text is escaped.
    """
    pieces, done = [], 0
    for word, strength in zip(explanation.words, strengths(explanation), strict=True):
        pieces.append(_plain(explanation.text[done : word.start]))
        shown = _plain(word.text)
        kind = f"{'f' if strength > 0 else 'a'}{abs(strength)}"
        pieces.append(f'<mark class="{kind}" title="{word.share:+.2f}">{shown}</mark>' if strength else shown)
        done = word.end
    pieces.append(_plain(explanation.text[done:]))
    return "".join(pieces)


def explanation_page(explanations: Sequence[Explanation], title: str = "Why this label") -> str:
    """Return one page that shows explanations; it holds no scripts and fetches nothing.

    Args:
        explanations: What to show, in order.
        title: Its heading.
    """
    parts = []
    for one in explanations:
        rows = "".join(
            f'<tr><td dir="auto">{_plain(word.text)}</td><td>{word.share:+.3f}</td></tr>'
            for word in sorted(one.words, key=lambda word: -abs(word.share))[:20]
        )
        parts.append(
            f"<section><h2>{_plain(one.task)}: {_plain(one.label)}</h2>"
            f'<blockquote dir="auto">{marked_text(one)}</blockquote>'
            f'<p class="muted">Logit {one.logit:+.3f}; of a text without words {one.base:+.3f}. Blue words speak for '
            "the label, orange ones against it.</p>"
            f"<table><thead><tr><th>word</th><th>share</th></tr></thead><tbody>{rows}</tbody></table></section>"
        )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        "base-uri 'none'; form-action 'none'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer">'
        f'<meta name="generator" content="ottenok {__version__}"><title>{_plain(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{_plain(title)}</h1>{''.join(parts)}</body></html>\n"
    )
