"""The page: whole, safe, without requests, and readable by those who can't see its plots."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

from ottenok.studies.report.page import page as render
from ottenok.studies.report.parts import Section

if TYPE_CHECKING:
    from ottenok.studies.reporting import WrittenReport

_VOID = {"meta", "link", "img", "br", "hr", "input", "base"}
_LOADING = {"src", "srcset", "data", "poster", "action", "formaction", "background", "ping", "xlink:href"}


class _Page(HTMLParser):
    """Reads a page into lists of elements, and checks that every element is closed in its turn."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.words: list[tuple[str, str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.words.append((self.open[-1], data.strip()))

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def inside(self, tag: str) -> list[str]:
        return [words for name, words in self.words if name == tag]


@pytest.fixture(scope="module", params=["written", "written_several"])
def text(request: pytest.FixtureRequest) -> str:
    """Return the page of each kind of model, without the marks of words in mistakes."""
    found: WrittenReport = request.getfixturevalue(request.param)
    return re.sub("</?mark[^>]*>", "", found.page.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def page(text: str) -> _Page:
    """Return the page, read by a parser."""
    return _Page(text)


def test_every_element_is_closed(page: _Page) -> None:
    """Elements are nested as HTML wants them, plots included."""
    assert page.open == []
    assert len(page.all("main")) == 1
    assert len(page.all("svg")) > 8


def test_nothing_is_loaded(page: _Page, text: str) -> None:
    """No scripts, no pictures or styles from elsewhere; the policy in the page forbids them besides."""
    assert {"script", "iframe", "object", "embed", "link", "img", "base"}.isdisjoint(tag for tag, _ in page.elements)
    for tag, attributes in page.elements:
        assert _LOADING.isdisjoint(attributes), (tag, attributes)
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
        assert tag == "a" or attributes.get("href", "#").startswith("#"), (tag, attributes)
    style = "".join(page.inside("style"))
    assert "url(" not in style
    assert "@import" not in style
    policy = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"]
    assert text.count("http://www.w3.org") == 0


def test_words_of_strangers_are_escaped(page: _Page, text: str) -> None:
    """A text that is a script, a name with tags and an address that runs code are shown as what they are."""
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "small &lt;model&gt;: report" in text
    assert any("Reviews <b>bold</b>" in words for words in page.inside("a"))
    assert not any(link["href"].startswith("javascript") for link in page.all("a"))


def test_no_text_turns_or_hides_the_page(text: str) -> None:
    """Marks that change the direction of letters, and control characters, are written out."""
    assert "⟨U+202E⟩⟨U+2067⟩⟨U+0007⟩ и громко" in text
    assert not {mark for mark in text if mark in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\x07"}


def test_a_megabyte_is_cut() -> None:
    """What is longer than any name or recipe says how long it is, and the page stays light."""
    found = render("m" * (1 << 20), "<b>", [Section(name="a", title="\ud800", lines=("x" * (1 << 20),))])

    assert len(found.encode("utf-8")) < 1 << 20
    assert found.count("… (1,048,576 characters)") == 3  # the title stands there twice
    assert "&lt;b&gt;" in found
    assert "⟨U+D800⟩" in found


def test_links_lead_somewhere(page: _Page) -> None:
    """Ids are unique, and every link within the page and every reference of a plot has its target."""
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    used = [attributes["href"] for _, attributes in page.elements if attributes.get("href", "").startswith("#")]
    used += [f"#{attributes['aria-labelledby']}" for _, attributes in page.elements if "aria-labelledby" in attributes]
    clips = [attributes["clip-path"] for _, attributes in page.elements if "clip-path" in attributes]
    used += [clip.removeprefix("url(").removesuffix(")") for clip in clips]
    assert len(clips) > 20
    assert {link.removeprefix("#") for link in used} <= set(ids)


def test_the_contents_name_every_section(page: _Page) -> None:
    """Each heading of the second and third level has its link, in the same order."""
    headings = [attributes["id"] for tag, attributes in page.elements if tag in {"h2", "h3"}]
    links = [link["href"].removeprefix("#") for link in page.all("a") if link["href"].startswith("#")]
    wanted = ["summary", "training", "test", "test-figures", "test-labels", "test-curves", "test-thresholds"]
    wanted += ["test-reliability", "test-sources", "test-mistakes", "data", "recipe", "making"]
    assert headings == ["contents", *wanted]
    assert links == ["content", *wanted]


def test_plots_are_told_in_words(page: _Page) -> None:
    """Each plot is an image with an alternative text of its own that has numbers, and a heading."""
    plots = page.all("svg")
    texts = [plot["aria-label"] for plot in plots]
    assert all(plot["role"] == "img" for plot in plots)
    assert all(any(letter.isdigit() for letter in text) for text in texts)
    assert len(page.inside("h4")) == len(plots) == len(page.all("figure"))


def test_plots_take_the_colours_of_the_page(page: _Page) -> None:
    """No colour in a plot is fixed, so all of it shows on a dark page; letters are letters."""
    styles = [attributes.get("style", "") for tag, attributes in page.elements if tag not in {"style", "svg"}]
    assert sum("var(--ink)" in style for style in styles) > 20
    assert not [style for style in styles if "#" in style.replace("url(#", "")]
    assert "epoch" in page.inside("text")


def test_languages_are_marked(page: _Page, text: str) -> None:
    """Russian and Chinese are there as such and marked, for fonts and screen readers."""
    quotes = page.all("blockquote")
    assert {"ru", "zh"} <= {quote.get("lang") for quote in quotes}
    assert {"ru", "zh"} <= {cell["lang"] for cell in page.all("td") if "lang" in cell}
    assert "今天的菜真好吃" in text
    assert "заливная рыба" in text


def test_texts_are_announced_and_cut(page: _Page, text: str) -> None:
    """The page says at its top that it holds texts of the data, and shows only the beginning of long ones."""
    assert any("contains texts of the data" in words for words in page.inside("p"))
    assert "x" * 600 + "… (900 characters)" in text
    assert "x" * 601 not in text


def test_tables_scroll_in_their_own_box(page: _Page) -> None:
    """Every table stands in a box that can be reached and scrolled by the keyboard, and has a caption and headings."""
    boxes = [box for box in page.all("div") if box.get("class") == "scroll"]
    assert len(boxes) == len(page.all("table")) == len(page.all("caption"))
    assert all(box["tabindex"] == "0" and box["aria-label"] for box in boxes)
    assert {cell["scope"] for cell in page.all("th")} == {"col", "row"}


def test_what_the_model_was_made_of(text: str) -> None:
    """Data sets with rows, licences and hashes, the terms that follow, recipe, cost and notes are on the page."""
    for words in ("Non-commercial use only", "CC-BY-NC-4.0", "a" * 64, "duplicate 12", "Temperature 1.500", "5,000"):
        assert words in text
    assert "&#34;metric&#34;: &#34;macro_f1&#34;" in text


def test_the_baselines_stand_beside_the_model(page: _Page) -> None:
    """Baselines of the same rows that the manifest holds are in the table of systems."""
    assert "majority" in page.inside("th")


def test_words_of_mistakes_are_marked(written: WrittenReport) -> None:
    """Beside the worst mistakes stands which words speak for the wrong answer; the risk-coverage curve has its area."""
    page = written.page.read_text(encoding="utf-8")

    assert '<mark class="f9"' in page
    assert ".a9 {" in page
    numbers = json.loads(written.numbers.read_text(encoding="utf-8"))
    assert 0.0 < numbers["plots"]["risk-test"]["numbers"]["area"] < 1.0
