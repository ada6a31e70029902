"""What the command line says where torch is not installed."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

_HIDDEN = """
import sys

class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "transformers", "accelerate"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hide())
from ottenok.cli.main import run
sys.exit(run(sys.argv[1:]))
"""


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _HIDDEN, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("arguments", [["no-such-recipe"], ["default", "--optim.lrr", "1"], ["default"]])
def test_training_asks_for_torch_first(tmp_path: Path, arguments: list[str]) -> None:
    """Whatever else is wrong, what is missing is said first, with the command that brings it; nothing is written."""
    ended = _run(tmp_path, "train", *arguments, "-o", "out")

    assert ended.returncode == 2
    assert "needs the package 'torch'" in ended.stderr
    assert "ottenok[train]" in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_tuning_needs_no_torch(tmp_path: Path) -> None:
    """`ottenok tune` gets as far as the folder that is not there."""
    ended = _run(tmp_path, "tune", "nowhere", "rows.csv")

    assert ended.returncode == 2
    assert "there is no such folder" in ended.stderr
