"""`ottenok classify`, as it is typed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from ottenok.cli.classify import classify
from ottenok.core.errors import DataError

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
