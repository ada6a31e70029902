"""The public names and what importing them costs."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import ottenok

_HEAVY = ("numpy", "torch", "pyarrow", "onnxruntime", "tokenizers", "pydantic", "tqdm", "click")


def test_import_loads_nothing_heavy() -> None:
    """`import ottenok` imports none of its dependencies."""
    code = f"import sys, ottenok; print([name for name in {_HEAVY!r} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert answer.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ottenok.__all__)
def test_every_public_name_exists(name: str) -> None:
    """Every name in `__all__` can be had, and `dir` lists it."""
    assert getattr(ottenok, name) is not None
    assert name in dir(ottenok)


def test_unknown_name_is_an_attribute_error() -> None:
    """A name that ottenok does not have raises AttributeError, as for any module."""
    with pytest.raises(AttributeError, match="no attribute 'lodd'"):
        _ = ottenok.lodd  # type: ignore[attr-defined]


def test_type_checkers_see_the_same_names() -> None:
    """The names imported for type checkers are exactly the lazy ones, from the same modules."""
    tree = ast.parse(Path(ottenok.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}

    assert seen == ottenok._HOMES
    assert {*seen, "__version__"} == set(ottenok.__all__)


def test_every_module_lists_what_it_exports() -> None:
    """Each name in a module's `__all__` exists in it (torch modules are covered by their own tests)."""
    root = Path(ottenok.__file__).parent
    for path in root.rglob("*.py"):
        room = path.relative_to(root).parts[0]
        if room in {"models", "training", "export", "cli"} or path.name == "__main__.py":
            continue
        name = ".".join(("ottenok", *path.relative_to(root).with_suffix("").parts)).removesuffix(".__init__")
        module = importlib.import_module(name)
        for exported in getattr(module, "__all__", ()):
            assert hasattr(module, exported), f"{name} lists {exported}"
