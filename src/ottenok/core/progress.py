"""Progress as an observer: long work reports, the command line draws.

The library never prints. Work that may take over two seconds takes a `Progress` and reports to it; the
default ignores everything.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_T = TypeVar("_T")

__all__ = ["SILENT", "Progress", "Silent", "stage", "tracked"]


class Progress(Protocol):
    """What long work tells whoever watches. Stages may follow each other, but never nest."""

    def start(self, stage: str, *, total: int | None, unit: str) -> None:
        """Begin `stage` of `total` units (None: unknown); `unit` is a plural such as `rows` or `bytes`."""

    def advance(self, count: int = 1) -> None:
        """Report `count` more units done."""

    def finish(self) -> None:
        """End the stage that was started last."""

    def note(self, message: str) -> None:
        """Tell one line that stays on the screen, such as an epoch's metrics."""


class Silent:
    """The observer that ignores everything."""

    def start(self, stage: str, *, total: int | None, unit: str) -> None:
        """Ignore the start of a stage."""

    def advance(self, count: int = 1) -> None:
        """Ignore the units done."""

    def finish(self) -> None:
        """Ignore the end of a stage."""

    def note(self, message: str) -> None:
        """Ignore the message."""


SILENT: Progress = Silent()


@contextmanager
def stage(progress: Progress, name: str, *, total: int | None, unit: str) -> Iterator[None]:
    """Report a stage around a block that advances by itself; the stage ends also when the block fails."""
    progress.start(name, total=total, unit=unit)
    try:
        yield
    finally:
        progress.finish()


def tracked(items: Iterable[_T], progress: Progress, stage: str, *, total: int | None, unit: str) -> Iterator[_T]:
    """Yield the items, reporting each one as a unit done; the stage ends also when the consumer stops early."""
    progress.start(stage, total=total, unit=unit)
    try:
        for item in items:
            yield item
            progress.advance()
    finally:
        progress.finish()
