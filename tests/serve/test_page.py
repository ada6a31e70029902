"""The page in a real Chromium, served by a real server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pages import chromium, node_package

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from serve.conftest import Running

HOSTILE = "<script>window.harmed = 1</script><img src=x onerror='window.harmed = 1'>\u202eужас"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return a browser for the tests of this file."""
    with chromium() as running:
        yield running


@pytest.fixture
def opened(browser: Browser, server: Running) -> Iterator[Callable[..., Page]]:
    """Return what opens the page; at the end nothing may have failed or come from elsewhere."""
    contexts, faults, asked = [], [], []

    def begin(link: str = "", **options: object) -> Page:
        context = browser.new_context(**{"locale": "en-US", "accept_downloads": True, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{server.url}/{link}")
        page.wait_for_selector("#model option", state="attached")
        return page

    yield begin
    for context in contexts:
        context.close()
    # A refusal is an answer too: the browser notes its status.
    assert [fault for fault in faults if "status of 422" not in fault] == []
    assert [url for url in asked if not url.startswith((server.url, "blob:", "data:"))] == []


def test_answers_come_while_typing(opened: Callable[..., Page]) -> None:
    """Labels, the dial, emotions and stars stand there when typing stops, and the text goes into the link."""
    page = opened()
    page.fill("#text", "Какая гадость эта ваша заливная рыба!")
    page.wait_for_selector(".verdict")
    assert page.inner_text(".verdict") == "negative"
    assert "disgust ✓" in page.inner_text(".answer")
    assert page.get_attribute("svg.dial", "aria-label").startswith("polarity, from −1 to 1: −0.")
    assert "#text=%D0%9A" in page.url
    page.select_option("#language", "ru")
    assert page.inner_text(".verdict") == "негативный"
    assert page.evaluate("document.documentElement.lang") == "ru"


def test_a_link_carries_its_text(opened: Callable[..., Page]) -> None:
    """What stands after # is classified when the link is opened, and never sent as part of the address."""
    page = opened("#text=%E6%9C%8D%E5%8A%A1%E6%80%81%E5%BA%A6%E5%BE%88%E5%B7%AE")
    page.wait_for_selector(".verdict")
    assert page.input_value("#text") == "服务态度很差"
    assert page.inner_text(".verdict") == "negative"


def test_words_are_explained(opened: Callable[..., Page]) -> None:
    """A click shows which words made the label, also with emoji before them."""
    page = opened()
    page.fill("#text", "👍🏽 Ужасно невкусный суп")
    page.wait_for_selector(".verdict")
    page.click("text=Show which words made it")
    page.wait_for_selector(".words mark.up")
    assert page.inner_text(".words") == "👍🏽 Ужасно невкусный суп"
    assert "Ужасно" in page.locator(".words mark").all_inner_texts()


def test_pasted_lines_become_a_table(opened: Callable[..., Page]) -> None:
    """Many lines give a table, shares of each task, and downloads with every row."""
    page = opened()
    page.click("#tab-many")
    page.fill("#lines", "Спасибо, всё отлично!\nОтвратительно\n\n图书馆在二楼")
    page.click("#go")
    page.wait_for_selector("#table tbody tr")
    assert page.locator("#table tbody tr").count() == 3
    assert "Shares: sentiment-3" in page.inner_text("#charts")
    with page.expect_download() as got:
        page.click("#csv")
    lines = got.value.path().read_text(encoding="utf-8-sig").splitlines()
    assert lines[0].startswith("text,label,confidence,polarity,emotions-7:label")
    assert lines[2].startswith("Отвратительно,negative,")
    with page.expect_download() as got:
        page.click("#json")
    rows = [json.loads(line) for line in got.value.path().read_text(encoding="utf-8").splitlines()]
    assert [row["text"] for row in rows] == ["Спасибо, всё отлично!", "Отвратительно", "图书馆在二楼"]


def test_a_file_becomes_a_table(opened: Callable[..., Page], tmp_path: Path) -> None:
    """A workbook is read by the server's readers, its column of texts is found, and its other columns come back."""
    openpyxl = pytest.importorskip("openpyxl", reason="needs the extra data")
    book = openpyxl.Workbook()
    for row in (["id", "отзыв"], [7, "Очень вкусно, спасибо!"], [8, None], [9, "=1+1 ужасно, не приду"]):
        book.active.append(row)
    book.save(tmp_path / "отзывы.xlsx")
    page = opened()
    page.click("#tab-many")
    page.set_input_files("#file", tmp_path / "отзывы.xlsx")
    page.wait_for_selector("#column option", state="attached")
    page.wait_for_selector("#notes:has-text('3 rows')")
    assert page.input_value("#column") == "1"
    page.click("#go")
    page.wait_for_selector("#table tbody tr")
    with page.expect_download() as got:
        page.click("#csv")
    lines = got.value.path().read_text(encoding="utf-8-sig").splitlines()
    assert lines[0].startswith("id,отзыв,label,")
    assert lines[1].startswith('7,"Очень вкусно, спасибо!",positive,')
    assert lines[2].startswith("8,,,")
    assert len(lines) == 4


def test_a_file_that_cannot_be_read_is_told(opened: Callable[..., Page], tmp_path: Path) -> None:
    """A broken file is named with what to do, and nothing is classified."""
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and no more")
    page = opened()
    page.click("#tab-many")
    with page.expect_response("**/v1/table*") as answer:
        page.set_input_files("#file", tmp_path / "broken.parquet")
    assert answer.value.status == 422
    page.wait_for_selector("#trouble:has-text('broken.parquet')")


def test_hostile_texts_do_no_harm(opened: Callable[..., Page]) -> None:
    """Markup in texts, columns and links is shown as text everywhere, and a megabyte does not stop the page."""
    page = opened()
    page.fill("#text", HOSTILE)
    page.wait_for_selector(".verdict")
    page.click("text=Show which words made it")
    page.wait_for_selector(".words mark")
    assert page.inner_text(".words") == HOSTILE
    page.click("#tab-many")
    page.fill("#lines", HOSTILE + "\n" + "ужас" + " " * 1_000_000 + "ужас")
    page.click("#go")
    page.wait_for_selector("#table tbody tr >> nth=1")
    assert page.evaluate("window.harmed") is None
    assert page.locator("#table img, .words img, #table script").count() == 0


def test_it_is_used_by_keyboard(opened: Callable[..., Page]) -> None:
    """Tabs go by arrows, the first key leads past the header, and every field has a name."""
    page = opened()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.focus("#tab-one")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.id") == "tab-many"
    assert page.is_visible("#lines")
    page.keyboard.press("Home")
    assert page.is_visible("#text")


@pytest.mark.parametrize("look", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
def test_it_is_accessible_and_fits(opened: Callable[..., Page], look: str, width: int) -> None:
    """axe-core finds nothing serious in both themes and widths, and nothing is wider than the screen."""
    script = node_package("axe-core") / "axe.min.js"
    page = opened(color_scheme=look, viewport={"width": width, "height": 800}, bypass_csp=True)
    page.fill("#text", "Очень доволен покупкой, всё пришло вовремя 👍")
    page.wait_for_selector(".verdict")
    page.click("text=Show which words made it")
    page.wait_for_selector(".words mark")
    page.add_script_tag(path=script)
    for tab in ("one", "many"):
        page.click(f"#tab-{tab}")
        if tab == "many":
            page.fill("#lines", "Спасибо\nУжасно")
            page.click("#go")
            page.wait_for_selector("#table tbody tr")
        found = page.evaluate("axe.run()")
        serious = [
            (one["id"], one["nodes"][0]["html"])
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
        ]
        assert serious == []
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
