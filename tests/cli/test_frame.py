"""The command line as a whole: help, unknown names, errors and exit codes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import click
import pytest

from ottenok import __version__
from ottenok.cli.main import cli, run
from ottenok.core.errors import OttenokError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_HEAVY = ("numpy", "pyarrow", "onnxruntime", "tokenizers", "torch", "transformers", "pydantic", "tqdm")


def test_help_imports_nothing_heavy() -> None:
    """`ottenok --help` imports none of the heavy packages."""
    code = (
        "import sys; from ottenok.cli.main import run; run(['--help']); "
        f"print('loaded:', [name for name in {_HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "loaded: []"


def _leaves(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    with group.make_context("ottenok", ["--help"], resilient_parsing=True) as context:
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            if isinstance(command, click.Group):
                yield from _leaves(command, (*path, name))
            else:
                yield (*path, name), command


def test_every_listed_command_exists_and_has_json() -> None:
    """Each command of the tables can be imported, and has help and the shared `--json`, but for those that serve."""
    commands = dict(_leaves(cli))

    assert {("classify",), ("train",), ("report",), ("data", "stats")} <= set(commands)
    assert [path for path, command in commands.items() if not command.help] == []
    options = {path: [name for one in command.params for name in one.opts] for path, command in commands.items()}
    assert [path for path, names in options.items() if "--json" not in names] == [("serve",)]
    assert [path for path, names in options.items() if "--format" in names] == [("classify",)]


def test_module_runs_as_the_command() -> None:
    """`python -m ottenok --version` prints the version."""
    done = subprocess.run([sys.executable, "-m", "ottenok", "--version"], capture_output=True, text=True, check=True)

    assert __version__ in done.stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["dat"], "Did you mean 'data'?"),
        (["data", "buidl"], "Did you mean 'build'?"),
        (["data", "info", "cedar"], "Did you mean 'cedr'?"),
        (["data", "list", "--jsn"], "Did you mean '--json'?"),
        (["data", "build", "sentiment-unoin", "-o", "x"], "Did you mean 'sentiment-union'?"),
        (["data", "build", "x.csv"], "--out"),
        (["data", "stats", "nowhere"], "there is no such folder"),
    ],
)
def test_mistake_is_named(arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A user's mistake ends with code 2 and says what to do, on standard error, without a traceback."""
    assert run(arguments) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert expected in err
    assert "Traceback" not in err


def test_debug_shows_the_traceback() -> None:
    """With --debug the same mistake shows where it was noticed."""
    command = [sys.executable, "-m", "ottenok", "--debug", "data", "info", "cedar"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "Traceback" in done.stderr


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_debug_may_stand_anywhere(place: int) -> None:
    """--debug is taken wherever it stands."""
    arguments = ["data", "info", "cedar"]

    with pytest.raises(OttenokError, match="cedar"):
        run([*arguments[:place], "--debug", *arguments[place:]])


def test_what_the_system_refuses_is_a_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A place that can't be written to is named, without a traceback."""
    (tmp_path / "file").write_text("text,label\nхорошо,1\nплохо,0\n", encoding="utf-8")
    table = [str(tmp_path / "file"), "--text", "text", "--label", "label"]

    assert run(["data", "build", *table, "-o", str(tmp_path / "file" / "below")]) == 2

    err = capsys.readouterr().err
    assert str(tmp_path / "file") in err
    assert "Traceback" not in err


def test_fault_is_told_as_one(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A fault of ottenok ends with code 1 and one line, not with a traceback."""

    def _broken(ctx: object) -> None:
        raise KeyError("weights")

    monkeypatch.setattr(cli, "invoke", _broken)

    assert run(["data", "list"]) == 1
    err = capsys.readouterr().err
    assert "KeyError: 'weights'" in err
    assert "--debug" in err
    assert "Traceback" not in err


def test_closed_pipe_is_quiet(tmp_path: Path) -> None:
    """A reader that goes away, as `head` does, is no error, however much was to come."""
    code = "import click, sys; from ottenok.cli.main import cli, run; "
    code += "cli.invoke = lambda ctx: [click.echo('x' * 1000) for _ in range(10_000)]; sys.exit(run(['data', 'list']))"
    command = f'{sys.executable} -c "{code}" | head -c 10'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)

    assert done.stdout == "x" * 10
    assert done.stderr == ""


def test_interrupt_ends_kindly(tmp_path: Path) -> None:
    """Ctrl-C ends a build with code 130, a line, and nothing half-written."""
    table = tmp_path / "texts.csv"
    table.write_text(
        "text,label\n" + "".join(f"Текст номер {i} о погоде,{i % 2}\n" for i in range(400_000)), encoding="utf-8"
    )
    command = [sys.executable, "-m", "ottenok", "data", "build", str(table), "--text", "text", "--label", "label"]
    process = subprocess.Popen(
        [*command, "-o", str(tmp_path / "corpus")],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"LANG": "C.UTF-8"},
    )
    # Its temporary folder shows that it is at work.
    while process.poll() is None and not any(path.is_dir() for path in tmp_path.iterdir()):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()

    assert process.returncode == 130
    assert "Stopped" in err
    assert "Traceback" not in err
    assert [path.name for path in tmp_path.iterdir()] == ["texts.csv"]
