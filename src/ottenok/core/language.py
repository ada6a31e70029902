"""The language of a text by its script: enough to choose among Russian, Chinese and "neither"."""

from __future__ import annotations

import re
from typing import Literal

__all__ = ["Language", "detect_language"]

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
