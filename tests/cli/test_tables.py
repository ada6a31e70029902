"""Tables of users through the doors of the command line: the same options everywhere."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ottenok import open_corpus
from ottenok.cli.main import run

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

ROWS = [
    ("Отличный магазин, всё пришло вовремя", "5"),
    ("Ужасное качество, порвалось в первый день", "1"),
    ("Заказ номер пять, доставка в среду", "3"),
    ("Очень доволен покупкой, рекомендую", "5"),
    ("Деньги на ветер, не берите", "1"),
]


def _bare(path: Path) -> Path:
    path.write_text("".join(f'"{n}";"{text}";"{mark}"\n' for n, (text, mark) in enumerate(ROWS)), encoding="cp1251")
    return path


def _told(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_a_file_without_header_goes_in_at_every_door(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Positions, an encoding that is found out, and stars that are a sentiment, with the same options."""
    file = str(_bare(tmp_path / "a.csv"))
    columns = ["--no-header", "--text", "1"]
    labelled = [*columns, "--label", "2"]

    built = ["data", "build", file, *labelled, "--scheme", "sentiment-3", "-o", str(tmp_path / "c"), "--json"]
    assert run(built) == 0
    corpus = open_corpus(tmp_path / "c")
    found = {row["text"]: row["labels"] for row in corpus.table().to_pylist()}
    assert found == {text: [{"5": "positive", "3": "neutral", "1": "negative"}[mark]] for text, mark in ROWS}
    assert "5 = positive" in capsys.readouterr().err

    assert run(["evaluate", "default", file, *labelled, "--no-baselines", "--resamples", "0", "--json"]) == 0
    assert '"support": 2' in json.dumps(_told(capsys))
    assert run(["tune", "default", file, *labelled, "--dry-run", "--json"]) == 0
    capsys.readouterr()

    assert run(["classify", file, *columns, "-o", str(tmp_path / "out.csv")]) == 0
    lines = (tmp_path / "out.csv").read_bytes().decode("cp1251").splitlines()
    assert [line.split(";")[3] for line in lines] == ["positive", "negative", "neutral", "positive", "negative"]


def test_a_position_of_a_file_with_header_names_the_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No door eats the first row."""
    file = str(_bare(tmp_path / "a.csv"))
    for command in (
        ["data", "build", file, "--text", "2", "--label", "3", "-o", str(tmp_path / "c")],
        ["evaluate", "default", file, "--text", "2", "--label", "3"],
        ["classify", file, "--text", "2", "-o", str(tmp_path / "o.csv")],
    ):
        assert run(command) == 2
        assert "--no-header" in capsys.readouterr().err


def test_one_label_is_dropped_at_every_door(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--label-map junk=` needs no other label named; without it the option is named."""
    file = tmp_path / "a.csv"
    lines = [f'"{text}",{"junk" if mark == "3" else {"5": "Позитив", "1": "Негатив"}[mark]}' for text, mark in ROWS]
    file.write_text("\n".join(["text,label", *lines]), encoding="utf-8")
    doors = {
        "build": ["data", "build", str(file), "--text", "text", "--label", "label", "--scheme", "sentiment-3"],
        "evaluate": ["evaluate", "default", str(file), "--no-baselines", "--resamples", "0"],
        "tune": ["tune", "default", str(file), "--dry-run"],
    }
    for name, command in doors.items():
        out = ["-o", str(tmp_path / "c")] if name == "build" else []
        assert run([*command, *out]) == 2
        assert "--label-map junk=" in capsys.readouterr().err
        assert run([*command, *out, "--label-map", "junk=", "--json"]) == 0
        capsys.readouterr()
    assert open_corpus(tmp_path / "c").table().num_rows == 4
