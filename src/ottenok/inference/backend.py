"""The contract between the predictor and whatever computes logits, and the backends by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ottenok.inference.tokens import TokenBatch

__all__ = ["Backend"]


class Backend(Protocol):
    """Computes logits. Calls from several threads at once are allowed.

    A row's logits may not depend on the other rows of its batch.
    """

    @property
    def name(self) -> str:
        """What it runs on, for people: `onnx int8`, `fake`."""

    @property
    def identity(self) -> str:
        """What decides its logits, such as the graph's sha256."""

    @property
    def outputs(self) -> int:
        """Logits per row."""

    def run(self, batch: TokenBatch) -> npt.NDArray[np.float32]:
        """Return float32 `[rows, outputs]`.

        Raises:
            ModelError: The model can't be run on this batch.
        """
