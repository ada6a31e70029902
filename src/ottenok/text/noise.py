"""Noise as users, keyboards and speech recognition make it: for training, and to test what a model bears.

Every kind is a pure function of text, rate and seed: the same three give the same noise, on every machine.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args

from ottenok.core.errors import ConfigError
from ottenok.core.lazy import require
from ottenok.core.suggest import suggest
from ottenok.text.sounds import by_ear, homophone, neighbours, particles, with_yo

__all__ = ["NOISE_KINDS", "NoiseKind", "NoiseSpec", "add_noise"]

NoiseKind = Literal[
    "typos", "asr", "yo", "case", "punctuation",
    "upper", "lower", "sentence", "date", "id", "quotes", "url", "hashtags", "script", "unfinished",
]  # fmt: skip
NOISE_KINDS: tuple[NoiseKind, ...] = get_args(NoiseKind)

_HAN = "\u3400-\u9fff"
# Addresses, and the words that stand for them in normalised texts, are nobody's typing.
_FIXED = r"https?://\S+|(?<!\w)http(?!\w)|@\w+"
_WORD = re.compile(rf"(?P<fixed>{_FIXED})|(?P<han>[{_HAN}])|(?P<word>[^\W\d_{_HAN}]+)")
_SPOKEN = re.compile(rf"(?P<fixed>{_FIXED}|\d+(?:[.,:]\d+)*)|(?P<han>[{_HAN}])|(?P<word>[^\W\d_{_HAN}]+)")
_MARKS = "!-/:-?\\[-`{-~«»„“”‘’…–—，。！？；：、（）《》〈〉【】「」·～"
_PUNCTUATION = re.compile(rf"(?P<fixed>{_FIXED}|\d+(?:[.,:]\d+)+)|[{_MARKS}]+")
_BETWEEN_HAN = re.compile(f"(?<=[{_HAN}]) (?=[{_HAN}])")
_HAS_HAN = re.compile(f"[{_HAN}]")
_TAGS = re.compile(rf"[{_HAN}]{{2,4}}|[^\W\d_{_HAN}]{{3,}}")
_SHORT = 3


def add_noise(text: str, kind: NoiseKind, *, rate: float, seed: int = 0) -> str:
    """Return `text` with noise of one kind; never an empty text of one that is not.

    Args:
        text: Any text; addresses, `@names` and numbers in it stay.
        kind: `typos`: a letter hits the key beside it (ЙЦУКЕН, QWERTY), changes places, is dropped or doubled, and a
            Chinese character gives way to another of the same pinyin. `asr`: what speech recognition writes: no case
            and no punctuation at all, and at the rate words misheard (unstressed о and а, е and и; б and п at an end;
            тся and ться; zh and z, an and ang), joined to the word before, or lost if they are short. `yo`: е for ё,
            or ё for е in common words. `case`: a word in capitals, in small letters or capitalised. `punctuation`:
            marks dropped. The others change a text as a whole, as pages and tables wrap it: `upper`, `lower`: all
            letters; `sentence`: only the first letter is a capital; `date`, `id`: in front; `quotes`: around;
            `url`: behind; `hashtags`: one to three of its words behind, with `#`; `script`: simplified Chinese in
            traditional characters, or the other way round; `unfinished`: no mark at its end.
        rate: Share of words (of Chinese characters, of marks) that are hit, 0 to 1; for the kinds that change a whole
            text, the chance that it is changed. 0 changes nothing.
        seed: The noise depends on it and on the text.

    Raises:
        ConfigError: There is no such kind, or the rate is out of range.
        MissingExtraError: `script` needs the extra `chinese`.
    """
    if kind not in NOISE_KINDS:
        raise ConfigError(f"there is no noise {kind!r}", hint=suggest(kind, NOISE_KINDS), key="noise")
    if not 0.0 <= rate <= 1.0:
        raise ConfigError(f"expected a rate from 0 to 1, found {rate}", key="noise")
    if rate == 0.0:
        return text
    chance = random.Random(f"{seed} {kind} ".encode() + text.encode("utf-8", "surrogatepass"))  # noqa: S311 - no secret
    if kind in {"typos", "yo", "case"}:
        noisy = _by_words(text, kind, rate, chance)
    elif kind == "asr":
        noisy = _by_ear(text, rate, chance)
    elif kind == "punctuation":
        noisy = _without_marks(text, rate, chance)
    else:
        noisy = text if chance.random() >= rate or not text.strip() else _wrapped(text, kind, chance)
    return noisy if noisy.strip() else text


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseSpec:
    """A kind of noise and its rate."""

    kind: NoiseKind
    rate: float

    @classmethod
    def parse(cls, given: str) -> NoiseSpec:
        """Read `kind:rate`, for example `typos:0.1`; without a rate it is 0.1.

        Raises:
            ConfigError: There is no such kind, or the rate is no number from 0 to 1.
        """
        kind, _, rate = given.partition(":")
        known = next((name for name in NOISE_KINDS if name == kind), None)
        if known is None:
            raise ConfigError(f"there is no noise {kind!r}", hint=suggest(kind, NOISE_KINDS), key="noise")
        try:
            number = float(rate or 0.1)
        except ValueError:
            number = -1.0
        if not 0.0 <= number <= 1.0:
            raise ConfigError(f"expected KIND:RATE with a rate from 0 to 1, found {given!r}", key="noise")
        return cls(kind=known, rate=number)

    def __str__(self) -> str:
        return f"{self.kind}:{self.rate:g}"


def _by_words(text: str, kind: NoiseKind, rate: float, chance: random.Random) -> str:
    """Change words and Chinese characters, each at the rate: typos, ё or е, case."""

    def changed(match: re.Match[str]) -> str:
        if match["fixed"] or chance.random() >= rate:
            return match[0]
        word = match[0]
        if match["han"]:
            return homophone(word, chance) if kind == "typos" else word
        if kind == "typos":
            return _typo(word, chance)
        if kind == "yo":
            without = word.replace("ё", "е").replace("Ё", "Е")
            return without if without != word else with_yo(word)
        forms = {word.lower(), word.upper(), word.capitalize()} - {word}
        # The capital of ß is two letters.
        fitting = sorted(form for form in forms if len(form) == len(word))
        return chance.choice(fitting) if fitting else word

    return _WORD.sub(changed, text)


def _typo(word: str, chance: random.Random) -> str:
    """Return a word with one letter mistyped, out of its place, dropped or doubled."""
    place = chance.randrange(len(word))
    way = chance.choice(("neighbour", "neighbour", "transposed", "dropped", "doubled"))
    before, letter, after = word[:place], word[place], word[place + 1 :]
    if way == "transposed" and after and letter != after[0]:
        return before + after[0] + letter + after[1:]
    if way == "dropped" and len(word) > 2:
        return before + after
    near = None if way == "doubled" else neighbours().get(letter.lower())
    if not near:
        return before + letter + letter + after
    other = chance.choice(near)
    return before + (other.upper() if letter.isupper() else other) + after


def _by_ear(text: str, rate: float, chance: random.Random) -> str:
    """Return what speech recognition writes: no case and no marks, some words misheard, joined or lost."""
    spoken = ""
    for match in _SPOKEN.finditer(text):
        token, gap = match[0], " "
        if not match["fixed"] and len(token.lower()) == len(token):
            token = token.lower()
        if not match["fixed"] and chance.random() < rate:
            way = chance.choice(("heard", "heard", "joined", "lost"))
            short = token in particles() if _HAS_HAN.match(token) else len(token) <= _SHORT
            if way == "heard" or (way == "lost" and not short):
                token = homophone(token, chance, alike=True) if match["han"] else by_ear(token, chance)
            elif way == "lost":
                continue
            else:
                gap = ""
        spoken += gap + token
    return _BETWEEN_HAN.sub("", spoken.strip())


def _without_marks(text: str, rate: float, chance: random.Random) -> str:
    def changed(match: re.Match[str]) -> str:
        if match["fixed"] or chance.random() >= rate:
            return match[0]
        around = text[max(0, match.start() - 1) : match.start()] + text[match.end() : match.end() + 1]
        return " " if len(around) == 2 and around.isalnum() and not _HAS_HAN.search(around) else ""

    return _PUNCTUATION.sub(changed, text)


def _wrapped(text: str, kind: NoiseKind, chance: random.Random) -> str:  # noqa: PLR0911 - a line for each kind
    """Change a text as a whole, as pages and tables wrap it."""
    chinese = _HAS_HAN.search(text) is not None
    match kind:
        case "upper":
            return _WORD.sub(lambda found: found[0] if found["fixed"] else found[0].upper(), text)
        case "lower" | "sentence":
            small = _WORD.sub(lambda found: found[0] if found["fixed"] else found[0].lower(), text)
            return small if kind == "lower" or _WORD.match(text, 0) is None else text[:1] + small[1:]
        case "date":
            day, month, year = chance.randint(1, 28), chance.randint(1, 12), chance.randint(2005, 2026)
            hour, minute = chance.randrange(24), chance.randrange(60)
            dates = (
                f"{day:02d}.{month:02d}.{year}",
                f"{year}-{month:02d}-{day:02d}",
                f"[{day:02d}.{month:02d}.{year} {hour:02d}:{minute:02d}]",
                f"{year}-{month:02d}-{day:02d} {hour:02d}:{minute:02d}:00",
                f"{hour:02d}:{minute:02d}",
                f"{year}年{month}月{day}日" if chinese else f"{day}/{month}/{year}",
            )
            return f"{chance.choice(dates)} {text}"
        case "id":
            number = chance.randrange(1, 10 ** chance.randint(2, 8))
            forms = (f"{number}", f"#{number}", f"{number}.", f"{number})", f"id{number}", f"№ {number}", f"{number};")
            return f"{chance.choice(forms)} {text}"
        case "quotes":
            pair = chance.choice(("“”", "「」", '""', "《》") if chinese else ("«»", '""', "„“", "''"))
            return f"{pair[0]}{text}{pair[1]}"
        case "url":
            name = "".join(chance.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=chance.randint(4, 10)))
            pages = (f"https://t.co/{name}", f"http://www.{name}.ru/", f"https://{name}.com/{name}", f"www.{name}.cn")
            return f"{text} {chance.choice(pages)}"
        case "hashtags":
            words = _TAGS.findall(text)
            chosen = chance.sample(words, min(len(words), chance.randint(1, 3)))
            return " ".join([text, *(f"#{one}#" if _HAS_HAN.search(one) else f"#{one.lower()}" for one in chosen)])
        case "script" if chinese:
            traditional = _converter("s2t").convert(text)
            return str(_converter("t2s").convert(text) if traditional == text else traditional)
        case "unfinished":
            return text.rstrip(" .!?…。！？") or text
        case _:
            return text


@cache
def _converter(direction: str) -> Any:  # noqa: ANN401 - the package has no types
    return require("opencc", extra="chinese").OpenCC(direction)
