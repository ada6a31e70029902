"""How a study or a search does several things at once: whoever calls it may give it a crew, such as one on Ray."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["Crew"]


class Crew(Protocol):
    """Processes that work at once, here or elsewhere; what they write, this process sees."""

    @property
    def size(self) -> int:
        """How many work at once."""

    def spread(
        self,
        work: Callable[..., Any],
        calls: Iterable[tuple[Any, ...]],
        *,
        lost: Callable[[str], Any] | None = None,
    ) -> Iterator[tuple[tuple[Any, ...], Any]]:
        """Call a function once for each tuple of arguments; yield the tuples with what came out, as they end.

        Args:
            work: A function of a module; its arguments and what it returns can be pickled.
            calls: Its arguments; the next ones are asked for when there is somebody to do them.
            lost: Gives the result of a call whose process died again and again, from the reason; None: an error.
        """
