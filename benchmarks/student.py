"""Texts per second of the embedded classifier, beside a network of its teacher's form and the graph shipped before it.

    git archive b3c7e0a src/ottenok/weights/default | tar -x -C BEFORE
    python benchmarks/student.py ENCODER CORPUS --before BEFORE/src/ottenok/weights/default [-o RESULT.json]
    python benchmarks/student.py --table    (the table of docs/embedded.md out of the result)

ENCODER is multilingual-e5-small or one of its form (12 layers), run by torch in fp32 with mean pooling and a linear
layer, on texts sorted by length in padded batches of 32: the fast way to use it. CORPUS gives the texts, a mix of its
test rows. All take turns in one process; texts are tokenised beforehand for each, and only the networks are timed. Told
are medians over the rounds, of seconds and of processor time. Needs the extra `train`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ottenok
from ottenok.core.files import atomic_write_text

if TYPE_CHECKING:
    from collections.abc import Callable

RESULT = Path(__file__).parent / "results" / "student.json"
STUDENT, BEFORE, TEACHER = "embedded: 5 layers, int8", "before: 12 layers, int8", "12 layers in torch, fp32, sorted"


def bundle(folder: str | None, texts: list[str], threads: int) -> Callable[[], object]:
    """Return what runs a bundle's graph on texts."""
    classifier = ottenok.load(folder, precision="int8", threads=threads)
    ready = classifier.prepare(texts)
    return lambda: classifier.run(ready)


def in_torch(folder: str, texts: list[str], threads: int, size: int = 32) -> Callable[[], object]:
    """Return what runs an encoder and a linear layer on texts, in torch."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    torch.set_num_threads(threads)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    encoder = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    assert encoder.config.num_hidden_layers == 12
    head = torch.nn.Linear(encoder.config.hidden_size, 15)
    ids = sorted(tokenizer(texts, truncation=True, max_length=128)["input_ids"], key=len)
    batches: list[Any] = [
        tokenizer.pad({"input_ids": ids[start : start + size]}, return_tensors="pt")
        for start in range(0, len(ids), size)
    ]

    def run() -> None:
        with torch.inference_mode():
            for batch in batches:
                hidden = encoder(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
                mask = batch["attention_mask"][..., None]
                head((hidden * mask).sum(1) / mask.sum(1))

    return run


def main() -> None:
    """Measure, or show what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encoder", nargs="?")
    parser.add_argument("corpus", nargs="?")
    parser.add_argument("--before")
    parser.add_argument("--texts", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("-o", "--out", type=Path, default=RESULT)
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args()
    if given.table:
        found = json.loads(given.out.read_text(encoding="utf-8"))
        print("| network | texts/s | the embedded one is faster by | by processor time |\n|---|---|---|---|")
        for name, facts in found["systems"].items():
            times = " | ".join(f"{facts[key]:.1f} times" for key in ("times", "times_by_processor"))
            print(f"| {name} | {facts['texts_per_second']:,.0f} | {times} |")
        return
    texts = ottenok.open_corpus(given.corpus).table("test", ["text"]).column("text").to_pylist()
    texts = random.Random(0).sample(texts, given.texts)
    systems = {STUDENT: bundle(None, texts, given.threads)}
    if given.before:
        systems[BEFORE] = bundle(given.before, texts, given.threads)
    systems[TEACHER] = in_torch(given.encoder, texts, given.threads)
    load = os.getloadavg()[0]
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in systems}
    for number in range(given.rounds + 1):
        for name, run in systems.items():
            begun, used = time.perf_counter(), time.process_time()
            run()
            if number:  # the first round warms up
                runs[name].append((time.perf_counter() - begun, time.process_time() - used))
    found = {"texts": len(texts), "rounds": given.rounds, "threads": given.threads, "load": round(load, 1)}
    shown: dict[str, dict[str, float]] = {}
    for name, times in runs.items():
        pairs = list(zip(times, runs[STUDENT], strict=True))
        shown[name] = {
            "texts_per_second": round(len(texts) / statistics.median(wall for wall, _ in times), 1),
            "times": round(statistics.median(other[0] / own[0] for other, own in pairs), 2),
            "times_by_processor": round(statistics.median(other[1] / own[1] for other, own in pairs), 2),
        }
    found["systems"] = shown
    print(json.dumps(found, indent=1))
    atomic_write_text(given.out, json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
