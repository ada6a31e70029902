"""When not to answer: for each label the least confidence at which a promised precision is kept.

The promise has a finite-sample proof and no assumption but that new texts are like those that it was fitted on. A
label's answers are ordered by confidence, and larger and larger sets of the most confident ones are tested, in an order
that is fixed beforehand, until one test fails ("fixed-sequence testing", the way of Angelopoulos, Bates, Candès, Jordan
and Lei 2021, "Learn then Test", arXiv:2110.01052). Each test is the exact binomial one (Clopper and Pearson 1934). A
sequence costs nothing for its length, since it ends with the first test that fails; the allowed risk is divided among
the labels of a task and the three beginnings of a label (Bonferroni), so that all labels keep the promise together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ottenok.core.errors import ConfigError
from ottenok.tasks.tables import Grid

if TYPE_CHECKING:
    import numpy.typing as npt

    from ottenok.tasks.task import Task

__all__ = [
    "PROMISE",
    "LabelPromise",
    "Selective",
    "SelectiveReport",
    "fit_selective",
    "risk_coverage",
    "selective_sentence",
    "selective_table",
]

# How the sentence on a promise begins.
PROMISE = "Answers that are too unsure are withheld, so that at least"
# Each set that is tested is so much larger than the one before it.
_GROWTH = 1.08
# Shares of a label's answers at which sequences begin.
_STARTS = (0.0, 0.12, 0.3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selective:
    """Which answers of a task are given.

    Attributes:
        precision: The promised share of right answers among those that are given, of every label.
        risk: The probability, over the draw of the rows of the fit, that the promise is not kept.
        limits: The least probability of each label at which it is given, in the labels' order; None: never, because no
            limit was found that keeps the promise.
    """

    # Read by pydantic where a manifest holds it.
    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    precision: float
    risk: float
    limits: tuple[float | None, ...]

    def __post_init__(self) -> None:
        for key in ("precision", "risk"):
            if not 0.0 < getattr(self, key) < 1.0:
                raise ConfigError(f"found {getattr(self, key)}, expected a number between 0 and 1", key=key)
        if not all(limit is None or 0.0 <= limit <= 1.0 for limit in self.limits):
            raise ConfigError(f"found {list(self.limits)}, expected probabilities or null", key="limits")

    def keeps(self, label: int, probability: float) -> bool:
        """Say whether an answer of this label is given at this probability."""
        limit = self.limits[label]
        return limit is not None and probability >= limit


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelPromise:
    """What was found for one label.

    Attributes:
        label: Its name.
        answers: Rows whose answer holds it.
        limit: The least probability at which it is given; None: never.
        given: Answers of the fit that are given.
        right: Of them those that are right.
    """

    label: str
    answers: int
    limit: float | None
    given: int
    right: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectiveReport:
    """A fitted promise, and what it costs on the rows of the fit.

    Attributes:
        selective: The promise.
        labels: Label by label.
        rows: Rows of the fit.
        covered: Rows that still get an answer.
        area: Area under the risk-coverage curve of the rows; 0 is best.
    """

    selective: Selective
    labels: tuple[LabelPromise, ...]
    rows: int
    covered: int
    area: float


def fit_selective(
    task: Task, probs: npt.NDArray[np.float32], truth: npt.NDArray[np.bool_], *, precision: float, risk: float = 0.05
) -> SelectiveReport:
    """Find for each label of a task the least probability that keeps a promise.

    Args:
        task: Whose decision gives the answers.
        probs: `[rows, labels]`, of rows that the model was not trained on.
        truth: bool `[rows, labels]`.
        precision: Promised of each label's answers, between 0 and 1.
        risk: Allowed probability that the promise is not kept by all labels, between 0 and 1.

    Raises:
        ConfigError: A number is not between 0 and 1.
    """
    Selective(precision=precision, risk=risk, limits=())
    answer = task.chosen(probs)
    promises = []
    for place, label in enumerate(task.scheme.labels):
        rows = np.flatnonzero(answer[:, place])
        sure, right = probs[rows, place], truth[rows, place]
        limit = _limit(sure, right, precision, risk / len(task.scheme.labels))
        given = sure >= (2.0 if limit is None else np.float32(limit))
        promises.append(
            LabelPromise(
                label=label, answers=len(rows), limit=limit, given=int(given.sum()), right=int(right[given].sum())
            )
        )
    limits = tuple(one.limit for one in promises)
    kept = answer & (probs >= np.array([2.0 if one is None else one for one in limits], dtype=np.float32))
    return SelectiveReport(
        selective=Selective(precision=precision, risk=risk, limits=limits),
        labels=tuple(promises),
        rows=len(probs),
        covered=int(kept.any(axis=1).sum()),
        area=risk_coverage(task, probs, truth)[2],
    )


def _limit(sure: npt.NDArray[np.float32], right: npt.NDArray[np.bool_], precision: float, risk: float) -> float | None:
    """Return the least probability whose answers pass the test, or None.

    A set is all answers above the probability of the one that is next: given that probability, they are independent
    draws from the answers above it, which the test needs.
    """
    order = np.argsort(-sure, kind="stable")
    levels, errors = sure[order], np.cumsum(~right[order])
    # So many right answers pass without an error; twice as many may hold one. Beginnings further down have a better
    # view of labels whose surest answers are no better than others.
    least = 2.0 * math.log(risk / len(_STARTS)) / math.log(precision)
    starts = sorted({max(least, share * len(levels)) for share in _STARTS})
    passed: list[float] = []
    for start in starts:
        size = start
        while True:
            # Where nothing is left to compare with, the set is all answers.
            level = levels[math.ceil(size)] if math.ceil(size) < len(levels) else np.float32(0.0)
            count = int((levels > level).sum())  # equal ones are all out
            if not count or _tail(int(errors[count - 1]), count, 1.0 - precision) > risk / len(starts):
                break
            passed.append(float(np.nextafter(level, np.float32(2.0))) if level > 0.0 else 0.0)
            if level == 0.0:
                break
            size *= _GROWTH
    return min(passed, default=None)


def _tail(errors: int, count: int, rate: float) -> float:
    """Return the probability of at most so many errors among `count` answers if each is wrong at this rate."""
    terms = [
        math.lgamma(count + 1) - math.lgamma(k + 1) - math.lgamma(count - k + 1)
        + k * math.log(rate) + (count - k) * math.log1p(-rate)
        for k in range(errors + 1)
    ]  # fmt: skip
    top = max(terms)
    return math.exp(top) * sum(math.exp(term - top) for term in terms)


def risk_coverage(
    task: Task, probs: npt.NDArray[np.float32], truth: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], float]:
    """Return what share of answers is wrong where the most confident ones alone are given.

    Answers are labels: a row of a multi-label scheme may have several (El-Yaniv and Wiener 2010, "On the Foundations of
    Noise-free Selective Classification"; the area is the mean of the risks over all coverages).

    Args:
        task: Whose decision gives the answers.
        probs: `[rows, labels]`.
        truth: bool `[rows, labels]`.

    Returns:
        Coverages and risks, a point for each probability that occurs, from the most confident on; and the area under
        them. Empty and 0 where nothing is answered.
    """
    rows, labels = np.nonzero(task.chosen(probs))
    sure, right = probs[rows, labels], truth[rows, labels]
    order = np.argsort(-sure, kind="stable")
    if not len(order):
        return np.zeros(0), np.zeros(0), 0.0
    counts = np.arange(1, len(order) + 1)
    risks = np.cumsum(~right[order]) / counts
    # Equal probabilities are given or left out together.
    last = np.flatnonzero(np.append(np.diff(sure[order]) != 0, True))
    widths = np.diff(last, prepend=-1)
    return counts[last] / len(order), risks[last], float((risks[last] * widths).sum() / len(order))


def selective_sentence(report: SelectiveReport) -> str:
    """Return what is promised and what it costs, a sentence for people."""
    promise, never = report.selective, [one.label for one in report.labels if one.limit is None]
    told = (
        f"{PROMISE} {promise.precision:.0%} of the given answers of each label are right, on texts like those of the "
        f"fit, but for a risk of {promise.risk:.0%}: {report.covered:,} of the {report.rows:,} rows of the fit get one."
    )
    return f"{told} Never given, for want of such answers: {', '.join(never)}." if never else told


def selective_table(report: SelectiveReport) -> Grid:
    """Return a row per label: its limit, what it keeps, and how many of these are right."""
    return Grid(
        header=("label", "answers", "limit", "given", "right"),
        rows=tuple(
            (
                one.label,
                f"{one.answers:,}",
                "never" if one.limit is None else f"{one.limit:.3f}",
                f"{one.given:,} ({one.given / max(one.answers, 1):.0%})",
                f"{one.right / one.given:.1%}" if one.given else "-",
            )
            for one in report.labels
        ),
    )
