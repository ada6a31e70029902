"""Whole files: what goes in comes out, with answers."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ottenok.core.errors import ConfigError, DataError, InputError
from ottenok.inference import files
from ottenok.inference.api import load
from ottenok.inference.files import FileOptions, classify_file
from ottenok.inference.outputs import AnswerColumns
from ottenok.tables.options import TableOptions
from ottenok.tables.table import open_table
from toys import FakeBackend, fake_classifier

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

    import numpy.typing as npt

    from ottenok.inference.tokens import TokenBatch

FAKE = fake_classifier()
ADDED = (
    "predicted_label,predicted_confidence,predicted_polarity,predicted_negative,predicted_neutral,predicted_positive"
    ",predicted_reason"
)


def answers(text: str, delimiter: str = ",") -> str:
    """Return what a CSV row gets for a text."""
    found = FAKE(text)
    numbers = [found.confidence, found.polarity, *found.probabilities.values()]
    cells = [found.label or "", *(str(round(number or 0.0, 6)) for number in numbers), found.reason or ""]
    return delimiter.join(cells)


def run(path: Path, out: Path, *, table: dict[str, Any] | None = None, **options: Any) -> files.FileReport:
    """Classify the column `text`."""
    chosen = FileOptions(table=TableOptions(**(table or {})), **options)
    return classify_file(path, out, text="text", classifier=FAKE, options=chosen)


def test_csv_rows_keep_their_bytes(tmp_path: Path) -> None:
    """Semicolons, a byte order mark, CRLF, quotes and line breaks in quotes stay; the answers stand at the end."""
    path, out = tmp_path / "in.csv", tmp_path / "out.csv"
    path.write_bytes('\ufeff"id";text;"n"\r\n"1";"да; ""очень""";01\r\n2;"две\nстроки";2,50\r\n'.encode())

    report = run(path, out)

    added = ADDED.replace(",", ";")
    first, second = answers('да; "очень"', ";"), answers("две\nстроки", ";")
    expected = f'\ufeff"id";text;"n";{added}\r\n"1";"да; ""очень""";01;{first}\r\n2;"две\nстроки";2,50;{second}\r\n'
    assert out.read_bytes().decode() == expected
    assert (report.rows, dict(report.rejected), report.rejects) == (2, {}, None)


def test_bad_rows_are_listed_and_left_out(tmp_path: Path) -> None:
    """A row with a field too few, without a text, or with an unclosed quote is rejected by number and reason."""
    path, out = tmp_path / "in.csv", tmp_path / "out.csv"
    path.write_text('id,text\n1,хорошо\n2\n3,\n4,"не закрыто\n5,плохо\n6,   \n7,"ну, да"\n', encoding="utf-8")

    report = run(path, out)

    assert [line.split(",")[0] for line in out.read_text().splitlines()] == ["id", "1", "5", "7"]
    assert report.rejects == tmp_path / "out.csv.rejects.jsonl"
    rejects = [json.loads(line) for line in report.rejects.read_text().splitlines()]
    assert [(reject["row"], reject["reason"]) for reject in rejects] == [
        (2, "1 field instead of 2"),
        (3, "empty text"),
        (4, "unclosed quote"),
        (6, "empty text"),
    ]
    assert report.rejected == {"empty text": 2, "1 field instead of 2": 1, "unclosed quote": 1}
    assert report.rows == 3


def test_tsv_without_quotes(tmp_path: Path) -> None:
    """Quotes inside a TSV are text where they do not pair up."""
    path, out = tmp_path / "in.tsv", tmp_path / "out.tsv"
    path.write_text('text\tn\nсказал "да\t1\nэкран 5"\t2\n', encoding="utf-8")

    report = run(path, out)

    assert report.rows == 2
    assert out.read_text().splitlines()[1].startswith('сказал "да\t1\t')


def test_a_file_without_header_is_read_by_position(tmp_path: Path) -> None:
    """With no header the column is a position from 0, and no header is written."""
    path, out = tmp_path / "in.csv", tmp_path / "out.csv"
    path.write_text("1,хорошо\n2,плохо\n", encoding="utf-8")

    classify_file(path, out, text="1", classifier=FAKE, options=FileOptions(table=TableOptions(header=False)))

    assert out.read_text() == f"1,хорошо,{answers('хорошо')}\n2,плохо,{answers('плохо')}\n"


def test_another_encoding_is_kept(tmp_path: Path) -> None:
    """A windows-1251 file is read, its encoding named or found out, and written in it."""
    path, out, other = tmp_path / "in.csv", tmp_path / "out.csv", tmp_path / "other.csv"
    path.write_bytes("text\nочень хорошо, спасибо вам большое\n".replace(",", "").encode("windows-1251"))

    run(path, out, table={"encoding": "windows-1251"})
    run(path, other)

    text = "очень хорошо спасибо вам большое"
    assert out.read_bytes().decode("windows-1251").splitlines()[1] == f"{text},{answers(text)}"
    assert other.read_bytes() == out.read_bytes()


def test_broken_bytes_cost_their_row_only(tmp_path: Path) -> None:
    """A row whose text is no UTF-8 is rejected; broken bytes in another column pass through."""
    path, out = tmp_path / "in.csv", tmp_path / "out.csv"
    good = "".join(f"{number},слово\n" for number in range(200)).encode()
    path.write_bytes(b"id,text\n" + good + b"x,\xff\xfe\n\xff,\xd0\xb4\xd0\xb0\n")

    report = run(path, out)

    assert report.rejected == {"not utf-8": 1}
    assert out.read_bytes().splitlines()[-1].startswith(b"\xff,\xd0\xb4\xd0\xb0,")


def test_jsonl_rows_keep_their_bytes(tmp_path: Path) -> None:
    """Numbers keep their digits, keys their order; answers are keys at the end."""
    path, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    path.write_text('{"n": 1.10, "text": "хорошо"}\n\n{"text":"плохо"}\n[1]\n{"text": 5}\n{"a": 1}\nоу\n', "utf-8")

    report = run(path, out)

    lines = out.read_text().splitlines()
    assert lines[0].startswith('{"n": 1.10, "text": "хорошо", "predicted_label": ')
    assert json.loads(lines[1])["predicted_polarity"] == round(FAKE("плохо").polarity or 0.0, 6)
    assert report.rejected == {"empty text": 1, "bad JSON": 1, "not a JSON object": 1}


def test_parquet_keeps_types_and_metadata(tmp_path: Path) -> None:
    """Columns keep their types and the schema its metadata; rows without a text are rejected by number."""
    path, out = tmp_path / "in.parquet", tmp_path / "out.parquet"
    table = pa.table({"when": pa.array([1, 2, 3], pa.timestamp("s")), "text": ["хорошо", None, "плохо"]})
    pq.write_table(table.replace_schema_metadata({"by": "тест"}), path)

    report = run(path, out)

    found = pq.read_table(out)
    assert found.column_names == ["when", "text", *ADDED.split(",")]
    assert found.schema.field("when").type == pa.timestamp("ms") or found.schema.field("when").type == pa.timestamp("s")
    assert found.schema.metadata[b"by"] == "тест".encode()
    assert found.column("text").to_pylist() == ["хорошо", "плохо"]
    assert found.column("predicted_label").to_pylist() == [FAKE("хорошо").label, FAKE("плохо").label]
    assert report.rejected == {"empty text": 1}


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_long_texts_make_short_chunks(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chunk ends when its texts together are long, and rows stay whole and in order."""
    monkeypatch.setattr(files, "CHUNK_CHARACTERS", 100)
    path, out = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    texts = [f"{'слово ' * number}{number}" for number in range(1, 30)]
    write(path, texts)

    report = run(path, out)

    assert report.rows == len(texts)
    assert [row["text"] for row in read(out)] == texts


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_several_labels_are_a_list(tmp_path: Path, suffix: str) -> None:
    """A multi-label answer is a list in Parquet and JSONL, and divided by semicolons in CSV."""
    emotions = fake_classifier("emotions-7")
    path, out = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    expected = list(emotions("текст").labels)
    write(path, ["текст"])

    classify_file(path, out, text="text", classifier=emotions)

    assert read(out)[0]["predicted_labels"] == (";".join(expected) if suffix == ".csv" else expected)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_an_interrupted_run_goes_on(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After Ctrl-C the same call keeps what was done and ends with the same file as an undisturbed run."""
    monkeypatch.setattr(files, "PART_ROWS", 3)
    monkeypatch.setattr(files, "CHUNK_CHARACTERS", 24)
    path, out, whole = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}", tmp_path / f"whole{suffix}"
    write(path, [f"текст {number}" for number in range(10)])
    stopped = fake_classifier()
    stopped.backend = _Interrupted(after=2)

    with pytest.raises(KeyboardInterrupt):
        classify_file(path, out, text="text", classifier=stopped)
    assert not out.exists()
    report = run(path, out)
    run(path, whole)

    assert 0 < report.resumed < 10
    assert report.rows == 10
    assert read(out) == read(whole)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted([path.name, out.name, whole.name])


@pytest.mark.parametrize(("seconds", "several"), [(0.0, True), (3600.0, False)])
def test_a_part_ends_by_time_too(
    tmp_path: Path, seconds: float, several: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long texts take long: what is done is put down after some seconds, however few rows it is."""
    monkeypatch.setattr(files, "PART_SECONDS", seconds)
    monkeypatch.setattr(files, "CHUNK_CHARACTERS", 24)
    path, out = tmp_path / "in.csv", tmp_path / "out.csv"
    write(path, [f"текст {number}" for number in range(20)])
    stopped = fake_classifier()
    stopped.backend = _Interrupted(after=4)

    with pytest.raises(KeyboardInterrupt):
        classify_file(path, out, text="text", classifier=stopped)

    parts = [file for file in tmp_path.rglob("*.csv") if file.parent != tmp_path]
    assert (len(parts) > 1) is several
    assert parts


@pytest.mark.parametrize(("word", "resume"), [("текст", False), ("совсем иначе", True)])
def test_a_run_begins_again(tmp_path: Path, word: str, resume: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """With resume off, and where the file was changed since, what an interrupted run did is thrown away."""
    monkeypatch.setattr(files, "PART_ROWS", 3)
    monkeypatch.setattr(files, "CHUNK_CHARACTERS", 24)
    path, out = tmp_path / "in.csv", tmp_path / "out.csv"
    write(path, [f"текст {number}" for number in range(10)])
    stopped = fake_classifier()
    stopped.backend = _Interrupted(after=2)
    with pytest.raises(KeyboardInterrupt):
        classify_file(path, out, text="text", classifier=stopped)
    write(path, [f"{word} {number}" for number in range(10)])

    assert run(path, out, resume=resume).resumed == 0
    assert [row["text"] for row in read(out)] == [f"{word} {number}" for number in range(10)]


def test_a_failure_leaves_the_old_output(tmp_path: Path) -> None:
    """The output appears whole or not at all; an older one stays until then."""
    path, out = tmp_path / "in.csv", tmp_path / "out.csv"
    write(path, ["раз", "два"])
    out.write_text("старое")
    stopped = fake_classifier()
    stopped.backend = _Interrupted(after=0)

    with pytest.raises(KeyboardInterrupt):
        classify_file(path, out, text="text", classifier=stopped, options=FileOptions(overwrite=True))

    assert out.read_text() == "старое"


@pytest.mark.parametrize(
    ("name", "out", "message"),
    [
        ("in.csv", "out.doc", "suffix is '.doc'"),
        ("in.csv", "in.csv", "the output is the input"),
        ("in.csv", "link.csv", "the output is the input"),
        ("in.csv", "old.csv", "the output exists"),
        ("in.csv", "folder.csv", "the output is a folder"),
        ("no.csv", "out.csv", "there is no such file"),
        ("in.doc", "out.csv", "kind of file '.doc' is not known"),
    ],
)
def test_wrong_paths_are_refused(tmp_path: Path, name: str, out: str, message: str) -> None:
    """Each wrong path has its error, and every file stays as it was."""
    write(tmp_path / "in.csv", ["раз"])
    (tmp_path / "link.csv").symlink_to(tmp_path / "in.csv")
    (tmp_path / "old.csv").write_text("x")
    (tmp_path / "in.doc").write_text("x")
    (tmp_path / "folder.csv").mkdir()
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()}

    with pytest.raises((InputError, DataError), match=message):
        run(tmp_path / name, tmp_path / out)

    assert {file.name: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()} == before


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_answers_never_write_over_a_column(tmp_path: Path, suffix: str) -> None:
    """A file that has an answer's column already is refused, and another prefix helps."""
    path, out = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    write(path, ["раз"], column="predicted_label")

    with pytest.raises(InputError, match="column 'predicted_label' already") as caught:
        run(path, out)
    run(path, out, prefix="p_")

    assert "--prefix" in (caught.value.hint or "")
    assert "p_label" in read(out)[0]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_missing_column_is_named_with_the_nearest(tmp_path: Path, suffix: str) -> None:
    """The error suggests the column that was meant."""
    path = tmp_path / f"in{suffix}"
    write(path, ["раз"])

    with pytest.raises(DataError, match="no column 'texd'") as caught:
        classify_file(path, tmp_path / f"out{suffix}", text="texd", classifier=FAKE)

    assert "'text'" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("suffix", "content", "message"),
    [
        (".csv", b"", "empty"),
        (".parquet", b"PK\3\4" * 100, "not a ZIP archive"),
        (".csv", b"id,text\n1,\n2,  \n3\n", r"none of the 3 rows .* commonest reason: empty text \(2 rows\)"),
        (".jsonl", b'{"text": "  "}\n{"text": null}\n', "none of the 2 rows"),
    ],
)
def test_files_with_nothing_to_classify_are_refused(tmp_path: Path, suffix: str, content: bytes, message: str) -> None:
    """An empty file, a file of another kind, and one all of whose rows would be left out, with the commonest reason."""
    path = tmp_path / f"in{suffix}"
    path.write_bytes(content)

    with pytest.raises((InputError, DataError), match=message):
        run(path, tmp_path / f"out{suffix}")

    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_file_without_rows_gives_one(tmp_path: Path, suffix: str) -> None:
    """A header alone gives the longer header alone."""
    path, out = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    write(path, [])

    assert run(path, out).rows == 0
    assert read(out) == []


@given(st.lists(st.lists(st.text(max_size=20), min_size=2, max_size=2), min_size=1, max_size=20), st.randoms())
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_python_writes_comes_out_whole(tmp_path: Path, rows: list[list[str]], random: Random) -> None:
    """Rows that Python's csv writes are in the output byte for byte before their answers, or among the rejects."""
    stream = io.StringIO(newline="")
    csv.writer(stream, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([["text", "other"], ["да", "x"], *rows])
    path, out = tmp_path / "in.csv", tmp_path / "out.csv"
    path.write_bytes(stream.getvalue().encode(errors="surrogatepass"))

    report = run(path, out, table={"delimiter": ",", "quote": '"', "encoding": "utf-8"}, overwrite=True)

    assert report.rows + sum(report.rejected.values()) == len(rows) + 1
    if not report.rejected:
        found = io.StringIO(out.read_bytes().decode(errors="surrogatepass"), newline="")
        assert [row[:2] for row in csv.reader(found)] == [["text", "other"], ["да", "x"], *rows]


class _Interrupted(FakeBackend):
    """Stops like Ctrl-C after some batches."""

    def __init__(self, *, after: int) -> None:
        super().__init__(3)
        self._left = after

    def run(self, batch: TokenBatch) -> Any:
        if not self._left:
            raise KeyboardInterrupt
        self._left -= 1
        return super().run(batch)


def write(path: Path, texts: list[str], column: str = "other") -> None:
    """Write a table of texts and another column."""
    rows = [{"text": text, column: "x"} for text in texts]
    if path.suffix == ".parquet":
        schema = pa.schema([("text", pa.string()), (column, pa.string())])
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    else:
        path.write_text(f"text,{column}\n" + "".join(f"{text},x\n" for text in texts), "utf-8")


def read(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a table."""
    if path.suffix == ".parquet":
        found: list[dict[str, Any]] = pq.read_table(path).to_pylist()
        return found
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_equal_texts_of_a_file_are_scored_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text that comes again, chunks later, gets the same answer without being run, and the bytes are the same."""
    path, out, apart = tmp_path / "in.csv", tmp_path / "out.csv", tmp_path / "apart.csv"
    write(path, [f"текст {number % 7}" for number in range(40)])
    run(path, apart)
    monkeypatch.setattr(files, "CHUNK_ROWS", 4)
    counting = fake_classifier()
    counting.backend = seen = _Counting(len(counting.labels))

    report = classify_file(path, out, text="text", classifier=counting)

    assert report.rows == 40
    assert out.read_bytes() == apart.read_bytes()
    tried = len(files._TRIED)
    assert seen.rows <= 2 * (7 + tried + 7 * tried)


def test_a_text_has_the_same_bits_in_any_company() -> None:
    """With pairs, the embedded model's logits of a text do not depend on what it is run with."""
    classifier = load(threads=2)
    texts = ["хорошо", "Какая гадость эта ваша заливная рыба!", "服务态度很差，再也不来了", "так " * 200]
    alone = [classifier.run(classifier.prepare([text], pairs=True)) for text in texts]

    together = classifier.run(classifier.prepare([*texts * 3, "ещё один текст"], pairs=True))

    np.testing.assert_array_equal(together[: sum(map(len, alone))], np.concatenate(alone))


class _Counting(FakeBackend):
    rows = 0

    def run(self, batch: TokenBatch) -> npt.NDArray[np.float32]:
        self.rows += len(batch.ids)
        return super().run(batch)


@pytest.mark.parametrize(
    "suffix", [".csv", ".csv.gz", ".tsv.zst", ".jsonl.gz", ".jsonl.zst", ".xlsx", ".parquet", ".CSV.GZ"]
)
@pytest.mark.parametrize("source", [".csv", ".jsonl", ".json", ".xlsx", ".parquet"])
def test_any_format_becomes_any_other(tmp_path: Path, source: str, suffix: str) -> None:
    """Packed or not: the same cells come back, with the answers; the same command then finds nothing to do."""
    cells = [("1", "=1+1, да"), ("2", 'сказал "нет"\nи ушёл'), ("3", "_x000D_ \ttab 😀"), ("4", "")]
    path, out = tmp_path / f"in{source}", tmp_path / f"out{suffix}"
    items = [{"n": n, "text": text} for n, text in cells]
    if source == ".csv":
        with path.open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([("n", "text"), *cells])
    elif source == ".xlsx":
        book = openpyxl.Workbook(write_only=True)
        page = book.create_sheet()
        for row in [("n", "text"), *cells]:
            page.append([_text(page, value) for value in row])
        book.save(path)
    elif source == ".parquet":
        pq.write_table(pa.Table.from_pylist(items), path)
    else:
        lines = [json.dumps(item, ensure_ascii=False) for item in items]
        path.write_text("\n".join(lines) if source == ".jsonl" else f"[{','.join(lines)}]", encoding="utf-8")

    report = run(path, out, columns=("label",))
    found = open_table(out, wanted=["text"])
    rows = [row for block in found.blocks() for row in zip(*block.cells, strict=True)]

    assert found.columns == ["n", "text", "predicted_label"]
    assert rows == [(n, text, FAKE(text).label) for n, text in cells[:3]]
    assert (report.rows, dict(report.rejected)) == (3, {"empty text": 1})
    assert run(path, out, columns=("label",)).finished


def _text(page: Any, value: str) -> Any:
    cell = openpyxl.cell.WriteOnlyCell(page, value=value.replace("_x", "_x005F_x"))
    cell.data_type = "s"
    return cell


def test_packed_outputs_are_the_same_bytes_each_time(tmp_path: Path) -> None:
    """No time and no name stands in them."""
    path = tmp_path / "in.csv"
    path.write_text("text\nда\n", encoding="utf-8")
    for suffix in (".csv.gz", ".csv.zst"):
        run(path, tmp_path / f"a{suffix}")
        run(path, tmp_path / f"b{suffix}")
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


@pytest.mark.parametrize("name", ["out.parquet.gz", "out.xlsx.zst", "out.doc", "out.csv.zip"])
def test_an_output_that_can_not_be_written_is_refused_first(tmp_path: Path, name: str) -> None:
    """Before anything is read."""
    (tmp_path / "in.csv").write_text("text\nда\n", encoding="utf-8")
    with pytest.raises(InputError):
        run(tmp_path / "in.csv", tmp_path / name)


def test_what_a_workbook_can_not_hold_is_refused(tmp_path: Path) -> None:
    """A cell of over 32,767 characters would be cut silently; long whole numbers keep their digits as text."""
    path = tmp_path / "in.jsonl"
    path.write_text(json.dumps({"text": "да", "id": 1234567890123456789, "n": 5}) + "\n", encoding="utf-8")
    run(path, tmp_path / "out.xlsx", columns=("label",))
    row = next(openpyxl.load_workbook(tmp_path / "out.xlsx").active.iter_rows(min_row=2, values_only=True))
    assert row == ("да", "1234567890123456789", 5, FAKE("да").label)
    path.write_text(json.dumps({"text": "да " * 20_000}) + "\n", encoding="utf-8")
    with pytest.raises(InputError, match="32,767"):
        run(path, tmp_path / "long.xlsx")


@pytest.mark.parametrize(
    ("chosen", "names"),
    [
        ("label", ["label", "emotions-7:labels"]),
        ("sentiment-3:label", ["label"]),
        ("emotions-7:labels", ["emotions-7:labels"]),
        ("joy", ["emotions-7:joy"]),
        ("neutral", ["neutral"]),
        ("emotions-7:neutral", ["emotions-7:neutral"]),
        ("polarity confidence", ["confidence", "polarity", "emotions-7:confidence"]),
        ("sentiment-3:probabilities", ["negative", "neutral", "positive"]),
    ],
)
def test_columns_of_answers_are_chosen(chosen: str, names: list[str]) -> None:
    """Kinds of all tasks, those of one, and labels; in the usual order."""
    both = fake_classifier("sentiment-3", "emotions-7")
    columns = AnswerColumns(both.tasks, "", chosen.split())

    assert list(columns.names) == names
    assert len(columns.values(both("да"))) == len(names) == len(columns.kinds)
    with pytest.raises(ConfigError, match="'lable'"):
        AnswerColumns(both.tasks, "", ["lable"])
