"""Import of heavy and optional packages: errors name the extra to install, and no package tells its makers anything."""

from __future__ import annotations

import importlib
import importlib.util
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ottenok.core.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["check_extra", "load_object", "need", "no_telemetry", "onnxruntime", "require"]

# What work that needs an extra can't begin without.
_PACKAGES = {
    "label": ("sklearn", "starlette", "uvicorn", "httptools", "prometheus_client"),
    "train": ("torch", "transformers", "safetensors"),
}
# Read by the packages when they are imported; what the user has set stays. onnxruntime 1.31 looks up its maker's
# address and leaves a device id in the user's cache, and its `disable_telemetry_events()` comes too late for both.
_TELEMETRY = {
    "ORT_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "RAY_USAGE_STATS_ENABLED": "0",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "DO_NOT_TRACK": "1",
}


def no_telemetry() -> None:
    """Keep libraries from telling their makers anything; has to be called before they are imported."""
    for name, value in _TELEMETRY.items():
        os.environ.setdefault(name, value)


def onnxruntime() -> Any:  # noqa: ANN401 - onnxruntime has no types
    """Return the module `onnxruntime`, which nobody imports otherwise: its telemetry is off before the first import."""
    no_telemetry()
    return importlib.import_module("onnxruntime")


@contextmanager
def need(extra: str) -> Iterator[None]:
    """Import inside this block what the extra `extra` brings.

    Raises:
        MissingExtraError: A package is not installed; the message has pip's line.
    """
    no_telemetry()
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or extra, extra) from error


def require(module: str, *, extra: str) -> Any:  # noqa: ANN401 - a module has no narrower type
    """Import `module`, a package without types that the extra `extra` brings.

    Raises:
        MissingExtraError: The package (or a package that it needs) is not installed.
    """
    with need(extra):
        return importlib.import_module(module)


def check_extra(extra: str) -> None:
    """Refuse work for which an extra is missing, before it begins; nothing is imported, so it takes no time.

    Raises:
        MissingExtraError: A package that the extra brings is not installed.
    """
    for package in _PACKAGES[extra]:
        try:
            found = importlib.util.find_spec(package)
        except ModuleNotFoundError:
            found = None
        if found is None:
            raise MissingExtraError(package, extra)


def load_object(path: str, *, extra: str) -> Any:  # noqa: ANN401 - a registry holds classes and functions
    """Return the object named `package.module:attribute`; the way from a registry's name to its code.

    Raises:
        MissingExtraError: The module needs a package that is not installed.
    """
    module, _, attribute = path.partition(":")
    return getattr(require(module, extra=extra), attribute)
