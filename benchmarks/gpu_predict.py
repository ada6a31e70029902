"""Prediction on a GPU beside the processor: the same answers, and how many texts a second.

    pip uninstall onnxruntime && pip install onnxruntime-gpu
    python benchmarks/gpu_predict.py BUNDLE [--texts 20000] [-o benchmarks/results/gpu_predict.json]

BUNDLE holds a graph in fp32 (`onnx/model.onnx`), as `ottenok train` and `ottenok export` write it. Without a GPU,
`--device cpu` runs the same code on the processor twice.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from pathlib import Path

import numpy as np

import ottenok

WORDS = (
    "магазин",
    "доставка",
    "отличный",
    "ужасный",
    "курьер",
    "опоздал",
    "спасибо",
    "вкусно",
    "дорого",
    "быстро",
    "вежливо",
    "грубо",
    "номер",
    "завтрак",
    "фильм",
    "скучный",
    "смешной",
    "телефон",
    "экран",
    "сломался",
    "через",
    "неделю",
    "советую",
    "никогда",
    "больше",
    "очень",
    "не",
    "совсем",
    "просто",
)
HAN = list("酒店很干净服务员态度差快递太慢质量不错推荐失望电影好看难吃味道价格便宜再也不来")


def texts(count: int) -> list[str]:
    """Return Russian and Chinese texts of 1 to 60 words."""
    rng = random.Random(5)
    found = []
    for place in range(count):
        words, joint = (WORDS, " ") if place % 3 else (HAN, "")
        found.append(joint.join(rng.choices(words, k=rng.randint(1, 60))))
    return found


def main() -> None:
    """Compare, then measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle")
    parser.add_argument("--device", default="cuda", choices=["cpu", "cuda"])
    parser.add_argument("--texts", type=int, default=20_000)
    parser.add_argument("--compared", type=int, default=1000)
    parser.add_argument("-o", "--out", type=Path)
    given = parser.parse_args()
    there = ottenok.load(given.bundle, precision="fp32", device=given.device)
    here = ottenok.load(given.bundle, precision="fp32", device="cpu")
    some = texts(given.compared)
    ours, theirs, alone = here.logits(some), there.logits(some), np.concatenate([there.logits([t]) for t in some[:200]])
    every = texts(given.texts)
    found: dict[str, object] = {
        "bundle": Path(given.bundle).name,
        "device": there.backend.name,
        "compared": len(some),
        "largest_difference_of_logits": float(np.abs(ours - theirs).max()),
        "labels_kept": float((ours.argmax(1) == theirs.argmax(1)).mean()),
        "largest_difference_alone_and_in_company": float(np.abs(alone - theirs[:200]).max()),
        "texts": len(every),
    }
    there(every[:2000])
    for name, classifier, count in (("device", there, len(every)), ("processor", here, min(len(every), 2000))):
        begun = time.perf_counter()
        for _ in classifier.stream(every[:count], texts_at_once=32_768):
            pass
        found[f"texts_per_second_{name}"] = round(count / (time.perf_counter() - begun), 1)
    prepared = there.prepare(every)
    begun = time.perf_counter()
    there.run(prepared)
    found["texts_per_second_device_run_only"] = round(len(every) / (time.perf_counter() - begun), 1)
    print(json.dumps(found, indent=1))
    if given.out is not None:
        given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if float(str(found["largest_difference_of_logits"])) > 1e-3:
        raise SystemExit("the device's logits differ from the processor's by more than 0.001")


if __name__ == "__main__":
    main()
