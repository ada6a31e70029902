"""docs/drift.md: its examples run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from ottenok.cli.main import run

if TYPE_CHECKING:
    import pytest

_ROOT = Path(__file__).parents[2]
_PAGE = _ROOT / "docs" / "drift.md"


def test_examples_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command and each block of Python does what it says, from the repository's folder."""
    monkeypatch.chdir(_ROOT)
    blocks = re.findall(r"```(bash|python)\n(.*?)```", _PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, object] = {}
    for kind, code in blocks:
        if kind == "python":
            exec(code.replace("found =", "import ottenok\nfound ="), names)
            continue
        for line in code.splitlines():
            assert run(shlex.split(line)[1:]) == 0
    assert "No alarm." in capsys.readouterr().out
