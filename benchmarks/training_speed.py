"""Examples per second of training: ottenok beside a plain transformers Trainer that pads everything to max_length.

    python benchmarks/training_speed.py ENCODER CORPUS [--max-length 128] [-o benchmarks/results/training_speed.json]
    python benchmarks/training_speed.py --table benchmarks/results/training_speed.json

ENCODER is a folder or hub name, CORPUS a corpus folder or the name of a corpus recipe. Every system trains the same
network (the architecture's own sequence classifier, nothing frozen) for one epoch over the same rows of the corpus's
train split, in batches of the same size with the same optimiser, in turn, several rounds; what counts is the time of
the steps, without loading and checkpoints. The plain Trainer has its library's defaults: default attention, the
encoder's own dropout, fp32. Needs the extra `train`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from ottenok.core.config import parse
from ottenok.core.files import atomic_write_text
from ottenok.core.progress import SILENT
from ottenok.data.corpus import CORPUS_FILE, Corpus, open_corpus
from ottenok.recipes.train import DataOptions, RunOptions, TrainRecipe
from ottenok.tasks.decision import codes, indicator
from ottenok.training.dataset import TokenMemory
from ottenok.training.hardware import precision
from ottenok.training.inputs import Places, corpus_of
from ottenok.training.run import Shared, trial

if TYPE_CHECKING:
    from collections.abc import Callable

    from transformers import PreTrainedTokenizerBase

PLAIN = "transformers Trainer, padded to max_length"
OURS = "ottenok"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is trained."""

    encoder: str
    corpus: Corpus
    max_length: int
    batch: int
    lr: float


def sample(corpus: Corpus, rows: int, folder: Path) -> Corpus:
    """Write a corpus of so many of the train rows, drawn with a seed."""
    table = corpus.table("train")
    chosen = np.sort(np.random.default_rng(0).permutation(table.num_rows)[:rows])
    folder.mkdir()
    pq.write_table(table.take(pa.array(chosen)), folder / CORPUS_FILE)
    (folder / "manifest.json").write_text(json.dumps(corpus.manifest, ensure_ascii=False), encoding="utf-8")
    return open_corpus(folder)


def ours(job: Job, folder: Path, number: str) -> float:
    """Return the examples per second of ottenok's training."""
    recipe = parse(
        TrainRecipe,
        {
            "name": "speed",
            "text": {"max_length": job.max_length},
            "model": {"encoder": job.encoder, "pooling": "cls"},
            "optim": {"learning_rate": job.lr},
            "schedule": {"num_train_epochs": 1},
            "batch": {"batch_size": job.batch},
            "run": {"precision": number, "save_minutes": None},
        },
    )
    shared = Shared(corpus=job.corpus, memory=TokenMemory(), tracking=None, progress=SILENT)
    epoch = trial(recipe, out=folder, watch=lambda _: True, shared=shared).epochs[0]
    return epoch["texts"] / (60.0 * epoch["minutes"])


def plain(job: Job, folder: Path, *, by_batch: bool) -> float:
    """Return the examples per second of a plain Trainer."""
    set_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(job.encoder)
    scheme = job.corpus.label_scheme
    kind = "multi_label_classification" if scheme.kind == "multi-label" else "single_label_classification"
    # In fp32 whatever the file holds: transformers 5 would train an fp16 file in fp16, at a hundredth of the speed.
    model = AutoModelForSequenceClassification.from_pretrained(
        job.encoder, num_labels=len(scheme.labels), problem_type=kind, dtype=torch.float32
    )
    clock = Stopwatch()
    settings = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=job.batch,
        num_train_epochs=1,
        learning_rate=job.lr,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        logging_strategy="no",
    )
    rows = encoded(job, tokenizer, padding=False if by_batch else "max_length")
    collator = DataCollatorWithPadding(tokenizer) if by_batch else None
    trainer = Trainer(model, settings, train_dataset=rows, data_collator=collator, callbacks=[clock])
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return len(rows) / clock.seconds


def encoded(job: Job, tokenizer: PreTrainedTokenizerBase, *, padding: bool | str) -> list[dict[str, Any]]:
    """Return the rows as a plain Trainer reads them."""
    table = job.corpus.table("train", columns=("text", "labels"))
    scheme = job.corpus.label_scheme
    truth = indicator(table.column("labels").to_pylist(), scheme)
    answers: list[Any] = truth.astype(np.float32).tolist() if scheme.kind == "multi-label" else codes(truth).tolist()
    tokens = tokenizer(table.column("text").to_pylist(), truncation=True, max_length=job.max_length, padding=padding)
    return [
        {name: values[row] for name, values in tokens.items()} | {"labels": answer}
        for row, answer in enumerate(answers)
    ]


class Stopwatch(TrainerCallback):
    """Keeps the seconds from the first batch to the last step."""

    begun = seconds = 0.0

    def on_epoch_begin(self, *_: object, **__: object) -> None:
        """Start."""
        self.begun = time.perf_counter()

    def on_step_end(self, *_: object, **__: object) -> None:
        """Stop, so far."""
        self.seconds = time.perf_counter() - self.begun


# What is timed, by name.
SYSTEMS: dict[str, Callable[[Job, Path], float]] = {
    PLAIN: partial(plain, by_batch=False),
    "transformers Trainer, padded by batch": partial(plain, by_batch=True),
    "ottenok, fp32": partial(ours, number="fp32"),
    OURS: partial(ours, number="auto"),
}


def measure(job: Job, rounds: int, folder: Path) -> dict[str, list[float]]:
    """Time every system in turn, several rounds."""
    speeds: dict[str, list[float]] = {name: [] for name in SYSTEMS}
    for turn in range(rounds):
        for number, (name, run) in enumerate(SYSTEMS.items()):
            # A process of its own: ottenok's training changes how its process keeps memory.
            with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as process:
                speed = process.submit(run, job, folder / f"{turn}-{number}").result()
            speeds[name].append(round(speed, 2))
            print(f"round {turn + 1}: {name}: {speed:.1f} examples/s", flush=True)
    return speeds


def facts(job: Job, speeds: dict[str, list[float]], load: float) -> dict[str, Any]:
    """Return the result."""
    lengths = [len(row["input_ids"]) for row in encoded(job, AutoTokenizer.from_pretrained(job.encoder), padding=False)]
    medians = {name: round(statistics.median(values), 1) for name, values in speeds.items()}
    return {
        "encoder": Path(job.encoder).name,
        "corpus": str(job.corpus.manifest.get("name", "")),
        "examples": len(lengths),
        "mean_tokens": round(statistics.mean(lengths), 1),
        "max_length": job.max_length,
        "batch": job.batch,
        "machine": torch.cuda.get_device_name() if torch.cuda.is_available() else _processor(),
        "threads": torch.get_num_threads(),
        "ottenok_precision": precision(RunOptions()),
        "versions": {name: metadata.version(name) for name in ("torch", "transformers")},
        "load_before": load,
        "examples_per_second": medians,
        "times_the_plain_trainer": {name: round(value / medians[PLAIN], 2) for name, value in medians.items()},
        "rounds": speeds,
    }


def _processor() -> str:
    known = Path("/proc/cpuinfo")
    lines = known.read_text(encoding="utf-8").splitlines() if known.is_file() else []
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
    return f"{name}, {os.cpu_count()} cores"


def table(found: dict[str, Any]) -> str:
    """Return a result as a Markdown table with its heading line."""
    head = (
        f"{found['encoder']}, {found['examples']} texts of {found['mean_tokens']} tokens on average, max_length "
        f"{found['max_length']}, batches of {found['batch']}; median of {len(found['rounds'][PLAIN])} rounds in turn, "
        f"{found['machine']}, {found['threads']} threads, load {found['load_before']:.1f}."
    )
    rows = [
        f"| {name}{_in_precision(name, found)} | {speed:.1f} | {found['times_the_plain_trainer'][name]:.2f} |"
        for name, speed in found["examples_per_second"].items()
    ]
    return "\n".join([head, "", "| system | examples/s | times the plain Trainer |", "|---|---|---|", *rows])


def _in_precision(name: str, found: dict[str, Any]) -> str:
    return f" ({found['ottenok_precision']} here)" if name == OURS else ""


def main() -> None:
    """Measure and write, or show a result as a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encoder", nargs="?")
    parser.add_argument("corpus", nargs="?")
    parser.add_argument("--table", type=Path, metavar="RESULT", help="show a result as a table, measure nothing")
    parser.add_argument("--examples", type=int, default=512)
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=5e-5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--cache", type=Path, default=Places().cache)
    parser.add_argument("-o", "--out", type=Path)
    given = parser.parse_args()
    if given.table:
        print(table(json.loads(given.table.read_text(encoding="utf-8"))))
        return
    if given.corpus is None:
        parser.error("expected ENCODER and CORPUS")
    load = os.getloadavg()[0]
    options = DataOptions(corpus=given.corpus) if Path(given.corpus).is_dir() else DataOptions(recipe=given.corpus)
    corpus = corpus_of(options, Places(cache=given.cache, root=given.data_root))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        job = Job(
            encoder=given.encoder,
            corpus=sample(corpus, given.examples, folder / "corpus"),
            max_length=given.max_length,
            batch=given.batch,
            lr=given.lr,
        )
        found = facts(job, measure(job, given.rounds, folder), load)
    print(table(found))
    if given.out:
        atomic_write_text(given.out, json.dumps(found, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
