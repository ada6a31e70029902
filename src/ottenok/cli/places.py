"""Options that several commands share: where data is, and machine-readable output."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.decorators import FC

__all__ = ["cache_option", "data_root_option", "json_option", "write_json"]


def _default_cache() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("ottenok", appauthor=False)


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
        default=_default_cache,
        help="Folder of what was fetched.  [default: the user's cache folder]",
    )


def json_option() -> Callable[[FC], FC]:
    """`--json`: the same for a program."""
    return click.option("--json", "as_json", is_flag=True, help="Write JSON instead of tables.")


def write_json(value: Any) -> None:  # noqa: ANN401 - any JSON value
    """Write one JSON value to standard output."""
    import json

    click.echo(json.dumps(value, ensure_ascii=False, indent=1))
