"""Tables of any number and length on a cluster: rows in, the same rows with answers out, as a folder of Parquet files.

A job has three stages. *Reading*: each input becomes pieces of whole chunks, with every fault found, in `OUT/_job`.
*Classifying*: workers, each a process with a model, make of every piece the file `OUT/part-<number>.parquet`.
*Closing*: all parts are looked at, and the rows without an answer are listed in `OUT/_rejects.jsonl`.

Whatever is killed at any moment, the same command goes on: a piece or part is there when it is whole, its name and its
rows are known from the start, and writing it twice gives the same file, so no row can be lost or doubled. Answers are
those of `ottenok classify` on one machine to the last digit, because the same rows are computed together.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ottenok.cluster.lease import leased
from ottenok.cluster.places import Folder, find_inputs, open_folder, shown
from ottenok.cluster.start import LOCAL, RayCrew, started
from ottenok.core.errors import InputError, ModelError
from ottenok.core.files import LockedError, locked
from ottenok.core.progress import SILENT, stage
from ottenok.core.version import __version__
from ottenok.inference.api import load
from ottenok.inference.files import CHUNK_ROWS, FileOptions, answer_cells, cut_rows, read_texts
from ottenok.inference.outputs import AnswerColumns, Chunk, open_writer
from ottenok.tables.parquet import ParquetTable
from ottenok.tables.records import excerpt
from ottenok.tables.streams import Source
from ottenok.tables.table import open_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa

    from ottenok.cluster.places import Input
    from ottenok.core.progress import Progress
    from ottenok.inference.classifier import Classifier
    from ottenok.inference.outputs import Writer
    from ottenok.tables.table import Table
    from ottenok.tasks.task import Task

__all__ = ["FolderReport", "Piece", "classify_folder"]

_OPTIONS = FileOptions()
_JOB = "_job"
_STATE = f"{_JOB}/job.json"
_PIECES = f"{_JOB}/pieces"
_LEASE = f"{_JOB}/lease.json"
_REJECTS = "_rejects.jsonl"
_FORMAT = 1
# Rows of a piece: what a kill costs each worker at most. Where there is more than so many bytes to read, pieces are
# larger, so that a billion rows are fifteen thousand files and not two hundred thousand.
_PIECE_ROWS = CHUNK_ROWS
_LARGE_ROWS = 16 * CHUNK_ROWS
_LARGE_BYTES = 1 << 30
# Bytes of a piece's columns in memory after which it is closed whatever its rows.
_PIECE_BYTES = 64 << 20
# In a part's Parquet metadata: which job wrote it.
_MARK = b"ottenok.job"


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderReport:
    """What became of a job.

    Attributes:
        out: The output folder.
        rows: Rows in it, all of the input's.
        rejected: Reason to number of rows without an answer.
        rejects: The file that lists them (JSON lines: file, row, reason, content); None if there are none.
        resumed: Rows that an earlier, interrupted run had done.
        finished: Whether an earlier run had finished the very same, so that nothing was left to do.
        files: Number of the inputs.
        parts: Number of Parquet files in the folder.
        workers: Models that computed at once.
    """

    out: str
    rows: int
    rejected: Mapping[str, int]
    rejects: str | None
    resumed: int
    finished: bool
    files: int
    parts: int
    workers: int


def classify_folder(
    source: str | Path,
    out: str | Path,
    *,
    text: str,
    model: Mapping[str, Any] | None = None,
    options: FileOptions = _OPTIONS,
    cluster: str = LOCAL,
    workers: int | None = None,
    progress: Progress = SILENT,
) -> FolderReport:
    """Classify the texts in one column of tables on a Ray cluster.

    The output has every row of the input with its columns, and after them the answers as `classify_file` writes them to
    Parquet, `PREFIXfile` and `PREFIXrow` (the row's place, from 1), and `PREFIXreject`: why a row has no answer, null
    where it has one. The parts' order is that of the inputs' names and rows.

    Args:
        source: A file, a folder, a glob, or an address such as `s3://bucket/folder`. Any table that ottenok reads.
        out: The output folder, or its address: empty, absent, or that of the same job.
        text: The text column's name.
        model: Arguments of `ottenok.load`; workers load it for themselves, so its folder has to be there for each.
        options: How tables are read and answers written.
        cluster: `local`, or a cluster's address; see `ottenok.cluster.start.started`.
        workers: Models that compute at once, each on one processor; None: one on every processor of the cluster.
        progress: Hears of rows.

    Raises:
        InputError: The output holds something else; the inputs have different columns, no readable text, or changed
            meanwhile.
        DataError: A file can't be read, or has not the column.
        ConfigError: No cluster answers.
        MissingExtraError: The extra `ray` is not installed.
    """
    place = str(source)
    inputs = find_inputs(place)
    folder = open_folder(str(out))
    wanted = dict(model or {}) | {"threads": 1}
    if wanted.get("model") is not None and Path(str(wanted["model"])).is_dir():
        wanted["model"] = str(Path(str(wanted["model"])).resolve())
    classifier = load(**wanted)
    identity = _identity(inputs, classifier, text, options)
    with _held(folder):
        state = json.loads(folder.read_text(_STATE) or "{}")
        same, done = state.get("identity") == identity, state.get("state") == "done"
        if same and done and not options.overwrite and len(_parts(folder)) == state["report"]["parts"]:
            folder.remove_folder(_PIECES)
            return FolderReport(**{**state["report"], "resumed": 0, "finished": True})
        if (
            not same
            and folder.names() - {_JOB}
            and not (options.overwrite or (state and not done and not options.resume))
        ):
            found = f"{'a finished' if done else 'an interrupted'} job of another input, model or options"
            raise InputError(
                f"the output folder holds {found if state else 'something else'}",
                hint="Name another folder, or begin again in it with --overwrite.",
                file=shown(folder.address),
            )
        if not same or done or options.overwrite or not options.resume:
            # What a job wrote goes; other files stay.
            for name in _parts(folder):
                folder.remove(name)
            folder.remove(_REJECTS)
            folder.remove_folder(_JOB)
            begun = {"format": _FORMAT, "identity": identity, "state": "begun"}
            folder.write_text(_STATE, json.dumps(begun, indent=1))
        with started(cluster, workers=workers) as ray:
            crew = RayCrew.of(ray, workers)
            job = _Job(crew, folder, identity, options, progress)
            job.read(inputs, text=text, tasks=classifier.tasks)
            resumed = job.classify(wanted, _model_identity(classifier))
            if _identity(find_inputs(place), classifier, text, options) != identity:
                hint = "Give the same command again when nothing writes to them."
                raise InputError("the inputs were changed while they were read", hint=hint, file=shown(place))
            reasons = job.close()
        report = FolderReport(
            out=shown(folder.address),
            rows=sum(piece.rows for piece in job.pieces),
            rejected=dict(reasons),
            rejects=folder.path(_REJECTS) if reasons else None,
            resumed=resumed,
            finished=False,
            files=len(inputs),
            parts=len(job.pieces),
            workers=crew.size,
        )
        done = {"format": _FORMAT, "identity": identity, "state": "done", "report": asdict(report)}
        folder.write_text(_STATE, json.dumps(done, ensure_ascii=False, indent=1))
        folder.remove_folder(_PIECES)
    return report


def _identity(inputs: list[Input], classifier: Classifier, text: str, options: FileOptions) -> str:
    """Return a digest of what the output depends on; a job goes on only with parts of the very same."""
    facts = {
        "format": _FORMAT,
        "inputs": [asdict(one) for one in inputs],
        "text": text,
        "table": asdict(options.table),
        "columns": list(_columns(classifier.tasks, options).names),
        "explain": options.explain,
        "model": _model_identity(classifier),
        "version": __version__,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _columns(tasks: tuple[Task, ...], options: FileOptions) -> AnswerColumns:
    return AnswerColumns(tasks, options.prefix, options.columns, explained=options.explain)


def _model_identity(classifier: Classifier) -> str:
    manifest = json.dumps(classifier.manifest.to_json(), sort_keys=True, ensure_ascii=False)
    return f"{hashlib.sha256(manifest.encode()).hexdigest()} {classifier.identity}"


@contextmanager
def _held(folder: Folder) -> Iterator[None]:
    """Give the output to this run alone.

    Raises:
        InputError: Another run has it.
    """
    if folder.local is None:
        with leased(folder, _LEASE):
            yield
        return
    try:
        # Beside the folder, which may be that of something else.
        with locked(folder.local.with_name(f".{folder.local.name}.lock")):
            yield
    except LockedError as error:
        who = "another process" if error.pid is None else f"process {error.pid}"
        hint = "Wait for it, or name another folder."
        raise InputError(
            f"another run ({who}) is writing this output", hint=hint, file=shown(folder.address)
        ) from error


def _parts(folder: Folder) -> list[str]:
    """Return the names of the parts that are in a folder."""
    return [name for name in folder.files() if name.startswith("part-") and name.endswith(".parquet")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Rows that become one file of the output.

    Attributes:
        number: Its place among all.
        name: Of its file in the folder of pieces.
        rows: Its rows.
    """

    number: int
    name: str
    rows: int

    @property
    def part(self) -> str:
        """Name of its file in the output."""
        return f"part-{self.number:08d}.parquet"


class _Job:
    """A job that is under way.

    Attributes:
        pieces: What all inputs became; known after `read`.
    """

    def __init__(self, crew: RayCrew, folder: Folder, identity: str, options: FileOptions, progress: Progress) -> None:
        self._crew, self._folder, self._identity = crew, folder, identity
        self._options, self._progress = options, progress
        self.pieces: list[Piece] = []

    def read(self, inputs: list[Input], *, text: str, tasks: tuple[Task, ...]) -> None:
        """Make pieces of the inputs that have none yet, each input by one processor.

        Raises:
            DataError: A file can't be read, or has not the column.
            InputError: The inputs have different columns, or none has a text.
        """
        there = self._folder.files(_PIECES)
        names = {number: f"{number:06d}.json" for number in range(len(inputs))}
        left = [number for number, name in names.items() if name not in there]
        rows = _LARGE_ROWS if sum(one.size for one in inputs) > _LARGE_BYTES else _PIECE_ROWS
        calls = ((inputs[number], number, self._folder, text, tasks, self._options, rows) for number in left)
        with stage(self._progress, "read", total=len(inputs), unit="files"):
            self._progress.advance(len(inputs) - len(left))
            for _ in self._crew.spread(_read_input, calls):
                self._progress.advance()
        with ThreadPoolExecutor(16) as pool:
            texts = pool.map(lambda name: self._folder.read_text(f"{_PIECES}/{name}") or "{}", names.values())
            facts = [json.loads(text) for text in texts]
        for one, fact in zip(inputs, facts, strict=True):
            if fact["columns"] != facts[0]["columns"]:
                ours, first = fact["columns"], facts[0]["columns"]
                other = next(
                    (f"{name} ({kind})" for name, kind in [*ours.items(), *first.items()]
                     if ours.get(name) != first.get(name)),
                    "their order",
                )  # fmt: skip
                raise InputError(
                    f"its columns are not those of {inputs[0].path}: they differ in {other}",
                    hint="Give files of one form; others in a job of their own.",
                    file=one.path,
                )
        self.pieces = [
            Piece(number=number, name=name, rows=rows)
            for number, (name, rows) in enumerate(piece for fact in facts for piece in fact["pieces"])
        ]
        reasons: Counter[str] = Counter()
        for fact in facts:
            reasons.update(fact["reasons"])
        total = sum(piece.rows for piece in self.pieces)
        if total and reasons.total() == total:
            ((reason, count),) = reasons.most_common(1)
            raise InputError(
                f"none of the {total:,} rows can be classified; the commonest reason: {reason} ({count:,} rows)",
                hint="Check the text column, the delimiter and the encoding.",
                file=inputs[0].path,
                key="--text",
            )

    def classify(self, model: dict[str, Any], expected: str) -> int:
        """Write every part that is not there; return the rows of those that were.

        Raises:
            ModelError: The model can't be run, or a worker has another one than this process.
        """
        missing = self._missing()
        left = sum(piece.rows for piece in missing)
        resumed = sum(piece.rows for piece in self.pieces) - left
        loaded = tuple(model.items())
        calls = ((piece, loaded, expected, self._folder, self._identity, self._options) for piece in missing)
        with stage(self._progress, "classify", total=resumed + left, unit="rows"):
            self._progress.advance(resumed)
            for (piece, *_), _ in self._crew.spread(_classify_piece, calls):
                self._progress.advance(piece.rows)
        return resumed

    def _missing(self) -> list[Piece]:
        """Return the pieces that have no part, or one that is not whole or not this job's; others' parts go."""
        there = set(_parts(self._folder))
        for name in there - {piece.part for piece in self.pieces}:
            self._folder.remove(name)
        with ThreadPoolExecutor(16) as pool:
            whole = pool.map(lambda piece: piece.part in there and self._is_whole(piece), self.pieces)
            return [piece for piece, good in zip(self.pieces, whole, strict=True) if not good]

    def _is_whole(self, piece: Piece) -> bool:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with self._folder.read(piece.part) as stream, pq.ParquetFile(stream) as parquet:
                facts = parquet.metadata
                return facts.num_rows == piece.rows and (facts.metadata or {}).get(_MARK) == self._identity.encode()
        except (OSError, pa.ArrowException):
            return False

    def close(self) -> Counter[str]:
        """Look at every part once more, list the rejects, and return how many rows were rejected for which reason.

        Raises:
            InputError: A part is not as it was written.
        """
        import pyarrow.parquet as pq

        if missing := self._missing():
            raise InputError(
                f"{len(missing)} parts are not as they were written",
                hint="Does anything else write into this folder? The same command makes them anew.",
                file=self._folder.path(missing[0].part),
            )
        reasons: Counter[str] = Counter()
        names = [f"{self._options.prefix}{name}" for name in ("file", "row", "reject", "content")]

        def rejects(piece: Piece) -> list[dict[str, Any]]:
            with self._folder.read(piece.part) as stream, pq.ParquetFile(stream) as parquet:
                place = parquet.schema_arrow.names.index(names[2])
                groups = []
                for number in range(parquet.metadata.num_row_groups):
                    facts = parquet.metadata.row_group(number)
                    nulls = facts.column(place).statistics.null_count if facts.column(place).statistics else None
                    if nulls != facts.num_rows:
                        groups.append(number)
                found = parquet.read_row_groups(groups, columns=names).to_pylist() if groups else []
            return [row for row in found if row[names[2]] is not None]

        with ThreadPoolExecutor(16) as pool, self._folder.write(_REJECTS) as stream:
            for found in pool.map(rejects, self.pieces):
                for row in found:
                    file, number, reason, content = (row[name] for name in names)
                    reasons[reason] += 1
                    entry = {"file": file, "row": number, "reason": reason, "content": content}
                    stream.write(f"{json.dumps(entry, ensure_ascii=False)}\n".encode(errors="replace"))
        if not reasons:
            self._folder.remove(_REJECTS)
        return reasons


def _read_input(
    one: Input, number: int, folder: Folder, text: str, tasks: tuple[Task, ...], options: FileOptions, rows: int
) -> None:
    """Write a table as pieces, and then what they are."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    prefix = options.prefix
    reasons: Counter[str] = Counter()
    pieces: list[tuple[str, int]] = []
    with one.open() as stream:
        table = open_table(
            Source(stream, member=options.table.member, max_expansion=options.table.max_expansion),
            options.table,
            wanted=(text,),
        )
        place = table.find(text)
        columns = _columns(tasks, options)
        writer = open_writer(table, columns, Path("part.parquet"), header=options.table.header)
        more = [f"{prefix}{name}" for name in ("file", "row", "reject", "content", "text")]
        for name in more:
            if name in table.columns or name in columns.names:
                raise InputError(
                    f"the file has a column {name!r} already, or the answers have",
                    hint="Choose other names for the answers with --prefix.",
                    file=one.path,
                    key=name,
                )
        held: list[pa.Table] = []

        def close() -> None:
            name = f"{number:06d}-{len(pieces):06d}.parquet"
            with folder.write(f"{_PIECES}/{name}") as target, pq.ParquetWriter(target, held[0].schema) as parquet:
                for group in held:
                    parquet.write_table(group, row_group_size=max(group.num_rows, 1))
            pieces.append((name, sum(group.num_rows for group in held)))
            held.clear()

        schema = None
        for group in _groups(table, place, writer, len(columns.names), more, one.path, options):
            schema = group.schema
            reasons.update(reason for reason in group.column(more[2]).to_pylist() if reason is not None)
            held.append(group)
            if sum(one.num_rows for one in held) >= rows or sum(one.nbytes for one in held) >= _PIECE_BYTES:
                close()
        if held:
            close()
        if schema is None:
            nothing = pa.RecordBatch.from_pylist([], schema=table.schema) if isinstance(table, ParquetTable) else []
            schema = writer.piece(Chunk(rows=0, texts=[], raw=nothing, cells=[], rejects=[]), []).schema
    kinds = {field.name: str(field.type) for field in schema if field.name not in more}
    facts = {"file": one.path, "columns": kinds, "pieces": pieces, "reasons": dict(reasons)}
    folder.write_text(f"{_PIECES}/{number:06d}.json", json.dumps(facts, ensure_ascii=False))


def _groups(
    table: Table, place: int, writer: Writer, width: int, names: list[str], file: str, options: FileOptions
) -> Iterator[pa.Table]:
    """Yield what is classified together, with the rows that can't be.

    The columns are the table's, empty ones for the answers, and then those of `names`: file, row, reject, content, and
    the text as it is to be read.
    """
    import pyarrow as pa

    every = list(range(len(table.columns)))
    wanted = [*every, *([] if place in every else [place])]
    column = wanted.index(place)
    for block in table.blocks(wanted, rows=CHUNK_ROWS, raw=True):
        texts, faults = read_texts(block, column, table, options.table.max_record)
        broken = block.rejects
        for part in [*cut_rows(texts, explain=options.explain), *([slice(0, 0)] if not texts and broken else [])]:
            kept = list(range(part.start, part.stop))
            cells = [[cell[at] for cell in block.cells[: len(every)]] for at in kept] if writer.wants_cells else []
            raw = block.raw.take(kept) if hasattr(block.raw, "take") else []
            chunk = Chunk(rows=len(kept), texts=[], raw=raw, cells=cells, rejects=[])
            found = writer.piece(chunk, [[None] * width] * len(kept))
            if broken:
                empty = [pa.nulls(len(broken), field.type) for field in found.schema]
                found = pa.concat_tables([found, pa.table(empty, schema=found.schema)])
            faulty = [
                None if fault is None else excerpt("" if cell is None else str(cell)[:1000])
                for fault, cell in zip(faults[part], block.cells[column][part], strict=True)
            ]
            rest = [
                pa.array([file] * found.num_rows, pa.string()),
                pa.array([*block.numbers[part], *(row.row for row in broken)], pa.int64()),
                pa.array([*faults[part], *(row.reason for row in broken)], pa.string()),
                pa.array([*faulty, *(row.content for row in broken)], pa.string()),
                pa.array([*texts[part], *([None] * len(broken))], pa.large_string()),
            ]
            for name, values in zip(names, rest, strict=True):
                found = found.append_column(name, values)
            yield found.sort_by(names[1]) if broken else found
            broken = []


@lru_cache(maxsize=1)
def _model(loaded: tuple[tuple[str, Any], ...], expected: str) -> Classifier:
    """Load this process's model, once; it is tried too: if it answers nothing, no text is to blame.

    Raises:
        BundleError: It is not there.
        ModelError: It is another one than the driver's, or can't be run.
    """
    classifier = load(**dict(loaded))
    if _model_identity(classifier) != expected:
        raise ModelError(
            "a worker has another model, or other versions, than the process that began the job",
            hint="Install the same ottenok on every machine, and give the model by a name or a shared folder.",
        )
    classifier("хорошо, 好")
    return classifier


def _classify_piece(
    piece: Piece,
    loaded: tuple[tuple[str, Any], ...],
    expected: str,
    folder: Folder,
    identity: str,
    options: FileOptions,
) -> None:
    """Write a piece's part."""
    import pyarrow.parquet as pq

    classifier, text = _model(loaded, expected), f"{options.prefix}text"
    with (
        folder.read(f"{_PIECES}/{piece.name}") as stream,
        pq.ParquetFile(stream) as parquet,
        folder.write(piece.part) as target,
    ):
        schema = parquet.schema_arrow
        schema = schema.remove(schema.get_field_index(text))
        schema = schema.with_metadata({**(schema.metadata or {}), _MARK: identity.encode()})
        with pq.ParquetWriter(target, schema) as writer:
            for number in range(parquet.metadata.num_row_groups):
                group = _answered(parquet.read_row_group(number), classifier, options).drop_columns(text)
                writer.write_table(group, row_group_size=max(group.num_rows, 1))


def _answered(group: pa.Table, classifier: Classifier, options: FileOptions) -> pa.Table:
    """Return the rows with their answers; a text at which the model fails is a reject."""
    import pyarrow as pa

    columns, prefix = _columns(classifier.tasks, options), options.prefix

    def values(texts: list[str]) -> list[list[Any]]:
        prepared = classifier.prepare(texts, pairs=True)
        found = zip(texts, classifier.finish(prepared, classifier.run(prepared)), strict=True)
        return [answer_cells(text, one, classifier, columns, explain=options.explain) for text, one in found]

    texts: list[str | None] = group.column(f"{prefix}text").to_pylist()
    unique = list(dict.fromkeys(text for text in texts if text is not None))
    faults: dict[str, str] = {}
    answers: dict[str, list[Any]] = {}
    try:
        answers = dict(zip(unique, values(unique), strict=True))
    except Exception:  # noqa: BLE001 - one text must not cost the others; which one it is is found out alone
        for text in unique:
            try:
                (answers[text],) = values([text])
            except Exception as error:  # noqa: BLE001
                told = getattr(error, "message", None) or str(error)
                faults[text] = f"not classified: {type(error).__name__}: {told}"[:300]
    nothing: list[Any] = [None] * len(columns.names)
    rows = [nothing if text is None else answers.get(text, nothing) for text in texts]
    new: dict[str, list[Any]] = {name: [row[at] for row in rows] for at, name in enumerate(columns.names)}
    if faults:
        for name, made in (("reject", faults.get), ("content", lambda text: excerpt(text[:1000]))):
            old = group.column(f"{prefix}{name}").to_pylist()
            new[f"{prefix}{name}"] = [
                made(text) if text in faults else there for text, there in zip(texts, old, strict=True)
            ]
    for name, found in new.items():
        at = group.schema.get_field_index(name)
        field = group.schema.field(at)
        group = group.set_column(at, field, pa.array(found, type=field.type))
    return group
