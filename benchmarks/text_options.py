"""What emoji and noise do: small models that differ in one text option, on clean texts and under noise.

    python benchmarks/text_options.py DATA --encoder ENCODER [--data-root FOLDER] [--seeds 1 2] [--rows 12000]
        [--epochs 2] [--work FOLDER] [-o benchmarks/results/text_options.json]

    python benchmarks/text_options.py --table benchmarks/results/text_options.json

DATA is a corpus folder or a corpus recipe, built with emoji kept. Every model sees the same rows in the same order.
Each is measured on test texts as they are, under every kind of noise, and on those test texts that have emoji or
emoticons; differences are from the model with emoji kept and no noise, paired over rows, seeds as runs. A run that was
stopped goes on in `--work`. Needs the extras `train` and `emoji`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ottenok.bundle.manifest import ONNX
from ottenok.core.config import merge, parse
from ottenok.core.files import atomic_write_text
from ottenok.core.progress import SILENT
from ottenok.core.schemes import load_scheme
from ottenok.export.onnx import export
from ottenok.inference.api import load
from ottenok.recipes.train import DataOptions, TrainRecipe
from ottenok.studies.robustness import UnderNoise, changes, under_noise
from ottenok.studies.rows import task_rows
from ottenok.tasks.baselines import LabelledTexts
from ottenok.tasks.decision import Decision
from ottenok.tasks.metrics import Kind
from ottenok.tasks.paired import PairedOptions, Rows, System
from ottenok.tasks.task import Task
from ottenok.text.normalise import TextOptions, normalise
from ottenok.training.inputs import Places, corpus_of
from ottenok.training.run import train

if TYPE_CHECKING:
    from ottenok.data.corpus import Corpus

NOISE = {"kinds": ["typos", "asr"], "rate": 0.15, "share": 0.5}
ARMS: dict[str, dict[str, Any]] = {
    "emoji kept": {},
    "emoji removed": {"text": {"emoji": "remove"}},
    "emoji named": {"text": {"emoji": "name"}},
    "emoji kept, noise": {"noise": NOISE},
}
CHANGES = changes(["typos:0.1", "typos:0.3", "asr:0.2", "yo:1", "case:0.5", "punctuation:1"], ["remove"])
PAIRED = PairedOptions(resamples=1000, permutations=2000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One trained model on the test texts."""

    probs: np.ndarray
    answers: np.ndarray
    noise: tuple[UnderNoise, ...]
    minutes: float


def recipe(arm: str, seed: int, given: argparse.Namespace) -> TrainRecipe:
    """Return an arm's recipe; arms differ in their own keys only."""
    base = {
        "name": f"{arm}, seed {seed}",
        "seed": seed,
        "data": {"epoch_rows": given.rows, "validation_rows": 1000},
        "text": {"max_length": given.max_length},
        "model": {"encoder": given.encoder, "pooling": "mean", "freeze_embeddings": given.freeze},
        "optim": {"lr": 7e-5, "head_lr": 1e-3},
        "schedule": {"epochs": given.epochs},
        "run": {"test": False},
    }
    return parse(TrainRecipe, merge(base, ARMS[arm]))


def measure(arm: str, seed: int, corpus: Corpus, test: LabelledTexts, given: argparse.Namespace) -> Measured:
    """Train one model and read the test texts with it."""
    begun = time.perf_counter()
    folder = given.work / f"{list(ARMS).index(arm)}-{seed}"
    fitted = train(recipe(arm, seed, given), corpus=corpus, out=folder, resume=True)
    minutes = (time.perf_counter() - begun) / 60.0
    if not fitted.bundle.has(ONNX):
        export(folder, progress=SILENT)
    classifier = load(folder, precision="fp32")
    task = classifier.tasks[0]
    probs = classifier.predict_proba(test.texts)
    noise = under_noise(
        task, test.texts, test.truth, probs, read=classifier.predict_proba, changes=CHANGES, options=PAIRED
    )
    print(f"{arm}, seed {seed}: macro F1 {noise[0].macro_f1:.3f}, {minutes:.1f} minutes", flush=True)
    return Measured(probs=probs, answers=task.chosen(probs), noise=noise, minutes=minutes)


def system(runs: list[Measured], rows: np.ndarray) -> System:
    """Return the runs of an arm on some rows as one system."""
    return System(answers=tuple(run.answers[rows] for run in runs), probs=tuple(run.probs[rows] for run in runs))


def facts(arm: str, found: dict[str, list[Measured]], test: LabelledTexts, kind: Kind, marked: np.ndarray) -> dict:
    """Return the figures of an arm: all rows, rows with emoji, every noise as the mean over seeds."""
    parts = {"all": np.arange(len(test.texts)), "with emoji": np.flatnonzero(marked)}
    result: dict[str, Any] = {"arm": arm, "minutes": [round(run.minutes, 2) for run in found[arm]]}
    for name, rows in parts.items():
        if not len(rows):
            continue
        paired = Rows(test.truth[rows], kind, ("macro_f1",), PAIRED)
        mine, usual = system(found[arm], rows), system(found["emoji kept"], rows)
        result[name] = {
            "rows": len(rows),
            "macro_f1": asdict(paired.estimates(mine)["macro_f1"]),
            "difference": None if arm == "emoji kept" else asdict(paired.differences(mine, usual)["macro_f1"]),
        }
    by_noise = zip(*(run.noise for run in found[arm]), strict=True)
    result["noise"] = {
        runs[0].name: {
            "macro_f1": float(np.mean([run.macro_f1 for run in runs])),
            "difference": float(np.mean([run.difference for run in runs])),
            "intervals": [[run.low, run.high] for run in runs],
        }
        for runs in by_noise
    }
    return result


def table(tree: dict[str, Any]) -> str:
    """Return the result as Markdown."""
    names = list(tree["arms"][0]["noise"])
    about = (
        f"{tree['encoder']}, {tree['data']}: {tree['rows']:,} texts an epoch, {tree['epochs']} epochs, seeds "
        f"{', '.join(map(str, tree['seeds']))}; {tree['test_rows']:,} test texts, {tree['with_emoji']:,} of them with "
        f"emoji or emoticons; {tree['machine']}."
    )
    columns = ["trained with", "macro F1", "from emoji kept", "with emoji: macro F1", "from emoji kept", *names[1:]]
    lines = [about, "", f"| {' | '.join(columns)} |", f"|---|{'---:|' * (len(columns) - 1)}"]
    for arm in tree["arms"]:
        cells = [cell for part in ("all", "with emoji") for cell in pair(arm.get(part))]
        cells += [f"{arm['noise'][name]['macro_f1']:.3f}" for name in names[1:]]
        lines.append(f"| {arm['arm']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def pair(part: dict[str, Any] | None) -> tuple[str, str]:
    """Return a figure and its difference with interval."""
    if part is None:
        return "-", "-"
    lost = part["difference"]
    interval = "-" if lost is None else f"{lost['value']:+.3f} [{lost['low']:+.3f}, {lost['high']:+.3f}]"
    return f"{part['macro_f1']['value']:.3f}", interval


def sample(rows: LabelledTexts, most: int) -> LabelledTexts:
    """Return at most so many rows, always the same."""
    if len(rows.texts) <= most:
        return rows
    kept = np.sort(np.random.default_rng(0).choice(len(rows.texts), most, replace=False))
    return LabelledTexts(texts=[rows.texts[i] for i in kept], truth=rows.truth[kept])


def run(given: argparse.Namespace) -> dict[str, Any]:
    """Train and measure every arm with every seed."""
    places = Places(root=given.data_root)
    options = DataOptions(corpus=given.data) if Path(given.data).is_dir() else DataOptions(recipe=given.data)
    corpus = corpus_of(options, places, SILENT)
    scheme = load_scheme(corpus.scheme)
    task = Task.of(scheme, Decision(activation="softmax"))
    rows = task_rows(corpus.folder, [task], places=places)[task.name]
    test = sample(rows.test, given.test_rows)
    bare = TextOptions(entities="keep", width="keep", marks="keep", urls="keep", users="keep", emoji="remove")
    marked = np.array([normalise(text, bare) != text for text in test.texts], dtype=np.bool_)
    print(f"{len(test.texts)} test texts, {marked.sum()} with emoji", flush=True)
    found = {arm: [measure(arm, seed, corpus, test, given) for seed in given.seeds] for arm in ARMS}
    return {
        "encoder": Path(given.encoder).name,
        "data": rows.name,
        "seeds": given.seeds,
        "rows": given.rows,
        "epochs": given.epochs,
        "test_rows": len(test.texts),
        "with_emoji": int(marked.sum()),
        "noise_in_training": NOISE,
        "machine": f"{platform.machine()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} at the end",
        "arms": [facts(arm, found, test, Kind.of(scheme), marked) for arm in ARMS],
    }


def main() -> None:
    """Measure, or make the table of a result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?")
    parser.add_argument("--encoder")
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--rows", type=int, default=12000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--test-rows", type=int, default=3000)
    parser.add_argument("--max-length", type=int, default=96)
    parser.add_argument("--freeze", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--table", type=Path)
    parser.add_argument("-o", "--out", type=Path)
    given = parser.parse_args()
    if given.table:
        print(table(json.loads(given.table.read_text(encoding="utf-8"))))
        return
    if not (given.data and given.encoder):
        parser.error("DATA and --encoder are needed")
    with tempfile.TemporaryDirectory() as folder:
        given.work = given.work or Path(folder)
        tree = run(given)
    print(table(tree))
    if given.out:
        atomic_write_text(given.out, json.dumps(tree, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
