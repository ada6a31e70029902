"""`ottenok explain`: which words of a text its answer comes from."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from ottenok.cli.options import cache_option, json_option, page_option, task_option
from ottenok.cli.screen import bar, harmless, paint, say, tell, write_json
from ottenok.cli.standard_input import refuse_file

if TYPE_CHECKING:
    from pathlib import Path

    from ottenok.explain.explanation import Explanation

__all__ = ["explain"]

# Words in the list below the text.
_LISTED = 10


@click.command()
@click.argument("text", required=False)
@click.option("-m", "--model", help="Folder or hub name of a classifier.  [default: the one that ottenok ships]")
@task_option
@click.option("--label", help="Label that is explained.  [default: the answer]")
@page_option("Write a page (.html) too.")
@json_option
@cache_option
def explain(
    text: str | None,
    *,
    model: str | None,
    tasks: tuple[str, ...],
    label: str | None,
    out: Path | None,
    as_json: bool,
    cache: Path,
) -> None:
    """Show the share of each word of TEXT, or of standard input, in the answer.

    \b
      ottenok explain "Номер грязный, но завтрак отличный"
      ottenok explain "房间又小又脏" --task emotions-7 --label disgust

    A share is what the word adds to the logit of the label: blue words speak for it, orange ones against it. All shares
    and the logit of a text without words are together the logit of the text. Without --task the first task is
    explained. Chinese words need the extra "explain"; without it each character is a word.
    """  # noqa: D301 - click reads \b as: keep these lines
    from ottenok.core.files import atomic_write_text
    from ottenok.explain.page import explanation_page
    from ottenok.inference.api import load
    from ottenok.tables.encoding import decode_bytes

    if text is None or text == "-":
        if sys.stdin is None or sys.stdin.isatty():
            raise click.UsageError('no text is given: ottenok explain "TEXT", or ottenok explain < FILE')
        text = decode_bytes(sys.stdin.buffer.read())
    else:
        refuse_file(text, hint=", and its text is explained by: ottenok explain < FILE")
    if not text.strip():
        raise click.UsageError("the text is empty: there is no word to explain")
    classifier = load(model, cache=cache)
    found = [classifier.explain(text, task=name, label=label) for name in tasks or (classifier.tasks[0].name,)]
    if out is not None:
        atomic_write_text(out, explanation_page(found))
        tell(f"The page is {harmless(out)}")
    if as_json:
        write_json(found[0].to_json() if len(found) == 1 else [one.to_json() for one in found])
        return
    for place, one in enumerate(found):
        if place:
            say()
        _show(one)


def _show(one: Explanation) -> None:
    from ottenok.explain.page import strengths

    say(
        f"{harmless(one.task)}: {harmless(one.label)}   logit {one.logit:+.2f}, of a text without words {one.base:+.2f}"
    )
    pieces: list[tuple[str, str | None]] = []
    done = 0
    for word, strength in zip(one.words, strengths(one), strict=True):
        pieces.append((one.text[done : word.start], None))
        # Faint shares stay plain; the strongest third is bold.
        colour = (
            None
            if abs(strength) < 2
            else f"{'bold ' if abs(strength) > 6 else ''}{'blue' if strength > 0 else 'yellow'}"
        )
        pieces.append((word.text, colour))
        done = word.end
    paint([*pieces, (one.text[done:], None)])
    strongest = sorted(one.words, key=lambda word: -abs(word.share))[:_LISTED]
    largest = max((abs(word.share) for word in strongest), default=0.0)
    for word in strongest:
        length = bar(round(1000 * abs(word.share) / largest), 1000, cells=12) if largest else ""
        say(f"{word.share:+8.2f}  {length:<12}  {harmless(word.text[:60])}")
