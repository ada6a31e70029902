"""Author and user columns never leave a reader, whatever is wrong with a row."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ottenok.data.card import ReaderSpec
from ottenok.data.readers import read
from ottenok.tables.records import Record, Rejected

if TYPE_CHECKING:
    from pathlib import Path

AUTHOR = "Пётр Скрытный"
_COLUMNS = ("author_id", "author_name", "text", "label", "Username")
_TEXTS = (("да", "pos"), ("", "pos"), ("нет", ""), ("не\0т", "neg"))

_CSV_FAULTS = {
    "too many fields": f"7,{AUTHOR},да,pos,{AUTHOR},x",
    "too few fields": f"{AUTHOR},да",
    "unclosed quote": f'7,{AUTHOR},"да,pos,{AUTHOR}',
    "text after a quote": f'7,"{AUTHOR}" да,нет,pos,{AUTHOR}',
    "empty text": f"7,{AUTHOR},,pos,{AUTHOR}",
    "missing label": f"7,{AUTHOR},да,,{AUTHOR}",
    "NUL byte": f"7,{AUTHOR},д\0а,pos,{AUTHOR}",
}


def _check(rows: list[Record | Rejected], *, rejected: int) -> None:
    assert sum(isinstance(row, Rejected) for row in rows) == rejected
    assert AUTHOR not in repr(rows)
    assert "Скрытный" not in repr(rows)


@pytest.mark.parametrize("fault", _CSV_FAULTS)
@pytest.mark.parametrize("options", [{}, {"delimiter": "auto", "encoding": "auto"}, {"header": False}])
def test_csv(tmp_path: Path, fault: str, options: dict[str, str | bool]) -> None:
    """Neither a good row nor a broken one of any kind shows the author."""
    path = tmp_path / "a.csv"
    good = f"1,{AUTHOR},хорошо,pos,{AUTHOR}"
    path.write_text("\n".join([",".join(_COLUMNS), good, _CSV_FAULTS[fault], good]) + "\n", encoding="utf-8")
    positions = {"text": 2, "label": 3} if options.get("header") is False else {"text": "text", "label": "label"}

    rows = list(read(path, ReaderSpec.model_validate({"kind": "csv", "options": options, **positions})))

    # In so small a file, quotes that enclose no field may count as characters: the row is then read.
    _check(rows, rejected=0 if "quote" in fault and "delimiter" in options else 1)


def _items() -> list[dict[str, object]]:
    return [dict(zip(_COLUMNS, (7, AUTHOR, text, label, AUTHOR), strict=True)) for text, label in _TEXTS]


def test_jsonl(tmp_path: Path) -> None:
    """Also of a line that does not parse nothing is shown."""
    path = tmp_path / "a.jsonl"
    lines = [json.dumps(item, ensure_ascii=False) for item in _items()]
    path.write_text("\n".join([*lines, lines[0][:-2], f'["{AUTHOR}"]']), encoding="utf-8")

    _check(list(read(path, ReaderSpec(kind="jsonl", text="text", label="label"))), rejected=5)


def test_json(tmp_path: Path) -> None:
    """An array is read as lines are."""
    path = tmp_path / "a.json"
    path.write_text(json.dumps([*_items(), AUTHOR]), encoding="utf-8")

    _check(list(read(path, ReaderSpec(kind="json", text="text", label="label"))), rejected=4)


def test_parquet(tmp_path: Path) -> None:
    """Columns that are not asked for are not read at all."""
    pq.write_table(pa.Table.from_pylist(_items()), tmp_path / "a.parquet")

    _check(list(read(tmp_path / "a.parquet", ReaderSpec(kind="parquet", text="text", label="label"))), rejected=3)


def test_xlsx(tmp_path: Path) -> None:
    """Cells beside the text are not looked at."""
    book = openpyxl.Workbook()
    page = book.active
    assert page is not None
    for row in (_COLUMNS, *(tuple(item.values()) for item in _items()[:3])):
        page.append(row)
    book.save(tmp_path / "a.xlsx")

    _check(list(read(tmp_path / "a.xlsx", ReaderSpec(kind="xlsx", text="text", label="label"))), rejected=2)


@pytest.mark.parametrize("text", ["хорошо", ""])
@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (
            "sentirueval-reviews",
            (
                '<review><meta><user>{author}</user></meta><text>{text}</text><categories><category name="Whole"'
                ' sentiment="positive"/></categories></review>'
            ),
        ),
        (
            "sentirueval-twitter",
            (
                '<table><column name="user">{author}</column><column name="text">{text}</column>'
                '<column name="vtb">1</column></table>'
            ),
        ),
        (
            "romip",
            "<sentence><author>{author}</author><speech>{text}</speech><evaluation>+</evaluation></sentence>",
        ),
        (
            "nlpcc-weibo",
            '<weibo user="{author}" emotion-type1="like"><user>{author}</user><sentence>{text}</sentence></weibo>',
        ),
    ],
)
def test_xml(tmp_path: Path, kind: str, body: str, text: str) -> None:
    """What stands in `<meta>`, in attributes and in other columns stays there."""
    path = tmp_path / "a.xml"
    path.write_text(f"<x>{body.format(author=AUTHOR, text=text)}</x>", encoding="utf-8")

    _check(list(read(path, ReaderSpec(kind=kind))), rejected=0 if text else 1)
