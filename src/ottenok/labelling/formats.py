"""Answers as other tools have them: tables of one's own, Label Studio's tasks, doccano's lines; written and read.

Label Studio: https://labelstud.io/guide/task_format. doccano: a line `{"id", "text", "label": [...]}`,
as its JSONL of text classification is exported (backend/data_export/pipeline/factories.py) and imported.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from ottenok.core.errors import ConfigError, DataError
from ottenok.core.files import atomic_path
from ottenok.labelling.pool import read_pool
from ottenok.tables.table import is_file_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ottenok.labelling.session import Session

__all__ = ["FORMATS", "Format", "Imported", "format_of", "read_answers", "write_answers"]

Format = Literal["csv", "jsonl", "label-studio", "doccano"]
FORMATS: tuple[Format, ...] = get_args(Format)
COLUMNS = ("text", "label", "rater", "time", "how", "row")
_MOST = 512 << 20
_LISTED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A labelled text, as it is written.

    Attributes:
        text: The text.
        labels: What holds.
        rater: Who said so, several names with `+` between them; empty for labels that the file had.
        time: Of the last of them; empty likewise.
        how: Why it was asked: see `ottenok.labelling.session`; `settled`, `given`.
        row: Its number in the file; None for texts that are not there.
        said: What each rater said.
    """

    text: str
    labels: tuple[str, ...]
    rater: str
    time: str
    how: str
    row: int | None
    said: dict[str, tuple[str, ...]]


class Said(NamedTuple):
    """An answer of another tool; `rater` and `time` may be empty, and what is settled holds whatever others say."""

    text: str
    labels: tuple[str, ...]
    rater: str
    time: str
    settled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """Answers of another tool.

    Attributes:
        format: Which one's.
        answers: What was said.
        left_out: Why other things can't be used, and how many.
    """

    format: Format
    answers: tuple[Said, ...]
    left_out: dict[str, int]


def rows_of(session: Session) -> Iterator[Row]:
    """Yield the texts that have a label, in the file's order; those of which raters disagree have none."""
    rows = session.pool.rows
    for place in session.labelled():
        labels = session.label_of(place)
        said = session.answers_of(place)
        settled = session.settled_by(place)
        last = settled or (list(said.values())[-1] if said else None)
        yield Row(
            text=session.texts[place],
            labels=labels or (),
            rater=settled.rater if settled else "+".join(said),
            time=last.time if last else "",
            how=last.how if last else "given",
            row=rows[place] if place < len(rows) else None,
            said={rater: answer.labels for rater, answer in said.items()},
        )


def format_of(path: Path, asked: Format | None = None) -> Format:
    """Return the format that a file is written in: as asked, else by its name.

    Raises:
        ConfigError: Neither says it.
    """
    if asked is not None:
        return asked
    formats: dict[str, Format] = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "label-studio"}
    if path.suffix.lower() not in formats:
        raise ConfigError(
            f"the name {path.name!r} does not say how labels are to be written",
            hint="Name it .csv or .jsonl (ottenok's own), .json (Label Studio), or say --output-format.",
            key="-o",
        )
    return formats[path.suffix.lower()]


def write_answers(session: Session, path: Path, kind: Format) -> int:
    """Write what is labelled, whole or not at all, and return how many texts that is.

    A label is a string; where a text may have several it is a JSON list, which `data build` reads as such.

    Raises:
        OSError: The file can't be written; what was there stays.
    """
    several = session.journal.several
    found = list(rows_of(session))
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        if kind == "csv":
            writer = csv.writer(stream)
            writer.writerow(COLUMNS)
            for row in found:
                label = json.dumps(row.labels, ensure_ascii=False) if several else row.labels[0]
                writer.writerow([row.text, label, row.rater, row.time, row.how, "" if row.row is None else row.row])
        elif kind == "label-studio":
            json.dump([_task(number, row) for number, row in enumerate(found, 1)], stream, ensure_ascii=False, indent=1)
            stream.write("\n")
        else:
            for number, row in enumerate(found, 1):
                more = {"rater": row.rater, "time": row.time, "how": row.how, "row": row.row}
                if kind == "doccano":
                    entry = {"id": number, "text": row.text, "label": list(row.labels), **more, "Comments": []}
                else:
                    entry = {"text": row.text, "label": list(row.labels) if several else row.labels[0], **more}
                stream.write(json.dumps(entry, ensure_ascii=False) + "\n")
    return len(found)


def _task(number: int, row: Row) -> dict[str, Any]:
    """Return a task of Label Studio with an annotation for each rater, and the settled one as the ground truth."""
    settled = row.how == "settled"
    said = {**row.said, row.rater: row.labels} if settled or not row.said else row.said
    return {
        "id": number,
        "data": {"text": row.text, "row": row.row},
        "annotations": [
            {
                "id": number * 100 + place,
                "was_cancelled": False,
                "ground_truth": settled and rater == row.rater,
                "created_at": row.time,
                "lead_time": None,
                "result": [
                    {
                        "id": f"choice-{number}-{place}",
                        "from_name": "label",
                        "to_name": "text",
                        "type": "choices",
                        "origin": "manual",
                        # Only users whom the other server knows may be named in `completed_by`.
                        "meta": {"rater": rater},
                        "value": {"choices": list(labels)},
                    }
                ],
            }
            for place, (rater, labels) in enumerate(said.items())
        ],
        "predictions": [],
    }


# ---- reading ----


def read_answers(path: Path, *, text: str = "text", label: str = "label") -> Imported:
    """Read answers that another tool, or this one, has written; which one is found out.

    Args:
        path: Label Studio's JSON, doccano's JSONL, or a table with a column of texts and one of labels.
        text: Column of the texts of a table; key within `data` of Label Studio.
        label: Column of the labels of a table; name of the control (`from_name`) where Label Studio has several.

    Raises:
        DataError: It is of another kind, or has no labels of whole texts.
    """
    if not path.is_file():
        raise DataError("there is no such file", hint="Check the path given to --import.", file=str(path))
    if path.stat().st_size > _MOST:
        raise DataError(f"the file is larger than {_MOST >> 20} MB", hint="Divide it.", file=str(path))
    raw = path.read_bytes()
    found: Imported | None = None
    if path.suffix.lower() in {".json", ".jsonl", ".ndjson"} or not is_file_name(path):
        try:
            content = raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise DataError("the file is not UTF-8, as JSON is", file=str(path)) from error
        found = _json_answers(content, path, text, label)
    if found is None:
        pool = read_pool(path, text=text, label=label)
        said = tuple(Said(pool.texts[place], labels, "", "") for place, labels in pool.given.items())
        more = {"no label": len(pool.texts) - len(said)} if len(pool.texts) > len(said) else {}
        found = Imported(format="csv", answers=said, left_out={**pool.left_out, **more})
    if not found.answers:
        told = ", ".join(f"{reason}: {count}" for reason, count in found.left_out.items()) or "it is empty"
        raise DataError(
            f"nothing of this file is a label of a whole text ({told})",
            hint="Export choices (Label Studio) or a project of text classification (doccano).",
            file=str(path),
        )
    return found


def _json_answers(content: str, path: Path, text: str, label: str) -> Imported | None:
    """Return the answers of a document of Label Studio or lines of doccano; None where it is neither."""
    head = content.lstrip()
    try:
        if head.startswith("["):
            items: list[Any] = json.loads(content)
        else:
            items = [json.loads(line) for line in content.split("\n") if line.strip()]
    except (ValueError, RecursionError) as error:
        if not head.startswith(("{", "[")):
            return None
        try:
            items = [json.loads(content)]
        except (ValueError, RecursionError):
            raise DataError(f"this is no sound JSON: {error}", hint="Export it again.", file=str(path)) from error
    objects = [item for item in items if isinstance(item, dict)]
    if not objects:
        raise DataError("expected a list of objects, one for each text", file=str(path))
    if any("data" in item and isinstance(item["data"], dict) for item in objects):
        return _studio(objects, path, text, label)
    if any("annotations" in item for item in objects) and not any("label" in item for item in objects):
        raise DataError(
            "this is doccano's older form, which names labels by numbers and not by their names",
            hint='Export as JSONL, which has {"text": ..., "label": [names]}.',
            file=str(path),
        )
    if not any(isinstance(item.get("label", item.get("labels")), list) for item in objects):
        return None
    left_out: Counter[str] = Counter()
    answers: list[Said] = []
    for item in objects:
        found, labels = item.get("text", item.get("data")), item.get("label", item.get("labels"))
        if not isinstance(found, str) or not found.strip():
            left_out["no text"] += 1
        elif not isinstance(labels, list) or not (labels or "rater" in item):  # who labelled it is told by ours alone
            left_out["no label"] += 1
        elif not all(isinstance(one, str) for one in labels):
            left_out["spans (sequence labelling), no labels of the whole text"] += 1
        else:
            rater = item.get("rater")
            answers.append(
                Said(found, tuple(labels), rater if isinstance(rater, str) else "", str(item.get("time") or ""))
            )
    return Imported(format="doccano", answers=tuple(answers), left_out=dict(left_out))


def _studio(items: Sequence[dict[str, Any]], path: Path, text: str, label: str) -> Imported:
    left_out: Counter[str] = Counter()
    controls = {
        str(result.get("from_name"))
        for item in items
        for annotation in item.get("annotations") or ()
        for result in (annotation.get("result") or () if isinstance(annotation, dict) else ())
        if isinstance(result, dict) and _choices(result) is not None
    }
    if len(controls) > 1 and label not in controls:
        raise DataError(
            f"Label Studio asked several things of each text: {', '.join(sorted(controls))}",
            hint="Say which is meant: --import-label NAME.",
            file=str(path),
            key="from_name",
        )
    answers: list[Said] = []
    for item in items:
        data = item.get("data")
        found = data.get(text) if isinstance(data, dict) else None
        if not isinstance(found, str) or not found.strip():
            left_out[f"no text in data.{text}"] += 1
            continue
        for annotation in item.get("annotations") or ():
            if not isinstance(annotation, dict) or annotation.get("was_cancelled"):
                left_out["skipped there"] += 1
                continue
            results = [one for one in annotation.get("result") or () if isinstance(one, dict)]
            choices = [
                one
                for one in results
                if _choices(one) is not None and (len(controls) == 1 or one.get("from_name") == label)
            ]
            if not choices:
                kinds = sorted({str(one.get("type")) for one in results})
                left_out[f"no choices but {', '.join(kinds)}" if kinds else "no choices"] += 1
                continue
            names = tuple(dict.fromkeys(str(name) for one in choices for name in _choices(one) or ()))
            # The rater is ours as it was written, else the number of the user: names and addresses are not read.
            meta, by = choices[0].get("meta"), annotation.get("completed_by")
            number = by.get("id") if isinstance(by, dict) else by
            rater = meta.get("rater") if isinstance(meta, dict) else None
            if not isinstance(rater, str):
                rater = f"label-studio-{number}" if isinstance(number, int) else ""
            when = str(annotation.get("created_at") or "")
            answers.append(Said(found, names, rater, when, annotation.get("ground_truth") is True))
    return Imported(format="label-studio", answers=tuple(answers), left_out=dict(left_out))


def _choices(result: dict[str, Any]) -> list[Any] | None:
    value = result.get("value")
    found = value.get("choices") if isinstance(value, dict) else None
    return found if isinstance(found, list) else None
