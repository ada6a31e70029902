"""The blocks of docs/in-your-code.md run."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs" / "in-your-code.md").read_text("utf-8"), re.M | re.S)


@pytest.mark.filterwarnings("ignore")  # what other libraries say of each other is not the docs' subject
@pytest.mark.parametrize("code", BLOCKS, ids=lambda code: re.findall(r"^(?:from|import) ([\w.]+)", code, re.M)[-1])
def test_block_runs(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The block runs in a folder with the examples, as it stands."""
    for name in re.findall(r"^(?:from|import) (\w+)", code, re.M):
        pytest.importorskip(name)
    if "nlp.add_pipe" in code:
        import ottenok.spacy

        assert ottenok.spacy.Component  # an installed ottenok is found without it
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("browser"))
    monkeypatch.chdir(tmp_path)

    exec(compile(code, "docs/in-your-code.md", "exec"), {})
