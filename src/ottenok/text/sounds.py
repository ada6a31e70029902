"""What is confused: by neighbouring keys, by pinyin, by ear (tables: noise.toml, pinyin.toml)."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random

__all__ = ["by_ear", "homophone", "neighbours", "particles", "with_yo"]

# Input methods show the most used characters first; a slip is among these.
_SHOWN = 8
# Rows and places from a key to those around it.
_AROUND = ((0, -1), (0, 1), (-1, 0), (-1, 1), (1, -1), (1, 0))


@cache
def _table(name: str) -> dict[str, Any]:
    return tomllib.loads(resources.files("ottenok.text").joinpath(name).read_text(encoding="utf-8"))


@cache
def neighbours() -> dict[str, str]:
    """Return lower-case letter to the letters of the keys around it, Russian (ЙЦУКЕН) and Latin (QWERTY)."""
    around: dict[str, str] = {}
    for rows in _table("noise.toml")["keyboards"].values():
        places = {letter: (row, place) for row, letters in enumerate(rows) for place, letter in enumerate(letters)}
        for letter, (row, place) in places.items():
            near = {(row + down, place + across) for down, across in _AROUND}
            around[letter] = "".join(other for other, where in places.items() if where in near)
    return around


@cache
def particles() -> frozenset[str]:
    """Return the Chinese particles that speech recognition loses."""
    return frozenset(_table("noise.toml")["mandarin"]["dropped"])


@cache
def _syllables() -> dict[str, str]:
    return {sign: sound for sound, signs in _table("pinyin.toml").items() for sign in signs}


@cache
def _alike() -> dict[str, str]:
    """Return syllable to a syllable that some speakers say alike."""
    sounds, tables = _table("pinyin.toml"), _table("noise.toml")["mandarin"]
    found: dict[str, str] = {}
    for sound in sounds:
        for one, other in [*tables["initials"], *(pair[::-1] for pair in tables["initials"])]:
            if sound.startswith(one) and not sound.startswith(f"{one}h") and other + sound[len(one) :] in sounds:
                found.setdefault(sound, other + sound[len(one) :])
        for one, other in [*tables["finals"], *(pair[::-1] for pair in tables["finals"])]:
            if sound.endswith(one) and sound[: -len(one)] + other in sounds:
                found.setdefault(sound, sound[: -len(one)] + other)
    return found


def homophone(sign: str, chance: random.Random, *, alike: bool = False) -> str:
    """Return a Chinese character that sounds the same but for the tone; the character itself if there is none.

    Args:
        sign: The character.
        chance: Chooses among the most used ones.
        alike: Half of the time take a sound that some speakers don't tell apart (zh and z, an and ang).
    """
    sound = _syllables().get(sign)
    if sound is None:
        return sign
    if alike and chance.random() < 0.5:
        sound = _alike().get(sound, sound)
    others = [other for other in _table("pinyin.toml")[sound][:_SHOWN] if other != sign]
    return chance.choice(others) if others else sign


@cache
def _vowels() -> dict[int, str]:
    return _swaps(_table("noise.toml")["russian"]["vowels"])


@cache
def _finals() -> dict[int, str]:
    return _swaps(_table("noise.toml")["russian"]["finals"])


def _swaps(pairs: list[str]) -> dict[int, str]:
    return {ord(pair[place]): pair[1 - place] for pair in pairs for place in (0, 1)}


def by_ear(word: str, chance: random.Random) -> str:
    """Return a lower-case Russian word as it could be heard; the word itself if nothing in it is ambiguous.

    Stress is not known: of a word with several vowels any may be taken for unstressed.
    """
    ways: list[str] = []
    for short, long in _table("noise.toml")["russian"]["endings"]:
        ending, other = (long, short) if word.endswith(long) else (short, long)
        if word.endswith(ending):
            ways.append(word.removesuffix(ending) + other)
            break
    final = word[-1:].translate(_finals())
    if len(word) > 2 and final != word[-1:]:
        ways.append(word[:-1] + final)
    places = [place for place, letter in enumerate(word) if ord(letter) in _vowels()]
    # The only vowel of a word is stressed.
    if places and sum(letter in "аеёиоуыэюя" for letter in word) > 1:
        place = chance.choice(places)
        ways.append(word[:place] + word[place].translate(_vowels()) + word[place + 1 :])
    return chance.choice(ways) if ways else word


@cache
def _yo_words() -> dict[str, str]:
    return {word.replace("ё", "е"): word for word in _table("noise.toml")["yo"]["words"]}


def with_yo(word: str) -> str:
    """Return a word with ё for е where a common word is written so, in its own case; else the word itself."""
    known = _yo_words().get(word.lower())
    if known is None:
        return word
    pairs = zip(word, known, strict=True)
    return "".join(("Ё" if old.isupper() else "ё") if new == "ё" else old for old, new in pairs)
