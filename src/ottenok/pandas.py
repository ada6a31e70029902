"""The classifier as an accessor of pandas, after `import ottenok.pandas`.

>>> import ottenok.pandas
>>> frame.join(frame["review"].ottenok.classify(columns=["label", "polarity"]))      # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from ottenok.inference.api import load
from ottenok.inference.classifier import Classifier

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["OttenokAccessor"]


@pd.api.extensions.register_series_accessor("ottenok")
class OttenokAccessor:
    """What `frame["review"].ottenok` is.

    Args:
        texts: The column.
    """

    def __init__(self, texts: pd.Series) -> None:
        self._texts = texts

    def classify(
        self, model: Classifier | str | Path | None = None, *, columns: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Return a frame with the answers and the column's index.

        Args:
            model: A classifier, or what `ottenok.load` takes.
            columns: The answers that are wanted; None: all.
        """
        classifier = model if isinstance(model, Classifier) else load(model)
        frame = self._texts.to_frame("")
        return classifier.classify_frame(frame, text="", columns=columns, prefix="").drop(columns="")
