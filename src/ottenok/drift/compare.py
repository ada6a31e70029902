"""Two sets of texts side by side: what has changed, by how much, and whether that is more than chance."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from ottenok.core.errors import ConfigError, DataError
from ottenok.core.progress import SILENT, stage
from ottenok.core.suggest import suggest
from ottenok.drift.profile import read_profiles
from ottenok.drift.statistics import (
    ChangedWord,
    area,
    changed_words,
    coded,
    count_draws,
    divisions,
    largest_gap,
    mean_gap,
    p_values,
    spread_bins,
    together,
    total_variation,
    vector_gap,
)
from ottenok.tables.options import TableOptions
from ottenok.tasks.metrics import Interval
from ottenok.tasks.shift import Correction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from ottenok.core.progress import Progress
    from ottenok.drift.profile import LabelCounts, Profile
    from ottenok.drift.texts import TextsFrom
    from ottenok.inference.classifier import Classifier
    from ottenok.tasks.shift import AnswerCounts

    Floats = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]
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
        "labels": 0.02,
        "embeddings": 0.52,
    }
)
# How much tests of labels count beside the others: a change of them is what most people look for.
_WEIGHTS: Mapping[str, float] = MappingProxyType({"labels": 3.0})
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
        effect: How much it changed, 0..1: of shares half the sum of their differences, of labels that of their mean
            probabilities; of numbers the largest difference between the shares of texts up to a
            number; of embeddings how often a line between old and new texts tells one of each apart, .5 by chance.
        floor: Least effect that is worth an alarm.
        p: By permutation.
        p_adjusted: For all tests together, by Westfall and Young; a test of labels weighs as much as three others.
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
    profiles, answers, notes = read_profiles(
        reference, new, text=text, model=model, rows=rows, apart=apart, seed=seed, table=table, cache=cache,
        progress=progress,
    )  # fmt: skip
    with stage(progress, "comparing", total=None, unit="tests"):
        changes = compare(*profiles, answers=answers, alpha=alpha, floors=limits, permutations=permutations, seed=seed)
    if not changes:
        raise DataError(
            "the two have nothing in common that could be compared", hint="Both should be of the same model and tasks."
        )
    few = min(profile.texts for profile in profiles)
    if few < 100:
        notes = [*notes, f"With {few:,} texts on one side only large changes can be told from chance."]
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
    """
    generator = np.random.default_rng(seed)
    tests = [*_text_tests(old, new), *_label_tests(old, new, answers, seed)]
    if old.embeddings is not None and new.embeddings is not None:
        (first, before), (second, after) = old.embeddings, new.embeddings
        gap = vector_gap(np.concatenate([before, after]), np.concatenate([first, second + old.texts]))
        effect = area(before, after, generator=generator)
        tests.append(_Test(name="embeddings", title="embeddings", of_rows=gap, effect=effect))
    differences: dict[str, Floats] = {}
    for test in tests:
        if test.of_counts is not None:
            differences[test.name] = count_draws(*test.of_counts, draws=permutations, generator=generator)
    of_rows = {test.name: test.of_rows for test in tests if test.of_rows is not None}
    if of_rows:
        blocks = [
            [gap(block) for gap in of_rows.values()]
            for block in divisions(old.texts, new.texts, draws=permutations, generator=generator)
        ]
        differences |= {
            name: np.concatenate(parts) for name, parts in zip(of_rows, zip(*blocks, strict=True), strict=True)
        }
    kinds = {test.name: test.name.partition(":")[0] for test in tests}
    adjusted = together(differences, {name: _WEIGHTS.get(kind, 1.0) for name, kind in kinds.items()})
    changes = []
    for test in tests:
        floor = floors[kinds[test.name]]
        effect = float(differences[test.name][0]) if test.effect is None else test.effect
        changes.append(
            Change(
                name=test.name,
                kind=kinds[test.name],
                title=test.title,
                effect=effect,
                floor=floor,
                p=float(p_values(differences[test.name])[0]),
                p_adjusted=adjusted[test.name],
                alarm=bool(adjusted[test.name] <= alpha and effect >= floor),
                old=test.old,
                new=test.new,
                labels=test.labels,
            )
        )
    return tuple(changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Test:
    """What is to be compared: of texts, whose draws are shared, or of counts alone; else as in `Change`."""

    name: str
    title: str
    of_rows: Callable[[Mask], Floats] | None = None
    of_counts: tuple[Whole, Whole, Callable[[Floats, Floats], Floats]] | None = None
    effect: float | None = None
    old: dict[str, float] = field(default_factory=dict)
    new: dict[str, float] = field(default_factory=dict)
    labels: tuple[LabelChange, ...] = ()


def _text_tests(old: Profile, new: Profile) -> Iterator[_Test]:
    """Yield the tests of everything but labels and embeddings."""
    for name, title, few, more in (
        ("languages", "languages", old.languages, new.languages),
        ("answers", "texts with and without an answer", old.outcomes, new.outcomes),
    ):
        if few is not None and more is not None:
            sides = Counter(few), Counter(more)
            both = sides[0] + sides[1]
            keys = sorted(both, key=lambda key: (-both[key], key))
            places = {key: place for place, key in enumerate(keys)}
            codes = np.array([places[one] for one in (*few, *more)], dtype=np.int64)
            shown = [{key: side[key] / max(side.total(), 1) for key in keys} for side in sides]
            yield _Test(name=name, title=title, of_rows=coded(codes, total_variation), old=shown[0], new=shown[1])
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
            codes = spread_bins(np.concatenate([before, after]))
            gap = coded(_among(codes, old, new, -1) if name.startswith("confidence") else codes, largest_gap)
            yield _Test(name=name, title=title, of_rows=gap, old=_quantiles(before), new=_quantiles(after))
    for task in sorted({*old.buckets, *new.buckets}):
        limits = (old.buckets.get(task) or new.buckets[task])[0]
        ranges = _bucketed(old, task, limits), _bucketed(new, task, limits)
        if ranges[0] is not None and ranges[1] is not None and ranges[0].any() and ranges[1].any():
            counts = (ranges[0], ranges[1], largest_gap)
            yield _Test(name=f"confidence: {task}", title=f"confidence, {task}", of_counts=counts)


def _among(values: npt.NDArray[Any], old: Profile, new: Profile, nothing: float) -> npt.NDArray[Any]:
    """Return values of the texts that have labels among those of all texts, with `nothing` at the others."""
    usable = np.concatenate([old.usable, new.usable])
    found = np.full((len(usable), *values.shape[1:]), nothing, dtype=values.dtype)
    found[usable] = values
    return found


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


def _label_tests(old: Profile, new: Profile, answers: Mapping[str, AnswerCounts], seed: int) -> Iterator[_Test]:
    """Yield the tests of each task's answers: of probabilities, or of counts where those alone are known."""
    for task, before in old.labels.items():
        after = new.labels.get(task)
        if after is None or not before.texts or not after.texts:
            continue
        name, title = f"labels: {task}", f"labels, {task}"
        changes = _label_changes(before, after, answers.get(task), seed)
        if before.probs is not None and after.probs is not None:
            probs = np.concatenate([before.probs, after.probs]).astype(np.float64)
            yield _Test(name=name, title=title, of_rows=mean_gap(_among(probs, old, new, np.nan)), labels=changes)
            continue
        names = sorted({*before.labels, *after.labels})
        columns = [_ordered(side, names) for side in (before, after)]
        several = after.several if before.several is None else before.several
        if several is False or all(side.counts.sum() <= side.texts for side in (before, after)):
            counts = [
                np.append(column, max(side.texts - column.sum(), 0))
                for column, side in zip(columns, (before, after), strict=True)
            ]
            yield _Test(name=name, title=title, of_counts=(counts[0], counts[1], total_variation), labels=changes)
            continue
        for place, label in enumerate(names):
            counts = [
                np.array([column[place], max(side.texts - column[place], 0)])
                for column, side in zip(columns, (before, after), strict=True)
            ]
            yield _Test(
                name=f"{name}: {label}",
                title=f"{title}: {label}",
                of_counts=(counts[0], counts[1], total_variation),
                labels=changes,
            )


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
            correction.label_shares(answers.tally(side.cells, side.languages), shares)
            for side, shares in zip((old, new), raw, strict=True)
            if side.cells is not None
        ]
    changes = []
    for place, name in enumerate(names):
        told: list[Interval | None] = [None, None, None]
        if true and not np.isnan(true[0][1][0, place]):
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
