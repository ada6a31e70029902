"""How people spell labels: `Негатив`, `好评`, `-1`, `5 звёзд`; one table for corpora, evaluations and thresholds."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from ottenok.core.schemes import find_map, load_scheme, load_schemes

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ottenok.core.schemes import LabelScheme

__all__ = ["fold_label", "spelled"]

_WHOLE = re.compile(r"([+-]?\d+)[.,]0+")
_STARS = re.compile(r"(★+|⭐+)(☆*)")


def fold_label(label: str) -> str:
    """Return a label for comparison: small letters of usual width, ё as е, whole numbers without a point, one minus."""
    label = label if label.isascii() else unicodedata.normalize("NFKC", label)
    folded = " ".join(label.casefold().replace("ё", "е").replace("−", "-").split())
    whole = _WHOLE.fullmatch(folded)
    return (whole[1] if whole else folded).removeprefix("+") or folded


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(resources.files("ottenok.core").joinpath("spellings.toml").read_text(encoding="utf-8"))


def _stars(label: str) -> str | None:
    """Return the number of stars that a label says in words or signs; None if it does not."""
    table = _table()["stars"]
    signs = _STARS.fullmatch(label)
    if signs:
        return str(len(signs[1])) if len(signs[1]) <= 5 and len(label) <= 5 else None
    folded = fold_label(label)
    for word in sorted(table["words"], key=len, reverse=True):
        if folded.endswith(word) and folded != word:
            number = fold_label(folded.removesuffix(word).strip(" -_"))
            number = table.get(number, number)
            return number if number in {"1", "2", "3", "4", "5"} else None
    match = re.fullmatch(r"stars?[ _-]?([1-5])", folded)
    return match[1] if match else None


def spelled(labels: Collection[str], scheme: LabelScheme) -> Mapping[str, str]:
    """Return which label of a scheme each label is, as far as spellings are known; others are left out.

    Numbers are read as a column: -1, 0 and 1 with a -1 among them (or +, 0 and -) are the polarity; 1 to 5 with a 4 or
    a 5 among them are stars, which lead to the scheme by the map of `stars-5`. Others, as 0 and 1 alone, could mean
    anything.

    Args:
        labels: All labels of the data.
        scheme: The scheme.
    """
    schemes = load_schemes()
    by_name = {fold_label(label): label for label in scheme.labels}
    # Usual names, then the titles that any scheme gives such a label, then the scheme's own.
    names: dict[str, str] = {}
    for label in scheme.labels:
        for name in _table()["names"].get(fold_label(label), ()):
            names.setdefault(fold_label(name), label)
    for one in (*(other for other in schemes.values() if other.name != scheme.name), scheme):
        for label in set(one.labels) & set(scheme.labels):
            place = one.labels.index(label)
            names.update({fold_label(titles[place]): label for titles in one.titles.values()})
    names |= by_name
    found = {}
    for label in labels:
        # As fastText writes it, as Python prints a member of an enumeration, in quotes, with a full stop.
        bare = fold_label(label).strip("\"'«»“”.!,;: ").removeprefix("__label__")
        for spelling in (fold_label(label), bare, bare.rpartition(".")[2]):
            if spelling in names:
                found[label] = names[spelling]
                break
    rest = [label for label in labels if label not in found]
    stars = {label: _stars(label) for label in rest}
    numbers = {fold_label(label) for label in rest if stars[label] is None}
    polarity = {number: label for label, number in _table()["numbers"].items()}
    signs = numbers == {"0"} and {"+", "-"} & set(labels)
    if ("-1" in numbers or signs) and numbers <= polarity.keys():
        ends = {label: by_name.get(polarity[fold_label(label)]) for label in rest if stars[label] is None}
        found |= {label: end for label, end in ends.items() if end is not None}
    elif numbers & {"4", "5"} and numbers <= {"1", "2", "3", "4", "5"}:
        stars |= {label: fold_label(label) for label in rest if stars[label] is None}
    route = _star_route(scheme)
    if route is not None:
        found |= {label: route[number] for label, number in stars.items() if number is not None and number in route}
    return found


def _star_route(scheme: LabelScheme) -> dict[str, str] | None:
    """Return what stars are in a scheme: its own labels, or where the map of stars leads; None if nowhere."""
    stars = load_scheme("stars-5")
    ends: Mapping[str, str | None]
    if set(scheme.labels) >= set(stars.labels):
        ends = {label: label for label in stars.labels}
    else:
        sentiment = load_scheme("sentiment-3")
        by_name = {fold_label(label): label for label in scheme.labels}
        if not set(sentiment.labels) <= by_name.keys():
            return None
        ends = {
            star: by_name[end] for star, end in find_map(stars.name, sentiment.name).table.items() if end is not None
        }
    return {str(place): end for place, star in enumerate(stars.labels, start=1) if (end := ends.get(star)) is not None}
