"""Tables of the documentation are those of the committed results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts import import_script

_ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("page", "name", "mark"),
    [
        ("audit", "audit", "audit"),
        ("drift", "drift", ""),  # its script names the marks of its tables
        ("explain", "explain", "methods"),
        ("explain", "withheld", "withheld"),
        ("explain", "promise", "promise"),
    ],
)
def test_tables_come_from_results(page: str, name: str, mark: str) -> None:
    """What stands between the marks of a page is what the benchmark's script makes of its result file."""
    for needed in ("pyarrow", "sklearn"):
        pytest.importorskip(needed)
    script = import_script(_ROOT / "benchmarks" / f"{name}.py")
    made = script.tables(json.loads((_ROOT / "benchmarks" / "results" / f"{name}.json").read_text(encoding="utf-8")))
    text = (_ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    for place, table in (made if isinstance(made, dict) else {mark: made}).items():
        assert text.split(f"<!-- {place} -->")[1].split(f"<!-- /{place} -->")[0].strip() == table.strip()
