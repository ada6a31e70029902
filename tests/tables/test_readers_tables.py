"""Spreadsheets and Parquet files."""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ottenok.core.errors import ConfigError, DataError
from ottenok.data.card import ReaderSpec
from ottenok.data.readers import read
from ottenok.tables.records import Record, Rejected

if TYPE_CHECKING:
    from pathlib import Path


def _spec(kind: str, **changes: Any) -> ReaderSpec:
    return ReaderSpec.model_validate({"kind": kind, "text": "text", "label": "label", **changes})


def _book(path: Path, rows: list[list[object]], sheet: str = "данные") -> Path:
    book = openpyxl.Workbook()
    page = book.active
    assert page is not None
    page.title = sheet
    for row in rows:
        page.append(row)
    book.create_sheet("другой").append(["text", "label"])
    book.save(path)
    return path


def test_a_sheet_is_read_with_its_row_numbers(tmp_path: Path) -> None:
    """Numbers lose their point, short rows are filled, and after a blank row the numbers are still the sheet's."""
    rows: list[list[object]] = [["text", "x", "label"], ["да", "", 1.0], [], ["нет"], [10, None, "a"], [None, "x", "b"]]
    path = _book(tmp_path / "a.xlsx", rows)

    assert list(read(path, _spec("xlsx"))) == [
        Record(row=1, text="да", labels=("1",)),
        Rejected(row=3, reason="missing label", content="нет |"),
        Record(row=4, text="10", labels=("a",)),
        Rejected(row=5, reason="empty text", content="| b"),
    ]


def test_a_sheet_without_header_takes_positions(tmp_path: Path) -> None:
    """Columns are 0-based positions, and the first row is a record."""
    path = _book(tmp_path / "a.xlsx", [["да", 1], ["нет", -1]])

    rows = list(read(path, _spec("xlsx", text=0, label=1, options={"header": False})))

    assert rows == [Record(row=1, text="да", labels=("1",)), Record(row=2, text="нет", labels=("-1",))]


def test_a_sheet_is_chosen_by_name(tmp_path: Path) -> None:
    """The named sheet is read; a wrong name gives the nearest, an empty sheet is an error."""
    path = _book(tmp_path / "a.xlsx", [["text", "label"], ["да", "a"]])

    assert len(list(read(path, _spec("xlsx", options={"sheet": "данные"})))) == 1
    with pytest.raises(DataError, match="Did you mean 'данные'"):
        list(read(path, _spec("xlsx", options={"sheet": "даные"})))
    with pytest.raises(DataError, match="the sheet is empty"):
        list(read(_book(tmp_path / "b.xlsx", []), _spec("xlsx", options={"sheet": "данные"})))


def test_a_sheet_in_a_zip_is_read(tmp_path: Path) -> None:
    """A workbook may be the member of an archive."""
    path = _book(tmp_path / "a.xlsx", [["text", "label"], ["да", "a"]])
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(path, "a.xlsx")

    assert list(read(tmp_path / "a.zip", _spec("xlsx"))) == [Record(row=1, text="да", labels=("a",))]


def _repacked(path: Path, member: str, content: bytes) -> None:
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, old in (members | {member: content}).items():
            archive.writestr(name, old if name != member else content)


@pytest.mark.parametrize(
    ("member", "content", "message"),
    [
        ("xl/workbook.xml", b"<x>", "can't be read"),
        ("xl/worksheets/sheet1.xml", b"<worksheet><sheetData><row>", "can't be read"),
        (
            "xl/worksheets/sheet1.xml",
            b'<!DOCTYPE x [<!ENTITY a "b">]><worksheet><sheetData/></worksheet>',
            "can't be read",
        ),
        ("xl/media/image.png", b"\0" * (20 << 20), "bomb"),
    ],
)
def test_a_workbook_made_to_harm_is_one_error(tmp_path: Path, member: str, content: bytes, message: str) -> None:
    """Broken XML, entities and bombs inside a workbook are one `DataError`."""
    path = _book(tmp_path / "a.xlsx", [["text", "label"], ["да", "a"]])
    _repacked(path, member, content)

    with pytest.raises(DataError, match=message):
        list(read(path, _spec("xlsx")))


@pytest.mark.parametrize(
    "content", [b"", b"text,label\n", b"PK\3\4", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 500]
)
def test_what_is_no_workbook_is_one_error(tmp_path: Path, content: bytes) -> None:
    """An empty file, a text, half an archive, an old .xls: each is one `DataError` with advice."""
    path = tmp_path / "a.xlsx"
    path.write_bytes(content)

    with pytest.raises(DataError, match="not an XLSX workbook") as caught:
        list(read(path, _spec("xlsx")))

    assert caught.value.hint


def _parquet(path: Path, **columns: pa.Array) -> Path:
    pq.write_table(pa.table(columns), path, row_group_size=3)
    return path


def test_parquet_is_read_in_order_over_row_groups(tmp_path: Path) -> None:
    """Row numbers go on over row groups; nulls are missing."""
    texts = pa.array([f"т{number}" for number in range(8)] + [None, "x"])
    path = _parquet(tmp_path / "a.parquet", text=texts, author=pa.nulls(10), label=pa.array([*range(9), None]))

    rows = list(read(path, _spec("parquet")))

    assert rows[:8] == [Record(row=number + 1, text=f"т{number}", labels=(str(number),)) for number in range(8)]
    assert rows[8:] == [
        Rejected(row=9, reason="empty text", content="| 8"),
        Rejected(row=10, reason="missing label", content="x |"),
    ]


@pytest.mark.parametrize(
    ("label", "labels"),
    [
        (pa.array([["a", "b", "a"]]), ("a", "b")),
        (pa.array([[0, 27]], pa.list_(pa.int8())), ("0", "27")),
        (pa.array([[]], pa.list_(pa.string())), ()),
        (pa.array([["a"]], pa.large_list(pa.string())), ("a",)),
        (pa.array(["a"]).dictionary_encode(), ("a",)),
        (pa.array([2.0]), ("2",)),
        (pa.array([0.5]), ("0.5",)),
        (pa.array([True]), ("true",)),
        (pa.array(["[1 2]"]), ("[1 2]",)),
    ],
)
def test_label_columns_of_any_type_are_read(tmp_path: Path, label: pa.Array, labels: tuple[str, ...]) -> None:
    """Strings, numbers, truth values and lists of them become labels."""
    path = _parquet(tmp_path / "a.parquet", text=pa.array(["а"]), label=label)

    assert list(read(path, _spec("parquet"))) == [Record(row=1, text="а", labels=labels)]


@pytest.mark.parametrize(
    "kind", [pa.large_string(), pa.string_view(), pa.binary(), pa.dictionary(pa.int8(), pa.string())]
)
def test_text_columns_of_any_string_type_are_read(tmp_path: Path, kind: pa.DataType) -> None:
    """However a writer stores strings, they are texts."""
    texts = pa.array(["да", "нет"])
    texts = texts.dictionary_encode() if pa.types.is_dictionary(kind) else texts.cast(kind)
    path = _parquet(tmp_path / "a.parquet", text=texts, label=pa.array(["a", "b"]))

    assert [row.text for row in read(path, _spec("parquet")) if isinstance(row, Record)] == ["да", "нет"]


def test_parquet_strings_that_are_not_utf8_cost_their_row_only(tmp_path: Path) -> None:
    """Some writers do not check; the other rows of the batch are read."""
    raw = pa.array([b"\xff\xfe", "да".encode()])
    texts = pa.StringArray.from_buffers(2, raw.buffers()[1], raw.buffers()[2])
    path = _parquet(tmp_path / "a.parquet", text=texts, label=pa.array(["a", "b"]))

    assert list(read(path, _spec("parquet"))) == [
        Rejected(row=1, reason="not utf-8", content="\\xff\\xfe | a"),
        Record(row=2, text="да", labels=("b",)),
    ]


def _with_class_names(path: Path) -> Path:
    names = {"names": ["bad", "good"], "_type": "ClassLabel"}
    features = {"label": names, "many": {"feature": names, "_type": "List"}, "old": [names]}
    lists = pa.array([[1, 0], []], pa.list_(pa.int64()))
    table = pa.table({"text": ["а", "б"], "label": [1, -1], "many": lists, "old": lists})
    described = json.dumps({"info": {"features": features}}).encode()
    pq.write_table(table.replace_schema_metadata({"huggingface": described}), path)
    return path


def test_class_names_are_given_where_asked_for(tmp_path: Path) -> None:
    """Numbers are as published by default; with `class_names` they are the names, and -1 is missing."""
    path = _with_class_names(tmp_path / "a.parquet")

    assert [row.labels for row in read(path, _spec("parquet")) if isinstance(row, Record)] == [("1",), ("-1",)]
    rows = list(read(path, _spec("parquet", options={"class_names": True})))
    assert isinstance(rows[0], Record)
    assert rows[0].labels == ("good",)
    assert rows[1] == Rejected(row=2, reason="missing label", content="б |")
    for column in ("many", "old"):
        spec = _spec("hub", label=column, options={"class_names": True, "config": "default"})
        assert [row.labels for row in read(path, spec) if isinstance(row, Record)] == [("good", "bad"), ()]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (_spec("parquet", text="txt"), "Did you mean 'text'"),
        (_spec("parquet", text="label"), "holds int64, not text"),
    ],
)
def test_a_wrong_parquet_column_is_one_error(tmp_path: Path, spec: ReaderSpec, message: str) -> None:
    """A column that is not there, or holds no text, is an error with advice."""
    path = _parquet(tmp_path / "a.parquet", text=pa.array(["а"]), label=pa.array([1]))

    with pytest.raises(DataError, match=message):
        list(read(path, spec))


def test_a_damaged_parquet_file_is_one_error(tmp_path: Path) -> None:
    """Whatever byte is damaged, the error is a `DataError`; what can be read is read."""
    path = _parquet(tmp_path / "a.parquet", text=pa.array(["да", "нет"] * 20), label=pa.array([1, 2] * 20))
    whole = path.read_bytes()
    for at in range(0, len(whole), 11):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        try:
            rows = list(read(path, _spec("parquet")))
        except DataError:
            continue
        assert all(isinstance(row, Record | Rejected) for row in rows)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" * 20, b"text,label\nx,y\n"])
def test_what_is_no_parquet_is_one_error(tmp_path: Path, content: bytes) -> None:
    """Another file is one `DataError`."""
    path = tmp_path / "a.parquet"
    path.write_bytes(content)

    with pytest.raises(DataError, match="Parquet file can't be read"):
        list(read(path, _spec("parquet")))


def test_parquet_in_a_zip_is_read(tmp_path: Path) -> None:
    """A Parquet file may be the member of an archive."""
    buffer = io.BytesIO()
    pq.write_table(pa.table({"text": ["да"], "label": ["a"]}), buffer)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.parquet", buffer.getvalue())

    assert list(read(tmp_path / "a.zip", _spec("parquet"))) == [Record(row=1, text="да", labels=("a",))]


@pytest.mark.parametrize(("kind", "option"), [("xlsx", "sheat"), ("parquet", "class_name"), ("hub", "confg")])
def test_a_wrong_option_is_refused(tmp_path: Path, kind: str, option: str) -> None:
    """An unknown option names the nearest known one."""
    path = tmp_path / "a"
    path.write_bytes(b"x")

    with pytest.raises(ConfigError, match="Did you mean"):
        list(read(path, _spec(kind, options={option: "x"})))
