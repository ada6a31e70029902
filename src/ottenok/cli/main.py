"""The command `ottenok`: finds the command asked for, loads only that, and shows errors without a traceback.

Exit codes: 0 done; 1 a fault of ottenok; 2 something that the user can mend; 130 stopped with Ctrl-C.
"""

from __future__ import annotations

import os
import sys

import click

from ottenok import __version__
from ottenok.cli.lazy import LazyGroup
from ottenok.core.errors import OttenokError

__all__ = ["cli", "main", "run"]

_COMMANDS = {
    "classify": ("ottenok.cli.classify:classify", "Label a text, lines from standard input, or a whole file."),
    "data": ("ottenok.cli.data.group:data", "Data sets, and corpora made of them."),
    "evaluate": ("ottenok.cli.evaluate:evaluate", "Measure a classifier beside its baselines."),
    "export": ("ottenok.cli.export:export", "Write a classifier as ONNX, in full and in int8."),
    "train": ("ottenok.cli.train:train", "Train a classifier from a recipe."),
}


@click.group(cls=LazyGroup, commands_at=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ottenok")
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
def cli() -> None:
    """Sentiment and emotions in Russian and Chinese texts."""


def main() -> None:
    """Run the command line and leave with its exit code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run the command line in this process and return its exit code; `main` without the end of the process."""
    try:
        code = cli.main(arguments, prog_name="ottenok", standalone_mode=False)
        sys.stdout.flush()
    except OttenokError as error:
        if "--debug" in arguments:
            raise
        return _fail(error)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Stopped. Nothing half-written was left behind.", err=True)
        return 130
    except BrokenPipeError:
        # The reader has gone (`| head`); what Python would still flush goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code if isinstance(code, int) else 0


def _fail(error: OttenokError) -> int:
    where = f"{error.where}: " if error.where else ""
    click.echo(f"{click.style('Error:', fg='red', bold=True)} {where}{error.message}", err=True)
    if error.hint:
        click.echo(error.hint, err=True)
    return 2
