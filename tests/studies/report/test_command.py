"""`ottenok report` on the command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from click.testing import CliRunner

from ottenok.cli.main import run
from ottenok.cli.report import report

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from tests.report.conftest import Run


def test_a_report_is_written_and_its_texts_are_announced(
    one_label: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without -o it goes to MODEL-report in the working directory; nothing is printed on standard output."""
    monkeypatch.chdir(tmp_path)
    options = ["--data", str(one_label.corpus), "--resamples", "0", "--mistakes", "2", "--title", "Наш отчёт"]
    found = CliRunner().invoke(report, [str(one_label.folder), *options], catch_exceptions=False)

    assert found.exit_code == 0
    assert found.stdout == ""
    assert "Written to run-report/report.html" in found.stderr.replace("\\", "/")
    assert "contains texts of the data" in found.stderr
    assert "<title>Наш отчёт</title>" in (tmp_path / "run-report" / "report.html").read_text(encoding="utf-8")


def test_mistakes_can_be_left_out(one_label: Run, tmp_path: Path) -> None:
    """With --mistakes 0 no text of the data is on the page; --json writes its numbers to standard output."""
    options = [
        "--data",
        str(one_label.corpus),
        "--resamples",
        "0",
        "--mistakes",
        "0",
        "-o",
        str(tmp_path / "out"),
        "--json",
    ]
    found = CliRunner().invoke(report, [str(one_label.folder), *options], catch_exceptions=False)

    assert found.exit_code == 0
    assert "contains texts" not in found.stderr
    numbers = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert json.loads(found.stdout).items() >= {**numbers, "page": str(tmp_path / "out" / "report.html")}.items()
    assert "заливная" not in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_a_mistake_of_the_user_has_no_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that is no model: one line that names it, and exit code 2."""
    assert run(["report", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("Error: ")
