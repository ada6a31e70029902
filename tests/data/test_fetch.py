"""Locating and fetching, against a real HTTP server in this process that behaves badly on request."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import pytest

from ottenok.core.config import parse
from ottenok.core.errors import ChecksumError, ConfigError, DataError
from ottenok.core.files import locked
from ottenok.data.card import Card
from ottenok.data.fetch import DownloadOptions, Remote, absent, download, fetch, locate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BODY = bytes(range(256)) * 2_000  # over several pieces of 64 KiB, and no two neighbouring bytes alike
SHA256 = hashlib.sha256(BODY).hexdigest()
FAST = DownloadOptions(attempts=4, pause=0.0, timeout=5.0)


@dataclass
class Site:
    """What the server serves, how it misbehaves, and what it was asked."""

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    drop_after: list[int] = field(default_factory=list)  # bytes after which the next answers break off
    statuses: list[int] = field(default_factory=list)  # statuses of the next answers, before any file
    ranges: bool = True
    shift: int = 0  # by how many bytes ranges are answered wrongly
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    redirects: dict[str, str] = field(default_factory=dict)

    @property
    def ranges_asked(self) -> list[str | None]:
        return [asked for _, asked in self.asked]


class Handler(BaseHTTPRequestHandler):
    """Serves `Site.files`, with ranges."""

    site: Site

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        site = self.site
        path = unquote(urlsplit(self.path).path)
        site.asked.append((path, self.headers.get("Range")))
        site.headers.append({name.lower(): value for name, value in self.headers.items()})
        if site.statuses:
            self._status(site.statuses.pop(0))
        elif path in site.redirects:
            self.send_response(302)
            self.send_header("Location", site.redirects[path])
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif path not in site.files:
            self._status(404)
        else:
            self._file(path, site.files[path])

    def _status(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Retry-After", "0")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _file(self, path: str, body: bytes) -> None:
        start = self._start(len(body))
        if start is None:
            self._status(416)
            return
        partial = "Range" in self.headers and self.site.ranges
        start = start if partial else 0
        piece = body[start:]
        self.send_response(206 if partial else 200)
        if partial:
            at = start + self.site.shift
            self.send_header("Content-Range", f"bytes {at}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Type", self.site.types.get(path, "application/octet-stream"))
        self.send_header("Content-Length", str(len(piece)))
        self.end_headers()
        if self.site.drop_after:
            piece = piece[: self.site.drop_after.pop(0)]
            self.close_connection = True
        self.wfile.write(piece)

    def _start(self, size: int) -> int | None:
        asked = self.headers.get("Range")
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        return start if start < size or not self.site.ranges else None


@pytest.fixture
def site() -> Iterator[Site]:
    """Run a server for one test."""
    site = Site(files={"/data.csv": BODY})
    handler = type("BoundHandler", (Handler,), {"site": site})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        site.address = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield site
        server.shutdown()
        thread.join()


class Watcher:
    """A progress observer that remembers."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, int | None, str]] = []
        self.count = 0
        self.finished = 0
        self.notes: list[str] = []

    def start(self, stage: str, *, total: int | None, unit: str) -> None:
        self.stages.append((stage, total, unit))

    def advance(self, count: int = 1) -> None:
        assert count > 0
        self.count += count

    def finish(self) -> None:
        self.finished += 1

    def note(self, message: str) -> None:
        self.notes.append(message)


def make_card(*files: dict[str, object], **more: object) -> Card:
    """Return a card of the given files, read as CSV."""
    tree = {
        "name": "toy",
        "title": "Toy",
        "task": "A set for tests.",
        "languages": ["ru"],
        "domain": "reviews",
        "annotation": "human",
        "reader": {"kind": "csv", "text": "text", "label": "label"},
        "label": {"scheme": "sentiment-3", "map": {"1": "positive"}},
        "licence": {"id": "unknown", "redistribute": False, "statement": "none"},
        "citation": "nobody",
        "homepage": "https://example.org/toy",
        "files": list(files),
    }
    return parse(Card, tree | more)


def entry(site: Site | None = None, **more: object) -> dict[str, object]:
    """Return a card's file entry for `/data.csv`, whole and right unless told otherwise."""
    file: dict[str, object] = {"path": "toy/data.csv", "sha256": SHA256, "bytes": len(BODY)}
    if site is not None:
        file["url"] = f"{site.address}/data.csv"
    return file | more


def put(folder: Path, body: bytes = BODY, name: str = "toy/data.csv") -> Path:
    """Write a file under a folder."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    return path


def leftovers(folder: Path) -> list[str]:
    """Return the names of unfinished files under a folder."""
    return sorted(path.name for path in folder.rglob("*.part"))


# --- locate ---------------------------------------------------------------------------------------------------------


def test_root_comes_before_cache(tmp_path: Path) -> None:
    """A file under the data root is used even if the cache has it too."""
    root, cache = tmp_path / "root", tmp_path / "cache"
    put(cache)
    in_root = put(root)
    [found] = locate(make_card(entry()), root=root, cache=cache)
    assert found.path == in_root
    assert (found.sha256, found.bytes, found.reader.kind) == (SHA256, len(BODY), "csv")


def test_cache_serves_what_root_lacks(tmp_path: Path) -> None:
    """Each file is looked up for itself: some may lie in the root and some in the cache."""
    root, cache = tmp_path / "root", tmp_path / "cache"
    first, second = put(root), put(cache, name="toy/more.csv")
    card = make_card(entry(), entry(path="toy/more.csv"))
    assert [found.path for found in locate(card, root=root, cache=cache)] == [first, second]


def test_missing_file_names_the_command(tmp_path: Path) -> None:
    """A missing file with an address is to be had by the fetch command."""
    with pytest.raises(DataError) as caught:
        locate(make_card(entry(url="http://example.org/data.csv")), root=None, cache=tmp_path)
    assert "toy/data.csv" in caught.value.message
    assert "ottenok data fetch toy" in str(caught.value.hint)


def test_missing_file_without_address_names_the_place(tmp_path: Path) -> None:
    """A missing file without an address is to be put by hand: from where, and where to, is said."""
    root = tmp_path / "root"
    root.mkdir()
    with pytest.raises(DataError) as caught:
        locate(make_card(entry()), root=root, cache=tmp_path / "cache")
    assert "https://example.org/toy" in str(caught.value.hint)
    assert str(root / "toy/data.csv") in str(caught.value.hint)


def test_many_missing_files_are_one_short_message(tmp_path: Path) -> None:
    """Of many missing files the first five are named and all are counted."""
    card = make_card(*(entry(path=f"toy/{number}.csv") for number in range(9)))
    with pytest.raises(DataError) as caught:
        locate(card, root=None, cache=tmp_path)
    assert caught.value.message.startswith("9 files are missing")
    assert "toy/4.csv" in caught.value.message
    assert "toy/5.csv" not in caught.value.message


@pytest.mark.parametrize("body", [BODY[:-1], BODY[:-1] + b"!", b""], ids=["short", "altered", "empty"])
def test_altered_file_in_root_is_refused(tmp_path: Path, body: bytes) -> None:
    """A wrong file under the root is an error even if the cache has the right one."""
    root, cache = tmp_path / "root", tmp_path / "cache"
    path = put(root, body)
    put(cache)
    with pytest.raises(ChecksumError) as caught:
        locate(make_card(entry(url="http://example.org/data.csv")), root=root, cache=cache)
    assert caught.value.file == str(path)
    assert "http://example.org/data.csv" in str(caught.value.hint)


def test_altered_file_in_cache_is_to_be_fetched_again(tmp_path: Path) -> None:
    """A wrong file in the cache is to be had anew by the fetch command."""
    put(tmp_path, b"other")
    with pytest.raises(ChecksumError, match="ottenok data fetch toy"):
        locate(make_card(entry(url="http://example.org/data.csv")), root=None, cache=tmp_path)


def test_file_without_published_checksum_is_taken_and_hashed(tmp_path: Path) -> None:
    """Where the card names no checksum any file serves, and its sha256 is told."""
    put(tmp_path, b"whatever")
    [found] = locate(make_card({"path": "toy/data.csv"}), root=None, cache=tmp_path)
    assert found.sha256 == hashlib.sha256(b"whatever").hexdigest()


def test_optional_and_alternative_files(tmp_path: Path) -> None:
    """An optional file is used where it is, and can be missing; a second form is never used."""
    card = make_card(entry(), entry(path="toy/extra.csv", optional=True), entry(path="toy/form.csv", alternative=True))
    put(tmp_path)
    put(tmp_path, name="toy/form.csv")
    assert [found.file.path for found in locate(card, root=None, cache=tmp_path)] == ["toy/data.csv"]
    assert [file.path for file in absent(card, root=None, cache=tmp_path)] == ["toy/extra.csv"]
    put(tmp_path, name="toy/extra.csv")
    assert [found.file.path for found in locate(card, root=None, cache=tmp_path)] == ["toy/data.csv", "toy/extra.csv"]
    assert absent(card, root=None, cache=tmp_path) == ()


def test_a_folder_is_no_file_and_a_file_is_no_root(tmp_path: Path) -> None:
    """A folder in place of a file counts as missing; a root that is no folder is an error."""
    (tmp_path / "toy/data.csv").mkdir(parents=True)
    with pytest.raises(DataError, match="missing"):
        locate(make_card(entry()), root=None, cache=tmp_path)
    with pytest.raises(DataError, match="not a folder"):
        locate(make_card(entry()), root=put(tmp_path, name="file"), cache=tmp_path)


def test_a_users_own_file_has_an_absolute_path(tmp_path: Path) -> None:
    """An absolute path is taken as it is, whatever the root; a missing one asks to check the path."""
    path = put(tmp_path, name="mine.csv")
    card = make_card({"path": str(path)})
    assert locate(card, root=tmp_path, cache=tmp_path / "cache")[0].path == path
    path.unlink()
    with pytest.raises(DataError, match="Check the path"):
        locate(card, root=tmp_path, cache=tmp_path / "cache")


@pytest.mark.parametrize("path", ["../x.csv", "toy/../../x.csv", "toy\\x.csv", "", ".", "toy/.."])
def test_no_path_leads_out_of_the_cache(path: str) -> None:
    """A card whose path leaves its folder is refused when it is read."""
    with pytest.raises(ConfigError, match="must be relative"):
        make_card({"path": path})


# --- fetch ----------------------------------------------------------------------------------------------------------


def test_fetch_brings_a_file_and_tells_its_bytes(site: Site, tmp_path: Path) -> None:
    """The file arrives whole at its place, and progress counts each byte once."""
    watcher = Watcher()
    [found] = fetch(make_card(entry(site)), cache=tmp_path, progress=watcher, options=FAST)
    assert found.path == tmp_path / "toy/data.csv"
    assert found.path.read_bytes() == BODY
    assert watcher.stages == [("data.csv", len(BODY), "bytes")]
    assert (watcher.count, watcher.finished) == (len(BODY), 1)
    assert leftovers(tmp_path) == []


def test_fetch_leaves_right_files_alone(site: Site, tmp_path: Path) -> None:
    """A file that is there and right is not asked for again."""
    card = make_card(entry(site))
    fetch(card, cache=tmp_path, options=FAST)
    fetch(card, cache=tmp_path, options=FAST)
    assert len(site.asked) == 1


def test_fetch_replaces_an_altered_file(site: Site, tmp_path: Path) -> None:
    """A wrong file in the cache is replaced by the right one."""
    put(tmp_path, b"wrong")
    [found] = fetch(make_card(entry(site)), cache=tmp_path, options=FAST)
    assert found.path.read_bytes() == BODY


def test_broken_connections_are_resumed(site: Site, tmp_path: Path) -> None:
    """After each break only the rest is asked for, and progress still counts each byte once."""
    site.drop_after = [100_000, 50_000]
    watcher = Watcher()
    [found] = fetch(make_card(entry(site)), cache=tmp_path, progress=watcher, options=FAST)
    assert found.path.read_bytes() == BODY
    assert site.ranges_asked == [None, "bytes=100000-", "bytes=150000-"]
    assert (watcher.count, watcher.finished) == (len(BODY), 1)


def test_next_run_goes_on_where_the_last_one_stopped(site: Site, tmp_path: Path) -> None:
    """What arrived before giving up is kept under .part and used by the next run."""
    card = make_card(entry(site))
    site.drop_after = [70_000, 0, 0, 0]
    with pytest.raises(DataError, match="what has arrived is kept"):
        fetch(card, cache=tmp_path, options=FAST)
    assert leftovers(tmp_path) == ["data.csv.part"]
    assert not (tmp_path / "toy/data.csv").exists()
    site.asked.clear()
    [found] = fetch(card, cache=tmp_path, options=FAST)
    assert site.ranges_asked == ["bytes=70000-"]
    assert found.path.read_bytes() == BODY


def test_a_wrong_half_is_thrown_away_once(site: Site, tmp_path: Path) -> None:
    """A left-over half of another file is noticed by the checksum, and the file is fetched whole."""
    put(tmp_path, b"x" * 1_000, name="toy/data.csv.part")
    [found] = fetch(make_card(entry(site)), cache=tmp_path, options=FAST)
    assert found.path.read_bytes() == BODY
    assert site.ranges_asked == ["bytes=1000-", None]


def test_without_checksum_a_left_half_is_not_trusted(site: Site, tmp_path: Path) -> None:
    """Where nothing can show that two halves belong together, a new run begins anew."""
    put(tmp_path, b"x" * 1_000, name="toy/data.csv.part")
    [found] = fetch(
        make_card({"path": "toy/data.csv", "url": f"{site.address}/data.csv"}), cache=tmp_path, options=FAST
    )
    assert found.path.read_bytes() == BODY
    assert site.ranges_asked == [None]


def test_a_whole_part_needs_no_more_bytes(site: Site, tmp_path: Path) -> None:
    """A .part that is whole (killed before the rename) is taken when the server says that there is no more."""
    put(tmp_path, name="toy/data.csv.part")
    [found] = fetch(make_card(entry(site)), cache=tmp_path, options=FAST)
    assert found.path.read_bytes() == BODY
    assert leftovers(tmp_path) == []


def test_a_part_that_is_too_long_is_begun_anew(site: Site, tmp_path: Path) -> None:
    """A .part longer than the file can't be its beginning."""
    put(tmp_path, BODY + b"more", name="toy/data.csv.part")
    [found] = fetch(make_card(entry(site)), cache=tmp_path, options=FAST)
    assert found.path.read_bytes() == BODY


def test_a_server_without_ranges_sends_all_again(site: Site, tmp_path: Path) -> None:
    """A server that ignores the range is answered by starting over, not by appending."""
    site.ranges = False
    site.drop_after = [100_000]
    watcher = Watcher()
    [found] = fetch(make_card(entry(site)), cache=tmp_path, progress=watcher, options=FAST)
    assert found.path.read_bytes() == BODY
    assert watcher.count == len(BODY)


def test_a_server_that_answers_another_range_is_not_believed(site: Site, tmp_path: Path) -> None:
    """A range that begins elsewhere than asked is thrown away, and the file is fetched whole."""
    site.shift = 7
    site.drop_after = [100_000]
    [found] = fetch(make_card(entry(site)), cache=tmp_path, options=FAST)
    assert found.path.read_bytes() == BODY
    assert site.ranges_asked == [None, "bytes=100000-", None]


@pytest.mark.parametrize("body", [BODY[:-1] + b"!", BODY[:-1], BODY + b"more"], ids=["altered", "shorter", "longer"])
def test_altered_bytes_are_refused_and_not_kept(site: Site, tmp_path: Path, body: bytes) -> None:
    """What is not the card's file is neither kept nor asked for a second time; the error names the address."""
    site.files["/data.csv"] = body
    with pytest.raises(ChecksumError) as caught:
        fetch(make_card(entry(site)), cache=tmp_path, options=FAST)
    assert caught.value.file == f"{site.address}/data.csv"
    assert str(tmp_path / "toy/data.csv") in str(caught.value.hint)
    assert leftovers(tmp_path) == []
    assert not (tmp_path / "toy/data.csv").exists()
    assert len(site.asked) == 1


def test_a_bad_download_leaves_the_old_file(site: Site, tmp_path: Path) -> None:
    """A wrong file is replaced only by a right one."""
    old = put(tmp_path, b"old")
    site.files["/data.csv"] = b"altered"
    with pytest.raises(ChecksumError):
        fetch(make_card(entry(site)), cache=tmp_path, options=FAST)
    assert old.read_bytes() == b"old"


@pytest.mark.parametrize(("status", "words"), [(404, "not at this address"), (403, "refuses"), (400, "status 400")])
def test_a_refusal_is_final(site: Site, tmp_path: Path, status: int, words: str) -> None:
    """A refusal is told at once, with the address and what to do by hand; nothing is tried again."""
    site.statuses = [status] * 9
    with pytest.raises(DataError, match=words) as caught:
        fetch(make_card(entry(site)), cache=tmp_path, options=FAST)
    assert caught.value.file == f"{site.address}/data.csv"
    assert "https://example.org/toy" in str(caught.value.hint)
    assert len(site.asked) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_passing_trouble_is_waited_for(site: Site, tmp_path: Path, status: int) -> None:
    """An overloaded server is asked again."""
    site.statuses = [status, status]
    [found] = fetch(make_card(entry(site)), cache=tmp_path, options=FAST)
    assert found.path.read_bytes() == BODY
    assert len(site.asked) == 3


def test_trouble_that_stays_ends_after_the_given_tries(site: Site, tmp_path: Path) -> None:
    """Trouble that does not pass ends in an error that says how often it was tried and why it failed."""
    site.statuses = [503] * 9
    with pytest.raises(DataError, match="in 4 tries: the server answers 503"):
        fetch(make_card(entry(site)), cache=tmp_path, options=FAST)


def test_no_server_is_an_error_without_a_traceback(tmp_path: Path) -> None:
    """An address where nobody listens is a DataError."""
    with pytest.raises(DataError, match="could not be fetched"):
        fetch(make_card(entry(url="http://127.0.0.1:9/data.csv")), cache=tmp_path, options=FAST)


@pytest.mark.parametrize("url", ["ftp://example.org/data.csv", "data.csv", "http://host:port/data.csv"])
def test_an_address_that_is_none_is_an_error(tmp_path: Path, url: str) -> None:
    """What is no http address is told at once."""
    with pytest.raises(DataError, match="can't be used"):
        fetch(make_card(entry(url=url)), cache=tmp_path, options=FAST)


def test_a_web_page_is_no_file(site: Site, tmp_path: Path) -> None:
    """Where no checksum would notice it, a page of HTML (a login, an error) is still not taken for the file."""
    site.files["/data.csv"] = b"<html>Please log in</html>"
    site.types["/data.csv"] = "text/html; charset=utf-8"
    card = make_card({"path": "toy/data.csv", "url": f"{site.address}/data.csv"})
    with pytest.raises(DataError, match="web page"):
        fetch(card, cache=tmp_path, options=FAST)


def test_redirects_are_followed(site: Site, tmp_path: Path) -> None:
    """Addresses that send on to another one work, as those of the hub do; a circle of them is an error."""
    site.redirects = {"/old.csv": "/data.csv", "/circle": "/circle"}
    [found] = fetch(make_card(entry(url=f"{site.address}/old.csv")), cache=tmp_path, options=FAST)
    assert found.path.read_bytes() == BODY
    with pytest.raises(DataError, match="can't be used"):
        fetch(make_card(entry(path="b.csv", url=f"{site.address}/circle")), cache=tmp_path, options=FAST)


def test_an_optional_file_that_is_gone_is_a_note(site: Site, tmp_path: Path) -> None:
    """The rest of a set is fetched even if an optional file is not to be had; a note says so."""
    watcher = Watcher()
    gone = entry(path="toy/extra.csv", url=f"{site.address}/gone.csv", optional=True)
    found = fetch(make_card(gone, entry(site)), cache=tmp_path, progress=watcher, options=FAST)
    assert [each.file.path for each in found] == ["toy/data.csv"]
    assert len(watcher.notes) == 1
    assert "toy/extra.csv" in watcher.notes[0]


def test_a_file_without_address_is_to_be_put_by_hand(tmp_path: Path) -> None:
    """A file without an address asks for it by name and place; a wrong one is told, a right one taken."""
    card = make_card(entry())
    with pytest.raises(DataError) as caught:
        fetch(card, cache=tmp_path, options=FAST)
    assert str(tmp_path / "toy/data.csv") in str(caught.value.hint)
    put(tmp_path, b"wrong")
    with pytest.raises(ChecksumError, match="https://example"):
        fetch(card, cache=tmp_path, options=FAST)
    put(tmp_path)
    assert len(fetch(card, cache=tmp_path, options=FAST)) == 1


def test_a_cache_that_can_not_be_written_is_an_error(site: Site, tmp_path: Path) -> None:
    """A cache path that is a file gives a DataError that asks for another place."""
    cache = put(tmp_path, name="cache")
    with pytest.raises(DataError, match="can't be written"):
        fetch(make_card(entry(site)), cache=cache, options=FAST)


def test_two_processes_do_not_fetch_one_file(site: Site, tmp_path: Path) -> None:
    """While one process fetches a file, another is told which, instead of spoiling it."""
    with (
        locked(tmp_path / "toy/.data.csv.lock"),
        pytest.raises(DataError, match=f"process {os.getpid()} is fetching this file"),
    ):
        fetch(make_card(entry(site)), cache=tmp_path, options=FAST)


def test_download_needs_no_size_and_no_checksum(site: Site, tmp_path: Path) -> None:
    """A bare address is enough: the server's length is the total."""
    watcher = Watcher()
    download(Remote(url=f"{site.address}/data.csv"), tmp_path / "x.csv", progress=watcher, options=FAST)
    assert (tmp_path / "x.csv").read_bytes() == BODY
    assert watcher.stages == [("x.csv", len(BODY), "bytes")]


# --- the hub --------------------------------------------------------------------------------------------------------

INFO = "/api/datasets/someone/reviews/revision/refs/convert/parquet"


def put_on_hub(site: Site, *paths: str) -> None:
    """Serve a data set with the given Parquet files."""
    siblings = []
    for path in paths:
        body = path.encode() * 100
        lfs = {"sha256": hashlib.sha256(body).hexdigest(), "size": len(body), "pointerSize": 130}
        siblings.append({"rfilename": path, "size": len(body), "blobId": "1" * 40, "lfs": lfs})
        site.files[f"/datasets/someone/reviews/resolve/refs/convert/parquet/{path}"] = body
    site.files[INFO] = json.dumps({"id": "someone/reviews", "siblings": siblings}).encode()
    site.types[INFO] = "application/json"


def hub_card(**options: object) -> Card:
    """Return a card that knows only a hub name."""
    reader = {"kind": "hub", "text": "text", "label": "label", "options": options}
    return make_card(name="someone/reviews", hub="someone/reviews", reader=reader)


def test_a_hub_set_is_fetched_by_its_name(site: Site, tmp_path: Path) -> None:
    """The Parquet files of a hub data set arrive checked, with their splits, and are found later without the hub."""
    put_on_hub(site, "default/train/0000.parquet", "default/train/0001.parquet", "default/test/0000.parquet")
    found = fetch(hub_card(), cache=tmp_path, options=FAST, endpoint=site.address)
    assert [each.file.split for each in found] == ["test", "train", "train"]
    assert found[0].path == tmp_path / "hub/someone--reviews/default/test/0000.parquet"
    assert found[0].file.sha256 == found[0].sha256
    assert {each.reader.kind for each in found} == {"parquet"}
    site.files.clear()
    assert locate(hub_card(), root=None, cache=tmp_path) == found


def test_a_hub_set_that_was_not_fetched_names_the_command(tmp_path: Path) -> None:
    """A hub-only set that was never fetched asks to be fetched."""
    with pytest.raises(DataError, match="ottenok data fetch someone/reviews"):
        locate(hub_card(), root=None, cache=tmp_path)


def test_a_hub_configuration_is_chosen_by_name(site: Site, tmp_path: Path) -> None:
    """Of several configurations one must be named; a wrong name is answered with the right ones."""
    put_on_hub(site, "raw/train/0000.parquet", "simplified/partial-validation/0000.parquet")
    with pytest.raises(DataError, match="raw, simplified"):
        fetch(hub_card(), cache=tmp_path, options=FAST, endpoint=site.address)
    with pytest.raises(DataError, match="no configuration 'simple'"):
        fetch(hub_card(config="simple"), cache=tmp_path, options=FAST, endpoint=site.address)
    [found] = fetch(hub_card(config="simplified"), cache=tmp_path, options=FAST, endpoint=site.address)
    assert found.file.split == "validation"
    assert found.reader.options == {}


def test_hub_configurations_are_kept_apart(site: Site, tmp_path: Path) -> None:
    """A set fetched in two configurations is found in each of them."""
    put_on_hub(site, "raw/train/0000.parquet", "simplified/train/0000.parquet")
    found = {
        config: fetch(hub_card(config=config), cache=tmp_path, options=FAST, endpoint=site.address)
        for config in ("raw", "simplified")
    }

    for config, files in found.items():
        assert locate(hub_card(config=config), root=None, cache=tmp_path) == files
        assert [file.path.parts[-3] for file in files] == [config]


def test_a_hub_set_without_parquet_is_an_error(site: Site, tmp_path: Path) -> None:
    """A data set that the hub could not convert is told as such."""
    put_on_hub(site)
    with pytest.raises(DataError, match="no Parquet files"):
        fetch(hub_card(), cache=tmp_path, options=FAST, endpoint=site.address)


def test_a_hub_set_that_is_not_there_is_an_error(site: Site, tmp_path: Path) -> None:
    """A wrong name is a DataError that names it."""
    with pytest.raises(DataError, match="someone/reviews"):
        fetch(hub_card(), cache=tmp_path, options=FAST, endpoint=site.address)


def test_a_hub_that_can_not_be_reached_is_an_error(tmp_path: Path) -> None:
    """Without a connection to the hub there is a DataError, and nothing is remembered."""
    with pytest.raises(DataError, match="does not list"):
        fetch(hub_card(), cache=tmp_path, options=FAST, endpoint="http://127.0.0.1:9")
    with pytest.raises(DataError, match="not been fetched"):
        locate(hub_card(), root=None, cache=tmp_path)


def test_a_spoilt_hub_listing_is_an_error(tmp_path: Path) -> None:
    """A listing that can't be read asks to be fetched anew."""
    put(tmp_path, b"{]", name="hub/someone--reviews/files.json")
    with pytest.raises(DataError, match="Delete it"):
        locate(hub_card(), root=None, cache=tmp_path)
