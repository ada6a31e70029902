"""One tree of errors; each message says what was found, what was expected and what to do next.

OttenokError
├── ConfigError        a recipe, a card or an option has a wrong or unknown key
├── MissingExtraError  an optional package is not installed
├── DataError          a data file is missing, altered or not what its card says
│   └── ChecksumError  a file's bytes are not those that its card names
├── SchemeError        labels, label schemes or maps between them do not fit
├── BundleError        a trained classifier's folder is incomplete, altered or unsupported
├── ModelError         an encoder or a graph can't be loaded, converted or run
├── InputError         what the user asked to classify can't be classified
└── GenerationError    a server that writes texts is not there, refuses or fails
"""

from __future__ import annotations

__all__ = [
    "BundleError",
    "ChecksumError",
    "ConfigError",
    "DataError",
    "GenerationError",
    "InputError",
    "MissingExtraError",
    "ModelError",
    "OttenokError",
    "SchemeError",
]


class OttenokError(Exception):
    """Base of every error that ottenok raises on purpose.

    Args:
        message: What was found and what was expected, one sentence.
        hint: What to do next, one sentence; shown on a line of its own.
        file: The file concerned, if one is.
        row: The 1-based number of the record in the file (header not counted), if one is.
        key: The option, column or TOML key concerned, if one is.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        file: str | None = None,
        row: int | None = None,
        key: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.file = file
        self.row = row
        self.key = key

    @property
    def where(self) -> str:
        """`file, row N, key K`, with only the parts that are known; empty if none is."""
        parts = (
            self.file,
            f"row {self.row}" if self.row is not None else None,
            f"key {self.key}" if self.key else None,
        )
        return ", ".join(part for part in parts if part)

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}" if self.where else self.message
        return f"{text}\n{self.hint}" if self.hint else text


class ConfigError(OttenokError):
    """A recipe, a card or an option has a wrong value or an unknown key."""


class MissingExtraError(OttenokError):
    """An optional package is needed and not installed.

    Args:
        package: The import name that was not found.
        extra: The extra of ottenok that brings it.
    """

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"this needs the package {package!r}, which is not installed",
            hint=f'Install it with: pip install "ottenok[{extra}]"',
        )
        self.package = package
        self.extra = extra


class DataError(OttenokError):
    """A data file is missing, altered or not what its card says."""


class ChecksumError(DataError):
    """A file's sha256 or size differs from what its card names."""


class SchemeError(OttenokError):
    """Labels, label schemes or maps between schemes do not fit together."""


class BundleError(OttenokError):
    """A trained classifier's folder is incomplete, altered or of an unsupported format."""


class ModelError(OttenokError):
    """An encoder or an ONNX graph can't be loaded, converted or run."""


class InputError(OttenokError):
    """What the user asked to classify can't be classified."""


class GenerationError(OttenokError):
    """A server that is asked for texts can't be reached, refuses the request or keeps failing."""
