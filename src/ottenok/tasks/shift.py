"""The true shares of labels behind a classifier's answers, and how sure they are: label shift.

A classifier that takes a tenth of the bad reviews for good ones finds too many good ones where most are bad. How texts
of each true label are answered is counted on labelled rows; the shares that explain new answers best are sought. Two
ways are here:

- `em`: expectation maximisation of Saerens, Latinne and Decaestecker (2002, Neural Computation 14), on probabilities
  that are calibrated by counting: the probability of a label is the share of labelled rows that have it, of those that
  were answered alike with like confidence.
- `bbse`: the confusion of labels alone is inverted (Lipton, Wang and Smola 2018, arXiv:1802.03916).

Both assume that texts of a label are answered as the labelled rows of that label were, and that only the labels' shares
differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from ottenok.core.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from ottenok.tasks.task import Task

    Floats = npt.NDArray[np.float64]
    Whole = npt.NDArray[np.int64]

__all__ = ["AnswerCounts", "Correction", "GroupCounts", "Method", "bbse", "count_answers", "em", "questions"]

Method = Literal["em", "bbse"]

# Bins of the confidence of each answer; there are fewer where there are fewer labelled rows.
_BINS = 5
_BIN_ROWS = 60
_MOST_STEPS = 200
_NEAR = 1e-6
# A source has a say of its own from so many rows on; what it lacks is filled up with so many rows of all sources.
_LEAST_ROWS = 30
_LENT_ROWS = 20.0
# Fewer sources than this do not show how sources differ.
_LEAST_SOURCES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupCounts:
    """Labelled rows of one source in one language.

    Attributes:
        source: Its name; may be empty.
        language: ISO 639-1 code; "" where it is unknown.
        counts: For each question rows by cell and true class: cells one after the other, each with all classes.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    source: str
    language: str
    counts: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        if any(count < 0 for one in self.counts for count in one):
            raise ConfigError("found a count below zero", key="counts")


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerCounts:
    """How labelled rows of each true label were answered: what true shares of other texts are computed from.

    A task has one question (which label?), or, with several labels a text, one for each label (with it, or without?).
    A cell is an answer to a question and a range of its confidence.

    Attributes:
        data: Which rows were counted.
        edges: For each question and each of its answers the limits between the ranges of the probability, rising; one
            answer more than labels for texts that were given none.
        groups: The counts.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    data: str
    edges: tuple[tuple[tuple[float, ...], ...], ...]
    groups: tuple[GroupCounts, ...]

    def fits(self, task: Task) -> bool:
        """Say whether these are counts of a task: its questions, with as many answers, cells and classes."""
        asked = questions(task)
        several = task.scheme.kind == "multi-label"
        if [len(edges) for edges in self.edges] != [len(classes) + (not several) for classes in asked]:
            return False
        rising = all(list(limits) == sorted(limits) for edges in self.edges for limits in edges)
        sizes = [len(self.answers(place)) * len(classes) for place, classes in enumerate(asked)]
        return rising and all([len(counts) for counts in group.counts] == sizes for group in self.groups)

    @property
    def rows(self) -> int:
        """How many rows were counted, of the question that most have."""
        return max(
            (sum(sum(group.counts[place]) for group in self.groups) for place in range(len(self.edges))), default=0
        )

    def answers(self, question: int) -> Whole:
        """Return the answer of each cell of a question, int64 `[cells]`."""
        edges = self.edges[question]
        return np.repeat(np.arange(len(edges)), [len(limits) + 1 for limits in edges])

    def cells(self, task: Task, probs: npt.NDArray[np.floating[Any]]) -> Whole:
        """Return the cell of each text in each question, int64 `[texts, questions]`.

        Args:
            task: The task that the counts are of.
            probs: `[texts, labels]`; every text has something to read.
        """
        found = []
        for (answered, confidence), edges in zip(_answers(task, probs), self.edges, strict=True):
            starts = np.cumsum([0, *(len(limits) + 1 for limits in edges)])
            cell = starts[answered]
            for answer, limits in enumerate(edges):
                here = answered == answer
                cell[here] += np.searchsorted(limits, confidence[here], side="right")
            found.append(cell)
        return np.stack(found, axis=1)

    def tables(self, question: int, *, language: str | None = None) -> dict[str, Floats]:
        """Return source to rows by cell and true class, float64 `[cells, classes]`, in one language or all (None).

        A source says nothing of a label that none of its rows has: nobody may have looked for it.
        """
        found: dict[str, Floats] = {}
        cells = len(self.answers(question))
        for group in self.groups:
            if language is None or group.language == language:
                counts = np.array(group.counts[question], dtype=np.float64).reshape(cells, -1)
                found[group.source] = found.get(group.source, 0.0) + counts
        return {source: counts for source, counts in found.items() if counts.sum()}

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages of the rows, sorted."""
        return tuple(sorted({group.language for group in self.groups}))


def questions(task: Task) -> tuple[tuple[str, ...], ...]:
    """Return the classes of each question of a task: its labels, or for each label `without` and `with` it."""
    labels = task.scheme.labels
    return tuple(("", label) for label in labels) if task.scheme.kind == "multi-label" else (labels,)


def _answers(task: Task, probs: npt.NDArray[np.floating[Any]]) -> list[tuple[Whole, Floats]]:
    """Return for each question what every text was answered, and the probability of that: int64 and float64 `[texts]`.

    Of a text without a label the answer is one more than there are labels, and the probability the largest.
    """
    given = np.zeros(probs.shape, dtype=bool)
    for row, labels in enumerate(task.decide(np.asarray(probs, dtype=np.float32))):
        given[row, [task.scheme.index(label) for label in labels]] = True
    sure = np.asarray(probs, dtype=np.float64)
    width = len(task.scheme.labels)
    if task.scheme.kind == "multi-label":
        return [(given[:, label].astype(np.int64), sure[:, label]) for label in range(width)]
    answered = np.where(given.any(axis=1), given.argmax(axis=1), width)
    padded = np.concatenate([sure, sure.max(axis=1, keepdims=True)], axis=1)
    return [(answered, padded[np.arange(len(sure)), answered])]


def count_answers(
    task: Task,
    probs: npt.NDArray[np.floating[Any]],
    truth: npt.NDArray[np.bool_],
    *,
    sources: Sequence[str] | None = None,
    languages: Sequence[str] | None = None,
    data: str,
) -> AnswerCounts:
    """Count how labelled rows were answered.

    Args:
        task: The task.
        probs: `[rows, labels]`; rows of zeros, which had nothing to read, are left out.
        truth: bool `[rows, labels]`.
        sources: Of each row; None: unknown.
        languages: Of each row; None: unknown.
        data: What the rows are.

    Returns:
        The counts; without groups where no row can be used.
    """
    read = np.asarray(probs.any(axis=1), dtype=np.bool_)
    if task.scheme.kind != "multi-label":
        read &= truth.sum(axis=1) == 1
    probs, truth = probs[read], truth[read]
    nothing = [""] * len(read)
    pairs = np.array([*zip(sources or nothing, languages or nothing, strict=True)], dtype=object).reshape(-1, 2)[read]
    edges = []
    for answered, confidence in _answers(task, probs):
        answers = 2 if task.scheme.kind == "multi-label" else len(task.scheme.labels) + 1
        limits = []
        for answer in range(answers):
            sure = confidence[answered == answer]
            bins = int(np.clip(len(sure) // _BIN_ROWS, 1, _BINS))
            inner = np.quantile(sure, np.arange(1, bins) / bins) if bins > 1 else []
            limits.append(tuple(sorted({round(float(one), 4) for one in inner})))
        edges.append(tuple(limits))
    empty = AnswerCounts(data=data, edges=tuple(edges), groups=())
    cells = empty.cells(task, probs)
    groups = []
    for source, language in sorted({(source, language) for source, language in pairs}):
        here = (pairs[:, 0] == source) & (pairs[:, 1] == language)
        counts = []
        for question, classes in enumerate(questions(task)):
            size = len(empty.answers(question)) * len(classes)
            wide = task.scheme.kind == "multi-label"
            true = truth[here, question].astype(np.int64) if wide else truth[here].argmax(axis=1)
            known = not wide or truth[pairs[:, 0] == source, question].any()
            found = (
                np.bincount(cells[here, question] * len(classes) + true, minlength=size) if known else np.zeros(size)
            )
            counts.append(tuple(int(count) for count in found))
        groups.append(GroupCounts(source=source, language=language, counts=tuple(counts)))
    return AnswerCounts(data=data, edges=tuple(edges), groups=tuple(groups))


def em(counts: Floats, tables: Floats) -> Floats:
    """Return the shares of the classes that make the counts most probable, by expectation maximisation.

    Two steps tell where further ones would lead, and that is taken where it makes the counts more probable (Varadhan
    and Roland 2008, Scandinavian Journal of Statistics 35): many steps are needed where classes are answered alike.

    Args:
        counts: Texts in each cell, `[..., cells]`.
        tables: Probability of each cell for a text of each class, `[..., cells, classes]`; every column sums to 1, or
            is 0 where nothing is known of the class, which then has no share.

    Returns:
        float64 `[..., classes]`, each row sums to 1; equal shares where there are no texts.
    """
    shape = np.broadcast_shapes(counts.shape[:-1], tables.shape[:-2])
    weights = counts / np.maximum(counts.sum(axis=-1, keepdims=True), 1.0)
    weights = np.broadcast_to(weights, (*shape, counts.shape[-1])).reshape(-1, counts.shape[-1])
    tables = np.broadcast_to(tables, (*shape, *tables.shape[-2:])).reshape(-1, *tables.shape[-2:])
    shares = np.full((len(tables), tables.shape[-1]), 1.0 / tables.shape[-1])
    moving = np.flatnonzero(weights.any(axis=1))

    def step(now: Floats) -> tuple[Floats, Floats]:
        """Return the shares after a step, and how probable the counts are before it."""
        expected = np.maximum(np.einsum("nck,nk->nc", own, now), 1e-100)
        found = now * np.einsum("nck,nc->nk", own, seen / expected)
        found /= np.maximum(found.sum(axis=1, keepdims=True), 1e-100)
        return found, (seen * np.log(expected)).sum(axis=1, keepdims=True)

    for _ in range(_MOST_STEPS):
        if not len(moving):
            break
        own, seen, now = tables[moving], weights[moving], shares[moving]
        first, _ = step(now)
        second, _ = step(first)
        change = first - now
        bend = second - first - change
        ahead = np.sqrt((change**2).sum(axis=1) / np.maximum((bend**2).sum(axis=1), 1e-30))[:, None]
        leap = np.clip(now + 2 * ahead * change + ahead**2 * bend, 1e-5, None)
        leap /= leap.sum(axis=1, keepdims=True)
        third, likely = step(second)
        landed, better = step(leap)
        shares[moving] = np.where(better > likely, landed, third)
        moving = moving[np.abs(shares[moving] - now).max(axis=1) >= _NEAR]
    return shares.reshape(*shape, tables.shape[-1])


def bbse(counts: Floats, tables: Floats, answers: Whole) -> Floats:
    """Return the shares of the classes from the answers alone, by inverting their confusion.

    Args:
        counts: Texts in each cell, `[..., cells]`.
        tables: As in `em`.
        answers: The answer of each cell, `[cells]`.

    Returns:
        float64 `[..., classes]`, each row sums to 1; what the inverse puts below 0 is 0.
    """
    picked = (np.arange(answers.max() + 1)[:, None] == answers).astype(np.float64)
    confusion = np.einsum("ac,...ck->...ak", picked, tables)
    observed = counts @ picked.T
    observed = observed / np.maximum(observed.sum(axis=-1, keepdims=True), 1e-300)
    shares = np.clip(np.einsum("...ka,...a->...k", np.linalg.pinv(confusion), observed), 0.0, None)
    total = shares.sum(axis=-1, keepdims=True)
    found: Floats = np.where(total > 0, shares / np.maximum(total, 1e-300), 1.0 / tables.shape[-1])
    return found


class Correction:
    """Computes true shares from the cells of answers, with draws that say how sure they are.

    A draw takes another sample of the texts and another table of answers, because both are known from some rows only:
    a table of the labelled rows as they are; or, `elsewhere`, of one of their sources, chosen anew in each draw. The
    first holds for texts that are like the labelled ones, the second for texts of a kind that differs from theirs as
    they do among themselves.

    Args:
        counts: How labelled rows were answered.
        sources: Those of them that count; None or empty: all.
        elsewhere: As above. Where a language has fewer than three sources they can't show how sources differ, and it is
            left at the first.
        method: `em` or `bbse`.
        draws: How many.
        seed: Of the draws.
    """

    def __init__(
        self,
        counts: AnswerCounts,
        *,
        sources: Sequence[str] | None = None,
        elsewhere: bool = False,
        method: Method = "em",
        draws: int = 400,
        seed: int = 0,
    ) -> None:
        self.counts = counts
        self.draws = draws
        self._sources = frozenset(sources or [group.source for group in counts.groups])
        self._elsewhere = elsewhere
        self._method = method
        self._seed = seed
        self._tables: dict[tuple[int, str], tuple[Floats, Floats]] = {}

    def knows(self, question: int) -> bool:
        """Say whether labelled rows say anything of a question."""
        return bool(self._chosen(question, None))

    def shares(self, question: int, texts: Mapping[str, Whole]) -> tuple[Floats, Floats]:
        """Return the true shares of a question's classes, float64 `[classes]`, and draws of them `[draws, classes]`.

        Args:
            question: Its place.
            texts: Language to texts in each cell; a language without labelled rows is read as all of them together.
        """
        total = max(sum(int(counts.sum()) for counts in texts.values()), 1)
        point: Floats | float = 0.0
        drawn: Floats | float = 0.0
        generator = np.random.default_rng((self._seed, question, total))
        answers = self.counts.answers(question)
        for language, counts in sorted(texts.items()):
            if not (size := int(counts.sum())):
                continue
            table, tables = self._drawn_tables(question, language if language in self.counts.languages else "")
            # One text more, of any cell: what was not seen among few texts need not be absent.
            likely = (counts + 1.0 / len(counts)) / (size + 1.0)
            again = generator.multinomial(size, likely, size=self.draws).astype(np.float64)
            if self._method == "em":
                found, more = em(counts.astype(np.float64), table), em(again, tables)
            else:
                found, more = bbse(counts.astype(np.float64), table, answers), bbse(again, tables, answers)
            point, drawn = point + found * (size / total), drawn + more * (size / total)
        if isinstance(point, float) or isinstance(drawn, float):
            raise DataError("there are no texts whose shares could be corrected")
        return point, drawn

    def label_shares(self, cells: Whole, languages: Sequence[str], *, several: bool) -> tuple[Floats, Floats]:
        """Return the true share of each label, float64 `[labels]`, and draws of them `[draws, labels]`.

        Labels of which labelled rows say nothing are NaN.

        Args:
            cells: Of each text in each question, `[texts, questions]`.
            languages: Of each text.
            several: Whether a text may have several labels.
        """
        places = np.array(languages, dtype=object)
        found: list[tuple[Floats, Floats]] = []
        for question in range(cells.shape[1]):
            if not self.knows(question):
                found.append((np.full(2, np.nan), np.full((self.draws, 2), np.nan)))
                continue
            size = len(self.counts.answers(question))
            texts = {
                language: np.bincount(cells[places == language, question], minlength=size)
                for language in set(languages)
            }
            found.append(self.shares(question, texts))
        if not several:
            return found[0]
        return np.array([point[1] for point, _ in found]), np.stack([drawn[:, 1] for _, drawn in found], axis=1)

    def _drawn_tables(self, question: int, language: str) -> tuple[Floats, Floats]:
        """Return the probability of each cell for a text of each class, and draws of it; "" is any language."""
        key = question, language
        if key in self._tables:
            return self._tables[key]
        generator = np.random.default_rng((self._seed, question, 1 + sum(map(ord, language))))
        cells = len(self.counts.answers(question))
        everything = self._chosen(question, None)
        own = self._chosen(question, language) if language else everything
        if not everything:
            raise DataError("the labelled rows say nothing of a label", hint="Give some that do.")
        known = np.sum(list(everything.values()), axis=0)
        # A class that no labelled row has is not looked for.
        lent = _columns(np.where(known.sum(axis=0) > 0, known + 1.0 / cells, 1.0)) * (known.sum(axis=0) > 0)
        rows = np.sum(list(own.values()), axis=0) if own else np.zeros_like(lent)
        # A class without rows in this language is answered as it is in all.
        pooled = rows + np.where(rows.sum(axis=0) < _LENT_ROWS, _LENT_ROWS, 1.0) * lent
        wide = [counts for counts in own.values() if counts.sum() >= _LEAST_ROWS]
        if self._elsewhere and len(wide) >= _LEAST_SOURCES:
            picked = np.stack(wide)[generator.integers(len(wide), size=self.draws)] + _LENT_ROWS * _columns(pooled)
        else:
            picked = np.broadcast_to(pooled, (self.draws, *pooled.shape))
        # A Dirichlet draw is one of gammas, brought to a sum of 1.
        drawn = _columns(generator.standard_gamma(picked))
        self._tables[key] = _columns(pooled), drawn
        return self._tables[key]

    def _chosen(self, question: int, language: str | None) -> dict[str, Floats]:
        tables = self.counts.tables(question, language=language)
        return {source: counts for source, counts in tables.items() if source in self._sources}


def _columns(counts: Floats) -> Floats:
    shares: Floats = counts / np.maximum(counts.sum(axis=-2, keepdims=True), 1e-300)
    return shares
