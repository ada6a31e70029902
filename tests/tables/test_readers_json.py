"""JSON lines and JSON arrays."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ottenok.core.errors import ConfigError, DataError
from ottenok.data.card import ReaderSpec
from ottenok.data.readers import read
from ottenok.tables.records import Record, Rejected

if TYPE_CHECKING:
    from pathlib import Path


def _read(folder: Path, kind: str, content: str | bytes, **changes: Any) -> list[Record | Rejected]:
    path = folder / "data.json"
    path.write_bytes(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)
    spec = ReaderSpec.model_validate({"kind": kind, "text": "text", "label": "label", **changes})
    return list(read(path, spec))


def test_a_line_is_a_record(tmp_path: Path) -> None:
    """One object per line; numbers and lists of labels become strings, blank lines are no records."""
    content = (
        '{"text": "да", "label": 1}\n\n{"label": ["a", 2, "a"], "text": "нет"}\r\n'
        '{"text": "и", "label": 3.0}\n{"text": "ли", "label": []}\n{"text": "но", "label": true}'
    )

    assert _read(tmp_path, "jsonl", content) == [
        Record(row=1, text="да", labels=("1",)),
        Record(row=2, text="нет", labels=("a", "2")),
        Record(row=3, text="и", labels=("3",)),
        Record(row=4, text="ли", labels=()),
        Record(row=5, text="но", labels=("true",)),
    ]


@pytest.mark.parametrize(
    ("line", "reason", "content"),
    [
        ('{"text": "а", "label": "б"', "bad JSON", ""),
        ("1" * 5000, "bad JSON", ""),
        ("[" * 100_000, "bad JSON", ""),
        ('["а"]', "not a JSON object", ""),
        ('{"text": null, "label": "a"}', "empty text", "| a"),
        ('{"text": "\\u2003", "label": "a"}', "empty text", "| a"),
        ('{"label": "a"}', "empty text", "| a"),
        ('{"text": "а"}', "missing label", "а |"),
        ('{"text": "а", "label": NaN}', "missing label", "а | nan"),
        ('{"text": ["а"], "label": "b"}', "text is not a string", "['а'] | b"),
        ('{"text": "а", "label": {"b": 1}}', "label is not a string", "а | {'b': 1}"),
        ('{"text": "а\\u0000", "label": "b"}', "NUL byte", "а\\x00 | b"),
        ('{"text": "а\\ud83d", "label": "b"}', "half a surrogate pair", "а\\ud83d | b"),
        (b'{"text": "\xff", "label": "b"}', "not utf-8", ""),
    ],
)
def test_a_broken_line_is_rejected(tmp_path: Path, line: str | bytes, reason: str, content: str) -> None:
    """Each fault has its reason; a line that does not parse is not shown, for it may name its author."""
    good = '{"text": "да", "label": "a"}\n'.encode()
    raw = line.encode() if isinstance(line, str) else line

    rows = _read(tmp_path, "jsonl", good + raw + b"\n" + good)

    assert rows[1] == Rejected(row=2, reason=reason, content=content)
    assert [type(row) for row in rows] == [Record, Rejected, Record]


def test_pairs_of_surrogate_escapes_are_one_character(tmp_path: Path) -> None:
    """An emoji written as two escapes is an emoji."""
    rows = _read(tmp_path, "jsonl", '{"text": "\\ud83d\\ude00", "label": "a"}')

    assert rows == [Record(row=1, text="😀", labels=("a",))]


def test_a_wrong_key_is_one_error(tmp_path: Path) -> None:
    """A key that none of the first records has is a mistake in the spec; the error names the nearest."""
    with pytest.raises(DataError, match="Did you mean 'text'") as caught:
        _read(tmp_path, "jsonl", '{"text": "а", "label": "b"}\n', text="txt")

    assert "the keys are: 'text', 'label'" in str(caught.value)


def test_a_key_may_be_left_out_of_some(tmp_path: Path) -> None:
    """A record without a key that others have is a reject, not an error."""
    rows = _read(tmp_path, "jsonl", '{"text": "а"}\n{"text": "б", "label": "b"}\n')

    assert [type(row) for row in rows] == [Rejected, Record]


def test_an_array_is_read_an_object_at_a_time(tmp_path: Path) -> None:
    """Objects are found across the pieces that the file is read in, whatever is between them."""
    texts = [f"слово {number} " * 3000 for number in range(40)]  # over two megabytes

    rows = _read(tmp_path, "json", json.dumps([{"text": text, "label": "a"} for text in texts], indent=1))

    assert rows == [Record(row=row, text=text, labels=("a",)) for row, text in enumerate(texts, start=1)]


def test_what_is_no_object_in_an_array_is_rejected(tmp_path: Path) -> None:
    """Numbers and strings among the objects are rejects."""
    rows = _read(tmp_path, "json", '\ufeff [{"text": "а", "label": "b"}, 12, "x", {"text": "в", "label": "г"}] \n')

    assert [type(row) for row in rows] == [Record, Rejected, Rejected, Record]
    assert rows[1] == Rejected(row=2, reason="not a JSON object", content="")


@pytest.mark.parametrize(
    ("content", "message", "row"),
    [
        ("", "it is empty", None),
        ('"text"\n', "not JSON with objects", None),
        ('[{"text": "а", "label": "b"}, {"text": "в', "breaks off", 2),
        ('[{"text": "а", "label": "b"}, nonsense]', "breaks off or is faulty", 2),
        ('[{"text": "а", "label": "b"}', "breaks off", 2),
        ("[" * 200_000, "breaks off or is faulty", 1),
        ("[1, 2]", "none of the first 2 records", None),
        ('[{"text": "' + "а" * 9_000_000, "longer than", 1),
    ],
)
def test_an_array_that_is_none_is_one_error(tmp_path: Path, content: str, message: str, row: int | None) -> None:
    """A faulty array can't be read on, so it is one error with the number of the record."""
    with pytest.raises(DataError, match=message) as caught:
        _read(tmp_path, "json", content)

    assert caught.value.row == row
    assert caught.value.file == str(tmp_path / "data.json")


def test_an_empty_array_has_no_records(tmp_path: Path) -> None:
    """`[]` is a file without records, not an error."""
    assert _read(tmp_path, "json", "[]") == []


@pytest.mark.parametrize("kind", ["json", "jsonl"])
def test_a_wrong_option_is_refused(tmp_path: Path, kind: str) -> None:
    """An unknown option names the nearest known one."""
    with pytest.raises(ConfigError, match="Did you mean 'encoding'"):
        _read(tmp_path, kind, "[]", options={"encodig": "utf-8"})


def test_another_encoding_is_found_out(tmp_path: Path) -> None:
    """With `auto` also JSON in windows-1251 is read."""
    content = '{"text": "Очень хорошо", "label": "да"}\n'.encode("windows-1251")

    rows = _read(tmp_path, "jsonl", content, options={"encoding": "auto"})

    assert rows == [Record(row=1, text="Очень хорошо", labels=("да",))]


_VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.lists(st.text(max_size=3))

_ITEMS = st.fixed_dictionaries({"text": _VALUES, "label": _VALUES})


@settings(max_examples=100, deadline=None)
@given(
    items=st.lists(st.fixed_dictionaries({"text": _VALUES, "label": _VALUES}), min_size=1, max_size=6),
    ascii_=st.booleans(),
)
def test_both_forms_of_any_objects_are_read_alike(
    tmp_path_factory: pytest.TempPathFactory, items: list[dict[str, Any]], ascii_: bool
) -> None:
    """An array and lines of the same objects give the same rows, and a good text comes back to the character."""
    folder = tmp_path_factory.mktemp("json")
    lines = "\n".join(json.dumps(item, ensure_ascii=ascii_) for item in items)

    as_lines = _read(folder, "jsonl", lines)
    as_array = _read(folder, "json", json.dumps(items, ensure_ascii=ascii_))

    assert as_lines == as_array
    for row, item in zip(as_lines, items, strict=True):
        if isinstance(row, Record) and isinstance(item["text"], str):
            assert row.text == item["text"]
