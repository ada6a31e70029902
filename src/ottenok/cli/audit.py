"""`ottenok audit`: which rows of labelled data are probably wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ottenok.cli.options import column_options, json_option, keys_argument, out_option, places_options
from ottenok.cli.screen import harmless, number, say, share, show_table, tell, write_json

if TYPE_CHECKING:
    from ottenok.audit.findings import Kind
    from ottenok.audit.run import Audit
    from ottenok.studies.rows import Columns
    from ottenok.training.inputs import Places

__all__ = ["audit"]

_KINDS = ("conflict", "label", "near-conflict", "leak", "near-leak", "outlier", "duplicate")
# Findings and pairs of labels on the screen.
_LISTED, _PAIRS = 10, 6
_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("data")
@column_options
@click.option("--split-column", help="Column that says in which split a row is, for a file.")
@click.option("--task", help="Task of a corpus with several.  [default: the first]")
@click.option("-m", "--model", help="Classifier whose embeddings are read.  [default: the one that ottenok ships]")
@click.option("--full", is_flag=True, help="Train the whole model for each fold, not a head: minutes to hours.")
@click.option("--folds", type=click.IntRange(min=2), default=5, show_default=True, help="Models that judge, in turn.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of everything random.")
@out_option("Table of findings: .csv, .tsv, .jsonl or .parquet.")
@click.option("--html", type=_FILE, help="Page to read, such as audit.html.")
@click.option("--write", type=click.Path(path_type=Path), help="Cleaned copy; WRITE.changes.jsonl tells every change.")
@click.option("--drop", multiple=True, type=click.Choice(_KINDS), help="Leave such rows out of the copy; repeat it.")
@click.option("--relabel", multiple=True, type=click.Choice(_KINDS[:3]), help="Give them the suggested label.")
@click.option("--keep", multiple=True, type=click.Choice(_KINDS), help="Keep them as they are.")
@click.option(
    "--least",
    type=click.FloatRange(0, 1),
    default=0.9,
    show_default=True,
    help="Least score of suspected labels that the copy drops or relabels.",
)
@click.option("--change-test", is_flag=True, help="Drop and relabel rows of a test split too.")
@click.option("--overwrite", is_flag=True, help="Replace outputs that exist, though never DATA.")
@json_option
@places_options()
@keys_argument
def audit(  # noqa: PLR0913 - click passes each option by name
    data: str,
    columns: Columns,
    *,
    split_column: str | None,
    task: str | None,
    model: str | None,
    full: bool,
    folds: int,
    seed: int,
    out: Path | None,
    html: Path | None,
    write: Path | None,
    drop: tuple[Kind, ...],
    relabel: tuple[Kind, ...],
    keep: tuple[Kind, ...],
    least: float,
    change_test: bool,
    overwrite: bool,
    as_json: bool,
    places: Places,
    keys: tuple[str, ...],
) -> None:
    """Find the rows of DATA that are probably mislabelled, and say why.

    \b
      ottenok audit reviews.csv --text review --label mark --html audit.html
      ottenok audit reviews.csv --text review --label mark --write clean.csv
      ottenok audit corpora/reviews -o findings.csv

    DATA is a file with texts and labels, a corpus folder or a corpus recipe; the labels may be of any scheme. Each
    label is judged by models that have not learned from the row or its copies. Also found: equal and nearly equal texts
    with different labels, texts that stand in two splits, texts unlike the others.

    The copy of --write is without rows whose label is contradicted (conflict), suspected (label, from --least on), or
    whose text is in a test or validation split too (leak, near-leak); other kinds stay. DATA is never changed. With
    --full, keys of a training recipe may follow: --model.encoder NAME.
    """  # noqa: D301 - click reads \b as: keep these lines
    from ottenok.audit.run import audit_data
    from ottenok.cli.bars import Bars
    from ottenok.cli.options import recipe_keys

    train = recipe_keys(keys, top=())
    if train and not full:
        raise click.UsageError(f"keys of a training recipe go with --full: {harmless(keys[0])}")
    doubles = (set(drop) & set(relabel)) | (set(drop) & set(keep)) | (set(relabel) & set(keep))
    if doubles:
        raise click.UsageError(f"{', '.join(sorted(doubles))} can be dropped, relabelled or kept, one of them")
    if write is None and (drop or relabel or keep or change_test):
        raise click.UsageError("--drop, --relabel, --keep and --change-test say what the copy of --write becomes")
    found = audit_data(
        data,
        split_column=split_column,
        task=task,
        columns=columns,
        model=model,
        full=full,
        train=train,
        folds=folds,
        seed=seed,
        out=out,
        html=html,
        write=write,
        actions={
            **dict.fromkeys(drop, "drop"),
            **dict.fromkeys(relabel, "relabel"),
            **dict.fromkeys(keep, "keep"),
        },
        least=least,
        test=change_test,
        overwrite=overwrite,
        places=places,
        progress=Bars(),
    )
    if as_json:
        write_json(found.to_json(20))
    else:
        _show(found)
    for what, place in (("The table of findings is", out), ("The page is", html)):
        if place is not None:
            tell(f"{what} {harmless(place)}")
    if found.cleaned is not None:
        told = ", ".join(f"{count:,} {change}" for change, count in found.cleaned.changes.items())
        tell(f"The cleaned copy is {harmless(found.cleaned.out)}: {number(found.cleaned.rows)} rows ({told})")
        tell(f"Every change is in {harmless(found.cleaned.log)}")


def _show(found: Audit) -> None:
    from ottenok.audit.findings import KINDS

    total = len(found.rows)
    say(f"{harmless(found.rows.name)}: {number(total)} rows")
    for reason, count in found.to_json(0)["rejected"].items():
        say(f"Rows left out, {reason}: {number(count)}.")
    if found.suspicion.unjudged:
        shown = ", ".join(harmless(label) for label in found.suspicion.unjudged[:10])
        say(f"Too few texts have these labels, so they are not judged: {shown}.")
    say()
    counts = found.counts
    rows = [(kind, f"{counts[kind]:,}", share(counts[kind], total), meaning) for kind, meaning in KINDS.items()]
    show_table(("Kind", "Rows", "Share", "Meaning"), rows)
    pairs = found.confusions[:_PAIRS]
    if pairs:
        say()
        show_table(("Suspected", "Rather", "Rows"), [(harmless(a), harmless(b), number(n)) for a, b, n in pairs])
    if found.findings:
        say()
        say("The surest:")
    for one in found.findings[:_LISTED]:
        told = one.to_json(found.rows)
        label = " + ".join(told["label"]) or "none"
        rather = "" if told["suggested"] is None else f", rather {' + '.join(told['suggested']) or 'none'}"
        say(f"row {told['row']}  {one.kind}  {harmless(label + rather)}  ({harmless(one.reason)})")
        say(f"    {harmless(' '.join(told['text'][:150].split()))}")
