"""Windows of long texts: how many texts are held at once, and how a text's windows become one answer.

The rule is in the bundle's manifest. A text's logits (`mean-logits`) or probabilities (`mean-probabilities`) are the
mean over its windows, each weighing as much as it has tokens, special ones not counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from ottenok.tasks.decision import probabilities

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt

    from ottenok.bundle.manifest import BundleManifest
    from ottenok.inference.tokens import Windows

__all__ = ["join_windows", "slices"]

_T = TypeVar("_T")
# Characters of the texts that are held at once.
_MOST_CHARACTERS = 4 << 20


def slices(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """Yield lists of at most `size` items, shorter ones where texts are long."""
    block: list[_T] = []
    held = 0
    for item in items:
        block.append(item)
        held += len(item) if isinstance(item, str) else 1
        if len(block) >= size or held >= _MOST_CHARACTERS:
            yield block
            block, held = [], 0
    if block:
        yield block


def join_windows(
    logits: npt.NDArray[np.float32], windows: Windows, manifest: BundleManifest
) -> npt.NDArray[np.float32]:
    """Return the probabilities of every text that has windows, in the texts' order.

    Args:
        logits: float32 `[windows, outputs]`.
        windows: Which window is whose.
        manifest: Holds the decision and the rule.

    Returns:
        float32 `[texts with windows, labels]`.

    Raises:
        ModelError: The logits are not finite.
    """
    if not len(logits):
        return np.empty((0, len(manifest.scheme.labels)), dtype=np.float32)
    if manifest.window.combine == "mean-logits":
        return probabilities(_means(logits, windows), manifest.decision)
    return _means(probabilities(logits, manifest.decision), windows).astype(np.float32)


def _means(numbers: npt.NDArray[np.float32], windows: Windows) -> npt.NDArray[np.float64]:
    counts = windows.counts[windows.counts > 0]
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    weighed = np.add.reduceat(numbers * windows.weights[:, None], starts, axis=0)
    means: npt.NDArray[np.float64] = weighed / np.add.reduceat(windows.weights, starts)[:, None]
    return means
