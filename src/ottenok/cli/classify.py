"""`ottenok classify`: a text, lines from standard input, or a whole file."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from ottenok.cli.options import cache_option

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ottenok.core.progress import Progress
    from ottenok.inference.classifier import Classifier
    from ottenok.inference.files import FileOptions, FileReport
    from ottenok.inference.prediction import Prediction

__all__ = ["classify"]

# Names of what can't be typed well in a shell.
_DELIMITERS = {"tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}
_TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")


@click.command()
@click.argument("source", metavar="[TEXT|FILE]", required=False)
@click.option("-m", "--model", help="Folder or hub name of a classifier.  [default: the one that ottenok ships]")
@click.option("--text", "column", help="Column of the texts of FILE.")
@click.option("-o", "--out", type=click.Path(path_type=Path, dir_okay=False), help="Output file, of the same kind.")
@click.option(
    "--format", "style", type=click.Choice(["text", "json"]), default="text", show_default=True, help="For texts."
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "int8", "fp32"]),
    default="auto",
    show_default=True,
    help="Of the arithmetic; auto is int8 where the classifier has it.",
)
@click.option(
    "--threads", type=click.IntRange(min=1), help="Batches that are computed at once.  [default: all processors]"
)
@click.option(
    "--max-windows", type=click.IntRange(min=1), help="Most pieces that are read of a long text.  [default: all]"
)
@click.option("--read", type=click.Choice(["all", "end"]), help="What of a long text.  [default: as it was trained]")
@click.option("--delimiter", help="Of CSV: one character, or tab.  [default: found out]")
@click.option("--quote", help="Of CSV: one character, or none.  [default: found out]")
@click.option("--encoding", help="Of text files.  [default: UTF-8, or what the byte order mark says]")
@click.option("--no-header", is_flag=True, help="The file has no header: --text is a position from 0.")
@click.option("--prefix", default="predicted_", show_default=True, help="Of the names of the answers' columns.")
@click.option("--fresh", is_flag=True, help="Do not go on with an interrupted run, begin again.")
@click.option("--overwrite", is_flag=True, help="Replace the output file.")
@cache_option
def classify(  # noqa: PLR0913 - click passes each option by name
    source: str | None,
    *,
    model: str | None,
    column: str | None,
    out: Path | None,
    style: Literal["text", "json"],
    precision: Literal["auto", "int8", "fp32"],
    threads: int | None,
    max_windows: int | None,
    read: Literal["all", "end"] | None,
    delimiter: str | None,
    quote: str | None,
    encoding: str | None,
    prefix: str,
    cache: Path,
    no_header: bool,
    fresh: bool,
    overwrite: bool,
) -> None:
    """Label TEXT, or each line of standard input, or the texts in a column of FILE.

    \b
      ottenok classify "Какая гадость эта ваша заливная рыба!"
      ottenok classify < lines.txt
      ottenok classify reviews.csv --text review -o labelled.csv

    FILE is CSV, TSV, JSONL or Parquet. Rows keep their order and other columns; the answers are added. Rows without a
    text are listed in a rejects file beside the output. A run that was stopped goes on with the same command.
    """  # noqa: D301 - click reads \b as: keep these lines
    from ottenok.cli.bars import Bars
    from ottenok.inference.api import load

    bars = Bars()
    job = _job(source, column, out)
    classifier = load(
        model,
        precision=precision,
        threads=threads,
        max_windows=max_windows,
        read=read,
        cache=cache,
        progress=bars,
    )
    if job is None:
        _classify_texts([source] if source is not None else _lines(), classifier, style)
        return
    from ottenok.inference.options import FileOptions

    options = FileOptions(
        delimiter=_DELIMITERS.get(delimiter, delimiter) if delimiter else None,
        quote="" if quote == "none" else quote,
        header=not no_header,
        encoding=encoding,
        prefix=prefix,
        resume=not fresh,
        overwrite=overwrite,
    )
    _classify_file(job, classifier, options, bars, style)


@dataclass(frozen=True, slots=True, kw_only=True)
class _FileJob:
    path: Path
    out: Path
    column: str


def _job(source: str | None, column: str | None, out: Path | None) -> _FileJob | None:
    """Say what was asked for: a file's column, or (None) texts.

    Raises:
        UsageError: Options that do not go together, or a file without a column.
    """
    if column is None:
        if out is not None:
            raise click.UsageError("-o needs a file and its column: ottenok classify FILE --text COLUMN -o OUT")
        if source is not None and _looks_like_file(source):
            raise click.UsageError(f"{source} is a file: name the column of its texts with --text COLUMN and -o OUT")
        return None
    if source is None or out is None:
        raise click.UsageError("--text needs a file and an output: ottenok classify FILE --text COLUMN -o OUT")
    return _FileJob(path=Path(source), out=out, column=column)


def _looks_like_file(source: str) -> bool:
    return source.lower().endswith(_TABLES) and not any(character.isspace() for character in source)


def _lines() -> Iterator[str]:
    """Yield the lines of standard input; bytes that are no UTF-8 become replacement characters."""
    for line in sys.stdin.buffer:
        yield line.decode("utf-8-sig", errors="replace").rstrip("\r\n")


def _classify_texts(texts: Iterable[str], classifier: Classifier, style: Literal["text", "json"]) -> None:
    # Typed lines are answered one by one; piped ones in blocks, which fill batches.
    waiting = sys.stdin.isatty() or isinstance(texts, list)
    stream = classifier.stream(texts, texts_at_once=1) if waiting else classifier.stream(texts)
    for prediction in stream:
        if style == "json":
            click.echo(json.dumps(prediction.to_json(), ensure_ascii=False))
        else:
            click.echo(_line(prediction, several=classifier.scheme.kind == "multi-label"))


def _line(prediction: Prediction, *, several: bool) -> str:
    """Return the answer, its probability and its polarity, divided by tabs."""
    if not prediction.windows:
        return "-\t(nothing to read)"
    if several:
        answers = [f"{label} {prediction.probabilities[label]:.2f}" for label in prediction.labels]
        return ", ".join(answers) or "-"
    label = prediction.label or "-"
    polarity = "" if prediction.polarity is None else f"\t{prediction.polarity:+.2f}"
    return f"{label}\t{max(prediction.probabilities.values()):.2f}{polarity}"


def _classify_file(
    job: _FileJob, classifier: Classifier, options: FileOptions, bars: Progress, style: Literal["text", "json"]
) -> None:
    from ottenok.inference.files import classify_file

    try:
        report = classify_file(
            job.path, job.out, text=job.column, classifier=classifier, options=options, progress=bars
        )
    except KeyboardInterrupt:
        click.echo("What was done is kept: the same command goes on from there.", err=True)
        raise
    if style == "json":
        click.echo(json.dumps(_facts(report), ensure_ascii=False))
        return
    click.echo(f"{report.rows:,} rows are in {report.out}", err=True)
    if report.resumed:
        click.echo(f"{report.resumed:,} rows of an interrupted run were kept.", err=True)
    for reason, count in sorted(report.rejected.items()):
        click.echo(f"Rows left out, {reason}: {count:,}", err=True)
    if report.rejects is not None:
        click.echo(f"They are listed in {report.rejects}", err=True)


def _facts(report: FileReport) -> dict[str, object]:
    return {
        "out": str(report.out),
        "rows": report.rows,
        "rejected": dict(report.rejected),
        "rejects": None if report.rejects is None else str(report.rejects),
        "resumed": report.resumed,
    }
