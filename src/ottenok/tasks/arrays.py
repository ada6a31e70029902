"""What every function of this room asks of its numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ottenok.core.errors import ModelError

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["finite"]


def finite(numbers: npt.ArrayLike, name: str) -> npt.NDArray[np.float64]:
    """Return numbers as a float64 array `[rows, columns]` of at least one column.

    Raises:
        ModelError: They have another shape, or one is not finite; `name` says in the message what they are.
    """
    array = np.asarray(numbers, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] == 0:
        raise ModelError(f"found {name} of shape {list(array.shape)}, expected [rows, labels]")
    if not np.isfinite(array).all():
        row = int(np.flatnonzero(~np.isfinite(array).all(axis=1))[0])
        raise ModelError(
            f"the {name} of row {row + 1} of {len(array)} are not finite numbers",
            hint="The model is broken, or its arithmetic overflowed: try float32.",
        )
    return array
