"""Odd and hostile files of every kind, as a user's own data: read rightly, told, or refused within bounds."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import unicodedata
import zipfile
from typing import TYPE_CHECKING, Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ottenok.core.errors import DataError, OttenokError, SchemeError
from ottenok.core.progress import Silent
from ottenok.core.schemes import load_scheme
from ottenok.data.fetch import locate
from ottenok.data.own import card_scheme, user_card
from ottenok.data.sources import Source, read_source
from ottenok.recipes.corpus import OwnData
from ottenok.tables.encoding import decode_bytes
from ottenok.tables.labels import Fault, label_cell
from ottenok.tables.options import TableOptions
from ottenok.tables.records import Record
from ottenok.tables.table import open_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ottenok.data.card import Card

TEXTS = (
    "Отличный магазин, всё пришло вовремя",
    "Ужасное качество",
    "Заказ номер пять, доставка в среду",
    "Деньги на ветер",
)
LABELS = ("positive", "negative", "neutral", "negative")
ROWS = tuple(zip(TEXTS, LABELS, strict=True))


class Notes(Silent):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def note(self, message: str) -> None:
        """Keep the message."""
        self.told.append(message)


def look(path: Path, scheme: str | None = None, **own: Any) -> tuple[Card, list[str]]:
    """Look at a user's file; return its card and what was told."""
    notes = Notes()
    data = OwnData(name=path.stem, file=str(path), **own)
    return user_card(data, scheme=load_scheme(scheme) if scheme else None, progress=notes), notes.told


def rows(path: Path, **own: Any) -> list[Any]:
    """Return a user's rows: text and what its labels mean, or the reason of a reject."""
    card, _ = look(path, **own)
    found = read_source(Source(card=card, files=locate(card, root=None, cache=path.parent)))
    return [
        (row.text, *(card.label.map[label] for label in row.labels)) if isinstance(row, Record) else row.reason
        for _, row in found
    ]


def table(delimiter: str = ",", end: str = "\n", head: Sequence[str] = ("text", "label")) -> str:
    """Return the rows as CSV."""
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=delimiter, lineterminator=end)
    writer.writerows((head, *ROWS))
    return stream.getvalue()


def write(path: Path, content: str | bytes) -> Path:
    """Write a file."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def labelled(path: Path, cells: Sequence[str]) -> Path:
    """Write a CSV file with these cells as labels."""
    stream = io.StringIO()
    csv.writer(stream).writerows([("text", "label"), *((f"Текст номер {n}", cell) for n, cell in enumerate(cells))])
    return write(path, stream.getvalue())


# --- CSV ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", ["sep=;", '"sep=;"', "SEP=;", "\ufeffsep=;"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_sep_line_names_the_delimiter(tmp_path: Path, line: str, end: str) -> None:
    """Excel's first line is no header, whatever ends it."""
    assert rows(write(tmp_path / "a.csv", line + end + table(";", end))) == list(ROWS)


def test_quotes_are_escaped_as_spark_does(tmp_path: Path) -> None:
    r"""`\"` is a quote, beside doubled ones, at the end of a field, and in records of several lines."""
    content = (
        'text,label\n"Обычный, текст",neg\n"Сервис \\"высший сорт\\", больше нет",pos\n"\\"в кавычках\\"",pos\n'
        '"две строки \\"раз\\"\nи, два",neg\n"и ""так"", тоже",neg\n'
    )
    assert rows(write(tmp_path / "a.csv", content)) == [
        ("Обычный, текст", "neg"),
        ('Сервис "высший сорт", больше нет', "pos"),
        ('"в кавычках"', "pos"),
        ('две строки "раз"\nи, два', "neg"),
        ('и "так", тоже', "neg"),
    ]


def test_a_backslash_at_the_end_of_a_field_is_a_backslash(tmp_path: Path) -> None:
    r"""One `C:\` beside doubled quotes does not make `\"` a quote."""
    content = 'text,label\n"папка, C:\\",pos\n"он ""сказал"", да",neg\n"третья, строка",neg\n'
    assert rows(write(tmp_path / "a.csv", content))[0] == ("папка, C:\\", "pos")


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_name_that_is_there_twice_is_refused(tmp_path: Path, suffix: str) -> None:
    """The columns are named, and none of the two is taken silently."""
    path = tmp_path / f"a{suffix}"
    if suffix == ".csv":
        write(path, "text,label,text\nа,x,б\nв,y,г\n")
    else:
        arrays = [pa.array(["а", "в"]), pa.array(["x", "y"]), pa.array(["б", "г"])]
        pq.write_table(pa.Table.from_arrays(arrays, names=["text", "label", "text"]), path)

    with pytest.raises(DataError, match="columns called 'text'; the columns are: 'text', 'label', 'text'"):
        look(path)


@pytest.mark.parametrize("name", ["{}", "row{}", "r-{}.x"])
def test_row_names_of_r_are_no_column_of_the_header(tmp_path: Path, name: str) -> None:
    """A header that is one name shorter is not shifted by one."""
    lines = [f'"{name.format(number)}","{text}","{label}"' for number, (text, label) in enumerate(ROWS, start=1)]
    path = write(tmp_path / "a.csv", "\n".join(['"text","label"', *lines]))

    assert rows(path) == list(ROWS)
    assert "row names" in look(path)[1][0]


def test_rows_may_end_with_a_delimiter(tmp_path: Path) -> None:
    """An empty last field is no row name."""
    assert rows(write(tmp_path / "a.csv", "text;label\nа;x;\nб;y;\n")) == [("а", "x"), ("б", "y")]


def test_positions_are_for_files_without_a_header(tmp_path: Path) -> None:
    """A column named 0 is found by its name; without a header 0 is the first; else --no-header is named."""
    named = write(tmp_path / "named.csv", "1,0\n" + table().partition("\n")[2])
    assert rows(named, text="1", label="0") == list(ROWS)

    bare = write(tmp_path / "bare.csv", table().partition("\n")[2])
    assert rows(bare, text="0", label="1", reader={"header": False}) == list(ROWS)
    with pytest.raises(DataError, match="--no-header"):
        look(bare, text="0", label="1")


@pytest.mark.parametrize(
    ("header", "asked"),
    [("комментарий", "комментарий"), ("Текст\u00a0отзыва", "Текст отзыва"), ("\u200btext ", "text"), ("ёж", "ёж")],
)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_are_compared_as_they_look(tmp_path: Path, header: str, asked: str, form: Any) -> None:
    """Composed or not, with spaces that no one sees."""
    path = write(tmp_path / "a.csv", table(head=(unicodedata.normalize(form, header), "label")))
    assert rows(path, text=asked) == list(ROWS)


def test_lines_before_the_header_are_passed_over(tmp_path: Path) -> None:
    """`skip_rows` counts lines, in spreadsheets rows."""
    path = write(tmp_path / "a.csv", "Отчёт, за июнь\n\n" + table())
    assert rows(path, reader={"skip_rows": 2}) == list(ROWS)
    book = openpyxl.Workbook()
    for row in (("Отчёт",), (None,), ("text", "label"), *ROWS):
        book.active.append(row)  # type: ignore[union-attr]
    book.save(tmp_path / "a.xlsx")
    assert rows(tmp_path / "a.xlsx", reader={"skip_rows": 2}) == list(ROWS)


def test_one_column_may_hold_any_mark(tmp_path: Path) -> None:
    """Texts with commas, semicolons and tabs are whole where the header has one name."""
    lines = ["раз, два", "три; четыре; пять", "шесть\tсемь", "восемь|девять"]
    found = open_table(write(tmp_path / "a.csv", "\n".join(["text", *lines])), wanted=["text"])
    assert [cell for block in found.blocks() for cell in block.cells[0]] == lines


@pytest.mark.parametrize("second", ['"Да, ""очень"""', '"без запятых"'])
def test_blanks_before_quotes_belong_to_the_delimiter(tmp_path: Path, second: str) -> None:
    """`1, "Да, хорошо", x` has three fields, and its quotes are no part of the text."""
    path = write(tmp_path / "a.csv", f'id, text, label\n1, {second}, x\n2, "Нет", y\n')
    assert rows(path) == [(next(csv.reader([second]))[0], "x"), ("Нет", "y")]


@pytest.mark.parametrize("suffix", [".csv", ".xlsx"])
def test_a_header_in_the_middle_is_no_row(tmp_path: Path, suffix: str) -> None:
    """As in files that were put together; a byte order mark may come with it."""
    path = tmp_path / f"a{suffix}"
    if suffix == ".csv":
        write(path, "\ufeff" + table() + "\ufeff" + table())
    else:
        _book(path, ("Лист", [("text", "label"), *ROWS, ("text", "label"), *ROWS]))
    assert rows(path) == [*ROWS, "the header again", *ROWS]


@pytest.mark.parametrize("head", ["Отчёт за июнь\n", "# by a tool, 2024\n# rows: 4\n", "Отчёт,\n,\n"])
def test_a_header_further_down_is_shown(tmp_path: Path, head: str) -> None:
    """The message says how many lines to pass over."""
    lines = head.count("\n")
    with pytest.raises(DataError, match=f"--skip-rows {lines}"):
        look(write(tmp_path / "a.csv", head + table()))
    path = _book(tmp_path / "a.xlsx", ("Лист", [*([("Отчёт",)] * lines), ("text", "label"), *ROWS]))
    with pytest.raises(DataError, match=f"--skip-rows {lines}"):
        look(path)


def test_apostrophes_are_quotes_where_every_row_has_them(tmp_path: Path) -> None:
    """As some databases write them; in a few rows they are letters, and what is quoted as a whole is told."""
    quoted = "text,label\n" + "".join(f"'{text}',{label}\n" for text, label in ROWS)
    assert rows(write(tmp_path / "a.csv", quoted)) == list(ROWS)
    assert rows(write(tmp_path / "b.csv", table() + "'n' и 'd',positive\n"))[4] == ("'n' и 'd'", "positive")
    whole = "".join(f'"{line.replace(chr(34), chr(34) * 2)}"\n' for line in table().splitlines())
    with pytest.raises(DataError, match="as one cell"):
        look(write(tmp_path / "c.csv", whole))


@pytest.mark.parametrize("mark", "^~:")
def test_an_unknown_delimiter_is_asked_for(tmp_path: Path, mark: str) -> None:
    """And works when it is named."""
    path = write(tmp_path / "a.csv", table(mark))
    with pytest.raises(DataError, match="--delimiter"):
        look(path)
    assert rows(path, reader={"delimiter": mark}) == list(ROWS)


# --- encodings ------------------------------------------------------------------------------------------------------

_CHINESE = "这部电影非常好看，演员很好"
_TRADITIONAL = "這部電影非常好看，演員很好"


@pytest.mark.parametrize(
    "encoding",
    [
        "windows-1251", "koi8-r", "cp866", "mac_cyrillic", "iso8859-5", "utf-16", "utf-16-le", "utf-16-be", "utf-32",
        "utf-32-be", "utf-7",
    ],
)  # fmt: skip
def test_short_russian_files_are_read_in_their_encoding(tmp_path: Path, encoding: str) -> None:
    """Two words a row are enough."""
    content = "text,label\nОчень хорошо,да\nУжасное качество,нет\n"
    assert rows(write(tmp_path / "a.csv", content.encode(encoding)))[0] == ("Очень хорошо", "да")


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (_CHINESE, "gb18030"), (_TRADITIONAL, "big5"), (_CHINESE, "utf-16"), (_CHINESE, "utf-16-le"), (_CHINESE, "hz"),
        ("很好👍", "gb18030"), ("Очень хорошо", "utf-16-le"), ("да", "utf-16-be"), ("ОЧЕНЬ ХОРОШО", "iso8859-5"),
    ],
)  # fmt: skip
def test_short_texts_are_decoded(text: str, encoding: str) -> None:
    """One line is enough, also without a byte order mark and without a space."""
    assert decode_bytes(text.encode(encoding)) == text


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("안녕하세요 좋아요", "euc_kr"), ("這部電影非常好看", "euc_jp"), ("とても良い商品でした", "shift_jis"),
        ("Türkçe güzel ürün çok iyi", "cp1254"), ("這部電影非常好看", "iso2022_jp"), ("Příliš kůň", "cp1250"),
    ],
)  # fmt: skip
def test_other_languages_are_not_taken_for_russian_or_chinese(text: str, encoding: str) -> None:
    """Their bytes give letters in some encoding of ours, and no words."""
    with pytest.raises(DataError, match="--encoding"):
        decode_bytes(text.encode(encoding))


@pytest.mark.parametrize("data", ["Größe café naïve".encode("latin-1"), "да".encode("iso8859-5"), b"\xc4\xe0"])
def test_what_can_not_be_told_is_refused_with_the_option(data: bytes) -> None:
    """Never garbage: the message names --encoding."""
    with pytest.raises(DataError, match="--encoding"):
        decode_bytes(data)


@pytest.mark.parametrize(
    ("real", "named"),
    [
        ("utf-8-sig", "UTF-8"),
        ("utf-8-sig", "UTF-8-SIG"),
        ("utf-16", "UTF-16"),
        ("utf-16", "utf-16-le"),
        ("utf-32", "UTF_32"),
    ],
)
def test_a_byte_order_mark_is_no_text(tmp_path: Path, real: str, named: str) -> None:
    """Named or found out, the mark is neither in the first name nor in what is to be written."""
    found = open_table(write(tmp_path / "a.csv", table().encode(real)), TableOptions(encoding=named))
    assert found.columns == ["text", "label"]
    assert found.mark.decode(found.encoding or "") == "\ufeff"
    assert not "а".encode(found.encoding or "").startswith(found.mark)


@settings(max_examples=60, deadline=None)
@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40))
def test_utf8_is_never_taken_for_something_else(text: str) -> None:
    """What has a mark, and what is long enough to prove itself, comes back to the character."""
    assert decode_bytes(text.encode("utf-8-sig")) == text
    assert decode_bytes(("Проверка. " * 30 + text).encode()) == "Проверка. " * 30 + text


# --- packed ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [
        (".gz", gzip.compress),
        (".bz2", bz2.compress),
        (".xz", lzma.compress),
        (".zst", lambda data: pa.compress(data, codec="zstd", asbytes=True)),
    ],
)
def test_packed_files_are_read_and_bombs_refused(tmp_path: Path, suffix: str, pack: Any) -> None:
    """By their first bytes, whatever their name; what grows past all measure is refused with the option's name."""
    assert rows(write(tmp_path / f"a.csv{suffix}", pack(table().encode()))) == list(ROWS)
    assert rows(write(tmp_path / "plain.csv", pack(table().encode()))) == list(ROWS)
    assert rows(write(tmp_path / f"unpacked.csv{suffix}", table())) == list(ROWS)
    with pytest.raises(DataError, match="more than once"):
        look(write(tmp_path / f"twice.csv{suffix}{suffix}", pack(pack(table().encode()))))
    with pytest.raises(DataError, match="--max-expansion"):
        look(write(tmp_path / f"b.csv{suffix}", pack(b"text,label\n" + b"a" * 80_000_000)))
    with pytest.raises(DataError):
        look(write(tmp_path / f"c.csv{suffix}", pack(table().encode() * 50)[:-9]))


# --- JSON -----------------------------------------------------------------------------------------------------------

_ITEMS = [{"text": text, "label": label} for text, label in ROWS]
_NESTED = [{"id": n, "review": {"text": text, "stars": 5}, "label": label} for n, (text, label) in enumerate(ROWS)]
_COLUMNS = {key: {str(n): item[key] for n, item in enumerate(_ITEMS)} for key in ("text", "label")}
_CHAT = {"name": "Чат", "type": "group", "messages": [{"id": n, **item} for n, item in enumerate(_ITEMS)]}


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(_ITEMS),
        "\ufeff\n " + json.dumps(_ITEMS, indent=1, ensure_ascii=False),
        "\n".join(map(json.dumps, _ITEMS)),
        "\n".join(json.dumps(item, indent=2) for item in _ITEMS),
        json.dumps(_COLUMNS),
        json.dumps({str(n): item for n, item in enumerate(_ITEMS)}),
        json.dumps({"columns": ["text", "label"], "index": [0, 1, 2, 3], "data": [list(row) for row in ROWS]}),
        json.dumps({"text": TEXTS, "label": LABELS}),
        json.dumps({"status": "ok", "result": {"authors": [{"name": "x"}], "items": _ITEMS}}),
        json.dumps(_CHAT, indent=1),
        json.dumps({"about": "", "chats": {"list": [_CHAT]}}),
    ],
)
@pytest.mark.parametrize("name", ["a.json", "a.txt", "a"])
def test_objects_are_found_wherever_a_document_has_them(tmp_path: Path, content: str, name: str) -> None:
    """Lines, arrays, the tables of pandas, an export's list of messages; by the bytes, not the name."""
    assert rows(write(tmp_path / name, content)) == list(ROWS)


_BROKEN = ['{"text": "Н"ет", "label": "x"}', '{"text": "Нет" "label": "x"}', '{"text": "Нет}', "{'text': 'Нет'}", "{,}"]


@pytest.mark.parametrize("broken", _BROKEN)
@pytest.mark.parametrize("place", [1, 4])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_faulty_object_of_an_array_costs_itself(tmp_path: Path, broken: str, place: int, *, wrapped: bool) -> None:
    """Quotes that do not pair up, a missing comma or colon; in the middle and at the end."""
    objects = list(map(json.dumps, _ITEMS))
    objects.insert(place, broken)
    array = f"[{', '.join(objects)}]"
    path = write(tmp_path / "a.json", f'{{"n": 1, "rows": {array}}}' if wrapped else array)

    assert rows(path) == [*ROWS[:place], "bad JSON", *ROWS[place:]]


def test_a_faulty_object_is_found_early(tmp_path: Path) -> None:
    """Not only at the end of a file of megabytes, which would have to be held; an array that breaks off is refused."""
    good = json.dumps(_ITEMS[0])
    many = ", ".join([good] * 20_000)
    found = rows(write(tmp_path / "a.json", f'[{good}, {{"text": "Н"ет"}}, {many}]'), reader={"max_record": 1_500_000})
    assert found == [ROWS[0], "bad JSON", *([ROWS[0]] * 20_000)]
    with pytest.raises(DataError, match="breaks off"):
        rows(write(tmp_path / "b.json", f'[{good}, {good}, {{"text": "Не'))


@pytest.mark.parametrize(
    ("text", "label"),
    [("messages.text", "messages.label"), ("chats.list.messages.text", "label"), ("list.messages.text", "label")],
)
def test_a_path_through_lists_names_the_rows_of_the_last(tmp_path: Path, text: str, label: str) -> None:
    """Each message of each chat is a row, not all of a chat one text."""
    chats = [{"name": "А", "messages": _ITEMS[:2]}, {"name": "Б", "messages": _ITEMS[2:]}]
    path = write(tmp_path / "a.json", json.dumps({"chats": {"list": chats}}))
    assert rows(path, text=text, label=label) == list(ROWS)


def test_texts_of_a_list_within_a_row_are_not_joined(tmp_path: Path) -> None:
    """Two texts in one row are told; one is taken."""
    items = [{"label": "x", "parts": [{"text": "а"}, {"text": "б"}]}, {"label": "y", "parts": [{"text": "в"}]}]
    path = write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, items)))
    assert rows(path, text="parts.text") == ["text is not a string", ("в", "y")]


def test_other_lists_of_a_document_are_told(tmp_path: Path) -> None:
    """One list is read, and the others that have the same keys are named."""
    path = write(tmp_path / "a.json", json.dumps({"train": _ITEMS, "test": _ITEMS[:1]}))
    assert rows(path) == list(ROWS)
    assert "were not read: test.text" in look(path)[1][0]
    assert rows(path, text="test.text", label="test.label") == [ROWS[0]]
    book = _book(tmp_path / "a.xlsx", *((name, [("text", "label"), *ROWS]) for name in ("Июнь", "Июль")))
    assert "were not read: 'Июль'" in look(book)[1][0]


@pytest.mark.parametrize(
    "document",
    [
        {"text": [*TEXTS, "без метки"], "label": LABELS},
        {"columns": ["text", "label"], "data": [*map(list, ROWS), ["без метки"]]},
        {"text": dict(enumerate([*TEXTS, "без метки"])), "label": dict(enumerate(LABELS))},
    ],
)
def test_columns_of_unlike_length_lose_no_row(tmp_path: Path, document: Any) -> None:
    """What lacks a label is a reject."""
    found = rows(write(tmp_path / "a.json", json.dumps(document)))
    assert found[:4] == list(ROWS)
    assert found[4] in {"missing label", "not a list of 2 values"}


def test_lines_may_end_with_the_commas_of_an_array(tmp_path: Path) -> None:
    """As they do when an array's lines were cut out of it."""
    assert rows(write(tmp_path / "a.jsonl", ",\n".join(map(json.dumps, _ITEMS)) + ",\n")) == list(ROWS)


@pytest.mark.parametrize("name", ["review.text", "text"])
@pytest.mark.parametrize("lines", [True, False])
def test_a_key_within_an_object_is_a_column(tmp_path: Path, name: str, *, lines: bool) -> None:
    """By its path, or by its last name where only one path ends so, which is told."""
    content = "\n".join(map(json.dumps, _NESTED)) if lines else json.dumps(_NESTED)
    path = write(tmp_path / "a.jsonl", content)

    assert rows(path, text=name) == list(ROWS)
    assert bool(look(path, text=name)[1]) == (name == "text")


def test_the_text_lists_of_telegram_are_texts(tmp_path: Path) -> None:
    """Strings and marked pieces make one text; a service message has none."""
    items = [
        {"text": "просто", "label": "a"},
        {"text": ["Смотрите ", {"type": "link", "text": "https://example.org"}, " — ужас"], "label": "b"},
        {"text": [{"type": "bold", "text": "Ужасный"}, " сервис"], "label": "b"},
        {"text": "", "label": "a"},
        {"text": [1, 2], "label": "a"},
    ]
    assert rows(write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, items)))) == [
        ("просто", "a"),
        ("Смотрите https://example.org — ужас", "b"),
        ("Ужасный сервис", "b"),
        "empty text",
        "text is not a string",
    ]


def _annotated(text: str, *choices: str) -> dict[str, Any]:
    value = {"value": {"choices": list(choices)}, "from_name": "mood", "type": "choices"}
    guess = {"result": [{"value": {"choices": ["guessed"]}, "from_name": "mood"}]}
    return {"data": {"text": text}, "annotations": [{"result": [value]}], "predictions": [guess]}


@pytest.mark.parametrize("label", ["mood", "choices", "annotations", "annotations.result.value.choices"])
def test_label_studio_is_read_by_the_name_of_its_choices(tmp_path: Path, label: str) -> None:
    """Choices of people count, not those of models; several are several labels."""
    tasks = [_annotated("а", "positive"), _annotated("б", "negative", "neutral")]
    path = write(tmp_path / "a.json", json.dumps(tasks, indent=1))
    assert rows(path, label=label) == [("а", "positive"), ("б", "negative", "neutral")]


def test_deep_nesting_costs_its_line_only(tmp_path: Path) -> None:
    """A hundred thousand brackets are bad JSON, not a fault."""
    deep = '{"text": "а", "label": ' + "[" * 100_000 + "]" * 100_000 + "}"
    path = write(tmp_path / "a.jsonl", "\n".join([*map(json.dumps, _ITEMS), deep, json.dumps(_ITEMS[0])]))
    assert rows(path) == [*ROWS, "bad JSON", ROWS[0]]


def test_a_line_of_json_past_all_measure_costs_itself_only(tmp_path: Path) -> None:
    """The limit is an option, and the reason names it."""
    path = write(
        tmp_path / "a.jsonl", "\n".join([json.dumps({"text": "я" * 3000, "label": "x"}), *map(json.dumps, _ITEMS)])
    )
    assert rows(path, reader={"max_record": 2000}) == ["the record is too long (--max-record)", *ROWS]


# --- Parquet --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "codec", ["NONE", "SNAPPY", "GZIP", "ZSTD", "BROTLI", "LZ4", {"text": "ZSTD", "label": "NONE"}]
)
@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.dictionary(pa.int32(), pa.string())]
)
def test_any_parquet_is_read(tmp_path: Path, codec: Any, kind: pa.DataType) -> None:
    """Whatever packs it, and however texts are kept."""
    values = [text.encode() for text in TEXTS] if pa.types.is_binary(kind) else list(TEXTS)
    texts = pa.array(values).cast(kind) if pa.types.is_dictionary(kind) else pa.array(values, kind)
    pq.write_table(pa.table({"text": texts, "label": list(LABELS)}), tmp_path / "a.parquet", compression=codec)
    assert rows(tmp_path / "a.parquet") == list(ROWS)


@pytest.mark.parametrize("encoding", ["PLAIN", "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY", "RLE_DICTIONARY"])
def test_parquet_of_any_encoding_is_read(tmp_path: Path, encoding: str) -> None:
    """As Spark and others write it, in the second version of pages too; a map is a table of labels."""
    chosen: Any = {"use_dictionary": True} if encoding == "RLE_DICTIONARY" else {"use_dictionary": False}
    if not chosen["use_dictionary"]:
        chosen["column_encoding"] = {"text": encoding}
    weights = [[("x", 1), ("y", 0)], [("x", 0), ("y", 1)], [("x", 1), ("y", 1)], []]
    maps = pa.array(weights, pa.map_(pa.string(), pa.int8()))
    found = pa.table({"text": list(TEXTS), "label": maps})
    pq.write_table(found, tmp_path / "a.parquet", data_page_version="2.0", **chosen)
    assert [row[1:] for row in rows(tmp_path / "a.parquet")] == [("x",), ("y",), ("x", "y"), ()]


def test_a_field_of_a_struct_is_a_column(tmp_path: Path) -> None:
    """By its path, as in JSON, or by its name alone if that says which."""
    pq.write_table(pa.Table.from_pylist(_NESTED), tmp_path / "a.parquet")
    assert rows(tmp_path / "a.parquet", text="review.text") == rows(tmp_path / "a.parquet", text="text") == list(ROWS)
    twice = pa.Table.from_pylist([{**item, "answer": item["review"]} for item in _NESTED])
    pq.write_table(twice, tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"'review\.text', 'answer\.text'"):
        rows(tmp_path / "b.parquet", text="text")


def test_views_are_plain_strings(tmp_path: Path) -> None:
    """However deep they are: few of Arrow's functions know them."""
    view, words = pa.string_view(), ["x", "y", None, "z"]
    deep = [None if word is None else {"a": [word], "b": [(word, word)]} for word in words]
    kinds = {"s": view, "b": pa.binary_view(), "l": pa.large_list(pa.list_(view, 1))}
    columns = [pa.array(words, view), pa.array([b"x"] * 4, pa.binary_view()), pa.array([[["x"]]] * 4, kinds["l"])]
    nested = pa.array(deep, pa.struct([("a", pa.list_(view)), ("b", pa.map_(pa.string(), view))]))
    made = {"text": list(TEXTS), **dict(zip(kinds, columns, strict=True)), "d": nested}
    pq.write_table(pa.table(made), tmp_path / "a.parquet")
    block = next(open_table(tmp_path / "a.parquet").blocks(raw=True))
    assert block.raw.take([1, 3]).column("d").to_pylist() == [deep[1], deep[3]]
    assert block.cells[1] == words


def test_parquet_that_explodes_is_refused(tmp_path: Path) -> None:
    """Repeated texts, one giant text, or rows without end: refused before the memory is full."""
    word = pa.DictionaryArray.from_arrays(
        pa.array([0] * 1_000_000, pa.int32()), pa.array(["очень длинный текст " * 20])
    )
    pq.write_table(pa.table({"text": word, "label": word}), tmp_path / "rows.parquet", compression="zstd")
    pq.write_table(pa.table({"text": ["ю" * 50_000_000], "label": ["x"]}), tmp_path / "one.parquet", compression="zstd")
    pq.write_table(pa.table({"text": pa.nulls(9_000_000, pa.string())}), tmp_path / "null.parquet", compression="zstd")

    for name in ("rows", "one", "null"):
        with pytest.raises(DataError, match="--max-expansion"):
            look(tmp_path / f"{name}.parquet", label="text" if name == "null" else "label")


# --- XLSX -----------------------------------------------------------------------------------------------------------


def _book(path: Path, *sheets: tuple[str, Sequence[Sequence[Any]]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for title, lines in sheets:
        page = book.create_sheet(title)
        for line in lines:
            page.append(line)
    book.save(path)
    return path


@pytest.mark.parametrize(
    ("written", "text"),
    [("а_x000D_\nб", "а\r\nб"), ("_xD83D__xDE00_", "😀"), ("_x005F_x000D_", "_x000D_"), ("a_x_b _xyz", "a_x_b _xyz")],
)
def test_escapes_of_excel_are_characters(tmp_path: Path, written: str, text: str) -> None:
    """What XML can't hold is written as `_x000D_`; an escaped escape is itself."""
    path = _book(tmp_path / "a.xlsx", ("Лист", [("text", "label"), (written, "x"), ("б", "y")]))
    assert rows(path)[0] == (text, "x")


def test_the_sheet_with_the_columns_is_read(tmp_path: Path) -> None:
    """A cover sheet is passed over and that is told; a sheet is named, or numbered from 1; a wrong one is refused."""
    path = _book(tmp_path / "a.xlsx", ("Обложка", [("Отчёт",)]), ("Данные", [("text", "label"), *ROWS]))

    assert rows(path) == list(ROWS)
    assert "'Данные'" in look(path)[1][0]
    assert rows(path, reader={"sheet": "Данные"}) == rows(path, reader={"sheet": "2"}) == list(ROWS)
    with pytest.raises(DataError, match=r"'Отчёт'(?s:.)*--sheet 'Данные'$"):
        look(path, reader={"sheet": "1"})
    with pytest.raises(DataError, match="the sheets are: 1 'Обложка', 2 'Данные'"):
        look(path, reader={"sheet": "3"})


_SHEET = "xl/worksheets/sheet1.xml"
_STRINGS = '<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">{}</sst>'
_OVERRIDE = (
    '<Override PartName="/xl/sharedStrings.xml" ContentType='
    '"application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"/></Types>'
)
_BOMB = f'<!DOCTYPE a [<!ENTITY b "{"c" * 1000}"><!ENTITY d "{"&b;" * 1000}">]>'


@pytest.mark.parametrize(
    ("member", "old", "new", "message"),
    [
        (_SHEET, '<row r="3"', '<row r="2000000000"', "row 2000000000"),
        (_SHEET, "<sheetData>", "<sheetData>" + " " * 40_000_000, "--max-expansion"),
        ("xl/sharedStrings.xml", None, _STRINGS.format(f"<si><t>{'x' * 40_000_000}</t></si>"), "--max-expansion"),
        ("xl/sharedStrings.xml", None, _BOMB + _STRINGS.format("<si><t>&d;</t></si>"), "can't be read"),
    ],
)
def test_hostile_workbooks_are_refused(tmp_path: Path, member: str, old: str | None, new: str, message: str) -> None:
    """Row numbers without end, giant strings and entity bombs end in one message, soon."""
    path = _book(tmp_path / "a.xlsx", ("Лист", [("text", "label"), *ROWS]))
    with zipfile.ZipFile(path) as source:
        parts = {name: source.read(name).decode() for name in source.namelist()}
    parts[member] = new if old is None else parts[member].replace(old, new)
    if old is None:
        parts["[Content_Types].xml"] = parts["[Content_Types].xml"].replace("</Types>", _OVERRIDE)
    with zipfile.ZipFile(tmp_path / "b.xlsx", "w", zipfile.ZIP_DEFLATED) as target:
        for name, data in parts.items():
            target.writestr(name, data)

    with pytest.raises(DataError, match=message):
        rows(tmp_path / "b.xlsx")


# --- labels ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "mark", [", ", ",", ";", " ; ", "|", "||", "#", "、", "/", " + ", "&", "\n", "\r\n", " • ", "·"]
)
def test_cells_with_several_labels_are_divided(tmp_path: Path, mark: str) -> None:
    """Where the parts stand alone too; it is told."""
    path = labelled(tmp_path / "a.csv", ["радость", f"радость{mark}гнев", "гнев", f"страх{mark}гнев", "покой"])
    card, told = look(path)

    assert card.label.kind == "multi-label"
    assert card_scheme(card).labels == ("гнев", "покой", "радость", "страх")
    assert "several labels" in told[0]


@pytest.mark.parametrize(
    "cells",
    [
        ["Да, очень", "Нет", "Да, очень", "Нет"],
        ["Good, thanks", "Bad", "Good, thanks", "Bad, sorry", "Bad, sorry"],
        ["1/5", "3/5", "5/5", "4/5"],
        ["4,5", "3,5", "5", "4"],
        ["good (very)", "bad [no]", "good (very)"],
        ["A+", "A", "A & B team", "B"],
        ["очень\nхорошо", "плохо", "очень\nхорошо"],
    ],
)
def test_a_label_with_a_comma_is_not_torn(tmp_path: Path, cells: list[str]) -> None:
    """Where the parts never stand alone, or are marks such as 3/5."""
    card, _ = look(labelled(tmp_path / "a.csv", cells))
    assert card.label.kind == "multi-class"
    assert set(card.label.map.values()) == {" ".join(cell.split()) for cell in cells}


@pytest.mark.parametrize("cell", ["joy anger", "joy and anger", "joy\tanger", "anger и joy"])
def test_words_that_are_labels_too_are_told(tmp_path: Path, cell: str) -> None:
    """Blanks are in many labels, so such a cell stays whole, and it is said how to divide it."""
    card, told = look(labelled(tmp_path / "a.csv", ["joy", "anger", cell, "fear"]))

    assert card.label.kind == "multi-class"
    assert "taken whole" in told[0]


@pytest.mark.parametrize(
    "cell",
    [
        ["joy", "anger"], ("joy", "anger"), [("joy", 1), ("fear", 0), ("anger", 1.0)],
        {"choices": ["joy", "anger"]}, '["joy", "anger"]', "['joy', 'anger']",
        "['joy' 'anger']", "[joy, anger]", "{joy,anger}", "('joy', 'anger')", "array(['joy', 'anger'], dtype='<U5')",
        '{"choices": ["joy", "anger"]}', {"joy": 1, "anger": True, "fear": 0.0}, [{"label": "joy"}, {"label": "anger"}],
        [{"result": [{"value": {"choices": ["joy", "anger"]}}]}], ["joy", "joy\u200b", " anger"],
    ],
)  # fmt: skip
def test_lists_are_read_however_they_are_written(cell: object) -> None:
    """Native lists, objects of tools, and what programs print."""
    assert label_cell(cell) == ("joy", "anger")


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ([[0, 5, "PER"]], "span"),
        ([{"start": 0, "end": 3, "label": "x"}], "span"),
        ({"joy": 0.3}, "not 0 or 1"),
        ({"a": {"b": "c"}}, "object"),
        (None, "missing"),
        (float("nan"), "missing"),
        *((word, "missing") for word in ("", " ", "nan", "NaN", "None", "null", "NA", "N/A", "<NA>", "\u200b")),
    ],
)
def test_a_cell_without_labels_says_why(cell: object, reason: str) -> None:
    """Spans, tables of numbers and nothing are told, never a class."""
    with pytest.raises(Fault, match=reason):
        label_cell(cell)


@settings(max_examples=200, deadline=None)
@given(
    cell=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
        max_leaves=12,
    )
)
def test_any_cell_gives_clean_labels_or_a_reason(cell: object) -> None:
    """Nothing else comes out, also of the same cell written as text."""
    for value in (cell, json.dumps(cell), repr(cell)):
        try:
            labels = label_cell(value)
        except Fault:
            continue
        assert all(label and label == label.strip() for label in labels)
        assert len(set(labels)) == len(labels)


def test_one_empty_list_makes_no_corpus_multi_label(tmp_path: Path) -> None:
    """The row is told; a corpus is multi-label where a row has two labels."""
    items = [{"text": text, "label": [label]} for text, label in ROWS] + [{"text": "Ещё не размечено", "label": []}]
    card, told = look(write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, items))))

    assert card_scheme(card).kind == "multi-class"
    assert told == ["a: 1 row has an empty list instead of a label, and is left out."]


def test_what_no_one_sees_makes_no_class(tmp_path: Path) -> None:
    """Invisible characters, other spaces and letter case; the spelling of most rows counts."""
    cells = [
        "positive",
        "pos\u200bitive",
        "positive\u00a0",
        " Positive",
        "POSITIVE",
        "negative",
        "\ufeffnegative",
        "1.0",
        "1",
    ]
    card, _ = look(labelled(tmp_path / "a.csv", cells))
    assert card_scheme(card).labels == ("1", "negative", "positive")


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["5", "1", "3", "4", "2"], ["positive", "negative", "neutral", "positive", "negative"]),
        (["5.0", "1.0"], ["positive", "negative"]),
        (["5 звёзд", "1 звезда", "3/5", "★★☆☆☆", "四星"], ["positive", "negative", "neutral", "negative", "positive"]),
        (["-1", "0", "1"], ["negative", "neutral", "positive"]),
        (["neg", "POS", "Neu"], ["negative", "positive", "neutral"]),
        (["Негатив", "Позитив", "нейтрально"], ["negative", "positive", "neutral"]),
        (["好评", "差评", "中评"], ["positive", "negative", "neutral"]),
        (["正面", "负面", "中性"], ["positive", "negative", "neutral"]),
        (["积极", "消极"], ["positive", "negative"]),
        (["LABEL_POSITIVE", "отрицательная"], ["positive", "negative"]),
        (["+", "-", "0"], ["positive", "negative", "neutral"]),
        (["__label__neg", "__label__pos"], ["negative", "positive"]),
        (["Mood.POSITIVE", "Mood.NEUTRAL"], ["positive", "neutral"]),
        (["'negative'", "Positive.", "ｎｅｕｔｒａｌ"], ["negative", "positive", "neutral"]),
        (["积极的", "坏", "👍", "👎", "😐"], ["positive", "negative", "positive", "negative", "neutral"]),
    ],
)
def test_usual_spellings_are_known(tmp_path: Path, cells: list[str], expected: list[str]) -> None:
    """And told where they are not the scheme's own names."""
    card, told = look(labelled(tmp_path / "a.csv", cells), scheme="sentiment-3")
    assert [card.label.map[cell] for cell in cells] == expected
    assert "Labels are read as" in told[-1]


@pytest.mark.parametrize(
    "cells", [["0", "1"], ["0", "1", "2"], ["1", "2", "3"], ["LABEL_0", "LABEL_1"], ["positive", "6"]]
)
def test_what_could_mean_anything_is_refused(tmp_path: Path, cells: list[str]) -> None:
    """The message names the option."""
    with pytest.raises(SchemeError, match="--label-map"):
        look(labelled(tmp_path / "a.csv", cells), scheme="sentiment-3")


def test_a_map_of_one_label_leaves_the_others(tmp_path: Path) -> None:
    """`junk=` drops junk, in any case, with a scheme and without."""
    path = labelled(tmp_path / "a.csv", ["positive", "neg", "Junk", "junk"])
    assert look(path, scheme="sentiment-3", label_map={"junk": ""})[0].label.map == {
        "Junk": "", "junk": "", "neg": "negative", "positive": "positive",
    }  # fmt: skip
    assert card_scheme(look(path, label_map={"junk": ""})[0]).labels == ("neg", "positive")
    assert "no row has: 'x'" in look(path, label_map={"x": ""})[1][0]


@settings(max_examples=40, deadline=None)
@given(
    content=st.binary(max_size=400),
    suffix=st.sampled_from([".csv", ".json", ".jsonl", ".txt", ".parquet", ".xlsx", ".gz", ""]),
)
def test_any_file_is_a_card_or_one_error(tmp_path_factory: pytest.TempPathFactory, content: bytes, suffix: str) -> None:
    """No other exception comes out of looking at a file."""
    path = write(tmp_path_factory.mktemp("any") / f"a{suffix}", content)
    try:
        look(path)
    except OttenokError:
        return
