"""`ottenok tune`: temperature and thresholds of a trained classifier, fitted anew."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import click

from ottenok.cli.places import cache_option, data_root_option, json_option, write_json

if TYPE_CHECKING:
    from ottenok.studies.tuning import Retuned
    from ottenok.tasks.thresholds import ThresholdMetric, ThresholdOptions

__all__ = ["tune"]


def _known_metric(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """Return the name if there is such a metric; the names are looked up only when the option is used."""
    from ottenok.tasks.thresholds import ThresholdMetric

    known = get_args(ThresholdMetric)
    if value is not None and value not in known:
        raise click.BadParameter(f"there is no metric {value!r}. Use one of: {', '.join(known)}.")
    return value


@click.command()
@click.argument("model")
@click.argument("data")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, file_okay=False), help="Write a tuned copy here; leave MODEL."
)
@click.option(
    "--split",
    type=click.Choice(["validation", "train", "test"]),
    default="validation",
    show_default=True,
    help="Of a corpus.",
)
@click.option("--text", default="text", show_default=True, help="Column of the texts, for a file.")
@click.option(
    "--label", multiple=True, default=("label",), show_default=True, help="Column of the labels; several 0/1 columns."
)
@click.option("--metric", callback=_known_metric, help="What thresholds maximise.  [default: macro_f1]")
@click.option("--per-label/--one", default=None, help="One threshold per label, or one for all.  [default: per label]")
@click.option(
    "--minimum",
    type=click.IntRange(min=1),
    help="True rows that a label needs for a threshold of its own.  [default: 20]",
)
@click.option("--empty", help="What an answer without labels becomes: allow, top, or a label.  [default: as before]")
@click.option("--exclusive", help="Label that is left out beside others, or none.  [default: as before]")
@click.option("--temperature/--no-temperature", default=True, help="Fit the temperature too.")
@click.option("--dry-run", is_flag=True, help="Only tell; change nothing.")
@json_option()
@data_root_option()
@cache_option()
def tune(  # noqa: PLR0913 - click passes each option by name
    model: str,
    data: str,
    out: Path | None,
    split: Literal["train", "validation", "test"],
    text: str,
    label: tuple[str, ...],
    *,
    metric: ThresholdMetric | None,
    per_label: bool | None,
    minimum: int | None,
    empty: str | None,
    exclusive: str | None,
    temperature: bool,
    dry_run: bool,
    as_json: bool,
    data_root: Path | None,
    cache: Path,
) -> None:
    """Fit temperature and thresholds of MODEL anew on DATA, without training.

    MODEL is the folder of a classifier that ottenok trained, or "default", of which only a copy is tuned (-o). Its
    decision is replaced, and figures of the old one are kept under other names. DATA is a corpus folder, a file with
    texts and labels, or the name of a corpus recipe: rows that the model has not learned from and is not tested on.

    Thresholds are for labels that may come together. Figures "after" are of rows judged by what was found on others.
    """
    from ottenok.cli.bars import Bars
    from ottenok.studies.rows import Columns
    from ottenok.studies.tuning import TuneSpec
    from ottenok.studies.tuning import tune as run
    from ottenok.training.inputs import Places

    spec = TuneSpec(
        split=split,
        columns=Columns(text=text, label=label[0] if len(label) == 1 else label),
        temperature=temperature,
        thresholds=_thresholds(metric, minimum, per_label=per_label),
        empty=empty,
        exclusive="" if exclusive == "none" else exclusive,
        write=not dry_run,
        out=out,
        places=Places(cache=cache, root=data_root),
    )
    found = run(model, data, spec=spec, progress=Bars())
    if as_json:
        write_json({"decision": found.decision.to_json(), "tuning": found.report.to_json(), "left_out": found.left_out})
        return
    _show(found, written=not dry_run)


def _thresholds(
    metric: ThresholdMetric | None, minimum: int | None, *, per_label: bool | None
) -> ThresholdOptions | None:
    """Return what was asked for; None where nothing was, so that the scheme decides."""
    from ottenok.tasks.thresholds import ThresholdOptions

    given = {"metric": metric, "minimum_positives": minimum, "per_label": per_label}
    told = {key: value for key, value in given.items() if value is not None}
    return ThresholdOptions.model_validate(told) if told else None


def _show(found: Retuned, *, written: bool) -> None:
    from ottenok.tasks.tuning import tuning_sentences, tuning_table

    for sentence in tuning_sentences(found.report):
        click.echo(sentence)
    table = tuning_table(found.report)
    if table is not None:
        click.echo(f"\n{table.text()}\n")
    for reason, rows in found.left_out.items():
        click.echo(f"Rows left out, {reason}: {rows:,}.")
    if not written:
        click.echo("Nothing was changed.")
        return
    click.echo(f"The new decision is in {found.bundle.folder}")
    click.echo("Earlier figures are of the old one: measure it again with `ottenok evaluate ... --record`.", err=True)
