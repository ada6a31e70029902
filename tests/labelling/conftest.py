"""A file of texts, and the session over it, without a page."""

from __future__ import annotations

import csv
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

import ottenok

pytest.importorskip("sklearn", reason="needs the extra label")
pytest.importorskip("uvicorn", reason="needs the extra label")
pytest.importorskip("httptools", reason="needs the extra label")
pytest.importorskip("prometheus_client", reason="needs the extra label")

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from ottenok.inference.classifier import Classifier
    from ottenok.labelling.session import Session

GOOD = ("чудесно", "прекрасно", "отлично", "очень вкусно")
BAD = ("ужасно", "отвратительно", "плохо", "гадость")


def texts(count: int) -> list[str]:
    """Return texts of which every second is praise."""
    return [f"{(GOOD, BAD)[number % 2][number // 2 % 4]}, номер {number}" for number in range(count)]


def write_table(file: Path, rows: Sequence[str], **columns: Sequence[str]) -> Path:
    """Write a CSV with the column `review` and others."""
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["review", *columns])
        writer.writerows(zip(rows, *columns.values(), strict=True))
    return file


@pytest.fixture(scope="session")
def classifier() -> Classifier:
    """Return the embedded classifier."""
    return ottenok.load(threads=1)


@pytest.fixture
def session(tmp_path: Path) -> Callable[..., AbstractContextManager[Session]]:
    """Return what opens a session over some texts."""
    from ottenok.labelling.journal import opened
    from ottenok.labelling.pool import read_pool
    from ottenok.labelling.session import Options, Session

    @contextmanager
    def begin(
        rows: Sequence[str], labels: Sequence[str] = ("good", "bad"), *, several: bool = False, **options: float
    ) -> Iterator[Session]:
        file = write_table(tmp_path / "texts.csv", rows)
        with opened(tmp_path / "journal.jsonl") as journal:
            journal.begin(labels, several=several)
            yield Session(read_pool(file, text="review"), journal, options=Options(**options))

    return begin
