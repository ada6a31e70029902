"""`ottenok classify`, as it is typed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from ottenok.cli.classify import classify
from ottenok.cli.main import run
from ottenok.core.errors import DataError, InputError

if TYPE_CHECKING:
    from pathlib import Path


def call(*arguments: str, given: str | bytes | None = None) -> list[str]:
    """Run the command and return the lines of standard output."""
    result = CliRunner().invoke(classify, list(arguments), input=given, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def test_a_text_gets_one_line(tiny_bundle: Path) -> None:
    """Label, probability and score, divided by tabs."""
    (line,) = call("Какая гадость", "-m", str(tiny_bundle))

    label, probability, score = line.split("\t")
    assert label in {"negative", "neutral", "positive"}
    assert 0.33 <= float(probability) <= 1.0
    assert -1.0 <= float(score) <= 1.0


def test_standard_input_gives_a_line_for_each(tiny_bundle: Path) -> None:
    """One text a line in, one answer a line out, also for blank lines and broken bytes."""
    lines = call("-m", str(tiny_bundle), given="раз\n\r\n".encode() + b"\xff\n" + "раз".encode())

    assert len(lines) == 4
    assert lines[0] == lines[3]
    assert lines[1] == "-\t(nothing to read)"
    assert lines[2] == "-\t(not utf-8)"


def test_json_has_everything(tiny_bundle: Path) -> None:
    """--json writes one object a text, with all probabilities."""
    first, second = (json.loads(line) for line in call("-m", str(tiny_bundle), "--json", given="раз\n\n"))

    assert list(first["probabilities"]) == ["negative", "neutral", "positive"]
    assert (second["label"], second["windows"]) == (None, 0)


def test_a_file_is_classified(tiny_bundle: Path, tmp_path: Path) -> None:
    """A file with a column gives a file, and the counts are told."""
    path, out = tmp_path / "in.csv", tmp_path / "out.csv"
    path.write_text("n;text\n1;раз\n2;\n", encoding="utf-8")

    facts = call(str(path), "--text", "text", "-o", str(out), "-m", str(tiny_bundle), "--json")

    assert json.loads("".join(facts)) == {
        "out": str(out),
        "rows": 1,
        "rejected": {"empty text": 1},
        "rejects": str(tmp_path / "out.csv.rejects.jsonl"),
        "resumed": 0,
        "finished": False,
        "notes": [],
        "form": "csv, utf-8, delimiter ';', quote '\"'",
    }
    assert out.read_text(encoding="utf-8").splitlines()[0].startswith("n;text;predicted_label;")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["reviews.csv"], "is a file: name the column"),
        (["текст", "-o", "out.csv"], "-o needs the column"),
        (["reviews.csv", "--text", "text"], "--text needs an output"),
        (["--text", "text"], "--text needs an output"),
        (["отзывы за июнь.xlsx"], "is a file: name the column"),
        (["/"], "is a folder: name the column"),
        (["./отзывы"], "looks like a path, and there is no such file"),
        (["C:\\Users\\Иван\\отзывы"], "looks like a path"),
        (["/home/иван/отзывы"], "looks like a path"),
        (["хороший", "товар"], "quote a text"),
        (["текст", "--columns", "label"], "--columns needs the column"),
        (["a.csv", "b.csv", "--text", "text", "-o", "c.csv"], "go into a folder"),
        (["a.csv", "b/a.csv", "--text", "text", "-o", "c/"], "would both become"),
        (["a.csv", "b.csv", "--text", "text", "-o", "-"], "standard output takes the answers of one file"),
        (["-", "b.csv", "--text", "text", "-o", "c/"], "read alone"),
        (["-", "--text", "text", "-o", "c/"], "has no name"),
        (["нет-*.csv", "--text", "text", "-o", "c/"], "no file matches"),
        (["a.csv", "--text", "text", "-o", "b.csv", "--output-format", "jsonl"], "--output-format says jsonl"),
    ],
)
def test_what_does_not_go_together_is_refused(arguments: list[str], message: str) -> None:
    """Half a request is refused before a model is loaded, with the way to write it."""
    result = CliRunner().invoke(classify, [*arguments, "-m", "nowhere"])

    assert result.exit_code == 2
    assert message in result.output


def test_errors_reach_the_frame(tiny_bundle: Path, tmp_path: Path) -> None:
    """An error of ours is raised as it is: the frame of the command line shows it."""
    with pytest.raises(DataError, match="no such file"):
        call("in.csv", "--text", "text", "-o", str(tmp_path / "out.csv"), "-m", str(tiny_bundle))


TABLES = {
    "csv": "id,text\n1,хорошо\n2,плохо\n",
    "sep": "sep=;\nn;отзыв\n1;хорошо\n2;плохо\n",
    "one column": "review\nхорошо, да\nплохо\n",
    "array": '[\n {"text": "хорошо"},\n {"text": "плохо"}]',
    "objects": '{\n  "text": "хорошо"\n}\n',
    "lines": '{"text": "хорошо"}\n{"text": "плохо"}\n',
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "windows-1251"])
@pytest.mark.parametrize("name", TABLES)
def test_a_table_on_standard_input_is_not_read_as_lines(tiny_bundle: Path, name: str, encoding: str) -> None:
    """Whatever its kind; the message names --text, and with --lines each line is a text all the same."""
    given = TABLES[name].encode(encoding)
    result = CliRunner().invoke(classify, ["-m", str(tiny_bundle)], input=given)

    assert result.exit_code == 2
    assert "--text COLUMN" in result.output
    lines = call("-m", str(tiny_bundle), "--lines", given=given)
    assert len(lines) == TABLES[name].rstrip("\n").count("\n") + 1


@pytest.mark.parametrize(
    "given",
    [
        "Ищу: хороший; плохой — не надо\nДа, конечно\n",
        "[не текст]\n{x}\n",
        "text\n",
        "отзыв о товаре\nхорошо\n",
        "a,b\nc\n",
    ],
)
def test_lines_that_only_remind_of_a_table_are_texts(tiny_bundle: Path, given: str) -> None:
    """Commas, brackets and a lone word are no table."""
    assert len(call("-m", str(tiny_bundle), given=given)) == given.count("\n")


@pytest.mark.parametrize(
    "start", [b"%PDF-1.4\n", b"\x1f\x8b\x08", b"BZh91AY", b"\xfd7zXZ\0", b"\x7fELF", b"PK\x03\x04", b"\x89PNG"]
)
def test_other_files_are_no_lines(tiny_bundle: Path, start: bytes) -> None:
    """Packed files, documents, pictures and programs."""
    with pytest.raises(DataError, match="not lines of text"):
        call("-m", str(tiny_bundle), given=start + b"\n\x00\x01\xff" * 50)


def test_lines_none_of_which_can_be_read_are_a_failure(tiny_bundle: Path) -> None:
    """Total loss is told at the end, with its reason."""
    given = ("да\n" * 3).encode("cp866")
    with pytest.raises(InputError, match="no line can be read; the commonest reason: not utf-8"):
        call("-m", str(tiny_bundle), "--encoding", "utf-8", given=given)


def test_tables_go_through_pipes(tiny_bundle: Path) -> None:
    """Standard input and output as tables, in the input's format or another; what is left out is told beside it."""
    given = '{"text": "раз"}\n{"text": ""}\n'.encode()
    usual = ["-", "--text", "text", "-o", "-", "-m", str(tiny_bundle), "--columns", "label"]
    result = CliRunner().invoke(classify, usual, input=given)

    assert json.loads(result.stdout) == {"text": "раз", "predicted_label": json.loads(result.stdout)["predicted_label"]}
    assert "row 2, empty text" in result.stderr
    lines = call(*usual, "--output-format", "csv", given=given)
    assert lines[0] == "text,predicted_label"
    assert call(*usual[:-2], given="n;text\n1;раз\n".encode("windows-1251"))[0].startswith("n;text;predicted_label;")


def test_several_files_go_into_a_folder(tiny_bundle: Path, tmp_path: Path) -> None:
    """Named or by a glob, each with its own rejects; one format for all where it is asked for."""
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text('text\nраз\n""\n', encoding="utf-8")
    (tmp_path / "c.json").write_text('[{"text": "раз"}]', encoding="utf-8")
    out = tmp_path / "out"
    usual = [str(tmp_path / "*.csv"), str(tmp_path / "c.json"), "--text", "text", "-m", str(tiny_bundle), "--json"]
    facts = json.loads("".join(call(*usual, "-o", str(out) + "/")))

    assert [(one["rows"], one["out"]) for one in facts] == [
        (1, str(out / name)) for name in ("a.csv", "b.csv", "c.jsonl")
    ]
    assert (out / "b.csv.rejects.jsonl").exists()
    call(*usual, "-o", str(out), "--output-format", "xlsx")
    assert {"a.xlsx", "b.xlsx", "c.xlsx"} <= {path.name for path in out.iterdir()}


def test_the_old_spelling_of_json_is_read(tiny_bundle: Path) -> None:
    """`--format json` does what --json does, and says so."""
    result = CliRunner().invoke(classify, ["раз", "-m", str(tiny_bundle), "--format", "json"])
    assert json.loads(result.stdout)["windows"] == 1
    assert "is now --json" in result.stderr


def test_quiet_and_verbose_may_stand_anywhere(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Quiet tells nothing but faults, verbose also how the file was read; after `--` they are texts."""
    path = tmp_path / "in.csv"
    path.write_text("n;text\n1;раз\n2;\n", encoding="utf-8")
    told = {}
    for name, options in (("quiet", ["-q"]), ("usual", []), ("verbose", ["--verbose"])):
        out = str(tmp_path / f"{name}.csv")
        command = [*options, "classify", str(path), "--text", "text", "-o", out, "-m", str(tiny_bundle)]
        assert run(command) == 0
        told[name] = capsys.readouterr().err

    assert told["quiet"] == ""
    assert "Rows left out, empty text: 1" in told["usual"]
    assert "Read as csv, utf-8, delimiter ';'" in told["verbose"].replace(told["usual"], "")
    assert run(["classify", "нет.csv", "--quiet"]) == 2
    assert "is a file" in capsys.readouterr().err
    assert run(["classify", "-m", str(tiny_bundle), "--", "-q"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("ottenok cla", "plain,classify"),
        ("ottenok classify --precision f", "plain,fp32"),
        ("ottenok classify a", "file,a"),
    ],
)
def test_the_shell_completes(
    words: str, expected: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Commands, values and names of files, by click's own completion."""
    for name, value in (
        ("_OTTENOK_COMPLETE", "bash_complete"),
        ("COMP_WORDS", words),
        ("COMP_CWORD", str(words.count(" "))),
    ):
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as left:
        run([])
    assert left.value.code == 0
    assert expected in capsys.readouterr().out.splitlines()
