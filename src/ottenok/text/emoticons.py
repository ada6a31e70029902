"""Emoticons and smileys removed from texts whose labels came from them.

In RuTweetCorp (Rubtsova 2013) a tweet is positive because it held `:)` and negative because it held `:(`. A
classifier that still sees them learns nothing else, and its test scores are worth nothing.
"""

from __future__ import annotations

import re

__all__ = ["BRACKET", "EYES", "LETTER_FACE", "RUNS", "lone_brackets", "strip_emoticons"]

_NOSE = "['`´’]?[-–—o~^*]?"
_ROUND = r"(?:[)0]*\)0*|[(9]*\(9*)?"  # the unshifted key of a bracket often slips in: )))0)
# A mouth that is a letter or a digit must end the word; and `12:3` is a time, no face.
LETTER_FACE = re.compile(
    rf"(?:(?<!\d)(?::{_NOSE}[dDдДpPрРoOоОcCсСsS3xXхХ*]+)+|[;=]-?[dDдДpPрР]+|(?<!\w)[xXхХ]+[dDдД]+(?!-))(?!\w)"
)
EYES = (
    rf"(?:[:;=]|(?<!\d)%){_NOSE}[()\[\]{{}}|>]+{_ROUND}"  # :) :-( =) ;] %)
    rf"|:{_NOSE}[/\\](?!/)"  # :/ but no http://
    r"|\([-'^*]?[:;=]"  # (:
    r"|\^[_.\-o]*\^|>[_.]*<|-_+-"  # ^_^ >_< -_-
    r"|(?<!\w)(?:[TТ]_+[TТ]|[oOоО](?:_+|\.)[oOоО]|0_+0)(?!\w)"  # T_T o_O
)
RUNS = r"\)[)0]*\)0*|\([(9]*\(9*"  # )))) ((
_FACE = re.compile(f"{EYES}|{RUNS}")
_EMOJI_FACE = re.compile(
    "[\u2639\u263a\u263b\U0001f600-\U0001f64f\U0001f910-\U0001f917\U0001f920-\U0001f92f\U0001f970-\U0001f97a"
    "\U0001f9d0\U0001fae0-\U0001fae9][\U0001f3fb-\U0001f3ff]?\ufe0f?"
)
BRACKET = re.compile("[()]")


def strip_emoticons(text: str) -> str:
    """Return `text` without the marks that distant supervision takes for labels; white space collapsed.

    Removed are: faces with eyes (`:)`, `:-(`, `=)`, `;D`, `:'(`, `:3`, `%)`, `:/`), `xD` and `хД`, Japanese faces
    (`^_^`, `>_<`, `T_T`, `о_О`), runs of two brackets or more (`))))`, `((`, `))0)`), a single round bracket that has
    no partner (`привет)`), and emoji faces (U+1F600..1F64F and the later faces). Kept are: pairs of brackets with text
    in them, times (`12:30`), URLs, emoji that are no faces, hearts.

    The price is small: `1)` in a list loses its bracket. A second call changes nothing.
    """
    # What goes may leave another emoticon behind.
    while True:
        shorter = _FACE.sub(" ", LETTER_FACE.sub(" ", _EMOJI_FACE.sub(" ", text)))
        lone = lone_brackets(shorter)
        if lone:
            shorter = "".join(" " if place in lone else sign for place, sign in enumerate(shorter))
        shorter = " ".join(shorter.split())
        if shorter == text:
            return text
        text = shorter


def lone_brackets(text: str) -> set[int]:
    """Return the places of the round brackets that no other closes or opens."""
    opened: list[int] = []
    lone: set[int] = set()
    for match in BRACKET.finditer(text):
        if match[0] == "(":
            opened.append(match.start())
        elif opened:
            opened.pop()
        else:
            lone.add(match.start())
    return lone.union(opened)
