"""The table of epochs: told line by line as the run goes, and kept as `history.jsonl`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ottenok.core.files import atomic_write_text
from ottenok.tasks.metrics import best, metric

if TYPE_CHECKING:
    from pathlib import Path

    from ottenok.core.progress import Progress

__all__ = ["HISTORY_FILE", "History", "epoch_rows", "read_history"]

HISTORY_FILE = "history.jsonl"

# What the table shows, if the run has it: key, title, format.
_COLUMNS = (
    ("epoch", "epoch", "{:.4g}"),
    ("train_loss", "train loss", "{:.4f}"),
    ("loss", "val loss", "{:.4f}"),
    ("accuracy", "accuracy", "{:.4f}"),
    ("macro_f1", "macro F1", "{:.4f}"),
    ("weighted_f1", "weighted F1", "{:.4f}"),
    ("source_f1", "source F1", "{:.4f}"),
    ("mae", "MAE", "{:.4f}"),
    ("tokens_per_second", "tokens/s", "{:.0f}"),
    ("minutes", "minutes", "{:.1f}"),
)
_LOSSES = 3
_WIDTH = 11


def epoch_rows(log_history: list[dict[str, Any]]) -> list[dict[str, float]]:
    """Pick the epochs out of transformers' log, each with the names of `history.jsonl`."""
    rows = []
    for entry in log_history:
        if "epoch_loss" not in entry:
            continue
        seconds = entry["epoch_seconds"]
        row = {"epoch": entry["epoch"], "step": entry["step"], "train_loss": entry["epoch_loss"]}
        row |= {key.removeprefix("eval_"): value for key, value in entry.items() if key.startswith("eval_")}
        row |= {
            "texts": entry["epoch_texts"],
            "tokens": entry["epoch_tokens"],
            "tokens_per_second": entry["epoch_tokens"] / seconds if seconds else 0.0,
            "minutes": seconds / 60.0,
        }
        rows.append(row)
    return rows


def read_history(folder: Path) -> list[dict[str, float]]:
    """Return the rows of a folder's `history.jsonl`."""
    lines = (folder / HISTORY_FILE).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


class History:
    """Tells and keeps the epochs.

    Args:
        file: Where to keep them; None: nowhere (processes other than the first).
        progress: Whom to tell.
        metric: The measure that the best epoch is chosen by; None: there is no validation.
    """

    def __init__(self, file: Path | None, progress: Progress, *, metric: str | None) -> None:
        self.file = file
        self.progress = progress
        self.metric = metric
        self.rows: list[dict[str, float]] = []

    def update(self, log_history: list[dict[str, Any]]) -> None:
        """Take in the log: tell the epochs that are new, and write the file."""
        rows = epoch_rows(log_history)
        columns = self._columns()
        if not self.rows and rows:
            self.progress.note(self._line([title for key, title, _ in columns if key in rows[0]]))
        for row in rows[len(self.rows) :]:
            self.progress.note(self._line([form.format(row[key]) for key, _, form in columns if key in row]))
        self.rows = rows
        if self.file is not None:
            atomic_write_text(self.file, "".join(json.dumps(row) + "\n" for row in rows))

    def _columns(self) -> list[tuple[str, str, str]]:
        """Return the table's columns: the usual ones, and after the losses what the best epoch is chosen by."""
        if self.metric is None or any(key == self.metric for key, _, _ in _COLUMNS):
            return list(_COLUMNS)
        chosen = (self.metric, metric(self.metric).title, "{:.4f}")
        return [*_COLUMNS[:_LOSSES], chosen, *_COLUMNS[_LOSSES:]]

    @staticmethod
    def _line(cells: list[str]) -> str:
        return " ".join(f"{cell:>{_WIDTH}}" for cell in cells)

    def best(self) -> int | None:
        """Return the position of the best epoch, the earliest of equals; None without validation."""
        if self.metric is None or not self.rows:
            return None
        return best(self.metric, [row[self.metric] for row in self.rows])

    def exhausted(self, patience: int | None) -> bool:
        """Tell whether `patience` epochs have passed since the best one."""
        best = self.best()
        return patience is not None and best is not None and len(self.rows) - 1 - best >= patience
