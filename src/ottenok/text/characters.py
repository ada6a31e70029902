"""Characters made comparable: surrogates, invisible characters, full-width letters, composition, stray marks.

The sources are the Unicode Standard (UAX #15 normalisation forms, UTS #51 emoji sequences) and what was found in the
published data sets: soft hyphens, byte-order marks in the middle of a text, zero-width spaces, struck-out words.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["compose", "drop_invisible", "drop_marks", "e_for_yo", "half_width"]

# Shown as emoji, or able to join one by U+200D.
_EMOJI = (
    "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u21ff\u2300-\u27bf\u2900-\u297f\u2b00-\u2bff\u3030\u303d\u3297\u3299"
)
_EMOJI += "\U0001f000-\U0001faff"

_SURROGATE = re.compile("[\ud800-\udfff]")
# Controls that are no white space; soft hyphen; zero-width and bidirectional marks; invisible operators; interlinear
# annotation; noncharacters. U+200D (joiner), U+FE0E/F (presentation) and tags have rules of their own below.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u17b4\u17b5\u180b-\u180f\u200b\u200c\u200e\u200f"
    "\u202a-\u202e\u2060-\u206f\ufdd0-\ufdef\ufe00-\ufe0d\ufeff\ufff0-\ufffb\ufffe\uffff\U000e0100-\U000e0fff]"
)
# Letters and symbols that show as nothing and are used as blanks.
_BLANK = re.compile("[\u115f\u1160\u2800\u3164\uffa0]")
# Tags spell a flag after a black flag (UTS #51); anywhere else they are hidden text.
_TAGS = re.compile("(\U0001f3f4[\U000e0020-\U000e007e]{1,16}\U000e007f)|[\U000e0000-\U000e007f]")
_PRESENTATION = re.compile(f"(?<![{_EMOJI}])(?<![0-9#*](?=\ufe0f\u20e3))[\ufe0e\ufe0f]")
_JOINER = re.compile(f"(?<![{_EMOJI}\ufe0f])\u200d|\u200d(?![{_EMOJI}])")
# Any of the above at all: most texts have none, and one look is enough for them.
_ODD = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\u2800\u3164\ud800-\udfff\ufdd0-\ufdef\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\ufffe\uffff\U000e0000-\U000e0fff]"
)
_SELDOM = re.compile("[\ufe0e\ufe0f\u200d\U000e0000-\U000e007f]")

_MARKS = re.compile("[\u0300-\u036f]+")
_YO = re.compile("([ёЁ])[\u0300-\u036f]*")

_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_FULL_WIDTH_LETTERS = {code: half for code, half in _FULL_WIDTH.items() if chr(half).isalnum()}
_WIDTHS = {
    "letters": (re.compile("[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a]"), _FULL_WIDTH_LETTERS),
    "ascii": (re.compile("[\uff01-\uff5e]"), _FULL_WIDTH),
}


def drop_invisible(text: str) -> str:
    """Remove what shows as nothing, and make the text encodable as UTF-8.

    Surrogate pairs become the character that they stand for; a lone surrogate becomes U+FFFD. A joiner stays between
    two emoji, a presentation selector after an emoji (or in a keycap), tags in a flag; all others go. White space
    stays as it is, and blanks that are letters by category (U+3164, U+2800) become spaces.
    """
    if not _ODD.search(text):
        return text
    if _SURROGATE.search(text):
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    text = _BLANK.sub(" ", _INVISIBLE.sub("", text))
    if _SELDOM.search(text):
        # In this order: what a joiner stands on must be settled before the joiner is judged.
        text = _TAGS.sub(r"\1", text)
        text = _PRESENTATION.sub("", text)
        text = _JOINER.sub("", text)
    return text


def half_width(text: str, mode: str) -> str:
    """Replace full-width Latin letters and digits (`letters`), or all full-width ASCII (`ascii`), by half-width."""
    pattern, table = _WIDTHS[mode]
    return text.translate(table) if pattern.search(text) else text


def compose(text: str) -> str:
    """Return NFC: й and ё, however they were written, are one character each."""
    return unicodedata.normalize("NFC", text)


def drop_marks(text: str) -> str:
    """Remove combining marks (U+0300..U+036F) from composed text: stress marks, strike-through, piled-up marks.

    Letters that have their mark inside (й, ё, é) are untouched.
    """
    return compose(_MARKS.sub("", text)) if _MARKS.search(text) else text


def e_for_yo(text: str) -> str:
    """Write е for ё, as most Russian texts do. Marks on a ё go too, or they would make another letter of the е."""
    return _YO.sub(lambda match: "е" if match[1] == "ё" else "Е", text)
