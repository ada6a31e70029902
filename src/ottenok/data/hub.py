"""Data sets that are known by their hub name alone: which Parquet files the hub has of them.

The hub converts public data sets to Parquet on the branch `refs/convert/parquet`, one folder per configuration and
split. The list of these files is kept beside them, so that a fetched set is found again without the network.
"""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from ottenok.core.errors import DataError
from ottenok.core.files import atomic_write_text
from ottenok.core.lazy import require
from ottenok.data.card import CardFile, Split

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ottenok.data.card import Card

__all__ = ["ask_hub", "hub_headers", "known_files", "remember_files"]

_CONVERTED = "refs/convert/parquet"
_TIMEOUT = 30.0
_SPLITS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
}


def known_files(card: Card, folder: Path) -> tuple[CardFile, ...] | None:
    """Return the files of a hub-only card as listed under `folder` when it was fetched; None if it was not.

    Raises:
        DataError: The list can't be read.
    """
    listing = _listing(card, folder)
    if not listing.is_file():
        return None
    try:
        entries = json.loads(listing.read_text(encoding="utf-8"))
        return tuple(CardFile.model_validate(entry) for entry in entries)
    except (OSError, ValueError, TypeError) as error:
        raise DataError(
            "the list of the data set's files can't be read",
            hint=f"Delete it and fetch the set again: ottenok data fetch {card.name}",
            file=str(listing),
        ) from error


def remember_files(card: Card, folder: Path, files: Sequence[CardFile]) -> None:
    """Write the list of a hub-only card's files under `folder`, for `known_files`."""
    entries = [file.model_dump(mode="json", exclude_defaults=True) for file in files]
    atomic_write_text(_listing(card, folder), json.dumps(entries, indent=2, ensure_ascii=False) + "\n")


def _listing(card: Card, folder: Path) -> Path:
    config = str(card.reader.options.get("config") or "")
    # Each configuration has its own list: one set may be fetched in several.
    name = f"files-{config.replace('/', '--')}.json" if config else "files.json"
    return folder / _home(card) / name


def _home(card: Card) -> str:
    return f"hub/{(card.hub or card.name).replace('/', '--')}"


def hub_headers() -> dict[str, str]:
    """Return the request headers that the hub wants, with the user's token if there is one."""
    headers: dict[str, str] = require("huggingface_hub.utils", extra="data").build_hf_headers()
    return headers


def ask_hub(card: Card, *, endpoint: str | None = None) -> tuple[CardFile, ...]:
    """Ask the hub for the Parquet files of a hub-only card.

    The reader's option `config` names a configuration; without it the only one, or `default`, is taken.

    Raises:
        DataError: The hub can't be reached or has no such data set, it has no Parquet files, or it has several
            configurations and none is named.
    """
    hub = require("huggingface_hub", extra="data")
    name = str(card.hub)
    files = sorted(_siblings(name, endpoint), key=lambda file: str(file.rfilename))
    config = _config(card, {PurePosixPath(file.rfilename).parts[0] for file in files})
    return tuple(
        CardFile(
            path=f"{_home(card)}/{file.rfilename}",
            url=hub.hf_hub_url(name, file.rfilename, repo_type="dataset", revision=_CONVERTED, endpoint=endpoint),
            sha256=file.lfs.sha256 if file.lfs else None,
            bytes=file.size,
            split=_split(file.rfilename),
        )
        for file in files
        if PurePosixPath(file.rfilename).parts[0] == config
    )


def _siblings(name: str, endpoint: str | None) -> list[Any]:
    hub = require("huggingface_hub", extra="data")
    try:
        # Of the ways to list files this one gives up at once without a connection.
        info = hub.HfApi(endpoint=endpoint).dataset_info(
            name, revision=_CONVERTED, files_metadata=True, timeout=_TIMEOUT
        )
    # The hub's own errors are OSErrors, but a refused connection is an error of its HTTP library.
    except (OSError, hub.errors.HTTPError, hub.errors.HFValidationError) as error:
        raise DataError(
            f"the hub does not list the files of {name}: {str(error).strip().splitlines()[0]}",
            hint="Check the name and the connection; a private data set needs a token (hf auth login).",
            file=name,
        ) from error
    return [file for file in info.siblings or () if file.rfilename.endswith(".parquet")]


def _config(card: Card, found: Iterable[str]) -> str:
    configs = sorted(found)
    wanted = str(card.reader.options.get("config") or "")
    if wanted in configs:
        return wanted
    if not wanted and (len(configs) == 1 or "default" in configs):
        return "default" if "default" in configs else configs[0]
    if not configs:
        raise DataError(
            "the hub has no Parquet files of this data set",
            hint="Download its files by hand and name them in place of the data set.",
            file=card.hub,
        )
    problem = f"there is no configuration {wanted!r}" if wanted else "the data set has several configurations"
    raise DataError(problem, hint=f"Name one of: {', '.join(configs)}.", file=card.hub, key="config")


def _split(path: str) -> Split | None:
    folder = PurePosixPath(path).parent.name.removeprefix("partial-")
    return _SPLITS.get(folder)
