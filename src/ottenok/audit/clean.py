"""A cleaned copy of the data, and a log of every change; the data itself is never written to."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ottenok.core.errors import ConfigError, DataError, InputError
from ottenok.core.files import atomic_folder, atomic_path, atomic_write_text
from ottenok.core.progress import SILENT, stage
from ottenok.data.corpus import CORPUS_FILE, MANIFEST_FILE, Corpus
from ottenok.inference.outputs import AnswerColumns, Chunk, open_writer, plain_suffix
from ottenok.tables.delimited import DelimitedTable
from ottenok.tables.records import excerpt
from ottenok.tables.table import open_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ottenok.audit.findings import Finding, Kind
    from ottenok.audit.rows import AuditRows
    from ottenok.core.progress import Progress
    from ottenok.tables.options import TableOptions
    from ottenok.tables.table import Block, Table

__all__ = [
    "DEFAULT_ACTIONS",
    "LEAST",
    "RELABELS",
    "Action",
    "Change",
    "Cleaned",
    "check_actions",
    "decide",
    "write_clean",
]

Action = Literal["drop", "relabel", "keep"]

# What is done with the rows of each kind where nothing else is said.
DEFAULT_ACTIONS: dict[Kind, Action] = {
    "conflict": "drop",
    "label": "drop",
    "near-conflict": "keep",
    "leak": "drop",
    "near-leak": "drop",
    "outlier": "keep",
    "duplicate": "keep",
}
# Score from which on suspected labels are acted upon: another label is nine times as likely.
LEAST = 0.9
# The kinds that may suggest another label.
RELABELS: tuple[Kind, ...] = ("conflict", "label", "near-conflict")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is done with one row.

    Attributes:
        row: Place of the row among those of the audit.
        action: `drop` or `relabel`.
        finding: Why.
    """

    row: int
    action: Action
    finding: Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """What was written.

    Attributes:
        out: The copy: a file, or a corpus folder.
        log: JSON lines, one for each row that is not as it was, in the order of the data.
        rows: Rows of the copy.
        changes: `dropped`, `relabelled` and `left out` to a number of rows.
    """

    out: Path
    log: Path
    rows: int
    changes: dict[str, int]


def check_actions(actions: Mapping[Kind, Action], rows: AuditRows) -> dict[Kind, Action]:
    """Return what is done with each kind.

    Raises:
        ConfigError: A kind that suggests no label is to be relabelled, or labels that no single cell holds.
    """
    merged = {**DEFAULT_ACTIONS, **actions}
    for kind, action in merged.items():
        if action == "relabel" and kind not in RELABELS:
            raise ConfigError(
                f"{kind} suggests no label", hint=f"Relabel {', '.join(RELABELS)}; drop or keep others.", key="relabel"
            )
        if action == "relabel" and (rows.several or rows.column is None):
            raise ConfigError(
                "rows with several labels are dropped or kept, not relabelled",
                hint=f"Say drop or keep for {kind}; the table of findings has the labels that are suggested.",
                key="relabel",
            )
    return merged


def decide(
    rows: AuditRows,
    findings: Sequence[Finding],
    actions: Mapping[Kind, Action],
    *,
    least: float = LEAST,
    test: bool = False,
) -> dict[int, Change]:
    """Choose what is done with each row: of its findings one that drops it wins, else the first that relabels it.

    Where a row is to be relabelled and nothing is suggested, it is dropped.

    Args:
        rows: The rows.
        findings: What was found, ranked.
        actions: What is done with each kind.
        least: Suspected labels (the kind `label`) with a smaller score stay as they are, 0..1.
        test: Whether rows of a test split may be changed too: their figures are compared with those of other people.
    """
    chosen: dict[int, Change] = {}
    for finding in findings:
        action = actions[finding.kind]
        held = rows.splits[finding.row] == "test" if rows.splits else False
        if finding.suggested == rows.names(rows.truth[finding.row]):
            continue  # of copies that contradict each other it is the right one
        if action == "keep" or (held and not test) or (finding.kind == "label" and finding.score < least):
            continue
        if action == "relabel" and finding.suggested is None:
            action = "drop"
        if finding.row not in chosen or (action == "drop" and chosen[finding.row].action == "relabel"):
            chosen[finding.row] = Change(row=finding.row, action=action, finding=finding)
    return chosen


def write_clean(
    rows: AuditRows,
    changes: Mapping[int, Change],
    out: Path,
    *,
    options: TableOptions,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Cleaned:
    """Write a copy without the rows that are dropped, and with the new labels of others.

    Rows that stay as they are keep their very bytes, where the copy has the format of the data; rows that the audit
    could not read are left out. Copy and log appear when both are whole.

    Args:
        rows: The rows.
        changes: By the places of rows.
        out: A file of a format that `ottenok classify` writes; of a corpus also a folder, which becomes a corpus.
        options: How the data's file is read.
        overwrite: Replace what is at `out`, though never the data.
        progress: Told of rows.

    Raises:
        InputError: `out` is the data, or exists.
        DataError: The data changed meanwhile, or a new label can't be written into it.
    """
    folder = rows.corpus is not None and not plain_suffix(out)
    target = rows.corpus.folder if folder and rows.corpus is not None else rows.file
    if out.exists() and (out.samefile(target) or out.samefile(rows.file)):
        raise InputError("the cleaned copy would replace the data", hint="Name another file.", file=str(out))
    log = out.with_name(f"{out.name}.changes.jsonl")
    for place in (out, log):
        if place.exists() and not overwrite:
            raise InputError("the output exists", hint="Name another file, or add --overwrite.", file=str(place))
    with ExitStack() as opened:
        if folder and rows.corpus is not None:
            made = opened.enter_context(atomic_folder(out))
            temporary = opened.enter_context(atomic_path(log))
            cleaned = _write(rows, changes, made / CORPUS_FILE, temporary, options, progress)
            _write_manifest(rows.corpus, made, cleaned)
        else:
            file = opened.enter_context(atomic_path(out))
            temporary = opened.enter_context(atomic_path(log))
            cleaned = _write(rows, changes, file, temporary, options, progress, named=out)
    return Cleaned(out=out, log=log, rows=cleaned.rows, changes=cleaned.changes)


def _write(
    rows: AuditRows,
    changes: Mapping[int, Change],
    out: Path,
    log: Path,
    options: TableOptions,
    progress: Progress,
    *,
    named: Path | None = None,
) -> Cleaned:
    wanted = () if rows.column is None else (rows.column,)
    table = open_table(rows.file, options, wanted=wanted)
    writer = open_writer(table, AnswerColumns(()), named or out, header=options.header)
    label = None if rows.column is None or rows.corpus is not None else table.find(rows.column)
    relabelled = any(change.action == "relabel" for change in changes.values())
    cells = _label_cells(rows, table, label) if relabelled else {}
    by_number = {int(rows.numbers[row]): change for row, change in changes.items()}
    rejected = {one.row: one for one in rows.rejects}
    counts: Counter[str] = Counter({"dropped": 0, "relabelled": 0, "left out": 0})
    entries: list[dict[str, Any]] = [
        {"row": one.row, "change": "left out", "reason": one.reason, "content": one.content} for one in rows.rejects
    ]
    kept_rows = seen = 0
    every = list(range(len(table.columns)))
    with tempfile.TemporaryDirectory(prefix="ottenok-") as work, stage(progress, "write", total=None, unit="rows"):
        parts: list[Path] = []
        for block in table.blocks(every, raw=True):
            kept: list[int] = []
            for place, number in enumerate(block.numbers):
                if number in rejected:
                    continue
                change = by_number.get(number)
                if change is not None:
                    seen += 1
                    told = change.finding.to_json(rows)
                    entry = {key: told[key] for key in ("row", "id", "split", "label", "kind", "reason")}
                    entry["change"] = "dropped" if change.action == "drop" else "relabelled"
                    entry["new_label"] = told["suggested"] if change.action == "relabel" else None
                    entries.append({**entry, "content": excerpt(told["text"])})
                if change is None or change.action != "drop":
                    kept.append(place)
                if change is not None and change.action == "relabel":
                    _set_label(block, place, table, label, cells[(change.finding.suggested or ("",))[0]])
            chunk = Chunk(
                rows=block.rows,
                texts=[],
                raw=block.raw.take(kept) if hasattr(block.raw, "take") else [block.raw[place] for place in kept],
                cells=[[column[place] for column in block.cells] for place in kept],
                rejects=[],
            )
            parts.append(Path(work) / f"{len(parts)}.part")
            writer.write([writer.piece(chunk, [[] for _ in kept])], parts[-1])
            kept_rows += len(kept)
            progress.advance(block.rows)
        if seen != len(changes):
            raise DataError("the data was changed while it was audited", hint="Audit it again.", file=str(rows.file))
        writer.check(kept_rows)
        writer.join(parts, out)
    entries.sort(key=lambda entry: int(entry["row"]))
    counts.update(entry["change"] for entry in entries)
    with log.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as stream:
        stream.writelines(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries)
    return Cleaned(out=out, log=log, rows=kept_rows, changes=dict(counts))


def _label_cells(rows: AuditRows, table: Table, place: int | None) -> dict[str, Any]:
    """Return for each label a cell of the data that says it, as most rows write it."""
    if place is None:
        raise ConfigError("a corpus keeps its labels in lists", hint="Drop or keep its rows.", key="relabel")
    labels = {int(number): int(row.argmax()) for number, row in zip(rows.numbers, rows.truth, strict=True)}
    counts: Counter[tuple[int, str]] = Counter()
    cells: dict[tuple[int, str], Any] = {}
    for block in table.blocks([place], raw=True):
        native = block.raw.column(place).to_pylist() if hasattr(block.raw, "column") else block.cells[0]
        for number, cell in zip(block.numbers, native, strict=True):
            if number in labels:
                key = (labels[number], repr(cell))
                counts[key] += 1
                cells[key] = cell
    found: dict[str, Any] = {}
    for key, _ in counts.most_common():
        found.setdefault(rows.labels[key[0]], cells[key])
    return found


def _set_label(block: Block, place: int, table: Table, column: int | None, cell: Any) -> None:  # noqa: ANN401 - any cell
    """Write another label into a row of a block, in every form that the block has of it."""
    if column is None:
        return
    block.cells[column][place] = cell
    if isinstance(table, DelimitedTable):
        block.raw[place] = table.replaced(block.raw[place], {column: str(cell)})
    elif hasattr(block.raw, "set_column"):
        import pyarrow as pa

        name = block.raw.schema.field(column)
        values = block.raw.column(column).to_pylist()
        values[place] = cell
        block.raw = block.raw.set_column(column, name, pa.array(values, type=name.type))
    elif table.format in {"json", "jsonl"} and block.raw[place]:
        found = json.loads(block.raw[place])
        *path, last = [table.columns[column]] if table.columns[column] in found else table.columns[column].split(".")
        inner = found
        for key in path:
            inner = inner.get(key) if isinstance(inner, dict) else None
        if not isinstance(inner, dict) or last not in inner:
            raise DataError(
                f"a new label can't be written to {table.columns[column]!r} of this row",
                hint="Drop such rows, or keep them.",
                file=table.file,
                row=block.numbers[place],
            )
        inner[last] = cell
        block.raw[place] = json.dumps(found, ensure_ascii=False)


def _write_manifest(corpus: Corpus, folder: Path, cleaned: Cleaned) -> None:
    """Write a corpus's manifest for the cleaned copy: its counts anew, and what was done."""
    from dataclasses import asdict

    from ottenok.data.stats import count_cells

    manifest = {**corpus.manifest, "audit": cleaned.changes}
    copy = Corpus(folder=folder, manifest=manifest)
    splits = copy.table(columns=("split",)).column("split").to_pylist()
    manifest["rows"] = {split: splits.count(split) for split in ("train", "validation", "test") if split in splits}
    if "cells" in manifest:
        manifest["cells"] = [asdict(cell) for cell in count_cells(copy)]
    atomic_write_text(folder / MANIFEST_FILE, json.dumps(manifest, ensure_ascii=False, indent=1) + "\n")
