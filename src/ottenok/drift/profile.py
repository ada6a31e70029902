"""What is measured of a set of texts, or of what a server counted, so that two of them can be compared."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ottenok.core.errors import DataError
from ottenok.core.progress import SILENT, stage
from ottenok.drift.texts import MOST_WINDOWS, Texts
from ottenok.explain.words import find_words
from ottenok.inference.api import load
from ottenok.inference.classifier import Classifier

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from ottenok.core.progress import Progress
    from ottenok.drift.texts import Sample, TextsFrom
    from ottenok.tables.options import TableOptions
    from ottenok.tasks.shift import AnswerCounts

    Floats = npt.NDArray[np.float64]
    Whole = npt.NDArray[np.int64]

__all__ = ["LabelCounts", "Profile", "capitals", "measure_texts", "read_profiles", "read_scrape", "since"]

_AT_ONCE = 1024
# Texts of each side whose embeddings are compared.
_VECTORS = 2000
# A server's counts take some hundred kilobytes.
_MOST_BYTES = 4 << 20
# Beyond these many characters a text's words are not looked at; no review comes near.
_WORD_CHARACTERS = 20_000
_SERIES = re.compile(r"ottenok_(labels|confidence)(_total|_bucket|_count)\{([^}]*)\}\s+([0-9.eE+]+)(?:\s+\d+)?\s*")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelCounts:
    """Answers to a task.

    Attributes:
        labels: Its labels.
        several: Whether a text may have several; None: not known.
        texts: How many texts were answered.
        counts: Texts of each label, int64 `[labels]`.
        probs: Probability of each label, text by text, float32 `[texts, labels]`; None where only counts are known.
        cells: The cell of each text in each question (`ottenok.tasks.shift`), int64 `[texts, questions]`; None where
            shares can't be corrected.
        languages: Of these texts; empty with counts alone.
    """

    labels: tuple[str, ...]
    several: bool | None
    texts: int
    counts: Whole
    probs: npt.NDArray[np.float32] | None = None
    cells: Whole | None = None
    languages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What is known of a set.

    Attributes:
        name: For people.
        rows: How many texts the set has.
        texts: How many were measured.
        left_out: Reason to number of rows without a text.
        languages: Of each text; None: not known, likewise below.
        characters: Of each text, float64.
        capitals: Share of each text's letters that are capitals.
        unknown: Share of each text's tokens that the model's vocabulary does not have.
        unfamiliar: How strange each text is, 0..1.
        outcomes: `answered`, or why not, of each text.
        usable: Which texts have labels, and so a confidence: bool `[texts]`.
        confidence: Task to the probability of each such text's likeliest label.
        buckets: Task to limits of the probability and texts up to each, of a server; both empty of texts.
        labels: Task to its answers.
        embeddings: Of some texts: their places, int64 `[some texts]`, and vectors, float32 `[some texts, width]`.
        words: Word to texts that have it.
        worded: How many texts the words are of.
    """

    name: str
    rows: int
    texts: int
    left_out: dict[str, int] = field(default_factory=dict)
    languages: Sequence[str] | None = None
    characters: Floats | None = None
    capitals: Floats | None = None
    unknown: Floats | None = None
    unfamiliar: Floats | None = None
    outcomes: Sequence[str] | None = None
    usable: npt.NDArray[np.bool_] | None = None
    confidence: dict[str, Floats] = field(default_factory=dict)
    buckets: dict[str, tuple[Floats, Whole]] = field(default_factory=dict)
    labels: dict[str, LabelCounts] = field(default_factory=dict)
    embeddings: tuple[Whole, npt.NDArray[np.float32]] | None = None
    words: Counter[str] | None = None
    worded: int = 0


def read_profiles(  # noqa: PLR0913 - an option each
    reference: TextsFrom,
    new: TextsFrom,
    *,
    text: str,
    model: Classifier | str | Path | None,
    rows: int,
    apart: bool,
    seed: int,
    table: TableOptions,
    cache: Path | None,
    progress: Progress = SILENT,
) -> tuple[tuple[Profile, Profile], Mapping[str, AnswerCounts], list[str]]:
    """Measure two sets, or read what a server counted; options as `ottenok.drift.compare.find_drift` has them.

    Returns:
        Both profiles, task to how labelled rows were answered, and what a reader should know of the profiles.

    Raises:
        DataError: A set can't be read.
        InputError: A set has no text.
        ModelError: The model can't be run.
    """
    name = None if isinstance(model, Classifier | Path) else model
    profiles = [read_scrape(one, model=name) for one in (reference, new)]
    notes: list[str] = []
    answers: Mapping[str, AnswerCounts] = {}
    if profiles[0] is not None and profiles[1] is not None:
        later = None if apart else since(profiles[0], profiles[1])
        if later is not None:
            profiles[1] = later
            notes.append(
                "The second text goes on counting from the first, so what came between them is compared with what was "
                "before (--apart: they are of different servers)."
            )
    else:
        samples = [
            None if one is not None else Texts(source, text=text, table=table).sample(rows, progress, seed=seed)
            for source, one in zip((reference, new), profiles, strict=True)
        ]
        classifier = (
            model
            if isinstance(model, Classifier)
            else load(model, max_windows=MOST_WINDOWS, cache=cache, progress=progress)
        )
        facts = classifier.manifest.answers
        answers = {task.name: facts[task.name] for task in classifier.tasks if task.name in facts}
        vectors = _VECTORS if all(samples) else 0
        for place, sample in enumerate(samples):
            if sample is not None:
                profiles[place] = measure_texts(sample, classifier, answers=answers, vectors=vectors, progress=progress)
    first, second = (one for one in profiles if one is not None)
    notes += [
        f"Of {profile.name}, {profile.texts:,} of {profile.rows:,} texts were measured."
        for profile in (first, second)
        if profile.rows > profile.texts
    ]
    return (first, second), answers, notes


def measure_texts(
    sample: Sample,
    classifier: Classifier,
    *,
    answers: Mapping[str, AnswerCounts],
    vectors: int,
    progress: Progress = SILENT,
) -> Profile:
    """Measure texts.

    Args:
        sample: The texts.
        classifier: What reads them.
        answers: Task to how labelled rows were answered, where shares can be corrected.
        vectors: Most texts that embeddings are computed of; 0: none.
        progress: Hears of texts done.
    """
    languages: list[str] = []
    outcomes: list[str] = []
    unknown: list[float] = []
    unfamiliar: list[float] = []
    probs: dict[str, list[list[float]]] = {task.name: [] for task in classifier.tasks}
    usable: list[bool] = []
    with stage(progress, f"classifying {sample.name}", total=len(sample.texts), unit="texts"):
        for answer in classifier.stream(sample.texts, texts_at_once=_AT_ONCE):
            languages.append(answer.language or "unknown")
            outcomes.append(answer.reason or "answered")
            unknown.append(answer.unknown)
            if answer.unfamiliar is not None:
                unfamiliar.append(answer.unfamiliar)
            # What the model does not know, or can't read, has no label, neither answered nor true.
            usable.append(answer.windows > 0 and answer.reason not in {"language", "unfamiliar"})
            for task, rows in probs.items():
                rows.append(list(answer.tasks[task].probabilities.values()))
            progress.advance()
    kept = np.array(usable, dtype=bool)
    confidence: dict[str, Floats] = {}
    labels: dict[str, LabelCounts] = {}
    for one in classifier.tasks:
        found = np.array(probs[one.name], dtype=np.float32).reshape(len(kept), len(one.scheme.labels))[kept]
        confidence[one.name] = found.max(axis=1).astype(np.float64) if len(found) else np.zeros(0)
        given = np.zeros(found.shape, dtype=bool)
        for row, chosen in enumerate(one.decide(found)):
            given[row, [one.scheme.index(label) for label in chosen]] = True
        labels[one.name] = LabelCounts(
            labels=one.scheme.labels,
            several=one.scheme.kind == "multi-label",
            texts=len(found),
            counts=given.sum(axis=0).astype(np.int64),
            probs=found,
            cells=answers[one.name].cells(one, found) if one.name in answers and len(found) else None,
            languages=tuple(language for language, good in zip(languages, kept, strict=True) if good),
        )
    embeddings = None
    if vectors:
        # Any of them are as good as any others: the sample is one of all texts.
        picked = np.sort(np.random.default_rng(0).permutation(len(sample.texts))[:vectors])
        with stage(progress, f"embedding {sample.name}", total=len(picked), unit="texts"):
            parts = []
            for start in range(0, len(picked), _AT_ONCE):
                block = [sample.texts[int(place)] for place in picked[start : start + _AT_ONCE]]
                parts.append(classifier.embed(block))
                progress.advance(len(block))
        embeddings = picked, np.concatenate(parts)
    words: Counter[str] = Counter()
    for text in sample.texts:
        words.update({word.text.lower() for word in find_words(text[:_WORD_CHARACTERS])})
    return Profile(
        name=sample.name,
        rows=sample.rows,
        texts=len(sample.texts),
        left_out=sample.left_out,
        languages=languages,
        characters=np.array([len(text.strip()) for text in sample.texts], dtype=np.float64),
        capitals=np.array([capitals(text) for text in sample.texts]),
        unknown=np.array(unknown),
        unfamiliar=np.array(unfamiliar) if len(unfamiliar) == len(languages) else None,
        outcomes=outcomes,
        usable=kept,
        confidence=confidence,
        labels=labels,
        embeddings=embeddings,
        words=words,
        worded=len(sample.texts),
    )


def capitals(text: str) -> float:
    """Return the share of a text's letters that are capitals, 0..1; 0 without letters."""
    letters = sum(map(str.isalpha, text))
    return sum(map(str.isupper, text)) / letters if letters else 0.0


def read_scrape(source: TextsFrom, *, model: str | None = None) -> Profile | None:
    """Read what a server counted: a file with the text of its `/metrics`.

    Args:
        source: Perhaps such a file, in Prometheus' text format.
        model: Which model's counts; None: the only one's.

    Returns:
        The counts; None where this is no such file.

    Raises:
        DataError: It has no counts of answers, or those of several models and none was named.
    """
    path = Path(source) if isinstance(source, str | Path) else None
    if path is None or not path.is_file() or path.stat().st_size > _MOST_BYTES:
        return None
    name = str(source)
    text = path.read_bytes().decode("utf-8", errors="replace")
    if "ottenok_" not in text or not text.lstrip().startswith(("#", "te_", "ottenok_")):
        return None
    counts: dict[str, dict[str, dict[str, int]]] = {}
    buckets: dict[str, dict[float, int]] = {}
    totals: dict[str, int] = {}
    for match in map(_SERIES.fullmatch, map(str.strip, text.splitlines())):
        if match is None:
            continue
        named = {
            key: re.sub(r"\\(.)", lambda one: "\n" if one[1] == "n" else one[1], value)
            for key, value in _LABEL.findall(match[3])
        }
        number, of = round(float(match[4])), named.get("model", "")
        if match[1] == "labels":
            tasks = counts.setdefault(of, {})
            tasks.setdefault(named.get("task", ""), {})[named.get("label", "")] = number
        elif match[2] == "_bucket":
            buckets.setdefault(of, {})[float(named.get("le", "inf"))] = number
        elif match[2] == "_count":
            totals[of] = number
    if not counts:
        raise DataError(
            "this is a server's /metrics, and it counts no answers yet",
            hint="Save it again after texts were classified: curl -s ADDRESS/metrics > FILE",
            file=name,
        )
    if model is None and len(counts) > 1:
        raise DataError(
            f"the server counts several models: {', '.join(sorted(counts))}", hint="Name one: --model.", file=name
        )
    chosen = model if model is not None else next(iter(counts))
    if chosen not in counts:
        raise DataError(f"the server counts {', '.join(sorted(counts))}, and no {chosen!r}", file=name, key="--model")
    texts = totals.get(chosen) or max(sum(one.values()) for one in counts[chosen].values())
    found = {}
    for task, by_label in counts[chosen].items():
        names = tuple(sorted(by_label))
        numbers = np.array([by_label[one] for one in names], dtype=np.int64)
        found[task] = LabelCounts(labels=names, several=None, texts=texts, counts=numbers)
    limits = sorted(buckets.get(chosen, {}))
    primary = next(iter(counts[chosen]))
    below = np.array([buckets[chosen][limit] for limit in limits], dtype=np.int64) if limits else np.zeros(0, np.int64)
    return Profile(
        name=name,
        rows=texts,
        texts=texts,
        labels=found,
        buckets={primary: (np.array(limits), below)} if limits else {},
    )


def since(old: Profile, new: Profile) -> Profile | None:
    """Return what a server counted after an earlier look at the same counters; None where they did not go on.

    They went on if none of them is smaller, and some are larger.
    """
    found: dict[str, LabelCounts] = {}
    for task, earlier in old.labels.items():
        later = new.labels.get(task)
        if later is None:
            return None
        places = {label: place for place, label in enumerate(later.labels)}
        counts = later.counts.copy()
        for label, count in zip(earlier.labels, earlier.counts.tolist(), strict=True):
            if label not in places or counts[places[label]] < count:
                return None
            counts[places[label]] -= count
        found[task] = LabelCounts(labels=later.labels, several=None, texts=later.texts - earlier.texts, counts=counts)
    texts = new.texts - old.texts
    if texts <= 0:
        return None
    found |= {task: later for task, later in new.labels.items() if task not in found}
    buckets = {}
    for task, (limits, below) in new.buckets.items():
        before = old.buckets.get(task)
        if before is None or before[0].tolist() != limits.tolist() or (below < before[1]).any():
            return None
        buckets[task] = (limits, below - before[1])
    return Profile(name=new.name, rows=texts, texts=texts, labels=found, buckets=buckets)
