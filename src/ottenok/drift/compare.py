"""Two sets of texts side by side: what has changed, by how much, and whether that is more than chance."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from ottenok.core.errors import ConfigError, DataError
from ottenok.core.progress import SILENT, stage
from ottenok.core.suggest import suggest
from ottenok.drift.profile import LabelCounts, Profile, measure_texts, read_scrape, since
from ottenok.drift.statistics import (
    ChangedWord,
    adjusted,
    area,
    changed_words,
    largest_gap,
    permuted_counts,
    spread_bins,
    total_variation,
    vector_test,
)
from ottenok.drift.texts import MOST_WINDOWS, Texts
from ottenok.inference.api import load
from ottenok.inference.classifier import Classifier
from ottenok.tables.options import TableOptions
from ottenok.tasks.metrics import Interval
from ottenok.tasks.shift import Correction

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from ottenok.core.progress import Progress
    from ottenok.drift.texts import TextsFrom
    from ottenok.tasks.shift import AnswerCounts

    Floats = npt.NDArray[np.float64]
    Whole = npt.NDArray[np.int64]

__all__ = ["FLOORS", "Change", "Drift", "LabelChange", "find_drift"]

# Least effects that are worth an alarm, by kind of test: what each is measured in is said in `Change.effect`.
FLOORS: Mapping[str, float] = MappingProxyType(
    {
        "languages": 0.02,
        "answers": 0.02,
        "length": 0.10,
        "capitals": 0.10,
        "unknown": 0.10,
        "unfamiliar": 0.10,
        "confidence": 0.10,
        "labels": 0.03,
        "embeddings": 0.60,
    }
)
# Texts of each side whose embeddings are compared.
_VECTORS = 2000
# Words that are shown.
_WORDS = 40
_EMPTY_TABLE = TableOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelChange:
    """One label's share before and after.

    Attributes:
        label: Its name.
        old: Share of the reference's texts that are answered so, 0..1.
        new: Share of the new texts.
        true_old: The share behind the answers, with its 95 % interval; where labelled rows are of several kinds, the
            share of the answers with the range over these kinds, as in `ottenok.drift.shares`; None where neither is
            known.
        true_new: Likewise.
        true_change: The difference of the two.
    """

    label: str
    old: float
    new: float
    true_old: Interval | None = None
    true_new: Interval | None = None
    true_change: Interval | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing that was compared.

    Attributes:
        name: `languages`, `length`, ..., or `labels: TASK`.
        kind: The part before the colon.
        title: For people.
        effect: How much it changed, 0..1: of shares half the sum of their differences, or, of labels that may come
            together, the largest difference; of numbers the largest difference between the shares of texts up to a
            number; of embeddings how often a line between old and new texts tells one of each apart, .5 by chance.
        floor: Least effect that is worth an alarm.
        p: By permutation.
        p_adjusted: For all tests together, by Holm.
        alarm: Whether it is both improbable and large.
        old: What the reference was: shares of categories, or quantiles of numbers.
        new: What the new texts are, likewise.
        labels: Of labels, each one.
    """

    name: str
    kind: str
    title: str
    effect: float
    floor: float
    p: float
    p_adjusted: float
    alarm: bool
    old: dict[str, float] = field(default_factory=dict)
    new: dict[str, float] = field(default_factory=dict)
    labels: tuple[LabelChange, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """What has changed.

    Attributes:
        reference: Name of the reference.
        new: Name of the new set.
        rows: How many texts each has.
        texts: How many of each were measured.
        left_out: Reason to number of rows without a text, of each.
        alpha: Allowed probability of any false alarm.
        changes: What was compared.
        words: The words that changed most, of all that changed (by Benjamini and Hochberg at `alpha`).
        notes: What a reader should know, a sentence each.
    """

    reference: str
    new: str
    rows: tuple[int, int]
    texts: tuple[int, int]
    left_out: tuple[dict[str, int], dict[str, int]]
    alpha: float
    changes: tuple[Change, ...]
    words: tuple[ChangedWord, ...]
    notes: tuple[str, ...]

    @property
    def alarm(self) -> bool:
        """Whether anything changed that is worth an alarm."""
        return any(change.alarm for change in self.changes)

    @property
    def alarms(self) -> tuple[Change, ...]:
        """What changed so."""
        return tuple(change for change in self.changes if change.alarm)

    def to_json(self) -> dict[str, Any]:
        """Return it as a mapping that JSON can hold."""
        tree = asdict(self)
        return {"alarm": self.alarm, "alarms": [change.name for change in self.alarms], **tree}

    def to_html(self) -> str:
        """Return it as a page: static, without scripts, safe whatever the texts are (extra `report`).

        Raises:
            MissingExtraError: jinja2 or matplotlib is not installed.
        """
        from ottenok.drift.page import drift_page

        return drift_page(self)


def find_drift(  # noqa: PLR0913 - an option each
    reference: TextsFrom,
    new: TextsFrom,
    *,
    text: str = "text",
    model: Classifier | str | Path | None = None,
    rows: int = 5000,
    alpha: float = 0.05,
    floors: Mapping[str, float] | None = None,
    permutations: int = 1999,
    apart: bool = False,
    seed: int = 0,
    table: TableOptions = _EMPTY_TABLE,
    cache: Path | None = None,
    progress: Progress = SILENT,
) -> Drift:
    """Compare two sets of texts, or what a server counted at two times.

    Args:
        reference: A table, a folder of tables, a built corpus, a glob, a list of texts, or a file with the text of a
            server's `/metrics`.
        new: Likewise.
        text: Column of the texts.
        model: What reads them: a classifier, or what `ottenok.load` takes. Of servers' counts the model's name there.
        rows: Most texts that are measured of each; a larger set is sampled, all of it with equal probability.
        alpha: Allowed probability of any false alarm, 0..1, if nothing has changed.
        floors: Kind of test to the least effect that is worth an alarm, in place of those in `FLOORS`.
        permutations: Draws of each test.
        apart: The two texts of `/metrics` are of different servers: the later one is not taken to go on from the first.
        seed: Of samples and draws.
        table: How tables are read.
        cache: Folder for what is fetched and converted.
        progress: Hears of texts done.

    Raises:
        ConfigError: An option has a value that it can't have.
        DataError: A set can't be read.
        InputError: A set has no text.
        ModelError: The model can't be run.
    """
    limits = dict(FLOORS)
    for kind, floor in (floors or {}).items():
        if kind not in limits:
            raise ConfigError(
                f"there is no test {kind!r}", hint=suggest(kind, limits) or f"Known: {', '.join(limits)}.", key="floors"
            )
        if not 0 <= floor <= 1:
            raise ConfigError(f"found {floor}, expected a number from 0 to 1", key=f"floors.{kind}")
        limits[kind] = floor
    if not 0 < alpha < 1:
        raise ConfigError(f"found {alpha}, expected a number between 0 and 1", key="alpha")
    if rows < 1:
        raise ConfigError(f"found {rows}, expected a whole number of at least 1", key="rows")
    if permutations < 1 / alpha:
        raise ConfigError(f"{permutations} permutations can't show a probability below {alpha}", key="permutations")
    counted = [
        read_scrape(one, model=None if isinstance(model, Classifier | Path) else model) for one in (reference, new)
    ]
    notes: list[str] = []
    answers: dict[str, AnswerCounts] = {}
    profiles: list[Profile] = []
    if counted[0] is not None and counted[1] is not None and not apart:
        later = since(counted[0], counted[1])
        if later is not None:
            counted[1] = later
            notes.append(
                "The second text goes on counting from the first, so what came between them is compared with what was "
                "before (--apart: they are of different servers)."
            )
    if None in counted:
        samples = [
            None if one is not None else Texts(source, text=text, table=table).sample(rows, progress, seed=seed)
            for source, one in zip((reference, new), counted, strict=True)
        ]
        classifier = (
            model
            if isinstance(model, Classifier)
            else load(model, max_windows=MOST_WINDOWS, cache=cache, progress=progress)
        )
        facts = classifier.manifest.answers
        answers = {task.name: facts[task.name] for task in classifier.tasks if task.name in facts}
        vectors = _VECTORS if all(samples) else 0
        for sample, one in zip(samples, counted, strict=True):
            if sample is not None:
                measured = measure_texts(sample, classifier, answers=answers, vectors=vectors, progress=progress)
                profiles.append(measured)
            elif one is not None:
                profiles.append(one)
    else:
        profiles = [one for one in counted if one is not None]
    notes += [
        f"Of {profile.name}, {profile.texts:,} of {profile.rows:,} texts were measured."
        for profile in profiles
        if profile.rows > profile.texts
    ]
    with stage(progress, "comparing", total=None, unit="tests"):
        changes = compare(
            profiles[0], profiles[1], answers=answers, alpha=alpha, floors=limits, permutations=permutations, seed=seed,
            progress=progress,
        )  # fmt: skip
    if not changes:
        raise DataError(
            "the two have nothing in common that could be compared", hint="Both should be of the same model and tasks."
        )
    few = min(profile.texts for profile in profiles)
    if few < 100:
        notes.append(f"With {few:,} texts on one side only large changes can be told from chance.")
    words: list[ChangedWord] = []
    old_words, new_words = profiles[0].words, profiles[1].words
    if old_words is not None and new_words is not None:
        found = changed_words(old_words, new_words, texts=(profiles[0].worded, profiles[1].worded))
        words = [word for word in found if word.p <= alpha][:_WORDS]
    return Drift(
        reference=profiles[0].name,
        new=profiles[1].name,
        rows=(profiles[0].rows, profiles[1].rows),
        texts=(profiles[0].texts, profiles[1].texts),
        left_out=(profiles[0].left_out, profiles[1].left_out),
        alpha=alpha,
        changes=changes,
        words=tuple(words),
        notes=tuple(notes),
    )


def compare(
    old: Profile,
    new: Profile,
    *,
    answers: Mapping[str, AnswerCounts],
    alpha: float,
    floors: Mapping[str, float],
    permutations: int,
    seed: int,
    progress: Progress = SILENT,
) -> tuple[Change, ...]:
    """Compare two profiles in everything that both know.

    Args:
        old: The reference.
        new: The new set.
        answers: Task to how labelled rows were answered, where shares can be corrected.
        alpha: Allowed probability of any false alarm.
        floors: Kind of test to the least effect that is worth an alarm.
        permutations: Draws of each test.
        seed: Of the draws.
        progress: Hears of tests done.
    """
    generator = np.random.default_rng(seed)
    found: list[dict[str, Any]] = []

    def test(
        name: str,
        title: str,
        counts: tuple[Whole, Whole],
        statistic: Callable[[Floats, Floats], Floats],
        **more: Any,  # noqa: ANN401 - fields of Change
    ) -> None:
        effect, p = permuted_counts(*counts, statistic, draws=permutations, generator=generator)
        found.append({"name": name, "kind": name.partition(":")[0], "title": title, "effect": effect, "p": p, **more})
        progress.advance()

    for name, title, few, more in (
        ("languages", "languages", old.languages, new.languages),
        ("answers", "texts with and without an answer", old.outcomes, new.outcomes),
    ):
        if few is not None and more is not None:
            both = few + more
            keys = sorted(both, key=lambda key: (-both[key], key))
            first, second = (np.array([side[key] for key in keys], dtype=np.int64) for side in (few, more))
            shown = [dict(zip(keys, (side / max(side.sum(), 1)).tolist(), strict=True)) for side in (first, second)]
            test(name, title, (first, second), total_variation, old=shown[0], new=shown[1])
    numbers: list[tuple[str, str, Floats | None, Floats | None]] = [
        ("length", "length in characters", old.characters, new.characters),
        ("capitals", "share of capital letters", old.capitals, new.capitals),
        ("unknown", "share of unknown pieces", old.unknown, new.unknown),
        ("unfamiliar", "how strange the texts are", old.unfamiliar, new.unfamiliar),
    ]
    numbers += [
        (f"confidence: {task}", f"confidence, {task}", sure, new.confidence[task])
        for task, sure in old.confidence.items()
        if task in new.confidence
    ]
    for name, title, before, after in numbers:
        if before is not None and after is not None and len(before) and len(after):
            counts = spread_bins(before, after)
            test(name, title, counts, largest_gap, old=_quantiles(before), new=_quantiles(after))
    for task in sorted({*old.buckets, *new.buckets}):
        limits = (old.buckets.get(task) or new.buckets[task])[0]
        ranges = _bucketed(old, task, limits), _bucketed(new, task, limits)
        if ranges[0] is not None and ranges[1] is not None:
            test(f"confidence: {task}", f"confidence, {task}", (ranges[0], ranges[1]), largest_gap)
    for task, answered in old.labels.items():
        later = new.labels.get(task)
        if later is None or not answered.texts or not later.texts:
            continue
        changed = _label_changes(answered, later, answers.get(task), seed)
        for name, title, counts, statistic in _label_tests(task, answered, later):
            test(name, title, counts, statistic, labels=changed)
    if old.vectors is not None and new.vectors is not None and len(old.vectors) and len(new.vectors):
        p = vector_test(old.vectors, new.vectors, draws=permutations, generator=generator)
        effect = area(old.vectors, new.vectors, generator=generator)
        found.append({"name": "embeddings", "kind": "embeddings", "title": "embeddings", "effect": effect, "p": p})
        progress.advance()
    together = adjusted({one["name"]: one["p"] for one in found})
    return tuple(
        Change(
            **one,
            floor=floors[one["kind"]],
            p_adjusted=together[one["name"]],
            alarm=bool(together[one["name"]] <= alpha and one["effect"] >= floors[one["kind"]]),
        )
        for one in found
    )


def _quantiles(numbers: Floats) -> dict[str, float]:
    levels = {"least": 0.0, "10 %": 0.1, "median": 0.5, "90 %": 0.9, "most": 1.0}
    return {"mean": float(numbers.mean())} | {
        name: float(np.quantile(numbers, level)) for name, level in levels.items()
    }


def _bucketed(profile: Profile, task: str, limits: Floats) -> Whole | None:
    """Return a set's texts by ranges of the confidence, as a server counts them."""
    if task in profile.buckets:
        own, below = profile.buckets[task]
        return np.diff(below, prepend=0) if own.tolist() == limits.tolist() else None
    if task not in profile.confidence:
        return None
    places = np.searchsorted(limits, profile.confidence[task])
    return np.bincount(np.minimum(places, len(limits) - 1), minlength=len(limits)).astype(np.int64)


def _label_tests(
    task: str, old: LabelCounts, new: LabelCounts
) -> list[tuple[str, str, tuple[Whole, Whole], Callable[[Floats, Floats], Floats]]]:
    """Return what is tested of a task's answers: name, title, counts and statistic."""
    title = f"labels, {task}"
    several = new.several if old.several is None else old.several
    if old.rows is not None and new.rows is not None and several:
        # Labels that come together are drawn together: each pattern of labels is a category.
        patterns, places = np.unique(np.concatenate([old.rows, new.rows]), axis=0, return_inverse=True)
        places = places.ravel()
        counts = [
            np.bincount(part, minlength=len(patterns)).astype(np.int64)
            for part in (places[: len(old.rows)], places[len(old.rows) :])
        ]
        has = patterns.astype(np.float64)

        def largest(one: Floats, other: Floats) -> Floats:
            sizes = [np.maximum(side.sum(axis=-1, keepdims=True), 1.0) for side in (one, other)]
            gaps: Floats = np.abs(one @ has / sizes[0] - other @ has / sizes[1]).max(axis=-1)
            return gaps

        return [(f"labels: {task}", title, (counts[0], counts[1]), largest)]
    names = sorted({*old.labels, *new.labels})
    columns = [_ordered(side, names) for side in (old, new)]
    single = several is False or all(side.counts.sum() <= side.texts for side in (old, new))
    if single:
        rest = [
            np.append(column, max(side.texts - column.sum(), 0))
            for column, side in zip(columns, (old, new), strict=True)
        ]
        return [(f"labels: {task}", title, (rest[0], rest[1]), total_variation)]
    return [
        (
            f"labels: {task}: {name}",
            f"{title}: {name}",
            (
                np.array([columns[0][place], max(old.texts - columns[0][place], 0)]),
                np.array([columns[1][place], max(new.texts - columns[1][place], 0)]),
            ),
            total_variation,
        )
        for place, name in enumerate(names)
    ]


def _ordered(side: LabelCounts, names: Sequence[str]) -> Whole:
    known = dict(zip(side.labels, side.counts.tolist(), strict=True))
    return np.array([known.get(name, 0) for name in names], dtype=np.int64)


def _label_changes(
    old: LabelCounts, new: LabelCounts, answers: AnswerCounts | None, seed: int
) -> tuple[LabelChange, ...]:
    """Return each label's share before and after, corrected where that can be."""
    names = list(old.labels) + [name for name in new.labels if name not in old.labels]
    raw = [_ordered(side, names) / side.texts for side in (old, new)]
    true: list[tuple[Floats, Floats]] = []
    spread = False
    if answers is not None and old.cells is not None and new.cells is not None and list(old.labels) == names:
        # The same draws of tables for both sides: what is not known of the answers is alike for them.
        spread = len({group.source for group in answers.groups}) > 1
        correction = Correction(answers, elsewhere=spread, seed=seed)
        true = [
            correction.label_shares(cells, side.languages, several=bool(side.several))
            for side, cells in ((old, old.cells), (new, new.cells))
        ]
    changes = []
    for place, name in enumerate(names):
        told: list[Interval | None] = [None, None, None]
        if true and not np.isnan(true[0][0][place]):
            values = [raw[side][place] if spread else true[side][0][place] for side in (0, 1)]
            drawn = [true[side][1][:, place] for side in (0, 1)]
            told = [
                _interval(values[0], drawn[0], spread=spread),
                _interval(values[1], drawn[1], spread=spread),
                _interval(values[1] - values[0], drawn[1] - drawn[0], spread=spread),
            ]
        changes.append(
            LabelChange(
                label=name,
                old=float(raw[0][place]),
                new=float(raw[1][place]),
                true_old=told[0],
                true_new=told[1],
                true_change=told[2],
            )
        )
    return tuple(changes)


def _interval(value: float, drawn: Floats, *, spread: bool) -> Interval:
    low, high = np.quantile(drawn, [0.0, 1.0] if spread else [0.025, 0.975])
    return Interval(value=float(value), low=float(min(low, value)), high=float(max(high, value)))
