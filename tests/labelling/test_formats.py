"""Labels go to other tools and come back, and the whole way to a corpus and a trained model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import ottenok
from labelling.conftest import GOOD, texts, write_table
from ottenok.cli.main import run
from ottenok.core.errors import DataError
from ottenok.labelling.formats import read_answers, write_answers

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from ottenok.labelling.session import Session

HARD = ['=1+1, "да"\nи ещё', "\u202eобратно", "再见，\t😀", "<script>alert(1)</script>", "одна\u2028строка\x85"]


def _labelled(session: Session) -> Session:
    for number in range(len(session.pool.texts)):
        key = session.key(number)
        session.answer("anna", key, ["good", "bad"][: (number + 1) % 3 if session.journal.several else 1])
        if number < 2:
            session.answer("boris", key, ["bad"] if number else ["good"])
    if session.disagreements():
        session.settle("chief", session.key(session.disagreements()[0]), ["bad"])
    return session


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("kind", ["label-studio", "doccano", "csv", "jsonl"])
def test_there_and_back(
    session: Callable[..., AbstractContextManager[Session]], tmp_path: Path, kind: Any, several: bool
) -> None:
    """What is written is read again with the same texts and labels, and raters where the form has room for them."""
    with session(HARD, several=several) as one:
        _labelled(one)
        out = tmp_path / {"label-studio": "a.json", "csv": "a.csv"}.get(kind, "a.jsonl")
        assert write_answers(one, out, kind) == len(HARD)
        final = {one.texts[place]: one.label_of(place) for place in one.labelled()}
    found = read_answers(out)
    assert found.left_out == {}
    if kind == "label-studio":
        assert {(said.text, said.rater) for said in found.answers} >= {(HARD[1], "boris"), (HARD[1], "chief")}
        assert {said.text: said.labels for said in found.answers if said.settled or said.text != HARD[1]} == final
        assert [said.rater for said in found.answers if said.settled] == ["chief"]
    else:
        assert {said.text: said.labels for said in found.answers} == final


def test_the_forms_are_the_published_ones(
    session: Callable[..., AbstractContextManager[Session]], tmp_path: Path
) -> None:
    """Keys and nesting are those of Label Studio's task format and of doccano's JSONL of text classification."""
    with session(["раз", "два"]) as one:
        _labelled(one)
        write_answers(one, tmp_path / "a.json", "label-studio")
        write_answers(one, tmp_path / "a.jsonl", "doccano")
    task = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))[0]
    assert {"id", "data", "annotations", "predictions"} == task.keys()
    assert task["data"]["text"] == "раз"
    (result,) = task["annotations"][0]["result"]
    assert (result["type"], result["from_name"], result["to_name"]) == ("choices", "label", "text")
    assert result["value"] == {"choices": ["good"]}
    assert "completed_by" not in task["annotations"][0]
    line = json.loads((tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert (line["id"], line["text"], line["label"], line["Comments"]) == (1, "раз", ["good"], [])


SPAN = {"value": {"start": 0, "end": 3, "labels": ["PER"]}, "type": "labels", "from_name": "ner", "to_name": "text"}
FOREIGN: dict[str, tuple[str, Any]] = {
    "nothing of this file is a label of a whole text (no choices but labels: 1)": (
        "a.json", [{"data": {"text": "раз"}, "annotations": [{"result": [SPAN]}]}],
    ),
    "spans (sequence labelling)": ("a.jsonl", [{"text": "раз", "label": [[0, 3, "PER"]]}]),
    "older form": ("a.jsonl", [{"text": "раз", "annotations": [{"label": 3, "user": 1}]}]),
    "several things": (
        "a.json",
        [{"data": {"text": "раз"}, "annotations": [{"result": [
            {"from_name": name, "type": "choices", "value": {"choices": ["a"]}} for name in ("x", "y")
        ]}]}],
    ),
    "no text in data.text": ("a.json", [{"data": {"image": "http://x/1.jpg"}, "annotations": [{"result": []}]}]),
    "skipped there": ("a.json", [{"data": {"text": "раз"}, "annotations": [{"was_cancelled": True, "result": []}]}]),
    "list of objects": ("a.json", [1, 2]),
}  # fmt: skip


@pytest.mark.parametrize("told", FOREIGN)
def test_what_is_foreign_is_refused(tmp_path: Path, told: str) -> None:
    """Spans, pictures, numbers in place of names: the error says what was found and what to export instead."""
    name, content = FOREIGN[told]
    text = json.dumps(content) if name == "a.json" else "\n".join(map(json.dumps, content))
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as error:
        read_answers(tmp_path / name)
    assert told in str(error.value)


@pytest.mark.parametrize("content", [b"", b"[{", b'{"text": "a", "label": ["b"]', b"\xff\xfe\x00", b"[]"])
def test_what_is_broken_is_refused(tmp_path: Path, content: bytes) -> None:
    """A cut or empty file is an error, never a traceback."""
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DataError):
        read_answers(tmp_path / "a.json")


def test_from_the_command_line_to_a_corpus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Answers of another tool are taken over once and written; data build takes what is written as it is."""
    rows = texts(60)
    file = str(write_table(tmp_path / "texts.csv", rows))
    theirs = tmp_path / "anna.jsonl"
    lines = [
        {"id": n, "text": text, "label": [("good" if text.startswith(GOOD) else "bad")]} for n, text in enumerate(rows)
    ]
    theirs.write_text("\n".join(json.dumps(line, ensure_ascii=False) for line in lines), encoding="utf-8")
    label = ["label", file, "--text", "review", "--json"]

    assert run([*label[:2], "--labels", "good, bad", "--text", "review", "--import", str(tmp_path / "no.json")]) == 2
    capsys.readouterr()
    assert run([*label, "--labels", "good,bad", "--import", str(theirs)]) == 0
    assert json.loads(capsys.readouterr().out)["answers"] == 60
    assert run([*label, "--import", str(theirs)]) == 0
    assert json.loads(capsys.readouterr().out)["answers"] == 0
    out = str(tmp_path / "labels.csv")
    assert run([*label, "--export", "-o", out]) == 0
    assert json.loads(capsys.readouterr().out)["written"] == 60

    pytest.importorskip("pyarrow", reason="needs the extra data")
    built = ["data", "build", out, "--text", "text", "--label", "label", "-o", str(tmp_path / "corpus")]
    assert run([*built, "--clean.near", "false"]) == 0
    corpus = ottenok.open_corpus(tmp_path / "corpus")
    assert set(corpus.tasks[0].scheme.labels) == {"good", "bad"}
    assert sum(corpus.table(split).num_rows for split in ("train", "validation", "test")) == 60


def test_several_labels_make_a_corpus_of_several(
    session: Callable[..., AbstractContextManager[Session]], tmp_path: Path
) -> None:
    """Lists of labels in CSV and JSON lines become several labels, and none stays none."""
    pytest.importorskip("pyarrow", reason="needs the extra data")
    rows = texts(40)
    with session(rows, labels=("joy", "anger"), several=True) as one:
        for place in range(40):
            one.answer("A", one.key(place), ["joy", "anger"][: place % 3])
        for kind in ("csv", "jsonl"):
            write_answers(one, tmp_path / f"a.{kind}", kind)
    for kind in ("csv", "jsonl"):
        corpus = ottenok.build_corpus(
            str(tmp_path / f"a.{kind}"),
            tmp_path / kind,
            text="text",
            label="label",
            overrides={"clean": {"near": False}},
        )
        assert corpus.tasks[0].scheme.kind == "multi-label"
        found = {
            row["text"]: row["labels"]
            for split in ("train", "validation", "test")
            for row in corpus.table(split).to_pylist()
        }
        assert sorted(map(len, found.values())) == sorted(place % 3 for place in range(40))


def test_hard_errors_of_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No labels, an output without a known format or over the input, unknown labels: exit code 2 and what to do."""
    file = str(write_table(tmp_path / "texts.csv", texts(4)))
    for more, told in (
        ([], "--labels joy"),
        (["--labels", "a"], "two or more"),
        (["--labels", "a,b", "--export"], "-o"),
        (["--labels", "a,b", "--export", "-o", str(tmp_path / "x.docx")], "--output-format"),
        (["--labels", "a,b", "--export", "-o", file], "another one"),
    ):
        assert run(["label", file, "--text", "review", *more]) == 2
        assert told in capsys.readouterr().err
    (tmp_path / "o.jsonl").write_text(json.dumps({"text": "x", "label": ["c"]}), encoding="utf-8")
    assert run(["label", file, "--text", "review", "--labels", "a,b", "--import", str(tmp_path / "o.jsonl")]) == 2
    assert "'c'" in capsys.readouterr().err
