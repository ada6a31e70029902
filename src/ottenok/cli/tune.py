"""`ottenok tune`: temperature and thresholds of a trained classifier, fitted anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import click

from ottenok.cli.options import (
    column_options,
    json_option,
    out_option,
    places_options,
    probability_option,
    split_option,
    task_option,
)
from ottenok.cli.screen import say, tell, write_json

if TYPE_CHECKING:
    from pathlib import Path

    from ottenok.studies.rows import Columns
    from ottenok.studies.tuning import Retuned
    from ottenok.training.inputs import Places

__all__ = ["tune"]


@click.command()
@click.argument("model")
@click.argument("data")
@out_option("Write a tuned copy here; leave MODEL as it is.", folder=True)
@split_option("validation")
@column_options
@task_option
@click.option("--metric", help="What thresholds maximise.  [default: macro_f1]")
@click.option("--per-label/--one", default=None, help="One threshold per label, or one for all.  [default: per label]")
@click.option(
    "--minimum",
    type=click.IntRange(min=1),
    help="True rows that a label needs for a threshold of its own.  [default: 20]",
)
@click.option("--empty", help="What an answer without labels becomes: allow, top, or a label.  [default: as before]")
@click.option("--exclusive", help="Label that stands alone or goes, such as neutral, or none.  [default: as before]")
@click.option("--temperature/--no-temperature", default=True, help="Fit the temperature too.")
@probability_option(
    "--precision",
    "Withhold what is too unsure, so that this share of each label's answers is right. Nothing else is fitted.",
)
@probability_option("--risk", "Allowed probability that the promise of --precision is not kept.", default=0.05)
@click.option(
    "--unfamiliar",
    type=click.FloatRange(0, 1),
    metavar="SHARE",
    help="Learn what strange texts are; withhold labels of those stranger than this share of DATA, such as 0.998. "
    "Nothing else is fitted.",
)
@click.option("--dry-run", is_flag=True, help="Only tell; change nothing.")
@json_option
@places_options()
def tune(  # noqa: PLR0913 - click passes each option by name
    model: str,
    data: str,
    out: Path | None,
    split: Literal["train", "validation", "test"],
    columns: Columns,
    tasks: tuple[str, ...],
    *,
    metric: str | None,
    per_label: bool | None,
    minimum: int | None,
    empty: str | None,
    exclusive: str | None,
    temperature: bool,
    precision: float | None,
    risk: float,
    unfamiliar: float | None,
    dry_run: bool,
    as_json: bool,
    places: Places,
) -> None:
    """Fit temperature and thresholds of MODEL anew on DATA, without training.

    MODEL is the folder of a classifier that ottenok trained, or "default", of which only a copy is tuned (-o). Its
    decision is replaced, and figures of the old one are kept under other names. DATA is a corpus folder, a file with
    texts and labels, or the name of a corpus recipe: rows that the model has not learned from and is not tested on.

    With --precision P it is found for each label how sure an answer must be so that P of them are right; the others are
    withheld from then on (no label, and the reason "unsure"). The promise holds for texts like those of DATA, but for
    the risk.

    Thresholds are for labels that may come together. Figures "after" are of rows judged by what was found on others.
    """
    from ottenok.cli.bars import Bars
    from ottenok.studies.tuning import tune as run
    from ottenok.tasks.thresholds import ThresholdMetric, ThresholdOptions
    from ottenok.tasks.tuning import tuning_sentences, tuning_table

    # Here and not by click, so that `ottenok tune --help` needs none of it.
    if metric is not None and metric not in (known := get_args(ThresholdMetric)):
        raise click.BadParameter(
            f"there is no metric {metric!r}. Use one of: {', '.join(known)}.",
            ctx=click.get_current_context(),
            param_hint="'--metric'",
        )
    # Where nothing of this was asked for the scheme decides.
    given = {"metric": metric, "minimum_positives": minimum, "per_label": per_label}
    told = {key: value for key, value in given.items() if value is not None}
    found = run(
        model,
        data,
        out,
        split=split,
        columns=columns,
        tasks=tasks,
        temperature=temperature,
        thresholds=ThresholdOptions.model_validate(told) if told else None,
        empty=empty,
        exclusive="" if exclusive == "none" else exclusive,
        precision=precision,
        risk=risk,
        unfamiliar=unfamiliar,
        write=not dry_run,
        places=places,
        progress=Bars(),
    )
    if precision is not None or unfamiliar is not None:
        _show_promises(found, as_json=as_json)
        if not as_json:
            say("Nothing was changed." if dry_run else f"It is written in {found.bundle.folder}")
        return
    if as_json:
        tree = {"decision": found.decision.to_json(), "tuning": found.report.to_json(), "left_out": found.left_out}
        if len(found.reports) > 1:
            tree["tasks"] = {
                name: {"decision": found.decisions[name].to_json(), "tuning": report.to_json()}
                for name, report in found.reports.items()
            }
        write_json(tree)
        return
    for name, report in found.reports.items():
        if len(found.reports) > 1:
            say(f"{name}:")
        for sentence in tuning_sentences(report):
            say(sentence)
        table = tuning_table(report)
        if table is not None:
            say(f"\n{table.text()}\n")
    for reason, rows in found.left_out.items():
        say(f"Rows left out, {reason}: {rows:,}.")
    if dry_run:
        say("Nothing was changed.")
        return
    say(f"The new decision is in {found.bundle.folder}")
    tell("Earlier figures are of the old one: measure it again with `ottenok evaluate ... --record`.")


def _show_promises(found: Retuned, *, as_json: bool) -> None:
    """Show what was promised, and how strange texts are told."""
    from dataclasses import asdict

    from ottenok.tasks.selective import selective_sentence, selective_table

    facts = found.familiarity
    if as_json:
        tree = {
            "promises": {name: asdict(report) for name, report in found.promises.items()},
            "familiarity": None if facts is None else facts.model_dump(mode="json"),
            "left_out": found.left_out,
        }
        write_json(tree)
        return
    for name, report in found.promises.items():
        say(f"{name}: {selective_sentence(report)} Area under the risk-coverage curve: {report.area:.4f}.")
        say(f"\n{selective_table(report).text()}\n")
    if facts is not None:
        say(f"Strange texts are told by {facts.rows:,} usual ones ({facts.data}); withheld from {facts.limit} on.")
    for reason, rows in found.left_out.items():
        say(f"Rows left out, {reason}: {rows:,}.")
