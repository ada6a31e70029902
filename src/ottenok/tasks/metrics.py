"""Metrics: what there is, which way is better, and how each follows from counts of right and wrong answers.

`METRICS` is the one list. Whoever chooses, sorts or compares by a metric (the best epoch, a search, a study, compare,
tune, a report) asks it for the direction, by `higher_is_better`, `goodness` or `best`.

Every metric but the areas under ROC curves and the calibration error depends on rows only through their pair of true
labels and answer, and few such pairs occur. So rows are grouped by pair once, a resample of rows is one multinomial
draw over pairs, and a thousand resamples of 20,000 rows cost one small matrix product instead of a thousand passes.
Nothing is approximated: drawing rows with replacement and counting pairs gives that very multinomial.

What "macro" averages over, in slices where labels are missing:

- One-label schemes: labels that occur in the truth or among the answers, as scikit-learn does when it is not told the
  labels, and so as published cards do. A label that is answered but never true counts with F1 0: a model that calls
  one hotel review neutral loses a third of its macro F1 on a corpus without neutral reviews.
- `macro_f1_present` therefore averages over labels that are true somewhere in the slice. It is the metric to compare
  with systems that know only those labels.
- Multi-label schemes: all labels, as scikit-learn does for indicator matrices.

What can't be divided is 0 (scikit-learn's `zero_division=0`).
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from ottenok.core.config import suggest
from ottenok.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import numpy.typing as npt

    from ottenok.core.schemes import LabelScheme

    Floats = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]

__all__ = [
    "METRICS",
    "OPEN",
    "Interval",
    "Kind",
    "Metric",
    "Pairs",
    "Tally",
    "best",
    "both_classes_f1",
    "counted",
    "f1",
    "fitting",
    "goodness",
    "group",
    "higher_is_better",
    "label_f1",
    "label_precision",
    "label_recall",
    "macro",
    "metric",
    "ratio",
    "resampled",
    "tally",
    "wilson",
]

_CELLS = 4_000_000  # numbers held at once while resampling: 32 MB
# One-label answers read as multi-label scripts read them, to the multi-label metrics that these are.
OPEN: Mapping[str, str] = MappingProxyType(
    {"open_accuracy": "subset_accuracy", "open_f1": "micro_f1", "open_auc": "answer_auc"}
)

Count = TypeVar("Count", bound="Callable[[Tally], Floats]")
Kinds = Literal["any", "one-label", "multi-label", "ordered", "polar"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A named metric.

    Attributes:
        name: As recipes, reports and options call it.
        title: As tables call it.
        meaning: One sentence for documents and help.
        kinds: Schemes that have it: `any`, `one-label`, `multi-label`, `ordered` (one label, with an order) or `polar`
            (three ordered labels).
        higher_is_better: Its direction.
        headline: In which schemes tables of systems show it; None: only when it is asked for.
        in_reports: Whether reports have it; False: the table of epochs alone.
        count: Its value from counts, `[...]`, NaN where it is undefined; None where it needs more than counts. Those
            that have it have bootstrap intervals.
    """

    name: str
    title: str
    meaning: str
    kinds: Kinds = "any"
    higher_is_better: bool = True
    headline: Literal["any", "multi-label"] | None = None
    in_reports: bool = True
    count: Callable[[Tally], Floats] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A value and its interval: by a percentile bootstrap over rows, or DeLong's for areas under ROC curves.

    Attributes:
        value: The metric on the rows as they are.
        low: Lower end, or None where no interval was asked for or the metric has none.
        high: Upper end, likewise.
    """

    value: float
    low: float | None = None
    high: float | None = None


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


def wilson(count: int, rows: int) -> Interval:
    """Return a share with its 95 % interval by Wilson (1927), which never leaves 0..1.

    Args:
        count: Rows that count.
        rows: All rows, at least 1.
    """
    level = 1.959963984540054
    share, room = count / rows, level**2 / rows
    middle = (share + room / 2) / (1 + room)
    reach = level * float(np.sqrt(share * (1 - share) / rows + room / (4 * rows))) / (1 + room)
    return Interval(value=share, low=max(0.0, middle - reach), high=min(1.0, middle + reach))


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
    rows, labels = truth.shape
    shape = (*weights.shape[:-1], labels, labels)
    if kind.one_label:
        confusion = (weights @ (truth[:, :, None] * answer[:, None, :]).reshape(rows, labels * labels)).reshape(shape)
    else:
        confusion = np.zeros(shape)
    return Tally(
        kind=kind,
        rows=weights.sum(axis=-1),
        exact=weights @ (pairs.truth == pairs.answer).all(axis=1).astype(np.float64),
        samples_f1=weights @ own_f1,
        hits=weights @ both,
        selected=weights @ answer,
        support=weights @ truth,
        confusion=confusion,
        present=present,
        occurring=np.logical_or.reduce(pairs.answer, axis=0) | present,
    )


def resampled(pairs: Pairs, kind: Kind, *, resamples: int, seed: int) -> Iterator[Tally]:
    """Yield the tallies of bootstrap resamples of the rows, in blocks that bound memory."""
    generator = np.random.default_rng(seed)
    rows = int(pairs.count.sum())
    block = max(1, _CELLS // len(pairs.count))
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        drawn = generator.multinomial(rows, pairs.count / rows, size=size)
        yield tally(pairs, drawn.astype(np.float64), kind)


def ratio(part: Floats, whole: Floats) -> Floats:
    """Return `part / whole`, and 0 where `whole` is 0."""
    return np.divide(part, whole, out=np.zeros(np.broadcast_shapes(part.shape, whole.shape)), where=whole != 0)


def f1(hits: Floats, selected: Floats, support: Floats) -> Floats:
    """Return F1 of right answers among `selected` answers and `support` true ones."""
    return ratio(2.0 * hits, selected + support)


def both_classes_f1(hits: Floats, selected: Floats, support: Floats, rows: Floats) -> Floats:
    """Return the mean of the F1 of "has the label" and the F1 of "has it not".

    The CEDR paper (Sboev et al. 2021) and the card of ru-izard-emotions average this over labels. It is higher than
    the usual F1 for rare labels, so the two must not be compared.
    """
    rest = rows - selected - support + hits
    return (f1(hits, selected, support) + f1(rest, rows - selected, rows - support)) / 2.0


def label_precision(counts: Tally) -> Floats:
    """Return each label's precision, `[..., labels]`."""
    return ratio(counts.hits, counts.selected)


def label_recall(counts: Tally) -> Floats:
    """Return each label's recall, `[..., labels]`."""
    return ratio(counts.hits, counts.support)


def label_f1(counts: Tally) -> Floats:
    """Return each label's F1, `[..., labels]`."""
    return f1(counts.hits, counts.selected, counts.support)


def macro(values: Floats, counts: Tally) -> Floats:
    """Return the plain mean over labels `[...]`; see the module for which labels count."""
    if not counts.kind.one_label:
        return np.asarray(values.mean(axis=-1))
    return np.asarray(values[..., counts.occurring].mean(axis=-1))


def _ranks(counts: Tally) -> npt.NDArray[np.int64]:
    return np.arange(counts.hits.shape[-1]) if counts.kind.ranks is None else counts.kind.ranks


def _squared_distances(counts: Tally) -> Floats:
    ranks = _ranks(counts).astype(np.float64)
    return np.asarray((ranks[:, None] - ranks[None, :]) ** 2)


_FOUND: dict[str, Metric] = {}


def _add(name: str, title: str, meaning: str, **facts: Any) -> None:  # noqa: ANN401 - as `Metric` has them
    _FOUND[name] = Metric(name=name, title=title, meaning=" ".join(meaning.split()), **facts)


def _from_counts(title: str, **facts: Any) -> Callable[[Count], Count]:  # noqa: ANN401 - as `Metric` has them
    """Put a function of counts into the list: its name is the metric's, its docstring what the metric means."""

    def add(function: Count) -> Count:
        _add(function.__name__, title, function.__doc__ or "", count=function, **facts)
        return function

    return add


_add("loss", "loss", "The loss that training minimises, on validation rows.", in_reports=False, higher_is_better=False)


@_from_counts("accuracy", kinds="one-label", headline="any")
def accuracy(counts: Tally) -> Floats:
    """Share of rows with the right label."""
    return ratio(counts.exact, counts.rows)


@_from_counts("subset accuracy", kinds="multi-label", headline="any")
def subset_accuracy(counts: Tally) -> Floats:
    """Share of rows whose set of labels is exactly right."""
    return ratio(counts.exact, counts.rows)


@_from_counts("label accuracy", kinds="multi-label")
def label_accuracy(counts: Tally) -> Floats:
    """Share of right yes-or-no answers over all rows and labels (1 - Hamming loss)."""
    wrong = (counts.selected + counts.support - 2.0 * counts.hits).sum(axis=-1)
    return 1.0 - ratio(wrong, counts.rows * counts.hits.shape[-1])


@_from_counts("macro F1", headline="any")
def macro_f1(counts: Tally) -> Floats:
    """Mean of the labels' F1."""
    return macro(label_f1(counts), counts)


@_from_counts("macro F1 of labels present", kinds="one-label")
def macro_f1_present(counts: Tally) -> Floats:
    """Mean F1 of the labels that are true in at least one row."""
    return np.asarray(label_f1(counts)[..., counts.present].mean(axis=-1))


@_from_counts("F1 of the two poles", kinds="polar")
def polar_f1(counts: Tally) -> Floats:
    """Mean F1 of the first and the last of three ordered labels: SentiRuEval's official macro F1, without neutral."""
    ranks, values = _ranks(counts), label_f1(counts)
    return np.asarray((values[..., ranks.argmin()] + values[..., ranks.argmax()]) / 2.0)


@_from_counts("macro F1 on balanced labels", kinds="one-label")
def balanced_f1(counts: Tally) -> Floats:
    """Macro F1 with every true label weighing the same, whatever its support.

    It is what a test resampled to equal labels gives on average; labels that are never true are left out.
    """
    shares = ratio(counts.confusion, counts.confusion.sum(axis=-1, keepdims=True))
    hits = np.diagonal(shares, axis1=-2, axis2=-1)
    values = f1(hits, shares.sum(axis=-2), shares.sum(axis=-1))
    return np.asarray(values[..., counts.present].mean(axis=-1))


@_from_counts("macro precision")
def macro_precision(counts: Tally) -> Floats:
    """Mean of the labels' precision."""
    return macro(label_precision(counts), counts)


@_from_counts("macro recall")
def macro_recall(counts: Tally) -> Floats:
    """Mean of the labels' recall."""
    return macro(label_recall(counts), counts)


@_from_counts("weighted F1", headline="any")
def weighted_f1(counts: Tally) -> Floats:
    """Mean of the labels' F1, weighted by support."""
    return ratio((label_f1(counts) * counts.support).sum(axis=-1), counts.support.sum(axis=-1))


@_from_counts("micro F1", headline="multi-label")
def micro_f1(counts: Tally) -> Floats:
    """F1 of all answers of all labels together."""
    return f1(counts.hits.sum(axis=-1), counts.selected.sum(axis=-1), counts.support.sum(axis=-1))


@_from_counts("samples F1", kinds="multi-label")
def samples_f1(counts: Tally) -> Floats:
    """Mean of each row's own F1; 0 for rows without labels and answer, as in scikit-learn."""
    return ratio(counts.samples_f1, counts.rows)


@_from_counts("mean two-class F1", kinds="multi-label", headline="any")
def two_class_f1(counts: Tally) -> Floats:
    """Mean over labels of the mean F1 of "has it" and "has it not", as in the CEDR paper and the izard card.

    It is higher than macro F1, so never compare the two.
    """
    rows = np.broadcast_to(counts.rows[..., None], counts.hits.shape)
    return np.asarray(both_classes_f1(counts.hits, counts.selected, counts.support, rows).mean(axis=-1))


@_from_counts("MAE", kinds="ordered", headline="any", higher_is_better=False)
def mae(counts: Tally) -> Floats:
    """Mean distance between the true and the answered label, in ranks."""
    answered = counts.confusion.sum(axis=(-2, -1))
    errors = (counts.confusion * np.sqrt(_squared_distances(counts))).sum(axis=(-2, -1))
    return np.where(answered > 0, ratio(errors, answered), np.nan)


@_from_counts("quadratic kappa", kinds="ordered", headline="any")
def quadratic_kappa(counts: Tally) -> Floats:
    """Cohen's kappa with squared distances as weights."""
    penalty = _squared_distances(counts)
    true, answered = counts.confusion.sum(axis=-1), counts.confusion.sum(axis=-2)
    chance = (true[..., :, None] * answered[..., None, :] * penalty).sum(axis=(-2, -1))
    found = (counts.confusion * penalty).sum(axis=(-2, -1)) * true.sum(axis=-1)
    return np.where(chance > 0, 1.0 - ratio(found, chance), np.nan)


@_from_counts("micro AUC of the answers")
def answer_auc(counts: Tally) -> Floats:
    """Area under the ROC curve of the yes-or-no answers of all rows and labels together.

    That is the mean of micro recall and micro specificity: what Trainer scripts print that give 0/1 predictions to
    `roc_auc_score(average="micro")`; lower than micro AUC.
    """
    hits, selected, support = (part.sum(axis=-1) for part in (counts.hits, counts.selected, counts.support))
    cells = counts.rows * counts.hits.shape[-1]
    sensitive = np.where(support > 0, ratio(hits, support), np.nan)
    specific = np.where(cells > support, 1.0 - ratio(selected - hits, cells - support), np.nan)
    return np.asarray((sensitive + specific) / 2.0)


_add(
    "open_accuracy",
    "accuracy at 0.5",
    """For one-label schemes learned with sigmoids: share of rows where the labels at 0.5 or more are exactly the true
    one, as multi-label scripts count; a row may have none or several.""",
    kinds="one-label",
)
_add("open_f1", "micro F1 at 0.5", "Micro F1 of the same answers.", kinds="one-label")
_add("open_auc", "micro AUC of the answers at 0.5", "`answer_auc` of the same answers.", kinds="one-label")


@_from_counts("coverage", kinds="one-label", headline="any")
def coverage(counts: Tally) -> Floats:
    """Share of rows that got an answer; where it is below 1, MAE and kappa are over those rows."""
    return ratio(counts.selected.sum(axis=-1), counts.rows)


_add(
    "macro_auc",
    "macro AUC",
    "Mean of the labels' areas under the ROC curve, each against the rest; undefined ones left out.",
    headline="any",
)
_add("weighted_auc", "weighted AUC", "The same mean, weighted by support.")
_add("micro_auc", "micro AUC", "Area under the ROC curve of all rows and labels together.")
_add(
    "source_f1",
    "source F1",
    "Mean over sources of the macro F1 of the labels that a source has; a small source counts as much as a large one.",
)
_add(
    "cell_f1",
    "cell F1",
    "Mean of the labels' F1 in each language; labels with under 50 true rows in a language are left out there.",
)
_add(
    "calibration_error",
    "calibration error",
    "Mean distance between claimed and true probability (expected calibration error, 15 bins).",
    headline="any",
    higher_is_better=False,
)
METRICS: Mapping[str, Metric] = MappingProxyType(_FOUND)


def metric(name: str) -> Metric:
    """Return the metric that a name means; `<task>/<metric>` means the metric of that task.

    Raises:
        ConfigError: There is none of this name.
    """
    found = METRICS.get(name.rpartition("/")[2])
    if found is None:
        raise ConfigError(f"there is no metric {name!r}", hint=suggest(name.rpartition("/")[2], METRICS), key="metric")
    return found


def higher_is_better(name: str) -> bool:
    """Say whether more of a metric is better; the name is as `metric` reads it."""
    return metric(name).higher_is_better


def goodness(name: str, value: float) -> float:
    """Return a value so that more is better, whatever the metric; an undefined one is the worst there is."""
    if np.isnan(value):
        return -np.inf
    return value if higher_is_better(name) else -value


def best(name: str, values: Sequence[float]) -> int | None:
    """Return the position of the best value of a metric, the earliest of equals; None if there is no value."""
    good = [goodness(name, value) for value in values]
    return good.index(max(good)) if good else None


def fitting(kind: Kind) -> tuple[str, ...]:
    """Return the names of the metrics that reports of a scheme may have."""
    kinds = {"any", "one-label" if kind.one_label else "multi-label"}
    if kind.ranks is not None:
        kinds |= {"ordered", "polar"} if len(kind.ranks) == 3 else {"ordered"}
    return tuple(name for name, found in METRICS.items() if found.in_reports and found.kinds in kinds)


def counted(counts: Tally) -> dict[str, Floats]:
    """Return every metric that follows from counts, `[...]` each; NaN where one is undefined."""
    named = ((name, METRICS[name].count) for name in fitting(counts.kind))
    return {name: count(counts) for name, count in named if count is not None}
