"""The command `ottenok`: finds the command asked for, loads only that, and shows errors without a traceback.

Exit codes: 0 done; 1 a fault of ottenok; 2 something that the user can mend; 3 an alarm of `drift`; 130 stopped with
Ctrl-C.
"""

from __future__ import annotations

import atexit
import errno
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path

import click

from ottenok.cli.lazy import LazyGroup
from ottenok.cli.screen import harmless, set_verbosity, tell, tolerate
from ottenok.core.errors import OttenokError
from ottenok.core.lazy import no_telemetry
from ottenok.core.version import __version__

__all__ = ["cli", "main", "run"]

_COMMANDS = {
    "audit": ("ottenok.cli.audit:audit", "Find the rows of labelled data that are probably wrong."),
    "classify": ("ottenok.cli.classify:classify", "Label a text, lines from standard input, or a whole file."),
    "compare": ("ottenok.cli.compare:compare", "Put trained classifiers side by side, with paired tests."),
    "compress": ("ottenok.cli.compress:compress", "Make a classifier smaller, and say what each step costs."),
    "data": ("ottenok.cli.data:data", "Data sets, and corpora made of them."),
    "distil": ("ottenok.cli.distil:distil", "Train a small classifier on what larger ones think."),
    "drift": ("ottenok.cli.drift:drift", "Say what has changed from one set of texts to another."),
    "evaluate": ("ottenok.cli.evaluate:evaluate", "Measure a classifier beside its baselines."),
    "explain": ("ottenok.cli.explain:explain", "Show which words of a text its answer comes from."),
    "export": ("ottenok.cli.export:export", "Write a classifier as ONNX, in full and in int8."),
    "generate": ("ottenok.cli.generate:generate", "Have a language model write examples of rare labels."),
    "label": ("ottenok.cli.label:label", "Label texts on a page, the most useful ones first."),
    "search": ("ottenok.cli.search:search", "Look for a better recipe by trials."),
    "serve": ("ottenok.cli.serve:serve", "Answer over HTTP, in the formats that existing clients speak."),
    "shares": ("ottenok.cli.shares:shares", "Say which shares of texts truly have each label."),
    "study": ("ottenok.cli.study:study", "Train every variant of a recipe with every seed, and compare them."),
    "report": ("ottenok.cli.report:report", "Write a model's plots, tables and mistakes as one HTML page."),
    "train": ("ottenok.cli.train:train", "Train a classifier from a recipe."),
    "tune": ("ottenok.cli.tune:tune", "Fit a classifier's temperature and thresholds anew."),
}

_QUIETER, _LOUDER = frozenset({"-q", "--quiet"}), frozenset({"-v", "--verbose"})
# What libraries are kept from telling because ottenok tells it itself; plots become files and need no display.
_QUIET = {
    "TRANSFORMERS_VERBOSITY": "error",
    "MPLBACKEND": "agg",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    # Looks into every installed package for plugins, before the first table is read.
    "PYDANTIC_DISABLE_PLUGINS": "__all__",
}


@click.group(
    cls=LazyGroup,
    commands_at=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 2 something you can mend, 3 an alarm of drift, 1 a fault of ottenok, 130 stopped with "
    "Ctrl-C.",
)
@click.version_option(__version__, prog_name="ottenok")
@click.option("-q", "--quiet", is_flag=True, expose_value=False, help="Tell nothing but faults; may stand anywhere.")
@click.option("-v", "--verbose", is_flag=True, expose_value=False, help="Tell how things are read; may stand anywhere.")
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error; may stand anywhere.")
def cli() -> None:
    """Sentiment and emotions in Russian and Chinese texts."""


def main() -> None:
    """Run the command line and leave with its exit code."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the shell: `>&-`
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - for as long as it runs
    tolerate(sys.stdout, sys.stderr)
    for variable, value in _QUIET.items():
        os.environ.setdefault(variable, value)
    no_telemetry()
    code = run(sys.argv[1:])
    if threading.active_count() == 1:
        # Taking the models in memory apart, table by table, would take a fifth of a short command's time.
        atexit._run_exitfuncs()  # noqa: SLF001 - there is no other way to ask for them
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run the command line in this process and return its exit code; `main` without the end of the process."""
    # Nobody should have to know where these belong: they are taken wherever they stand before a `--`.
    end = arguments.index("--") if "--" in arguments else len(arguments)
    debug = "--debug" in arguments[:end]
    quiet, verbose = _QUIETER.intersection(arguments[:end]), _LOUDER.intersection(arguments[:end])
    set_verbosity(-1 if quiet else 1 if verbose else 0)
    options = [argument for argument in arguments[:end] if argument not in {"--debug", *_QUIETER, *_LOUDER}]
    try:
        given = options + arguments[end:]
        for place, argument in enumerate(given):
            # An argument that the locale (LC_ALL=C) could not read is UTF-8; names of files stay as they are.
            raw = os.fsencode(argument) if any("\ud800" <= letter <= "\udfff" for letter in argument) else b""
            if raw and not os.path.lexists(raw):
                try:
                    given[place] = raw.decode("utf-8")
                except UnicodeDecodeError:
                    raise click.UsageError(
                        f"the argument {argument!r} is not UTF-8, and no file has this name. Convert it, or put it "
                        "into a file."
                    ) from None
        code = cli.main(given, prog_name="ottenok", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        if context is not None:
            tell(f"{context.get_usage()}\nTry '{context.command_path} --help' for help.\n")
        tell(error.format_message(), fault=True)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        tell("Stopped.")
        return 130
    except BrokenPipeError:
        # The reader has gone (`| head`); what Python would still flush goes nowhere.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):
            os.dup2(nowhere, stream.fileno())
        return 0
    except Exception as error:
        if debug:
            raise
        # What happened, and what to do next.
        if isinstance(error, OttenokError):
            exit_code, where, message, hint = 2, error.where, error.message, error.hint
        elif isinstance(error, UnicodeEncodeError) and error.encoding in {"ascii", sys.getfilesystemencoding()}:
            exit_code, where = 2, ""
            message = f"this system's encoding ({error.encoding}) can't name the file {error.object!r}"
            hint = "Set the locale, for example LC_ALL=C.UTF-8, or PYTHONUTF8=1."
        elif isinstance(error, OSError) and (error.strerror or error.errno):
            exit_code, where, message = 2, str(error.filename or ""), error.strerror or str(error)
            full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
            hint = (
                "Make room on the disk (or raise the limit of ulimit -f); the same command then goes on."
                if full
                else "Check the path, its permissions and the disk's space."
            )
        else:
            exit_code, where, message = 1, "", f"{type(error).__name__}: {error}"
            hint = "This is a fault of ottenok. The same command with --debug shows where it is."
        tell(f"{harmless(where)}: {message}" if where else message, fault=True)
        if hint:
            tell(hint)
        return exit_code
    return code if isinstance(code, int) else 0
