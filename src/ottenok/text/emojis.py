"""Emoji and emoticons removed, or named in Russian or Chinese.

What an emoji is follows Unicode's UTS #51: skin tones, joined sequences (ZWJ), flags, keycaps and presentation
selectors are parts of one emoji. The names are CLDR's short names, from the package `emoji` (extra `emoji`).
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Literal

from ottenok.core.language import detect_language
from ottenok.core.lazy import require
from ottenok.text.faces import mood_name, replace_faces, table

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["EMOJI", "EmojiMode", "check_emoji", "treat_emoji"]

EmojiMode = Literal["keep", "remove", "name", "name-ru", "name-zh"]

# Pictures of the basic plane; and those that are signs of text (©, ↔, ✔) unless U+FE0F or a joiner says otherwise.
_PICTURES = (
    "\u231a\u231b\u23e9-\u23f3\u23f8-\u23fa\u25fd\u25fe\u2600-\u2604\u2614\u2615\u2618\u261d\u2620\u2622\u2623\u262e\u262f"
    "\u2638-\u263b\u2648-\u2653\u2665\u2668\u267f\u2692-\u2695\u2697\u26a0\u26a1\u26aa\u26ab\u26b0\u26b1\u26bd\u26be"
    "\u26c4\u26c5\u26c8\u26ce\u26cf\u26d1\u26d3\u26d4\u26e9\u26ea\u26f0-\u26f5\u26f7-\u26fa\u26fd\u2705\u2708"
    "\u270a-\u270d\u2728\u2744\u274c\u274e\u2753-\u2755\u2757\u2763\u2764\u2795-\u2797\u27b0\u27bf\u2b1b\u2b1c\u2b50\u2b55"
    "\U0001f004\U0001f0cf\U0001f170\U0001f171\U0001f17e\U0001f17f\U0001f18e\U0001f191-\U0001f19a\U0001f201\U0001f202"
    "\U0001f21a\U0001f22f\U0001f232-\U0001f23a\U0001f250\U0001f251\U0001f300-\U0001f64f\U0001f680-\U0001f6ff"
    "\U0001f7e0-\U0001f7eb\U0001f7f0\U0001f90c-\U0001f9ff\U0001fa70-\U0001faff"
)
_SIGNS = (
    "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2194-\u2199\u21a9\u21aa\u2328\u23cf\u24c2\u25aa\u25ab\u25b6\u25c0"
    "\u25fb\u25fc\u260e\u2611\u2626\u262a\u2640\u2642\u265f\u2660\u2663\u2666\u267b\u267e\u2696\u2699\u269b\u269c"
    "\u26a7\u2702\u2709\u270f\u2712\u2714\u2716\u271d\u2721\u2733\u2734\u2747\u27a1\u2934\u2935"
    "\u2b05-\u2b07\u3030\u303d\u3297\u3299"
)
_MODIFIERS = "[\ufe0e\ufe0f\U0001f3fb-\U0001f3ff]*"
_EMOJI = (
    "\U0001f3f4[\U000e0020-\U000e007e]{1,16}\U000e007f"  # flags of England, Scotland, Wales
    "|[\U0001f1e6-\U0001f1ff]{2}"
    f"|(?:[{_PICTURES}]|[{_SIGNS}](?=\ufe0f)){_MODIFIERS}(?:\u200d[{_PICTURES}{_SIGNS}]{_MODIFIERS})*"
    "|[\U0001f1e6-\U0001f1ff]"
)
# Several of the same emoji in a row say no more than one, but for how many; a name ten times would fill the text.
_RUN = re.compile(f"({_EMOJI})(?: ?\\1)*")
# A digit in a keycap is a digit.
_KEYCAP = re.compile("([0-9#*])\ufe0f?\u20e3")
# An emoji, whole: with skin tones, joined ones, flags and keycaps.
EMOJI = re.compile(f"{_EMOJI}|{_KEYCAP.pattern}")
_NOT_NAMED = re.compile("[\ufe0e\ufe0f\U0001f3fb-\U0001f3ff]")
_NO_WORD = re.compile(r"[\W_]+")
_PASSES = 4


def check_emoji(mode: EmojiMode) -> None:
    """Check that what `mode` needs is installed.

    Raises:
        MissingExtraError: Emoji are to be named, and the package `emoji` is not installed.
    """
    if mode.startswith("name"):
        require("emoji", extra="emoji")


def treat_emoji(text: str, mode: EmojiMode) -> str:
    """Remove or name emoji and emoticons; white space is left uneven.

    Args:
        text: A normalised text.
        mode: `keep`: the text as it is. `remove`: each gives way to a space. `name-ru`, `name-zh`: to its name in
            Russian or Chinese; `name`: in Chinese where the rest of the text is Chinese, else in Russian. Names leave
            out skin tones, and one stands for a row of the same emoji. A keycap becomes its digit, and of Weibo's
            bracketed words the brackets go.

    Raises:
        MissingExtraError: Emoji are to be named, and the package `emoji` is not installed.
    """
    if mode == "keep":
        return text
    bare = _replaced(text, lambda _: "", lambda _: "", words=False)
    if mode == "remove" or bare == text:
        return bare
    language = mode.partition("-")[2] or ("zh" if detect_language(bare) == "zh" else "ru")
    return _replaced(text, lambda emoji: _name(emoji, language), lambda mood: mood_name(mood, language), words=True)


def _replaced(text: str, picture: Callable[[str], str], face: Callable[[str], str], *, words: bool) -> str:
    # What goes may leave another emoticon behind.
    for _ in range(_PASSES):
        before = text
        if not text.isascii():
            text = _RUN.sub(lambda match: f" {picture(match[1])} ", _KEYCAP.sub(r"\1", text))
        text = replace_faces(text, face, words=words)
        if text == before:
            break
    return text


@cache
def _name(emoji: str, language: str) -> str:
    """Return an emoji's name; those of its parts where the whole has none."""
    names = _names(language)
    whole = _NOT_NAMED.sub("", emoji)
    if whole in names:
        return names[whole]
    return " ".join(filter(None, (names.get(part, "") for part in whole.split("\u200d"))))


@cache
def _names(language: str) -> dict[str, str]:
    """Return emoji to name, without selectors and skin tones on both sides."""
    library = require("emoji", extra="emoji")
    library.config.load_language(language)
    names: dict[str, str] = {}
    for emoji, facts in library.EMOJI_DATA.items():
        bare = _NOT_NAMED.sub("", emoji)
        # A skin tone is no part of what is said; its own entries are left out, the tones alone too.
        if not bare or re.search("[\U0001f3fb-\U0001f3ff]", emoji):
            continue
        words = _NO_WORD.sub(" ", facts[language]).split()
        if language == "ru":
            # The package has lost the breve of many й.
            for pattern, letters in table()["breve"].items():
                words = [re.sub(pattern, letters, word) for word in words]
        names.setdefault(bare, " ".join(words))
    return names
