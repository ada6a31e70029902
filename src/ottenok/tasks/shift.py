"""The true shares of labels behind a classifier's answers, and how sure they are: label shift.

A classifier that takes a tenth of the bad reviews for good ones finds too many good ones where most are bad. How texts
of each true label are answered is counted on labelled rows; the shares that explain new answers best are sought. Two
ways are here:

- `em`: expectation maximisation of Saerens, Latinne and Decaestecker (2002, Neural Computation 14), on probabilities
  that are calibrated by counting: the probability of a label is the share of labelled rows that have it, of those that
  were answered alike with like confidence.
- `bbse`: the confusion of labels alone is inverted (Lipton, Wang and Smola 2018, arXiv:1802.03916).

Both assume that texts of a label are answered as the labelled rows of that label were, and that only the labels' shares
differ. Where a text may have several labels this holds for sets of labels and not for each label: how texts without
joy are answered depends on how many of them are angry. So shares of the sets that occur are sought (by `em`), and a
label's share is that of its sets.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from ottenok.core.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from ottenok.tasks.task import Task

    Floats = npt.NDArray[np.float64]
    Whole = npt.NDArray[np.int64]

__all__ = ["AnswerCounts", "Correction", "GroupCounts", "Method", "bbse", "count_answers", "em"]

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
# A set of labels is a class of its own from so many rows on, and from this share of all of them.
_LEAST_SET_ROWS = 2
_LEAST_SET_SHARE = 0.01
# Draws of sets of labels differ by so much more: what else comes with a set was not drawn, and validation rows that
# were picked by a label needed as much (docs/drift.md).
_SET_SPREAD = 1.2


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

    A task has one question (which label?), or, with several labels a text, one for each label (with it, or without?)
    and a last one (which labels together?), whose answer is the most probable of the given labels. A cell is an answer
    to a question and a range of its confidence.

    Attributes:
        data: Which rows were counted.
        edges: For each question and each of its answers the limits between the ranges of the probability, rising; one
            answer more than labels for texts that were given none.
        groups: The counts.
        sets: The classes of the last question: sets of labels, by their places in the scheme. One class more holds all
            rarer sets. Empty: there is no such question, as in counts of ottenok before it had one.
        rarer: For each label the rows of rarer sets that have it.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    data: str
    edges: tuple[tuple[tuple[float, ...], ...], ...]
    groups: tuple[GroupCounts, ...]
    sets: tuple[tuple[int, ...], ...] = ()
    rarer: tuple[int, ...] = ()

    def fits(self, task: Task) -> bool:
        """Say whether these are counts of a task: its questions, with as many answers, cells and classes."""
        labels = len(task.scheme.labels)
        answers, classes = [labels + 1], [labels]
        if task.scheme.kind == "multi-label":
            answers, classes = [2] * labels, [2] * labels
            if self.sets:
                answers, classes = [*answers, labels + 1], [*classes, len(self.sets) + 1]
        if [len(edges) for edges in self.edges] != answers:
            return False
        places = {place for one in self.sets for place in one}
        if self.sets and (len(self.rarer) != labels or not places <= set(range(labels)) or min(self.rarer) < 0):
            return False
        rising = all(list(limits) == sorted(limits) for edges in self.edges for limits in edges)
        sizes = [len(self.answers(place)) * count for place, count in enumerate(classes)]
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
        # Counts without the question of sets leave its answers.
        for (answered, confidence), edges in zip(_answers(task, probs), self.edges, strict=not self.several):
            starts = np.cumsum([0, *(len(limits) + 1 for limits in edges)])
            cell = starts[answered]
            for answer, limits in enumerate(edges):
                here = answered == answer
                cell[here] += np.searchsorted(limits, confidence[here], side="right")
            found.append(cell)
        return np.stack(found, axis=1)

    def tally(self, cells: Whole, languages: Sequence[str]) -> dict[str, list[Whole]]:
        """Return language to texts in each cell of each question.

        Args:
            cells: Of each text, `[texts, questions]`.
            languages: Of each text.
        """
        sizes = [len(self.answers(question)) for question in range(len(self.edges))]
        spoken = np.array(languages, dtype=object)
        return {
            language: [
                np.bincount(cells[spoken == language, question], minlength=size) for question, size in enumerate(sizes)
            ]
            for language in sorted(set(languages))
        }

    @property
    def several(self) -> bool:
        """Whether a text may have several labels: the first question is then a yes or no."""
        return bool(self.edges) and len(self.edges[0]) == 2

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


def _answers(task: Task, probs: npt.NDArray[np.floating[Any]]) -> list[tuple[Whole, Floats]]:
    """Return for each question what every text was answered, and the probability of that: int64 and float64 `[texts]`.

    Of a text without a label the answer is one more than there are labels, and the probability the largest.
    """
    given = np.zeros(probs.shape, dtype=bool)
    for row, labels in enumerate(task.decide(np.asarray(probs, dtype=np.float32))):
        given[row, [task.scheme.index(label) for label in labels]] = True
    sure = np.asarray(probs, dtype=np.float64)
    nothing = np.flatnonzero(~given.any(axis=1))
    top = np.where(given, sure, -1.0).argmax(axis=1)
    top[nothing] = sure[nothing].argmax(axis=1)
    confidence = sure[np.arange(len(sure)), top]
    top[nothing] = probs.shape[1]
    whole = top, confidence
    if task.scheme.kind != "multi-label":
        return [whole]
    return [*((given[:, label].astype(np.int64), sure[:, label]) for label in range(probs.shape[1])), whole]


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
    several = task.scheme.kind == "multi-label"
    width = probs.shape[1]
    classes = [truth[:, place].astype(np.int64) for place in range(width)] if several else [truth.argmax(axis=1)]
    sizes = [2] * width if several else [width]
    sets: list[tuple[int, ...]] = []
    rarer: tuple[int, ...] = ()
    if several:
        least = _LEAST_SET_ROWS + int(_LEAST_SET_SHARE * len(truth))
        rows = Counter(tuple(np.flatnonzero(row).tolist()) for row in truth)
        sets = [one for one, count in rows.most_common() if count >= least]
        numbers = {one: number for number, one in enumerate(sets)}
        if sets:
            places = [numbers.get(tuple(np.flatnonzero(row).tolist()), len(sets)) for row in truth]
            classes.append(np.array(places, dtype=np.int64))
            sizes.append(len(sets) + 1)
            rarer = tuple(truth[classes[-1] == len(sets)].sum(axis=0).tolist())
    edges: list[tuple[tuple[float, ...], ...]] = []
    for answered, confidence in _answers(task, probs)[: len(sizes)]:
        limits = []
        for answer in range(2 if several and len(edges) < width else width + 1):
            sure = confidence[answered == answer]
            bins = int(np.clip(len(sure) // _BIN_ROWS, 1, _BINS))
            inner = np.quantile(sure, np.arange(1, bins) / bins) if bins > 1 else []
            limits.append(tuple(sorted({round(float(one), 4) for one in inner})))
        edges.append(tuple(limits))
    empty = AnswerCounts(data=data, edges=tuple(edges), groups=(), sets=tuple(sets), rarer=rarer)
    cells = empty.cells(task, probs)
    groups = []
    for source, language in sorted({(source, language) for source, language in pairs}):
        own = pairs[:, 0] == source
        here = own & (pairs[:, 1] == language)
        counts = []
        for question, size in enumerate(sizes):
            whole = len(empty.answers(question)) * size
            found = np.bincount(cells[here, question] * size + classes[question][here], minlength=whole)
            if several and question < width and not truth[own, question].any():
                found = np.zeros(whole, dtype=np.int64)
            counts.append(tuple(found.tolist()))
        groups.append(GroupCounts(source=source, language=language, counts=tuple(counts)))
    return replace(empty, groups=tuple(groups))


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
        expected = np.maximum((own @ now[:, :, None])[:, :, 0], 1e-100)
        found = now * ((seen / expected)[:, None, :] @ own)[:, 0, :]
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
        self._tables: dict[tuple[int, str], Floats] = {}
        # Sets of labels are those of one kind of texts; the answers alone do not tell so many of them apart.
        self._together = bool(counts.sets) and method == "em" and not elsewhere

    def label_shares(self, texts: Mapping[str, Sequence[Whole]], answered: Floats) -> tuple[Floats, Floats]:
        """Return the true share of each label, float64 `[labels]`, and draws of them `[draws, labels]`.

        The share is the mean of the draws, drawn back to that of the answers as far as the two differ by no more than
        the draws do among themselves: by the part doubt / (doubt + difference), both squared and summed over labels.
        With few labelled rows that is nearer to the truth than either. A label of which labelled rows say nothing has
        the share of the answers, and draws that are NaN.

        Args:
            texts: Language to texts in each cell of each question (`AnswerCounts.tally`); a language without labelled
                rows is read as all of them together.
            answered: The shares of the answers, `[labels]`.
        """
        width = len(answered)
        drawn = np.full((self.draws, width), np.nan)
        if self._together:
            member = np.zeros((len(self.counts.sets) + 1, width))
            for place, labels in enumerate(self.counts.sets):
                member[place, list(labels)] = 1.0
            rare = np.array(self.counts.rarer, dtype=np.float64)
            member[-1] = rare > 0
            seen = np.sum(list(self._chosen(width, None).values()), axis=0).sum(axis=0) @ member > 0
            # Which labels rarer sets have is known from few rows too: half a row more has each label, and half has not.
            rows = max(sum(table[:, -1].sum() for table in self.counts.tables(width).values()), rare.max())
            generator = np.random.default_rng((self._seed, width))
            members = np.tile(member, (self.draws, 1, 1))
            members[:, -1] *= generator.beta(rare + 0.5, rows - rare + 0.5, size=(self.draws, width))
            shares = (self._drawn_shares(width, texts)[:, None, :] @ members)[:, 0, seen]
            drawn[:, seen] = np.clip(shares.mean(axis=0) + _SET_SPREAD * (shares - shares.mean(axis=0)), 0.0, 1.0)
        elif self.counts.several:
            for label in range(width):
                if self._chosen(label, None):
                    drawn[:, label] = self._drawn_shares(label, texts)[:, 1]
        elif self._chosen(0, None):
            drawn = self._drawn_shares(0, texts)
        known = ~np.isnan(drawn[0])
        found = answered.astype(np.float64)
        change = drawn[:, known].mean(axis=0) - found[known]
        gap, doubt = float((change**2).sum()), float(drawn[:, known].var(axis=0).sum())
        found[known] += change * (gap / max(gap + doubt, 1e-300))
        # Texts may be without an answer, but each has one label.
        return found if self.counts.several else found / max(float(found.sum()), 1e-300), drawn

    def _drawn_shares(self, question: int, texts: Mapping[str, Sequence[Whole]]) -> Floats:
        """Return draws of the true shares of a question's classes, float64 `[draws, classes]`."""
        sizes = {language: int(counts[question].sum()) for language, counts in texts.items()}
        total = sum(sizes.values())
        if not total:
            raise DataError("there are no texts whose shares could be corrected")
        generator = np.random.default_rng((self._seed, question, total))
        drawn: Floats | float = 0.0
        for language, size in sorted(sizes.items()):
            if not size:
                continue
            tables = self._drawn_tables(question, language if language in self.counts.languages else "")
            counts = texts[language][question]
            # One text more, of any cell: what was not seen among few texts need not be absent.
            likely = (counts + 1.0 / len(counts)) / (size + 1.0)
            again = generator.multinomial(size, likely, size=self.draws).astype(np.float64)
            found = em(again, tables) if self._method == "em" else bbse(again, tables, self.counts.answers(question))
            drawn = drawn + found * (size / total)
        return np.asarray(drawn)

    def _drawn_tables(self, question: int, language: str) -> Floats:
        """Return draws of the probability of each cell for a text of each class; "" is any language."""
        key = question, language
        if key in self._tables:
            return self._tables[key]
        generator = np.random.default_rng((self._seed, question, 1 + sum(map(ord, language))))
        everything = self._chosen(question, None)
        own = self._chosen(question, language) if language else everything
        if not everything:
            raise DataError("the labelled rows say nothing of a label", hint="Give some that do.")
        known = np.sum(list(everything.values()), axis=0)
        rows = np.sum(list(own.values()), axis=0) if own else np.zeros_like(known)
        # One row more, answered as any is; and a class with few rows in this language is lent those of the others.
        any_row = _columns(known.sum(axis=1, keepdims=True) + 1.0 / len(known))
        others = (known - rows).sum(axis=0)
        lent = np.where(rows.sum(axis=0) < _LENT_ROWS, np.minimum(others, _LENT_ROWS), 0.0)
        # A class that no labelled row has is not looked for.
        pooled = (rows + any_row + lent * _columns(known - rows)) * (known.sum(axis=0) > 0)
        wide = [counts for counts in own.values() if counts.sum() >= _LEAST_ROWS]
        if self._elsewhere and len(wide) >= _LEAST_SOURCES:
            picked = np.stack(wide)[generator.integers(len(wide), size=self.draws)] + _LENT_ROWS * _columns(pooled)
        else:
            picked = np.broadcast_to(pooled, (self.draws, *pooled.shape))
        # A Dirichlet draw is one of gammas, brought to a sum of 1.
        self._tables[key] = _columns(generator.standard_gamma(picked))
        return self._tables[key]

    def _chosen(self, question: int, language: str | None) -> dict[str, Floats]:
        tables = self.counts.tables(question, language=language)
        return {source: counts for source, counts in tables.items() if source in self._sources}


def _columns(counts: Floats) -> Floats:
    shares: Floats = counts / np.maximum(counts.sum(axis=-2, keepdims=True), 1e-300)
    return shares
