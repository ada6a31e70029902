"""A user's own data becomes a card and is read like any other; sources put together what a card says."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ottenok.core.errors import DataError, SchemeError
from ottenok.core.schemes import load_scheme
from ottenok.data.card import Card, load_card
from ottenok.data.fetch import locate
from ottenok.data.own import OWN, card_scheme
from ottenok.data.own import user_card as look_at
from ottenok.data.sources import Source, read_source
from ottenok.recipes.corpus import OwnData
from ottenok.tables.records import Record, Rejected

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS = [("Очень хорошо", "pos"), ("Плохо; скучно", "neg"), ("Так себе", "neu")]
HUB_FILES = "/api/datasets/someone/reviews/revision/refs/convert/parquet"


def user_card(source: str | Path, *, scheme: str | None = None, **given: Any) -> Card:
    """Look at a file or hub data set, whose name is the file's without its ending."""
    told = {key: given.pop(key) for key in ("split", "cache", "endpoint", "progress") if key in given}
    if isinstance(given.get("label"), list):
        given["label"] = tuple(given["label"])
    own = OwnData(name=given.pop("name", Path(source).stem or "x"), file=str(source), **given)
    return look_at(own, scheme=load_scheme(scheme) if scheme else None, **told)


def _rows(card: Card, cache: Path | None = None) -> list[tuple[str, tuple[str, ...]] | str]:
    source = Source(card=card, files=locate(card, root=None, cache=cache or Path()))
    rows = [row for _, row in read_source(source)]
    return [(row.text, row.labels) if isinstance(row, Record) else row.reason for row in rows]


def _write(path: Path, rows: list[tuple[str, Any]]) -> Path:
    items = [{"author": "Пётр", "text": text, "label": label} for text, label in rows]
    lines = [f'{item["author"]};"{item["text"]}";{item["label"]}' for item in items]
    table = "\r\n".join(["author;text;label", *lines, ""])
    if path.suffix in {".csv", ".tsv", ".txt"}:
        path.write_bytes(table.replace(";", "\t" if path.suffix == ".tsv" else ";").encode("windows-1251"))
    elif path.suffix in {".jsonl", ".ndjson"} or path.name == "lines.json":
        path.write_text("\n".join(json.dumps(item) for item in items), encoding="utf-8-sig")
    elif path.suffix == ".json":
        path.write_text("\ufeff\n" + json.dumps(items), encoding="utf-8")
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(items), path)
    elif path.suffix == ".xlsx":
        book = openpyxl.Workbook()
        page = book.active
        assert page is not None
        for row in (("author", "text", "label"), *(tuple(item.values()) for item in items)):
            page.append(row)
        book.save(path)
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("in/data.csv", table)
    return path


@pytest.mark.parametrize(
    "name",
    ["a.csv", "a.txt", "a.tsv", "a.jsonl", "a.ndjson", "a.json", "lines.json", "a.parquet", "a.xlsx", "a.zip", "A.CSV"],
)
def test_any_kind_of_file_goes_in_with_no_options(tmp_path: Path, name: str) -> None:
    """Whatever the kind, encoding and delimiter of the user's file, its rows and labels are the same."""
    rows = [(text.replace(";", "\t"), label) for text, label in ROWS] if name == "a.tsv" else list(ROWS)
    lower = _write(tmp_path / name.lower(), list(ROWS))
    path = lower.rename(tmp_path / name)

    card = user_card(path)

    assert _rows(card) == [(text, (label,)) for text, label in rows]
    assert card.label.scheme == OWN
    assert card.label.map == {"neg": "neg", "neu": "neu", "pos": "pos"}
    assert card_scheme(card).labels == ("neg", "neu", "pos")
    assert card_scheme(card).kind == "multi-class"


def test_the_card_says_what_is_known(tmp_path: Path) -> None:
    """Name, terms, languages, split, size and hash are on the card, and the rest is said to be the user's."""
    path = _write(tmp_path / "мои отзывы.csv", list(ROWS))
    card = user_card(path, languages=("ru",), licence="CC-BY-4.0", split="test", part="author")

    assert card.name == "мои отзывы"
    assert card.languages == ("ru",)
    assert card.licence.id == "CC-BY-4.0"
    assert not card.licence.redistribute
    (file,) = card.files
    assert Path(file.path) == path
    assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert file.bytes == path.stat().st_size
    assert file.split == "test"
    assert card.reader.part == "author"
    assert Card.model_validate_json(card.model_dump_json()) == card


@pytest.mark.parametrize(
    "cell",
    [
        '["joy", "fear"]', "[0, 2]", "[ 0 2]", "['joy', 'fear']", "['joy' 'fear']", "('joy', 'fear')",
        "{'joy', 'fear'}",
        "array(['joy', 'fear'], dtype=object)", "[joy, fear]", "{joy,fear}", '{"choices": ["joy", "fear"]}',
        '{"joy": 1, "fear": 1, "anger": 0}', "[joy, fear ]",
    ],
)  # fmt: skip
def test_a_list_column_is_seen_by_its_brackets(tmp_path: Path, cell: str) -> None:
    """A column of lists gives several labels per row and a multi-label scheme, without an option."""
    path = tmp_path / "a.jsonl"
    items = [{"text": "а", "label": cell}, {"text": "б", "label": "[]"}, {"text": "в", "label": ""}]
    path.write_text("\n".join(json.dumps(item) for item in items), encoding="utf-8")

    card = user_card(path)

    first, second = ("0", "2") if "2" in cell else ("joy", "fear")
    assert card_scheme(card).kind == "multi-label"
    assert card_scheme(card).labels == tuple(sorted((first, second)))
    assert [_rows(card)[0][0], set(_rows(card)[0][1])] == ["а", {first, second}]
    assert _rows(card)[1:] == [("б", ()), "missing label"]


def test_native_lists_make_a_multi_label_scheme(tmp_path: Path) -> None:
    """Lists of JSON and Parquet need no style; one row with two labels or none is enough to show it."""
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["а", "б"], "label": [["x"], ["y", "x"]]}), path)

    card = user_card(path)

    assert card_scheme(card).kind == "multi-label"
    assert _rows(card) == [("а", ("x",)), ("б", ("y", "x"))]


def test_a_comma_divides_labels_where_its_parts_are_labels(tmp_path: Path) -> None:
    """A comma may be a part of a label: it divides if the parts stand alone too, or if the user says so."""
    path = tmp_path / "a.csv"
    path.write_text('text;label\nа;"good, cheap"\nб;bad\n', encoding="utf-8")
    assert card_scheme(user_card(path)).labels == ("bad", "good, cheap")
    assert card_scheme(user_card(path, label_list="comma")).labels == ("bad", "cheap", "good")

    path.write_text('text;label\nа;"joy, fear"\nб;joy\n', encoding="utf-8")
    assert card_scheme(user_card(path, label_list="one")).labels == ("joy", "joy, fear")
    card = user_card(path)
    assert card_scheme(card).labels == ("fear", "joy")
    assert card_scheme(card).kind == "multi-label"


def test_several_columns_are_several_labels(tmp_path: Path) -> None:
    """Each named 0/1 column is a label; also one that is never on."""
    path = tmp_path / "a.csv"
    path.write_text("text,joy,fear,anger\nа,1,1,0\nб,0,0,0\nв,1,0,0\n", encoding="utf-8")

    card = user_card(path, label=["joy", "fear", "anger"])

    assert _rows(card) == [("а", ("joy", "fear")), ("б", ()), ("в", ("joy",))]
    assert card_scheme(card).kind == "multi-label"
    assert card_scheme(card).labels == ("anger", "fear", "joy")


def test_columns_may_be_positions(tmp_path: Path) -> None:
    """A file without header is read with positions and the reader's option."""
    path = tmp_path / "a.csv"
    path.write_text("1;Хорошо;pos\n2;Плохо;neg\n", encoding="utf-8")

    card = user_card(path, text=1, label=2, reader={"header": False})

    assert _rows(card) == [("Хорошо", ("pos",)), ("Плохо", ("neg",))]


def test_a_broken_row_is_counted_and_costs_nothing_else(tmp_path: Path) -> None:
    """Looking at the file passes over broken rows as reading does."""
    path = tmp_path / "a.csv"
    path.write_text('\ufefftext;label\r\nа;pos\r\nб;neg;x\r\n"в;neg\r\n"г";neg\r\n', encoding="utf-8", newline="")

    card = user_card(path)

    assert _rows(card) == [("а", ("pos",)), "3 fields instead of 2", "unclosed quote", ("г", ("neg",))]
    assert card_scheme(card).labels == ("neg", "pos")


@pytest.mark.parametrize(
    ("labels", "scheme", "expected"),
    [
        (["Positive", "NEGATIVE"], "sentiment-3", {"Positive": "positive", "NEGATIVE": "negative"}),
        (["позитивный", "Нейтральный"], "sentiment-3", {"позитивный": "positive", "Нейтральный": "neutral"}),
        (["正面", "负面"], "sentiment-3", {"正面": "positive", "负面": "negative"}),
        (["грусть", "joy"], "emotions-7", {"грусть": "sadness", "joy": "joy"}),
    ],
)
def test_labels_find_their_scheme_by_name(
    tmp_path: Path, labels: list[str], scheme: str, expected: dict[str, str]
) -> None:
    """With a scheme, its labels are known by their names in all its languages, in capitals or small."""
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps({"text": "а", "label": label}) for label in labels), encoding="utf-8")

    card = user_card(path, scheme=scheme)

    assert card.label.scheme == scheme
    assert card.label.map == expected
    assert card_scheme(card).name == scheme


def test_a_label_map_says_what_labels_mean(tmp_path: Path) -> None:
    """A map leads to a known scheme or makes an own one; an empty target drops a label and is none itself."""
    path = tmp_path / "a.csv"
    path.write_text("text,label\nа,1\nб,0\nв,x\n", encoding="utf-8")

    known = user_card(path, scheme="sentiment-3", label_map={"1": "positive", "0": "negative", "x": ""})
    own = user_card(path, label_map={"1": "да", "0": "нет", "x": ""})

    assert known.label.map == {"1": "positive", "0": "negative", "x": ""}
    assert card_scheme(own).labels == ("да", "нет")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scheme": "sentiment"}, "there is no label scheme 'sentiment'"),
        ({"scheme": "sentiment-3"}, r"has no label 'ps'(.|\n)*--label-map ps="),
        ({"scheme": "sentiment-3", "label_map": {"pos": "positive", "ps": "positiv"}}, "Did you mean 'positive'"),
    ],
)
def test_a_label_without_a_place_is_an_error(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    """No label is dropped or guessed: the error names it and says what to do."""
    path = _write(tmp_path / "a.jsonl", [("а", "pos"), ("б", "ps")])

    with pytest.raises(SchemeError, match=message):
        user_card(path, **changes)


def test_one_label_is_no_scheme(tmp_path: Path) -> None:
    """A file with a single label gives a card, for a map may lead elsewhere, but no scheme of its own."""
    card = user_card(_write(tmp_path / "a.jsonl", [("а", "pos"), ("б", "pos")]))

    with pytest.raises(SchemeError, match="only label 'pos'"):
        card_scheme(card)


def test_a_column_of_texts_is_no_label_column(tmp_path: Path) -> None:
    """Hundreds of different values are no labels, and the error shows some."""
    path = _write(tmp_path / "a.jsonl", [(f"текст {number}", f"мнение {number}") for number in range(500)])

    with pytest.raises(DataError, match="over 200 different values") as caught:
        user_card(path)

    assert caught.value.key == "label"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "text,label\n", "it has no rows"),
        ("a.csv", "text,label\nа\n,pos\n,neg\n", r"empty text \(2\), 1 field instead of 2 \(1\)"),
        ("a.csv", "txt,label\nа,б\n", "Did you mean 'txt'"),
        ("a.jsonl", "да\nнет\n", "none of the first 2 records"),
        ("a.xls", "", "save it as .xlsx"),
        ("a.csv.7z", "", "Unpack it first"),
        ("a.docx", "", "save|Save"),
        ("a.foo", "", "Known kinds: .csv"),
        ("a.zip", "", "not a ZIP archive"),
    ],
)
def test_a_file_that_can_not_be_used_is_one_error(tmp_path: Path, name: str, content: str, message: str) -> None:
    """The error says what was found and what to do."""
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")

    with pytest.raises(DataError, match=message):
        user_card(path)


@pytest.mark.parametrize("name", ["absent.csv", "folder/absent.csv", "a/b/c", "."])
def test_a_file_that_is_not_there_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Neither a path nor a hub name: the error says what both look like."""
    monkeypatch.chdir(tmp_path)

    with pytest.raises(DataError, match="no such file") as caught:
        user_card(name)

    assert "owner/name" in str(caught.value)


def test_a_member_of_several_is_chosen(tmp_path: Path) -> None:
    """Of an archive with several files the user names one."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("train.csv", "text,label\nа,x\nб,y\n")
        archive.writestr("test.jsonl", '{"text": "в", "label": "y"}')

    with pytest.raises(DataError, match="holds 2 files"):
        user_card(tmp_path / "a.zip")
    card = user_card(tmp_path / "a.zip", reader={"member": "test.jsonl"})
    assert _rows(card) == [("в", ("y",))]


# --- hub data sets, from a hub on this machine ----------------------------------------------------------------------


def _parquet(rows: list[tuple[str, int]]) -> bytes:
    names = {"names": ["neg", "pos"], "_type": "ClassLabel"}
    described = json.dumps({"info": {"features": {"stars": names}}})
    table = pa.table(
        {"review": [text for text, _ in rows], "user": ["Пётр"] * len(rows), "stars": [at for _, at in rows]}
    )
    buffer = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({"huggingface": described}), buffer)
    return buffer.getvalue()


@pytest.fixture
def hub() -> Iterator[str]:
    """Run a hub with one data set, converted to Parquet in two splits."""
    files = {
        "default/train/0000.parquet": _parquet([("хорошо", 1), ("плохо", 0)]),
        "default/test/0000.parquet": _parquet([("ужас", 0)]),
    }
    siblings = [
        {
            "rfilename": path,
            "size": len(body),
            "blobId": "1" * 40,
            "lfs": {"sha256": hashlib.sha256(body).hexdigest(), "size": len(body), "pointerSize": 130},
        }
        for path, body in files.items()
    ]
    served = {f"/datasets/someone/reviews/resolve/refs/convert/parquet/{path}": body for path, body in files.items()}
    served[HUB_FILES] = json.dumps({"id": "someone/reviews", "siblings": siblings}).encode()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            body = served.get(self.path.partition("?")[0].replace("%2F", "/"))
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Type", "application/json" if self.path.startswith("/api") else "text/plain")
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_hub_data_set_goes_in_by_its_name(tmp_path: Path, hub: str) -> None:
    """It is fetched once; its class names are the labels, its splits the splits, and it is found later offline."""
    options: dict[str, Any] = {"name": "someone/reviews", "cache": tmp_path, "endpoint": hub}

    card = user_card("someone/reviews", text="review", label="stars", **options)

    assert card.hub == card.name == "someone/reviews"
    assert card_scheme(card).labels == ("neg", "pos")
    assert _rows(card, tmp_path) == [("ужас", ("neg",)), ("хорошо", ("pos",)), ("плохо", ("neg",))]
    assert [located.file.split for located in locate(card, root=None, cache=tmp_path)] == ["test", "train"]

    offline: dict[str, Any] = {**options, "endpoint": "http://127.0.0.1:9"}
    assert user_card("someone/reviews", text="review", label="stars", **offline) == card


def test_a_hub_that_can_not_be_reached_is_one_error(tmp_path: Path, hub: str) -> None:
    """Without network and without what was fetched before, or of another configuration, the error says so."""
    offline: dict[str, Any] = {"cache": tmp_path, "endpoint": "http://127.0.0.1:9"}
    with pytest.raises(DataError, match="the hub") as caught:
        user_card("someone/reviews", **offline)
    assert caught.value.hint

    user_card("someone/reviews", text="review", label="stars", cache=tmp_path, endpoint=hub)
    other: dict[str, Any] = {"cache": tmp_path, "endpoint": "http://127.0.0.1:9", "config": "raw"}
    with pytest.raises(DataError, match="the hub"):
        user_card("someone/reviews", text="review", label="stars", **other)


def test_a_hub_data_set_needs_a_cache() -> None:
    """Where it is to be fetched to is not guessed."""
    with pytest.raises(DataError, match="needs a folder") as caught:
        user_card("someone/reviews")

    assert caught.value.file == "someone/reviews"


# --- cards ----------------------------------------------------------------------------------------------------------


def test_a_file_of_a_card_brings_its_own_label_part_and_reader(tmp_path: Path) -> None:
    """What a file says comes before what the card says; the rows tell which file they are from."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "pos.csv").write_text("t\nда\n\nплюс\n", encoding="utf-8")
    (tmp_path / "a" / "b.jsonl").write_text('{"text": "нет", "label": "neg", "film": "Ф"}\n{}\n', encoding="utf-8")
    lines = {"kind": "jsonl", "text": "text", "label": "label", "part": "film"}
    files = [
        {"path": "a/pos.csv", "label": "pos", "part": "П"},
        {"path": "a/b.jsonl", "part": "П", "reader": lines},
    ]
    base = load_card("rusentiment").model_dump(mode="json")
    card = Card.model_validate(base | {"files": files, "reader": {"kind": "csv", "text": "t"}, "hub": None})
    source = Source(card=card, files=locate(card, root=tmp_path, cache=tmp_path / "cache"))

    assert source.name == "rusentiment"
    assert list(read_source(source)) == [
        (0, Record(row=1, text="да", labels=("pos",), part="П")),
        (0, Record(row=2, text="плюс", labels=("pos",), part="П")),
        (1, Record(row=1, text="нет", labels=("neg",), part="Ф")),
        (1, Rejected(row=2, reason="empty text", content="|")),
    ]


@pytest.mark.data
@pytest.mark.parametrize(
    ("path", "changes", "labels", "kind"),
    [
        ("waimai-10k/waimai_10k.csv", {"text": "review"}, 2, "multi-class"),
        ("cedr/cedr-main-test.csv", {"label": "labels"}, 5, "multi-label"),
        ("ru-goemotions/ru-go-emotions-simplified-test.csv", {"text": "ru_text", "label": "labels"}, 28, "multi-label"),
        ("smp2020-ewect/usual_eval_labeled.txt", {"text": "content", "options": "json"}, 6, "multi-class"),
        ("kinopoisk-reviews/reviews_100.xlsx", {"text": "review_text", "label": "target"}, 3, "multi-class"),
        ("sentirueval-2016/preprocessed_banks_test.csv", {}, 3, "multi-class"),
        ("online-shopping-10-cats/online_shopping_10_cats.zip", {"text": "review"}, 2, "multi-class"),
    ],
)
def test_real_files_go_in_as_a_users_own(
    data_root: Path, tmp_path: Path, path: str, changes: dict[str, Any], labels: int, kind: str
) -> None:
    """Public files read as if they were a stranger's give the labels that are published."""
    file = data_root / path
    if changes.pop("options", None) == "json":
        file = tmp_path / "data.json"
        file.write_bytes((data_root / path).read_bytes())

    scheme = card_scheme(user_card(file, **changes))

    assert len(scheme.labels) == labels
    assert scheme.kind == kind
