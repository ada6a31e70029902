"""Options that several commands share: where data is, and machine-readable output."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ottenok.core.home import cache_home

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.decorators import FC

__all__ = ["cache_option", "data_root_option", "json_option", "quiet_libraries", "tracking_option", "write_json"]


def data_root_option() -> Callable[[FC], FC]:
    """`--data-root`: a folder of data sets that is looked into before the cache."""
    return click.option(
        "--data-root",
        type=click.Path(path_type=Path),
        envvar="OTTENOK_DATA",
        show_envvar=True,
        help="Folder of data sets that is looked into first.",
    )


def cache_option() -> Callable[[FC], FC]:
    """`--cache`: where fetched data sets and converted models are."""
    return click.option(
        "--cache",
        type=click.Path(path_type=Path),
        envvar="OTTENOK_CACHE",
        show_envvar=True,
        default=cache_home,
        help="Folder of what was fetched.  [default: the user's cache folder]",
    )


def tracking_option() -> Callable[[FC], FC]:
    """`--tracking`: where MLflow keeps runs, for recipes with `run.mlflow = true`."""
    return click.option(
        "--tracking",
        metavar="URI",
        envvar="MLFLOW_TRACKING_URI",
        show_envvar=True,
        help="Store of MLflow, for run.mlflow.  [default: an SQLite file in the folder]",
    )


def quiet_libraries() -> None:
    """Keep libraries from telling what ottenok tells itself."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("MPLBACKEND", "agg")  # plots become files; no window, and no need of a display
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")


def json_option() -> Callable[[FC], FC]:
    """`--json`: the same for a program."""
    return click.option("--json", "as_json", is_flag=True, help="Write JSON instead of tables.")


def write_json(value: Any) -> None:  # noqa: ANN401 - any JSON value
    """Write one JSON value to standard output."""
    import json

    click.echo(json.dumps(value, ensure_ascii=False, indent=1))
