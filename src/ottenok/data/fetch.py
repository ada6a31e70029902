"""Where the files of a card are, and how they get there.

A data root and the cache have the same layout, `<card's folder>/<file>`. A file in the root comes first; a file is used
only if its size and sha256 are those of the card.

Data sets that are known by their hub name alone: the hub converts public data sets to Parquet on the branch
`refs/convert/parquet`, one folder per configuration and split. The list of these files is kept beside them, so that a
fetched set is found again without the network.

Bytes arrive in `<file>.part`, which a broken connection leaves behind; the next attempt, or the next run, asks for the
rest. Size and sha256 are checked before the file gets its name.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from ottenok.core.errors import ChecksumError, DataError
from ottenok.core.files import LockedError, atomic_write_text, flush, locked, sha256_file
from ottenok.core.lazy import need, require
from ottenok.core.progress import SILENT, Progress
from ottenok.data.card import CardFile, Split

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import httpx

    from ottenok.data.card import Card, ReaderSpec

__all__ = ["DownloadOptions", "Located", "Remote", "absent", "download", "fetch", "locate"]

_NAMED = 5
_CONVERTED = "refs/convert/parquet"
_HUB_TIMEOUT = 30.0
_SPLITS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
}
# Statuses that may pass: time-outs, limits on the rate, overloaded servers.
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_LONGEST_PAUSE = 60.0
_MEANINGS = {
    401: "the server wants a login",
    403: "the server refuses it",
    404: "the file is not at this address any more",
    410: "the file is not at this address any more",
}


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
    found = []
    for file, path in places:
        if path is None:
            continue
        if file.url and path == cache / file.path:
            hint = f"Fetch it again with: ottenok data fetch {card.name}"
        else:
            hint = f"Put the published file in its place, from {file.url or card.homepage}"
        before = path.stat()
        sha256 = check_file(path, sha256=file.sha256, size=file.bytes, hint=hint)
        reader = file.reader or card.reader
        if reader.kind == "hub":
            # On the disk a hub data set is Parquet files, of the configuration that was chosen when they were listed.
            options = {name: value for name, value in reader.options.items() if name != "config"}
            reader = reader.model_copy(update={"kind": "parquet", "options": options})
        if not file.beside:
            found.append(
                Located(
                    file=file,
                    path=path,
                    sha256=sha256,
                    bytes=before.st_size,
                    modified=before.st_mtime_ns,
                    reader=reader,
                )
            )
    return found


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
    if card.files or not card.hub:
        files = _files(card, [cache])
    else:
        files = _ask_hub(card, endpoint)
        entries = [file.model_dump(mode="json", exclude_defaults=True) for file in files]
        atomic_write_text(_hub_list(card, cache), json.dumps(entries, indent=2, ensure_ascii=False) + "\n")
    headers: dict[str, str] = {}
    if card.hub and not card.files:
        headers = require("huggingface_hub.utils", extra="data").build_hf_headers()
    for file in files:
        target = cache / file.path
        try:
            if target.is_file():
                if file.url is None:
                    continue  # a wrong one is left to `locate`, which says so
                with suppress(ChecksumError):
                    check_file(target, sha256=file.sha256, size=file.bytes, hint=None)
                    continue
            elif file.url is None:
                raise _missing(card, [file], into=cache)
            remote = Remote(
                url=str(file.url),
                sha256=file.sha256,
                bytes=file.bytes,
                headers=headers,
                hint=f"Get the file by hand, as {card.homepage} says, and put it at {target}",
            )
            download(remote, target, progress=progress, options=options)
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
    """Return the files of a card; of a hub-only one those that were listed when it was fetched."""
    if card.files or not card.hub:
        return tuple(file for file in card.files if not file.alternative)
    for folder in folders:
        listing = _hub_list(card, folder)
        if listing.is_file():
            try:
                return tuple(CardFile.model_validate(one) for one in json.loads(listing.read_text(encoding="utf-8")))
            except (OSError, ValueError, TypeError) as error:
                raise DataError(
                    "the list of the data set's files can't be read",
                    hint=f"Delete it and fetch the set again: ottenok data fetch {card.name}",
                    file=str(listing),
                ) from error
    raise DataError(
        "the data set has not been fetched from the hub yet",
        hint=f"Fetch it with: ottenok data fetch {card.name}",
        file=card.hub,
    )


def _find(file: CardFile, folders: Sequence[Path]) -> Path | None:
    # A user's own file has an absolute path, which replaces the folder.
    return next((path for folder in folders if (path := folder / file.path).is_file()), None)


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


def check_file(path: Path, *, sha256: str | None, size: int | None, hint: str | None) -> str:
    """Return the sha256 of a file, having compared it and the size with what is expected (None: not known).

    Raises:
        ChecksumError: They differ; size first, for it costs nothing.
        DataError: The file can't be read.
    """
    try:
        found_size = path.stat().st_size
        if size is not None and found_size != size:
            raise ChecksumError(f"the file has {found_size:,} bytes, expected {size:,}", hint=hint, file=str(path))
        found = sha256_file(path)
    except OSError as error:
        raise DataError(f"the file can't be read: {error.strerror or error}", file=str(path)) from error
    if sha256 is not None and found != sha256:
        raise ChecksumError(f"the file's sha256 is {found}, expected {sha256}", hint=hint, file=str(path))
    return found


def _hub_folder(card: Card) -> str:
    return f"hub/{(card.hub or card.name).replace('/', '--')}"


def _hub_list(card: Card, folder: Path) -> Path:
    config = str(card.reader.options.get("config") or "")
    # Each configuration has its own list: one set may be fetched in several.
    return folder / _hub_folder(card) / (f"files-{config.replace('/', '--')}.json" if config else "files.json")


def _ask_hub(card: Card, endpoint: str | None) -> tuple[CardFile, ...]:
    """Ask the hub for the Parquet files of a hub-only card.

    The reader's option `config` names a configuration; without it the only one, or `default`, is taken.
    """
    hub = require("huggingface_hub", extra="data")
    name = str(card.hub)
    try:
        # Of the ways to list files this one gives up at once without a connection.
        info = hub.HfApi(endpoint=endpoint).dataset_info(
            name, revision=_CONVERTED, files_metadata=True, timeout=_HUB_TIMEOUT
        )
    # The hub's own errors are OSErrors, but a refused connection is an error of its HTTP library.
    except (OSError, hub.errors.HTTPError, hub.errors.HFValidationError) as error:
        raise DataError(
            f"the hub does not list the files of {name}: {str(error).strip().splitlines()[0]}",
            hint="Check the name and the connection; a private data set needs a token (hf auth login).",
            file=name,
        ) from error
    found = sorted(
        (one for one in info.siblings or () if one.rfilename.endswith(".parquet")), key=lambda one: str(one.rfilename)
    )
    configs = sorted({PurePosixPath(one.rfilename).parts[0] for one in found})
    if not configs:
        raise DataError(
            "the hub has no Parquet files of this data set",
            hint="Download its files by hand and name them in place of the data set.",
            file=name,
        )
    wanted = str(card.reader.options.get("config") or "")
    config = wanted or ("default" if "default" in configs or len(configs) > 1 else configs[0])
    if config not in configs:
        problem = f"there is no configuration {wanted!r}" if wanted else "the data set has several configurations"
        raise DataError(problem, hint=f"Name one of: {', '.join(configs)}.", file=name, key="config")
    return tuple(
        CardFile(
            path=f"{_hub_folder(card)}/{one.rfilename}",
            url=hub.hf_hub_url(name, one.rfilename, repo_type="dataset", revision=_CONVERTED, endpoint=endpoint),
            sha256=one.lfs.sha256 if one.lfs else None,
            bytes=one.size,
            split=_SPLITS.get(PurePosixPath(one.rfilename).parent.name.removeprefix("partial-")),
        )
        for one in found
        if PurePosixPath(one.rfilename).parts[0] == config
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """A public file.

    Attributes:
        url: Its address, http or https.
        sha256: Lower-case hex digest of its bytes, or None where none is published.
        bytes: Its size, or None.
        headers: Further request headers (a token for the hub); never sent on to another host.
        hint: What to do if it can't be had.
    """

    url: str
    sha256: str | None = None
    bytes: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    hint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadOptions:
    """How patient a download is.

    Attributes:
        attempts: Tries in all, each going on where the last one stopped.
        pause: Seconds before the second try; doubled before each further one, up to a minute.
        timeout: Seconds without a byte after which a connection counts as broken.
    """

    attempts: int = 6
    pause: float = 1.0
    timeout: float = 30.0


class _PassingError(Exception):
    """This try failed, the next may not."""

    def __init__(self, reason: str, *, pause: float = 0.0) -> None:
        super().__init__(reason)
        self.pause = pause


class _Meter:
    """Bytes to a `Progress`: begun when the size is known, and bytes that come twice are counted once."""

    def __init__(self, progress: Progress, stage: str) -> None:
        self._progress = progress
        self._stage = stage
        self._reached: int | None = None

    def begin(self, total: int | None) -> None:
        if self._reached is None:
            self._progress.start(self._stage, total=total, unit="bytes")
            self._reached = 0

    def reach(self, position: int) -> None:
        if self._reached is not None and position > self._reached:
            self._progress.advance(position - self._reached)
            self._reached = position

    def finish(self) -> None:
        if self._reached is not None:
            self._progress.finish()


def download(
    remote: Remote, target: Path, *, progress: Progress = SILENT, options: DownloadOptions | None = None
) -> None:
    """Fetch `remote` to `target`, which is replaced only by a whole and right file.

    An unfinished `<target>.part` of an earlier run is gone on with if `remote` names a sha256, for only then is it
    sure that both halves are of one file; else it is begun anew. One process at a time fetches a target.

    Raises:
        ChecksumError: What arrived is not what `remote` names; nothing is kept.
        DataError: The address can't be reached, refuses, or gives a web page; or the disk can't be written.
    """
    with need("data"):
        import httpx
    options = options or DownloadOptions()
    part = target.with_name(f"{target.name}.part")
    meter = _Meter(progress, target.name)
    # identity: a range of a compressed answer is no range of the file.
    headers = {"Accept-Encoding": "identity", **remote.headers}
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with (
            locked(target.with_name(f".{target.name}.lock")),
            httpx.Client(headers=headers, follow_redirects=True, timeout=options.timeout) as client,
        ):
            if remote.sha256 is None:
                part.unlink(missing_ok=True)
            try:
                _get(client, remote, part, meter=meter, options=options)
            finally:
                meter.finish()
            with part.open("rb+") as stream:
                flush(stream)
            part.replace(target)
    except LockedError as error:
        who = "another process" if error.pid is None else f"process {error.pid}"
        raise DataError(f"{who} is fetching this file", hint="Wait until it is done.", file=str(target)) from error
    except OSError as error:
        raise DataError(
            f"the file can't be written: {error.strerror or error}",
            hint="Make room, or choose another cache folder.",
            file=str(target),
        ) from error


def _get(client: httpx.Client, remote: Remote, part: Path, *, meter: _Meter, options: DownloadOptions) -> None:
    """Fetch to `part`, with as many tries as the options allow, until it is the right file."""
    resumed, failed = part.exists(), 0
    while True:
        try:
            _stream(client, remote, part, meter)
            check_file(part, sha256=remote.sha256, size=remote.bytes, hint=remote.hint)
        except _PassingError as error:
            failed += 1
            if failed == options.attempts:
                kept = remote.sha256 is not None and part.exists()
                hint = "Run the same again later: what has arrived is kept." if kept else remote.hint
                raise DataError(
                    f"the file could not be fetched in {failed} tries: {error}", hint=hint, file=remote.url
                ) from error
            time.sleep(min(max(options.pause * 2 ** (failed - 1), error.pause), _LONGEST_PAUSE))
        except ChecksumError as error:
            part.unlink()
            if not resumed:
                # The name that people know, not that of the unfinished file.
                raise ChecksumError(error.message, hint=error.hint, file=remote.url) from error
            # The half that was left from an earlier run may have been the wrong one.
            resumed, failed = False, 0
        else:
            return


def _stream(client: httpx.Client, remote: Remote, part: Path, meter: _Meter) -> None:
    """Ask for what `part` lacks and write what comes."""
    import httpx

    held = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={held}-"} if held else {}
    try:
        with client.stream("GET", remote.url, headers=headers) as response:
            status = response.status_code
            if status == 416 and held:
                if held == remote.bytes:
                    return
                part.unlink()
                raise _PassingError("the unfinished file is longer than the file")
            if status in _PASSING:
                wait = response.headers.get("retry-after", "")
                raise _PassingError(f"the server answers {status}", pause=float(wait) if wait.isdecimal() else 0.0)
            if status not in {200, 206}:
                meaning = _MEANINGS.get(status, "the server gives no file")
                raise DataError(f"{meaning} (status {status})", hint=remote.hint, file=remote.url)
            is_page = response.headers.get("content-type", "").startswith("text/html")
            if is_page and remote.sha256 is None and not remote.url.endswith((".html", ".htm")):
                raise DataError("the address gives a web page, not the file", hint=remote.hint, file=remote.url)
            if status == 206 and not response.headers.get("content-range", "").startswith(f"bytes {held}-"):
                part.unlink(missing_ok=True)
                raise _PassingError("the server answers with another part of the file")
            position = held if status == 206 else 0
            length = response.headers.get("content-length", "")
            meter.begin(remote.bytes or (position + int(length) if length.isdecimal() else None))
            with part.open("ab" if position else "wb") as stream:
                meter.reach(position)
                for piece in response.iter_bytes():
                    stream.write(piece)
                    position += len(piece)
                    meter.reach(position)
                    if remote.bytes is not None and position > remote.bytes:
                        # Whatever this is, it is not the file; don't let it fill the disk. The size check says so.
                        return
    except (httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.TooManyRedirects) as error:
        raise DataError(f"the address can't be used: {error}", hint=remote.hint, file=remote.url) from error
    except httpx.HTTPError as error:
        raise _PassingError(str(error) or type(error).__name__) from error
