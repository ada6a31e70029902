"""Where the files of a card are, and how they get there.

A data root and the cache have the same layout, `<card's folder>/<file>`. A file in the root comes first; a file is used
only if its size and sha256 are those of the card.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ottenok.core.errors import ChecksumError, DataError
from ottenok.core.progress import SILENT, Progress
from ottenok.data.download import DownloadOptions, Remote, check_file, download
from ottenok.data.hub import ask_hub, hub_headers, known_files, remember_files

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ottenok.data.card import Card, CardFile, ReaderSpec

__all__ = ["Located", "absent", "fetch", "locate"]

_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """A file of a card that is here and is what the card says.

    Attributes:
        file: The card's entry.
        path: Where it is.
        sha256: Of its bytes, also where the card names none.
        bytes: Its size.
        modified: When it was last changed before it was looked at, in nanoseconds.
        reader: How to read it: its own reader, or the card's.
    """

    file: CardFile
    path: Path
    sha256: str
    bytes: int
    modified: int
    reader: ReaderSpec


def locate(card: Card, *, root: Path | None, cache: Path) -> list[Located]:
    """Find and check the files of a card, in its order: each first under `root`, then under `cache`.

    Optional files that are nowhere are left out; second forms of other files always are. A file that another one's
    reader reads is checked, and left out too.

    Raises:
        ChecksumError: A file is not what the card says; a wrong file under `root` is not passed over.
        DataError: A file is nowhere; the hint says with which command to get it, or from where and where to put it.
    """
    folders = _folders(root, cache)
    places = [(file, _find(file, folders)) for file in _files(card, folders)]
    missing = [file for file, path in places if path is None and not file.optional]
    if missing:
        raise _missing(card, missing, into=folders[0])
    found = [_located(card, file, path, cache=cache) for file, path in places if path is not None]
    return [located for located in found if not located.file.beside]


def absent(card: Card, *, root: Path | None, cache: Path) -> tuple[CardFile, ...]:
    """Return the files of a card that `locate` does not find, optional ones too. No bytes are checked.

    Raises:
        DataError: `root` is not a folder, or nothing of a hub-only card was ever fetched.
    """
    folders = _folders(root, cache)
    return tuple(file for file in _files(card, folders) if _find(file, folders) is None)


def fetch(
    card: Card,
    *,
    cache: Path,
    progress: Progress = SILENT,
    options: DownloadOptions | None = None,
    endpoint: str | None = None,
) -> list[Located]:
    """Bring the files of a card into `cache`; those that are there and right stay as they are, wrong ones are replaced.

    Args:
        card: The data set.
        cache: Folder to fetch into; made if need be.
        progress: Gets one stage in bytes for each file that is fetched, and a note for each optional one that can't be.
        options: How patient the downloads are.
        endpoint: Address of another hub; None for the usual one.

    Raises:
        ChecksumError: What an address gives is not what the card says.
        DataError: A file can't be had; the hint says what to do by hand.
    """
    for file in _wanted(card, cache, endpoint):
        try:
            _fetch(card, file, cache, progress=progress, options=options)
        except DataError as error:
            if not file.optional:
                raise
            progress.note(f"{file.path} is optional and was not fetched: {error.message}")
    return locate(card, root=None, cache=cache)


def _folders(root: Path | None, cache: Path) -> list[Path]:
    if root is None:
        return [cache]
    if not root.is_dir():
        raise DataError("the data root is not a folder", hint="Check --data-root or OTTENOK_DATA.", file=str(root))
    return [root, cache]


def _files(card: Card, folders: Sequence[Path]) -> tuple[CardFile, ...]:
    if card.files or not card.hub:
        return tuple(file for file in card.files if not file.alternative)
    for folder in folders:
        files = known_files(card, folder)
        if files is not None:
            return files
    raise DataError(
        "the data set has not been fetched from the hub yet",
        hint=f"Fetch it with: ottenok data fetch {card.name}",
        file=card.hub,
    )


def _find(file: CardFile, folders: Sequence[Path]) -> Path | None:
    # A user's own file has an absolute path, which replaces the folder.
    return next((path for folder in folders if (path := folder / file.path).is_file()), None)


def _located(card: Card, file: CardFile, path: Path, *, cache: Path) -> Located:
    if file.url and path == cache / file.path:
        hint = f"Fetch it again with: ottenok data fetch {card.name}"
    else:
        hint = f"Put the published file in its place, from {file.url or card.homepage}"
    before = path.stat()
    sha256 = check_file(path, sha256=file.sha256, size=file.bytes, hint=hint)
    return Located(
        file=file,
        path=path,
        sha256=sha256,
        bytes=before.st_size,
        modified=before.st_mtime_ns,
        reader=_reader(card, file),
    )


def _reader(card: Card, file: CardFile) -> ReaderSpec:
    spec = file.reader or card.reader
    if spec.kind != "hub":
        return spec
    # On the disk a hub data set is Parquet files, of the configuration that was chosen when they were listed.
    options = {name: value for name, value in spec.options.items() if name != "config"}
    return spec.model_copy(update={"kind": "parquet", "options": options})


def _missing(card: Card, files: Sequence[CardFile], *, into: Path) -> DataError:
    names = ", ".join(file.path for file in files[:_NAMED]) + (", ..." if len(files) > _NAMED else "")
    first = next((file for file in files if not file.url), files[0])
    if first.url:
        hint = f"Fetch them with: ottenok data fetch {card.name}"
    elif Path(first.path).is_absolute():
        hint = "Check the path."
    else:
        hint = f"There is no direct address: download it from {card.homepage} and put it at {into / first.path}"
    what = "file is" if len(files) == 1 else "files are"
    return DataError(f"{len(files)} {what} missing for the data set {card.name}: {names}", hint=hint)


def _wanted(card: Card, cache: Path, endpoint: str | None) -> tuple[CardFile, ...]:
    if card.files or not card.hub:
        return _files(card, [cache])
    files = ask_hub(card, endpoint=endpoint)
    remember_files(card, cache, files)
    return files


def _fetch(card: Card, file: CardFile, cache: Path, *, progress: Progress, options: DownloadOptions | None) -> None:
    target = cache / file.path
    if not file.url and not target.is_file():
        raise _missing(card, [file], into=cache)
    # A wrong file without an address is left to `locate`, which says so.
    if not file.url or _is_right(file, target):
        return
    download(_remote(card, file, target), target, progress=progress, options=options)


def _is_right(file: CardFile, target: Path) -> bool:
    if not target.is_file():
        return False
    try:
        check_file(target, sha256=file.sha256, size=file.bytes, hint=None)
    except ChecksumError:
        return False
    return True


def _remote(card: Card, file: CardFile, target: Path) -> Remote:
    return Remote(
        url=str(file.url),
        sha256=file.sha256,
        bytes=file.bytes,
        headers=hub_headers() if card.hub and not card.files else {},
        hint=f"Get the file by hand, as {card.homepage} says, and put it at {target}",
    )
