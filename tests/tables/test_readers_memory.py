"""Readers stream: what they hold does not grow with the file."""

from __future__ import annotations

import json
import tracemalloc
from collections import deque
from typing import TYPE_CHECKING

import pytest

from ottenok.data.card import ReaderSpec
from ottenok.data.readers import read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_TEXT = "очень хороший фильм, всем советую посмотреть ещё раз " * 4
_ROWS = 20_000  # about eight megabytes


def _csv(rows: int) -> Iterator[str]:
    yield "text,label\n"
    yield from (f'"{_TEXT}{row}",pos\n' for row in range(rows))


def _jsonl(rows: int) -> Iterator[str]:
    yield from (json.dumps({"text": f"{_TEXT}{row}", "label": "pos"}, ensure_ascii=False) + "\n" for row in range(rows))


def _json(rows: int) -> Iterator[str]:
    yield "["
    yield ",\n".join(_jsonl(rows))
    yield "]"


def _romip(rows: int) -> Iterator[str]:
    yield "<x>"
    body = "<sentence><speech>{}</speech><evaluation>+</evaluation></sentence>\n"
    yield from (body.format(f"{_TEXT}{row}") for row in range(rows))
    yield "</x>"


@pytest.mark.parametrize(
    ("kind", "lines", "rows"),
    [("csv", _csv, _ROWS), ("jsonl", _jsonl, _ROWS), ("json", _json, _ROWS), ("romip", _romip, 8_000)],
)
def test_memory_does_not_grow_with_the_file(
    tmp_path: Path, kind: str, lines: Callable[[int], Iterator[str]], rows: int
) -> None:
    """Four times the rows need no more memory, and never as much as the file."""
    peaks = []
    for count in (rows // 4, rows):
        path = tmp_path / f"{count}.{kind}"
        with path.open("w", encoding="utf-8", newline="") as stream:
            stream.writelines(lines(count))
        tracemalloc.start()
        found = deque(enumerate(read(path, ReaderSpec(kind=kind, text="text", label="label")), start=1), maxlen=1)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert found[0][0] == found[0][1].row == count

    assert peaks[1] < 1.2 * peaks[0] + 500_000
    assert peaks[1] < 12 << 20
