"""Labelled rows for an evaluation: from a corpus, a corpus recipe or a user's own file, in a model's labels."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ottenok.core.errors import ConfigError, DataError, OttenokError, SchemeError
from ottenok.core.language import detect_language
from ottenok.core.progress import SILENT, Progress, tracked
from ottenok.core.schemes import find_map, load_schemes
from ottenok.data.fetch import locate
from ottenok.data.harmonise import Harmoniser, find_route
from ottenok.data.own import user_card
from ottenok.data.rows import Reason
from ottenok.data.sources import Source, read_source
from ottenok.recipes.corpus import OwnData
from ottenok.recipes.train import DataOptions
from ottenok.tables.options import TableOptions
from ottenok.tables.records import Rejected
from ottenok.tasks.baselines import LabelledTexts
from ottenok.tasks.decision import indicator
from ottenok.training.inputs import Places, corpus_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from ottenok.core.schemes import LabelScheme
    from ottenok.data.corpus import Corpus, CorpusTask, Split
    from ottenok.inference.classifier import Classifier
    from ottenok.tasks.task import Task

__all__ = ["Columns", "Rows", "open_data", "probabilities", "row_probabilities", "sample_rows", "task_rows"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Where a user's file has its texts and labels.

    Attributes:
        text: Column of the texts.
        label: Column of the labels, or several 0/1 columns of them.
        label_map: From labels in the file to the model's, "" to drop; others go by their usual spellings.
        table: How the file is read.
    """

    text: str = "text"
    label: str | tuple[str, ...] = "label"
    label_map: Mapping[str, str] = field(default_factory=dict)
    table: TableOptions = field(default_factory=TableOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What an evaluation of one task needs.

    Attributes:
        name: What the rows are, for headings.
        corpus: The corpus's name; None for a file.
        split: Of the corpus; None for a file.
        test: The rows to evaluate on.
        ids: Theirs: those of the corpus, or `FILE/ROW`.
        train: Rows to fit baselines on; None for a file, which has no splits.
        tuning: Validation rows; None likewise.
        left_out: Reason to number of records that can't be evaluated.
    """

    name: str
    corpus: str | None = None
    split: Split | None = None
    test: LabelledTexts
    ids: tuple[str, ...] = ()
    train: LabelledTexts | None = None
    tuning: LabelledTexts | None = None
    left_out: dict[str, int]


def open_data(data: str | Path, places: Places, progress: Progress = SILENT) -> Corpus | Path:
    """Return the corpus that a folder or a recipe means, built if it is not there yet, or a file's path.

    Raises:
        DataError: There is no such data.
    """
    path = Path(data)
    if path.is_file() and path.suffix != ".toml":
        return path
    options = DataOptions(corpus=str(path)) if path.is_dir() else DataOptions(recipe=str(data))
    return corpus_of(options, places, progress)


def task_rows(
    data: str | Path,
    tasks: Sequence[Task],
    *,
    split: Split = "test",
    columns: Columns = Columns(),
    places: Places,
    progress: Progress = SILENT,
) -> dict[str, Rows]:
    """Read the rows that have a label for each of a model's tasks; tasks that the data says nothing of are left out.

    Args:
        data: A corpus folder, a file with texts and labels, or the name or path of a corpus recipe.
        tasks: A model's, with labels as ottenok spells them. A file is labelled for the first of them.
        split: Of a corpus.
        columns: Of a file.
        places: Where data sets and built corpora are.
        progress: Whom to tell.

    Raises:
        ConfigError: Something is said of a file's columns, and the data is a corpus.
        DataError: There is no such data, or no row of it can be used.
        SchemeError: The labels of the data lead to those of no task.
    """
    found = open_data(data, places, progress)
    if not isinstance(found, Path) and columns != Columns():
        raise ConfigError(
            "--text, --label, --label-map and how a table is read are for files, and this is a corpus",
            hint="Leave them out; a corpus gets other labels when it is built: ottenok data build ... --label-map",
            file=str(data),
        )
    if isinstance(found, Path):
        try:
            return {tasks[0].name: _from_file(found, tasks[0].scheme, columns, progress)}
        except SchemeError as error:
            for task in tasks[1:]:
                with suppress(OttenokError):
                    _from_file(found, task.scheme, columns, SILENT)
                    error.hint = f"They are labels of {task.name}: --task {task.name}"
                    break
            raise
    rows: dict[str, Rows] = {}
    problem: SchemeError | DataError | None = None
    for task in tasks:
        try:
            rows[task.name] = _from_corpus(found, _corpus_task(found, task.scheme, task.name), task.scheme, split)
        except (SchemeError, DataError) as error:
            problem = problem or error
    if not rows and problem is not None:
        raise problem
    return rows


def _corpus_task(corpus: Corpus, scheme: LabelScheme, name: str | None = None) -> CorpusTask:
    """Return what the corpus's texts are labelled for that leads to a scheme: by name, by scheme, else by a map."""
    listed = corpus.tasks
    if len(listed) == 1:
        return listed[0]
    same = [one for one in listed if one.name == name] or [one for one in listed if one.scheme.name == scheme.name]
    for one in same or listed:
        if set(one.scheme.labels) <= set(scheme.labels):
            return one
        try:
            find_map(one.scheme.name, scheme.name)
        except SchemeError:
            continue
        return one
    raise SchemeError(
        f"the corpus has labels for {', '.join(one.name for one in listed)}, and none lead to those of {scheme.name}",
        file=str(corpus.folder),
    )


def _from_corpus(corpus: Corpus, task: CorpusTask, scheme: LabelScheme, split: Split) -> Rows:
    ids, test = _split(corpus, task, scheme, split)
    if test is None:
        raise DataError(
            f"the corpus has no {split} rows", hint="Choose another one with --split.", file=str(corpus.folder)
        )
    name = str(corpus.manifest.get("name", corpus.folder.name))
    others = {part: _split(corpus, task, scheme, part)[1] for part in ("train", "validation") if part != split}
    return Rows(
        name=f"{name}, {split}",
        corpus=name,
        split=split,
        test=test,
        ids=ids,
        train=others.get("train"),
        tuning=others.get("validation"),
        left_out={},
    )


def _split(
    corpus: Corpus, task: CorpusTask, scheme: LabelScheme, split: Split
) -> tuple[tuple[str, ...], LabelledTexts | None]:
    """Return a split's ids and its rows in the labels of `scheme`; None where it has no rows."""
    table = corpus.table(split, columns=("id", "text", task.column, "source", "language")).to_pydict()
    labels: list[Sequence[str] | None] = table[task.column]
    strange = {label for found in labels for label in found or ()} - set(scheme.labels)
    if strange and (task.scheme.name == scheme.name or not {task.scheme.name, scheme.name} <= set(load_schemes())):
        raise SchemeError(
            f"the corpus has the labels {', '.join(sorted(strange))}, which the model does not give",
            hint=f"The model gives: {', '.join(scheme.labels)}.",
            file=str(corpus.folder),
        )
    route = find_map(task.scheme.name, scheme.name) if strange else None
    mapped = [found if found is None or route is None else route.apply(tuple(found)) for found in labels]
    kept = [place for place, found in enumerate(mapped) if found is not None]
    if not kept:
        return (), None
    rows = LabelledTexts(
        texts=[table["text"][place] for place in kept],
        truth=indicator([mapped[place] or () for place in kept], scheme),
        sources=[table["source"][place] for place in kept],
        languages=[table["language"][place] for place in kept],
    )
    return tuple(table["id"][place] for place in kept), rows


def _from_file(path: Path, scheme: LabelScheme, columns: Columns, progress: Progress) -> Rows:
    own = OwnData(
        name=path.name,
        file=str(path),
        text=columns.text,
        label=columns.label,
        label_map=dict(columns.label_map) or None,
        reader=columns.table.said(),
    )
    card = user_card(own, scheme=scheme, progress=progress)
    harmonise = Harmoniser(label=card.label, scheme=scheme, route=find_route(card.label, scheme))
    ids: list[str] = []
    texts: list[str] = []
    labels: list[tuple[str, ...]] = []
    left_out: Counter[str] = Counter()
    for _, row in read_source(Source(card=card, files=locate(card, root=None, cache=path.parent))):
        if isinstance(row, Rejected):
            left_out[row.reason] += 1
            continue
        mapped = harmonise(row.labels)
        if mapped.reason is not Reason.KEPT or mapped.unknown is not None:
            left_out[mapped.reason.title if mapped.unknown is None else "unknown label"] += 1
            continue
        ids.append(f"{path.name}/{row.row}")
        texts.append(row.text)
        labels.append(mapped.labels)
    if not texts:
        raise DataError("no row of this file can be used", hint="Check --text and --label.", file=str(path))
    languages = [detect_language(text) for text in texts]
    test = LabelledTexts(texts=texts, truth=indicator(labels, scheme), languages=languages)
    return Rows(name=path.name, test=test, ids=tuple(ids), left_out=dict(sorted(left_out.items())))


def sample_rows(rows: Rows, most: int) -> Rows:
    """Return at most so many rows, the same ones every time."""
    count = len(rows.ids)
    picked = sorted(random.Random(0).sample(range(count), min(most, count)))  # noqa: S311 - a sample, no secret
    test = rows.test
    return replace(
        rows,
        ids=tuple(rows.ids[place] for place in picked),
        test=replace(
            test,
            texts=[test.texts[place] for place in picked],
            truth=test.truth[picked],
            sources=None if test.sources is None else [test.sources[place] for place in picked],
            languages=None if test.languages is None else [test.languages[place] for place in picked],
        ),
    )


def probabilities(
    classifier: Classifier, texts: Sequence[str], progress: Progress = SILENT
) -> dict[str, npt.NDArray[np.float32]]:
    """Return task to float32 `[texts, labels]`; each text is read once for all tasks."""
    found: dict[str, list[list[float]]] = {task.name: [] for task in classifier.manifest.tasks}
    for answer in tracked(classifier.stream(texts), progress, "classifying", total=len(texts), unit="texts"):
        for name, rows in found.items():
            rows.append(list(answer.tasks[name].probabilities.values()))
    return {name: np.array(rows, dtype=np.float32) for name, rows in found.items()}


def row_probabilities(
    classifier: Classifier, rows: Mapping[str, Rows], progress: Progress = SILENT
) -> dict[str, npt.NDArray[np.float32]]:
    """Return task to the probabilities of its rows; a text that several tasks have rows of is read once."""
    texts = {id_: text for one in rows.values() for id_, text in zip(one.ids, one.test.texts, strict=True)}
    places = {id_: place for place, id_ in enumerate(texts)}
    found = probabilities(classifier, list(texts.values()), progress)
    return {name: found[name][[places[id_] for id_ in one.ids]] for name, one in rows.items()}
