"""Progress of a search on the terminal: a bar over trials with the time left, and under it the training of the day."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TaskID, TextColumn
from rich.text import Text

if TYPE_CHECKING:
    from rich.progress import Task

__all__ = ["TrialBars", "time_left"]


def time_left(done: float, total: float, seconds: float) -> str:
    """Return how long the rest will take if it goes on as before; nothing before anything is done."""
    if not done or total <= done:
        return ""
    minutes = seconds / done * (total - done) / 60.0
    if minutes < 1:
        return "under a minute left"
    return f"{minutes:.0f} minutes left" if minutes < 120 else f"{minutes / 60.0:.1f} hours left"


class _LeftColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        # rich's own estimate looks at the last 30 seconds, in which no trial may have ended.
        return Text(time_left(task.completed, task.total or 0, task.elapsed or 0.0), style="cyan")


class _View:
    """One of the bars as an observer (see `ottenok.core.progress`)."""

    def __init__(self, bars: TrialBars, *, outer: bool) -> None:
        self._bars = bars
        self._outer = outer
        self._task: TaskID | None = None
        self._begun = 0.0
        self._done = 0
        self._total = 0

    def start(self, stage: str, *, total: int | None, unit: str) -> None:
        """Begin a stage."""
        self.finish()
        self._begun, self._done, self._total = time.monotonic(), 0, total or 0
        self._task = self._bars.open(stage, total, unit)

    def advance(self, count: int = 1) -> None:
        """Report units done."""
        self._done += count
        if self._task is not None:
            self._bars.move(self._task, count)
        elif self._outer and self._total:
            left = time_left(self._done, self._total, time.monotonic() - self._begun)
            self._bars.tell(f"{self._done} of {self._total} trials{', ' if left else ''}{left}")

    def finish(self) -> None:
        """End the stage."""
        if self._task is not None:
            self._bars.close(self._task)
            self._task = None

    def note(self, message: str) -> None:
        """Write a line that stays; those of single trainings would bury the trials' own."""
        if self._outer:
            self._bars.tell(message)


class TrialBars:
    """Draws on standard error.

    Attributes:
        outer: Observer of the trials.
        inner: Observer of the training within a trial.
    """

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bars: Progress | None = None
        self.outer = _View(self, outer=True)
        self.inner = _View(self, outer=False)
        # An error or Ctrl-C must give the terminal its cursor back.
        if context := click.get_current_context(silent=True):
            context.call_on_close(self._stop)

    def open(self, stage: str, total: int | None, unit: str) -> TaskID | None:
        """Draw a new bar; None where there is no terminal."""
        if not self._console.is_terminal:
            return None
        if self._bars is None:
            self._bars = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=None),
                TextColumn("{task.completed:.0f} / {task.total:.0f} {task.fields[unit]}", markup=False),
                _LeftColumn(),
                console=self._console,
                transient=True,
                expand=True,
            )
            self._bars.start()
        return self._bars.add_task(stage, total=total or 0, unit=unit)

    def move(self, task: TaskID, count: int) -> None:
        """Move a bar."""
        if self._bars is not None:
            self._bars.advance(task, count)

    def close(self, task: TaskID) -> None:
        """Take a bar away; with the last one goes the drawing."""
        if self._bars is not None:
            self._bars.remove_task(task)
            if not self._bars.tasks:
                self._stop()

    def tell(self, message: str) -> None:
        """Write a line that stays."""
        console = self._console if self._bars is None else self._bars.console
        console.print(message, highlight=False, markup=False, soft_wrap=True)

    def _stop(self) -> None:
        if self._bars is not None:
            self._bars.stop()
            self._bars = None
