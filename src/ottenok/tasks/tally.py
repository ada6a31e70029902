"""Counts of right and wrong answers, for the sample as it is and for its bootstrap resamples.

Every figure but the AUC depends on rows only through their pair of true labels and answer, and few such pairs occur.
So rows are grouped by pair once, a resample of rows is one multinomial draw over pairs, and a thousand resamples of
20,000 rows cost one small matrix product instead of a thousand passes. Nothing is approximated: drawing rows with
replacement and counting pairs gives that very multinomial.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ottenok.tasks.counts import f1

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from ottenok.core.schemes import LabelScheme

    Floats = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]

__all__ = ["Kind", "Pairs", "Tally", "group", "resampled", "tally"]

_CELLS = 4_000_000  # numbers held at once while resampling: 32 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What counting must know of a scheme.

    Attributes:
        one_label: Whether the scheme has exactly one label a row.
        ranks: Each label's rank along the scheme's values, `[labels]`; None for labels without order.
    """

    one_label: bool
    ranks: npt.NDArray[np.int64] | None

    @classmethod
    def of(cls, scheme: LabelScheme) -> Kind:
        """Return the kind of a scheme."""
        one_label = scheme.kind != "multi-label"
        ordered = one_label and bool(scheme.values)
        ranks = np.argsort(np.argsort(scheme.values)).astype(np.int64) if ordered else None
        return cls(one_label=one_label, ranks=ranks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """The distinct pairs of true labels and answer.

    Attributes:
        truth: bool `[pairs, labels]`.
        answer: bool `[pairs, labels]`.
        count: Rows of each pair, float64 `[pairs]`.
    """

    truth: Mask
    answer: Mask
    count: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Counts, float64, of one sample (no leading dimension) or of many resamples (one leading dimension `...`).

    Attributes:
        kind: Of the scheme.
        rows: Rows, `[...]`.
        exact: Rows whose answer is exactly the truth, `[...]`.
        samples_f1: Sum over rows of the row's own F1 (0 for a row without labels and answer), `[...]`.
        hits: Right answers per label, `[..., labels]`.
        selected: Answers per label, `[..., labels]`.
        support: True rows per label, `[..., labels]`.
        confusion: Rows per true label and answered label, `[..., labels, labels]`; rows without an answer are left out.
            All 0 for multi-label schemes.
        present: Labels that are true somewhere in the sample as it is, bool `[labels]`.
        occurring: Labels that are true or answered somewhere in it, bool `[labels]`. Resamples average over the same
            labels as the sample, or a label that is answered once would come and go, and the interval with it.
    """

    kind: Kind
    rows: Floats
    exact: Floats
    samples_f1: Floats
    hits: Floats
    selected: Floats
    support: Floats
    confusion: Floats
    present: Mask
    occurring: Mask


def group(truth: Mask, answer: Mask) -> Pairs:
    """Group rows by their pair of true labels and answer; both are bool `[rows, labels]`."""
    labels = truth.shape[1]
    both = np.concatenate([truth, answer], axis=1)
    packed = np.ascontiguousarray(np.packbits(both, axis=1))
    keys = packed.view(np.dtype((np.void, packed.shape[1]))).ravel()
    _, first, count = np.unique(keys, return_index=True, return_counts=True)
    return Pairs(truth=both[first, :labels], answer=both[first, labels:], count=count.astype(np.float64))


def tally(pairs: Pairs, weights: Floats, kind: Kind) -> Tally:
    """Count answers, each pair taken as often as its weight says; `weights` is `[..., pairs]`."""
    truth, answer = pairs.truth.astype(np.float64), pairs.answer.astype(np.float64)
    both = truth * answer
    present: Mask = np.logical_or.reduce(pairs.truth, axis=0)
    own_f1 = f1(both.sum(axis=1), answer.sum(axis=1), truth.sum(axis=1))
    return Tally(
        kind=kind,
        rows=weights.sum(axis=-1),
        exact=weights @ (pairs.truth == pairs.answer).all(axis=1).astype(np.float64),
        samples_f1=weights @ own_f1,
        hits=weights @ both,
        selected=weights @ answer,
        support=weights @ truth,
        confusion=_confusion(truth, answer, weights, kind),
        present=present,
        occurring=np.logical_or.reduce(pairs.answer, axis=0) | present,
    )


def _confusion(truth: Floats, answer: Floats, weights: Floats, kind: Kind) -> Floats:
    pairs, labels = truth.shape
    shape = (*weights.shape[:-1], labels, labels)
    if not kind.one_label:
        return np.zeros(shape)
    cells = (truth[:, :, None] * answer[:, None, :]).reshape(pairs, labels * labels)
    counts: Floats = (weights @ cells).reshape(shape)
    return counts


def resampled(pairs: Pairs, kind: Kind, *, resamples: int, seed: int) -> Iterator[Tally]:
    """Yield the tallies of bootstrap resamples of the rows, in blocks that bound memory."""
    generator = np.random.default_rng(seed)
    rows = int(pairs.count.sum())
    block = max(1, _CELLS // len(pairs.count))
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        drawn = generator.multinomial(rows, pairs.count / rows, size=size)
        yield tally(pairs, drawn.astype(np.float64), kind)
