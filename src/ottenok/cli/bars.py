"""Progress on the terminal: a bar where there is one, and a line now and then where output goes to a file.

`Bars` shows one piece of work; `TrialBars` a search, as a bar over trials and under it the training of the day.
"""

from __future__ import annotations

import time

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from ottenok.cli.screen import harmless, is_quiet

__all__ = ["Bars", "TrialBars", "amount", "time_left"]

# Seconds between two lines where there is no terminal, and between two moves of a bar.
_PAUSE = 30.0
_MOVE = 0.1


def amount(count: float, unit: str) -> str:
    """Return a count for people: `12,345` of anything, but `1.2 MB` of bytes."""
    if unit != "bytes":
        return f"{count:,.0f}"
    for name in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} B" if name == "B" else f"{count:.1f} {name}"
        count /= 1000
    return f"{count:.2f} GB"


def _rate(speed: float, unit: str) -> str:
    """Return a speed; below ten a second with a digit after the point, or it would stand still."""
    if unit == "bytes":
        return f"{amount(speed, unit)}/s"
    return f"{speed:.1f} {unit}/s" if speed < 10 else f"{speed:,.0f} {unit}/s"


class _CountColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        unit = task.fields["unit"]
        done = amount(task.completed, unit)
        return Text(done if task.total is None else f"{done} / {amount(task.total, unit)}")


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        # The speed of late; before there are two measurements, the speed since the start.
        speed = task.finished_speed or task.speed or (task.completed / task.elapsed if task.elapsed else 0.0)
        return Text(_rate(speed, task.fields["unit"]) if speed else "", style="dim")


class Bars:
    """An observer (see `ottenok.core.progress`) that draws on standard error."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, quiet=is_quiet())
        self._bars: Progress | None = None
        self._stage = ""
        self._detail = ""
        self._unit = ""
        self._total: int | None = None
        self._done = 0
        self._drawn = 0
        self._begun = 0.0
        self._told = 0.0
        # An error or Ctrl-C in the middle of a stage must give the terminal its cursor back.
        if context := click.get_current_context(silent=True):
            context.call_on_close(self.finish)

    def start(self, stage: str, *, total: int | None, unit: str) -> None:
        """Begin a stage."""
        self.finish()
        self._stage, self._unit, self._total, self._done, self._drawn = stage, unit, total, 0, 0
        self._detail = ""
        self._begun = self._told = time.monotonic()
        if self._console.is_terminal:
            self._bars = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=None),
                _CountColumn(),
                _RateColumn(),
                TimeRemainingColumn(),
                console=self._console,
                transient=True,
                expand=True,
            )
            self._bars.add_task(stage, total=total, unit=unit)
            self._bars.start()

    def advance(self, count: int = 1) -> None:
        """Report units done. It costs next to nothing: the bar moves ten times a second, however often it is called."""
        self._done += count
        now = time.monotonic()
        if now - self._told < (_PAUSE if self._bars is None else _MOVE):
            return
        self._told = now
        if self._bars is not None:
            self._move(self._bars)
        elif not self._console.is_terminal:
            speed = self._done / max(now - self._begun, 1e-9)
            line = f"{self._stage}: {amount(self._done, self._unit)}"
            if self._total:
                line += f" of {amount(self._total, self._unit)}"
            line += f", {_rate(speed, self._unit)}"
            if self._total and speed:
                line += f", {(self._total - self._done) / speed / 60.0:.1f} minutes left"
            line += f", {self._detail}" if self._detail else ""
            self._console.print(harmless(line), highlight=False, markup=False, soft_wrap=True)

    def _move(self, bars: Progress) -> None:
        bars.advance(bars.task_ids[0], self._done - self._drawn)
        self._drawn = self._done

    def describe(self, detail: str) -> None:
        """Say more of the stage than its name, such as what it has cost so far."""
        self._detail = detail
        if self._bars is not None:
            self._bars.update(self._bars.task_ids[0], description=f"{self._stage}, {detail}")

    def finish(self) -> None:
        """End the stage."""
        if self._bars is not None:
            self._move(self._bars)
            self._bars.stop()
            self._bars = None

    def note(self, message: str) -> None:
        """Write a line that stays."""
        console = self._console if self._bars is None else self._bars.console
        console.print(harmless(message), highlight=False, markup=False, soft_wrap=True)


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
        self._console = Console(stderr=True, quiet=is_quiet())
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
        console.print(harmless(message), highlight=False, markup=False, soft_wrap=True)

    def _stop(self) -> None:
        if self._bars is not None:
            self._bars.stop()
            self._bars = None
