"""The true shares of labels behind a classifier's answers, of a whole set and of its groups."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ottenok.core.errors import ConfigError, DataError
from ottenok.core.progress import SILENT
from ottenok.core.suggest import suggest
from ottenok.drift.texts import MOST_WINDOWS, Texts
from ottenok.inference.api import load
from ottenok.inference.classifier import Classifier
from ottenok.studies.rows import Columns, row_probabilities, task_rows
from ottenok.tables.options import TableOptions
from ottenok.tasks.metrics import Interval, wilson
from ottenok.tasks.shift import AnswerCounts, Correction, count_answers
from ottenok.tasks.tables import Grid
from ottenok.tasks.task import find_task
from ottenok.training.inputs import Places

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from ottenok.core.progress import Progress
    from ottenok.data.corpus import Split
    from ottenok.drift.texts import TextsFrom
    from ottenok.tasks.task import Task

    Floats = npt.NDArray[np.float64]
    Whole = npt.NDArray[np.int64]

__all__ = ["LabelShare", "ShareGroup", "Shares", "TaskShares", "true_shares"]

Method = Literal["auto", "em", "bbse", "answered"]

_USUAL = Columns()
_HOME = Places()
_PLAIN = TableOptions()
_AT_ONCE = 4096
# Groups with their own shares; the smaller ones are told together.
_MOST_GROUPS = 100
_OTHERS = "(other groups)"
ALL = ""

ASSUMED = (
    "It is assumed that texts of a label are answered as the labelled ones of that label were, and that only the "
    "labels' shares differ (label shift). That fails where the texts are of another kind: another topic, another way "
    "to write, other rules of labelling."
)
SPREAD = (
    "No labelled texts of this kind were given, so the shares are those of the answers, and the ranges say where true "
    "shares may lie if these texts differ from the {sources} sets that the model was judged on as those differ among "
    "themselves (the whole range of 400 draws). A few hundred labelled texts of this kind make them narrow: "
    "--validation FILE."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelShare:
    """A label's share of the texts.

    Attributes:
        label: Its name.
        texts: How many were answered so.
        answered: Their share, 0..1, with the 95 % interval of a sample.
        share: The true share, 0..1, as well as it can be told, with its 95 % interval.
    """

    label: str
    texts: int
    answered: Interval
    share: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskShares:
    """The labels of a task.

    Attributes:
        method: How `share` was found: `em`, `bbse`, or `answered`: it is that of the answers.
        spread: Whether intervals hold what texts of another kind do; False: for texts like the labelled ones.
        labels: Each label.
    """

    method: str
    spread: bool
    labels: tuple[LabelShare, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareGroup:
    """A group of the texts, or all of them.

    Attributes:
        name: Of the group; "" for all.
        language: ISO 639-1 code where it is those of one language; "" for all.
        texts: Texts that have shares.
        withheld: Reason to texts that have none: in another language, strange, or with nothing to read.
        tasks: Task to its shares.
    """

    name: str
    language: str
    texts: int
    withheld: dict[str, int]
    tasks: dict[str, TaskShares]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """The true shares of a set.

    Attributes:
        data: The set's name.
        model: The classifier's name.
        rows: Texts that were read.
        left_out: Reason to rows without a text.
        by: Column of the groups; None: there are none.
        validation: Task to what the labelled rows are, and how many.
        groups: All texts first, then each language, then each group.
        notes: What a reader should know, a sentence each.
    """

    data: str
    model: str
    rows: int
    left_out: dict[str, int]
    by: str | None
    validation: dict[str, str]
    groups: tuple[ShareGroup, ...]
    notes: tuple[str, ...]

    @property
    def whole(self) -> ShareGroup:
        """The shares of all texts."""
        return self.groups[0]

    def to_json(self) -> dict[str, Any]:
        """Return it as a mapping that JSON can hold."""
        return asdict(self)

    def tables(self) -> dict[str, Grid]:
        """Return heading to table: for each task one of all texts, and one of each kind of groups."""
        found: dict[str, Grid] = {}
        for task, shares in self.whole.tasks.items():
            header = ("label", "texts", "answered", "true share", "range, in %" if shares.spread else "95 %, in %")
            rows = tuple(
                (
                    one.label,
                    f"{one.texts:,}",
                    f"{one.answered.value:.1%}",
                    f"{one.share.value:.1%}",
                    _range(one.share),
                )
                for one in shares.labels
            )
            found[task] = Grid(header=header, rows=rows)
            labels = [one.label for one in shares.labels]
            for kind, groups in (
                ("language", [group for group in self.groups[1:] if group.language]),
                (self.by or "", [group for group in self.groups[1:] if not group.language]),
            ):
                cells = tuple(
                    (
                        group.language or group.name,
                        f"{group.texts:,}",
                        *(
                            f"{one.share.value:.0%} ({_range(one.share, digits=0)})"
                            for one in (group.tasks[task].labels if task in group.tasks else ())
                        ),
                    )
                    for group in groups
                    if task in group.tasks
                )
                if len(cells) > (kind == "language"):
                    found[f"{task} by {kind}"] = Grid(header=(kind, "texts", *labels), rows=cells)
        return found

    def to_html(self) -> str:
        """Return it as a page: static, without scripts, safe whatever the texts are (extra `report`).

        Raises:
            MissingExtraError: jinja2 or matplotlib is not installed.
        """
        from ottenok.drift.page import shares_page

        return shares_page(self)


def _range(one: Interval, *, digits: int = 1) -> str:
    if one.low is None or one.high is None:
        return "-"
    return f"{100 * one.low:.{digits}f} to {100 * one.high:.{digits}f}"


def true_shares(  # noqa: PLR0913 - an option each
    data: TextsFrom,
    *,
    text: str = "text",
    model: Classifier | str | Path | None = None,
    tasks: Sequence[str] = (),
    by: str | None = None,
    validation: str | Path | None = None,
    split: Split = "validation",
    columns: Columns = _USUAL,
    like: Sequence[str] = (),
    method: Method = "auto",
    rows: int | None = None,
    seed: int = 0,
    table: TableOptions = _PLAIN,
    places: Places = _HOME,
    progress: Progress = SILENT,
) -> Shares:
    """Find the true shares of labels behind a classifier's answers, corrected for its faults.

    Args:
        data: A table, a folder of tables, a built corpus, a glob, or a list of texts.
        text: Column of the texts.
        model: A classifier, or what `ottenok.load` takes.
        tasks: Names of tasks; empty: all.
        by: Column of groups, each of which gets its own shares; `COLUMN:month` (year, quarter, week, day) for dates.
        validation: Labelled texts of the same kind, that the model has not learned from: a file, a corpus folder or the
            name of a recipe. None: the rows that the model was judged on, which its manifest counts.
        split: Of a corpus of labelled texts.
        columns: Where a file of labelled texts has its texts and labels; it is labelled for the first task.
        like: Names of those sets among the model's own labelled rows that the texts are like; empty: they are of
            another kind.
        method: `em`, `bbse`; `answered`: the shares of the answers; `auto`: `em` where labelled texts of the same kind
            are known, and else the answers, which are nearer to the truth than a correction by texts of other kinds.
        rows: Most texts that are read, sampled from all; None: all.
        seed: Of draws and samples.
        table: How tables are read.
        places: Where data sets and built corpora are.
        progress: Hears of texts done.

    Raises:
        ConfigError: An option has a value that it can't have.
        DataError: A file can't be read, or there are no labelled rows to correct by.
        InputError: There is no text.
        ModelError: The model can't be run.
        SchemeError: There is no such task, or the labels of the labelled texts are not the model's.
    """
    if method not in {"auto", "em", "bbse", "answered"}:
        raise ConfigError(f"found {method!r}", hint=suggest(method, ("auto", "em", "bbse", "answered")), key="method")
    if rows is not None and rows < 1:
        raise ConfigError(f"found {rows}, expected a whole number of at least 1", key="rows")
    if validation is not None and like:
        raise ConfigError("labelled texts are given, and sets of the model's own are named too", key="like")
    texts = Texts(data, text=text, by=by, table=table)
    classifier = (
        model
        if isinstance(model, Classifier)
        else load(model, max_windows=MOST_WINDOWS, cache=places.cache, progress=progress)
    )
    chosen = [find_task(classifier.tasks, name) for name in tasks] or list(classifier.tasks)
    known_counts = classifier.manifest.answers
    facts = {task.name: known_counts[task.name] for task in chosen if task.name in known_counts}
    if validation is None and method in {"em", "bbse"} and not facts:
        raise DataError(
            "this classifier does not know how labelled texts are answered",
            hint="Give labelled texts that it has not learned from: --validation FILE.",
            file=classifier.manifest.name,
        )
    given: dict[str, AnswerCounts] = {}
    if validation is not None:
        spelt = [classifier.manifest.facts(task.name).task(canonical=True) for task in chosen]
        labelled = task_rows(validation, spelt, split=split, columns=columns, places=places, progress=progress)
        probs = row_probabilities(classifier, labelled, progress)
        given = {
            # They are all of the user's kind, wherever they come from: no sources.
            task.name: count_answers(
                task, probs[task.name], mine.test.truth, languages=mine.test.languages, data=mine.name
            )
            for task in chosen
            if (mine := labelled.get(task.name)) is not None
        }
    counts = facts | given
    known = {group.source for one in classifier.manifest.answers.values() for group in one.groups}
    for name in like:
        if name not in known:
            hint = suggest(name, sorted(known)) or f"Known: {', '.join(sorted(known))}."
            raise ConfigError(f"no labelled rows of this classifier are of the set {name!r}", hint=hint, key="like")
    corrections: dict[str, tuple[Correction, bool]] = {}
    for name, one in counts.items():
        sources = [] if name in given else [group.source for group in one.groups if group.source in like]
        # Rows of a single set are those of the user's own kind.
        elsewhere = name not in given and not sources and len({group.source for group in one.groups}) > 1
        way: Literal["em", "bbse"] = "bbse" if method == "bbse" else "em"
        corrections[name] = Correction(one, sources=sources, elsewhere=elsewhere, method=way, seed=seed), elsewhere
    found, read = _read(texts, classifier, chosen, counts, rows, seed, progress)
    groups = _groups(found, chosen, corrections, method)
    return Shares(
        data=texts.name,
        model=classifier.manifest.name,
        rows=read,
        left_out=dict(sorted(texts.left_out.items())),
        by=by,
        validation={name: f"{one.data}, {one.rows:,} rows" for name, one in counts.items()},
        groups=groups,
        notes=_notes(classifier, chosen, counts, given, corrections),
    )


def _notes(
    classifier: Classifier,
    chosen: Sequence[Task],
    counts: Mapping[str, AnswerCounts],
    given: Mapping[str, AnswerCounts],
    corrections: Mapping[str, tuple[Correction, bool]],
) -> tuple[str, ...]:
    """Return what a reader should know of how shares were corrected, and which could not be."""
    notes = [ASSUMED] if any(not spread for _, spread in corrections.values()) else []
    spread = [name for name, (_, elsewhere) in corrections.items() if elsewhere]
    if spread:
        sets = {group.source for name in spread for group in counts[name].groups}
        notes.insert(0, SPREAD.format(sources=len(sets)))
    for name, one in given.items():
        scheme = classifier.manifest.facts(name).scheme
        several = scheme.kind == "multi-label"
        missing = [
            label
            for place, label in enumerate(scheme.labels)
            if not any(
                table[:, 1 if several else place].sum() for table in one.tables(place if several else 0).values()
            )
        ]
        if missing:
            what = "its share is that of the answers" if several else "its share is taken to be 0"
            notes.append(f"No labelled text is {', '.join(missing)}, so {what}.")
    bare = [task.name for task in chosen if task.name not in counts]
    if bare:
        notes.append(
            f"Of {', '.join(bare)} it is not known how labelled texts are answered, so intervals are those of a sample "
            "alone: --validation FILE."
        )
    return tuple(notes)


@dataclass(slots=True)
class _Counted:
    """What was read of a group in a language: texts, and for each task those in each cell and of each label."""

    texts: int = 0
    cells: dict[str, list[Whole]] = field(default_factory=dict)
    labels: dict[str, Whole] = field(default_factory=dict)


@dataclass(slots=True)
class _Found:
    """What was read of a set: by group and language, and what was withheld of each group."""

    counted: dict[tuple[str, str], _Counted] = field(default_factory=dict)
    withheld: dict[str, Counter[str]] = field(default_factory=dict)


def _read(
    texts: Texts,
    classifier: Classifier,
    chosen: Sequence[Task],
    counts: Mapping[str, AnswerCounts],
    rows: int | None,
    seed: int,
    progress: Progress,
) -> tuple[_Found, int]:
    """Read all texts, or a sample, and count; nothing of a text is kept."""
    found = _Found()
    read = 0
    for block, groups in texts.read(rows, progress, seed=seed):
        answers = list(classifier.stream(block, texts_at_once=_AT_ONCE))
        read += len(block)
        good = [
            place
            for place, answer in enumerate(answers)
            if answer.windows and answer.reason not in {"language", "unfamiliar"}
        ]
        for place in set(range(len(answers))) - set(good):
            reason = answers[place].reason or "nothing to read"
            found.withheld.setdefault(groups[place], Counter())[reason] += 1
        keys = [(groups[place], answers[place].language or "") for place in good]
        for task in chosen if good else ():
            probs = np.array(
                [list(answers[place].tasks[task.name].probabilities.values()) for place in good], dtype=np.float32
            )
            given = np.zeros(probs.shape, dtype=np.int64)
            for row, labels in enumerate(task.decide(probs)):
                given[row, [task.scheme.index(label) for label in labels]] = 1
            cells = counts[task.name].cells(task, probs) if task.name in counts else None
            for key in set(keys):
                here = [row for row, one in enumerate(keys) if one == key]
                group = found.counted.setdefault(key, _Counted())
                group.labels[task.name] = group.labels.get(task.name, 0) + given[here].sum(axis=0)
                if cells is not None:
                    new = [
                        np.bincount(cells[here, question], minlength=len(counts[task.name].answers(question)))
                        for question in range(cells.shape[1])
                    ]
                    old = group.cells.get(task.name)
                    group.cells[task.name] = new if old is None else [a + b for a, b in zip(old, new, strict=True)]
        for key in keys:
            found.counted[key].texts += 1
    return found, read


def _groups(
    found: _Found, chosen: Sequence[Task], corrections: Mapping[str, tuple[Correction, bool]], method: Method
) -> tuple[ShareGroup, ...]:
    """Return the shares of all texts, of each language, and of each group."""
    names = sorted({group for group, _ in found.counted} | set(found.withheld))
    sizes = {name: sum(one.texts for (group, _), one in found.counted.items() if group == name) for name in names}
    largest = set(sorted(names, key=lambda name: -sizes[name])[:_MOST_GROUPS])
    places = {name: name if name in largest else _OTHERS for name in names}
    made = [_group(ALL, "", found.counted, found.withheld, chosen, corrections, method)]
    for language in sorted({language for _, language in found.counted if language}):
        here = {key: one for key, one in found.counted.items() if key[1] == language}
        made.append(_group(ALL, language, here, {}, chosen, corrections, method))
    for name in sorted(set(places.values()), key=lambda name: (name == _OTHERS, name)) if names != [""] else ():
        here = {key: one for key, one in found.counted.items() if places[key[0]] == name}
        withheld = {group: one for group, one in found.withheld.items() if places[group] == name}
        made.append(_group(name, "", here, withheld, chosen, corrections, method))
    return tuple(made)


def _group(
    name: str,
    language: str,
    counted: Mapping[tuple[str, str], _Counted],
    withheld: Mapping[str, Counter[str]],
    chosen: Sequence[Task],
    corrections: Mapping[str, tuple[Correction, bool]],
    method: Method,
) -> ShareGroup:
    texts = sum(one.texts for one in counted.values())
    reasons: Counter[str] = Counter()
    for withheld_here in withheld.values():
        reasons.update(withheld_here)
    tasks: dict[str, TaskShares] = {}
    for task in chosen if texts else ():
        numbers = np.sum([one.labels[task.name] for one in counted.values()], axis=0)
        answered = [wilson(int(number), texts) for number in numbers]
        shares, way, spread = answered, "answered", False
        if task.name in corrections:
            correction, elsewhere = corrections[task.name]
            by_language: dict[str, list[Whole]] = {}
            for (_, spoken), one in counted.items():
                old, new = by_language.get(spoken), one.cells[task.name]
                by_language[spoken] = new if old is None else [a + b for a, b in zip(old, new, strict=True)]
            spread = elsewhere
            plain = method == "answered" or (method == "auto" and elsewhere)
            way = "answered" if plain else ("bbse" if method == "bbse" else "em")
            raw = np.array([one.value for one in answered])
            corrected, drawn = correction.label_shares(by_language, raw)
            value = raw if plain else corrected
            # Over other kinds of texts the whole range: as many sets as there are say no more.
            low, high = np.quantile(drawn, [0.0, 1.0] if spread else [0.025, 0.975], axis=0)
            low, high = np.minimum(low, value).tolist(), np.maximum(high, value).tolist()
            # Of a label that no labelled row has, nothing is known but the answers.
            shares = [
                one if np.isnan(low[place]) else Interval(value=float(value[place]), low=low[place], high=high[place])
                for place, one in enumerate(answered)
            ]
        tasks[task.name] = TaskShares(
            method=way,
            spread=spread,
            labels=tuple(
                LabelShare(label=label, texts=int(number), answered=raw, share=share)
                for label, number, raw, share in zip(task.scheme.labels, numbers, answered, shares, strict=True)
            ),
        )
    return ShareGroup(name=name, language=language, texts=texts, withheld=dict(sorted(reasons.items())), tasks=tasks)
