"""Progress on the terminal: a bar where there is one, and a line now and then where output goes to a file."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

__all__ = ["Bars"]

# Seconds between two lines where there is no terminal.
_PAUSE = 30.0


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f} {task.fields['unit']}/s", style="dim")


class Bars:
    """An observer (see `ottenok.core.progress`) that draws on standard error."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bars: Progress | None = None
        self._stage = ""
        self._unit = ""
        self._total: int | None = None
        self._done = 0
        self._begun = 0.0
        self._told = 0.0

    def start(self, stage: str, *, total: int | None, unit: str) -> None:
        """Begin a stage."""
        self.finish()
        self._stage, self._unit, self._total, self._done = stage, unit, total, 0
        self._begun = self._told = time.monotonic()
        if self._console.is_terminal:
            self._bars = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                _RateColumn(),
                TimeRemainingColumn(),
                console=self._console,
                transient=True,
            )
            self._bars.add_task(stage, total=total, unit=unit)
            self._bars.start()

    def advance(self, count: int = 1) -> None:
        """Report units done."""
        self._done += count
        if self._bars is not None:
            self._bars.advance(self._bars.task_ids[0], count)
        elif not self._console.is_terminal and time.monotonic() - self._told >= _PAUSE:
            self._told = time.monotonic()
            self._console.print(self._line(), highlight=False)

    def _line(self) -> str:
        speed = self._done / max(time.monotonic() - self._begun, 1e-9)
        line = f"{self._stage}: {self._done:,}"
        if self._total:
            line += f" of {self._total:,}"
        line += f" {self._unit}, {speed:,.0f}/s"
        if self._total and speed:
            line += f", {(self._total - self._done) / speed / 60.0:.1f} minutes left"
        return line

    def finish(self) -> None:
        """End the stage."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = None

    def note(self, message: str) -> None:
        """Write a line that stays."""
        console = self._console if self._bars is None else self._bars.console
        console.print(message, highlight=False, markup=False, soft_wrap=True)
