"""Texts per second and cold start: ottenok beside transformers' own pipeline, on the same model and texts.

    python benchmarks/speed.py BUNDLE TABLE.csv [--text COLUMN] [-o benchmarks/results/speed.json]

BUNDLE is a folder that `ottenok train` wrote, with its ONNX graphs. Needs the extra `train`.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ottenok.core.files import atomic_write_text
from ottenok.inference.api import load

if TYPE_CHECKING:
    from collections.abc import Callable

    from ottenok.inference.classifier import Classifier

START = {
    "ottenok int8": "import ottenok; ottenok.load({0!r}, precision='int8')('привет')",
    "transformers pipeline": "import ottenok.models.classifier; from transformers import pipeline; "
    "pipeline('text-classification', model={0!r})('привет')",
}
# getrusage would count the parent's memory too, which a child begins with.
PEAK = "; print([line for line in open('/proc/self/status') if line.startswith('VmHWM')][0].split()[1])"


def systems(bundle: str, threads: int) -> dict[str, Callable[[list[str]], Any]]:
    """Return what is timed, by name."""
    import torch
    from transformers import pipeline

    from ottenok.models import classifier as _registers  # noqa: F401

    torch.set_num_threads(threads)
    usual = pipeline("text-classification", model=bundle, top_k=None)
    return {
        "transformers pipeline, one by one": lambda texts: [usual(text, truncation=True) for text in texts],
        "transformers pipeline, batches of 32": lambda texts: usual(texts, batch_size=32, truncation=True),
        "ottenok fp32": load(bundle, precision="fp32", threads=threads),
        "ottenok int8": load(bundle, precision="int8", threads=threads),
        "ottenok int8, one by one": one_by_one(load(bundle, precision="int8", threads=threads)),
    }


def one_by_one(classifier: Classifier) -> Callable[[list[str]], Any]:
    """Return a caller that hands over each text alone."""
    return lambda texts: [classifier(text) for text in texts]


def cold_start(code: str) -> dict[str, float]:
    """Return seconds and megabytes of a fresh process that loads a model and classifies one text; best of 3."""
    seconds, peaks = [], []
    for _ in range(3):
        begun = time.perf_counter()
        found = subprocess.run([sys.executable, "-c", code + PEAK], capture_output=True, text=True, check=True)
        seconds.append(time.perf_counter() - begun)
        peaks.append(int(found.stdout.split()[-1]) / 1000.0)
    return {"seconds": round(min(seconds), 2), "megabytes": round(min(peaks))}


def main() -> None:
    """Time every system in turn, several rounds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle")
    parser.add_argument("table", type=Path)
    parser.add_argument("--text", default="text")
    parser.add_argument("--texts", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("-o", "--out", type=Path)
    given = parser.parse_args()
    with given.table.open(encoding="utf-8-sig", newline="") as stream:
        every = [row[given.text] for row in csv.DictReader(stream)]
    texts = every[:: max(1, len(every) // given.texts)][: given.texts]
    found = systems(given.bundle, given.threads)
    speeds: dict[str, list[float]] = {name: [] for name in found}
    for _ in range(given.rounds):
        for name, run in found.items():
            begun = time.perf_counter()
            run(texts)
            speeds[name].append(len(texts) / (time.perf_counter() - begun))
    facts = {
        "texts": len(texts),
        "threads": given.threads,
        "rounds": given.rounds,
        "load_at_end": os.getloadavg()[0],
        "texts_per_second": {name: round(statistics.median(values), 1) for name, values in speeds.items()},
        "cold_start": {name: cold_start(code.format(given.bundle)) for name, code in START.items()},
    }
    rendered = json.dumps(facts, ensure_ascii=False, indent=1)
    print(rendered)
    if given.out:
        atomic_write_text(given.out, rendered + "\n")


if __name__ == "__main__":
    main()
