"""Languages by script."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottenok.core.language import detect_language, read_language


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Какая гадость эта ваша заливная рыба!", "ru"),
        ("купил iPhone 12 Pro, доволен", "ru"),
        ("@user @someone лол http://example.com/a", "ru"),
        ("真好看", "zh"),
        ("iPhone真好用", "zh"),
        ("這部電影很好看", "zh"),
        ("What a film", "en"),
        ("これはとても良い映画です", "other"),
        ("정말 좋은 영화", "other"),
        ("Це дуже гарний фільм, і їжа теж", "other"),
        ("Wunderschöne Grüße für Übergrößen", "other"),
        ("فيلم رائع", "other"),
        ("12:30 !!! 😀", "other"),
        ("", "other"),
    ],
)
def test_scripts(text: str, language: str) -> None:
    """The main script decides; names in Latin letters, users and addresses do not."""
    assert detect_language(text) == language


@given(st.text(max_size=50))
def test_any_text_has_an_answer(text: str) -> None:
    """Any text at all has one of the four answers."""
    assert detect_language(text) in {"ru", "zh", "en", "other"}


def test_long_line() -> None:
    """Only the start of a very long text is looked at."""
    assert detect_language("да " * 2000 + "x" * 1_000_000) == "ru"


@pytest.mark.parametrize(
    ("text", "language", "sure"),
    [
        ("Какая гадость эта ваша заливная рыба!", "ru", True),
        ("ок", "ru", False),
        ("服务很好，再也不来了", "zh", True),
        ("Сьогодні був дуже гарний день", "uk", True),
        ("Як справи", "uk", False),
        ("Гэта вельмі добры дзень і ён", "other", True),
        ("Съм много щастлив днес, благодаря", "other", True),
        ("Маған бұл фильм өте ұнады", "other", True),
        ("This is really bad, I hate it", "en", True),
        ("Das ist nicht gut", "other", True),
        ("今日はとても楽しかった", "other", True),
        ("iPhone 15 Pro Max 256gb супер", "ru", False),
        ("特别喜欢 iPhone 15 Pro Max", "zh", False),
        ("晚安好嘛(つД`)ノ", "zh", True),
        ("ok", None, False),
        ("👍 12:30 !!!", None, True),
        ("asdkjh qweqe zxcvnm", None, False),
        ("йъхцш щвжфы ъэжмйц", None, False),
    ],
)
def test_languages_are_told_as_far_as_they_can_be(text: str, language: str | None, sure: bool) -> None:
    """Letters and common words tell the language; short, mixed and random texts are not sure."""
    found = read_language(text)

    assert (found.language, found.sure) == (language, sure)


@given(st.text(max_size=80))
def test_any_text_can_be_read(text: str) -> None:
    """Any text at all has one of the known answers, and a share of odd pairs between 0 and 1."""
    found = read_language(text)

    assert found.language in {"ru", "zh", "uk", "en", "other", None}
    assert 0.0 <= found.odd <= 1.0
    assert found.characters == len(text.replace(" ", ""))
