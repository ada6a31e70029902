"""`ottenok drift`: what has changed between two sets of texts, or in what a server counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ottenok.cli.options import (
    cache_option,
    complete_files,
    json_option,
    page_option,
    probability_option,
    seed_option,
    table_options,
)
from ottenok.cli.screen import harmless, heading, say, show_table, tell, write_json

if TYPE_CHECKING:
    from pathlib import Path

    from ottenok.tables.options import TableOptions

__all__ = ["ALARM", "drift"]

# The exit code of an alarm.
ALARM = 3


def _floors(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> dict[str, float]:
    found = {}
    for entry in given:
        kind, equals, number = entry.partition("=")
        try:
            found[kind] = float(number)
        except ValueError:
            equals = ""
        if not equals:
            raise click.BadParameter(f"expected KIND=NUMBER, such as labels=0.05, found {entry!r}")
    return found


@click.command()
@click.argument("reference", shell_complete=complete_files)
@click.argument("new", shell_complete=complete_files)
@click.option("-m", "--model", help="Folder or hub name of a classifier.  [default: the one that ottenok ships]")
@click.option("--text", default="text", show_default=True, help="Column of the texts.")
@click.option(
    "--rows",
    type=click.IntRange(min=1),
    default=5000,
    show_default=True,
    help="Most texts that are measured of each, sampled from all: it bounds time and memory.",
)
@probability_option("--alpha", "Allowed probability of any false alarm.", default=0.05)
@click.option(
    "--floor",
    "floors",
    multiple=True,
    metavar="KIND=NUMBER",
    callback=_floors,
    help="Least effect that is worth an alarm: of languages, answers, length, capitals, unknown, unfamiliar, "
    "confidence, labels or embeddings; repeat it.",
)
@click.option("--apart", is_flag=True, help="Two texts of /metrics are of different servers, or of one started anew.")
@seed_option("Seed of samples and draws.")
@json_option
@page_option("Write a page (.html) too.")
@table_options
@cache_option
def drift(  # noqa: PLR0913 - click passes each option by name
    reference: str,
    new: str,
    *,
    model: str | None,
    text: str,
    rows: int,
    alpha: float,
    floors: dict[str, float],
    apart: bool,
    seed: int,
    as_json: bool,
    out: Path | None,
    table: TableOptions,
    cache: Path,
) -> None:
    """Say what has changed from the texts of REFERENCE to those of NEW.

    \b
      ottenok drift may.csv june.csv --text review -o drift.html
      ottenok drift reference/ today.jsonl --text message && echo "nothing new"
      ottenok drift monday.metrics tuesday.metrics

    Each is a table, a folder of tables, a built corpus, a glob, or the saved text of a server's /metrics. Compared are
    languages, lengths, unknown pieces, confidence, labels, embeddings and words. There is an alarm where a difference
    is no chance (permutation tests, held together) and large enough to matter (--floor).

    Exit codes: 0 no alarm, 3 alarm, 2 something that you can mend.
    """  # noqa: D301 - click reads \b as: keep these lines
    from ottenok.cli.bars import Bars
    from ottenok.core.files import atomic_write_text
    from ottenok.drift.compare import find_drift

    found = find_drift(
        reference,
        new,
        text=text,
        model=model,
        rows=rows,
        alpha=alpha,
        floors=floors,
        apart=apart,
        seed=seed,
        table=table,
        cache=cache,
        progress=Bars(),
    )
    if out is not None:
        atomic_write_text(out, found.to_html())
        tell(f"The page is {harmless(out)}")
    code = ALARM if found.alarm else 0
    if as_json:
        write_json(found.to_json())
        click.get_current_context().exit(code)
    say(f"{harmless(found.reference)} ({found.texts[0]:,} texts) and {harmless(found.new)} ({found.texts[1]:,} texts)")
    show_table(
        ["", ">effect", ">floor", ">p, of all tests", ""],
        [
            (one.title, f"{one.effect:.3f}", f"{one.floor:.3f}", f"{one.p_adjusted:.4f}", "ALARM" if one.alarm else "")
            for one in found.changes
        ],
    )
    for change in found.alarms:
        if change.labels:
            heading(f"{change.title}: shares of the answers, and where the true change may lie")
            rows_of = [
                (
                    one.label,
                    f"{one.old:.1%}",
                    f"{one.new:.1%}",
                    *(
                        "-" if side is None else f"{side.value:+.1%} ({side.low:+.1%} to {side.high:+.1%})"
                        for side in (one.true_change,)
                    ),
                )
                for one in change.labels
            ]
            show_table(["label", ">reference", ">new", ">true change"], rows_of)
        elif change.old:
            heading(change.title)
            keys = [*change.old, *(key for key in change.new if key not in change.old)]
            show_table(
                ["", ">reference", ">new"],
                [(key, f"{change.old.get(key, 0.0):.3g}", f"{change.new.get(key, 0.0):.3g}") for key in keys],
            )
    if found.words:
        heading("Words that changed most, in % of the texts")
        show_table(
            ["word", ">reference", ">new", ">z"],
            [(one.word[:40], f"{one.old:.1%}", f"{one.new:.1%}", f"{one.z:+.1f}") for one in found.words[:12]],
        )
    say()
    for note in found.notes:
        say(note)
    for left in found.left_out:
        for reason, count in left.items():
            tell(f"Rows left out, {harmless(reason)}: {count:,}")
    say(f"Alarm: {', '.join(one.title for one in found.alarms)}." if found.alarm else "No alarm.")
    click.get_current_context().exit(code)
