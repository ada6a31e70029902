"""What a classified file becomes: its rows as they were, and the answers as columns at their end.

Where the output has the input's format, CSV and JSON lines rows keep their very bytes, and Parquet columns their types.
Any other pair of formats is converted: CSV holds cells as text, Parquet columns of text, JSON lines and XLSX values as
they are. Text formats may be packed.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import shutil
from abc import ABC, abstractmethod
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar, cast

from ottenok.core.errors import ConfigError, InputError
from ottenok.core.lazy import need, require
from ottenok.core.suggest import suggest
from ottenok.tables.streams import zstd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import pyarrow as pa

    from ottenok.inference.prediction import Prediction
    from ottenok.tables.delimited import DelimitedTable
    from ottenok.tables.table import Table
    from ottenok.tasks.task import Task

__all__ = ["AnswerColumns", "Chunk", "Writer", "cell_text", "open_writer", "plain_suffix"]

# Digits of numbers in files; int8 is not as exact, and files stay half as large.
_DIGITS = 6
# Rows of a Parquet file's row groups, whatever the parts were.
_GROUP_ROWS = 32_768
_FORMATS = {
    ".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".xlsx": "xlsx",
}  # fmt: skip
_PACKINGS = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd"}
# What a cell of a sheet can hold, and whole numbers of which a spreadsheet keeps every digit.
_CELL_CHARACTERS = 32_767
_EXACT = 10**15
_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")


class AnswerColumns:
    """The columns that prediction adds to a table.

    For the primary task `label` (or `labels`, where an answer may have several), `confidence`, `polarity` where labels
    have an order, and one probability per label; for each other task the same, after its name and a colon; and `reason`
    where there is no label. All have the prefix. A label whose column would have another's name gets `p_` before it.

    Args:
        tasks: The classifier's; of none there are no answers, and no columns.
        prefix: Of all names.
        chosen: Which columns there are, without the prefix: names, `label` (or `labels`), `confidence`, `polarity` and
            `probabilities` of every task, or of one as `emotions-7:label`; empty: all.
        explained: Whether there is a column `words`: those that speak most for the primary task's label.

    Raises:
        ConfigError: No column has a chosen name.

    Attributes:
        tasks: As given.
        names: The names, in order.
        kinds: What each holds: `text`, `texts` (a list of them) or `number`.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        prefix: str = "predicted_",
        chosen: Sequence[str] = (),
        *,
        explained: bool = False,
    ) -> None:
        self.tasks = tuple(tasks)
        found: list[str] = []
        kinds: list[str] = []
        words: list[set[str]] = []  # by which each may be chosen
        for place, task in enumerate(self.tasks):
            start = prefix if place == 0 else f"{prefix}{task.name}:"
            several = task.scheme.kind == "multi-label"
            facts = [("labels" if several else "label", {"label", "labels"}), ("confidence", {"confidence"})]
            if task.scheme.values:
                facts.append(("polarity", {"polarity"}))
            facts += [(label, {"probabilities"}) for label in task.scheme.labels]
            for number, (name, usual) in enumerate(facts):
                while f"{start}{name}" in found:
                    name = f"p_{name}"  # noqa: PLW2901
                found.append(f"{start}{name}")
                kinds.append("number" if number else "texts" if several else "text")
                words.append(usual | {name, f"{task.name}:{name}", *(f"{task.name}:{word}" for word in usual)})
        last = [("reason", "text")] if self.tasks else []
        for usual_name, kind in (*last, *([("words", "texts")] if explained else [])):
            name = usual_name
            while f"{prefix}{name}" in found:
                name = f"p_{name}"
            found.append(f"{prefix}{name}")
            kinds.append(kind)
            words.append({usual_name, name})
        self._explained = explained
        places = set()
        for word in chosen:
            fitting = {place for place, its in enumerate(words) if word in its}
            # A label that several tasks have is that of the primary one.
            exact = {place for place in fitting if found[place] == f"{prefix}{word}"}
            if not fitting:
                known = sorted({one for its in words for one in its if ":" not in one})
                raise ConfigError(f"there is no column of answers {word!r}", hint=suggest(word, known), key="--columns")
            places |= fitting if not exact or word in {"label", "labels", "confidence", "polarity"} else exact
        self._places = sorted(places) or list(range(len(found)))
        self.names = tuple(found[place] for place in self._places)
        self.kinds = tuple(kinds[place] for place in self._places)

    def values(self, prediction: Prediction, words: Sequence[str] = ()) -> list[Any]:
        """Return a row's cells.

        For each task the label (None: none) or list of labels and numbers; then the reason and, if answers are
        explained, the words.
        """
        cells: list[Any] = []
        for task in self.tasks:
            answer = prediction.tasks[task.name]
            cells.append(list(answer.labels) if task.scheme.kind == "multi-label" else answer.label)
            cells.append(round(answer.confidence, _DIGITS))
            if task.scheme.values:
                cells.append(None if answer.polarity is None else round(answer.polarity, _DIGITS))
            cells += [round(share, _DIGITS) for share in answer.probabilities.values()]
        cells += [prediction.reason, *([list(words)] if self._explained else [])]
        return [cells[place] for place in self._places]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Rows of a block that are classified together.

    Attributes:
        rows: How many rows of the file it covers, rejected ones included.
        texts: What to classify.
        raw: The rows of `texts` as they stand in the file: a list of strings, or a record batch of Parquet.
        cells: All their cells, a list a row; empty where `raw` is enough.
        rejects: Rows that are left out, as a rejects file has them: row, reason, content.
    """

    rows: int
    texts: list[str]
    raw: Any
    cells: list[list[Any]]
    rejects: list[dict[str, Any]]


class Writer(ABC):
    """Makes one kind of output of one kind of input.

    Args:
        table: The input.
        columns: The answers'.
        out: The output file, for errors.
        header: Whether the input has a header.

    Attributes:
        wants_cells: Whether it needs all cells of a row, and not only the row as it stands in the file.
        most_rows: That the format can hold; None: any number.
    """

    wants_cells: ClassVar[bool] = False
    most_rows: ClassVar[int | None] = None

    def __init__(self, table: Table, columns: AnswerColumns, out: Path, *, header: bool) -> None:
        self._table = table
        self._header = header
        self._columns = columns
        self._out = out

    def check(self, rows: int) -> None:
        """Refuse more rows than the format can hold.

        Raises:
            InputError: They are.
        """
        if self.most_rows is not None and rows > self.most_rows:
            raise InputError(
                f"the format holds {self.most_rows:,} rows, and the file has {rows:,}",
                hint="Write .csv or .parquet.",
                file=str(self._out),
            )

    @abstractmethod
    def piece(self, chunk: Chunk, answers: Sequence[Sequence[Any]]) -> Any:  # noqa: ANN401 - bytes, or an Arrow table
        """Return the rows of a chunk with their answers, as `write` takes them."""

    @abstractmethod
    def write(self, pieces: Sequence[Any], part: Path) -> None:
        """Write pieces into one part."""

    @abstractmethod
    def join(self, parts: Iterable[Path], out: Path) -> None:
        """Write the output from its parts."""


class _TextWriter(Writer):
    """Parts are bytes, and the output is a beginning and the parts."""

    def write(self, pieces: Sequence[bytes], part: Path) -> None:
        part.write_bytes(b"".join(pieces))

    def join(self, parts: Iterable[Path], out: Path) -> None:
        with _packed(out, self._out) as stream:
            stream.write(self._start())
            for part in parts:
                with part.open("rb") as source:
                    shutil.copyfileobj(source, stream, 1 << 20)

    def _start(self) -> bytes:
        return b""


@contextmanager
def _packed(file: Path, named: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing, packed as the name that it will have says; the same content gives the same bytes."""
    packing = _PACKINGS.get(named.suffix.lower())
    with file.open("wb") as raw:
        if packing == "gzip":
            with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as stream:
                yield cast("IO[bytes]", stream)
        elif packing == "zstd":
            with zstd().open(raw, "wb") as stream:
                yield stream
        else:
            yield raw


class _SameDelimited(_TextWriter):
    """CSV to CSV: the rows keep their bytes, in the input's encoding and dialect."""

    _table: DelimitedTable

    def __init__(self, table: Table, columns: AnswerColumns, out: Path, *, header: bool) -> None:
        super().__init__(table, columns, out, header=header)
        for text in (*columns.names, *(label for task in columns.tasks for label in task.scheme.labels)):
            try:
                text.encode(table.encoding or "utf-8")
            except UnicodeEncodeError as error:
                raise InputError(
                    f"the answer {text!r} can't be written in the file's encoding {table.encoding}",
                    hint="Write another format: -o OUT.jsonl",
                    file=str(out),
                ) from error

    def _encode(self, text: str) -> bytes:
        return text.encode(self._table.encoding or "utf-8", errors="surrogateescape")

    def piece(self, chunk: Chunk, answers: Sequence[Sequence[Any]]) -> bytes:
        several = "," if self._table.dialect.delimiter == ";" else ";"
        rows = zip(chunk.raw, answers, strict=True)
        return self._encode(
            "".join(self._table.extended(raw, [cell_text(v, several) for v in row]) for raw, row in rows)
        )

    def _start(self) -> bytes:
        preamble = self._table.preamble
        if self._header:
            preamble = self._table.extended(preamble, self._columns.names)
        return self._table.mark + self._encode(preamble)


class _SameLines(_TextWriter):
    """JSON lines to JSON lines: the objects keep their bytes, and the answers are keys at their end."""

    def piece(self, chunk: Chunk, answers: Sequence[Sequence[Any]]) -> bytes:
        if not self._columns.names:
            return "".join(f"{raw.strip()}\n" for raw in chunk.raw).encode(errors="surrogateescape")
        lines = []
        for raw, row in zip(chunk.raw, answers, strict=True):
            added = json.dumps(dict(zip(self._columns.names, row, strict=True)), ensure_ascii=False)
            body = raw.strip()[:-1].rstrip()
            lines.append(f"{body}{'' if body.endswith('{') else ', '}{added[1:]}\n")
        return "".join(lines).encode(errors="surrogateescape")


class _SameParquet(Writer):
    """Parquet to Parquet: columns keep their types, and the schema its metadata."""

    def __init__(self, table: Table, columns: AnswerColumns, out: Path, *, header: bool) -> None:
        super().__init__(table, columns, out, header=header)
        self._start: pa.Schema = getattr(table, "schema", None)
        self._codec = getattr(table, "codec", "snappy")

    def _answers(self, answers: Sequence[Sequence[Any]]) -> dict[str, pa.Array]:
        """Return the columns of answers: text or lists of text, then numbers of 32 bits."""
        import pyarrow as pa

        types = {"text": pa.string(), "texts": pa.list_(pa.string()), "number": pa.float32()}
        return {
            name: pa.array([row[place] for row in answers], type=types[kind])
            for place, (name, kind) in enumerate(zip(self._columns.names, self._columns.kinds, strict=True))
        }

    def _rows(self, chunk: Chunk) -> pa.Table:
        import pyarrow as pa

        return pa.Table.from_batches([chunk.raw], schema=self._start)

    def piece(self, chunk: Chunk, answers: Sequence[Sequence[Any]]) -> pa.Table:
        table = self._rows(chunk)
        for name, values in self._answers(answers).items():
            table = table.append_column(name, values)
        return table

    def write(self, pieces: Sequence[pa.Table], part: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.concat_tables(pieces), part, compression=self._codec)

    def join(self, parts: Iterable[Path], out: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = self._start
        for name, values in self._answers([]).items():
            schema = schema.append(pa.field(name, values.type))
        with pq.ParquetWriter(out, schema, compression=self._codec) as writer:
            held = schema.empty_table()
            for part in parts:
                # Row groups do not show where a run was interrupted.
                held = pa.concat_tables([held, pq.read_table(part, partitioning=None).cast(schema)])
                while held.num_rows >= _GROUP_ROWS:
                    writer.write_table(held.slice(0, _GROUP_ROWS))
                    held = held.slice(_GROUP_ROWS).combine_chunks()
            if held.num_rows:
                writer.write_table(held.combine_chunks())


class _ToDelimited(_TextWriter):
    """Anything to CSV or TSV in UTF-8."""

    wants_cells = True

    def _lines(self, rows: Iterable[Sequence[Any]]) -> bytes:
        stream = io.StringIO(newline="")
        delimiter = "\t" if plain_suffix(self._out) == ".tsv" else ","
        csv.writer(stream, delimiter=delimiter, lineterminator="\n").writerows(
            [cell_text(value, ";") for value in row] for row in rows
        )
        return stream.getvalue().encode(errors="replace")

    def piece(self, chunk: Chunk, answers: Sequence[Sequence[Any]]) -> bytes:
        return self._lines([*cells, *row] for cells, row in zip(chunk.cells, answers, strict=True))

    def _start(self) -> bytes:
        return self._lines([[*self._table.columns, *self._columns.names]])


class _ToLines(_TextWriter):
    """Anything to JSON lines; objects of JSON stay as they are."""

    wants_cells = True

    def piece(self, chunk: Chunk, answers: Sequence[Sequence[Any]]) -> bytes:
        lines = []
        for place, (cells, row) in enumerate(zip(chunk.cells, answers, strict=True)):
            raw = chunk.raw[place] if self._table.format == "json" and chunk.raw else ""
            found = json.loads(raw) if raw else dict(zip(self._table.columns, cells, strict=False))
            found.update(zip(self._columns.names, row, strict=True))
            lines.append(json.dumps(found, ensure_ascii=False, default=str) + "\n")
        return "".join(lines).encode(errors="replace")


class _ToParquet(_SameParquet):
    """Anything to Parquet, every column of the input as text."""

    wants_cells = True

    def __init__(self, table: Table, columns: AnswerColumns, out: Path, *, header: bool) -> None:
        import pyarrow as pa

        super().__init__(table, columns, out, header=header)
        self._start = pa.schema([pa.field(name, pa.string()) for name in table.columns])

    def _rows(self, chunk: Chunk) -> pa.Table:
        import pyarrow as pa

        cells = [
            [
                None if row[place] is None else cell_text(row[place], ";").encode(errors="replace").decode()
                for row in chunk.cells
            ]
            for place in range(len(self._start))
        ]
        arrays = [pa.array(values, type=pa.string()) for values in cells]
        return pa.Table.from_arrays(arrays, schema=self._start)


class _ToXlsx(Writer):
    """Anything to one sheet of a workbook: texts as texts, whatever they begin with, and numbers as numbers.

    A part holds a JSON list for each row.
    """

    wants_cells = True
    most_rows = 1_048_575  # and the header

    def piece(self, chunk: Chunk, answers: Sequence[Sequence[Any]]) -> bytes:
        lines = []
        for cells, row in zip(chunk.cells, answers, strict=True):
            values = [self._value(cell) for cell in (*cells, *row)]
            lines.append(json.dumps(values, ensure_ascii=False) + "\n")
        return "".join(lines).encode()

    def _value(self, cell: object) -> str | float | None:
        if cell is None or isinstance(cell, bool) or (isinstance(cell, int | float) and abs(cell) < _EXACT):
            return cell
        text = _NO_XML.sub(lambda found: f"_x{ord(found[0]):04X}_", cell_text(cell, ";"))
        if len(text) > _CELL_CHARACTERS:
            raise InputError(
                f"a cell of XLSX holds {_CELL_CHARACTERS:,} characters, and one of the file has {len(text):,}",
                hint="Write another format: -o OUT.csv",
                file=str(self._out),
            )
        return text

    def write(self, pieces: Sequence[bytes], part: Path) -> None:
        part.write_bytes(b"".join(pieces))

    def join(self, parts: Iterable[Path], out: Path) -> None:
        openpyxl = require("openpyxl", extra="data")
        book = openpyxl.Workbook(write_only=True)
        page = book.create_sheet("ottenok")

        def text(value: object) -> object:
            if not isinstance(value, str):
                return value
            cell = openpyxl.cell.WriteOnlyCell(page, value=value)
            cell.data_type = "s"  # what begins with = is no formula
            return cell

        page.append([text(self._value(name)) for name in (*self._table.columns, *self._columns.names)])
        for part in parts:
            with part.open(encoding="utf-8") as stream:
                for line in stream:
                    page.append([text(value) for value in json.loads(line)])
        book.save(out)


def cell_text(value: object, several: str = ";") -> str:
    """Return a value as the text of a cell; a list of labels is divided by `several`, other lists are JSON."""
    if value is None:
        return ""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return several.join(value)
    if isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def plain_suffix(out: Path) -> str:
    """Return the suffix that says an output's format, in small letters, without that of what packs it."""
    return Path(out.stem if out.suffix.lower() in _PACKINGS else out.name).suffix.lower()


def open_writer(table: Table, columns: AnswerColumns, out: Path, *, header: bool = True) -> Writer:
    """Return what writes this output of this input.

    Raises:
        InputError: The output's suffix is of no known format, or an answer's column is in the input already.
        MissingExtraError: Parquet is to be written, and pyarrow is not installed.
    """
    suffix = plain_suffix(out)
    kind = _FORMATS.get(suffix)
    if kind is None:
        raise InputError(f"the output's suffix is {suffix!r}", hint=suggest(suffix, _FORMATS), file=str(out))
    if kind in {"parquet", "xlsx"} and out.suffix.lower() in _PACKINGS:
        raise InputError(f"a file of {kind} is packed already", hint=f"Name it {out.stem}.", file=str(out))
    if kind == "parquet":
        with need("parquet"):
            import pyarrow.parquet  # noqa: F401 - asked for before the work begins
    for name in columns.names:
        if name in table.columns:
            raise InputError(
                f"the file has a column {name!r} already",
                hint="Choose other names for the answers with --prefix.",
                file=table.file,
                key=name,
            )
    same: dict[str, Callable[..., Writer]] = {"csv": _SameDelimited, "jsonl": _SameLines, "parquet": _SameParquet}
    other: dict[str, Callable[..., Writer]] = {
        "csv": _ToDelimited, "jsonl": _ToLines, "parquet": _ToParquet, "xlsx": _ToXlsx,
    }  # fmt: skip
    made = same if kind != "xlsx" and ("csv" if table.format == "tsv" else table.format) == kind else other
    dialect = getattr(table, "dialect", None)
    if kind == "csv" and dialect is not None and plain_suffix(Path(table.file)) != suffix:
        # A comma file that is to be .tsv gets tabs; whatever divides a .csv file stays in a .csv file.
        made = same if (dialect.delimiter == "\t") == (suffix == ".tsv") else other
    return made[kind](table, columns, out, header=header)
