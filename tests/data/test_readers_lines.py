"""Readers of texts kept as lines, and of texts with labels towards their aspects."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ottenok.core.errors import ConfigError, DataError
from ottenok.data.card import ReaderSpec, load_card
from ottenok.data.fetch import locate
from ottenok.data.readers import read
from ottenok.tables.records import Record, Rejected

if TYPE_CHECKING:
    from pathlib import Path


def rows_of(path: Path, content: str | bytes, kind: str, **options: object) -> list[Record | Rejected]:
    """Write a file and read it."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(read(path, ReaderSpec.model_validate({"kind": kind, "options": options})))


def pairs(rows: list[Record | Rejected]) -> list[tuple[str, tuple[str, ...]]]:
    """Return texts and labels of the records."""
    return [(row.text, row.labels) for row in rows if isinstance(row, Record)]


def test_a_label_before_its_text_is_divided_once(tmp_path: Path) -> None:
    """Only the first separator counts; comments and blank lines are no rows."""
    content = "####\n##  anger : 7 %\nanger:气死:我了\n\nnone:今天周三\n"
    assert pairs(rows_of(tmp_path / "a.txt", content, "label-first", separator=":", comment="##")) == [
        ("气死:我了", ("anger",)),
        ("今天周三", ("none",)),
    ]


def test_fields_before_the_label_are_never_shown(tmp_path: Path) -> None:
    """An id before the label is skipped, also in a line that has nothing else; marks are taken out of the text."""
    rows = rows_of(tmp_path / "a.txt", "42,1,看{%#电影#%},真好\n4242\n", "label-first", skip=1, remove=["{%", "%}"])
    assert pairs(rows) == [("看#电影#,真好", ("1",))]
    assert "42" not in repr(rows)


def test_words_that_a_segmenter_cut_are_joined(tmp_path: Path) -> None:
    """Blanks beside Chinese characters and signs go, those between Latin words stay; the header is no row."""
    content = "labels,text\npositive,喜欢 听 Taylor Swift 的 歌 ， 真 的\n"
    rows = rows_of(tmp_path / "a.txt", content, "label-first", header=True, join_han=True)
    assert pairs(rows) == [("喜欢听Taylor Swift的歌，真的", ("positive",))]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"1, \n", "empty text"),
        (b",text\n", "missing label"),
        (b"1,a\0b\n", "NUL byte"),
        (b"1,\xff\xfe\n", "not utf-8"),
        (b"text\n", "too few fields"),
    ],
)
def test_unusable_lines_have_reasons(tmp_path: Path, line: bytes, reason: str) -> None:
    """A line that can't be used is rejected under its number, and the next one is read."""
    rejected, record = rows_of(tmp_path / "a.txt", line + b"0,fine\n", "label-first")
    assert isinstance(rejected, Rejected)
    assert (rejected.row, rejected.reason) == (1, reason)
    assert isinstance(record, Record)
    assert (record.row, record.text, record.labels) == (2, "fine", ("0",))


def test_an_unknown_option_is_refused(tmp_path: Path) -> None:
    """A misspelt option is an error, not ignored."""
    with pytest.raises(ConfigError, match="seperator"):
        rows_of(tmp_path / "a.txt", "1,a\n", "label-first", seperator=":")


def test_labels_of_another_file_stand_line_by_line(tmp_path: Path) -> None:
    """A blank line of the texts has its label too, so that those after it keep theirs, whatever ends the lines."""
    (tmp_path / "labels.txt").write_bytes(b"0\r\n1\r\n2\r\n")
    rows = rows_of(tmp_path / "a.txt", "你好\r\n\r\n再见\r\n", "aligned-lines", labels="labels.txt")
    assert pairs(rows) == [("你好", ("0",)), ("再见", ("2",))]
    assert isinstance(rows[1], Rejected)


@pytest.mark.parametrize(("labels", "problem"), [("0\n", "more lines"), ("0\n1\n2\n", "fewer lines"), (None, "beside")])
def test_files_of_different_length_are_refused(tmp_path: Path, labels: str | None, problem: str) -> None:
    """Texts and labels that can't be matched are one error, not shifted labels."""
    if labels is not None:
        (tmp_path / "labels.txt").write_text(labels, encoding="utf-8")
    with pytest.raises(DataError, match=problem):
        rows_of(tmp_path / "a.txt", "один\nдва\n", "aligned-lines", labels="labels.txt")


@pytest.mark.data
def test_a_file_of_labels_is_checked_and_not_read(data_root: Path, tmp_path: Path) -> None:
    """The files of MSCTD's labels are found and checked with the texts, and are no files of rows."""
    found = locate(load_card("msctd"), root=data_root, cache=tmp_path)
    assert [located.path.name for located in found] == [
        "chinese_train_enzh.txt",
        "chinese_train_zhen.txt",
        "chinese_dev.txt",
    ]


def test_conllu_gives_sentences(tmp_path: Path) -> None:
    """The sentence's own text comes first; without it, words are joined as Russian is written, ranges as one word."""
    content = (
        "# text = Привет,  мир!\n1\tПривет\t_\n2\tмир\t_\n\n"
        "1\tНу\t_\n2\t,\t_\n3-4\tнего\t_\n3\tне\t_\n4\tго\t_\n4.1\tпусто\t_\n5\t(\t_\n6\tда\t_\n7\t)\t_\n8\t.\t_\n"
    )
    assert pairs(rows_of(tmp_path / "a.conllu", content, "conllu")) == [
        ("Привет,  мир!", ()),
        ("Ну, него (да).", ()),
    ]


def test_aspects_give_a_text_its_different_labels(tmp_path: Path) -> None:
    """A text has each polarity of its aspects once; what is no such object is rejected without being shown."""
    items = [
        {"ID": "1", "Text": "好吃", "Quadruplet": [{"Polarity": "POS"}, {"Polarity": "POS"}]},
        {"ID": "2", "Text": "好吃但貴", "Quadruplet": [{"Polarity": "POS"}, {"Polarity": "NEG"}]},
        {"ID": "3", "Text": " ", "Quadruplet": []},
        {"ID": "4"},
    ]
    rows = rows_of(tmp_path / "a.jsonl", "\n".join(json.dumps(item) for item in items) + "\n{\n", "dimabsa")
    assert pairs(rows) == [("好吃", ("POS",)), ("好吃但貴", ("POS", "NEG"))]
    assert [row.reason for row in rows if isinstance(row, Rejected)] == ["empty text", *["not a text with aspects"] * 2]


def test_pairs_of_a_text_are_joined_wherever_they_stand(tmp_path: Path) -> None:
    """Rows of one text make one record under the first one's number, in the order of the file."""
    path = tmp_path / "a.tsv"
    path.write_text("s\te\tl\nодин\tX\t0\nдва\tY\t1\nодин\tZ\t-1\nодин\tW\t0\n", encoding="utf-8")
    spec = ReaderSpec(kind="csv-pairs", text="s", label="l", options={"delimiter": "\t"})
    assert list(read(path, spec)) == [
        Record(row=1, text="один", labels=("0", "-1")),
        Record(row=2, text="два", labels=("1",)),
    ]
