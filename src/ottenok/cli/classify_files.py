"""`ottenok classify` on tables: which files become which, through pipes too, and what is told of them."""

from __future__ import annotations

import glob
import json
import shutil
import sys
import tempfile
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from ottenok.cli.screen import harmless, tell, write_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ottenok.core.progress import Progress
    from ottenok.inference.classifier import Classifier
    from ottenok.inference.files import FileOptions, FileReport

__all__ = ["classify_files", "pairs_of"]

# A file or standard input, and an output file, or the suffix of what goes to standard output.
Pair = tuple["Path | IO[bytes]", "Path | str"]
# Rejected rows that are shown where there is no file to list them in.
_SHOWN = 20
# What formats that are not written as they are read become.
_WRITTEN = {"json": "jsonl", "xlsx": "csv"}


def pairs_of(sources: Sequence[str], out: str, kind: str | None, *, member: str | None) -> list[Pair]:
    """Return each input with its output.

    Args:
        sources: Files, globs, or `-` alone.
        out: A file, a folder, or `-`.
        kind: Format of the outputs; None: what their names say, else as the inputs.
        member: File of a ZIP archive, whose name counts.

    Raises:
        UsageError: They do not go together, two files would have one output, or a glob matches nothing.
    """
    from ottenok.inference.outputs import plain_suffix
    from ottenok.tables.streams import PACKED
    from ottenok.tables.table import SUFFIXES

    if "-" in sources:
        if len(sources) > 1:
            raise click.UsageError("standard input (-) is read alone, without files beside it")
        if sys.stdin is None:
            raise click.UsageError("standard input is closed, and no file is named")
        if out != "-" and (Path(out).is_dir() or out.endswith(("/", "\\"))):
            raise click.UsageError("standard input has no name that its output in a folder could have: name a file")
        return [(sys.stdin.buffer, f".{kind}" if kind and out == "-" else "" if out == "-" else _named(out, kind))]
    files: list[Path] = []
    for source in sources:
        found = [Path(source)]
        if glob.has_magic(source) and not found[0].exists():
            names = sorted(glob.glob(source, recursive=True))  # noqa: PTH207 - a pattern may be absolute
            found = [path for path in map(Path, names) if path.is_file()]
            if not found:
                raise click.UsageError(f"no file matches {harmless(source)}")
        files += [path for path in found if path not in files]
    if out == "-":
        if len(files) > 1:
            raise click.UsageError(f"standard output takes the answers of one file, and there are {len(files)}")
        return [(files[0], f".{kind}" if kind else _usual(files[0], member))]
    if len(files) == 1 and not (Path(out).is_dir() or out.endswith(("/", "\\"))):
        return [(files[0], _named(out, kind))]
    if Path(out).exists() and not Path(out).is_dir():
        raise click.UsageError(f"{harmless(out)} is a file, and the answers of {len(files)} files go into a folder")
    if len(files) > 1 and not Path(out).is_dir() and plain_suffix(Path(out)):
        raise click.UsageError(f"the answers of {len(files)} files go into a folder: -o {harmless(Path(out).stem)}/")
    pairs: dict[Path, Path] = {}
    for file in files:
        # The name with another suffix, without that of what packs it.
        name = file.stem if file.suffix.lower() in PACKED else file.name
        stem = Path(name).stem if Path(name).suffix.lower() in SUFFIXES else name
        target = Path(out) / f"{stem}{f'.{kind}' if kind else _usual(file, member)}"
        if target in pairs:
            raise click.UsageError(
                f"{harmless(pairs[target])} and {harmless(file)} would both become {harmless(target)}"
            )
        pairs[target] = file
    return [(file, target) for target, file in pairs.items()]


def _named(out: str, kind: str | None) -> Path:
    from ottenok.inference.outputs import plain_suffix

    suffix = plain_suffix(Path(out))
    if kind is not None and suffix not in {f".{kind}", {"jsonl": ".ndjson"}.get(kind)}:
        raise click.UsageError(f"the output's name ends in {suffix or 'nothing'}, and --output-format says {kind}")
    return Path(out)


def _usual(file: Path, member: str | None) -> str:
    """Return the suffix of the output of a file that nothing is said of: its own, if such can be written."""
    from ottenok.tables.streams import PACKED
    from ottenok.tables.table import SUFFIXES

    name = Path(member or (file.stem if file.suffix.lower() in PACKED else file.name))
    kind = SUFFIXES.get(name.suffix.lower(), "csv")
    return {"json": ".jsonl"}.get(kind, f".{kind}")


def classify_files(
    pairs: Sequence[Pair],
    column: str,
    classifier: Classifier,
    options: FileOptions,
    bars: Progress,
    *,
    as_json: bool,
) -> None:
    """Classify tables one after the other, and tell what became of each.

    Raises:
        OttenokError: One can't be classified; those before it are done.
        UsageError: Both the answers and JSON would go to standard output, or a terminal would get bytes.
    """
    from ottenok.inference.files import classify_file
    from ottenok.tables.streams import Source
    from ottenok.tables.table import open_table

    if as_json and any(isinstance(target, str) for _, target in pairs):
        raise click.UsageError("--json and -o - would both write to standard output: name a file for the answers")
    reports = []
    for given, target in pairs:
        source: Path | IO[bytes] | Source = given
        if len(pairs) > 1:
            tell(f"{harmless(source)}:")
        if isinstance(target, Path):
            try:
                report = classify_file(
                    source, target, text=column, classifier=classifier, options=options, progress=bars
                )
            except KeyboardInterrupt:
                tell("What was done is kept: the same command goes on from there.")
                raise
            reports.append(report)
            if not as_json:
                _tell(report, f"in {harmless(target)}")
            continue
        if not target:
            source = Source(given, member=options.table.member, max_expansion=options.table.max_expansion)
            kind = open_table(source, options.table, wanted=(column,)).format
            target = f".{_WRITTEN.get(kind, kind)}"  # noqa: PLW2901
        if target in {".parquet", ".xlsx"} and sys.stdout.isatty():
            raise click.UsageError(f"a terminal can't show {target[1:]}: name a file, or --output-format csv")
        with tempfile.TemporaryDirectory(prefix="ottenok-") as folder:
            out = Path(folder) / f"answers{target}"
            report = classify_file(source, out, text=column, classifier=classifier, options=options, progress=bars)
            _tell(report, "on standard output")
            with out.open("rb") as stream:
                shutil.copyfileobj(stream, sys.stdout.buffer, 1 << 20)
            sys.stdout.buffer.flush()
    if as_json:
        facts = [_facts(report) for report in reports]
        write_json(facts if len(facts) > 1 else facts[0])


def _facts(report: FileReport) -> dict[str, Any]:
    return {
        "out": str(report.out),
        "rows": report.rows,
        "rejected": dict(report.rejected),
        "rejects": None if report.rejects is None else str(report.rejects),
        "resumed": report.resumed,
        "finished": report.finished,
        "notes": list(report.notes),
        "form": report.form,
    }


def _tell(report: FileReport, place: str) -> None:
    tell(f"Read as {report.form}.", detail=True)
    for note in report.notes:
        tell(note)
    if report.finished:
        tell(f"Nothing was left to do: an earlier run finished, and its {report.rows:,} rows are {place}")
    else:
        tell(f"{report.rows:,} rows are {place}")
    if report.resumed:
        tell(f"{report.resumed:,} rows of an interrupted run were kept.")
    for reason, count in sorted(report.rejected.items()):
        tell(f"Rows left out, {harmless(reason)}: {count:,}")
    if report.rejects is None:
        return
    if place.startswith("in "):
        tell(f"They are listed in {harmless(report.rejects)}")
        return
    with report.rejects.open(encoding="utf-8") as stream:
        for line in islice(stream, _SHOWN):
            reject = json.loads(line)
            tell(f"  row {reject['row']}, {reject['reason']}: {harmless(reject['content'])[:60]}")
