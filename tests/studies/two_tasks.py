"""A corpus whose texts are labelled for one or both of two tasks, and a model with both: made in code."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ottenok.bundle.manifest import DataFacts
from ottenok.core.schemes import load_scheme
from toys import tiny_manifest, write_bundle

if TYPE_CHECKING:
    from pathlib import Path

SENTIMENT, EMOTIONS = load_scheme("sentiment-3"), load_scheme("emotions-7")
WORDS = ("день", "ночь", "улица", "фонарь", "аптека", "свет", "дом", "лес", "река", "мост")
# Of each split: texts with a label for sentiment alone, for emotions alone, and for both.
EACH = {"train": (30, 40, 20), "validation": (20, 20, 20), "test": (12, 18, 24)}


def two_task_corpus(folder: Path) -> Path:
    """Write the corpus; its emotions may come together or not at all."""
    random = np.random.default_rng(5)
    rows: list[dict[str, Any]] = []
    for split, counts in EACH.items():
        for kind, count in enumerate(counts):
            for number in range(count):
                chosen = np.flatnonzero(random.random(len(EMOTIONS.labels)) < 0.25)
                sentiment = SENTIMENT.labels[random.integers(3)]
                rows.append(
                    {
                        "id": f"{split}/{kind}/{number}",
                        "text": " ".join(random.choice(WORDS, 6)),
                        "labels:sentiment-3": [sentiment] if kind != 1 else None,
                        "labels:emotions-7": [EMOTIONS.labels[one] for one in chosen] if kind else None,
                        "source": ("reviews", "posts", "both")[kind],
                        "part": None,
                        "language": "ru" if number % 3 else "zh",
                        "split": split,
                    }
                )
    folder.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / "corpus.parquet")
    tasks = [
        {
            "name": scheme.name,
            "scheme": {"name": scheme.name, "kind": scheme.kind, "labels": scheme.labels},
            "classes": {},
        }
        for scheme in (SENTIMENT, EMOTIONS)
    ]
    manifest = {"format": 2, "name": "both", "tasks": tasks, "recipe": {"text": {}}}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def two_task_bundle(folder: Path, **fields: Any) -> Path:
    """Write the model, which was trained on another corpus with few Chinese texts."""
    cells = {
        scheme.name: {"ru": dict.fromkeys(scheme.labels, 1000), "zh": dict.fromkeys(scheme.labels, 7)}
        for scheme in (SENTIMENT, EMOTIONS)
    }
    data = DataFacts(name="elsewhere", cells=cells)
    return write_bundle(folder, tiny_manifest("sentiment-3", "emotions-7", data=data, name="pair", **fields))
