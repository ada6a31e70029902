"""Saving, uploading and fetching classifiers, with a server that speaks the hub's protocol on this machine."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

import ottenok
from ottenok.core.errors import BundleError
from toys import fake_classifier, tiny_manifest, write_bundle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEXT = "так себе"


class _Hub(BaseHTTPRequestHandler):
    """What huggingface_hub asks of the hub to make a repository, commit to it and fetch it."""

    protocol_version = "HTTP/1.1"
    # Branch to path to bytes, of the one repository; and who asked for what.
    branches: dict[str, dict[str, bytes]]
    tokens: set[str]

    def log_message(self, *_args: Any) -> None:
        """Say nothing."""

    def _answer(self, body: bytes | dict[str, Any] | list[Any], status: int = 200, **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), "X-Repo-Commit": "c" * 40, **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    @property
    def _home(self) -> str:
        return f"http://{self.headers['Host']}"

    def do_POST(self) -> None:
        """Make the repository or a branch, say how files come, take a commit."""
        self.tokens.add(self.headers.get("Authorization", ""))
        body = self.rfile.read(int(self.headers["Content-Length"]))
        branch = self.path.rsplit("/", 1)[-1]
        if self.path == "/api/repos/create":
            self._answer({"url": f"{self._home}/me/{json.loads(body)['name']}"})
        elif "/branch/" in self.path:
            self.branches.setdefault(branch, {})
            self._answer(b"", 201)
        elif "/preupload/" in self.path:
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in json.loads(body)["files"]
            ]
            self._answer({"files": files})
        elif "/commit/" in self.path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.branches[branch][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            self._answer({"commitUrl": f"{self._home}/me/toy/commit/{branch}", "commitOid": "c" * 40})
        else:
            self._answer({"error": f"not here: {self.path}"}, 404)

    def do_GET(self) -> None:
        """Tell of a revision, or give a file."""
        parts = self.path.split("?")[0].strip("/").split("/")
        branch = parts[parts.index("revision") + 1] if "revision" in parts else "main"
        if "resolve" in parts:
            place = parts.index("resolve")
            # By branch, or by the commit, of which there is one for each branch.
            files = next((found for found in self.branches.values() if "/".join(parts[place + 2 :]) in found), {})
            data = files.get("/".join(parts[place + 2 :]))
            if data is None:
                self._answer(b"", 404, X_Error_Code="EntryNotFound")
            else:
                self._answer(data, ETag=f'"{hashlib.sha256(data).hexdigest()}"')
        elif "tree" in parts:
            files = self.branches["main"]
            self._answer(
                [{"type": "file", "path": path, "size": len(data), "oid": "0" * 40} for path, data in files.items()]
            )
        elif branch not in self.branches or not self.branches[branch]:
            self._answer({"error": "no such revision"}, 404, X_Error_Code="RevisionNotFound")
        else:
            files = [{"rfilename": path} for path in self.branches[branch]]
            self._answer(
                {
                    "id": "me/toy",
                    "sha": "c" * 40,
                    "siblings": files,
                    "private": False,
                    "tags": [],
                    "downloads": 0,
                    "likes": 0,
                }
            )

    do_HEAD = do_GET  # noqa: N815 - http.server's names


@pytest.fixture
def hub() -> Iterator[tuple[str, type[_Hub]]]:
    """Run the server; return its address and what it holds."""

    class Here(_Hub):
        branches: dict[str, dict[str, bytes]] = {"main": {}}  # noqa: RUF012 - one for each test
        tokens: set[str] = set()  # noqa: RUF012

    with ThreadingHTTPServer(("127.0.0.1", 0), Here) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", Here
        server.shutdown()
        thread.join()


PROGRAM = """
import sys
from ottenok import Classifier
from ottenok.core.errors import OttenokError

folder, text = sys.argv[1:]
classifier = Classifier.from_pretrained(folder)
print(classifier.push_to_hub("me/toy", token="hf_secret", private=True))
print(classifier.push_to_hub("me/toy", token="hf_secret", revision="v1", light=True))
print(Classifier.from_pretrained("me/toy")(text).to_json() == classifier(text).to_json())
try:
    Classifier.from_pretrained("me/toy", revision="v2")
except OttenokError as error:
    print(error.message)
"""


def test_a_classifier_goes_to_the_hub_and_comes_back(hub: tuple[str, type[_Hub]], tmp_path: Path) -> None:
    """Every file of the bundle is uploaded and nothing else; what is fetched answers as the original."""
    pytest.importorskip("huggingface_hub")
    address, held = hub
    folder = write_bundle(tmp_path / "toy", tiny_manifest("sentiment-3"))
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    private = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "hf"), "OTTENOK_CACHE": str(tmp_path / "cache")}

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), TEXT],
        env={**os.environ, **private, "HF_HUB_DISABLE_PROGRESS_BARS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    first, second, same, refused = done.stdout.splitlines()
    assert (first, second, same) == (f"{address}/me/toy/commit/main", f"{address}/me/toy/commit/v1", "True")
    assert "'me/toy@v2' can't be fetched" in refused
    listed = set(ottenok.load(folder).manifest.files)
    assert set(held.branches["main"]) == {*listed, "ottenok.json"}
    assert set(held.branches["v1"]) <= set(held.branches["main"])
    assert held.tokens == {"Bearer hf_secret"}


def test_what_is_saved_is_the_bundle(tmp_path: Path) -> None:
    """A saved classifier has the same bytes and answers; a folder with something else in it stays as it is."""
    classifier = ottenok.Classifier.from_pretrained(write_bundle(tmp_path / "toy", tiny_manifest("sentiment-3")))

    out = classifier.save_pretrained(tmp_path / "copy")

    for file in (path for path in out.rglob("*") if path.is_file()):
        assert file.read_bytes() == (tmp_path / "toy" / file.relative_to(out)).read_bytes()
    assert ottenok.Classifier.from_pretrained(out)(TEXT).to_json() == classifier(TEXT).to_json()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("dear to somebody", encoding="utf-8")
    with pytest.raises(BundleError, match="something in this place"):
        classifier.save_pretrained(tmp_path / "mine")


def test_a_classifier_without_a_folder_can_not_be_saved(tmp_path: Path) -> None:
    """The error says why."""
    with pytest.raises(BundleError, match="not loaded from a folder"):
        fake_classifier().save_pretrained(tmp_path / "out")
