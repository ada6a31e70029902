"""Noise as users, keyboards and speech recognition make it: for training, and to test what a model bears.

Every kind is a pure function of text, rate and seed: the same three give the same noise, on every machine.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, get_args

from ottenok.core.errors import ConfigError
from ottenok.core.lazy import require
from ottenok.core.suggest import suggest
from ottenok.text.sounds import by_ear, homophone, neighbours, particles, with_yo

if TYPE_CHECKING:
    from collections.abc import Callable

    Change = Callable[[str, random.Random], str]

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
    if kind in _WHOLE:
        return text if chance.random() >= rate else _WHOLE[kind](text, chance)
    noisy = _KINDS[kind](text, rate, chance)
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


def _words(text: str, rate: float, chance: random.Random, *, word: Change, han: Change) -> str:
    """Change words and Chinese characters, each at the rate."""

    def changed(match: re.Match[str]) -> str:
        if match["fixed"] or chance.random() >= rate:
            return match[0]
        return (han if match["han"] else word)(match[0], chance)

    return _WORD.sub(changed, text)


def _same(text: str, _: random.Random) -> str:
    return text


def _typos(text: str, rate: float, chance: random.Random) -> str:
    return _words(text, rate, chance, word=_typo, han=homophone)


def _typo(word: str, chance: random.Random) -> str:
    place = chance.randrange(len(word))
    way = chance.choice((_neighbour, _neighbour, _transposed, _dropped, _doubled))
    return way(word, place, chance)


def _neighbour(word: str, place: int, chance: random.Random) -> str:
    near = neighbours().get(word[place].lower())
    if not near:
        return _doubled(word, place, chance)
    letter = chance.choice(near)
    return word[:place] + (letter.upper() if word[place].isupper() else letter) + word[place + 1 :]


def _transposed(word: str, place: int, chance: random.Random) -> str:
    if place + 1 >= len(word) or word[place] == word[place + 1]:
        return _neighbour(word, place, chance)
    return word[:place] + word[place + 1] + word[place] + word[place + 2 :]


def _dropped(word: str, place: int, chance: random.Random) -> str:
    return word[:place] + word[place + 1 :] if len(word) > 2 else _neighbour(word, place, chance)


def _doubled(word: str, place: int, _: random.Random) -> str:
    return word[:place] + word[place] + word[place:]


def _asr(text: str, rate: float, chance: random.Random) -> str:
    spoken = ""
    for match in _SPOKEN.finditer(text):
        token, gap = match[0] if match["fixed"] else _lower(match[0]), " "
        if not match["fixed"] and chance.random() < rate:
            way = chance.choice(("heard", "heard", "joined", "lost"))
            if way == "heard" or (way == "lost" and not _is_lost(token)):
                token = homophone(token, chance, alike=True) if match["han"] else by_ear(token, chance)
            elif way == "lost":
                continue
            else:
                gap = ""
        spoken += gap + token
    return _BETWEEN_HAN.sub("", spoken.strip())


def _is_lost(token: str) -> bool:
    return token in particles() if re.match(f"[{_HAN}]", token) else len(token) <= _SHORT


def _lower(word: str) -> str:
    lower = word.lower()
    return lower if len(lower) == len(word) else word


def _yo(text: str, rate: float, chance: random.Random) -> str:
    return _words(text, rate, chance, word=_other_yo, han=_same)


def _other_yo(word: str, _: random.Random) -> str:
    without = word.replace("ё", "е").replace("Ё", "Е")
    return without if without != word else with_yo(word)


def _case(text: str, rate: float, chance: random.Random) -> str:
    return _words(text, rate, chance, word=_other_case, han=_same)


def _other_case(word: str, chance: random.Random) -> str:
    forms = {word.lower(), word.upper(), word.capitalize()} - {word}
    # The capital of ß is two letters.
    fitting = sorted(form for form in forms if len(form) == len(word))
    return chance.choice(fitting) if fitting else word


def _punctuation(text: str, rate: float, chance: random.Random) -> str:
    def changed(match: re.Match[str]) -> str:
        if match["fixed"] or chance.random() >= rate:
            return match[0]
        around = text[max(0, match.start() - 1) : match.start()] + text[match.end() : match.end() + 1]
        return " " if len(around) == 2 and around.isalnum() and not re.search(f"[{_HAN}]", around) else ""

    return _PUNCTUATION.sub(changed, text)


def _date(text: str, chance: random.Random) -> str:
    day, month, year = chance.randint(1, 28), chance.randint(1, 12), chance.randint(2005, 2026)
    hour, minute = chance.randrange(24), chance.randrange(60)
    forms = (
        f"{day:02d}.{month:02d}.{year}",
        f"{year}-{month:02d}-{day:02d}",
        f"[{day:02d}.{month:02d}.{year} {hour:02d}:{minute:02d}]",
        f"{year}-{month:02d}-{day:02d} {hour:02d}:{minute:02d}:00",
        f"{hour:02d}:{minute:02d}",
        f"{year}年{month}月{day}日" if _HAS_HAN.search(text) else f"{day}/{month}/{year}",
    )
    return f"{chance.choice(forms)} {text}"


def _id(text: str, chance: random.Random) -> str:
    number = chance.randrange(1, 10 ** chance.randint(2, 8))
    forms = (f"{number}", f"#{number}", f"{number}.", f"{number})", f"id{number}", f"№ {number}", f"{number};")
    return f"{chance.choice(forms)} {text}"


def _quotes(text: str, chance: random.Random) -> str:
    marks = ("“”", "「」", '""', "《》") if _HAS_HAN.search(text) else ("«»", '""', "„“", "''")
    pair = chance.choice(marks)
    return f"{pair[0]}{text}{pair[1]}"


def _url(text: str, chance: random.Random) -> str:
    name = "".join(chance.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=chance.randint(4, 10)))
    forms = (f"https://t.co/{name}", f"http://www.{name}.ru/", f"https://{name}.com/{name}", f"www.{name}.cn")
    return f"{text} {chance.choice(forms)}"


def _hashtags(text: str, chance: random.Random) -> str:
    words = [word for word in re.findall(rf"[{_HAN}]{{2,4}}|[^\W\d_{_HAN}]{{3,}}", text) if word]
    if not words:
        return text
    chosen = chance.sample(words, min(len(words), chance.randint(1, 3)))
    return " ".join([text, *(f"#{word}#" if _HAS_HAN.search(word) else f"#{word.lower()}" for word in chosen)])


def _script(text: str, _: random.Random) -> str:
    if not _HAS_HAN.search(text):
        return text
    traditional = _converter("s2t").convert(text)
    return str(_converter("t2s").convert(text) if traditional == text else traditional)


@cache
def _converter(direction: str) -> Any:  # noqa: ANN401 - the package has no types
    return require("opencc", extra="chinese").OpenCC(direction)


_WHOLE: dict[NoiseKind, Change] = {
    "upper": lambda text, _: text.upper(),
    "lower": lambda text, _: text.lower(),
    "sentence": lambda text, _: text[:1].upper() + text[1:].lower(),
    "date": _date,
    "id": _id,
    "quotes": _quotes,
    "url": _url,
    "hashtags": _hashtags,
    "script": _script,
    "unfinished": lambda text, _: text.rstrip(" .!?…。！？") or text,
}
_KINDS: dict[NoiseKind, Callable[[str, float, random.Random], str]] = {
    "typos": _typos,
    "asr": _asr,
    "yo": _yo,
    "case": _case,
    "punctuation": _punctuation,
}
