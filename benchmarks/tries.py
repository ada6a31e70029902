"""What layer-wise rates, learned embeddings and a bias for each source do, on a CPU, several seeds each.

    python benchmarks/tries.py CORPUS ENCODER STUDENT WORK            # learns what WORK does not hold yet
    python benchmarks/tries.py CORPUS ENCODER STUDENT WORK --result   # docs/systems/results/tries-small.json from WORK

STUDENT is the `student.safetensors` of the first round of `embedded.py`: a classifier of five layers goes on from it
and learns CORPUS (what `ottenok data build shades` makes) by labels alone for so many steps, the same rows in the same
order for all arms of a seed. (From the untaught encoder a hundred steps on a CPU teach nearly nothing, so that arms
differ by luck alone.) WORK keeps the logits of every arm and seed on one sample of validation and test rows, so a stop
loses one run.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from embedded import EMOTIONS, SENTIMENT, STARS, Net, Plan, Reader, Rows, learn, score
from safetensors.torch import load_file
from scipy.special import expit
from sklearn.metrics import f1_score

from ottenok.data.corpus import open_corpus
from ottenok.recipes.train import load_recipe
from ottenok.text.normalise import TextOptions

RESULT = Path(__file__).parents[1] / "docs" / "systems" / "results" / "tries-small.json"
BASE = {"peak": 2e-4, "head_peak": 5e-4, "decay": 1.0, "biases": False}
ARMS: dict[str, dict[str, float | bool]] = {
    "one rate for all layers, embeddings as they are, no bias": {},
    "A bias for each source while learning": {"biases": True},
    "Layer-wise rates: each layer .9 of the one above": {"decay": 0.9},
    "Layer-wise rates, .8, from a higher one (4e-4)": {"decay": 0.8, "peak": 4e-4},
    "Embeddings learned too": {"embeddings": True},
}
SHARE = {"train": 500, "validation": 150, "test": 100}


def sample(corpus_rows: Rows) -> np.ndarray:
    """Choose at most so many rows of each source and split."""
    rng, found = np.random.default_rng(1), []
    for name in np.unique(corpus_rows.source):
        for split, most in SHARE.items():
            own = np.flatnonzero((corpus_rows.source == name) & (corpus_rows.split == split))
            found.append(rng.permutation(own)[:most])
    return np.sort(np.concatenate(found))


def cells(logits: np.ndarray, rows: Rows) -> dict[str, float]:
    """Macro F1 of each source, task and split with 50 rows or more; of emotions with each label's best threshold."""
    found = {}
    for split in ("validation", "test"):
        for name in np.unique(rows.source):
            own = (rows.split == split) & (rows.source == name)
            for task, columns in enumerate((SENTIMENT, EMOTIONS, STARS)):
                asked = own & rows.known[task]
                if asked.sum() < 50:
                    continue
                truth, answers = rows.truth[task][asked], logits[asked][:, columns]
                if columns == EMOTIONS:
                    shares = expit(answers)
                    places = np.arange(0.05, 0.95, 0.05)
                    scores = [
                        max(f1_score(truth[:, k], shares[:, k] >= place, zero_division=0) for place in places)
                        for k in np.flatnonzero(truth.sum(0))
                    ]
                    found[f"{name} {split} {task}"] = float(np.mean(scores))
                else:
                    answers = np.where(rows.present[task][asked], answers, -np.inf)
                    labels = np.flatnonzero(truth.sum(0))
                    found[f"{name} {split} {task}"] = float(
                        f1_score(truth.argmax(1), answers.argmax(1), labels=labels, average="macro", zero_division=0)
                    )
    return found


def result(work: Path, rows: Rows, options: argparse.Namespace) -> None:
    """Compare each arm with the first, cell by cell, and write what came out."""
    scores = [
        [cells(np.load(work / f"{arm}-{seed}.npy"), rows) for seed in range(options.seeds)] for arm in range(len(ARMS))
    ]
    names = sorted(scores[0][0])
    means = np.array([[np.mean([one[name] for one in arm]) for name in names] for arm in scores])
    spread = np.array([[np.mean([one[name] for name in names]) for one in arm] for arm in scores])
    rng, found = np.random.default_rng(0), []
    for place, what in enumerate(ARMS):
        difference = means[place] - means[0]
        draws = difference[rng.integers(0, len(names), (4000, len(names)))].mean(1)
        low, high = np.quantile(draws, [0.025, 0.975])
        tasks = {
            task: round(float(np.mean([d for d, name in zip(difference, names, strict=True) if name[-1] == str(k)])), 4)
            for k, task in enumerate(("sentiment-3", "emotions-7", "stars-5"))
        }
        found.append({
            "what": what,
            "mean": round(float(means[place].mean()), 4),
            "seeds": [round(float(one), 4) for one in spread[place]],
            "difference": round(float(difference.mean()), 4),
            "low": round(float(low), 4),
            "high": round(float(high), 4),
            "tasks": tasks,
        })  # fmt: skip
    told = {
        "from": "the first student",
        "steps": options.steps,
        "tokens": options.tokens,
        "seeds": options.seeds,
        "cells": len(names),
        "rows": int((rows.split != "train").sum()),
        "tries": found,
    }
    RESULT.write_text(json.dumps(told, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, ensure_ascii=False, indent=1))


def main() -> None:
    """Learn every arm with every seed, or tell the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("encoder", type=Path)
    parser.add_argument("student", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--tokens", type=int, default=4000, help="Of a batch, padding included.")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--result", action="store_true")
    options = parser.parse_args()
    recipe, corpus = load_recipe("shades"), open_corpus(options.corpus)
    rows = Rows(corpus, (), sample(Rows(corpus)))
    if options.result:
        result(options.work, rows, options)
        return
    options.work.mkdir(parents=True, exist_ok=True)
    reader = Reader(options.encoder, TextOptions(**corpus.manifest["recipe"]["text"]), 1)
    asked = np.flatnonzero(rows.split != "train")
    tokens, given = reader([rows.texts[row] for row in asked]), load_file(options.student)
    for seed in range(options.seeds):
        for arm, (what, changes) in enumerate(ARMS.items()):
            kept = options.work / f"{arm}-{seed}.npy"
            if kept.is_file():
                continue
            torch.manual_seed(seed)
            net = Net(options.encoder, len(set(rows.source)))
            net.encoder.encoder.layer = net.encoder.encoder.layer[: len(recipe.model.layers)]
            net.encoder.config.num_hidden_layers = len(recipe.model.layers)
            # Not its biases: those of sources that it was not asked for are left at zero.
            begun = {name: one.float() for name, one in given.items() if not name.startswith("bias.")}
            missing = net.load_state_dict(begun, strict=False).missing_keys
            assert all("embeddings" in name or name.startswith("bias") for name in missing), missing
            plan = Plan(
                seed=seed, steps=options.steps, tokens=options.tokens, rates=recipe.balance.rates, scale=1.0,
                **{**BASE, **changes},
            )  # fmt: skip
            print(f"{what}, seed {seed}", file=sys.stderr, flush=True)
            learn(net, rows, reader, plan)
            logits = np.zeros((len(rows.texts), EMOTIONS.stop + 5), np.float32)
            logits[asked] = score(net, tokens)
            np.save(kept, logits)


if __name__ == "__main__":
    main()
