"""What the README promises is run."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ottenok.cli.main import run
from ottenok.core.config import parse
from ottenok.data.card import card_names
from ottenok.recipes.corpus import CorpusRecipe

_ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```(bash|python|console|toml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CONSOLE = re.compile(r"^\$ (ottenok .*)$", re.MULTILINE)
_SET_UP = re.compile(r"^python3 -m venv ")


def _blocks(name: str) -> list[tuple[str, str]]:
    return _BLOCK.findall((_ROOT / name).read_text(encoding="utf-8"))


def _runnable() -> list[tuple[str, str]]:
    # The two set-up commands make virtual environments; `.ci/run` runs them word for word.
    return [
        (kind, code) for kind, code in _blocks("README.md") if kind in ("bash", "python") and not _SET_UP.match(code)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the examples, where the blocks run one after the other, as a reader would run them."""
    folder = tmp_path_factory.mktemp("reader")
    shutil.copytree(_ROOT / "examples", folder / "examples")
    return folder


@pytest.mark.parametrize(("kind", "code"), _runnable(), ids=lambda value: value.strip().splitlines()[0][:60])
def test_block_runs(kind: str, code: str, folder: Path) -> None:
    """Every other code block of the README runs without an error, in order."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    command = ["bash", "-euo", "pipefail", "-c", code] if kind == "bash" else [sys.executable, "-c", code]

    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


@pytest.mark.train
def test_console_commands_run_with_a_tiny_encoder(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Training, evaluation and classification run as the README shows them, with a tiny encoder of the same family."""
    tiny = importlib.import_module("tiny_encoders").tiny_encoder(
        folder / "tiny", sizes={"max_position_embeddings": 512}
    )
    commands = _CONSOLE.findall((_ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(commands) == 5
    monkeypatch.chdir(folder)
    # In this process, where torch is there already: the program itself is what the blocks above run.
    for command in commands:
        _, *arguments = shlex.split(command.replace("cointegrated/rubert-tiny2", str(tiny)))
        assert run(arguments) == 0, capsys.readouterr().err
    assert len((folder / "labelled-tiny.csv").read_text(encoding="utf-8").splitlines()) == 53


def test_toml_blocks_are_corpus_recipes() -> None:
    """Every TOML block is a corpus recipe without unknown keys, made of cards that exist."""
    text = (_ROOT / "README.md").read_text(encoding="utf-8")
    recipes = [
        parse(CorpusRecipe, tomllib.loads(code)) for code in re.findall(r"^```toml\n(.*?)^```$", text, re.M | re.S)
    ]

    assert recipes
    assert all(spec.card in card_names() for recipe in recipes for spec in recipe.sources if spec.card)


def test_both_languages_show_the_same_code() -> None:
    """README.ru.md has the same code blocks, comments aside, in the same order."""

    def bare(blocks: list[tuple[str, str]]) -> list[list[str]]:
        return [[re.sub(r"\s*#.*", "", line) for line in code.splitlines()] for _, code in blocks]

    assert bare(_blocks("README.md")) == bare(_blocks("README.ru.md"))


def test_there_are_two_set_up_commands() -> None:
    """The README has exactly two set-up commands, one line each."""
    set_up = [code for _, code in _blocks("README.md") if _SET_UP.match(code)]

    assert len(set_up) == 2
    assert all(code.count("\n") == 1 for code in set_up)


def test_paths_named_in_the_architecture_exist() -> None:
    """Every path under src, recipes or tests that docs/ARCHITECTURE.md names exists."""
    text = (_ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
    paths = set(re.findall(r"`((?:src|recipes|tests|benchmarks|docs|examples)/[\w./-]+)`", text))

    assert paths
    assert [path for path in sorted(paths) if not (_ROOT / path).exists()] == []
