"""Checkpoints: whole or absent, with checksums, safetensors and JSON, no pickle.

`checkpoint-<step>/` holds the weights (`model.safetensors`), the optimiser's tensors (`optimizer.safetensors`), its
settings and the run's counters (`state.json`), the random generators of each process (`random-<n>.json`), and the
checksums of them all (`checksums.json`). It is written under another name and renamed when it is complete.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file, save_model

from ottenok.core.errors import DataError
from ottenok.core.files import atomic_write_text, sha256_file

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "WEIGHTS",
    "checkpoint_path",
    "last_intact",
    "list_checkpoints",
    "load_optimizer",
    "load_random",
    "publish",
    "read_counters",
    "rotate",
    "save_random",
    "save_state",
    "start",
]

WEIGHTS = "model.safetensors"
_OPTIMIZER = "optimizer.safetensors"
_STATE = "state.json"
_CHECKSUMS = "checksums.json"
_PREFIX = "checkpoint-"


def checkpoint_path(folder: Path, step: int) -> Path:
    """Return where the checkpoint of a step is."""
    return folder / f"{_PREFIX}{step}"


def list_checkpoints(folder: Path) -> list[Path]:
    """Return the complete checkpoints of a folder, oldest step first; an absent folder has none."""
    found = [path for path in folder.glob(f"{_PREFIX}*") if path.name.removeprefix(_PREFIX).isdigit()]
    return sorted(found, key=lambda path: int(path.name.removeprefix(_PREFIX)))


def start(folder: Path, step: int) -> Path:
    """Return the folder that a checkpoint is written in before it is published; what a killed run left is removed."""
    part = checkpoint_path(folder, step).with_name(f".{_PREFIX}{step}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    return part


def publish(part: Path, folder: Path, step: int) -> Path:
    """Write the checksums of a complete checkpoint, flush it to the disk and give it its name."""
    sums = {file.name: sha256_file(file) for file in sorted(part.iterdir())}
    atomic_write_text(part / _CHECKSUMS, json.dumps(sums, indent=2) + "\n")
    for file in part.iterdir():
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
    target = checkpoint_path(folder, step)
    if target.exists():
        # The same step again, now with its evaluation; the older form goes only after the newer has its name.
        old = target.with_name(f".{target.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        target.rename(old)
        part.rename(target)
        shutil.rmtree(old)
    else:
        part.rename(target)
    return target


def rotate(folder: Path, *, keep: int, best: int | None) -> None:
    """Delete all but the newest `keep` checkpoints and that of step `best`, and what killed runs left half-written."""
    for path in list_checkpoints(folder)[:-keep]:
        if best is None or path != checkpoint_path(folder, best):
            shutil.rmtree(path)
    for path in folder.glob(f".{_PREFIX}*"):
        shutil.rmtree(path, ignore_errors=True)


def last_intact(folder: Path) -> tuple[Path | None, list[str]]:
    """Return the newest checkpoint from which a run can go on, and a sentence for each newer one that is damaged.

    Every byte is compared with the checksums. A checkpoint is of no use either without that of the best epoch so far,
    whose weights the run may end with.
    """
    told: list[str] = []
    for path in reversed(list_checkpoints(folder)):
        damage = _damage(path)
        if damage is None:
            best = read_counters(path).get("best_step")
            there = (
                None if best is None or best == int(path.name.removeprefix(_PREFIX)) else checkpoint_path(folder, best)
            )
            if there is None or (there.is_dir() and _damage(there) is None):
                return path, told
            damage = f"the best epoch's, {there.name}, is damaged or gone"
        told.append(f"{path.name} can't be used: {damage}")
    return None, told


def _damage(checkpoint: Path) -> str | None:
    """Return what is wrong with a checkpoint; None if nothing is."""
    try:
        sums = json.loads((checkpoint / _CHECKSUMS).read_text(encoding="utf-8"))
        for name, wanted in sums.items():
            if sha256_file(checkpoint / name) != wanted:
                return f"{name} is not what was written"
        missing = {WEIGHTS, _OPTIMIZER, _STATE} - sums.keys()
        if missing:
            return f"{min(missing)} is not in its checksums"
        read_counters(checkpoint)
    except (OSError, ValueError, AttributeError, DataError) as error:
        return str(error).splitlines()[0][:200] or type(error).__name__
    return None


def save_state(part: Path, model: Any, optimizer: torch.optim.Optimizer, counters: dict[str, Any]) -> None:  # noqa: ANN401
    """Write weights, optimiser and counters; `counters` is anything that JSON holds."""
    save_model(model, str(part / WEIGHTS))
    tree = optimizer.state_dict()
    tensors, plain = {}, {}
    for number, values in tree["state"].items():
        for name, value in values.items():
            if isinstance(value, torch.Tensor):
                tensors[f"{number}.{name}"] = value.contiguous()
            else:
                plain[f"{number}.{name}"] = value
    save_file(tensors, part / _OPTIMIZER)
    state = {"groups": tree["param_groups"], "plain": plain, "counters": counters}
    atomic_write_text(part / _STATE, json.dumps(state))


def _read_state(checkpoint: Path) -> dict[str, Any]:
    try:
        state: dict[str, Any] = json.loads((checkpoint / _STATE).read_text(encoding="utf-8"))
        _ = state["groups"], state["plain"], state["counters"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"this checkpoint can't be read: {error}",
            hint="Delete its folder to resume from the one before it.",
            file=str(checkpoint),
        ) from error
    return state


def read_counters(checkpoint: Path) -> dict[str, Any]:
    """Return the counters of a checkpoint.

    Raises:
        DataError: The checkpoint is damaged.
    """
    counters: dict[str, Any] = _read_state(checkpoint)["counters"]
    return counters


def load_optimizer(checkpoint: Path, optimizer: torch.optim.Optimizer) -> None:
    """Put a checkpoint's state into an optimiser of the same parameters."""
    saved = _read_state(checkpoint)
    state: dict[int, dict[str, Any]] = {}
    for key, value in (load_file(checkpoint / _OPTIMIZER) | saved["plain"]).items():
        number, _, name = key.partition(".")
        state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": saved["groups"]})


def save_random(part: Path, rank: int) -> None:
    """Write the state of every random generator of this process."""
    version, python, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state()  # noqa: NPY002 - libraries use the global one
    state = {
        "python": [version, list(python), gauss],
        "numpy": [kind, np.asarray(keys).tolist(), position, has_gauss, cached],
        "torch": torch.get_rng_state().tolist(),
        "cuda": [each.tolist() for each in torch.cuda.get_rng_state_all()] if torch.cuda.is_available() else [],
    }
    atomic_write_text(part / f"random-{rank}.json", json.dumps(state))


def load_random(checkpoint: Path, rank: int) -> None:
    """Restore what `save_random` wrote; another number of processes has no file to restore and starts from the seed."""
    file = checkpoint / f"random-{rank}.json"
    if not file.is_file():
        return
    state = json.loads(file.read_text(encoding="utf-8"))
    version, python, gauss = state["python"]
    random.setstate((version, tuple(python), gauss))
    kind, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((kind, np.asarray(keys, dtype=np.uint32), position, has_gauss, cached))  # noqa: NPY002
    torch.set_rng_state(torch.tensor(state["torch"], dtype=torch.uint8))
    for device, values in enumerate(state["cuda"][: torch.cuda.device_count()]):
        torch.cuda.set_rng_state(torch.tensor(values, dtype=torch.uint8), device)
