"""Data frames in, data frames of the same kind out, with the answers as columns; read by narwhals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ottenok.core.errors import ConfigError, InputError
from ottenok.core.lazy import require
from ottenok.core.suggest import suggest
from ottenok.inference.outputs import AnswerColumns

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ottenok.inference.classifier import Classifier

__all__ = ["answer_columns", "classify_frame"]


def answer_columns(
    classifier: Classifier, texts: Iterable[Any], columns: Sequence[str] | None, prefix: str
) -> dict[str, tuple[str, list[Any]]]:
    """Classify texts and return the answers as columns.

    Args:
        classifier: What answers.
        texts: The texts; None and NaN are missing.
        columns: Names of those that are wanted, with or without the prefix; None: all.
        prefix: Of all names.

    Returns:
        Name of each column to its kind, `text`, `texts` or `number`, and its values; None where nothing was read.

    Raises:
        ConfigError: A column is asked for that there is not.
        InputError: A value is no string.
    """
    known = AnswerColumns(classifier.tasks, prefix)
    wanted = known.names if columns is None else [name if name in known.names else prefix + name for name in columns]
    for name in wanted:
        if name not in known.names:
            raise ConfigError(f"there is no answer {name!r}", hint=suggest(name, known.names), key="columns")
    nothing = [None] * len(known.names)
    rows = [known.values(one) if one.windows else nothing for one in classifier.stream(texts)]
    values = dict(zip(known.names, zip(*rows, strict=True) if rows else [()] * len(known.names), strict=True))
    return {name: (known.kinds[known.names.index(name)], list(values[name])) for name in wanted}


def classify_frame(
    classifier: Classifier,
    frame: Any,  # noqa: ANN401 - of any library
    *,
    text: str,
    columns: Sequence[str] | None = None,
    prefix: str = "predicted_",
) -> Any:  # noqa: ANN401
    """See `Classifier.classify_frame`."""
    nw = require("narwhals.stable.v2", extra="frames")
    try:
        table = nw.from_native(frame)
    except TypeError as error:
        raise InputError(
            f"expected a data frame, found {type(frame).__name__}",
            hint="Give a frame of pandas, Polars or Arrow; a list of texts goes to the classifier itself.",
        ) from error
    except nw.exceptions.DuplicateError as error:
        raise InputError("the frame has two columns of the same name", hint="Rename one of them.") from error
    there = table.collect_schema().names()
    if text not in there:
        raise InputError(f"the frame has no column {text!r}", hint=suggest(str(text), map(str, there)), key=str(text))
    if isinstance(table, nw.LazyFrame):
        if not table.implementation.is_polars():
            raise InputError(
                f"expected a frame in memory, found {type(frame).__module__}.{type(frame).__name__}",
                hint="Collect it first, or let its engine call the classifier: docs/in-your-code.md.",
            )
        # What comes out of no rows has the columns that will come.
        empty = classify_frame(classifier, frame.clear().collect(), text=text, columns=columns, prefix=prefix)
        return frame.map_batches(
            lambda part: classify_frame(classifier, part, text=text, columns=columns, prefix=prefix),
            schema=empty.schema,
        )
    found = answer_columns(classifier, table[text].to_list(), columns, prefix)
    for name in found:
        if name in there:
            raise InputError(f"the frame has a column {name!r} already", hint="Name the answers otherwise: prefix=…")
    lists = None if table.implementation.is_pandas_like() else nw.List(nw.String())
    kinds = {"text": nw.String(), "texts": lists, "number": nw.Float64()}
    space = table.implementation
    series = [nw.new_series(name, values, kinds[kind], backend=space) for name, (kind, values) in found.items()]
    return table.with_columns(series).to_native()
