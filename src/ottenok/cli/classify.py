"""`ottenok classify`: a text, lines from standard input, or a whole file."""

from __future__ import annotations

import sys
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import click

from ottenok.cli.options import (
    cache_option,
    cluster_option,
    complete_files,
    device_option,
    json_option,
    out_option,
    read_option,
    table_options,
    task_option,
)
from ottenok.cli.screen import harmless, say, tell, write_json
from ottenok.cli.standard_input import lines_of_stream, refuse_file

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ottenok.core.progress import Progress
    from ottenok.inference.classifier import Classifier
    from ottenok.inference.prediction import Prediction
    from ottenok.tables.options import TableOptions

__all__ = ["classify"]

# Held until the process ends: taking a model apart, table by table, takes a twentieth of a short command's time.
_KEPT: list[Classifier] = []


@click.command()
@click.argument("sources", metavar="[TEXT|FILE...|-]", nargs=-1, shell_complete=complete_files)
@click.option("-m", "--model", help="Folder or hub name of a classifier.  [default: the one that ottenok ships]")
@task_option
@click.option("--text", "column", metavar="COLUMN", help="Column of the texts of FILE or of standard input.")
@out_option(
    "Output: a file (.csv, .tsv, .jsonl, also .gz or .zst; .parquet, .xlsx), a folder for several FILEs, or - for "
    "standard output; with --cluster a folder of Parquet.",
    address=True,
)
@click.option(
    "--output-format",
    "kind",
    type=click.Choice(["csv", "tsv", "jsonl", "parquet", "xlsx"]),
    help="Format of the output where no name says it: in a folder, on standard output.  [default: as FILE]",
)
@click.option(
    "--columns",
    metavar="NAMES",
    help="Columns of answers, divided by commas: label, confidence, polarity, probabilities, a label's name, or one "
    "task's as emotions-7:label.  [default: all]",
)
@click.option("--format", "style", type=click.Choice(["text", "json"]), hidden=True)
@json_option
@click.option(
    "--precision",
    type=click.Choice(["auto", "int8", "fp32"]),
    default="auto",
    show_default=True,
    help="Arithmetic of the model; auto is int8 where the classifier has it.",
)
@click.option(
    "--threads", type=click.IntRange(min=1), help="Batches that are computed at once.  [default: all processors]"
)
@click.option(
    "--max-windows", type=click.IntRange(min=1), help="Most windows that are read of a long text.  [default: all]"
)
@read_option
@device_option
@click.option(
    "--always", is_flag=True, help="Label also texts of unknown languages, strange texts and what is too unsure."
)
@click.option("--lines", is_flag=True, help="Every line of standard input is a text, even if it looks like a table.")
@click.option("--explain", is_flag=True, help="Add a column of the words that speak most for the label; slower.")
@click.option("--prefix", default="predicted_", show_default=True, help="Beginning of the names of the new columns.")
@click.option("--fresh", is_flag=True, help="Begin again instead of going on with an interrupted run.")
@click.option("--overwrite", is_flag=True, help="Replace the output file.")
@cluster_option
@table_options
@cache_option
def classify(  # noqa: PLR0913 - click passes each option by name
    sources: tuple[str, ...],
    *,
    model: str | None,
    tasks: tuple[str, ...],
    column: str | None,
    out: str | None,
    kind: str | None,
    columns: str | None,
    explain: bool,
    style: Literal["text", "json"] | None,
    as_json: bool,
    precision: Literal["auto", "int8", "fp32"],
    threads: int | None,
    max_windows: int | None,
    read: Literal["all", "end"] | None,
    device: Literal["auto", "cpu", "cuda"],
    always: bool,
    lines: bool,
    prefix: str,
    fresh: bool,
    overwrite: bool,
    cluster: str | None,
    workers: int | None,
    table: TableOptions,
    cache: Path,
) -> None:
    """Label TEXT, or each line of standard input, or the texts in a column of FILE.

    \b
      ottenok classify "Какая гадость эта ваша заливная рыба!"
      ottenok classify < lines.txt
      ottenok classify reviews.csv --text review -o labelled.csv
      ottenok classify *.csv --text review -o labelled/ --output-format parquet
      zcat reviews.csv.gz | ottenok classify - --text review -o - | less

    FILE is CSV, TSV, JSON, JSON lines, Parquet or XLSX, packed or not; several, or a glob, go into a folder. Rows keep
    their order and other columns; the answers are added. Rows without a text are listed in OUT.rejects.jsonl. A run
    that was stopped goes on with the same command. With --cluster FILE may also be a folder, a glob or an address such
    as s3://bucket/folder, and OUT is a folder of Parquet files.
    """  # noqa: D301 - click reads \b as: keep these lines
    from ottenok.core.progress import SILENT
    from ottenok.inference.api import load

    if style is not None:
        tell(f"--format {style} is now {'--json' if style == 'json' else 'what happens without --json'}.")
        as_json = as_json or style == "json"
    # Half a request is refused before a model is loaded.
    place = sources[0] if len(sources) == 1 and sources[0] != "-" else None
    if cluster is not None and (place is None or column is None or kind is not None):
        raise click.UsageError("--cluster takes one FILE, --text COLUMN and -o FOLDER: no -, no --output-format")
    if column is None:
        if len(sources) > 1:
            raise click.UsageError(
                "several arguments: quote a text that has blanks, or name the column of the texts of files, "
                "--text COLUMN -o FOLDER"
            )
        asked = (out, "-o"), (kind, "--output-format"), (columns, "--columns"), (explain or None, "--explain")
        for given, option in asked:
            if given is not None:
                raise click.UsageError(
                    f"{option} needs the column of the texts: ottenok classify FILE --text COLUMN -o OUT"
                )
        if place is not None:
            refuse_file(
                place,
                hint=": name the column of its texts, --text COLUMN -o OUT. "
                "A file whose every line is a text: ottenok classify < FILE",
            )
    elif out is None:
        raise click.UsageError("--text needs an output: ottenok classify FILE --text COLUMN -o OUT")
    texts: Iterable[str | None]
    faults: deque[str] = deque()
    if place is not None:
        texts = [place]
    elif column is None:
        if sys.stdin is None:
            raise click.UsageError("standard input is closed, and no text is given")
        texts = (
            (line.rstrip("\r\n") for line in sys.stdin)
            if sys.stdin.isatty()
            else lines_of_stream(sys.stdin.buffer, table, faults, lines=lines)
        )
    bars: Progress = SILENT
    if column is not None or model is not None:  # loading the embedded model has nothing to show
        from ottenok.cli.bars import Bars

        bars = Bars()
    chosen: dict[str, Any] = {"model": model, "precision": precision, "max_windows": max_windows, "read": read}
    chosen |= {"tasks": tasks or None, "device": device, "always": always, "cache": cache}
    if column is None or out is None:
        classifier = load(**chosen, threads=threads, progress=bars)
        # Typed lines are answered one by one; piped ones in blocks, which fill batches.
        waiting = place is not None or sys.stdin.isatty()
        answers = classifier.stream(texts, texts_at_once=1) if waiting else classifier.stream(texts)
        _say(answers, faults, classifier, as_json=as_json)
        _KEPT[:] = [classifier]
        return
    from ottenok.inference.files import FileOptions

    chosen_columns = tuple(filter(None, map(str.strip, (columns or "").split(","))))
    options = FileOptions(
        table=table, prefix=prefix, columns=chosen_columns, explain=explain, resume=not fresh, overwrite=overwrite
    )
    if cluster is not None:
        from ottenok.cli.cluster import classify_cluster

        classify_cluster(sources[0], out, column, chosen, options, cluster, workers, bars, as_json=as_json)
        return
    from ottenok.cli.classify_files import classify_files, pairs_of

    pairs = pairs_of(sources or ("-",), out, kind, member=table.member)
    classifier = load(**chosen, threads=threads, progress=bars)
    tell(f"Model: {classifier!r}", detail=True)
    classify_files(pairs, column, classifier, options, bars, as_json=as_json)


def _say(answers: Iterable[Prediction], faults: deque[str], classifier: Classifier, *, as_json: bool) -> None:
    """Write an answer a line; what was no text has its reason among the faults."""
    for answer in answers:
        prediction = replace(answer, reason=faults.popleft()) if answer.reason == "missing text" else answer
        if as_json:
            write_json(prediction.to_json(), indent=None)
        else:
            say(_shown(prediction, classifier))


def _shown(prediction: Prediction, classifier: Classifier) -> str:
    """Return the answer, its probability and its polarity, divided by tabs; of several tasks each with its name."""
    if not prediction.windows:
        return f"-\t({prediction.reason or 'nothing to read'})"
    if prediction.reason in {"language", "unfamiliar"}:
        told = f"language: {prediction.language}" if prediction.reason == "language" else prediction.reason
        return f"-\t({told})"
    answers: dict[str, str] = {}
    for task in classifier.tasks:
        answer = prediction.tasks[task.name]
        if task.scheme.kind == "multi-label":
            given = (f"{harmless(label)} {answer.probabilities[label]:.2f}" for label in answer.labels)
            answers[task.name] = ", ".join(given) or (f"({answer.reason})" if answer.reason else "-")
        else:
            polarity = "" if answer.polarity is None else f"\t{answer.polarity:+.2f}"
            label = (f"({answer.reason})" if answer.reason else "-") if answer.label is None else harmless(answer.label)
            answers[task.name] = f"{label}\t{max(answer.probabilities.values()):.2f}{polarity}"
    if len(answers) == 1:
        return next(iter(answers.values()))
    spaced = {harmless(name): answer.replace("\t", " ") for name, answer in answers.items()}
    return "\t".join(f"{name}: {answer}" for name, answer in spaced.items())
