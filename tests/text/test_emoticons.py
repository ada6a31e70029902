"""Emoticons removed from the texts that they label."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottenok.text.normalise import strip_emoticons

FACES = (  # noqa: SIM905 - a list of words reads better so
    ":) :-) ;) =) :D :-D =D xD XD хД ХДДД :( :-( =( :'( ((( )))) ) ( ))0) :3 :P ;P :* :/ %) :)))) =]] (: ^_^ ^^ >_< "
    "T_T -_- о_О O.o 😀 😂 ☺️ ☹ 😭 🙂 🤣 🥰"
).split()
PIECES = st.sampled_from([*FACES, *"()[]:;=xD3 0a9\u0430-_^.", "http://", "12:30", "(да)"])


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("pattern", ["ура {}", "ура{}", "{} ура", "ура {} ура", "ура!{}"])
def test_faces_go(face: str, pattern: str) -> None:
    """Nothing of a face is left, and the words around it are; only letters glued to a word are part of the word."""
    glued = face in {"xD", "XD", "хД", "ХДДД", "T_T", "о_О", "O.o"} and pattern == "ура{}"
    left = pattern.format(face) if glued else pattern.replace("{}", " ")
    expected = left.replace("! ", "!").split()

    assert strip_emoticons(pattern.format(face)).split() == expected


@pytest.mark.parametrize(
    "text",
    [
        "в 12:30, счёт 3:3",
        "версия 0.0 (новая) вышла",
        "см. http://t.co/Ab1 там",
        "итого: 5, а именно: да",
        "ХД-видео и текст",
        "ёж ❤ 👍",
        "50% и 100%",
        "раз-два_три",
    ],
)
def test_other_text_stays(text: str) -> None:
    """Times, versions, addresses, bracketed text, hearts and hands stay."""
    assert strip_emoticons(text) == text


def test_partners_stay_and_single_brackets_go() -> None:
    """A bracket without a partner is a smile; one with a partner is punctuation."""
    assert strip_emoticons("ну (да) да) пока(") == "ну (да) да пока"
    assert strip_emoticons("привет) ну (да)") == "привет ну (да)"


@given(text=st.text(max_size=40) | st.lists(PIECES, max_size=16).map("".join))
def test_twice_is_once(text: str) -> None:
    """A second call changes nothing."""
    once = strip_emoticons(text)

    assert once == strip_emoticons(once)


@pytest.mark.parametrize("piece", [":)", "):", ":3", ")0", "(", "x", "^-", "-_", ":-", "(a)", "o_", "xD:3"])
def test_hostile_repetition_ends(piece: str) -> None:
    """A hundred kilobytes of any awkward piece are done (quadratic work would take minutes)."""
    assert len(strip_emoticons(piece * (100_000 // len(piece)))) <= 100_000
