"""CSV and its kin: quoting, broken rows, delimiters, errors."""

from __future__ import annotations

import csv
import io
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ottenok.core.errors import ConfigError, DataError
from ottenok.data.card import ReaderSpec
from ottenok.data.readers import READERS, read
from ottenok.tables.records import Record, Rejected

if TYPE_CHECKING:
    from pathlib import Path

AUTO = {"delimiter": "auto", "encoding": "auto"}


def _spec(**changes: Any) -> ReaderSpec:
    options = {name: changes.pop(name) for name in list(changes) if name not in ReaderSpec.model_fields}
    return ReaderSpec.model_validate({"kind": "csv", "text": "text", "label": "label", "options": options, **changes})


def _read(folder: Path, content: str | bytes, **changes: Any) -> list[Record | Rejected]:
    path = folder / "data.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(read(path, _spec(**changes)))


def _pairs(rows: list[Record | Rejected]) -> list[tuple[int, str, str]]:
    return [
        (row.row, row.text, ",".join(row.labels)) if isinstance(row, Record) else (row.row, "", row.reason)
        for row in rows
    ]


def test_rows_are_numbered_from_one_without_the_header(tmp_path: Path) -> None:
    """The first record after the header is record 1."""
    rows = _read(tmp_path, "text,label\nхорошо,pos\nплохо,neg\n")

    assert rows == [
        Record(row=1, text="хорошо", labels=("pos",)),
        Record(row=2, text="плохо", labels=("neg",)),
    ]


def test_a_strangers_file_goes_in_with_no_options(tmp_path: Path) -> None:
    """Semicolons, a BOM, quotes, CRLF and a broken row need no option; only the broken row is lost."""
    content = (
        "\ufeffid;text;label\r\n"
        '1;"Отлично; просто ""супер""";pos\r\n'
        "2;Так себе;neg;лишнее\r\n"
        '3;"Две\r\nстроки";neu\r\n'
        "\r\n"
        "4;Ужас;neg\r\n"
    )

    rows = _read(tmp_path, content, **AUTO)

    assert _pairs(rows) == [
        (1, 'Отлично; просто "супер"', "pos"),
        (2, "", "4 fields instead of 3"),
        (3, "Две\r\nстроки", "neu"),
        (4, "Ужас", "neg"),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "windows-1251", "utf-16", "koi8-r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_encoding_and_delimiter_are_found_out(tmp_path: Path, encoding: str, delimiter: str) -> None:
    """Any usual delimiter in any usual Russian encoding is found out."""
    texts = ["Очень хороший фильм", "Плохо, скучно; не советую", "Средне | на троечку", "Актёры играют отлично"]
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=delimiter).writerows([("label", "text"), *(("l", text) for text in texts)])

    rows = _read(tmp_path, buffer.getvalue().encode(encoding), **AUTO)

    assert [row.text for row in rows if isinstance(row, Record)] == texts


def test_prose_with_commas_does_not_pass_for_a_delimiter(tmp_path: Path) -> None:
    """A comma in every text does not hide that semicolons divide the columns."""
    lines = [f"раз, два, три {number};pos\n" for number in range(20)]

    rows = _read(tmp_path, "text;label\n" + "".join(lines), **AUTO)

    assert rows[0] == Record(row=1, text="раз, два, три 0", labels=("pos",))
    assert len(rows) == 20


def test_quotes_without_meaning_are_found_out(tmp_path: Path) -> None:
    """In a TSV whose texts begin with quotation marks that are no CSV quotes, they stay in the texts."""
    rows = _read(tmp_path, 'text\tlabel\n"Да" и "нет"\tneg\n"Ура!" сказал он\tpos\n', **AUTO)

    assert [row.text for row in rows if isinstance(row, Record)] == ['"Да" и "нет"', '"Ура!" сказал он']


def test_quotes_keep_their_meaning_beside_a_broken_row(tmp_path: Path) -> None:
    """One unclosed quote does not make the quotes of the other rows a part of their texts."""
    rows = _read(tmp_path, 'text;label\n"Да";"pos"\n"Ну;neg\n"Нет";"neg"\n', **AUTO)

    assert _pairs(rows) == [(1, "Да", "pos"), (2, "", "unclosed quote"), (3, "Нет", "neg")]


def test_an_unclosed_quote_costs_its_own_line_only(tmp_path: Path) -> None:
    """The rows after an unclosed quote are read, up to the end of the file."""
    rows = _read(tmp_path, 'text,label\nа,pos\n"б,neg\nв,pos\n"г, и",neg\nд,pos\n')

    assert _pairs(rows) == [
        (1, "а", "pos"),
        (2, "", "unclosed quote"),
        (3, "в", "pos"),
        (4, "г, и", "neg"),
        (5, "д", "pos"),
    ]


def test_an_unclosed_quote_before_many_rows_swallows_none(tmp_path: Path) -> None:
    """Also where no other quote follows, for more lines than a record may have."""
    rows = _read(tmp_path, 'text,label\n"начало,pos\n' + "строка,neg\n" * 30_000)

    assert rows[0] == Rejected(row=1, reason="unclosed quote", content='"начало,pos')
    assert len(rows) == 30_001
    assert all(isinstance(row, Record) for row in rows[1:])


def test_quotes_that_never_pair_up_are_an_error_and_not_a_hang(tmp_path: Path) -> None:
    """A file that opens a quote on every line ends in one clear error."""
    with pytest.raises(DataError, match="do not pair up") as caught:
        _read(tmp_path, "text,label\n" + 'а","\n' * 100_000)

    assert caught.value.hint is not None
    assert 'quote = ""' in caught.value.hint


def test_text_after_a_closing_quote_is_rejected(tmp_path: Path) -> None:
    """No reading of such a row is sure, so none is chosen."""
    rows = _read(tmp_path, 'text,label\n"Мама" мыла,pos\nда,neg\n')

    assert _pairs(rows) == [(1, "", "text after a closing quote"), (2, "да", "neg")]


def test_quotes_can_be_switched_off(tmp_path: Path) -> None:
    """With `quote = ""` a quotation mark is a character like any other."""
    rows = _read(tmp_path, 'text,label\n"Мама" мыла,pos\n"раму,neg\n', quote="")

    assert _pairs(rows) == [(1, '"Мама" мыла', "pos"), (2, '"раму', "neg")]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("один", "1 field instead of 2"),
        ("один,два,три", "3 fields instead of 2"),
        ("  ,pos", "empty text"),
        ("текст, ", "missing label"),
        ("те\0кст,pos", "NUL byte"),
        ("текст,po\0s", "NUL byte"),
        ('"текст,pos', "unclosed quote"),
    ],
)
def test_a_broken_row_is_rejected_with_its_reason(tmp_path: Path, line: str, reason: str) -> None:
    """Each fault of a row has a short constant reason, and the rows around it are read."""
    rows = _read(tmp_path, f"text,label\nдо,pos\n{line}\nпосле,neg\n")

    assert [row.row for row in rows] == [1, 2, 3]
    assert rows[1] == Rejected(row=2, reason=reason, content=rows[1].content)  # type: ignore[union-attr]
    assert isinstance(rows[0], Record)
    assert isinstance(rows[2], Record)


def test_a_nul_byte_in_the_last_line_is_seen(tmp_path: Path) -> None:
    """Wherever the pieces of a file end, none of its NUL bytes gets through."""
    rows = _read(tmp_path, "text,label\nда,pos\nн\0ет,neg\n")

    assert _pairs(rows) == [(1, "да", "pos"), (2, "", "NUL byte")]


def test_bytes_that_are_not_utf8_cost_their_row_only(tmp_path: Path) -> None:
    """An undecodable row is rejected and shown with escapes that any file can hold."""
    rows = _read(tmp_path, "text,label\nда,pos\n".encode() + b"\xcd\xe5\xf2,neg\n" + "нет,neg\n".encode(), **AUTO)

    assert _pairs(rows) == [(1, "да", "pos"), (2, "", "not utf-8"), (3, "нет", "neg")]
    assert rows[1].content == "\\xcd\\xe5\\xf2 | neg"  # type: ignore[union-attr]


def test_undecodable_bytes_in_other_columns_do_not_matter(tmp_path: Path) -> None:
    """Only the columns that are read must be sound."""
    rows = _read(tmp_path, b"author,text,label\n\xff\x00,ok,pos\n")

    assert rows == [Record(row=1, text="ok", labels=("pos",))]


def test_a_file_without_header_takes_positions(tmp_path: Path) -> None:
    """Columns are 0-based positions, and a first row with too many fields does not set the width."""
    rows = _read(tmp_path, "а;1;x;лишнее\nб;2;y\nв;3;z\n", text=0, label=1, delimiter=";", header=False)

    assert _pairs(rows) == [(1, "", "4 fields instead of 3"), (2, "б", "2"), (3, "в", "3")]


def test_zero_one_columns_give_the_labels_that_are_on(tmp_path: Path) -> None:
    """Several 0/1 columns are several labels; none is no label, and another value is a reject."""
    content = "text,joy,fear\nа,1,1.0\nб,0,0\nв,True,false\nг,2,0\nд,,0\n"

    rows = _read(tmp_path, content, label=None, labels=("joy", "fear"))

    assert _pairs(rows) == [
        (1, "а", "joy,fear"),
        (2, "б", ""),
        (3, "в", "joy"),
        (4, "", "label is not 0 or 1"),
        (5, "", "missing label"),
    ]


@pytest.mark.parametrize(
    ("style", "cell", "labels"),
    [
        ("json", '["joy", "fear"]', ("joy", "fear")),
        ("json", "[0, 2]", ("0", "2")),
        ("json", "[]", ()),
        ("numpy", "[ 2 13]", ("2", "13")),
        ("numpy", "['joy' 'fear']", ("joy", "fear")),
        ("numpy", "['joy', 'fear']", ("joy", "fear")),
        ("numpy", "[]", ()),
        ("comma", "joy, fear,joy", ("joy", "fear")),
        ("comma", "", ()),
        ("space", "joy  fear", ("joy", "fear")),
    ],
)
def test_a_list_column_holds_several_labels(tmp_path: Path, style: str, cell: str, labels: tuple[str, ...]) -> None:
    """Every style of list is read, without repeats; an empty list is an answer."""
    buffer = io.StringIO()
    csv.writer(buffer).writerows([("text", "label"), ("а", cell)])

    assert _read(tmp_path, buffer.getvalue(), label_list=style) == [Record(row=1, text="а", labels=labels)]


@pytest.mark.parametrize(
    ("style", "cell", "reason"),
    [
        ("json", "joy", "label list is not JSON"),
        ("json", '{"a": 1}', "label list is not JSON"),
        ("json", "[" * 100_000, "label list is not JSON"),
        ("json", "", "missing label"),
        ("json", "[[1]]", "label is not a string"),
        ("numpy", "joy", "label list has no brackets"),
        ("numpy", "['joy]", "label list can't be read"),
        ("numpy", "", "missing label"),
    ],
)
def test_a_list_that_is_none_is_rejected(tmp_path: Path, style: str, cell: str, reason: str) -> None:
    """What can't be read as a list of its style is a reject, never a guess."""
    buffer = io.StringIO()
    csv.writer(buffer).writerows([("text", "label"), ("а", cell)])

    assert [row.reason for row in _read(tmp_path, buffer.getvalue(), label_list=style)] == [reason]  # type: ignore[union-attr]


def test_repeats_are_merged_with_the_labels_of_all(tmp_path: Path) -> None:
    """Consecutive rows with one text become one record under the first number; a reject between divides them."""
    content = "text,label\nа,1\nа,-1\nа,1\nб,0\n,0\nб,1\n"

    rows = _read(tmp_path, content, merge_repeats=True)

    assert _pairs(rows) == [(1, "а", "1,-1"), (4, "б", "0"), (5, "", "empty text"), (6, "б", "1")]


def test_the_files_label_needs_no_label_column(tmp_path: Path) -> None:
    """A file whose name is the label gives it to every row."""
    path = tmp_path / "positive.csv"
    path.write_text("text\nда\nещё\n", encoding="utf-8")

    rows = list(read(path, ReaderSpec(kind="csv", text="text"), label="pos"))

    assert rows == [Record(row=1, text="да", labels=("pos",)), Record(row=2, text="ещё", labels=("pos",))]


def test_a_megabyte_of_one_line_is_read(tmp_path: Path) -> None:
    """A long text is a text; there is no small limit on a field."""
    text = "слово " * 200_000

    assert _read(tmp_path, f'text,label\n"{text}",pos\n') == [Record(row=1, text=text, labels=("pos",))]


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_line_past_all_measure_costs_itself_only(tmp_path: Path, end: str) -> None:
    """A line that is longer than a record may be is rejected with the option's name; the others stay."""
    rows = _read(tmp_path, f"text,label\nа,b\n{'x' * 9_500_000}{end}{'да,c' if end else ''}\n")

    assert _pairs(rows)[:2] == [(1, "а", "b"), (2, "", "the record is too long (--max-record)")]
    assert _pairs(rows)[2:] == ([(3, "да", "c")] if end else [])


def test_an_unknown_column_names_the_nearest_and_all(tmp_path: Path) -> None:
    """The error for a wrong column says file, key, which columns there are, and which was meant."""
    with pytest.raises(DataError) as caught:
        _read(tmp_path, "id,txt,label\n1,а,b\n", text="text")

    error = caught.value
    assert error.file == str(tmp_path / "data.csv")
    assert error.key == "text"
    assert "'id', 'txt', 'label'" in str(error)
    assert "Did you mean 'txt'?" in str(error)


@pytest.mark.parametrize(
    ("content", "changes", "message"),
    [
        ("", {}, "empty"),
        ("\n\n", {}, "empty"),
        ("", {"header": False, "text": 0, "label": 1}, "empty"),
        ("text,label,text\nа,b,c\n", {}, "2 columns called 'text'"),
        ("а,b\n", {"text": 0, "label": 7, "header": False}, "no column 7"),
        ("text,label\n", {"text": None}, "no text column"),
        ("text,label\n", {"label": None}, "no label column"),
        ("text,label\n", {"encoding": "utf-9"}, "no text encoding"),
        ("text,label\n", {"encoding": "base64"}, "no text encoding"),
        ('"text,label\n', {}, "header"),
        (bytes(range(128, 256)) * 40, AUTO, "encoding can't be told"),
    ],
)
def test_a_file_that_is_not_what_its_spec_says_is_one_error(
    tmp_path: Path, content: str | bytes, changes: dict[str, Any], message: str
) -> None:
    """Such a file is one `DataError` that names it."""
    with pytest.raises(DataError, match=message) as caught:
        _read(tmp_path, content, **changes)

    assert caught.value.file == str(tmp_path / "data.csv")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"delimeter": ";"}, "Did you mean 'delimiter'"),
        ({"delimiter": ";;"}, "expected one character"),
        ({"delimiter": '"'}, "expected one character"),
        ({"quote": "''"}, "expected one character"),
        ({"header": "yes"}, "header"),
        ({"kind": "cvs"}, "Did you mean 'csv'"),
    ],
)
def test_a_wrong_option_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    """An unknown option or a wrong value is a `ConfigError` that names it."""
    with pytest.raises(ConfigError, match=message):
        _read(tmp_path, "text,label\nа,b\n", **changes)


@pytest.mark.parametrize("kind", sorted(READERS))
def test_an_absent_file_is_one_error(tmp_path: Path, kind: str) -> None:
    """No reader opens what is not there; a folder is no file."""
    spec = _spec(kind=kind)
    with pytest.raises(DataError, match="no such file"):
        list(read(tmp_path / "absent", spec))
    with pytest.raises(DataError, match="folder"):
        list(read(tmp_path, spec))


def _zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_a_zip_member_is_read_without_unpacking(tmp_path: Path) -> None:
    """The named member is read, or the only one; what a Mac adds is not counted."""
    path = _zip(tmp_path / "a.zip", {"in/x.csv": "text,label\nда,pos\n".encode(), "__MACOSX/._x.csv": b"\0"})
    expected = [Record(row=1, text="да", labels=("pos",))]

    assert list(read(path, _spec())) == expected
    assert list(read(path, _spec(member="in/x.csv", **AUTO))) == expected


def test_several_members_want_a_choice(tmp_path: Path) -> None:
    """Without a choice the error lists the members; a wrong one names the nearest."""
    path = _zip(tmp_path / "a.zip", {"train.csv": b"text,label\n", "test.csv": b"text,label\n"})

    with pytest.raises(DataError, match=r"member to one of: test\.csv, train\.csv"):
        list(read(path, _spec()))
    with pytest.raises(DataError, match=r"Did you mean 'train\.csv'"):
        list(read(path, _spec(member="trian.csv")))


def test_a_zip_bomb_is_refused(tmp_path: Path) -> None:
    """A member that unpacks to a thousand times its size is not unpacked."""
    path = _zip(tmp_path / "a.zip", {"x.csv": b"text,label\n" + b"a" * (20 << 20)})

    with pytest.raises(DataError, match="bomb"):
        list(read(path, _spec()))


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    """An encrypted member is one clear error."""
    path = _zip(tmp_path / "a.zip", {"x.csv": b"text,label\na,b\n"})
    raw = bytearray(path.read_bytes())
    raw[6] |= 1  # the flag of encryption in the local header
    raw[raw.index(b"PK\1\2") + 8] |= 1  # and in the directory
    path.write_bytes(raw)

    with pytest.raises(DataError, match="encrypted"):
        list(read(path, _spec()))


def test_a_damaged_zip_is_one_error(tmp_path: Path) -> None:
    """Whatever byte of an archive is damaged, the error is a `DataError`."""
    path = _zip(tmp_path / "a.zip", {"x.csv": b"text,label\n" + "да,pos\n".encode() * 50})
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        try:
            rows = list(read(path, _spec()))
        except DataError:
            continue
        assert all(isinstance(row, Record | Rejected) for row in rows)


_CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.tuples(_CELLS, _CELLS.map(str.strip)), max_size=8),
    delimiter=st.sampled_from(",;\t|"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "gb18030"]),
)
def test_any_text_survives_a_round_trip(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], delimiter: str, encoding: str
) -> None:
    """Whatever Python's writer writes is read back: texts and labels to the character, faults by their reasons."""
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([("text", "label"), *rows])
    path = tmp_path_factory.mktemp("csv") / "data.csv"
    path.write_bytes(buffer.getvalue().encode(encoding))

    found = list(read(path, _spec(delimiter=delimiter, encoding=encoding)))

    def expected(text: str, label: str) -> tuple[str, str]:
        if not text or text.isspace():
            return "", "empty text"
        return (text, label) if label else ("", "missing label")

    assert [pair[1:] for pair in _pairs(found)] == [expected(*row) for row in rows]


@settings(max_examples=150, deadline=None)
@given(lines=st.lists(st.sampled_from(['"', ",", "\n", "а", '""', '","', "б,в\n", "\r\n", "\0"]), max_size=40))
def test_every_good_line_survives_any_company(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    """After any rubbish in between, the numbers of records go up by one and the last sound line is read."""
    path = tmp_path_factory.mktemp("csv") / "data.csv"
    path.write_text("text,label\n" + "".join(lines) + "\nконец,end\n", encoding="utf-8", newline="")

    found = list(read(path, _spec()))

    assert [row.row for row in found] == list(range(1, len(found) + 1))
    last = found[-1]
    assert isinstance(last, Rejected) or last.text.endswith("конец")
