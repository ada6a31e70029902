"""A tiny encoder and a tiny corpus, made in code."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

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


SCHEMES = {
    "sentiment-3": {name: [name] for name in WORDS},
    "emotions-7": {"negative": ["anger", "sadness"], "neutral": [], "positive": ["joy"]},
}


def write_corpus(
    folder: Path,
    *,
    rows: int,
    scheme: str = "sentiment-3",
    splits: str = "tttttttvx",
    words: dict[str, list[str]] | None = None,
    opening: int = 0,
) -> Corpus:
    """Write a corpus whose words give its labels away; `splits` repeats: train, validation (v), test (x).

    Texts begin with `opening` words that say nothing.
    """
    chance = random.Random(0)
    names = {"t": "train", "v": "validation", "x": "test"}
    columns: dict[str, list[object]] = {name: [] for name in ("id", "text", "labels", "source", "language", "split")}
    for number in range(rows):
        mood = chance.choice(list(WORDS))
        text = chance.choices(FILLER, k=chance.randint(0, 6)) + chance.choices(
            (WORDS | (words or {}))[mood], k=chance.randint(1, 2)
        )
        chance.shuffle(text)
        text = ["день"] * opening + text
        labels, split = SCHEMES[scheme][mood], names[splits[number % len(splits)]]
        values = (f"toy/0/{number}", " ".join(text), labels, f"source-{number % 2}", "ru", split)
        for name, value in zip(columns, values, strict=True):
            columns[name].append(value)
    table = pa.table({**columns, "part": pa.nulls(rows, pa.string())})
    folder.mkdir(parents=True)
    pq.write_table(table, folder / "corpus.parquet")
    manifest = {"name": "toy", "scheme": scheme, "sources": [_source()], "recipe": {"text": {"yo": "e"}}}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return open_corpus(folder)


def _source() -> dict[str, object]:
    return {
        "name": "toy",
        "licence": "CC-BY-NC-4.0",
        "commercial": False,
        "kept": {"train": 7, "validation": 1, "test": 1},
        "languages": {"ru": 8, "zh": 1},
        "dropped": [{"reason": "duplicate", "rows": 2}, {"reason": "duplicate", "rows": 3}],
        "files": [{"path": "toy/train.csv", "sha256": "0" * 64}],
    }


@pytest.fixture(scope="session")
def toy_corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Return a corpus of 300 short texts of three classes from two sources."""
    return write_corpus(tmp_path_factory.mktemp("data") / "toy", rows=300)


@pytest.fixture(scope="session")
def make_corpus(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Corpus]:
    """Return the maker of toy corpora."""

    def make(**options: Any) -> Corpus:
        return write_corpus(tmp_path_factory.mktemp("data") / "made", **options)

    return make


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a random BERT, 32 wide, two layers."""
    pytest.importorskip("torch")
    from tiny_encoders import tiny_encoder

    return tiny_encoder(tmp_path_factory.mktemp("encoder") / "tiny-bert")


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Compute on one thread, as the processes that a test starts do: sums then have one order."""
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
