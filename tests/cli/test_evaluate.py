"""`ottenok evaluate` on the command line."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from ottenok.cli.evaluate import evaluate
from ottenok.core.errors import ConfigError
from toys import fake_classifier

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a file of labelled rows; models are the fake one."""
    monkeypatch.setattr(
        "ottenok.inference.api.load", lambda _model, read, **_options: fake_classifier(read=read or "all")
    )
    path = tmp_path / "rows.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        rows = [("хороший день", "positive"), ("плохой день", "negative"), ("день", "neutral"), ("", "neutral")]
        csv.writer(stream).writerows([("text", "label"), *rows])
    return path


def _run(*arguments: str) -> str:
    found = CliRunner().invoke(evaluate, list(arguments), catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.stdout


def test_tables_are_printed(file: Path) -> None:
    """The label table, the systems with intervals, and what was left out."""
    out = _run("MODEL", str(file))

    assert out.splitlines()[0] == "fake on rows.csv"
    assert [line.split("  ")[0] for line in out.splitlines()[3:8]] == [
        "precision",
        "recall",
        "f1-score",
        "auc-roc",
        "support",
    ]
    assert "macro F1" in out
    assert "Rows left out, empty text: 1." in out


def test_json_is_printed(file: Path) -> None:
    """With --json the output is one JSON object and nothing else."""
    tree = json.loads(_run("MODEL", str(file), "--json", "--resamples", "10"))

    assert tree["reports"][0]["system"] == "fake"
    assert tree["reports"][0]["resamples"] == 10


@pytest.mark.parametrize(("name", "begin"), [("r.json", "{"), ("r.md", "## fake on"), ("r.txt", "fake on")])
def test_the_suffix_of_the_file_says_its_form(file: Path, tmp_path: Path, name: str, begin: str) -> None:
    """-o writes JSON, Markdown or plain text, and prints nothing else."""
    assert _run("MODEL", str(file), "-o", str(tmp_path / name)) == ""

    assert (tmp_path / name).read_text(encoding="utf-8").startswith(begin)


def test_a_seed_below_zero_is_refused(file: Path) -> None:
    """Options out of range are refused before anything is read."""
    found = CliRunner().invoke(evaluate, ["MODEL", str(file), "--seed", "-1"])

    assert found.exit_code == 2
    assert "--seed" in found.stderr


def test_noise_is_one_more_table(file: Path) -> None:
    """--noise and --emoji can be given several times; the JSON has the same; wrong ones are refused."""
    arguments = (
        "MODEL",
        str(file),
        "--resamples",
        "10",
        "--noise",
        "asr:0.3",
        "--noise",
        "case:1",
        "--emoji",
        "remove",
    )

    out = _run(*arguments)

    assert "fake on rows.csv: under noise" in out
    assert [name for name in ("clean", "asr:0.3", "case:1", "emoji remove") if f"\n{name}  " in out] == [
        "clean",
        "asr:0.3",
        "case:1",
        "emoji remove",
    ]
    assert len(json.loads(_run(*arguments, "--json"))["under_noise"]) == 4
    with pytest.raises(ConfigError, match="there is no noise 'asrr'"):
        _run("MODEL", str(file), "--noise", "asrr:0.3")


def test_what_is_read_can_be_decided(file: Path) -> None:
    """Long texts are read whole or by their ends, which gives other figures; those are not kept in the model's card."""
    with file.open("w", encoding="utf-8", newline="") as stream:
        rows = [(f"{number} " * 60, ("positive", "negative", "neutral")[number % 3]) for number in range(60)]
        csv.writer(stream).writerows([("text", "label"), *rows])
    found = {}
    for read in ("all", "end"):
        result = CliRunner().invoke(evaluate, ["default", str(file), "--read", read, "--json"])
        assert result.exit_code == 0, result.output
        found[read] = json.loads(result.stdout)["reports"][0]["confusion"]
    assert found["all"] != found["end"]
    refused = CliRunner().invoke(evaluate, ["default", str(file), "--read", "end", "--record"])
    assert refused.exit_code == 2
    assert "leave --read out" in refused.output
