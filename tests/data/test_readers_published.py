"""Data sets that are not at hand: their cards read small files in the published formats, written here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ottenok.data.card import ReaderSpec, load_card
from ottenok.data.readers import read
from ottenok.tables.records import Record, Rejected

if TYPE_CHECKING:
    from pathlib import Path

    from ottenok.data.card import Card


def _read(card: Card, path: Path) -> list[tuple[str, tuple[str, ...], str | None] | str]:
    rows = list(read(path, card.reader))
    assert [row.row for row in rows] == list(range(1, len(rows) + 1))
    return [(row.text, row.labels, row.part) if isinstance(row, Record) else row.reason for row in rows]


def _text(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8", newline="")
    return path


def test_rureviews(tmp_path: Path) -> None:
    """RuReviews: tab-separated with a header; `neautral` stays as published."""
    content = "review\tsentiment\nкачество плохое, пошив ужасный\tnegative\nтак себе\tneautral\nкласс\tpositive\n"

    assert _read(load_card("rureviews"), _text(tmp_path / "a.csv", content)) == [
        ("качество плохое, пошив ужасный", ("negative",), None),
        ("так себе", ("neautral",), None),
        ("класс", ("positive",), None),
    ]


def test_kaggle_news(tmp_path: Path) -> None:
    """Kaggle's Russian news: a JSON array of objects."""
    items = [
        {"text": "Рынок вырос.\nСпад позади.", "id": 1945, "sentiment": "positive"},
        {"text": "Досудебное расследование", "id": 1957, "sentiment": "negative"},
    ]

    assert _read(load_card("kaggle-news"), _text(tmp_path / "a.json", json.dumps(items, ensure_ascii=False))) == [
        ("Рынок вырос.\nСпад позади.", ("positive",), None),
        ("Досудебное расследование", ("negative",), None),
    ]


@pytest.mark.parametrize("name", ["linis-2015", "linis-2016"])
def test_linis_crowd(tmp_path: Path, name: str) -> None:
    """LINIS Crowd: a workbook without header, a text and one rater's rating per row; odd ratings stay for the card."""
    book = openpyxl.Workbook()
    page = book.active
    assert page is not None
    for row in [
        ("власть опять молчит", -2),
        ("власть опять молчит", -1),
        ("нормально", 0),
        ("хм", "не знаю"),
        ("а", None),
    ]:
        page.append(row)
    book.save(tmp_path / "a.xlsx")

    assert _read(load_card(name), tmp_path / "a.xlsx") == [
        ("власть опять молчит", ("-2",), None),
        ("власть опять молчит", ("-1",), None),
        ("нормально", ("0",), None),
        ("хм", ("не знаю",), None),
        "missing label",
    ]


def test_rutweetcorp(tmp_path: Path) -> None:
    """RuTweetCorp: semicolons, everything quoted, twelve columns without header; no user name comes out."""
    content = (
        '"4089";"1386325927";"ivan_petrov";"@друг хоть я и ""школота"" :D; да";"1";"0";"0";"0";"7569";"62";"61";"0"\n'
        '"4090";"1386325927";"ivan_petrov";"устал( и\nхочу спать";"-1";"0";"0";"0";"11";"59";"31";"2"\n'
        '"4091";"1386325927";"ivan_petrov";"лишнее поле";"1";"0";"0";"0";"7569";"62";"61";"0";"0"\n'
    )
    path = _text(tmp_path / "a.csv", content)

    assert _read(load_card("mokoron"), path) == [
        ('@друг хоть я и "школота" :D; да', ("1",), None),
        ("устал( и\nхочу спать", ("-1",), None),
        "13 fields instead of 12",
    ]
    assert "ivan_petrov" not in repr(list(read(path, load_card("mokoron").reader)))


def test_kinopoisk(tmp_path: Path) -> None:
    """blinoff/kinopoisk: JSON lines, or the hub's Parquet; the part of the list is the sub-source."""
    item = {
        "part": "top250",
        "movie_name": "Блеф",
        "review_id": "17144",
        "author": "Иван Петров",
        "date": "2004-08-05",
        "title": "Плюс",
        "grade3": "Good",
        "grade10": 10.0,
        "content": "Шедевр.\n\nСмотреть всем!",
    }
    card = load_card("kinopoisk")
    expected = [("Шедевр.\n\nСмотреть всем!", ("Good",), "top250")]
    lines = _text(tmp_path / "a.jsonl", json.dumps(item, ensure_ascii=False) + "\n")
    pq.write_table(pa.Table.from_pylist([item]), tmp_path / "a.parquet")
    hub = card.model_copy(update={"reader": card.reader.model_copy(update={"kind": "hub"})})

    assert _read(card, lines) == expected
    assert _read(hub, tmp_path / "a.parquet") == expected


def test_dmsc(tmp_path: Path) -> None:
    """Douban's DMSC: ten columns with a header, the comment begins with a blank, the film is the sub-source."""
    content = (
        "ID,Movie_Name_EN,Movie_Name_CN,Crawl_Date,Number,Username,Date,Star,Comment,Like\r\n"
        '0,Avengers Age of Ultron,复仇者联盟2,2017-01-22,1,然潘,2015-05-13,3," 连奥创都知道整容要去韩国, 哈哈",2404\r\n'
        "1,Avengers Age of Ultron,复仇者联盟2,2017-01-22,2,更深的白色,2015-04-24,2, 非常失望,1231\r\n"
    )

    assert _read(load_card("dmsc"), _text(tmp_path / "a.csv", content)) == [
        (" 连奥创都知道整容要去韩国, 哈哈", ("3",), "Avengers Age of Ultron"),
        (" 非常失望", ("2",), "Avengers Age of Ultron"),
    ]


def test_ru_go_emotions(tmp_path: Path) -> None:
    """ru_go_emotions: lists of ids as numpy prints them; long ones have line breaks and aligned blanks."""
    content = (
        "ru_text,text,labels,id\n"
        '"Моя любимая еда, которую не готовлю.",My favourite food,[27],eebbqej\n'
        'Это ужасно,This is awful,"[ 2\n  3]",ed00q6i\n'
        "Ура,Yay,[ 0 15],eezlygj\n"
    )

    assert _read(load_card("ru-goemotions"), _text(tmp_path / "a.csv", content)) == [
        ("Моя любимая еда, которую не готовлю.", ("27",), None),
        ("Это ужасно", ("2", "3"), None),
        ("Ура", ("0", "15"), None),
    ]


def test_smp_lines(tmp_path: Path) -> None:
    """SMP 2020's copied train set: divided at the first and the last comma, commas between stay in the text."""
    path = _text(tmp_path / "a.txt", "0,好,很好,happy\n1,,sad\n2 没有逗号\n3,累了,sad\n")

    assert list(read(path, ReaderSpec(kind="smp-text"))) == [
        Record(row=1, text="好,很好", labels=("happy",)),
        Rejected(row=2, reason="empty text", content="| sad"),
        Rejected(row=3, reason="too few fields", content="2 没有逗号"),
        Record(row=4, text="累了", labels=("sad",)),
    ]


def test_label_first_lines(tmp_path: Path) -> None:
    """The NLPCC 2014 copy: a label, a comma, and a text in which quotes and commas mean nothing."""
    path = _text(tmp_path / "a.csv", 'like,"好,真好\r\n,没有标签\r\nfear\r\n')

    assert list(read(path, ReaderSpec(kind="label-first"))) == [
        Record(row=1, text='"好,真好', labels=("like",)),
        Rejected(row=2, reason="missing label", content="没有标签 |"),
        Rejected(row=3, reason="too few fields", content="fear"),
    ]
