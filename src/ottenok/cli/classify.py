"""`ottenok classify`: a text, lines from standard input, or a whole file."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import sys
from collections import deque
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

import click

from ottenok.cli.options import cache_option, cluster_option, out_option, read_option, table_options, task_option
from ottenok.cli.screen import harmless, say, tell, write_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ottenok.core.progress import Progress
    from ottenok.inference.classifier import Classifier
    from ottenok.inference.files import FileOptions
    from ottenok.inference.prediction import Prediction
    from ottenok.tables.options import TableOptions

__all__ = ["classify"]

# Bytes of standard input by which it is told what it is.
_HEAD = 1 << 16
# Names of columns that hold texts or belong to them, in tables of all kinds.
_USUAL = {
    "author", "category", "class", "comment", "content", "date", "emotion", "id", "label", "mark", "message", "name",
    "rating", "review", "score", "sentence", "sentiment", "text", "title", "tweet", "user", "автор", "дата", "имя",
    "класс", "комментарий", "метка", "название", "отзыв", "оценка", "сообщение", "текст", "тональность", "内容", "文本",
    "标签", "评分", "评论", "情感",
}  # fmt: skip
_IDENTIFIER = re.compile(r"[\w.:-]{1,30}")


@click.command()
@click.argument("source", metavar="[TEXT|FILE|-]", required=False)
@click.option("-m", "--model", help="Folder or hub name of a classifier.  [default: the one that ottenok ships]")
@task_option
@click.option("--text", "column", metavar="COLUMN", help="Column of the texts of FILE or of standard input.")
@out_option("Output file: .csv, .tsv, .jsonl or .parquet; with --cluster a folder of Parquet.", address=True)
@click.option(
    "--format",
    "style",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How answers are shown.",
)
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
@click.option("--lines", is_flag=True, help="Every line of standard input is a text, even if it looks like a table.")
@click.option("--prefix", default="predicted_", show_default=True, help="Beginning of the names of the new columns.")
@click.option("--fresh", is_flag=True, help="Begin again instead of going on with an interrupted run.")
@click.option("--overwrite", is_flag=True, help="Replace the output file.")
@cluster_option
@table_options
@cache_option
def classify(  # noqa: PLR0913 - click passes each option by name
    source: str | None,
    *,
    model: str | None,
    tasks: tuple[str, ...],
    column: str | None,
    out: str | None,
    style: Literal["text", "json"],
    precision: Literal["auto", "int8", "fp32"],
    threads: int | None,
    max_windows: int | None,
    read: Literal["all", "end"] | None,
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

    FILE is CSV, TSV, JSON, JSON lines, Parquet or XLSX, packed or not. Rows keep their order and other columns; the
    answers are added. Rows without a text are listed in OUT.rejects.jsonl. A run that was stopped goes on with the same
    command. With --cluster FILE may also be a folder, a glob or an address such as s3://bucket/folder, and OUT is a
    folder of Parquet files.
    """  # noqa: D301 - click reads \b as: keep these lines
    from ottenok.core.progress import SILENT
    from ottenok.inference.api import load
    from ottenok.tables.table import is_file_name

    # Half a request is refused before a model is loaded.
    place = None if source is None or source == "-" else source
    if column is None:
        if out is not None:
            raise click.UsageError("-o needs the column of the texts: ottenok classify FILE --text COLUMN -o OUT")
        # A path, or the name of a file of data that is not there, is hardly meant as a text.
        short = place is not None and "\n" not in place and len(place) <= 1000
        if place is not None and short and (os.path.lexists(place) or is_file_name(Path(place.strip()))):
            raise click.UsageError(
                f"{harmless(place)} is a file: name the column of its texts, --text COLUMN -o OUT. "
                "A file whose every line is a text: ottenok classify < FILE"
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
            else _piped(sys.stdin.buffer, table, faults, lines=lines)
        )
    bars: Progress = SILENT
    if column is not None or model is not None:  # loading the embedded model has nothing to show, and rich takes time
        from ottenok.cli.bars import Bars

        bars = Bars()
    chosen: dict[str, Any] = {
        "model": model,
        "precision": precision,
        "max_windows": max_windows,
        "read": read,
        "tasks": tasks or None,
        "cache": cache,
    }
    if column is None or out is None:
        if cluster is not None:
            raise click.UsageError(
                "--cluster needs a table: ottenok classify FILE --text COLUMN -o FOLDER --cluster local"
            )
        classifier = load(**chosen, threads=threads, progress=bars)
        # Typed lines are answered one by one; piped ones in blocks, which fill batches.
        waiting = place is not None or sys.stdin.isatty()
        for answer in classifier.stream(texts, texts_at_once=1) if waiting else classifier.stream(texts):
            prediction = replace(answer, reason=faults.popleft()) if answer.reason == "missing text" else answer
            if style == "json":
                write_json(prediction.to_json(), indent=None)
            else:
                say(_shown(prediction, classifier))
        return
    from ottenok.inference.files import FileOptions

    options = FileOptions(table=table, prefix=prefix, resume=not fresh, overwrite=overwrite)
    if cluster is not None:
        from ottenok.cli.cluster import classify_cluster

        if place is None:
            raise click.UsageError("a cluster can't read standard input: name a file, a folder or an address")
        classify_cluster(place, out, column, chosen, options, cluster, workers, bars, as_json=style == "json")
        return
    given = Path(place) if place is not None else sys.stdin.buffer
    classifier = load(**chosen, threads=threads, progress=bars)
    _classify_file(given, Path(out), column, classifier, options, bars, as_json=style == "json")


def _piped(stream: IO[bytes], options: TableOptions, faults: deque[str], *, lines: bool) -> Iterator[str | None]:
    """Return the lines of a stream, decoded as its first 64 KiB say; one that can't be read is a missing text.

    Why each of these can't be read is put into `faults`.

    Raises:
        DataError: Its encoding can't be told, or it is not text.
        UsageError: It is a table.
    """
    from ottenok.core.errors import DataError
    from ottenok.tables.encoding import find_encoding
    from ottenok.tables.streams import LongLine, Source, text_blocks

    head = stream.read(_HEAD)
    if head.startswith((b"PAR1", b"PK\x03\x04", b"\x1f\x8b", b"\x28\xb5\x2f\xfd")):
        raise DataError(
            "this is a packed or binary file, not lines of text",
            hint="If it is a table, name the column of its texts: --text COLUMN -o OUT",
            file="standard input",
        )
    encoding = find_encoding(Source(io.BytesIO(head)), options.encoding)
    if not lines:
        # What begins as a table does is one: its header and its commas are no texts.
        first, _, rest = head[len(encoding.mark) :].decode(encoding.codec, errors="replace").partition("\n")
        names: list[str] = []
        if first.startswith("{"):
            with suppress(ValueError, TypeError):
                names = list(json.loads(first))
        else:
            rows = [line for line in rest.split("\n")[:20] if line.strip()][:-1] or rest.splitlines()[:1]
            for delimiter in ",;\t|":
                try:
                    found = [name.strip() for name in next(csv.reader([first], delimiter=delimiter), [])]
                    widths = [len(next(csv.reader([row], delimiter=delimiter), [])) for row in rows]
                except csv.Error:
                    continue
                usual = any(name.casefold() in _USUAL for name in found)
                plain = len(rows) > 2 and len(set(found)) == len(found) and all(map(_IDENTIFIER.fullmatch, found))
                even = bool(widths) and sum(width == len(found) for width in widths) >= 0.8 * len(widths)
                if len(found) > 1 and even and (usual or plain) and all(len(name) <= 40 for name in found):
                    names = found
                    break
        if names:
            shown = ", ".join(repr(harmless(name)) for name in names[:20])
            raise click.UsageError(
                f"standard input looks like a table with the columns {shown}. Name the column of its texts: "
                "ottenok classify --text COLUMN -o OUT < FILE. If each line is a text as it stands, say --lines."
            )

    def read() -> Iterator[str | None]:
        whole = io.BufferedReader(_Joined(head, stream), _HEAD)
        for block, clean in text_blocks(whole, encoding, file="standard input", limit=options.max_record):
            for line in block:
                if isinstance(line, LongLine):
                    faults.append(f"longer than {options.max_record:,} characters (--max-record)")
                elif not clean and any("\udc80" <= character <= "\udcff" for character in line):
                    faults.append(f"not {encoding.codec}")
                else:
                    yield line.rstrip("\r\n")
                    continue
                yield None

    return read()


class _Joined(io.RawIOBase):
    """What was read of a stream, and the rest of it."""

    def __init__(self, head: bytes, rest: IO[bytes]) -> None:
        self._head = head
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # the buffer is always this
        data = self._head[: len(buffer)] if self._head else self._rest.read(len(buffer))
        self._head = self._head[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)


def _shown(prediction: Prediction, classifier: Classifier) -> str:
    """Return the answer, its probability and its polarity, divided by tabs; of several tasks each with its name."""
    if not prediction.windows:
        return f"-\t({prediction.reason or 'nothing to read'})"
    answers: dict[str, str] = {}
    for task in classifier.tasks:
        answer = prediction.tasks[task.name]
        if task.scheme.kind == "multi-label":
            given = (f"{harmless(label)} {answer.probabilities[label]:.2f}" for label in answer.labels)
            answers[task.name] = ", ".join(given) or "-"
        else:
            polarity = "" if answer.polarity is None else f"\t{answer.polarity:+.2f}"
            label = "-" if answer.label is None else harmless(answer.label)
            answers[task.name] = f"{label}\t{max(answer.probabilities.values()):.2f}{polarity}"
    if len(answers) == 1:
        return next(iter(answers.values()))
    spaced = {harmless(name): answer.replace("\t", " ") for name, answer in answers.items()}
    return "\t".join(f"{name}: {answer}" for name, answer in spaced.items())


def _classify_file(
    source: Path | IO[bytes],
    out: Path,
    column: str,
    classifier: Classifier,
    options: FileOptions,
    bars: Progress,
    *,
    as_json: bool,
) -> None:
    from ottenok.inference.files import classify_file

    try:
        report = classify_file(source, out, text=column, classifier=classifier, options=options, progress=bars)
    except KeyboardInterrupt:
        tell("What was done is kept: the same command goes on from there.")
        raise
    if as_json:
        facts: dict[str, Any] = {
            "out": str(report.out),
            "rows": report.rows,
            "rejected": dict(report.rejected),
            "rejects": None if report.rejects is None else str(report.rejects),
            "resumed": report.resumed,
            "finished": report.finished,
            "notes": list(report.notes),
        }
        write_json(facts)
        return
    for note in report.notes:
        tell(note)
    place = harmless(report.out)
    if report.finished:
        tell(f"Nothing was left to do: an earlier run finished, and its {report.rows:,} rows are in {place}")
    else:
        tell(f"{report.rows:,} rows are in {place}")
    if report.resumed:
        tell(f"{report.resumed:,} rows of an interrupted run were kept.")
    for reason, count in sorted(report.rejected.items()):
        tell(f"Rows left out, {harmless(reason)}: {count:,}")
    if report.rejects is not None:
        tell(f"They are listed in {harmless(report.rejects)}")
