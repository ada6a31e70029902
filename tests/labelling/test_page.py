"""The labelling page in a real Chromium, served by the real command."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
import pytest

from labelling.conftest import GOOD, texts, write_table
from ottenok.cli.main import run
from ottenok.labelling.pool import read_pool
from pages import chromium, node_package

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

HOSTILE = "<script>window.harmed = 1</script><img src=x onerror='window.harmed = 1'>\u202eужас"
LABELS = "хорошо,плохо,<b>прочее</b>"


class Running:
    """A labelling server.

    Attributes:
        url: The page's address, with its random part.
        process: The process.
        journal: Where answers go.
        out: Where labels go at the end.
    """

    def __init__(self, folder: Path, file: Path, *options: str) -> None:
        self.journal = file.with_name(f"{file.name}.labels.jsonl")
        self.out = folder / "labels.csv"
        self.log = folder / "label.log"
        command = ["label", str(file), "--text", "review", "--labels", LABELS, "-o", str(self.out), *options]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([sys.executable, "-m", "ottenok", *command], stderr=log, env=os.environ)
        until = time.monotonic() + 60
        while (found := re.search(r"(http://\S+)", self.log.read_text(encoding="utf-8"))) is None:
            assert self.process.poll() is None, self.log.read_text(encoding="utf-8")
            assert time.monotonic() < until
            time.sleep(0.02)
        self.url = found[1]

    def entries(self) -> list[dict[str, object]]:
        """Return the journal's lines."""
        return [json.loads(line) for line in self.journal.read_text(encoding="utf-8").splitlines()]


@contextmanager
def running(folder: Path, file: Path, *options: str) -> Iterator[Running]:
    """Run a server, and end it as Ctrl-C does."""
    server = Running(folder, file, *options)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.process.send_signal(signal.SIGINT)
            try:
                server.process.wait(30)
            except subprocess.TimeoutExpired:
                server.process.kill()
                server.process.wait()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return a browser for the tests of this file."""
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Return one server for most tests, which go on where the one before left it."""
    folder = tmp_path_factory.mktemp("label")
    file = write_table(folder / "texts.csv", texts(90))
    with running(folder, file, "--overlap", "1", "--rater", "anna") as started:
        yield started
        # Also a signal is an end at which the labels are written.
        started.process.terminate()
        assert started.process.wait(60) == 0
        assert started.out.is_file()


@pytest.fixture
def opened(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Return what opens a page; at the end nothing may have failed or come from elsewhere."""
    contexts, faults, asked, allowed = [], [], [], []

    def begin(url: str, **options: object) -> Page:
        context = browser.new_context(**{"locale": "en-US", "accept_downloads": True, **options})
        contexts.append(context)
        allowed.append(url)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
        page.on("request", lambda request: asked.append(request.url))
        page.goto(url)
        page.wait_for_selector("#labels button")
        page.wait_for_function("document.getElementById('text').textContent.length > 0")
        return page

    yield begin
    for context in contexts:
        context.close()
    assert faults == []
    assert [url for url in asked if not url.startswith((*allowed, "blob:", "data:"))] == []


def press(page: Page, key: str) -> str:
    """Press a key, wait for the answer, and return the text that was there before."""
    before = page.inner_text("#text")
    with page.expect_response("**/api/*"):
        page.keyboard.press(key)
    page.wait_for_function("(old) => document.getElementById('text').innerText !== old", arg=before)
    return before


def right(text: str) -> str:
    """Return the key of the right label."""
    return "1" if text.startswith(GOOD) else "2"


def test_labels_are_given_by_keys(opened: Callable[..., Page], server: Running) -> None:
    """Digits answer, also in a Russian layout, space skips, U takes back; each answer is on the disk at once."""
    page = opened(server.url)
    assert page.input_value("#rater") == "anna"
    first = press(page, right(page.inner_text("#text")))
    assert server.entries()[-1]["text"] == first
    assert server.entries()[-1]["rater"] == "anna"
    second = press(page, " ")
    assert server.entries()[-1]["kind"] == "skip"
    third = press(page, "KeyU")
    assert page.inner_text("#text") == second != third
    assert server.entries()[-1]["kind"] == "undo"
    press(page, "Control+z")
    assert page.inner_text("#text") == first
    press(page, f"Numpad{right(first)}")
    assert server.entries()[-1]["kind"] == "answer"
    page.keyboard.press("?")
    assert page.is_visible("#keylist")
    page.keyboard.press("Escape")
    assert not page.is_visible("#keylist")
    for _ in range(19):
        press(page, right(page.inner_text("#text")))
    page.wait_for_selector("#crossed:has-text('labelled texts')", timeout=60_000)
    assert "drawn at random" in page.inner_text("#honest-why")
    assert page.evaluate("document.activeElement.id") == "text"


def test_keys_leave_fields_and_buttons_alone(opened: Callable[..., Page], server: Running) -> None:
    """A digit in the rater's name is no answer, nor is one when the shortcuts are off; Space presses a button."""
    page = opened(server.url)
    lines = len(server.entries())
    page.fill("#rater", "")
    page.focus("#rater")
    page.keyboard.type("anna2")
    page.focus("#helper")
    page.keyboard.press("Space")
    assert page.is_visible("#help")
    page.uncheck("#shortcuts")
    page.keyboard.press("1")
    page.wait_for_timeout(200)
    assert [entry for entry in server.entries()[lines:] if entry["kind"] != "measured"] == []


def test_a_second_rater_and_alpha(opened: Callable[..., Page], server: Running) -> None:
    """Another name gets the shared texts too; alpha stands there, and disagreements are settled with a button."""
    page = opened(server.url)
    page.fill("#rater", "boris")
    page.keyboard.press("Enter")
    page.wait_for_selector("#how:has-text('another rater has had it too')")
    for number in range(8):
        text = page.inner_text("#text")
        press(page, "3" if number == 4 else right(text))
    page.wait_for_selector("#alpha:has-text('Krippendorff')")
    page.click("#open")
    page.wait_for_selector(".dispute")
    assert page.locator(".dispute").count() == 1
    assert page.locator(".dispute b").count() == 0
    with page.expect_response("**/api/settle"):
        page.locator(".dispute button").first.click()
    page.wait_for_selector("#dispute-list:has-text('agree on every text')")
    assert server.entries()[-1]["kind"] in {"settle", "measured"}


def test_labels_can_be_downloaded(opened: Callable[..., Page], server: Running) -> None:
    """The page gives CSV and the forms of other tools."""
    page = opened(server.url)
    with page.expect_download() as got:
        page.click("a[href*='format=csv']")
    rows = list(csv.DictReader(got.value.path().read_text(encoding="utf-8").splitlines()))
    assert len(rows) > 20
    assert rows[0].keys() == {"text", "label", "rater", "time", "how", "row"}
    with page.expect_download() as got:
        page.click("a[href*='format=label-studio']")
    assert json.loads(got.value.path().read_text(encoding="utf-8"))[0]["annotations"]


def test_nobody_else_may_write(server: Running) -> None:
    """Without the random part, by another name, or from another site's page nothing is answered or written."""
    base, token = server.url.rstrip("/").rsplit("/", 1)
    lines = len(server.entries())
    body = {"rater": "x", "key": "", "labels": []}
    assert base.startswith("http://127.0.0.1:")
    assert len(token) >= 32
    for url in (f"{base}/", f"{base}/api/undo", f"{base}/{token[:-1]}x/api/undo", f"{base}/{token}x/api/undo"):
        assert httpx.post(url, json=body).status_code in {404, 405}
    assert httpx.post(f"{server.url}api/undo", json=body, headers={"host": "evil.example"}).status_code == 403
    assert httpx.post(f"{server.url}api/undo", json=body, headers={"origin": "http://evil.example"}).status_code == 403
    assert httpx.post(f"{server.url}api/undo", json=body, headers={"origin": "null"}).status_code == 403
    assert httpx.post(f"{server.url}api/answer", json={**body, "rater": "a+b"}).status_code == 422
    assert httpx.post(f"{server.url}api/answer", json=body).status_code == 422
    assert httpx.post(f"{server.url}api/answer", content=b"x" * 100_000).status_code == 413
    policy = httpx.get(server.url).headers
    assert "default-src 'none'" in policy["content-security-policy"]
    assert policy["referrer-policy"] == "no-referrer"
    assert [entry for entry in server.entries()[lines:] if entry["kind"] != "measured"] == []
    assert token not in server.log.read_text(encoding="utf-8").replace(server.url, "")


@pytest.mark.parametrize("look", ["light", "dark"])
def test_it_is_accessible_and_fits(opened: Callable[..., Page], server: Running, look: str) -> None:
    """axe-core finds nothing serious in both themes and widths, and nothing is wider than the screen."""
    script = node_package("axe-core") / "axe.min.js"
    page = opened(server.url, color_scheme=look, bypass_csp=True, locale="ru-RU")
    assert page.evaluate("document.documentElement.lang") == "ru"
    page.keyboard.press("?")
    page.add_script_tag(path=script)
    for width in (360, 1200):
        page.set_viewport_size({"width": width, "height": 800})
        found = page.evaluate("axe.run({resultTypes: ['violations']})")
        assert [
            (one["id"], one["nodes"][0]["html"])
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
        ] == []
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        folder = os.environ.get("OTTENOK_SCREENSHOTS")
        if folder:
            page.screenshot(path=f"{folder}/label-{look}-{width}.png", full_page=True)


def test_a_killed_server_goes_on(
    opened: Callable[..., Page], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """After kill -9 and a cut line the same command goes on; hostile texts do no harm; the page ends the server."""
    rows = [HOSTILE, "ужас" * 250_000, *texts(8)]
    file = write_table(tmp_path / "texts.csv", rows)
    with running(tmp_path, file, "--multi-label") as server:
        page = opened(server.url)
        for _ in range(4):
            page.keyboard.press("1")
            page.wait_for_selector("#labels button[aria-pressed='true']")
            press(page, "Enter")
        assert run(["label", str(file), "--text", "review"]) == 2
        assert "is labelling with this journal" in capsys.readouterr().err
        server.process.kill()
        server.process.wait()
        page.context.close()
    with server.journal.open("ab") as stream:
        stream.write('{"kind":"answer","text":"полови'.encode())
    with running(tmp_path, file, "--multi-label") as server:
        assert "was cut" in server.log.read_text(encoding="utf-8")
        page = opened(server.url)
        assert "4" in page.inner_text("#count")
        shown = set()
        for _ in range(6):
            text = page.inner_text("#text")
            shown.add(text[:20])
            assert len(text) < 25_000
            press(page, "Enter")
        assert page.inner_text("#text") == "No text is left."
        assert page.evaluate("window.harmed") is None
        assert page.locator("#text img, #text script, #labels b").count() == 0
        page.click("#stop")
        page.wait_for_selector("#fault:has-text('saved')")
        assert server.process.wait(30) == 0
    found = read_pool(server.out, text="text", label="label")
    assert sorted(found.texts) == sorted(rows)
    assert sorted(found.given.values()) == [()] * 6 + [("хорошо",)] * 4
