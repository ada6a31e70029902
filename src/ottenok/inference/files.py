"""Whole files, of any length: rows in, the same rows with answers out."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ottenok.core.errors import InputError
from ottenok.core.files import atomic_path
from ottenok.core.lazy import load_object
from ottenok.core.progress import SILENT
from ottenok.core.suggest import suggest
from ottenok.inference.answers import AnswerColumns
from ottenok.inference.options import FileOptions
from ottenok.inference.parts import Parts, open_parts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ottenok.core.progress import Progress
    from ottenok.inference.classifier import Classifier
    from ottenok.inference.table import Block, TableFile

__all__ = ["FORMATS", "FileOptions", "FileReport", "classify_file"]

FORMATS = {
    ".csv": "ottenok.inference.delimited:DelimitedFile",
    ".tsv": "ottenok.inference.delimited:DelimitedFile",
    ".jsonl": "ottenok.inference.jsonlines:JsonLinesFile",
    ".ndjson": "ottenok.inference.jsonlines:JsonLinesFile",
    ".parquet": "ottenok.inference.columnar:ParquetFile",
}

# Rows of a part: what an interruption costs at most, some seconds to a minute.
PART_ROWS = 4096
_DEFAULT = FileOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReport:
    """What became of a file.

    Attributes:
        out: The output file.
        rows: Rows in it.
        rejected: Reason to number of rows that were left out.
        rejects: The file that lists them (JSON lines: row, reason, content); None if there are none.
        resumed: Rows that an earlier, interrupted run had done.
    """

    out: Path
    rows: int
    rejected: Mapping[str, int]
    rejects: Path | None
    resumed: int


def classify_file(
    path: Path,
    out: Path,
    *,
    text: str,
    classifier: Classifier,
    options: FileOptions = _DEFAULT,
    progress: Progress = SILENT,
) -> FileReport:
    """Classify the texts in one column of a CSV, TSV, JSONL or Parquet file.

    Rows keep their order and their other columns; CSV and JSONL rows keep their very bytes. The answers are columns
    at the end. A row without a text, or that can't be divided into columns, is left out and listed in
    `OUT.rejects.jsonl`. The output appears when it is whole. An interrupted run leaves its finished parts in a hidden
    folder beside the output; the same call goes on from there. Memory does not grow with the file.

    Args:
        path: The file; its suffix says what it is.
        out: The output file, with the same suffix.
        text: The text column's name; a position from 0 in a CSV file without a header.
        classifier: The classifier.
        options: How the file is read and the output written.
        progress: Hears of rows done.

    Raises:
        InputError: The file can't be read or has not the column, the output exists or has another suffix, or an
            answer's column is in the file already.
        ModelError: The model can't be run.
    """
    _check_paths(path, out, options)
    columns = AnswerColumns(scheme=classifier.scheme, prefix=options.prefix)
    table: TableFile = load_object(FORMATS[path.suffix.lower()], extra="data")(path, text, columns, options)
    total = sum(block.rows for block in _counted(table, progress))
    parts = open_parts(out, _identity(path, text, classifier, options), resume=options.resume)
    run = _Run(table=table, columns=columns, classifier=classifier, parts=parts, progress=progress)
    count, resumed = run.classify(total)
    with atomic_path(out) as temporary:
        table.join([parts.part(number) for number in range(count)], temporary)
    rejects = out.with_name(f"{out.stem}.rejects.jsonl")
    reasons = Counter(parts.reasons(count))
    found = parts.join_rejects(count, rejects)
    parts.remove()
    return FileReport(
        out=out, rows=total - reasons.total(), rejected=reasons, rejects=rejects if found else None, resumed=resumed
    )


def _check_paths(path: Path, out: Path, options: FileOptions) -> None:
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        hint = suggest(suffix, FORMATS)
        raise InputError(f"a file of kind {suffix or 'without suffix'} can't be classified", hint=hint, file=str(path))
    if not path.is_file():
        raise InputError("there is no such file", hint="Check the path.", file=str(path))
    if FORMATS.get(out.suffix.lower()) != FORMATS[suffix]:
        raise InputError(
            f"the output's suffix is {out.suffix!r}, expected {suffix!r}",
            hint="The output has the input's format.",
            file=str(out),
        )
    if out.exists() and out.samefile(path):
        raise InputError("the output is the input", hint="Name another output file.", file=str(out))
    if out.exists() and not options.overwrite:
        raise InputError("the output exists", hint="Name another file, or replace it with --overwrite.", file=str(out))


def _counted(table: TableFile, progress: Progress) -> Any:  # noqa: ANN401 - an iterator of blocks
    """Read the file once before the long work: for the total, and so that a fault in it shows at once."""
    progress.start("read", total=None, unit="rows")
    try:
        for block in table.blocks(PART_ROWS):
            progress.advance(block.rows)
            yield block
    finally:
        progress.finish()


def _identity(path: Path, text: str, classifier: Classifier, options: FileOptions) -> dict[str, Any]:
    """Return what the output depends on; a run goes on only with parts of the very same."""
    facts = path.stat()
    manifest = json.dumps(classifier.manifest.to_json(), sort_keys=True, ensure_ascii=False)
    reading = {key: value for key, value in asdict(options).items() if key not in {"resume", "overwrite"}}
    return {
        "input": str(path.resolve()),
        "bytes": facts.st_size,
        "changed": facts.st_mtime_ns,
        "text": text,
        "options": reading,
        "rows": PART_ROWS,
        "model": hashlib.sha256(manifest.encode()).hexdigest(),
        "backend": classifier.identity,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    table: TableFile
    columns: AnswerColumns
    classifier: Classifier
    parts: Parts
    progress: Progress

    def classify(self, total: int) -> tuple[int, int]:
        """Write every part that is not there yet; return the number of parts, and of rows that were done before."""
        count = resumed = 0
        self.progress.start("classify", total=total, unit="rows")
        try:
            for block in self.table.blocks(PART_ROWS):
                if count < self.parts.done:
                    resumed += block.rows
                    self.progress.advance(block.rows)
                else:
                    self._part(count, block)
                count += 1
        finally:
            self.progress.finish()
        return count, resumed

    def _part(self, number: int, block: Block) -> None:
        self.progress.advance(len(block.rejects))
        prepared = self.classifier.prepare(block.texts)
        logits = self.classifier.run(prepared, progress=self.progress)
        answers = self.columns.rows(self.classifier.finish(prepared, logits))
        temporary = self.parts.temporary()
        self.table.write_part(temporary, block, answers)
        self.parts.finish(number, block.rejects, temporary)
