"""`ottenok compare`: trained classifiers side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from ottenok.cli.options import json_option, task_option
from ottenok.cli.screen import say, tell, write_json

if TYPE_CHECKING:
    from ottenok.studies.compare import Comparison

__all__ = ["compare"]


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@click.option(
    "--metric", "metrics", multiple=True, metavar="NAME", help="Metric to compare by; repeat it; the first rules."
)
@click.option("--baseline", metavar="NAME", help="Model to test the others against.  [default: the best]")
@click.option(
    "--split", type=click.Choice(["validation", "test"]), default="test", show_default=True, help="Rows to compare on."
)
@task_option
@click.option("--common", is_flag=True, help="Compare on the rows that all have, where test rows differ.")
@click.option("--best-first", is_flag=True, help="Order by the first metric, not as given.")
@click.option("--speed", is_flag=True, help="Measure texts per second on this machine.")
@click.option("--resamples", type=click.IntRange(min=0), default=1000, show_default=True, help="Of the bootstrap.")
@click.option("--permutations", type=click.IntRange(min=0), default=5000, show_default=True, help="Of the tests.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of both.")
@json_option
@click.option(
    "-o",
    "--out",
    "files",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write to FILE: .json, .md, .html or plain text; several.",
)
def compare(  # noqa: PLR0913 - click passes each option by name
    runs: tuple[Path, ...],
    *,
    metrics: tuple[str, ...],
    baseline: str | None,
    split: Literal["validation", "test"],
    tasks: tuple[str, ...],
    common: bool,
    best_first: bool,
    speed: bool,
    resamples: int,
    permutations: int,
    seed: int,
    as_json: bool,
    files: tuple[Path, ...],
) -> None:
    """Compare trained classifiers on the rows that they were tested on.

    Each RUN is a folder that `ottenok train` wrote, or one of `ottenok study` with all its variants. Runs of one recipe
    that differ in their seed are one row, with mean and standard deviation.

    Prints the metrics with 95 % intervals, the differences to the best model (or to --baseline) with paired tests, and
    what each costs. Metrics: macro_f1, accuracy, weighted_f1, macro_auc, mae and all others of `ottenok evaluate`.
    """
    from ottenok.cli.bars import Bars
    from ottenok.studies.compare import compare as run
    from ottenok.tasks.paired import PairedOptions

    found = run(
        runs,
        metrics=metrics,
        baseline=baseline,
        split=split,
        tasks=tasks,
        common=common,
        best_first=best_first,
        speed=speed,
        tests=PairedOptions(resamples=resamples, permutations=permutations, seed=seed),
        progress=Bars(),
    )
    if as_json:
        write_json(found.to_json())
    elif not files:
        say(_rendered(found, ""))
    for file in files:
        from ottenok.core.files import atomic_write_text

        atomic_write_text(file, _rendered(found, file.suffix.lower()).rstrip("\n") + "\n")
        tell(f"Written to {file}")


def _rendered(found: Comparison, suffix: str) -> str:
    if suffix == ".json":
        import json

        return json.dumps(found.to_json(), ensure_ascii=False, indent=1)
    if suffix in {".html", ".htm"}:
        from ottenok.studies.compare_tables import as_html

        return as_html(found)
    from ottenok.studies.compare_tables import as_markdown, as_text

    return as_markdown(found) if suffix == ".md" else as_text(found)
