"""Keys of a recipe given as options: `--section.key value`."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

__all__ = ["recipe_keys"]


def recipe_keys(arguments: Sequence[str], *, top: Collection[str]) -> dict[str, Any]:
    """Turn what click did not know into a nested table of recipe keys.

    Args:
        arguments: What is left of the command line: `--section.key value` or `--section.key=value`.
        top: The recipe's keys that are in no section, as `seed`.

    Raises:
        UsageError: An argument is neither an option of the command nor a key; the nearest option is named.
        ConfigError: A key has no value.
    """
    from ottenok.core.config import assignments, override

    for name in (argument.partition("=")[0] for argument in arguments if argument.startswith("-")):
        if "." not in name and name[2:] not in top and not _is_number(name):
            raise click.NoSuchOption(name, possibilities=_near(name, top), ctx=click.get_current_context(silent=True))
    return override(assignments(arguments, top=top))


def _near(name: str, top: Collection[str]) -> list[str]:
    context = click.get_current_context(silent=True)
    options = [option for one in context.command.params for option in one.opts] if context else []
    known = {option for option in options if option.startswith("--")} | {f"--{key}" for key in top}
    return difflib.get_close_matches(name, sorted(known))


def _is_number(text: str) -> bool:
    """Whether this is a negative number, the value of a key."""
    try:
        float(text)
    except ValueError:
        return False
    return True
