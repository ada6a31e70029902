"""What other tools write is read: every row of the table in docs/data-files.md."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import openpyxl
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ottenok.data.own import user_card
from ottenok.inference.files import classify_file
from ottenok.recipes.corpus import OwnData
from ottenok.studies.evaluation import evaluate
from ottenok.studies.rows import Columns
from ottenok.tables.table import open_table
from ottenok.training.inputs import Places
from toys import fake_classifier

if TYPE_CHECKING:
    from collections.abc import Callable

DOCS = Path(__file__).parents[2] / "docs" / "data-files.md"
TEXTS = ["Отличный магазин, всё пришло вовремя", 'Сервис "высший сорт", нет', "Заказ; доставка в среду"]
LABELS = ["positive", "negative", "neutral"]
FRAME = pd.DataFrame({"text": TEXTS, "label": LABELS})
ITEMS = FRAME.to_dict("records")


def _write(text: str, encoding: str = "utf-8") -> Callable[[Path], object]:
    return lambda path: path.write_bytes(text.encode(encoding))


def _duck(path: Path) -> None:
    frame = FRAME  # noqa: F841 - DuckDB looks it up
    duckdb.sql(f"COPY (SELECT * FROM frame) TO '{path}'")


def _excel(path: Path) -> None:
    book = openpyxl.Workbook()
    book.worksheets[0].append(["Отчёт за июнь"])
    page = book.create_sheet("Данные")
    for row in (["text", "label"], *map(list, zip(TEXTS, LABELS, strict=True))):
        page.append(row)
    book.save(path)


def _spark(text: str) -> str:
    return '"' + text.replace('"', '\\"') + '"'


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


_STUDIO = [
    {"data": {"text": text}, "annotations": [{"result": [{"from_name": "mood", "value": {"choices": [label]}}]}]}
    for text, label in zip(TEXTS, LABELS, strict=True)
]
_CHAT = {
    "name": "Чат",
    "messages": [
        {"id": n, "text": [{"type": "bold", "text": text[:5]}, text[5:]], "label": label}
        for n, (text, label) in enumerate(zip(TEXTS, LABELS, strict=True))
    ],
}
_PAIRS = list(zip(TEXTS, LABELS, strict=True))
_CSV = [f"{_quoted(text)},{label}" for text, label in zip(TEXTS, LABELS, strict=True)]
MADE: dict[tuple[str, str], tuple[str, Callable[[Path], Any]]] = {
    ("pandas", "`to_csv()`"): ("a.csv", FRAME.to_csv),
    ("pandas", '`to_csv(sep="\\t", encoding="utf-16")`'): (
        "a.csv",
        lambda path: FRAME.to_csv(path, sep="\t", encoding="utf-16"),
    ),
    ("pandas", "`to_json()`"): ("a.json", FRAME.to_json),
    ("pandas", '`to_json(orient="split")`'): ("a.json", lambda path: FRAME.to_json(path, orient="split")),
    ("pandas", '`to_json(orient="records", lines=True)`'): (
        "a.json",
        lambda path: FRAME.to_json(path, orient="records", lines=True),
    ),
    ("pandas", "`to_parquet()`"): ("a.parquet", FRAME.to_parquet),
    ("pandas", "`to_excel()`"): ("a.xlsx", FRAME.to_excel),
    ("Polars", "`write_csv()`"): ("a.csv", lambda path: pl.DataFrame(ITEMS).write_csv(path)),
    ("Polars", "`write_ndjson()`"): ("a.ndjson", lambda path: pl.DataFrame(ITEMS).write_ndjson(path)),
    ("Polars", "`write_json()`"): ("a.json", lambda path: pl.DataFrame(ITEMS).write_json(path)),
    ("Polars", '`write_parquet(compression="uncompressed")`'): (
        "a.parquet",
        lambda path: pl.DataFrame(ITEMS).write_parquet(path, compression="uncompressed"),
    ),
    ("DuckDB", "`COPY … TO 'a.csv'`"): ("a.csv", _duck),
    ("DuckDB", "`COPY … TO 'a.csv.zst'`"): ("a.csv.zst", _duck),
    ("DuckDB", "`COPY … TO 'a.json'`"): ("a.json", _duck),
    ("DuckDB", "`COPY … TO 'a.parquet'`"): ("a.parquet", _duck),
    ("Spark", 'CSV with `\\"` in texts'): (
        "part-00000.csv",
        _write("text,label\n" + "".join(f"{_spark(t)},{n}\n" for t, n in zip(TEXTS, LABELS, strict=True))),
    ),
    ("Spark", "JSON lines in `part-00000`"): ("part-00000", _write("\n".join(map(json.dumps, ITEMS)))),
    ("Spark", "Parquet with texts as binary"): (
        "a.parquet",
        lambda path: pq.write_table(pa.table({"text": [text.encode() for text in TEXTS], "label": LABELS}), path),
    ),
    ("Excel", "a workbook with a cover sheet"): ("a.xlsx", _excel),
    ("Excel", "CSV with a line `sep=;` in windows-1251"): (
        "a.csv",
        _write(
            "sep=;\r\ntext;label\r\n" + "".join(f"{_quoted(t)};{n}\r\n" for t, n in zip(TEXTS, LABELS, strict=True)),
            "cp1251",
        ),
    ),
    ("R", "`write.csv()` with row names"): (
        "a.csv",
        _write('"text","label"\n' + "".join(f'"{n}",{line}\n' for n, line in enumerate(_CSV, start=1))),
    ),
    ("doccano", "JSONL with `label` lists"): (
        "a.jsonl",
        _write("\n".join(json.dumps({"id": n, **item, "label": [item["label"]]}) for n, item in enumerate(ITEMS))),
    ),
    ("doccano", "CSV with `a#b`"): ("a.csv", _write("\n".join(["text,label", *_CSV]))),
    ("Label Studio", "JSON"): ("a.json", _write(json.dumps(_STUDIO, indent=1))),
    ("Label Studio", "JSON-MIN"): (
        "a.json",
        _write(json.dumps([{"text": t, "mood": n} for t, n in zip(TEXTS, LABELS, strict=True)])),
    ),
    ("Label Studio", 'CSV with `{"choices": [...]}`'): (
        "a.csv",
        _write(
            "text,mood\n"
            + "".join(f'{_quoted(t)},"{{""choices"": [""{n}""]}}"\n' for t, n in zip(TEXTS, LABELS, strict=True))
        ),
    ),
    ("Telegram", "`result.json` of a chat, texts with links"): ("result.json", _write(json.dumps(_CHAT, indent=1))),
}


def _table() -> dict[tuple[str, str], tuple[str, str]]:
    part = DOCS.read_text(encoding="utf-8").partition("## From which tool")[2].partition("\n## ")[0]
    lines = [line.strip("|").split(" | ") for line in part.splitlines() if line.startswith("| ")][1:]
    found = {}
    for tool, what, names in lines:
        match = re.fullmatch(r"`--text (\w+) --label (\w+)`", names.strip())
        assert match is not None
        found[tool.strip(), what.strip()] = (match[1], match[2])
    return found


def test_the_table_has_what_is_tried() -> None:
    """No row of the page is untried, and nothing is tried that the page does not name."""
    assert set(_table()) == set(MADE)


@pytest.mark.parametrize("key", MADE, ids=" ".join)
def test_what_a_tool_writes_is_read(tmp_path: Path, key: tuple[str, str]) -> None:
    """Texts come back to the character, and the labels are one each."""
    from ottenok.tables.labels import label_cell
    from ottenok.tables.records import read_text

    name, make = MADE[key]
    make(tmp_path / name)
    text, label = _table()[key]

    found = open_table(tmp_path / name, wanted=[text, label])
    places = [found.find(text), found.find(label)]
    rows = [
        (read_text(text), label_cell(label))
        for block in found.blocks(places)
        for text, label in zip(*block.cells, strict=True)
    ]

    assert rows == [(text, (label,)) for text, label in zip(TEXTS, LABELS, strict=True)]


@pytest.mark.parametrize("key", MADE, ids=" ".join)
def test_every_door_reads_it(tmp_path: Path, key: tuple[str, str]) -> None:
    """The same columns go into a corpus, an evaluation and a classified file; tune reads as evaluate does."""
    name, make = MADE[key]
    make(tmp_path / name)
    text, label = _table()[key]
    place, classifier = tmp_path / name, fake_classifier()

    card = user_card(OwnData(name="a", file=str(place), text=text, label=label), scheme=classifier.scheme)
    found = evaluate(
        classifier,
        place,
        columns=Columns(text=text, label=label),
        baselines=False,
        resamples=0,
        places=Places(cache=tmp_path / "cache"),
    )
    report = classify_file(place, tmp_path / "out.jsonl", text=text, classifier=classifier)
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]

    assert card.label.map == {name: name for name in LABELS}
    assert (found.reports[0].rows, found.left_out) == (3, {})
    assert (report.rows, dict(report.rejected)) == (3, {})
    assert [row["predicted_label"] for row in rows] == [classifier(text).label for text in TEXTS]
