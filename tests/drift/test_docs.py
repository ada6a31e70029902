"""docs/drift.md: its tables are those of the committed result, and its examples run."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
from pathlib import Path

import pytest

from ottenok.cli.main import run

_ROOT = Path(__file__).parents[2]
_PAGE = _ROOT / "docs" / "drift.md"


def test_tables_come_from_results() -> None:
    """What stands between the marks is what the script makes of its result file."""
    pytest.importorskip("pyarrow")
    spec = importlib.util.spec_from_file_location("benchmark_drift", _ROOT / "benchmarks" / "drift.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    result = json.loads((_ROOT / "benchmarks" / "results" / "drift.json").read_text(encoding="utf-8"))
    page = _PAGE.read_text(encoding="utf-8")
    for name, table in script.tables(result).items():
        assert page.split(f"<!-- {name} -->")[1].split(f"<!-- /{name} -->")[0].strip() == table.strip()


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
