"""A tiny encoder and a tiny corpus, made in code."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ottenok.data.corpus import Corpus, open_corpus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

WORDS = {
    "negative": ["ужасно", "плохо", "гадость", "мерзко", "糟糕", "很差"],
    "neutral": ["стол", "сегодня", "книга", "улица", "书店", "一般"],
    "positive": ["чудесно", "хорошо", "люблю", "здорово", "很好", "喜欢"],
}
FILLER = ["я", "это", "там", "и", "ещё", "мой", "был", "день", "的", "是"]


def write_corpus(folder: Path, *, rows: int, scheme: str = "sentiment-3", seed: int = 0) -> Corpus:
    """Write a corpus whose words give its labels away: eight tenths train, a tenth validation, a tenth test."""
    chance = random.Random(seed)
    columns: dict[str, list[object]] = {name: [] for name in ("id", "text", "labels", "source", "language", "split")}
    for number in range(rows):
        label = chance.choice(list(WORDS))
        words = chance.choices(FILLER, k=chance.randint(0, 6)) + chance.choices(WORDS[label], k=chance.randint(1, 2))
        chance.shuffle(words)
        split = "validation" if number % 10 == 8 else "test" if number % 10 == 9 else "train"
        values = (f"toy/0/{number}", " ".join(words), [label], f"source-{number % 2}", "ru", split)
        for name, value in zip(columns, values, strict=True):
            columns[name].append(value)
    table = pa.table({**columns, "part": pa.nulls(rows, pa.string())})
    folder.mkdir(parents=True)
    pq.write_table(table, folder / "corpus.parquet")
    (folder / "manifest.json").write_text(json.dumps({"name": "toy", "scheme": scheme}), encoding="utf-8")
    return open_corpus(folder)


@pytest.fixture(scope="session")
def toy_corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Return a corpus of 300 short texts of three classes from two sources."""
    return write_corpus(tmp_path_factory.mktemp("data") / "toy", rows=300)


@pytest.fixture(scope="session")
def make_corpus(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Corpus]:
    """Return the maker of toy corpora."""

    def make(**options: object) -> Corpus:
        return write_corpus(tmp_path_factory.mktemp("data") / "made", **options)  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a random BERT, 32 wide, two layers."""
    pytest.importorskip("torch")
    from ottenok.models.tiny import tiny_encoder

    return tiny_encoder(tmp_path_factory.mktemp("encoder") / "tiny-bert")


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Compute on one thread, as the processes that a test starts do: sums then have one order."""
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
