"""Labels by name to arrays and back: the form in which thresholds, temperature and metrics see the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ottenok.core.errors import SchemeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    from ottenok.core.schemes import LabelScheme

__all__ = ["codes", "indicator"]


def indicator(rows: Iterable[Sequence[str]], scheme: LabelScheme) -> npt.NDArray[np.bool_]:
    """Say which labels each row has.

    Args:
        rows: Each row's labels by name; the scheme's own order need not hold.
        scheme: The labels; the columns follow its order.

    Returns:
        bool `[rows, labels]`.

    Raises:
        SchemeError: A label is not the scheme's, or a one-label scheme's row has not exactly one.
    """
    position = {label: index for index, label in enumerate(scheme.labels)}
    listed = list(rows)
    mask = np.zeros((len(listed), len(position)), dtype=np.bool_)
    for row, labels in enumerate(listed):
        for label in labels:
            if label not in position:
                raise SchemeError(f"the scheme {scheme.name} has no label {label!r}", row=row + 1)
            mask[row, position[label]] = True
    _check_single(mask, scheme)
    return mask


def _check_single(mask: npt.NDArray[np.bool_], scheme: LabelScheme) -> None:
    if scheme.kind == "multi-label":
        return
    wrong = np.flatnonzero(mask.sum(axis=1) != 1)
    if len(wrong):
        found = ", ".join(label for label, there in zip(scheme.labels, mask[wrong[0]], strict=True) if there)
        raise SchemeError(
            f"found the labels [{found}], expected exactly one label of {scheme.name}", row=int(wrong[0]) + 1
        )


def codes(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return the position of each row's only label, int64 `[rows]`; `mask` has exactly one True a row."""
    positions: npt.NDArray[np.int64] = mask.argmax(axis=1).astype(np.int64)
    return positions
