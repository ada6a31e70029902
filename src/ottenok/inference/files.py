"""Whole files, of any length: rows in, the same rows with answers out.

The work is done in parts, which lie in a hidden folder beside the output until it is whole: what was interrupted, even
by a kill, goes on with the same call, and ends with the same bytes. A part is trusted only if its rows, bytes and
checksum are those that were noted when it was written, and only for the same input, options and model. Nothing that is
an input or that ottenok did not write is ever replaced or removed.
"""

from __future__ import annotations

import hashlib
import json
import marshal
import queue
import sys
import threading
import time
from collections import Counter
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import IO, TYPE_CHECKING, Any, TypeVar

from ottenok.core.errors import InputError, OttenokError
from ottenok.core.files import LockedError, atomic_path, atomic_write_text, locked, sha256_file
from ottenok.core.progress import SILENT
from ottenok.core.version import __version__
from ottenok.explain.shares import LONGEST
from ottenok.inference.outputs import AnswerColumns, Chunk, cell_text, open_writer, plain_suffix
from ottenok.tables.labels import Fault
from ottenok.tables.options import TableOptions
from ottenok.tables.records import excerpt, read_text
from ottenok.tables.streams import Source
from ottenok.tables.table import open_table

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from ottenok.core.progress import Progress
    from ottenok.inference.classifier import Classifier, Prepared
    from ottenok.inference.outputs import Writer
    from ottenok.inference.prediction import Prediction
    from ottenok.tables.table import Block, Table

__all__ = ["CHUNK_ROWS", "FileOptions", "FileReport", "classify_file", "cut_rows", "read_texts"]

# What an interruption costs at most: rows, or seconds (and the chunk under way).
PART_ROWS = 4096
PART_SECONDS = 15.0
# Rows and characters that are classified together. A text's scores depend on it alone up to the seventh digit, so the
# chunks are cut by the input alone: the answers of an interrupted run are those of an undisturbed one.
CHUNK_ROWS = 4096
CHUNK_CHARACTERS = 1 << 19
# Explaining takes longer, and should be interrupted as easily.
_EXPLAINED_CHARACTERS = 1 << 11
# Bytes by which it is known which texts come again, and answers of such texts that are kept: 300 bytes each.
_SLOTS = 1 << 24
_MOST_KEPT = 1 << 18
# Texts of several lengths, by which it is tried whether company changes a digit.
_TRIED = ["да", "хорошо", "服务态度很差", "Какая гадость эта ваша заливная рыба!"]
_STATE = "run.json"
_LOCK = "lock"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOptions:
    """How a file is read and its output written.

    Attributes:
        table: How the file is read; what is not said is found out.
        prefix: Of the names of the answers' columns.
        columns: Which of them there are (see `AnswerColumns`); empty: all.
        explain: Whether the words that speak most for the primary task's label are told, which takes some ten times as
            long; of texts that are too long to be explained there are none.
        resume: Go on where an interrupted run of the same file and model stopped; False begins again.
        overwrite: Replace an output file that exists.
    """

    table: TableOptions = field(default_factory=TableOptions)
    prefix: str = "predicted_"
    columns: tuple[str, ...] = ()
    explain: bool = False
    resume: bool = True
    overwrite: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReport:
    """What became of a file.

    Attributes:
        out: The output file.
        rows: Rows in it.
        rejected: Reason to number of rows that were left out.
        rejects: The file that lists them (JSON lines: row, reason, content); None if there are none.
        resumed: Rows that an earlier, interrupted run had done.
        finished: Whether an earlier run had finished the very same, so that nothing was left to do.
        notes: What was found out about the file, in sentences.
        form: How it was read: its format, and of text formats the encoding and what divides cells.
    """

    out: Path
    rows: int
    rejected: Mapping[str, int]
    rejects: Path | None
    resumed: int
    finished: bool = False
    notes: tuple[str, ...] = ()
    form: str = ""


def classify_file(
    source: Path | IO[bytes] | Source,
    out: Path,
    *,
    text: str,
    classifier: Classifier,
    options: FileOptions = FileOptions(),
    progress: Progress = SILENT,
) -> FileReport:
    """Classify the texts in one column of a table.

    CSV, TSV, JSON, JSON lines, Parquet and XLSX are read, packed or not. The output is CSV, TSV or JSON lines (also
    packed, as .gz or .zst), Parquet or XLSX, by its suffix. Rows keep their order and their other columns, and in the
    same format their very bytes; the answers are columns at the end. A row without a text, or that can't be divided
    into columns, is left out and listed in `OUT.rejects.jsonl`. The output appears when it is whole. Memory does not
    grow with the file.

    Args:
        source: A file, a pipe, a stream such as standard input, or what was made of one.
        out: The output file.
        text: The text column's name; a position from 0 in a file without a header.
        classifier: The classifier.
        options: How the file is read and the output written.
        progress: Hears of rows done.

    Raises:
        InputError: The output exists, is the input or being written by another run; no row has a text; the input
            changed meanwhile; or an answer's column is in the file already.
        DataError: The file can't be read, or has not the column.
        ModelError: The model can't be run.
    """
    if isinstance(source, Source):
        opened = source
    else:
        opened = Source(source, member=options.table.member, max_expansion=options.table.max_expansion)
    if _same(source, out):
        raise InputError("the output is the input", hint="Name another output file.", file=str(out))
    if out.is_dir():
        raise InputError("the output is a folder", hint="Name a file in it.", file=str(out))
    table = open_table(opened, options.table, wanted=(text,))
    columns = AnswerColumns(classifier.tasks, options.prefix, options.columns, explained=options.explain)
    writer = open_writer(table, columns, out, header=options.table.header)
    place = table.find(text)
    digest = _digest(opened)
    repeats = _Repeats()
    total = _count(table, place, options, repeats, progress)
    writer.check(total)
    run = _Run(
        table=table,
        place=place,
        writer=writer,
        columns=columns,
        classifier=classifier,
        options=options,
        out=out,
        repeats=repeats,
    )
    with _folder_of(out) as parts:
        # Looked at only now: another run may have written it while this one waited.
        rejects = out.with_name(f"{out.name}.rejects.jsonl")
        if out.exists() and not options.overwrite:
            rows = run.count_finished(total)
            if rows is None:
                hint = "Name another file, or replace it with --overwrite."
                raise InputError("the output exists", hint=hint, file=str(out))
            parts.remove()
            found: Counter[str] = Counter()
            if total > rows and _is_rejects(rejects):
                with rejects.open(encoding="utf-8") as stream:
                    found.update(str(json.loads(line)["reason"]) for line in stream)
            return FileReport(
                out=out,
                rows=rows,
                rejected=found,
                rejects=rejects if found else None,
                resumed=0,
                finished=True,
                form=table.form,
            )
        identity = run.identity(digest, text)
        # An interrupted run of the same may have come as far as the list and not to the output.
        own = options.overwrite or (options.resume and parts.is_of(identity))
        if rejects.exists() and not (own and _is_rejects(rejects) and not _same(source, rejects)):
            raise InputError(
                "the rows that are left out would be listed here, and the file exists",
                hint="Name another output file."
                if not options.overwrite
                else "ottenok did not write it: move it away.",
                file=str(rejects),
            )
        parts.open(identity, resume=options.resume)
        run.classify(parts, total, progress)
        if _digest(opened) != digest:
            raise InputError(
                "the file was changed while it was read",
                hint="Give the same command again when nothing writes to it.",
                file=table.file,
            )
        reasons: Counter[str] = Counter()
        with atomic_path(out) as temporary:
            writer.join(parts.verified(), temporary)
            if sum(part.rows for part in parts.done) != total:
                raise InputError(f"the parts do not hold the {total:,} rows of the file", file=str(parts.folder))
            # The rejects first, the output last: where the output is, everything is.
            reasons = parts.write_rejects(rejects, replace=options.overwrite)
        parts.remove()
    return FileReport(
        out=out,
        rows=total - reasons.total(),
        rejected=reasons,
        rejects=rejects if reasons else None,
        resumed=parts.resumed,
        notes=(*table.notes, *parts.notes),
        form=table.form,
    )


def _same(source: Path | IO[bytes] | Source, file: Path) -> bool:
    import os

    if isinstance(source, Source):
        return source.path is not None and _same(source.path, file)
    try:
        facts = os.fstat(source.fileno()) if hasattr(source, "fileno") else source.stat()
        return os.path.samestat(facts, file.stat())
    except (OSError, ValueError):
        return False


def _digest(source: Source) -> str:
    """Return the sha256 of what is read, unpacked."""
    digest = hashlib.sha256()
    with source.open() as stream:
        while data := stream.read(1 << 20):
            digest.update(data)
    return digest.hexdigest()


def _count(table: Table, place: int, options: FileOptions, repeats: _Repeats, progress: Progress) -> int:
    """Read the texts once before the long work: for the total, and so that a fault shows at once.

    Raises:
        InputError: There are rows, and none has a text.
    """
    rows = 0
    reasons: Counter[str] = Counter()
    progress.start("read", total=None, unit="rows")
    try:
        for block in table.blocks([place], rows=CHUNK_ROWS):
            rows += block.rows
            reasons.update(reject.reason for reject in block.rejects)
            texts, faults = read_texts(block, 0, table, options.table.max_record)
            reasons.update(filter(None, faults))
            repeats.count(filter(None, texts))
            progress.advance(block.rows)
    finally:
        progress.finish()
    if rows and reasons.total() == rows:
        ((reason, count),) = reasons.most_common(1)
        raise InputError(
            f"none of the {rows:,} rows can be classified; the commonest reason: {reason} ({count:,} rows)",
            hint="Check the text column, the delimiter and the encoding.",
            file=table.file,
            key="--text",
        )
    return rows


def read_texts(block: Block, column: int, table: Table, limit: int) -> tuple[list[str | None], list[str | None]]:
    """Return for each sound row of a block its text, or None, and why it can't be read, or None.

    Args:
        block: Of the table.
        column: Place of the texts among the block's cells.
        table: The table.
        limit: Most characters of a text.
    """
    texts: list[str | None] = []
    reasons: list[str | None] = []
    for cell in block.cells[column]:
        try:
            texts.append(read_text(cell, clean=block.clean, encoding=table.encoding, limit=limit))
            reasons.append(None)
        except Fault as fault:
            texts.append(None)
            reasons.append(fault.reason)
    return texts, reasons


def cut_rows(texts: Sequence[str | None], *, explain: bool = False) -> Iterator[slice]:
    """Yield which rows of a block are classified together: whoever cuts so gets the same answers to the last digit.

    Args:
        texts: Of each sound row of a block of at most `CHUNK_ROWS` rows; None for those that can't be read.
        explain: Whether answers are explained too, for which parts are shorter.
    """
    most = _EXPLAINED_CHARACTERS if explain else CHUNK_CHARACTERS
    first = size = 0
    for place, text in enumerate(texts, start=1):
        size += len(text or "")
        if size >= most or place == len(texts):
            yield slice(first, place)
            first, size = place, 0


def answer_cells(
    text: str, answer: Prediction, classifier: Classifier, columns: AnswerColumns, *, explain: bool
) -> list[Any]:
    """Return the cells of a row's answer, with the words of it where they are wanted and the text is not too long."""
    words: list[str] = []
    if explain and answer.label is not None and len(text) <= LONGEST:
        words = [word.text for word in classifier.explain(text).top()]
    return columns.values(answer, words)


class _Repeats:
    """Answers of the texts that a file holds more than once, far apart; memory is bounded.

    A table of bytes knows which texts may come again; only their answers are kept, and no more than `_MOST_KEPT`.

    Attributes:
        used: Whether answers are taken from other chunks: only where they are the same to the last bit.
    """

    def __init__(self) -> None:
        self.used = False
        self._times = bytearray(_SLOTS)
        self._answers: dict[bytes, bytes] = {}

    def count(self, texts: Iterable[str]) -> None:
        """Take notice of texts; all of them before any is asked for."""
        for text in texts:
            slot = hash(text) % _SLOTS
            self._times[slot] = min(2, self._times[slot] + 1)

    def key(self, text: str) -> bytes | None:
        """Return the key of a text that may come again."""
        if not self.used or self._times[hash(text) % _SLOTS] < 2:
            return None
        return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()

    def known(self, key: bytes | None) -> bool:
        """Whether the answer is kept, or will be before it is needed."""
        return key in self._answers

    def expect(self, key: bytes | None) -> bytes | None:
        """Promise to keep the answer of a text that is run now; None where there is no room."""
        if key is None or len(self._answers) >= _MOST_KEPT:
            return None
        self._answers[key] = b""
        return key

    def keep(self, key: bytes, cells: list[Any]) -> None:
        """Keep an answer, packed: a list of numbers would take four times as much memory."""
        self._answers[key] = marshal.dumps(cells)

    def answer(self, text: str) -> list[Any]:
        """Return the answer of an earlier chunk."""
        found: list[Any] = marshal.loads(self._answers[self.key(text) or b""])  # noqa: S302 - our own bytes, of this run
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """Everything that one call works with."""

    table: Table
    place: int
    writer: Writer
    columns: AnswerColumns
    classifier: Classifier
    options: FileOptions
    out: Path
    repeats: _Repeats

    def identity(self, digest: str, text: str) -> dict[str, Any]:
        """Return what the output depends on; a run goes on only with parts of the very same."""
        import numpy as np

        manifest = json.dumps(self.classifier.manifest.to_json(), sort_keys=True, ensure_ascii=False)
        return {
            "input": digest,
            "text": text,
            "table": asdict(self.options.table),
            "format": self.table.format,
            "columns": list(self.columns.names),
            "chunk": [CHUNK_ROWS, CHUNK_CHARACTERS, self.options.explain],
            "model": hashlib.sha256(manifest.encode()).hexdigest(),
            "backend": self.classifier.identity,
            "versions": {
                "ottenok": __version__,
                "numpy": np.__version__,
                "backend": self.classifier.backend.name,
                # There if the backend is on it.
                "onnxruntime": getattr(sys.modules.get("onnxruntime"), "__version__", None),
                "tokenizers": getattr(sys.modules.get("tokenizers"), "__version__", None),
            },
        }

    def classify(self, parts: _Parts, total: int, progress: Progress) -> None:
        """Write every part that is not there yet. Reading, computing and writing overlap, each in its own thread."""
        stopped = threading.Event()
        if total > CHUNK_ROWS:
            # A text's logits are the same bits in any company with onnxruntime on a processor; elsewhere, who knows.
            few, many = (self.classifier.prepare(_TRIED * times, pairs=True) for times in (1, 7))
            logits = self.classifier.run(few)
            self.repeats.used = bool((logits == self.classifier.run(many)[: len(logits)]).all())
        progress.start("classify", total=total, unit="rows")
        progress.advance(parts.resumed)
        prepared = _ahead(self._prepared(parts.resumed), stopped)
        computed = _ahead(self._computed(prepared, progress, stopped), stopped)
        finished = _ahead(self._finished(computed), stopped)
        with closing(prepared), closing(computed), closing(finished):
            try:
                self._write(finished, parts)
            finally:
                stopped.set()
                progress.finish()

    def _chunks(self, done: int, *, cells: bool = False) -> Iterator[Chunk]:
        """Yield what comes after the first `done` rows, in chunks that only the input decides."""
        cells = cells or self.writer.wants_cells
        every = list(range(len(self.table.columns))) if cells else [self.place]
        if self.place not in every:  # a field of a struct
            every.append(self.place)
        column = every.index(self.place)
        for block in self.table.blocks(every, rows=CHUNK_ROWS, raw=True):
            if done >= block.rows:
                done -= block.rows
                continue
            for chunk in self._cut(block, column, cells=cells):
                if done:
                    done -= chunk.rows
                else:
                    yield chunk

    def _cut(self, block: Block, column: int, *, cells: bool) -> Iterator[Chunk]:
        texts, faults = read_texts(block, column, self.table, self.options.table.max_record)
        if self.table.format == "jsonl":
            # A key that the first objects, of which the columns are, need not have.
            for place, line in enumerate(block.raw):
                there = isinstance(line, str) and texts[place] is not None
                clash = there and next(
                    (n for n in self.columns.names if f'"{n}"' in line and n in json.loads(line)), None
                )
                if clash:
                    texts[place], faults[place] = None, f"has a key {clash!r} already (--prefix)"
        # Rows without cells go with the first chunk.
        rejects = [{"row": one.row, "reason": one.reason, "content": one.content} for one in block.rejects]
        rows = len(rejects)
        for part in cut_rows(texts, explain=self.options.explain):
            kept = []
            for place in range(part.start, part.stop):
                if faults[place] is None:
                    kept.append(place)
                else:
                    cell = block.cells[column][place]
                    content = excerpt("" if cell is None else str(cell)[:1000])
                    rejects.append({"row": block.numbers[place], "reason": faults[place], "content": content})
            rows += part.stop - part.start
            found = [text for text in texts[part] if text is not None]
            yield self._chunk(block, rows, found, kept, rejects, cells=cells)
            rejects, rows = [], 0
        if rows:
            yield self._chunk(block, rows, [], [], rejects, cells=cells)

    def _chunk(
        self, block: Block, rows: int, texts: list[str], kept: list[int], rejects: list[dict[str, Any]], *, cells: bool
    ) -> Chunk:
        return Chunk(
            rows=rows,
            texts=texts,
            raw=block.raw.take(kept) if hasattr(block.raw, "take") else [block.raw[place] for place in kept],
            cells=[[cell[place] for cell in block.cells[: len(self.table.columns)]] for place in kept] if cells else [],
            rejects=sorted(rejects, key=lambda reject: int(reject["row"])),
        )

    def _prepared(self, done: int) -> Iterator[tuple[Chunk, dict[str, bytes | None], Prepared]]:
        """Yield chunks with those of their texts that are to be run; equal texts are run once.

        What is run is told with the key under which its answer is kept, or None.
        """
        for chunk in self._chunks(done):
            new: dict[str, bytes | None] = {}
            for text in chunk.texts:
                if text not in new:
                    key = self.repeats.key(text)
                    if not self.repeats.known(key):
                        new[text] = key
            for text, key in new.items():
                new[text] = self.repeats.expect(key)
            yield chunk, new, self.classifier.prepare(list(new), pairs=True)

    def _computed(
        self,
        prepared: Iterator[tuple[Chunk, dict[str, bytes | None], Prepared]],
        progress: Progress,
        stopped: threading.Event,
    ) -> Iterator[tuple[Chunk, dict[str, bytes | None], Prepared, Any]]:
        """Yield chunks with their logits."""
        for chunk, new, ready in prepared:
            watch = _Watch(progress, stopped)
            logits = self.classifier.run(ready, progress=watch)
            progress.advance(chunk.rows - watch.advanced)
            yield chunk, new, ready, logits

    def _finished(
        self, computed: Iterator[tuple[Chunk, dict[str, bytes | None], Prepared, Any]]
    ) -> Iterator[tuple[Chunk, Any]]:
        """Yield chunks as pieces of the output."""
        for chunk, new, ready, logits in computed:
            answers: dict[str, list[Any]] = {}
            for (text, key), answer in zip(new.items(), self.classifier.finish(ready, logits), strict=True):
                answers[text] = answer_cells(text, answer, self.classifier, self.columns, explain=self.options.explain)
                if key is not None:
                    self.repeats.keep(key, answers[text])
            rows = [answers[text] if text in answers else self.repeats.answer(text) for text in chunk.texts]
            yield chunk, self.writer.piece(chunk, rows)

    def _write(self, computed: Iterator[tuple[Chunk, Any]], parts: _Parts) -> None:
        """Put pieces together to parts; what is there when the work is interrupted becomes a part too."""
        held: list[tuple[Chunk, Any]] = []
        begun = time.monotonic()
        try:
            for item in computed:
                held.append(item)
                if sum(chunk.rows for chunk, _ in held) >= PART_ROWS or time.monotonic() - begun >= PART_SECONDS:
                    keeping, held = held, []
                    parts.keep(keeping, self.writer)
                    begun = time.monotonic()
        finally:
            if held:
                parts.keep(held, self.writer)

    def count_finished(self, total: int) -> int | None:
        """Return the rows of the output if it holds what this run would write, else None.

        All cells are compared with the input's, and the answers of the first rows of each chunk are computed again.
        """
        try:
            there = open_table(self.out, self.options.table if not self.writer.wants_cells else TableOptions())
            names = [*self.table.columns, *self.columns.names]
            same = self.options.table.header or self.writer.wants_cells
            places = [there.find(name) for name in names] if same else list(range(len(names)))
            rows = (row for block in there.blocks(places) for row in zip(*block.cells, strict=True))
            width, count, covered = len(self.table.columns), 0, 0
            for chunk in self._chunks(0, cells=True):
                covered += chunk.rows
                for place, (text, cells) in enumerate(zip(chunk.texts, chunk.cells, strict=True)):
                    row = next(rows, None)
                    if row is None or [cell_text(v) for v in row[:width]] != [cell_text(v) for v in cells]:
                        return None
                    if place < 4:
                        answers = answer_cells(
                            text, self.classifier(text), self.classifier, self.columns, explain=self.options.explain
                        )
                        if not all(map(_equal, row[width:], answers)):
                            return None
                    count += 1
        except (OttenokError, Fault, ValueError):
            return None
        return count if next(rows, None) is None and covered == total else None


def _equal(cell: object, value: object) -> bool:
    """Whether a cell of an output holds this answer; Parquet's numbers have seven digits."""
    if isinstance(value, float):
        return abs(float(str(cell)) - value) < 2e-6
    return cell_text(cell).replace(",", ";") == cell_text(value).replace(",", ";")


class _StoppedError(Exception):
    """The work goes on in no thread any more."""


class _Watch:
    """A progress that counts what it hears, and ends the work that tells it something when it is to stop."""

    def __init__(self, progress: Progress, stopped: threading.Event) -> None:
        self._progress = progress
        self._stopped = stopped
        self.advanced = 0

    def advance(self, count: int = 1) -> None:
        if self._stopped.is_set():
            raise _StoppedError
        self.advanced += count
        self._progress.advance(count)

    def start(self, stage: str, *, total: int | None, unit: str) -> None:
        self._progress.start(stage, total=total, unit=unit)

    def finish(self) -> None:
        self._progress.finish()

    def note(self, message: str) -> None:
        self._progress.note(message)


def _ahead(items: Iterator[_T], stopped: threading.Event) -> Generator[_T, None, None]:
    """Yield the items of an iterator that runs in a thread of its own, one item ahead."""
    box: queue.Queue[tuple[_T | None, BaseException | None]] = queue.Queue(maxsize=1)

    def put(item: _T | None, error: BaseException | None) -> bool:
        while not stopped.is_set():
            with suppress(queue.Full):
                box.put((item, error), timeout=0.1)
                return True
        return False

    def work() -> None:
        try:
            for item in items:
                if not put(item, None):
                    return
            put(None, StopIteration())
        except BaseException as error:  # noqa: BLE001 - raised again where the items are used
            put(None, error)

    thread = threading.Thread(target=work, name="ottenok-file", daemon=True)
    thread.start()
    told = False
    try:
        while True:
            try:
                item, error = box.get(timeout=0.1)
            except queue.Empty:
                if stopped.is_set():
                    raise _StoppedError from None
                continue
            if isinstance(error, StopIteration):
                return
            if error is not None:
                told = True
                raise error  # noqa: TRY301 - where the items are used
            yield item  # type: ignore[misc] # an item that is None comes with an error
    except BaseException:
        # Ctrl-C, or nobody wants more: the thread must not wait for its items to be taken. An error of its own goes
        # up through the other threads first.
        if not told:
            stopped.set()
        raise
    finally:
        thread.join()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """What is noted of a finished part, so that it can be trusted later.

    Attributes:
        rows: Of the input that it covers, in order.
        bytes: Of its file.
        sha256: Of its file.
        rejects: Rows that it left out.
    """

    rows: int
    bytes: int
    sha256: str
    rejects: list[dict[str, Any]] = field(default_factory=list)


class _Parts:
    """The folder of finished parts of one output.

    Attributes:
        folder: Where it is; removed when the output is written.
        done: The finished parts, in order.
        resumed: Rows that were done when the run began.
        notes: What became of an earlier run.
    """

    def __init__(self, folder: Path, suffix: str) -> None:
        self.folder = folder
        self._suffix = suffix
        self.done: list[_Part] = []
        self.resumed = 0
        self.notes: list[str] = []

    def _file(self, number: int) -> Path:
        return self.folder / f"{number:06d}{self._suffix}"

    def is_of(self, identity: Mapping[str, Any]) -> bool:
        """Whether an interrupted run of this identity left its parts here."""
        try:
            return (self.folder / _STATE).read_text(encoding="utf-8") == _state(identity)
        except (OSError, UnicodeDecodeError):
            return False

    def open(self, identity: Mapping[str, Any], *, resume: bool) -> None:
        """Take up what an interrupted run of this identity did, as far as it is whole, or begin anew."""
        same = self.is_of(identity)
        if resume and same:
            while (part := self._read(len(self.done))) is not None:
                self.done.append(part)
            if self._file(len(self.done)).exists():
                self.notes.append("A damaged part of the interrupted run was thrown away, and what came after it.")
        elif resume and (self.folder / _STATE).exists():
            self.notes.append("An interrupted run was of another input, model or options: it was begun again.")
        self._clear(keep=len(self.done) if same else 0)
        atomic_write_text(self.folder / _STATE, _state(identity))
        self.resumed = sum(part.rows for part in self.done)

    def _read(self, number: int) -> _Part | None:
        """Return what is noted of a part if its file is as it was written."""
        file = self._file(number)
        try:
            part = _Part(**json.loads(file.with_suffix(".facts").read_text(encoding="utf-8")))
            whole = file.stat().st_size == part.bytes and sha256_file(file) == part.sha256
        except (OSError, ValueError, TypeError):
            return None
        return part if whole else None

    def keep(self, held: list[tuple[Chunk, Any]], writer: Writer) -> None:
        """Write a part; its facts come last and say that it is done."""
        file = self._file(len(self.done))
        with atomic_path(file) as temporary:
            writer.write([piece for _, piece in held], temporary)
        part = _Part(
            rows=sum(chunk.rows for chunk, _ in held),
            bytes=file.stat().st_size,
            sha256=sha256_file(file),
            rejects=[reject for chunk, _ in held for reject in chunk.rejects],
        )
        atomic_write_text(file.with_suffix(".facts"), json.dumps(asdict(part), ensure_ascii=False))
        self.done.append(part)

    def verified(self) -> Iterator[Path]:
        """Yield the files of all parts, each looked at once more.

        Raises:
            InputError: One is not as it was written.
        """
        for number, part in enumerate(self.done):
            if self._read(number) != part:
                self._clear(keep=number)
                raise InputError(
                    "a finished part was changed by something else",
                    hint="Give the same command again: it makes the part anew.",
                    file=str(self._file(number)),
                )
            yield self._file(number)

    def write_rejects(self, out: Path, *, replace: bool) -> Counter[str]:
        """Write the rows that all parts left out into one file; return how many for which reason.

        An old file of that name goes where there are none, if ottenok wrote it.
        """
        reasons = Counter(reject["reason"] for part in self.done for reject in part.rejects)
        if reasons:
            with atomic_path(out) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as stream:
                for part in self.done:
                    stream.writelines(json.dumps(reject, ensure_ascii=False) + "\n" for reject in part.rejects)
        elif replace and out.exists() and _is_rejects(out):
            out.unlink()
        return reasons

    def _clear(self, *, keep: int) -> None:
        """Remove parts from number `keep` on, and what was half written; files of other names stay."""
        for entry in self.folder.iterdir():
            number = entry.name[:6]
            if number.isdigit() and entry.suffix in {self._suffix, ".facts"}:
                if int(number) >= keep:
                    entry.unlink()
            elif entry.name.startswith(".") and ".part" in entry.name:
                entry.unlink()

    def remove(self) -> None:
        """Remove what ottenok wrote into the folder."""
        self._clear(keep=0)
        (self.folder / _STATE).unlink(missing_ok=True)


def _state(identity: Mapping[str, Any]) -> str:
    return json.dumps(identity, ensure_ascii=False, indent=2, sort_keys=True)


@contextmanager
def _folder_of(out: Path) -> Iterator[_Parts]:
    """Give the folder of parts of an output to this run alone.

    Raises:
        InputError: Another run has it.
    """
    folder = out.with_name(f".{out.name}.parts")
    try:
        with locked(folder / _LOCK):
            yield _Parts(folder, plain_suffix(out))
    except LockedError as error:
        who = "another process" if error.pid is None else f"process {error.pid}"
        raise InputError(
            f"another run ({who}) is writing this output",
            hint="Wait for it, or name another output file.",
            file=str(out),
        ) from error
    finally:
        with suppress(OSError):
            folder.rmdir()


def _is_rejects(file: Path) -> bool:
    """Whether ottenok wrote this list of rejects."""
    try:
        with file.open(encoding="utf-8") as stream:
            first = stream.readline(1 << 16)
        return set(json.loads(first)) == {"row", "reason", "content"}
    except (OSError, ValueError, TypeError):
        return False
