"""Emoticons found and replaced: `:)`, `))))`, `^_^`, `(╯°□°)╯︵ ┻━┻`, Weibo's `[哈哈]`; moods are in `emoticons.toml`.

Unlike `strip_emoticons`, which must leave no trace of a label, this leaves alone what may be punctuation: brackets with
partners, `1)` in a list, a colon before a bracket with words in it.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from ottenok.text.emoticons import BRACKET, EYES, LETTER_FACE, RUNS, lone_brackets

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FACE", "mood_name", "replace_faces", "table"]

# What makes a Japanese face of a bracket, and what else may be in it.
_SIGNS = "°˚ω∀▽∇△□◇○●◎◕‿◡∩≧≦＞＜﹏︿︶︵╯╰╥ಥಠ⊙☉ʖ´｀･・ﾟ￣ˉ¯‾ツᴗ˘⌒益皿ㅂㅠㅜㄒᵔ˙๑✪❛」∠ノﾉ＿＾³ε›‸ᐛฅ˶⌯ヮ"
_INSIDE = rf"{re.escape(_SIGNS)}\^_\-=><.;:'\"`*~#+oO0vwTuxX3зДдa-zA-Z ；。"
_KAOMOJI = re.compile(
    rf"[ヽ╮╭┗┏ᕙ٩Σ~\\]?[(（](?=[^()（）]{{0,11}}[{re.escape(_SIGNS)}])(?![^()（）]*[a-zA-Z]{{2}})[{_INSIDE}]{{2,12}}[)）]"
    "[╯╮╭┛┓ﾉノゞゝว~/]{0,3}(?: ?︵ ?┻━┻)?"
    r"|¯\\_\(ツ\)_/¯|┻━┻"
)
_HEART = re.compile(r"(?<![\d<])(?:<3+)+(?!\d)")
_DEFEAT = re.compile(r"(?<!\w)(?:[oO0][rR][zZ]|[oO]T[zZ])(?!\w)")
_WEIBO = re.compile("\\[([a-zA-Z]{0,4}[\u3400-\u9fff]{1,7}|doge|good|ok|OK|NO|No|mua|haha|hold住|V5)\\]")
_EYES = re.compile(EYES)
# An emoticon of any kind, whole.
FACE = re.compile(f"{_KAOMOJI.pattern}|{_WEIBO.pattern}|{_HEART.pattern}|{LETTER_FACE.pattern}|{EYES}|{RUNS}")
_RUN = re.compile(rf"{RUNS}|[()]")
# `1)`, `а)`, `12)`: a list.
_LIST = re.compile(r"(?:^|[\s,;(])(?:\d{1,3}|\w)$")
_AFTER_OPEN = re.compile(r"\s*(?:$|[\s.,!?…])")
# Any of them begins or holds one of these; most texts have none.
_ANY = re.compile("[():;=%<>^\\[（┻¯]|-_|[TТoOоО0][_.rRT]|[xXхХ][dDдДxXхХ]")


@cache
def table() -> dict[str, Any]:
    """Return the tables of `emoticons.toml`."""
    return tomllib.loads(resources.files("ottenok.text").joinpath("emoticons.toml").read_text(encoding="utf-8"))


def mood_name(mood: str, language: str) -> str:
    """Return what a mood of `emoticons.toml` is called, in `ru` or `zh`."""
    name: str = table()["names"][mood][language]
    return name


@cache
def _moods() -> list[tuple[re.Pattern[str], str]]:
    return [(re.compile(pattern), mood) for mood, pattern in table()["mood"].items()]


def replace_faces(text: str, name: Callable[[str], str], *, words: bool) -> str:
    """Put a name in the place of each emoticon.

    Args:
        text: A normalised text.
        name: Returns what stands for a mood, or an empty string.
        words: Whether the word in Weibo's square brackets stays.
    """
    if not _ANY.search(text):
        return text

    def kaomoji(match: re.Match[str]) -> str:
        found = (mood for mood, signs in table()["kaomoji"].items() if any(sign in match[0] for sign in signs))
        return f" {name(next(found, 'face'))} "

    def weibo(match: re.Match[str]) -> str:
        if match[1] in table()["brackets"]["words"]:
            return match[0]
        return f" {match[1]} " if words else " "

    def face(match: re.Match[str]) -> str:
        # `цвет:(красный)` opens a bracket.
        if match[0][-1] in "([{" and match.string[match.end() : match.end() + 1].isalnum():
            return match[0]
        return f" {name(next((mood for pattern, mood in _moods() if pattern.fullmatch(match[0])), 'smile'))} "

    text = _WEIBO.sub(weibo, _KAOMOJI.sub(kaomoji, text))
    for pattern in (_HEART, _DEFEAT, LETTER_FACE, _EYES):
        text = pattern.sub(face, text)
    return _without_brackets(text, name)


def _without_brackets(text: str, name: Callable[[str], str]) -> str:
    """Replace runs of brackets, and single ones, that no other bracket closes or opens."""
    lone = lone_brackets(text)
    # NUL hides those that have partners.
    masked = BRACKET.sub(lambda match: match[0] if match.start() in lone else "\0", text)
    pieces, done = [], 0
    for match in _RUN.finditer(masked):
        if match[0].count(match[0][0]) == 1:
            before = text[max(0, match.start() - 5) : match.start()]
            if match[0] == ")":
                smiles = not _LIST.search(before)
            else:
                smiles = before != "" and not before[-1].isspace() and bool(_AFTER_OPEN.match(text, match.end()))
            if not smiles:
                continue
        pieces += [text[done : match.start()], f" {name('smile' if match[0][0] == ')' else 'sadness')} "]
        done = match.end()
    return "".join([*pieces, text[done:]])
