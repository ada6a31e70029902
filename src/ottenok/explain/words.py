"""A text as words, for people: Russian words, Chinese words, whole emoji and emoticons, punctuation, addresses."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from ottenok.core.errors import MissingExtraError
from ottenok.core.lazy import require
from ottenok.text.characters import drop_invisible
from ottenok.text.emojis import EMOJI
from ottenok.text.faces import FACE
from ottenok.text.links import link_spans

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Word", "find_words", "joined"]

_HAN = "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
_KANA = "\u3041-\u30ff\u31f0-\u31ff"
# What stands within a word and is no letter: stress and other marks, soft hyphens, joiners.
_INNER = "\u00ad\u0300-\u036f\u200b-\u200f\u2060\ufe00-\ufe0f"
_LETTER = rf"[^\W_{_HAN}{_KANA}]"
# Hyphens and apostrophes join letters; dots and commas join digits.
_PIECE = re.compile(
    rf"{EMOJI.pattern}|{FACE.pattern}"
    rf"|(?P<han>[{_HAN}]+)"
    rf"|[{_KANA}]+"
    rf"|{_LETTER}(?:{_LETTER}|[{_INNER}]|[-‐‑'’ʼ](?={_LETTER})|(?<=\d)[.,:](?=\d))*"
    rf"|(?P<mark>\S)(?P=mark)*[{_INNER}]*"
)
_CHINESE = re.compile(f"[{_HAN}{_KANA}]")


class Word(NamedTuple):
    """A word and its place.

    Attributes:
        text: As it stands in the text.
        start: Its first character, from 0.
        end: The character after its last.
    """

    text: str
    start: int
    end: int


def find_words(text: str) -> list[Word]:
    """Return the words of a text as it was given, in order; `text[word.start : word.end] == word.text`.

    A word is a run of letters and digits, also with hyphens or apostrophes between them; a Chinese word (by `rjieba`,
    the extra `explain`, or else a single character); an emoji or emoticon whole; a URL, mail address, `@name` or HTML
    entity whole; or a run of one punctuation mark. White space belongs to no word, and neither does what shows as
    nothing.
    """
    spans: list[tuple[int, int]] = []
    done = 0
    for start, end in [*link_spans(text), (len(text), len(text))]:
        for match in _PIECE.finditer(text, done, start):
            place = match.start()
            for word in _chinese(match["han"]) if match["han"] else (match[0],):
                spans.append((place, place + len(word)))
                place += len(word)
        spans.append((start, end))
        done = end
    return [Word(text[start:end], start, end) for start, end in spans if drop_invisible(text[start:end]).strip()]


def _chinese(text: str) -> Iterable[str]:
    try:
        found: list[str] = require("rjieba", extra="explain").cut(text)
    except MissingExtraError:
        return text
    # Names and typing errors may be beyond its dictionary, but it loses no character.
    return found if "".join(found) == text else text


def joined(text: str, words: Iterable[Word]) -> str:
    """Return what is left of a text if only these of its words stay, in order.

    Neighbours keep what is between them. Where something was taken out, a space stands if one was there, or if two
    words would become one without it; Chinese words need none.
    """
    pieces: list[str] = []
    last: Word | None = None
    for word in words:
        if last is not None:
            between = text[last.end : word.start]
            if drop_invisible(between).strip():  # something was taken out
                letters = last.text[-1:].isalnum() and word.text[:1].isalnum()
                chinese = _CHINESE.match(last.text[-1:]) and _CHINESE.match(word.text[:1])
                between = " " if any(map(str.isspace, between)) or (letters and not chinese) else ""
            pieces.append(between)
        pieces.append(word.text)
        last = word
    return "".join(pieces)
