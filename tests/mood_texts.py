"""Texts with moods that the embedded classifier knows, in files: what the tests of `drift` and `shares` build on."""

from __future__ import annotations

import csv
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_WORDS = {
    "positive": ("отличный", "прекрасный", "чудесный", "любимый", "великолепный"),
    "negative": ("ужасный", "отвратительный", "плохой", "грязный", "мерзкий"),
}
_THINGS = ("отель", "фильм", "ресторан", "телефон", "суп", "врач", "город", "номер", "концерт", "урок")
_ENDS = ("очень", "сегодня", "вчера", "в центре", "у моря", "как всегда", "мы были там", "спасибо", "снова")
CHINESE = ("房间又小又脏，再也不来了", "味道很好，下次还来", "服务态度很差", "物流很快，包装也不错", "电影一般般吧")


def texts(count: int, *, positive: float = 0.5, seed: int = 0) -> list[tuple[str, str]]:
    """Return so many Russian texts with their mood."""
    draw = random.Random(seed)
    found = []
    for place in range(count):
        mood = "positive" if place < positive * count else "negative"
        found.append((f"{draw.choice(_WORDS[mood])} {draw.choice(_THINGS)}, {draw.choice(_ENDS)}", mood))
    draw.shuffle(found)
    return found


def write(file: Path, rows: list[tuple[str, ...]], *names: str) -> Path:
    """Write rows as CSV."""
    with file.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([names, *rows])
    return file
