"""Progress as it is shown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from ottenok.cli.bars import Bars, amount

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Terminal


@pytest.mark.parametrize(
    ("count", "unit", "shown"),
    [
        (12_345, "rows", "12,345"),
        (999, "bytes", "999 B"),
        (1_500, "bytes", "1.5 kB"),
        (2_340_000, "bytes", "2.3 MB"),
        (5_670_000_000, "bytes", "5.67 GB"),
    ],
)
def test_amounts(count: int, unit: str, shown: str) -> None:
    """Counts are grouped by thousands; bytes have the unit that people read."""
    assert amount(count, unit) == shown


def test_notes_stay_and_stages_may_be_left_open(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal notes are plain lines on standard error, brackets and all, and no bar is drawn."""
    bars = Bars()
    bars.start("reading [b]", total=3, unit="rows")
    bars.advance(3)
    bars.note("epoch 1 [red]: 0.5")
    bars.start("writing", total=None, unit="rows")

    shown = capsys.readouterr()
    assert shown.err == "epoch 1 [red]: 0.5\n"
    assert shown.out == ""


def test_a_stage_may_say_more_of_itself(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What a stage has cost so far stands in its lines, and in those of no other stage."""
    monkeypatch.setattr("ottenok.cli.bars._PAUSE", 0.0)
    bars = Bars()
    bars.start("generating", total=4, unit="texts")
    bars.describe("3 requests, 0.01 USD")
    bars.advance(2)
    bars.start("writing", total=None, unit="rows")
    bars.advance()

    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("generating: 2 of 4, ")
    assert first.endswith("minutes left, 3 requests, 0.01 USD")
    assert second.startswith("writing: 1, ")
    assert "USD" not in second


def test_bar_shows_rate_and_ends(tmp_path: Path, terminal: Terminal) -> None:
    """On a terminal a build shows its stages with count and rate, then only the result stays."""
    path = tmp_path / "texts.csv"
    path.write_text(
        "text,label\n" + "".join(f"Текст номер {i} о погоде,{i % 2}\n" for i in range(3_000)), encoding="utf-8"
    )

    shown = terminal(
        ["data", "build", str(path), "--text", "text", "--label", "label", "-o", str(tmp_path / "out")], columns=80
    )

    assert re.search(r"reading texts .*3,000", shown)
    assert "rows/s" in shown
    assert "texts (train" in shown.splitlines()[-2]
