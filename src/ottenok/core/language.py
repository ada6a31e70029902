"""The language of a text: by its script for corpora; by letters and common words for what no model should answer.

Enough to choose among Russian, Chinese, Ukrainian, English and "another", and to tell words from random letters.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib import resources
from typing import Literal, NamedTuple

__all__ = ["Language", "Reading", "detect_language", "read_language"]

Language = Literal["ru", "zh", "en", "other"]

# Enough of a text to know its script; a megabyte costs no more than a tweet.
_SAMPLE = 4000
# Addresses and user names, also as the words that normalised texts hold in their place, are of no language.
_ADDRESS = re.compile(r"https?(?:://[!-~]*|(?!\w))|@[\w-]+")
_CYRILLIC = re.compile("[\u0400-\u04ff]+")
# Letters of other languages' Cyrillic: Ukrainian, Belarusian, Serbian, Macedonian, Kazakh, Tatar, Mongolian and others.
_NOT_RUSSIAN = re.compile("[\u0400\u0402-\u040f\u0450\u0452-\u045f\u0460-\u0481\u048a-\u04ff]")
_HAN = re.compile("[\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af]+")
_KANA_HANGUL = re.compile("[\u3041-\u30ff\u31f0-\u31ff\u1100-\u11ff\uac00-\ud7af]+")
_LATIN = re.compile("[A-Za-z\u00c0-\u024f\u1e00-\u1eff]+")
_NOT_ENGLISH = re.compile("[\u00c0-\u024f\u1e00-\u1eff]")
_OTHER_LETTER = re.compile(
    r"[^\W\d_A-Za-z\u00c0-\u024f\u1e00-\u1eff\u0400-\u04ff\u3007\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    r"\uf900-\ufaff\u1100-\u11ff\uac00-\ud7af\U00020000-\U000323af]+"
)


def detect_language(text: str) -> Language:
    """Return `ru`, `zh`, `en` or `other` by the shares of the scripts in the first 4,000 characters.

    A Han character counts as three Latin letters and a Cyrillic letter as two, because brand names are Latin in texts
    of any language. URLs and `@names` do not count. Cyrillic is `ru` unless over 2 % of its letters are not Russian
    (Ukrainian і, Kazakh қ). Han is `zh` unless kana and hangul make over a tenth of it. Latin is `en` unless over 5 %
    of its letters are accented: German without an umlaut is taken for English. A text without letters is `other`.
    """
    text = _ADDRESS.sub(" ", text[:_SAMPLE])
    shares: dict[Language, int] = {
        "ru": 2 * _count(_CYRILLIC, text),
        "zh": 3 * _count(_HAN, text),
        "en": _count(_LATIN, text),
        "other": 2 * _count(_OTHER_LETTER, text) + 3 * _count(_KANA_HANGUL, text),
    }
    best = max(shares, key=shares.__getitem__)
    if best == "ru":
        pure = _count(_NOT_RUSSIAN, text) * 100 <= shares["ru"]  # shares are doubled: this is 2 %
    elif best == "zh":
        pure = _count(_KANA_HANGUL, text) * 3 * 10 <= shares["zh"]
    else:
        pure = _count(_NOT_ENGLISH, text) * 20 <= shares["en"]
    return best if shares[best] > 0 and pure else "other"


def _count(pattern: re.Pattern[str], text: str) -> int:
    return sum(map(len, pattern.findall(text)))


_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_UKRAINIAN = re.compile("[іїєґІЇЄҐ]")
_NO_UKRAINIAN = re.compile("[ыэёЫЭЁ]")
# A hard sign before a consonant, as Bulgarian has it.
_BULGARIAN = re.compile("ъ[бвгджзклмнпрстфхцчшщ]", re.IGNORECASE)


class Reading(NamedTuple):
    """What can be told of a text's language.

    Attributes:
        language: `ru`, `zh`, `uk`, `en`, `other`; None where there is too little to tell by, or nothing but random
            letters.
        sure: Whether there is enough of it, and hardly a letter of another script; or no letter at all.
        odd: Share of letter pairs that words of its script hardly have, 0..1: about .4 in random letters; 0 where no
            such pairs are known.
        characters: Of the whole text, without spaces.
    """

    language: str | None
    sure: bool
    odd: float
    characters: int


def read_language(text: str) -> Reading:
    """Tell the language of a text by its first 4,000 characters, as far as it can be told.

    Scripts count as in `detect_language`. Cyrillic is Ukrainian by its letters (і, ї, є, ґ) or by words that Russian
    has not, and another language by other letters (ў, ј, қ), by і beside ы, or by ъ before consonants. Latin is English
    by its common words, or where it is short and spelt like English; another language by accents or by common words of
    others. A few letters (`ok`, `lol`) and random ones (`asdfgh`) are of no language.
    """
    characters = len(text) - text.count(" ")
    text = _ADDRESS.sub(" ", text[:_SAMPLE])
    han, cyrillic, latin = _count(_HAN, text), _count(_CYRILLIC, text), _count(_LATIN, text)
    kana, other = _count(_KANA_HANGUL, text), _count(_OTHER_LETTER, text)
    weights = {"cyrillic": 2 * cyrillic, "latin": latin, "han": 3 * (han + kana), "other": 2 * other}
    # Names in Latin letters stand in texts of any language.
    script = max(weights, key=lambda name: weights[name] / (2 if name == "latin" else 1))
    alone = weights[script] * 10 >= 9 * sum(weights.values())
    if not weights[script]:
        return Reading(None, sure=True, odd=0.0, characters=characters)
    if script not in _odd():
        # Japanese is half kana; two of them stand in emoticons of any text.
        chinese = script == "han" and (kana - 2) * 3 <= han
        sure = alone and (chinese or kana + other > 4)
        return Reading("zh" if chinese else "other", sure=sure, odd=0.0, characters=characters)
    small = text.lower().replace("ё", "е")
    words = _WORD.findall(small)
    pairs = max(1, (latin if script == "latin" else cyrillic) - len(words))
    odd = min(1.0, len(_odd()[script].findall(small)) / pairs) if pairs > 3 else 0.0
    if odd > 0.2 and pairs > 7:
        return Reading(None, sure=False, odd=odd, characters=characters)
    language, enough = _cyrillic(text, words, cyrillic) if script == "cyrillic" else _latin(text, words, latin)
    return Reading(language, sure=alone and enough, odd=odd, characters=characters)


def _cyrillic(text: str, words: list[str], letters: int) -> tuple[str, bool]:
    """Return the language of a text in Cyrillic, and whether there is enough to be sure."""
    ukrainian, russian = _count(_UKRAINIAN, text), _count(_NO_UKRAINIAN, text)
    strange = _count(_NOT_RUSSIAN, text) - ukrainian
    if strange * 50 > letters:
        return "other", letters > 7 and strange > 1
    if ukrainian * 50 > letters and russian:
        # Belarusian and others have і beside ы and э, and neither и nor ї nor є.
        if not re.search("[иїє]", "".join(words)):
            return "other", letters > 14 and ukrainian > 1
        return ("uk", letters > 7) if ukrainian > 3 * russian else ("ru", False)
    if not russian:
        if _BULGARIAN.search(text):
            return "other", letters > 14
        found = sum(word in _words("ukrainian") for word in words)
        if ukrainian * 50 > letters or (found and found * 5 >= len(words)):
            return "uk", letters > 7 and ukrainian + found > 1
    return "ru", letters > 7


def _latin(text: str, words: list[str], letters: int) -> tuple[str | None, bool]:
    """Return the language of a text in Latin letters, and whether there is enough to be sure."""
    english, foreign = (sum(word in _words(name) for word in words) for name in ("english", "foreign"))
    if _count(_NOT_ENGLISH, text) * 20 > letters or foreign > english:
        return "other", letters > 9 and len(words) > 1
    if english:
        return "en", letters > 9 and len(words) > 2
    if letters < 8:
        return None, False
    return "en" if len(words) < 5 else "other", False


@cache
def _odd() -> dict[str, re.Pattern[str]]:
    tables = _tables()["odd"]
    return {name: re.compile("|".join(f"{p[0]}(?=[{p[1:]}])" for p in text.split())) for name, text in tables.items()}


@cache
def _words(language: str) -> frozenset[str]:
    return frozenset(_tables()["words"][language].split())


@cache
def _tables() -> dict[str, dict[str, str]]:
    return tomllib.loads(resources.files("ottenok.core").joinpath("languages.toml").read_text(encoding="utf-8"))
