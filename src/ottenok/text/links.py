"""URLs, users and HTML entities in texts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["link_spans", "outside_urls", "sub_urls", "sub_users", "unescape"]

# With a semicolon only: `?a=1&copy=2` holds no copyright sign.
_ENTITY = re.compile("&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
# Escaped again and again; collapsed at once, so that a text of nothing else stays cheap.
_AMPERSANDS = re.compile("&(?:amp;)+", re.IGNORECASE)

# A URL ends before Chinese text, which follows without a space, and before closing punctuation. Russian hosts and
# paths are allowed. A tweet that was cut ends in `http://t.c…`.
_IN_URL = r"0-9A-Za-z\u0400-\u04ff_/=&#%+~$-"
_TAIL = rf"(?:[{_IN_URL}.:?!,;'*@()]*[{_IN_URL}])?"
_URL = re.compile(
    rf"https?://{_TAIL}…?"
    rf"|(?<![\w.@])www\.(?=[{_IN_URL}]){_TAIL}"
    # A bare host counts only with a known ending and a path; `т.д./т.п.` and `и/или` are none.
    r"|(?<![A-Za-z0-9.@-])(?:[A-Za-z0-9-]{1,63}\.){1,4}"
    rf"(?:com|ru|net|org|cn|su|ua|by|kz|me|co|ly|be|gl|tv|cc|info|io)/{_TAIL}",
    re.IGNORECASE,
)
# An e-mail address and a mention of VK (`[id123|Name]`) name a person as `@name` does; text may follow at once.
_ADDRESS = re.compile(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}"
    r"@(?:[A-Za-z0-9-]{1,63}\.){1,4}[A-Za-z]{2,24}(?![A-Za-z0-9_%+-])"
    r"|\[(?:id|club|public)[0-9]{1,12}\|[^\[\]|]{0,100}\]"
)
# `@name` of Twitter and Weibo: letters of any script, up to a space or punctuation.
_USER = re.compile(r"(?<![\w.@])(?:[@＠][\w\u0300-\u036f-]+)+")


def unescape(text: str) -> str:
    """Replace HTML entities by their characters. What was escaped twice (`&amp;laquo;`) becomes one character too.

    Only entities that end in a semicolon count. One call undoes one level, but for ampersands that were escaped any
    number of times.
    """
    if "&" not in text:
        return text
    import html

    return _ENTITY.sub(lambda match: html.unescape(match[0]), _AMPERSANDS.sub("&", text))


def sub_urls(text: str, replacement: str) -> str:
    """Put `replacement` and a space on each side in the place of each URL."""
    if "://" not in text and "." not in text:
        return text
    return _URL.sub(f" {replacement} ", text)


def outside_urls(text: str, change: Callable[[str], str]) -> str:
    """Change what stands between URLs, and leave the URLs as they are."""
    pieces, done = [], 0
    for match in _URL.finditer(text):
        pieces += [change(text[done : match.start()]), match[0]]
        done = match.end()
    return "".join([*pieces, change(text[done:])])


def link_spans(text: str) -> list[tuple[int, int]]:
    """Return where URLs, mail addresses, `@names`, VK mentions and HTML entities stand, in order, none in another."""
    found = [match.span() for pattern in (_URL, _ADDRESS, _USER, _ENTITY) for match in pattern.finditer(text)]
    spans: list[tuple[int, int]] = []
    for start, end in sorted(found, key=lambda span: (span[0], -span[1])):
        if not spans or start >= spans[-1][1]:
            spans.append((start, end))
    return spans


def sub_users(text: str, replacement: str) -> str:
    """Put `replacement` in the place of each `@name`, VK mention and e-mail address."""
    if "@" in text or "＠" in text:
        # A space before the word, or what stands there makes an address of it.
        return _USER.sub(f" {replacement}", _ADDRESS.sub(f" {replacement} ", text))
    return _ADDRESS.sub(f" {replacement} ", text) if "|" in text else text
