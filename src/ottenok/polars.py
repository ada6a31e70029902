"""The classifier as an expression of Polars, after `import ottenok.polars`.

>>> import polars as pl
>>> import ottenok.polars
>>> frame.with_columns(pl.col("review").ottenok.classify().struct.field("label"))      # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from ottenok.inference.api import load
from ottenok.inference.classifier import Classifier

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["OttenokExpression"]


@pl.api.register_expr_namespace("ottenok")
class OttenokExpression:
    """What `pl.col("review").ottenok` is.

    Args:
        expression: The texts.
    """

    def __init__(self, expression: pl.Expr) -> None:
        self._expression = expression

    def classify(
        self, model: Classifier | str | Path | None = None, *, columns: Sequence[str] | None = None
    ) -> pl.Expr:
        """Return a struct with the answers: `label`, `confidence`, `polarity`, a probability for each label.

        Args:
            model: A classifier, or what `ottenok.load` takes.
            columns: The answers that are wanted; None: all.
        """
        classifier = model if isinstance(model, Classifier) else load(model)

        def answers(texts: pl.Series) -> pl.Series:
            frame = classifier.classify_frame(pl.DataFrame({"": texts}), text="", columns=columns, prefix="")
            return frame.drop("").to_struct(texts.name)

        kind = answers(pl.Series(dtype=pl.String)).dtype
        return self._expression.map_batches(answers, return_dtype=kind, is_elementwise=True)
