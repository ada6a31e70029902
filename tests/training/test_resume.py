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
from ottenok.core.errors import ConfigError
from ottenok.core.progress import Silent
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
    "optim": {"learning_rate": 1e-3, "head_learning_rate": 1e-2},
    "schedule": {"num_train_epochs": 2, "lr_scheduler_type": "cosine"},
    "batch": {"batch_size": 4, "gradient_accumulation_steps": 2, "pool": 5},
    "run": {"precision": "fp32", "save_steps": 7, "metric": "loss", "test": False},
}

# The process kills itself, without a chance to tidy up, at one of three moments.
_SCRIPT = """
import json, os, sys
from pathlib import Path
from ottenok.core.config import parse
from ottenok.data.corpus import open_corpus
from ottenok.training import checkpoints, run
from ottenok.training.loop import Loop
from ottenok.recipes.train import TrainRecipe

def die(*args, **kwargs):
    os.kill(os.getpid(), 9)

def play(recipe, corpus, out, resume, moment):
    if moment.startswith("step "):
        step = Loop._step
        Loop._step = lambda self, *rest: die() if self.state.step == int(moment.split()[1]) else step(self, *rest)
    elif moment == "half a checkpoint":
        whole = checkpoints.publish
        checkpoints.publish = lambda part, folder, step: die() if step == 49 else whole(part, folder, step)
    elif moment == "finish":
        run._finish = die
    run.train(parse(TrainRecipe, recipe), corpus=open_corpus(corpus), out=Path(out), resume=resume)

# What takes seconds is imported once: each run is a fork of this process.
for arguments in json.loads(sys.argv[1]):
    child = os.fork()
    if child == 0:
        play(*arguments)
        os._exit(0)
    print(os.waitpid(child, 0)[1] & 0x7F)
"""


def _recipe(encoder: Path) -> dict[str, Any]:
    return {**_RECIPE, "model": {**_RECIPE["model"], "encoder": str(encoder)}}


def _play(runs: list[list[Any]]) -> list[int]:
    """Make the runs one after the other, each in a process of its own; return the signals that ended them."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    arguments = [sys.executable, "-c", _SCRIPT, json.dumps(runs)]
    ended = subprocess.run(arguments, env=environment, check=True, capture_output=True, text=True)
    return [int(line) for line in ended.stdout.split()]


def _epochs(folder: Path) -> list[dict[str, float]]:
    rows = [json.loads(line) for line in (folder / "history.jsonl").read_text(encoding="utf-8").splitlines()]
    return [{key: value for key, value in row.items() if key not in {"minutes", "tokens_per_second"}} for row in rows]


def test_resume_ends_with_the_same_bytes(toy_corpus: Corpus, tiny: Path, tmp_path: Path) -> None:
    """Killed by SIGKILL in an epoch, in a checkpoint and at the end, a run ends with the undisturbed run's weights."""
    recipe, corpus = _recipe(tiny), str(toy_corpus.folder)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    # 28 optimiser steps an epoch, checkpoints at multiples of 7.
    ended = _play(
        [
            [recipe, corpus, str(whole), False, ""],
            [recipe, corpus, str(parts), False, "step 31"],
            [recipe, corpus, str(parts), True, "half a checkpoint"],
            [recipe, corpus, str(parts), True, "finish"],
            [recipe, corpus, str(parts), True, ""],
        ]
    )
    kill = int(signal.SIGKILL)
    assert ended == [0, kill, kill, kill, 0]
    assert (whole / "model.safetensors").read_bytes() == (parts / "model.safetensors").read_bytes()
    assert _epochs(whole) == _epochs(parts)
    assert not (parts / "checkpoints").exists()


def _stopped(recipe: dict[str, Any], corpus: Corpus, out: Path) -> list[Path]:
    """Stop a run in its second epoch and return its checkpoints, oldest first."""
    assert _play([[recipe, str(corpus.folder), str(out), False, "step 31"]]) == [int(signal.SIGKILL)]
    from ottenok.training.checkpoints import list_checkpoints

    return list_checkpoints(out / "checkpoints")


def test_a_damaged_checkpoint_is_told_and_an_older_one_is_taken(
    toy_corpus: Corpus, tiny: Path, tmp_path: Path, one_thread: None
) -> None:
    """A flipped bit, a file cut short, one that is gone, a state that is no JSON: each is told, and the run goes on."""
    from ottenok.training.checkpoints import last_intact

    recipe = _recipe(tiny)
    older, newest = _stopped(recipe, toy_corpus, tmp_path / "out")
    files = {file.name: file.read_bytes() for file in newest.iterdir()}
    weights = files["model.safetensors"]
    flipped = weights[:-9] + bytes([weights[-9] ^ 1]) + weights[-8:]
    for name, damage in (
        ("model.safetensors", flipped),
        ("optimizer.safetensors", files["optimizer.safetensors"][:100]),
        ("random-0.json", None),
        ("state.json", b"{"),
        ("checksums.json", b"[]"),
    ):
        if damage is None:
            (newest / name).unlink()
        else:
            (newest / name).write_bytes(damage)
        # The newest is also the best epoch's, so the older one, whose best is none, is what is left.
        assert last_intact(tmp_path / "out" / "checkpoints")[0] == older
        (newest / name).write_bytes(files[name])
    assert last_intact(tmp_path / "out" / "checkpoints") == (newest, [])

    (newest / "model.safetensors").write_bytes(flipped)
    notes: list[str] = []

    class Notes(Silent):
        def note(self, message: str) -> None:
            notes.append(message)

    from ottenok.training.run import train

    train(parse(TrainRecipe, recipe), corpus=toy_corpus, out=tmp_path / "out", resume=True, progress=Notes())
    assert any("checkpoint-28 can't be used: model.safetensors is not what was written" in note for note in notes)
    train(parse(TrainRecipe, recipe), corpus=toy_corpus, out=tmp_path / "whole")
    ended = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("out", "whole")]
    assert ended[0] == ended[1]


def test_two_trainings_in_one_folder_and_strangers_folders(toy_corpus: Corpus, tiny: Path, tmp_path: Path) -> None:
    """The second training is refused with the first one's process; a folder that is no run is left as it is."""
    from ottenok.training.folder import open_run

    recipe = parse(TrainRecipe, _recipe(tiny))
    code = (
        "import sys; from pathlib import Path; from ottenok.core.files import locked\n"
        "with locked(Path(sys.argv[1])):\n    print('held', flush=True); sys.stdin.read()"
    )
    out = tmp_path / "out"
    out.mkdir()
    arguments = [sys.executable, "-c", code, str(out / ".lock")]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with (
            pytest.raises(ConfigError, match=rf"another process \({other.pid}\)"),
            open_run(out, recipe, toy_corpus, resume=True),
        ):
            pass
        other.communicate(b"")
    with open_run(out, recipe, toy_corpus, resume=True) as folder:
        assert not folder.resumed

    strange = tmp_path / "mine"
    strange.mkdir()
    (strange / "README.md").write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"it holds README\.md"), open_run(strange, recipe, toy_corpus, resume=True):
        pass
    assert [path.name for path in strange.iterdir()] == ["README.md"]


def test_a_run_knows_the_versions_that_it_began_with(toy_corpus: Corpus, tiny: Path, tmp_path: Path) -> None:
    """Those of ottenok, torch and onnxruntime stand in its identity; others at its resumption are told, not refused."""
    from ottenok.training.folder import RUN_FILE, open_run

    recipe, file = parse(TrainRecipe, _recipe(tiny)), tmp_path / "out" / RUN_FILE
    with open_run(tmp_path / "out", recipe, toy_corpus, resume=False):
        pass
    identity = json.loads(file.read_text(encoding="utf-8"))
    assert {"ottenok", "onnxruntime", "torch"} <= identity["versions"].keys()
    identity["versions"]["torch"] = "1.0"
    file.write_text(json.dumps(identity), encoding="utf-8")
    with open_run(tmp_path / "out", recipe, toy_corpus, resume=True) as folder:
        assert folder.began_with == ("torch 1.0",)
