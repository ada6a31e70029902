"""Where things are kept, and what packages are kept from."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ottenok.core.errors import MissingExtraError
from ottenok.core.home import cache_home, hub_home, package_home
from ottenok.core.lazy import need


def test_the_cache_is_one_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What the caller says wins over OTTENOK_CACHE, that over XDG_CACHE_HOME, that over the system's folder."""
    monkeypatch.delenv("OTTENOK_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_home().name == "ottenok"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_home() != Path("relative/ottenok")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_home() == tmp_path / "ottenok"
    monkeypatch.setenv("OTTENOK_CACHE", str(tmp_path / "own"))
    assert cache_home() == tmp_path / "own"
    assert cache_home(tmp_path / "given") == tmp_path / "given"


def test_the_hub_s_folder_is_the_hub_s(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is where huggingface_hub itself looks, whatever is set."""
    pytest.importorskip("huggingface_hub")
    code = "from huggingface_hub.constants import HF_HUB_CACHE; print(HF_HUB_CACHE)"
    for name in ("HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME"):
        for other in ("HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME"):
            monkeypatch.delenv(other, raising=False)
        monkeypatch.setenv(name, str(tmp_path / name))
        theirs = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        assert hub_home() == Path(theirs.strip())


def test_nothing_imports_onnxruntime_but_the_one_way() -> None:
    """No module has an import of onnxruntime of its own: telemetry must be off before the first one."""
    pattern = re.compile(r"^\s*(?:import onnxruntime|from onnxruntime)\b", re.MULTILINE)

    assert [str(file) for file in package_home().rglob("*.py") if pattern.search(file.read_text("utf-8"))] == []


def test_telemetry_is_off_before_the_first_import() -> None:
    """The variables are set when a package is asked for, and what the user has set stays."""
    code = (
        "import os; from ottenok.core.lazy import onnxruntime; onnxruntime()\n"
        "print(os.environ['ORT_DISABLE_TELEMETRY'], os.environ['MLFLOW_DISABLE_TELEMETRY'])"
    )
    environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "mine"}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)

    assert done.stdout.split() == ["1", "mine"]


def test_a_missing_extra_is_named() -> None:
    """An import that fails inside `need` says pip's line."""
    with pytest.raises(MissingExtraError, match="no_such_package") as caught, need("train"):
        import no_such_package  # type: ignore[import-not-found] # noqa: F401
    assert caught.value.hint == 'Install it with: pip install "ottenok[train]"'
