"""Options that several commands share, each written once.

A decorator adds one or more options to a command; groups of options reach the command as one object.
"""

from __future__ import annotations

import re
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from ottenok.cli.screen import harmless
from ottenok.core.errors import ConfigError
from ottenok.core.home import cache_home

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from ottenok.tables.options import TableOptions

__all__ = [
    "bootstrap_options",
    "cache_option",
    "cluster_option",
    "column_options",
    "complete_files",
    "device_option",
    "folder_option",
    "json_option",
    "keys_argument",
    "label_map_option",
    "out_option",
    "page_option",
    "places_options",
    "probability_option",
    "read_option",
    "recipe_keys",
    "seed_option",
    "split_option",
    "table_options",
    "task_option",
]

_Command = TypeVar("_Command", bound="Callable[..., Any]")
# Names of what can't be typed well in a shell.
# The value of a key, not an option.
_NUMBER = re.compile(r"-(\d[\d_]*\.?\d*|\.\d+)(e[+-]?\d+)?|-inf(inity)?|-nan", re.IGNORECASE)
_MARKS = {"tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " ", "none": ""}


def _grouped(name: str, options: Sequence[Callable[..., Any]], make: Callable[..., Any]) -> Callable[[Any], Any]:
    """Return a decorator that adds options and hands what `make` makes of them to the command as `name`."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def wrapped(**given: Any) -> Any:  # noqa: ANN401 - click passes what each option is
            made = make(**{key: given.pop(key) for key in keys})
            return command(**given, **{name: made})

        before = len(getattr(wrapped, "__click_params__", ()))
        for option in reversed(options):
            option(wrapped)
        added = wrapped.__click_params__[before:]  # type: ignore[attr-defined] # click puts it there
        keys = [parameter.name for parameter in added]
        return wrapped

    return decorate


_ROOT = click.option(
    "--data-root",
    type=click.Path(path_type=Path),
    envvar="OTTENOK_DATA",
    show_envvar=True,
    help="Folder of data sets that is looked into first.",
)
_CACHE = click.option(
    "--cache",
    type=click.Path(path_type=Path),
    envvar="OTTENOK_CACHE",
    show_envvar=True,
    default=cache_home,
    help="Folder of what was fetched and converted.  [default: the user's cache folder]",
)
_TRACKING = click.option(
    "--tracking",
    metavar="URI",
    envvar="MLFLOW_TRACKING_URI",
    show_envvar=True,
    help="Store of MLflow, for run.mlflow.  [default: an SQLite file in the folder]",
)


def complete_files(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Let the shell complete names of files, for arguments that may be one."""
    return [CompletionItem(incomplete, type="file")]


def cache_option(command: _Command) -> _Command:
    """`--cache`: where fetched data sets and converted models are."""
    return _CACHE(command)


def folder_option(command: _Command) -> _Command:
    """`--data-root`: a folder of data sets that is looked into before the cache."""
    return _ROOT(command)


def places_options(*, tracking: bool = False) -> Callable[[_Command], _Command]:
    """`--data-root`, `--cache` and, for trainings, `--tracking`, as one `places`."""

    def make(data_root: Path | None, cache: Path, **more: Any) -> Any:  # noqa: ANN401 - imported when it is made
        from ottenok.training.inputs import Places

        return Places(cache=cache, root=data_root, **more)

    return _grouped("places", [_ROOT, _CACHE, *([_TRACKING] if tracking else [])], make)


def json_option(command: _Command) -> _Command:
    """`--json`: JSON on standard output, beside which nothing is written there; what is told goes to standard error."""
    return click.option("--json", "as_json", is_flag=True, help="Write JSON to standard output, for a program.")(
        command
    )


def out_option(
    text: str, *, required: bool = False, folder: bool = False, address: bool = False
) -> Callable[[_Command], _Command]:
    """`-o`, `--out`: the file or folder that is written; as it was given where it may be an address."""
    kind = str if address else click.Path(path_type=Path, file_okay=not folder, dir_okay=folder)
    return click.option("-o", "--out", type=kind, required=required, help=text)


def _page(_context: click.Context, _option: click.Parameter, given: Path | None) -> Path | None:
    if given is not None and given.suffix.lower() not in {".html", ".htm"}:
        raise click.UsageError(f"-o writes a page: {harmless(given)} should end in .html")
    return given


def page_option(text: str) -> Callable[[_Command], _Command]:
    """`-o`, `--out`: the page that is written, whose name ends in .html."""
    return click.option("-o", "--out", type=click.Path(path_type=Path, dir_okay=False), callback=_page, help=text)


def probability_option(name: str, text: str, *, default: float | None = None) -> Callable[[_Command], _Command]:
    """An option that is a number between 0 and 1, neither of the two."""
    kind = click.FloatRange(0, 1, min_open=True, max_open=True)
    return click.option(name, type=kind, default=default, show_default=default is not None, help=text)


def seed_option(text: str = "Seed of everything random.") -> Callable[[_Command], _Command]:
    """`--seed`: of random numbers."""
    return click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help=text)


def cluster_option(command: _Command) -> _Command:
    """`--cluster` and `--workers`: Ray, here or elsewhere."""
    address = click.option(
        "--cluster",
        metavar="ADDRESS",
        help="Compute on a Ray cluster: its address, auto, or local to start Ray on this machine.",
    )
    workers = click.option(
        "--workers", type=click.IntRange(min=1), help="Workers at once, with --cluster.  [default: all processors]"
    )
    return address(workers(command))


def split_option(default: str = "test") -> Callable[[_Command], _Command]:
    """`--split`: the rows of a corpus."""
    kind = click.Choice(["train", "validation", "test"])
    return click.option("--split", type=kind, default=default, show_default=True, help="Rows of the corpus to take.")


def task_option(command: _Command) -> _Command:
    """`--task`: which of a classifier's tasks, as `tasks`."""
    return click.option(
        "--task", "tasks", multiple=True, metavar="NAME", help="Task of the classifier; repeat it.  [default: all]"
    )(command)


def device_option(command: _Command) -> _Command:
    """`--device`: where the model is run."""
    return click.option(
        "--device",
        type=click.Choice(["auto", "cpu", "cuda"]),
        default="auto",
        show_default=True,
        help="Where the model is run; auto is cuda where onnxruntime-gpu and a graph in fp32 are there.",
    )(command)


def read_option(command: _Command) -> _Command:
    """`--read`: how long texts are read."""
    return click.option(
        "--read",
        type=click.Choice(["all", "end"]),
        help="Read all of a long text, in windows, or its end alone.  [default: as the classifier was trained]",
    )(command)


def bootstrap_options(command: _Command) -> _Command:
    """`--resamples` and `--seed` of intervals."""
    resamples = click.option(
        "--resamples",
        type=click.IntRange(min=0),
        default=1000,
        show_default=True,
        help="Resamples of the bootstrap that intervals rest on; 0 leaves them out.",
    )
    return resamples(seed_option()(command))


def _label_map(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    pairs = [entry.rpartition("=") for entry in given]
    for entry, (_, equals, _) in zip(given, pairs, strict=True):
        if not equals:
            raise ConfigError(f"expected THEIRS=OURS, found {entry!r}", key="--label-map")
    return {theirs: ours for theirs, _, ours in pairs}


_LABEL_MAP = click.option(
    "--label-map",
    multiple=True,
    metavar="THEIRS=OURS",
    callback=_label_map,
    help="Rename a label; THEIRS= drops it. Labels that are not named keep their meaning. May be repeated.",
)
_TABLE = (
    click.option(
        "--input-format",
        type=click.Choice(["csv", "tsv", "json", "jsonl", "parquet", "xlsx"]),
        help="Kind of a table.  [default: by its name and first bytes]",
    ),
    click.option("--encoding", help="Encoding of a text file, such as windows-1251.  [default: found out]"),
    click.option("--delimiter", help="Between the cells of CSV: one character, or tab.  [default: found out]"),
    click.option("--quote", help="Quote of CSV: one character, or none.  [default: found out]"),
    click.option("--no-header", is_flag=True, help="The table has no header: columns are positions from 0."),
    click.option("--sheet", help="Sheet of XLSX, by name or by number from 1.  [default: the first that fits]"),
    click.option("--skip-rows", type=click.IntRange(min=0), default=0, help="Lines before the header to pass over."),
    click.option("--member", help="File of a ZIP archive.  [default: its only one]"),
    click.option("--max-record", type=click.IntRange(min=1), help="Most characters of a row.  [default: 8 M]"),
    click.option(
        "--max-expansion", type=click.IntRange(min=1), help="Times that a packed file may grow.  [default: 200]"
    ),
)


def _table(*, no_header: bool, input_format: Any, **given: Any) -> TableOptions:  # noqa: ANN401 - click passes what each option is
    from ottenok.tables.options import TableOptions

    for key in ("delimiter", "quote"):
        given[key] = _MARKS.get(given[key], given[key])
    limits = {key: given.pop(key) for key in ("max_record", "max_expansion")}
    said = {key: value for key, value in limits.items() if value is not None}
    return TableOptions(format=input_format, header=not no_header, **given, **said)


def label_map_option(command: _Command) -> _Command:
    """`--label-map THEIRS=OURS`, as a mapping."""
    return _LABEL_MAP(command)


def table_options(command: _Command) -> _Command:
    """How a table is read where that is not found out, as one `table`."""
    return _grouped("table", _TABLE, _table)(command)  # type: ignore[no-any-return] # it is the command itself


def column_options(command: _Command) -> _Command:
    """`--text`, `--label`, `--label-map` and how a labelled file is read, as one `columns`."""

    def make(text: str, label: tuple[str, ...], label_map: dict[str, str], **table: Any) -> Any:  # noqa: ANN401 - imported when it is made
        from ottenok.studies.rows import Columns

        one = label[0] if len(label) == 1 else label
        return Columns(text=text, label=one, label_map=label_map, table=_table(**table))

    options = [
        click.option("--text", default="text", show_default=True, help="Column of the texts, for a file."),
        click.option(
            "--label",
            multiple=True,
            default=("label",),
            show_default=True,
            help="Column of the labels, for a file; repeat it for several 0/1 columns.",
        ),
        _LABEL_MAP,
        *_TABLE,
    ]
    return _grouped("columns", options, make)(command)  # type: ignore[no-any-return] # it is the command itself


def recipe_keys(arguments: Sequence[str], *, top: Collection[str]) -> dict[str, Any]:
    """Turn what click did not know into a nested table of recipe keys.

    Args:
        arguments: What is left of the command line: `--section.key value` or `--section.key=value`.
        top: The recipe's keys that are in no section, as `seed`.

    Raises:
        UsageError: An argument is neither an option of the command nor a key; the nearest option is named.
        ConfigError: A key has no value.
    """
    import difflib

    from ottenok.core.config import assignments, override

    context = click.get_current_context(silent=True)
    for name in (argument.partition("=")[0] for argument in arguments if argument.startswith("-")):
        if "." in name or name[2:] in top or _NUMBER.fullmatch(name):
            continue
        options = [option for one in context.command.params for option in one.opts] if context else []
        known = {option for option in options if option.startswith("--")} | {f"--{key}" for key in top}
        raise click.NoSuchOption(name, possibilities=difflib.get_close_matches(name, sorted(known)), ctx=context)
    return override(assignments(arguments, top=top))


def keys_argument(command: _Command) -> _Command:
    """What is left of the command line: keys of the recipe, as `keys`."""
    return click.argument("keys", nargs=-1, type=click.UNPROCESSED, metavar="[--SECTION.KEY VALUE]...")(command)
