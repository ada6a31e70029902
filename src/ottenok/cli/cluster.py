"""`--cluster` of several commands: a crew on Ray, and what a job of `ottenok classify` tells."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from ottenok.cli.screen import harmless, tell, write_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ottenok.cluster.start import RayCrew
    from ottenok.core.progress import Progress
    from ottenok.inference.files import FileOptions

__all__ = ["classify_cluster", "crew_of"]


@contextmanager
def crew_of(cluster: str | None, workers: int | None) -> Iterator[RayCrew | None]:
    """Give what trains several things at once on a cluster; None where none is named.

    Raises:
        UsageError: Workers are wanted, and no cluster.
        ConfigError: No cluster answers.
    """
    if cluster is None:
        if workers is not None:
            raise click.UsageError("--workers belongs to --cluster: --cluster local starts Ray on this machine")
        yield None
        return
    from ottenok.cluster.start import RayCrew, started

    with started(cluster, workers=workers) as ray:
        yield RayCrew.for_training(ray, workers)


def classify_cluster(  # noqa: PLR0913 - what the command was given
    source: str,
    out: str,
    column: str,
    model: dict[str, Any],
    options: FileOptions,
    cluster: str,
    workers: int | None,
    bars: Progress,
    *,
    as_json: bool,
) -> None:
    """Classify tables on a cluster and say what came out."""
    from ottenok.cluster.classify import classify_folder

    try:
        report = classify_folder(
            source, out, text=column, model=model, options=options, cluster=cluster, workers=workers, progress=bars
        )
    except KeyboardInterrupt:
        tell("What was done is kept: the same command goes on from there.")
        raise
    if as_json:
        write_json(asdict(report))
        return
    place = harmless(report.out)
    if report.finished:
        tell(f"Nothing was left to do: an earlier run finished, and its {report.rows:,} rows are in {place}")
    else:
        files = f"{report.parts:,} file{'' if report.parts == 1 else 's'}"
        tell(f"{report.rows:,} rows are in {place}, {files} by {report.workers} workers")
    if report.resumed:
        tell(f"{report.resumed:,} rows of an interrupted run were kept.")
    for reason, count in sorted(report.rejected.items()):
        tell(f"Rows without an answer, {harmless(reason)}: {count:,}")
    if report.rejects is not None:
        tell(f"They are listed in {harmless(report.rejects)}")
