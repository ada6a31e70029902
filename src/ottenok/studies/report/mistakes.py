"""The worst mistakes: wrong answers that the model was most sure of.

They are where labels of the data are wrong, where a text can't be understood by itself, or where the model is blind:
the quickest way to learn which.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ottenok.core.language import detect_language
from ottenok.studies.report.parts import Mistake
from ottenok.tasks.decision import chosen

if TYPE_CHECKING:
    import numpy.typing as npt

    from ottenok.core.schemes import LabelScheme
    from ottenok.studies.report.inputs import Measured
    from ottenok.tasks.decision import Decision
    from ottenok.tasks.predictions import Predictions

__all__ = ["LONGEST", "worst_mistakes"]

# Characters of a text that are shown.
LONGEST = 600


def worst_mistakes(measured: Measured, scheme: LabelScheme, decision: Decision, *, most: int) -> tuple[Mistake, ...]:
    """Return the wrong answers with the highest probability on the wrong side, worst first.

    In one-label schemes that is the answer's probability; in multi-label schemes the largest over the wrong labels of
    the probability (where the label is not true) or of what it lacks to 1 (where it is).

    Args:
        measured: Rows with predictions.
        scheme: The labels, in the order of the columns.
        decision: How probabilities become answers.
        most: How many to return.
    """
    rows = measured.predictions
    if rows is None or not len(rows) or most <= 0:
        return ()
    answer = chosen(rows.probs, scheme, decision)
    sure = _sureness(rows.probs, rows.truth, answer, one_label=scheme.kind != "multi-label")
    wrong = np.flatnonzero((answer != rows.truth).any(axis=1))
    # Equal ones by id, so that the same predictions give the same report.
    order = sorted(wrong.tolist(), key=lambda row: (-float(sure[row]), rows.ids[row]))
    return tuple(_mistake(measured, rows, row, answer, float(sure[row])) for row in order[:most])


def _sureness(
    probs: npt.NDArray[np.float32],
    truth: npt.NDArray[np.bool_],
    answer: npt.NDArray[np.bool_],
    *,
    one_label: bool,
) -> npt.NDArray[np.float32]:
    if one_label:
        found: npt.NDArray[np.float32] = np.where(answer, probs, 0.0).max(axis=1)
        return found
    side = np.where(answer, probs, 1.0 - probs)
    worst: npt.NDArray[np.float32] = np.where(answer != truth, side, 0.0).max(axis=1)
    return worst


def _mistake(
    measured: Measured, rows: Predictions, row: int, answer: npt.NDArray[np.bool_], sureness: float
) -> Mistake:
    text = measured.texts.get(rows.ids[row])
    truth, said = rows.truth[row], answer[row]
    return Mistake(
        id=rows.ids[row],
        source=rows.sources[row],
        truth=_named(rows, truth),
        answer=_named(rows, said),
        scores=tuple((rows.labels[i], float(rows.probs[row, i])) for i in np.flatnonzero(truth | said)),
        sureness=sureness,
        text=None if text is None else _cut(text),
        language=_language(text),
    )


def _named(rows: Predictions, mask: npt.NDArray[np.bool_]) -> tuple[str, ...]:
    return tuple(label for label, there in zip(rows.labels, mask, strict=True) if there)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text):,} characters)"


def _language(text: str | None) -> str:
    language = "" if text is None else detect_language(text)
    return "" if language == "other" else language
