"""Keys of recipes as earlier versions called them: still read, and translated to today's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ottenok.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["NEW_KEYS", "new_key", "translated"]

# Dotted old key to the new key's last part. `optim.betas` became two keys and is told apart below.
NEW_KEYS = {
    "text.keep": "truncation_side",
    "optim.lr": "learning_rate",
    "optim.head_lr": "head_learning_rate",
    "optim.epsilon": "adam_epsilon",
    "optim.clip": "max_grad_norm",
    "schedule.name": "lr_scheduler_type",
    "schedule.warmup": "warmup_ratio",
    "schedule.epochs": "num_train_epochs",
    "batch.size": "batch_size",
    "batch.per_device_train_batch_size": "batch_size",
    "batch.accumulate": "gradient_accumulation_steps",
    "batch.evaluation": "eval_batch_size",
    "batch.per_device_eval_batch_size": "eval_batch_size",
    "run.keep": "save_total_limit",
    "run.checkpoint_steps": "save_steps",
    "run.checkpoint_minutes": "save_minutes",
}
_BETAS = ("adam_beta1", "adam_beta2")
# Which end was kept, and which side is cut.
_SIDES = {"start": "right", "end": "left"}


def new_key(key: str) -> str:
    """Return today's name of a dotted key."""
    return f"{key.partition('.')[0]}.{NEW_KEYS[key]}" if key in NEW_KEYS else key


def translated(tree: Mapping[str, Any], *, file: str | None = None) -> tuple[dict[str, Any], list[str]]:
    """Return a recipe's tree with today's keys, and a note of each that was translated.

    Raises:
        ConfigError: A table has a key under its old name and under its new one.
    """
    result, notes = dict(tree), []
    for section in dict.fromkeys(key.partition(".")[0] for key in NEW_KEYS):
        table = tree.get(section)
        if not isinstance(table, dict):
            continue
        renamed: dict[str, Any] = {}
        for key, value in table.items():
            name = str(key)
            old = f"{section}.{name}"
            if old == "optim.betas" and isinstance(value, (list, tuple)) and len(value) == len(_BETAS):
                found = dict(zip(_BETAS, value, strict=True))
            else:
                found = {NEW_KEYS.get(old, name): value}
                if old == "text.keep":
                    found = {"truncation_side": _SIDES.get(str(value), value)}
            if name not in found:
                notes.append(f"{old} is called {' and '.join(f'{section}.{key}' for key in found)} now")
            if twice := [key for key in found if key in renamed or (key in table and key != name)]:
                raise ConfigError(
                    f"{old} is the old name of {section}.{twice[0]}: only one of them", file=file, key=old
                )
            renamed |= found
        result[section] = renamed
    return result, notes
