"""The command `ottenok`: finds the command asked for, loads only that, and shows errors without a traceback.

Exit codes: 0 done; 1 a fault of ottenok; 2 something that the user can mend; 130 stopped with Ctrl-C.
"""

from __future__ import annotations

import os
import sys

import click

from ottenok.cli.lazy import LazyGroup
from ottenok.core.errors import OttenokError
from ottenok.core.version import __version__

__all__ = ["cli", "main", "run"]

_COMMANDS = {
    "classify": ("ottenok.cli.classify:classify", "Label a text, lines from standard input, or a whole file."),
    "compare": ("ottenok.cli.compare:compare", "Put trained classifiers side by side, with paired tests."),
    "data": ("ottenok.cli.data.group:data", "Data sets, and corpora made of them."),
    "evaluate": ("ottenok.cli.evaluate:evaluate", "Measure a classifier beside its baselines."),
    "export": ("ottenok.cli.export:export", "Write a classifier as ONNX, in full and in int8."),
    "generate": ("ottenok.cli.generate:generate", "Have a language model write examples of rare labels."),
    "search": ("ottenok.cli.search:search", "Look for a better recipe by trials."),
    "study": ("ottenok.cli.study:study", "Train every arm of a recipe with every seed, and compare them."),
    "report": ("ottenok.cli.report:report", "Write a model's plots, tables and mistakes as one HTML page."),
    "train": ("ottenok.cli.train:train", "Train a classifier from a recipe."),
    "tune": ("ottenok.cli.tune:tune", "Fit a classifier's temperature and thresholds anew."),
}


@click.group(
    cls=LazyGroup,
    commands_at=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 2 something you can mend, 1 a fault of ottenok, 130 stopped with Ctrl-C.",
)
@click.version_option(__version__, prog_name="ottenok")
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
def cli() -> None:
    """Sentiment and emotions in Russian and Chinese texts."""


def main() -> None:
    """Run the command line and leave with its exit code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run the command line in this process and return its exit code; `main` without the end of the process."""
    arguments, debug = _take_debug(arguments)
    try:
        code = cli.main(arguments, prog_name="ottenok", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Stopped.", err=True)
        return 130
    except BrokenPipeError:
        # The reader has gone (`| head`); what Python would still flush goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if debug:
            raise
        return _fail(error)
    return code if isinstance(code, int) else 0


def _take_debug(arguments: list[str]) -> tuple[list[str], bool]:
    """Take `--debug` out, wherever it stands before a `--`: nobody should have to know where it belongs."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options = [argument for argument in arguments[:end] if argument != "--debug"]
    return options + arguments[end:], len(options) < end


def _fail(error: Exception) -> int:
    """Tell what happened and what to do next; return the exit code."""
    if isinstance(error, OttenokError):
        return _tell(error.message, where=error.where, hint=error.hint)
    if isinstance(error, OSError) and error.strerror:
        return _tell(error.strerror, where=error.filename, hint="Check the path, its permissions and the disk's space.")
    _tell(
        f"{type(error).__name__}: {error}",
        where=None,
        hint="This is a fault of ottenok. The same command with --debug shows where it is.",
    )
    return 1


def _tell(message: str, *, where: object, hint: str | None) -> int:
    place = f"{where}: " if where else ""
    click.echo(f"{click.style('Error:', fg='red', bold=True)} {place}{message}", err=True)
    if hint:
        click.echo(hint, err=True)
    return 2
