"""The tables of docs/explain.md are those of the committed results."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("name", "mark"), [("explain", "methods"), ("withheld", "withheld"), ("promise", "promise")])
def test_tables_come_from_results(name: str, mark: str) -> None:
    """What stands between the marks is what the script makes of its result file."""
    pytest.importorskip("pyarrow")
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", _ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    result = json.loads((_ROOT / "benchmarks" / "results" / f"{name}.json").read_text(encoding="utf-8"))

    page = (_ROOT / "docs" / "explain.md").read_text(encoding="utf-8")
    found = page.split(f"<!-- {mark} -->")[1].split(f"<!-- /{mark} -->")[0]
    assert found.strip() == script.tables(result).strip()
