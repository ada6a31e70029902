"""Languages by script."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottenok.core.language import detect_language


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
