"""Texts as words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottenok.explain.words import Word, find_words, joined
from ottenok.text.characters import drop_invisible

_ANY = st.text(
    st.one_of(st.sampled_from("аяё́й-'’.,:;!?()[]@&#/ \t\n\u200b\u200d\ufe0f中文了かﾉ👍👩🏽🇷🇺1️⃣abc09…_"), st.characters())
)


def _texts(text: str) -> list[str]:
    return [word.text for word in find_words(text)]


@given(_ANY)
def test_every_word_stands_where_it_says(text: str) -> None:
    """Offsets are those of the text as it was given, words do not overlap, and none is empty or blank."""
    done = 0
    for word in find_words(text):
        assert text[word.start : word.end] == word.text
        assert word.start >= done
        assert drop_invisible(word.text).strip()
        done = word.end


@given(_ANY)
def test_nothing_that_shows_is_outside_all_words(text: str) -> None:
    """What is left between the words is white space or shows as nothing."""
    done = 0
    for word in [*find_words(text), Word("", len(text), len(text))]:
        assert all(not drop_invisible(character).strip() for character in text[done : word.start])
        done = word.end


@given(_ANY)
def test_all_words_together_are_the_text(text: str) -> None:
    """Joining all words gives the text back, from the first word to the last."""
    words = find_words(text)

    assert joined(text, words) == (text[words[0].start : words[-1].end] if words else "")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Санкт-Петербург, за́мок — 3.5 балла!!!", ["Санкт-Петербург", ",", "за́мок", "—", "3.5", "балла", "!!!"]),
        ("👩‍👩‍👧👍🏽🇷🇺1️⃣❤️", ["👩‍👩‍👧", "👍🏽", "🇷🇺", "1️⃣", "❤️"]),
        ("Ура:) xD ))) [哈哈] <3", ["Ура", ":)", "xD", ")))", "[哈哈]", "<3"]),
        (
            "см. https://a.ru/x?y=1 @ivan a@b.ru &laquo;",
            ["см", ".", "https://a.ru/x?y=1", "@ivan", "a@b.ru", "&laquo;"],
        ),
        ("don't e\u0301te\u0301", ["don't", "e\u0301te\u0301"]),
        ("\u200b \ufeff", []),
    ],
)
def test_words_are_what_people_take_for_words(text: str, words: list[str]) -> None:
    """Hyphens, stress marks, emoji, emoticons, addresses and entities do not break a word."""
    assert _texts(text) == words


def test_chinese_is_divided_into_words() -> None:
    """With rjieba Chinese words are whole; punctuation stands apart."""
    pytest.importorskip("rjieba")

    assert _texts("服务态度很差，再也不来了") == ["服务态度", "很差", "，", "再也", "不来", "了"]


def test_chinese_characters_are_words_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing needs to be installed: then each character stands alone."""
    monkeypatch.setitem(__import__("sys").modules, "rjieba", None)

    assert _texts("很差 ok") == ["很", "差", "ok"]


def test_what_is_left_of_a_text_stays_apart() -> None:
    """Words do not grow together where something was taken out, and Chinese ones get no space."""
    text = "кот,пёс и房间很小"
    words = find_words(text)

    assert joined(text, [words[0], words[2]]) == "кот пёс"
    assert " " not in joined(text, [words[4], words[-1]])
