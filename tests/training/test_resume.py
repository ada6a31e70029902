"""A run that is killed at any moment and taken up again ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from ottenok.core.config import parse
from ottenok.recipes.train import TrainRecipe

if TYPE_CHECKING:
    from pathlib import Path

    from ottenok.data.corpus import Corpus

pytestmark = pytest.mark.train

# Everything random is in it: dropout in the encoder and in the head, a balance plan, batches by length, accumulation,
# noise in the texts.
_RECIPE: dict[str, Any] = {
    "name": "resume",
    "data": {"epoch_rows": 220},
    "text": {"max_length": 24},
    "noise": {"kinds": ["typos", "asr"], "rate": 0.3, "share": 0.5},
    "model": {"pooling": "attention", "dropout": 0.1, "head": {"kind": "mlp", "hidden": [16], "dropout": 0.2}},
    "balance": {"method": "temperature", "alpha": 0.5},
    "optim": {"lr": 1e-3, "head_lr": 1e-2},
    "schedule": {"epochs": 3, "name": "cosine"},
    "batch": {"size": 4, "accumulate": 2, "pool": 5},
    "run": {"precision": "fp32", "checkpoint_steps": 7, "metric": "loss"},
}

# The process kills itself, without a chance to tidy up, at one of three moments.
_SCRIPT = """
import json, os, sys
from pathlib import Path
from ottenok.core.config import parse
from ottenok.data.corpus import open_corpus
from ottenok.training import checkpoints, fit, loop, run
from ottenok.recipes.train import TrainRecipe

recipe, corpus, out, resume, moment = json.loads(sys.argv[1])

def die(*args, **kwargs):
    os.kill(os.getpid(), 9)

def dies_at(step, function):
    def replaced(self, *args, **kwargs):
        return die() if self.state.global_step == step else function(self, *args, **kwargs)
    return replaced

if moment.startswith("step "):
    trainer = loop.ClassifierTrainer
    trainer.training_step = dies_at(int(moment.split()[1]), trainer.training_step)
elif moment == "half a checkpoint":
    whole = checkpoints.publish
    checkpoints.publish = lambda part, folder, step: die() if step == 49 else whole(part, folder, step)
else:
    run.finish = die
run.train(parse(TrainRecipe, recipe), corpus=open_corpus(corpus), out=Path(out), resume=resume)
"""


def _recipe(encoder: Path) -> dict[str, Any]:
    return {**_RECIPE, "model": {**_RECIPE["model"], "encoder": str(encoder)}}


def _killed(recipe: dict[str, Any], corpus: Corpus, out: Path, moment: str, *, resume: bool) -> None:
    arguments = json.dumps([recipe, str(corpus.folder), str(out), resume, moment])
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run([sys.executable, "-c", _SCRIPT, arguments], env=environment, check=False)
    assert ended.returncode == -signal.SIGKILL


def _train(recipe: dict[str, Any], corpus: Corpus, out: Path, *, resume: bool) -> None:
    from ottenok.training.run import train

    train(parse(TrainRecipe, recipe), corpus=corpus, out=out, resume=resume)


def _epochs(folder: Path) -> list[dict[str, float]]:
    rows = [json.loads(line) for line in (folder / "history.jsonl").read_text(encoding="utf-8").splitlines()]
    return [{key: value for key, value in row.items() if key not in {"minutes", "tokens_per_second"}} for row in rows]


def test_resume_ends_with_the_same_bytes(toy_corpus: Corpus, tiny: Path, tmp_path: Path, one_thread: None) -> None:
    """Killed by SIGKILL in an epoch, in a checkpoint and at the end, a run ends with the undisturbed run's weights."""
    recipe = _recipe(tiny)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    _train(recipe, toy_corpus, whole, resume=False)

    # 28 optimiser steps an epoch, checkpoints at multiples of 7.
    _killed(recipe, toy_corpus, parts, "step 31", resume=False)
    assert sorted(path.name for path in (parts / "checkpoints").iterdir()) == ["checkpoint-21", "checkpoint-28"]
    _killed(recipe, toy_corpus, parts, "half a checkpoint", resume=True)
    assert (parts / "checkpoints" / ".checkpoint-49.part").is_dir()
    _killed(recipe, toy_corpus, parts, "finish", resume=True)
    assert not (parts / "model.safetensors").exists()
    _train(recipe, toy_corpus, parts, resume=True)

    assert (whole / "model.safetensors").read_bytes() == (parts / "model.safetensors").read_bytes()
    assert _epochs(whole) == _epochs(parts)
    assert not (parts / "checkpoints").exists()
