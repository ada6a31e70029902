"""The one way in which a text is made comparable: for the corpus, for training and for prediction.

A trained classifier keeps its `TextOptions`, so that it sees in use what it saw in training.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, fields
from typing import Literal, get_args, get_type_hints

from ottenok.core.config import suggest
from ottenok.core.errors import ConfigError
from ottenok.text.characters import compose, drop_invisible, drop_marks, e_for_yo, half_width
from ottenok.text.emojis import EmojiMode, treat_emoji
from ottenok.text.emoticons import strip_emoticons
from ottenok.text.links import outside_urls, sub_urls, sub_users, unescape

__all__ = ["URL_WORD", "USER_WORD", "TextOptions", "dedupe_key", "normalise", "strip_emoticons"]

# The words that TweetEval (Barbieri et al., Findings of EMNLP 2020) puts in; plain words that every vocabulary holds.
URL_WORD = "http"
USER_WORD = "@user"

# Entities inside entities and mentions inside mentions; real texts have two of them at most.
_PASSES = 8
# With the underscore: the overlaps between the published data sets were counted so.
# Letters of a text that is taken to be in capitals, and the least share of them that are: numbers of a log in front of
# it have a small letter or two, and abbreviations alone are no shouting.
_LEAST_LETTERS, _LEAST_SHARE = 8, 0.8
_LETTERS_AND_DIGITS = re.compile(r"\w+")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextOptions:
    """What `normalise` does beyond what it always does.

    Attributes:
        entities: `unescape` HTML entities (also doubly escaped ones), or `keep` them.
        width: Full-width to half-width: Latin `letters` and digits only, all of `ascii` (also ！ and ，), or `keep`.
        marks: `drop` combining marks that are left after composition (stress marks, strike-through), or `keep` them.
        urls: `replace` each URL by the word `http`, `drop` or `keep` it.
        users: `replace` each `@name`, VK mention and e-mail address by `@user`, `drop` or `keep` it.
        yo: `keep` ё, or write it as `e` (the Cyrillic е).
        capitals: `lower` a text that is nearly all in capitals, or `keep` it. Pieces of capitals are rare in every
            vocabulary, so such a text is read letter by letter: of 49 clear texts the embedded model answered 6
            otherwise in capitals, and none when they were lowered.
        emoji: `keep` emoji and emoticons, `remove` them, or put their names in their place: in Chinese in a Chinese
            text and else in Russian (`name`), always in Russian (`name-ru`) or in Chinese (`name-zh`). Names need the
            extra `emoji`; see `ottenok.text.emojis.treat_emoji`.

    Raises:
        ConfigError: An option has none of its values.
    """

    entities: Literal["unescape", "keep"] = "unescape"
    width: Literal["letters", "ascii", "keep"] = "letters"
    marks: Literal["drop", "keep"] = "drop"
    urls: Literal["replace", "drop", "keep"] = "replace"
    users: Literal["replace", "drop", "keep"] = "replace"
    yo: Literal["keep", "e"] = "keep"
    capitals: Literal["keep", "lower"] = "keep"
    emoji: EmojiMode = "keep"

    def __post_init__(self) -> None:
        """Check the values: options are read from files too."""
        types = get_type_hints(TextOptions)
        for field in fields(self):
            value = getattr(self, field.name)
            known = get_args(types[field.name])
            if value not in known:
                raise ConfigError(f"found {value!r}", hint=suggest(str(value), known), key=f"text.{field.name}")


_DEFAULT = TextOptions()


def normalise(text: str, options: TextOptions = _DEFAULT) -> str:
    """Return `text` in its comparable form; letters keep their case unless `options.capitals` says otherwise.

    Always: NFC (й and ё are one character however they were written), no control, zero-width or bidirectional
    characters and no NUL (but emoji sequences stay whole), no lone surrogates (U+FFFD stands for each), any white
    space as one space, none at the ends. The result can be encoded as UTF-8 and may be empty. `options` say the rest.

    Normalising a second time changes nothing, and the time is linear in the text's length. A text that was normalised
    with emoji kept can be normalised with them removed or named, and is then what it would have been at once.

    Raises:
        MissingExtraError: Emoji are to be named, and the package `emoji` is not installed.
    """
    text = _plain(text, options)
    if options.emoji == "keep":
        return text
    for _ in range(_PASSES):
        if options.urls == "keep":
            treated = outside_urls(text, lambda part: treat_emoji(part, options.emoji))
        else:
            treated = treat_emoji(text, options.emoji)
        if treated == text or (treated := _plain(treated, options)) == text:
            break
        text = treated
    return text


def _plain(text: str, options: TextOptions) -> str:
    """Do everything but emoji."""
    text = _collapse(_decode(text, options))
    for _ in range(_PASSES):
        hidden = text
        if options.urls != "keep":
            hidden = sub_urls(hidden, URL_WORD if options.urls == "replace" else "")
        if options.users != "keep":
            hidden = sub_users(hidden, USER_WORD if options.users == "replace" else "")
        if hidden == text or (hidden := _collapse(hidden)) == text:
            break
        # What an address took with it may have carried a mark, or stood inside another.
        text = _collapse(_fold(hidden, options))
    if options.capitals == "lower":
        upper, lower = sum(map(str.isupper, text)), sum(map(str.islower, text))
        if upper + lower >= _LEAST_LETTERS and upper >= _LEAST_SHARE * (upper + lower):
            return _collapse(_fold(text.lower(), options))
    return text


def _collapse(text: str) -> str:
    return " ".join(text.split())


def _decode(text: str, options: TextOptions) -> str:
    """Unescape until nothing changes, since characters that go may leave an entity behind them."""
    for _ in range(_PASSES):
        text = _fold(text, options)
        if options.entities == "keep" or "&" not in text:
            return text
        plain = unescape(text)
        if plain == text:
            return text
        text = plain
    # Nobody escapes eight times by accident. A space makes an end of it.
    return _fold(text.replace("&", "& "), options)


def _fold(text: str, options: TextOptions) -> str:
    if text.isascii() and text.isprintable():
        return text
    text = drop_invisible(text)
    if options.width != "keep":
        text = half_width(text, options.width)
    text = compose(text)
    if options.marks == "drop":
        text = drop_marks(text)
    return e_for_yo(text) if options.yo == "e" else text


def dedupe_key(text: str) -> str:
    """Return the key by which texts are exact duplicates: NFKC, case-folded, letters, digits and `_` only.

    A text without any letter or digit (only emoji or punctuation) is its own key, white space removed, so that
    different ones stay different. Only white space gives the empty key.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(_LETTERS_AND_DIGITS.findall(folded)) or "".join(folded.split())
