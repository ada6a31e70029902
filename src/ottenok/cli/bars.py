"""Progress on the terminal: a bar where there is one, and a line now and then where output goes to a file."""

from __future__ import annotations

import time

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

__all__ = ["Bars", "amount"]

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
        self._console = Console(stderr=True)
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
            self._console.print(self._line(), highlight=False, markup=False, soft_wrap=True)

    def _move(self, bars: Progress) -> None:
        bars.advance(bars.task_ids[0], self._done - self._drawn)
        self._drawn = self._done

    def _line(self) -> str:
        speed = self._done / max(time.monotonic() - self._begun, 1e-9)
        line = f"{self._stage}: {amount(self._done, self._unit)}"
        if self._total:
            line += f" of {amount(self._total, self._unit)}"
        line += f", {_rate(speed, self._unit)}"
        if self._total and speed:
            line += f", {(self._total - self._done) / speed / 60.0:.1f} minutes left"
        return f"{line}, {self._detail}" if self._detail else line

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
        console.print(message, highlight=False, markup=False, soft_wrap=True)
