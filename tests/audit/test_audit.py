"""`ottenok audit`: what is planted is found, and the copy and its log say the same."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("cleanlab")
pytest.importorskip("rensa")
pytest.importorskip("jinja2")

from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import ottenok
from ottenok.cli.audit import audit
from ottenok.core.errors import ConfigError, DataError, InputError, SchemeError

if TYPE_CHECKING:
    from ottenok.audit.run import Audit

WORDS = {
    "praise": ["отличная", "прекрасная", "замечательная", "чудесная", "вкусная", "великолепная"],
    "blame": ["ужасная", "отвратительная", "мерзкая", "невкусная", "паршивая", "гадкая"],
    "question": ["почём", "откуда", "зачем", "когда будет", "какая это", "где же"],
}
THINGS = ("еда", "каша", "гостиница", "рыба", "погода", "музыка")
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)> \u202eтекст\u202c &amp; " + "мегабайт " * 130_000
LONG = "Сегодня мы всей семьёй ходили в новый ресторан на набережной и остались очень довольны обслуживанием"

Row = tuple[str, str, str]


def planted() -> list[Row]:
    """Return rows of text, label and split: 108 sound ones and, from row 109 on, those with faults."""
    rows = [(f"{word} {thing}", label, "train") for label, words in WORDS.items() for word in words for thing in THINGS]
    wrong = [("какая превосходная рыба", "blame"), ("омерзительная каша", "praise"), ("ненавижу эту еду", "praise")]
    rows += [(text, label, "train") for text, label in wrong]  # 109 to 111
    rows += [("Музыка — восторг!", "praise", "train")] * 2 + [("музыка восторг", "blame", "train")]  # 112 to 114
    rows += [(LONG, "praise", "test"), (LONG + ".", "praise", "train")]  # 115, 116
    rows += [(LONG.replace("очень ", ""), "blame", "train")]  # 117
    rows += [("This is the only English sentence in all of the data", "praise", "train")]  # 118
    rows += [("", "praise", "train"), ("вкусно и точка", "", "train")]  # 119, 120
    rows += [(HOSTILE, "blame", "train")]  # 121
    return rows


def write(path: Path, rows: list[Row]) -> Path:
    """Write rows as CSV with a column between that nothing reads."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\r\n")
        writer.writerow(["text", "note", "label", "split"])
        writer.writerows(
            [text, f"no {place}, of many", label, split] for place, (text, label, split) in enumerate(rows)
        )
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with planted.csv and what the command writes of it."""
    folder = tmp_path_factory.mktemp("audit")
    file = write(folder / "planted.csv", planted())
    before = file.read_bytes()
    outputs = ["-o", str(folder / "found.csv"), "--html", str(folder / "audit.html")]
    outputs += ["--write", str(folder / "clean.csv"), "--least", "0.5", "--json"]
    result = CliRunner().invoke(audit, [str(file), "--split-column", "split", *outputs], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    (folder / "summary.json").write_text(result.stdout, encoding="utf-8")
    assert file.read_bytes() == before
    return folder


@pytest.fixture(scope="module")
def found(folder: Path) -> Audit:
    """Return the same audit from Python."""
    return ottenok.audit_data(folder / "planted.csv", split_column="split")


def kinds(found: Audit) -> dict[str, dict[int, dict[str, Any]]]:
    """Return kind to number of a row to what was found."""
    told: dict[str, dict[int, dict[str, Any]]] = {}
    for one in found.records():
        told.setdefault(one["kind"], {})[one["row"]] = one
    return told


def test_planted_labels_are_the_most_suspected(found: Audit) -> None:
    """What is planted is doubted most of 119 rows, no sound row is suspected, and the right labels are suggested."""
    doubted = [int(found.rows.numbers[row]) for row in found.suspicion.order[:6]]
    suspects = kinds(found)["label"]

    assert set(doubted) == {109, 110, 111, 114, 117, 118}
    assert set(suspects) <= set(doubted)
    assert {row: suspects[row]["suggested"] for row in (109, 110, 111)} == {
        109: ["praise"],
        110: ["blame"],
        111: ["blame"],
    }
    assert suspects[109]["reason"].startswith("out of sample: blame ")


def test_copies_contradict_leak_and_repeat(found: Audit) -> None:
    """Two rows outvote a third; a text of the test leaks into train, also nearly equal; repeats are told."""
    told = kinds(found)

    assert set(told["conflict"]) == {114}
    assert told["conflict"][114]["suggested"] == ["praise"]
    assert told["conflict"][114]["related"] == [112, 113]
    assert set(told["duplicate"]) == {113}
    assert set(told["leak"]) == {116}
    assert told["leak"][116]["reason"] == "the same text is in test: row 115"
    assert set(told["near-leak"]) == {117}
    assert set(told["near-conflict"]) == {27, 57, 117}  # and "вкусная гостиница" is near to "невкусная гостиница"


def test_strange_texts_say_why(found: Audit) -> None:
    """A text in another language than the data is an outlier; rows without text or label are rejects with a reason."""
    outliers = kinds(found)["outlier"]

    assert outliers[118]["reason"] == "the text is in English; the data is in Russian"
    assert [(one.row, one.reason) for one in found.rows.rejects] == [(119, "empty text"), (120, "missing label")]


def test_the_table_and_the_summary_say_the_same(folder: Path, found: Audit) -> None:
    """CSV, JSON lines, Parquet and --json hold the findings in one order; rejects lie beside the table."""
    pq = pytest.importorskip("pyarrow.parquet")
    records = list(found.records())
    with (folder / "found.csv").open(encoding="utf-8", newline="") as stream:
        cells = list(csv.DictReader(stream))
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    for suffix in ("jsonl", "parquet"):
        found.save(folder / f"again.{suffix}")
    lines = [json.loads(line) for line in (folder / "again.jsonl").read_text(encoding="utf-8").splitlines()]

    assert [(row["kind"], int(row["row"])) for row in cells] == [(one["kind"], one["row"]) for one in records]
    assert lines == records == pq.read_table(folder / "again.parquet").to_pylist()
    assert summary["counts"] == found.counts
    assert summary["findings"] == [{k: v for k, v in one.items() if k != "rank"} for one in records[:20]]
    rejects = (folder / "found.csv.rejects.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["row"] for line in rejects] == [119, 120]
    with pytest.raises(ConfigError, match=r"the table's suffix is '\.xlsx'"):
        found.save(folder / "again.xlsx")


def test_copy_and_log_agree_row_for_row(folder: Path) -> None:
    """What is not in the log is in the copy with its very bytes; what is dropped or left out is not."""
    log = [json.loads(line) for line in (folder / "clean.csv.changes.jsonl").read_text(encoding="utf-8").splitlines()]
    header, *lines = (folder / "planted.csv").read_bytes().split(b"\r\n")[:-1]
    gone = {entry["row"]: entry for entry in log}
    kept = [line for number, line in enumerate(lines, start=1) if number not in gone]

    assert (folder / "clean.csv").read_bytes() == b"\r\n".join([header, *kept, b""])
    assert [entry["row"] for entry in log] == sorted(gone)
    assert {109, 110, 111, 114, 116, 117} <= set(gone)
    assert {gone[row]["change"] for row in (119, 120)} == {"left out"}
    assert (gone[114]["kind"], gone[114]["label"]) == ("conflict", ["blame"])
    assert 115 not in gone
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))["cleaned"]
    assert summary["rows"] == len(kept)
    assert summary["dropped"] + summary["left out"] == len(gone)


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet", "json", "xlsx"])
def test_relabelled_cells_are_the_only_change(suffix: str, tmp_path: Path, found: Audit) -> None:
    """A row that is relabelled keeps its other cells, and its new label is spelt as the data spells it."""
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    openpyxl = pytest.importorskip("openpyxl")
    from ottenok.audit.clean import check_actions, decide, write_clean
    from ottenok.audit.rows import read_rows
    from ottenok.studies.rows import Columns
    from ottenok.training.inputs import Places

    rows = [(text, label, split) for text, label, split in planted()[:114]]
    table = [{"text": text, "n": place, "label": label} for place, (text, label, _) in enumerate(rows)]
    file = tmp_path / f"data.{suffix}"
    if suffix == "csv":
        file.write_text("text;n;label\n" + "".join(f'"{r["text"]}";{r["n"]};{r["label"]}\n' for r in table), "utf-8")
    elif suffix == "parquet":
        pq.write_table(pa.Table.from_pylist(table), file)
    elif suffix == "xlsx":
        book = openpyxl.Workbook()
        for cells in [list(table[0]), *(list(row.values()) for row in table)]:
            book.active.append(cells)
        book.save(file)
    else:
        lines = [json.dumps(row, ensure_ascii=False) for row in table]
        file.write_text(f"[{', '.join(lines)}]" if suffix == "json" else "\n".join(lines) + "\n", "utf-8")
    read = read_rows(file, Columns(), places=Places())
    findings = [one for one in found.findings if one.kind in {"label", "conflict"} and one.row < len(read)]
    changes = decide(read, findings, check_actions({"label": "relabel", "conflict": "relabel"}, read), least=0.5)
    out = tmp_path / f"clean.{'jsonl' if suffix == 'json' else suffix}"
    done = write_clean(read, changes, out, options=Columns().table)
    again = read_rows(out, Columns(), places=Places())

    assert done.changes["relabelled"] == len(changes) >= 4
    assert list(again.texts) == list(read.texts)
    expected = [
        (changes[row].finding.suggested if row in changes else read.names(read.truth[row])) for row in range(len(read))
    ]
    assert [again.names(marks) for marks in again.truth] == expected
    if suffix == "csv":
        old, new = (path.read_text("utf-8").splitlines() for path in (file, out))
        assert {place for place, (a, b) in enumerate(zip(old, new, strict=True), 0) if a != b} == {
            row + 1 for row in changes
        }
    if suffix == "parquet":
        assert pq.read_schema(out).equals(pq.read_schema(file))


def test_the_page_is_safe_and_whole(folder: Path) -> None:
    """The page holds no markup of the texts, no marks that turn text round, and no megabyte."""
    page = (folder / "audit.html").read_text(encoding="utf-8")

    assert len(page) < 300_000
    assert "<script" not in page
    assert "<img" not in page
    assert "\u202e" not in page
    assert "default-src 'none'" in page
    assert "Suspected labels" in page
    assert "the same text is in test: row 115" in page


def test_a_corpus_keeps_its_test_and_becomes_a_corpus(tmp_path: Path) -> None:
    """Splits of a corpus are known; its cleaned copy is a folder that opens, with the test as it was."""
    file = write(tmp_path / "data.csv", planted()[:118])
    split = {"train": 0.7, "validation": 0.1, "test": 0.2}
    recipe = {
        "name": "own",
        "scheme": "own",
        "sources": [{"own": {"name": "own", "file": str(file)}}],
        "split": split,
    }
    from ottenok.data.build import build
    from ottenok.recipes.corpus import CorpusRecipe

    corpus = build(CorpusRecipe.model_validate(recipe), root=None, cache=tmp_path / "c", out=tmp_path / "corpus")
    found = ottenok.audit_data(corpus.folder, write=tmp_path / "clean", least=0.0, html=tmp_path / "corpus.html")
    clean = ottenok.open_corpus(tmp_path / "clean")

    assert found.cleaned is not None
    assert found.cleaned.rows == clean.table().num_rows < corpus.table().num_rows
    assert clean.table("test").equals(corpus.table("test"))
    assert clean.manifest["rows"]["train"] == clean.table("train").num_rows
    assert clean.manifest["audit"] == found.cleaned.changes
    log = [json.loads(line) for line in found.cleaned.log.read_text(encoding="utf-8").splitlines()]
    assert {entry["id"] for entry in log} == set(corpus.table().column("id").to_pylist()) - set(
        clean.table().column("id").to_pylist()
    )


def test_several_labels_are_judged_one_by_one(tmp_path: Path) -> None:
    """Of 0/1 columns the wrong mark is named; relabelling them is refused with a reason."""
    lines = ["text,praise,question"]
    for label, words in WORDS.items():
        marks = f"{int(label == 'praise')},{int(label == 'question')}"
        lines += [f"{word} {thing},{marks}" for word in words for thing in THINGS]
    lines += ["омерзительная каша,1,0"]
    file = tmp_path / "marks.csv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = ottenok.audit_data(file, label=["praise", "question"])
    row = kinds(found)["label"][109]

    assert found.rows.several
    assert (row["label"], row["suggested"]) == (["praise"], [])
    with pytest.raises(ConfigError, match="dropped or kept, not relabelled"):
        ottenok.audit_data(file, label=["praise", "question"], write=tmp_path / "x.csv", actions={"label": "relabel"})


@pytest.mark.parametrize(
    ("rows", "options", "error", "message"),
    [
        ([(f"текст {place}", "one", "train") for place in range(20)], {}, SchemeError, "the only label 'one'"),
        (
            [("раз", "a", ""), ("два", "a", ""), ("три", "b", "")],
            {},
            DataError,
            r"have 5 different texts \(found: 'a' 2",
        ),
        ([("", "a", "")] * 3, {}, DataError, "no row can be used"),
        (planted()[:20], {"text": "txet"}, DataError, "there is no column 'txet'"),
        (planted()[:20], {"folds": 1}, ConfigError, "expected 2 or more"),
        (planted()[:60], {"actions": {"leak": "relabel"}}, ConfigError, "leak suggests no label"),
        (planted()[:60], {"out": "data.csv", "overwrite": True}, InputError, "the output is the data"),
        (planted()[:60], {"write": "data.csv"}, InputError, "the output exists"),
        (planted()[:60], {"out": "found.doc"}, ConfigError, "suffix is '.doc'"),
    ],
)
def test_what_can_not_be_audited_is_refused(
    rows: list[Row], options: dict[str, Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    """One label, labels of few texts, no texts, wrong names and outputs that would harm are errors that say which."""
    file = write(tmp_path / "data.csv", rows)
    before = file.read_bytes()
    given = {key: tmp_path / value if key in {"out", "write"} else value for key, value in options.items()}

    with pytest.raises(error, match=message):
        ottenok.audit_data(file, **given)
    assert file.read_bytes() == before


def test_a_label_with_two_rows_is_not_judged(tmp_path: Path) -> None:
    """A rare label is told, and its rows are not called wrong for being rare."""
    rows = [*planted()[:108], ("редкая птица", "rare", "train"), ("редкий зверь", "rare", "train")]
    found = ottenok.audit_data(write(tmp_path / "data.csv", rows))

    assert found.suspicion.unjudged == ("rare",)
    assert not {109, 110} & set(kinds(found).get("label", {}))


def test_the_pool_is_as_good_as_its_best_judge() -> None:
    """A judge of no use is not heard, one that is too sure is damped: the loss is no worse than the best one's."""
    import numpy as np

    from ottenok.audit.judges import pool

    rng = np.random.default_rng(0)
    codes = rng.integers(0, 3, 600)
    right = np.where(rng.random(600) < 0.8, codes, rng.integers(0, 3, 600))
    good = np.where(np.eye(3)[right] == 1, 0.8, 0.1)
    sure = np.where(np.eye(3)[right] == 1, 1 - 2e-6, 1e-6)
    useless = rng.dirichlet([1, 1, 1], 600)

    def loss(found: np.ndarray) -> float:
        return float(-np.log(found[np.arange(600), codes]).mean())

    for judges in ([good, useless], [useless, sure], [good]):
        found = pool(judges, codes)
        np.testing.assert_allclose(found.sum(axis=1), 1)
        assert loss(found) <= min(map(loss, judges)) + 1e-6
    assert loss(pool([useless, sure], codes)) < loss(good) + 0.01


def test_labels_that_are_taken_for_one_another_are_doubted_first() -> None:
    """Of two labels as likely that one is suspected whose rows are often given the row's; of two odds decide."""
    import numpy as np

    from ottenok.audit.suspects import weigh_labels

    probabilities = np.array([[0.9, 0.05, 0.05]] * 20 + [[0.4, 0.2, 0.4]] + [[0.05, 0.05, 0.9]] * 20)
    doubt, other = weigh_labels(np.array([1] * 21 + [0] * 20), probabilities)  # 0 is taken for 1, 2 for 0

    assert other[20] == 0
    assert doubt[20] > 0.4 / 0.6
    two = np.array([[0.7, 0.3], [0.2, 0.8], [0.5, 0.5], [1.0, 0.0]])
    doubt, other = weigh_labels(np.array([0, 0, 1, 1]), two)
    np.testing.assert_allclose(doubt, [0.3, 0.8, 0.5, 1.0])
    assert other.tolist() == [1, 1, 0, 0]


def test_keys_of_a_training_go_with_full(folder: Path) -> None:
    """Keys of a recipe without --full are refused, and so is what is no option."""
    for keys, told in ((["--model.encoder", "x"], "go with --full"), (["--modle", "x"], "--model")):
        refused = CliRunner().invoke(audit, [str(folder / "planted.csv"), *keys])
        assert refused.exit_code == 2
        assert told in refused.output


def test_what_is_stopped_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl-C ends with 130; no output is there, whole or half, and the data is as it was."""
    rows = [(f"{text} {place}", label, split) for place in range(60) for text, label, split in planted()[:108]]
    file = write(tmp_path / "data.csv", rows)
    command = [sys.executable, "-m", "ottenok", "audit", file.name, "-o", "found.csv", "--write", "clean.csv"]
    running = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, env={**os.environ}
    )
    assert running.stderr is not None
    time.sleep(3)
    running.send_signal(signal.SIGINT)
    _, told = running.communicate(timeout=60)

    assert running.returncode == 130, told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.csv"]


_TEXTS = st.sampled_from(["вкусно", "Вкусно!", "гадко", "так себе", "вкусно(", LONG, LONG + "!!", LONG[:-9]])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(_TEXTS, st.sampled_from("abc"), st.sampled_from(["train", "test", "dev"])), min_size=1))
def test_what_copies_tell_is_consistent(rows: list[Row]) -> None:
    """A majority is never contradicted, tests never leak, first copies are no repeats; ranks go by kind and score."""
    import numpy as np

    from ottenok.audit.clean import DEFAULT_ACTIONS, decide
    from ottenok.audit.copies import find_copies, judge_copies
    from ottenok.audit.findings import KINDS, ranked
    from ottenok.audit.rows import AuditRows

    names = {"dev": "validation"}
    audited = AuditRows(
        name="rows",
        file=Path("rows"),
        numbers=np.arange(1, len(rows) + 1),
        ids=(),
        texts=[text for text, _, _ in rows],
        labels=("a", "b", "c"),
        truth=np.array([[label == one for one in "abc"] for _, label, _ in rows]),
        several=False,
        splits=[names.get(split, split) for _, _, split in rows],
        rejects=(),
    )
    copies = find_copies(audited.texts)
    findings = ranked(judge_copies(audited, copies))
    order = list(KINDS)

    assert [(order.index(one.kind), -one.score) for one in findings] == sorted(
        (order.index(one.kind), -one.score) for one in findings
    )
    for one in findings:
        same = [row for row in range(len(rows)) if copies.same[row] == copies.same[one.row]]
        votes = [sum(rows[row][1] == label for row in same) for label in "abc"]
        if one.kind == "conflict":
            mine = votes["abc".index(rows[one.row][1])]
            assert mine < max(votes) or votes.count(mine) > 1
        if one.kind == "duplicate":
            assert one.related[0] < one.row
        if "leak" in one.kind:
            assert rows[one.row][2] != "test"
            assert audited.ranks[one.related[0]] > audited.ranks[one.row]
    assert all(rows[row][2] != "test" for row in decide(audited, findings, DEFAULT_ACTIONS))
