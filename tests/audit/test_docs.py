"""The tables of docs/audit.md are those of the committed results."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]


def test_tables_come_from_results() -> None:
    """What stands between the marks is what the script makes of its result file."""
    pytest.importorskip("sklearn")
    spec = importlib.util.spec_from_file_location("benchmark_audit", _ROOT / "benchmarks" / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    result = json.loads((_ROOT / "benchmarks" / "results" / "audit.json").read_text(encoding="utf-8"))

    page = (_ROOT / "docs" / "audit.md").read_text(encoding="utf-8")
    found = page.split("<!-- audit -->")[1].split("<!-- /audit -->")[0]
    assert found.strip() == script.tables(result).strip()
