"""Import of optional packages, in one place, with an error that names the extra to install."""

from __future__ import annotations

import importlib
from typing import Any

from ottenok.core.errors import MissingExtraError

__all__ = ["load_object", "require"]


def require(module: str, *, extra: str) -> Any:  # noqa: ANN401 - a module has no narrower type
    """Import `module`, which the extra `extra` brings.

    Raises:
        MissingExtraError: The package (or a package that it needs) is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or module, extra) from error


def load_object(path: str, *, extra: str) -> Any:  # noqa: ANN401 - a registry holds classes and functions
    """Return the object named `package.module:attribute`; the way from a registry's name to its code.

    Raises:
        MissingExtraError: The module needs a package that is not installed.
    """
    module, _, attribute = path.partition(":")
    return getattr(require(module, extra=extra), attribute)
