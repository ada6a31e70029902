"""One public file to one place on the disk: in pieces, resumed, checked, and there only when it is whole.

The bytes arrive in `<file>.part`, which a broken connection leaves behind; the next attempt, or the next run, asks for
the rest. Size and sha256 are checked before the file gets its name.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ottenok.core.errors import ChecksumError, DataError
from ottenok.core.files import sha256_file
from ottenok.core.lazy import require
from ottenok.core.progress import SILENT, Progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import httpx

__all__ = ["DownloadOptions", "Remote", "check_file", "download"]

_PART = ".part"
# Statuses that may pass: time-outs, limits on the rate, overloaded servers.
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_LONGEST_PAUSE = 60.0
_LOCK_WAIT = 3.0
_MEANINGS = {
    401: "the server wants a login",
    403: "the server refuses it",
    404: "the file is not at this address any more",
    410: "the file is not at this address any more",
}


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
    options = options or DownloadOptions()
    part = target.with_name(target.name + _PART)
    meter = _Meter(progress, target.name)
    with _writable(target), _alone(target), _client(remote, options) as client:
        if remote.sha256 is None:
            part.unlink(missing_ok=True)
        try:
            _get(client, remote, part, meter=meter, options=options)
        finally:
            meter.finish()
        part.replace(target)


@contextmanager
def _writable(target: Path) -> Iterator[None]:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise DataError(
            f"the file can't be written: {error.strerror or error}",
            hint="Make room, or choose another cache folder.",
            file=str(target),
        ) from error


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    filelock = require("filelock", extra="data")
    try:
        with filelock.FileLock(target.with_name(f".{target.name}.lock"), timeout=_LOCK_WAIT):
            yield
    except filelock.Timeout as error:
        raise DataError(
            "another process is fetching this file", hint="Wait until it is done.", file=str(target)
        ) from error


def _client(remote: Remote, options: DownloadOptions) -> httpx.Client:
    client: httpx.Client = require("httpx", extra="data").Client(
        # identity: a range of a compressed answer is no range of the file.
        headers={"Accept-Encoding": "identity", **remote.headers},
        follow_redirects=True,
        timeout=options.timeout,
    )
    return client


def _get(client: httpx.Client, remote: Remote, part: Path, *, meter: _Meter, options: DownloadOptions) -> None:
    resumed = part.exists()
    _try(client, remote, part, meter=meter, options=options)
    try:
        check_file(part, sha256=remote.sha256, size=remote.bytes, hint=remote.hint)
    except ChecksumError as error:
        part.unlink()
        if not resumed:
            # The name that people know, not that of the unfinished file.
            raise ChecksumError(error.message, hint=error.hint, file=remote.url) from error
        # The half that was left from an earlier run may have been the wrong one.
        _get(client, remote, part, meter=meter, options=options)


def _try(client: httpx.Client, remote: Remote, part: Path, *, meter: _Meter, options: DownloadOptions) -> None:
    for attempt in range(options.attempts):
        try:
            _stream(client, remote, part, meter)
        except _PassingError as error:
            if attempt + 1 == options.attempts:
                raise _given_up(error, remote, part, options.attempts) from error
            time.sleep(min(max(options.pause * 2**attempt, error.pause), _LONGEST_PAUSE))
        else:
            return


def _given_up(error: _PassingError, remote: Remote, part: Path, tries: int) -> DataError:
    kept = remote.sha256 is not None and part.exists()
    hint = "Run the same again later: what has arrived is kept." if kept else remote.hint
    return DataError(f"the file could not be fetched in {tries} tries: {error}", hint=hint, file=remote.url)


def _stream(client: httpx.Client, remote: Remote, part: Path, meter: _Meter) -> None:
    import httpx

    held = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={held}-"} if held else {}
    try:
        with client.stream("GET", remote.url, headers=headers) as response:
            start = _accept(response, remote, part, held)
            if start is not None:
                _write(response, remote, part, start=start, meter=meter)
    except (httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.TooManyRedirects) as error:
        raise DataError(f"the address can't be used: {error}", hint=remote.hint, file=remote.url) from error
    except httpx.HTTPError as error:
        raise _PassingError(str(error) or type(error).__name__) from error


def _accept(response: httpx.Response, remote: Remote, part: Path, held: int) -> int | None:
    """Return at which byte the answer's body begins; None if there is nothing more to get."""
    status = response.status_code
    if status == 416 and held:
        return _past_the_end(remote, part, held)
    if status in _PASSING:
        wait = response.headers.get("retry-after", "")
        raise _PassingError(f"the server answers {status}", pause=float(wait) if wait.isdecimal() else 0.0)
    if status not in {200, 206}:
        meaning = _MEANINGS.get(status, "the server gives no file")
        raise DataError(f"{meaning} (status {status})", hint=remote.hint, file=remote.url)
    if remote.sha256 is None and _is_page(response, remote):
        raise DataError("the address gives a web page, not the file", hint=remote.hint, file=remote.url)
    if status == 206 and response.headers.get("content-range", "").startswith(f"bytes {held}-"):
        return held
    if status == 206:
        part.unlink(missing_ok=True)
        raise _PassingError("the server answers with another part of the file")
    return 0


def _past_the_end(remote: Remote, part: Path, held: int) -> int | None:
    if held == remote.bytes:
        return None
    part.unlink()
    raise _PassingError("the unfinished file is longer than the file")


def _is_page(response: httpx.Response, remote: Remote) -> bool:
    is_html = response.headers.get("content-type", "").startswith("text/html")
    return is_html and not remote.url.endswith((".html", ".htm"))


def _write(response: httpx.Response, remote: Remote, part: Path, *, start: int, meter: _Meter) -> None:
    length = response.headers.get("content-length", "")
    meter.begin(remote.bytes or (start + int(length) if length.isdecimal() else None))
    position = start
    with part.open("ab" if start else "wb") as stream:
        meter.reach(position)
        for piece in response.iter_bytes():
            stream.write(piece)
            position += len(piece)
            meter.reach(position)
            if remote.bytes is not None and position > remote.bytes:
                # Whatever this is, it is not the file; don't let it fill the disk. The size check says so.
                return


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
