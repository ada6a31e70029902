"""Progress on the terminal: a bar where there is one, and a line now and then where output goes to a file.

`Bars` shows one piece of work; `TrialBars` a search, as a bar over trials and under it the training of the day.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

import click
from tqdm import tqdm

from ottenok.cli.screen import harmless, is_quiet, tell

__all__ = ["Bars", "TrialBars", "amount", "tell_above", "time_left"]

# Seconds between two lines where there is no terminal.
_PAUSE = 30.0


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


def time_left(done: float, total: float, seconds: float) -> str:
    """Return how long the rest will take if it goes on as before; nothing before anything is done."""
    if not done or total <= done:
        return ""
    minutes = seconds / done * (total - done) / 60.0
    if minutes < 1:
        return "under a minute left"
    return f"{minutes:.0f} minutes left" if minutes < 120 else f"{minutes / 60.0:.1f} hours left"


class _Bar(tqdm):  # type: ignore[misc] # tqdm has no types
    """A bar with our own words for what is done, how fast, and how long it will take."""

    monitor_interval = 0  # no thread beside the work

    @property
    def format_dict(self) -> dict[str, Any]:
        """The pieces of the line."""
        found: dict[str, Any] = super().format_dict
        done, total, unit = found["n"], found["total"], found["unit"]
        speed = found["rate"] or done / max(found["elapsed"], 1e-9)
        count = amount(done, unit) if total is None else f"{amount(done, unit)} / {amount(total, unit)}"
        left = time_left(done, total or 0, found["elapsed"])
        return {**found, "count": count, "speed": _rate(speed, unit) if done else "", "left": left}

    def close(self) -> None:
        """Go, after having shown how far it came: short work ends before it is drawn again."""
        if not self.disable:
            self.refresh()
        super().close()


# tqdm's own lock is also one between processes, which nobody needs here.
_Bar.set_lock(threading.RLock())


def _drawn(stage: str, total: int | None, unit: str) -> _Bar | None:
    """Draw a bar on standard error, which goes when it is closed; None where there is no terminal."""
    if is_quiet() or not sys.stderr.isatty():
        return None
    line = "{desc} {bar} {count} {speed} {left}"
    return _Bar(
        total=total,
        desc=harmless(stage),
        unit=unit,
        leave=False,
        file=sys.stderr,
        miniters=1,
        dynamic_ncols=True,
        bar_format=line,
    )


def tell_above(message: str) -> None:
    """Write a line that stays, above the bars."""
    with _Bar.external_write_mode(file=sys.stderr):
        tell(harmless(message))


class Bars:
    """An observer (see `ottenok.core.progress`) that draws on standard error."""

    def __init__(self) -> None:
        self._bar: _Bar | None = None
        self._stage = ""
        self._detail = ""
        self._unit = ""
        self._total: int | None = None
        self._done = 0
        self._begun = 0.0
        self._told = 0.0
        # An error or Ctrl-C in the middle of a stage must leave no half of a bar behind.
        if context := click.get_current_context(silent=True):
            context.call_on_close(self.finish)

    def start(self, stage: str, *, total: int | None, unit: str) -> None:
        """Begin a stage."""
        self.finish()
        self._stage, self._unit, self._total, self._done, self._detail = stage, unit, total, 0, ""
        self._begun = self._told = time.monotonic()
        self._bar = _drawn(stage, total, unit)

    def advance(self, count: int = 1) -> None:
        """Report units done. It costs next to nothing: the bar moves ten times a second, however often it is called."""
        if self._bar is not None:
            self._bar.update(count)
            return
        self._done += count
        now = time.monotonic()
        if now - self._told < _PAUSE:
            return
        self._told = now
        speed = self._done / max(now - self._begun, 1e-9)
        line = f"{self._stage}: {amount(self._done, self._unit)}"
        if self._total:
            line += f" of {amount(self._total, self._unit)}"
        line += f", {_rate(speed, self._unit)}"
        if self._total and speed:
            line += f", {(self._total - self._done) / speed / 60.0:.1f} minutes left"
        tell_above(line + (f", {self._detail}" if self._detail else ""))

    def describe(self, detail: str) -> None:
        """Say more of the stage than its name, such as what it has cost so far."""
        self._detail = detail
        if self._bar is not None:
            self._bar.set_description_str(harmless(f"{self._stage}, {detail}"))

    def finish(self) -> None:
        """End the stage."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def note(self, message: str) -> None:
        """Write a line that stays."""
        tell_above(message)


class _View:
    """One of the bars as an observer (see `ottenok.core.progress`)."""

    def __init__(self, *, outer: bool) -> None:
        self._outer = outer
        self._bar: _Bar | None = None
        self._begun = 0.0
        self._done = 0
        self._total = 0

    def start(self, stage: str, *, total: int | None, unit: str) -> None:
        """Begin a stage."""
        self.finish()
        self._begun, self._done, self._total = time.monotonic(), 0, total or 0
        self._bar = _drawn(stage, total, unit)

    def advance(self, count: int = 1) -> None:
        """Report units done."""
        self._done += count
        if self._bar is not None:
            self._bar.update(count)
        elif self._outer and self._total:
            left = time_left(self._done, self._total, time.monotonic() - self._begun)
            tell_above(f"{self._done} of {self._total} trials{', ' if left else ''}{left}")

    def finish(self) -> None:
        """End the stage."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def note(self, message: str) -> None:
        """Write a line that stays; those of single trainings would bury the trials' own."""
        if self._outer:
            tell_above(message)


class TrialBars:
    """Draws on standard error.

    Attributes:
        outer: Observer of the trials.
        inner: Observer of the training within a trial.
    """

    def __init__(self) -> None:
        self.outer = _View(outer=True)
        self.inner = _View(outer=False)
        # An error or Ctrl-C must leave no half of a bar behind.
        if context := click.get_current_context(silent=True):
            context.call_on_close(self.inner.finish)
            context.call_on_close(self.outer.finish)
