"""Import of optional packages, in one place, with an error that names the extra to install."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from ottenok.core.errors import MissingExtraError

__all__ = ["check_extra", "load_object", "require"]

# What work that needs an extra can't begin without.
_PACKAGES = {"train": ("torch", "transformers", "accelerate", "safetensors")}


def check_extra(extra: str) -> None:
    """Refuse work for which an extra is missing, before it begins; nothing is imported, so it takes no time.

    Raises:
        MissingExtraError: A package that the extra brings is not installed.
    """
    for package in _PACKAGES[extra]:
        if not _is_installed(package):
            raise MissingExtraError(package, extra)


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:
        return False


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
