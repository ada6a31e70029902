"""Distilling: what teachers think of texts, written down once; their hidden states in the loss; both side by side."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.functional import mse_loss

from ottenok.bundle.folder import open_bundle
from ottenok.bundle.manifest import MANIFEST
from ottenok.core.errors import ConfigError, DataError
from ottenok.core.files import atomic_folder, atomic_path, atomic_write_text, sha256_file
from ottenok.core.language import detect_language
from ottenok.core.progress import SILENT, Progress, stage, tracked
from ottenok.data.corpus import CORPUS_FILE, MANIFEST_FILE, Corpus, open_corpus
from ottenok.inference.api import load as load_classifier
from ottenok.models.network import Network, load, load_saved_tokenizer
from ottenok.tables.table import open_table
from ottenok.tasks.metrics import Kind
from ottenok.tasks.paired import PairedOptions, Rows, System
from ottenok.tasks.predictions import load_predictions, prediction_files
from ottenok.tasks.tables import Grid
from ottenok.text.normalise import dedupe_key, normalise
from ottenok.training.dataset import encode_texts, token_table
from ottenok.training.facts import text_options
from ottenok.training.hardware import device_of, precision
from ottenok.training.loop import autocast
from ottenok.training.measure import score

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from ottenok.data.corpus import CorpusTask, Split
    from ottenok.recipes.train import RunOptions, TrainRecipe
    from ottenok.tasks.predictions import Predictions
    from ottenok.tasks.task import Task
    from ottenok.training.dataset import Batch
    from ottenok.training.hardware import Precision

    Probabilities = dict[str, npt.NDArray[np.float32]]
    Mask = npt.NDArray[np.bool_]

__all__ = ["Compared", "HiddenLoss", "Teacher", "compared", "comparison_table", "soft_targets", "with_unlabelled"]

# Texts that are scored and written at once: what a killed run loses at most.
_SHARD = 4_000
# Labels of a language with fewer rows are no row of the comparison: they rise and fall by chance.
_LEAST_CELL = 20
_SOURCE = "unlabelled"


class Teacher:
    """A classifier that says what it thinks of texts.

    A folder with torch weights is run by torch, on the GPU where there is one, and reads of each text what it learned
    from; any other classifier (a hub name, a bundle of graphs alone) by onnxruntime, long texts in windows.

    Attributes:
        name: As the recipe calls it.
        tasks: What it answers, in ottenok's spelling of labels.

    Args:
        name: Folder or hub name.
        run: Device and precision.
        cache: Folder for what is fetched and converted; None: the user's cache folder.

    Raises:
        OttenokError: It can't be loaded.
    """

    def __init__(self, name: str, run: RunOptions, *, cache: Path | None = None) -> None:
        self.name = name
        self._network: Network | None = None
        folder = Path(name)
        if (folder / MANIFEST).is_file() and (folder / "model.safetensors").is_file():
            self._manifest = open_bundle(folder).manifest
            self.tasks = self._manifest.task_list(canonical=True)
            model = load(folder).to(device_of(run))
            tokenizer = load_saved_tokenizer(folder)
            self._network = Network(
                model=model, tokenizer=tokenizer, tasks=self.tasks, options=(), limit=None, native=False
            )
            self._precision = precision(run)
            return
        self._classifier = load_classifier(name, cache=cache)
        self._manifest = self._classifier.manifest
        self.tasks = self._manifest.task_list(canonical=True)

    def identity(self) -> str:
        """Return what tells its answers from another's: the sums of its weights, and its decisions."""
        weights = Path(self.name) / "model.safetensors"
        decisions = json.dumps([task.decision.to_json() for task in self.tasks], sort_keys=True)
        return f"{sha256_file(weights) if self._network else self._classifier.identity} {decisions}"

    def __call__(self, texts: list[str], *, size: int = 64, progress: Progress = SILENT) -> Probabilities:
        """Return task to float32 `[texts, labels]`."""
        if self._network is None:
            stream = self._classifier.stream(texts)
            answers = list(tracked(stream, progress, "the teacher reads", total=len(texts), unit="texts"))
            return {
                task.name: np.array(
                    [list(answer.tasks[own.name].probabilities.values()) for answer in answers], dtype=np.float32
                )
                for task, own in zip(self.tasks, self._manifest.task_list(), strict=True)
            }
        normal = [normalise(text, self._manifest.text) for text in texts]
        length, ends = self._manifest.max_length, self._manifest.window.read == "end"
        tokens = token_table([encode_texts(self._network.tokenizer, normal, length, keep_end=ends)], length)
        logits = score(
            self._network, tokens, size=size, name="the teacher reads", progress=progress, precision=self._precision
        )
        cuts = self._network.columns
        return {task.name: task.probabilities(logits[:, cuts[task.name]]) for task in self.tasks}


def with_unlabelled(corpus: Corpus, files: Sequence[str], column: str, *, folder: Path) -> Corpus:
    """Return a corpus with more train rows, without labels, from files; made once in `folder`.

    Texts that the corpus has already, in whatever split, are left out.

    Raises:
        DataError: A file can't be read, or has no such column.
    """
    if not files:
        return corpus
    if (folder / MANIFEST_FILE).is_file():
        return open_corpus(folder)
    import pyarrow as pa
    import pyarrow.parquet as pq

    options = text_options(corpus)
    rows = corpus.table()
    seen = {dedupe_key(text) for text in rows.column("text").to_pylist()}
    texts: list[str] = []
    for file in files:
        table = open_table(file, wanted=[column])
        for block in table.blocks([table.find(column)]):
            for value in block.cells[0]:
                text = normalise(str(value), options) if value else ""
                if text and (key := dedupe_key(text)) not in seen:
                    seen.add(key)
                    texts.append(text)
    names = [f"labels:{task.name}" for task in corpus.tasks]
    if "labels" in rows.column_names:
        rows = rows.rename_columns([names[0] if name == "labels" else name for name in rows.column_names])
    count = len(texts)
    more: dict[str, Any] = {
        "id": [f"{_SOURCE}/0/{number}" for number in range(count)],
        "text": texts,
        "source": [_SOURCE] * count,
        "part": [None] * count,
        "language": [detect_language(text) for text in texts],
        "split": ["train"] * count,
        **{name: [None] * count for name in names},
    }
    extra = pa.table({name: pa.array(more[name], rows.schema.field(name).type) for name in rows.column_names})
    manifest = {key: value for key, value in corpus.manifest.items() if key not in {"scheme", "label_scheme"}}
    scheme = corpus.manifest.get("label_scheme")
    named = [
        {"name": task.name, "scheme": scheme or {"name": task.scheme.name}, "classes": {}} for task in corpus.tasks
    ]
    manifest |= {"format": 2, "tasks": corpus.manifest.get("tasks") or named}
    folder.parent.mkdir(parents=True, exist_ok=True)
    with atomic_folder(folder) as part:
        pq.write_table(pa.concat_tables([rows, extra]), part / CORPUS_FILE, compression="zstd")
        atomic_write_text(part / MANIFEST_FILE, json.dumps(manifest, ensure_ascii=False, indent=2) + "\n")
    return open_corpus(folder)


def soft_targets(
    teachers: Sequence[Teacher],
    corpus: Corpus,
    tasks: Sequence[CorpusTask],
    *,
    folder: Path,
    size: int,
    progress: Progress,
) -> Path:
    """Write what the teachers think of the train texts, averaged, as `TeacherOptions` reads it.

    The texts are scored shard by shard, and a call that was killed goes on with the shard that it missed.

    Args:
        teachers: One or more.
        corpus: Whose train texts.
        tasks: The student's; those that no teacher knows are left out.
        folder: Where shards and the whole lie, under a name that teachers and corpus decide.
        size: Texts in a batch.
        progress: Is told of texts.

    Returns:
        The file.

    Raises:
        ConfigError: No teacher knows any of the tasks.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    known = {
        task.name: [
            teacher
            for teacher in teachers
            if any((one.name, one.scheme.labels) == (task.name, task.scheme.labels) for one in teacher.tasks)
        ]
        for task in tasks
    }
    if not any(known.values()):
        told = "; ".join(f"{one.name}: {', '.join(task.name for task in one.tasks)}" for one in teachers)
        raise ConfigError(
            f"no teacher knows the student's tasks ({', '.join(known)})", hint=f"They know: {told}.", key="distil"
        )
    facts = [sha256_file(corpus.folder / CORPUS_FILE), [one.identity() for one in teachers], sorted(known)]
    place = folder / hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]
    whole = place / "teacher.parquet"
    if whole.is_file():
        return whole
    place.mkdir(parents=True, exist_ok=True)
    rows = corpus.table("train", columns=("id", "text"))
    shards = [place / f"shard-{start:09}.parquet" for start in range(0, rows.num_rows, _SHARD)]
    with stage(progress, "teachers", total=rows.num_rows, unit="texts"):
        for number, file in enumerate(shards):
            part = rows.slice(number * _SHARD, _SHARD)
            if not file.is_file():
                answers = [teacher(part.column("text").to_pylist(), size=size) for teacher in teachers]
                columns: dict[str, Any] = {"id": part.column("id")}
                for task in tasks:
                    owners = known[task.name]
                    given = [answer[task.name] for one, answer in zip(teachers, answers, strict=True) if one in owners]
                    if given:
                        mean = np.stack(given).mean(axis=0, dtype=np.float64).astype(np.float32)
                        for place_, label in enumerate(task.scheme.labels):
                            columns[f"p:{task.name}:{label}"] = mean[:, place_]
                with atomic_path(file) as temporary:
                    pq.write_table(pa.table(columns), temporary, compression="zstd")
            progress.advance(part.num_rows)
    table = pa.concat_tables([pq.read_table(file) for file in shards])
    if table.num_rows != rows.num_rows:
        raise DataError("the shards do not hold all texts", hint="Delete the folder and begin again.", file=str(place))
    with atomic_path(whole) as temporary:
        pq.write_table(table, temporary, compression="zstd")
    for file in shards:
        file.unlink()
    return whole


class HiddenLoss:
    """The distance of a student's hidden states from a teacher's, at the layers that the student was made of.

    Args:
        recipe: Its `[distil]` names the teacher and the weight, `model.layers` the layers.
        network: The student.
        device: Where both compute.
        number: In what numbers.

    Raises:
        ConfigError: The teacher is no folder of torch weights, its width or tokenizer is another one, or it has not
            the student's layers.
    """

    def __init__(self, recipe: TrainRecipe, network: Network, device: torch.device, number: Precision) -> None:
        options = recipe.distil
        if options is None:
            raise ConfigError("there is no [distil] table", key="distil")
        name, key = options.teachers[0], "distil.hidden_weight"
        if not (Path(name) / "model.safetensors").is_file():
            raise ConfigError(f"{name!r} has no torch weights, and hidden states need them", key=key)
        self._teacher: Any = load(name).to(device)
        if load_saved_tokenizer(Path(name)).get_vocab() != network.tokenizer.get_vocab():
            raise ConfigError("the teacher's tokenizer is not the student's", key=key)
        teacher, student = self._teacher.base_model.config, network.model.base_model.config
        if teacher.hidden_size != student.hidden_size:
            raise ConfigError(f"the teacher is {teacher.hidden_size} wide, the student {student.hidden_size}", key=key)
        depth, wanted = int(teacher.num_hidden_layers), int(student.num_hidden_layers)
        layers = recipe.model.layers or tuple((place + 1) * depth // wanted - 1 for place in range(wanted))
        if len(layers) != wanted or max(layers) >= depth:
            raise ConfigError(f"the teacher has {depth} layers, the student was made of {list(layers)}", key=key)
        # Before the first layer stand the embeddings.
        self._places = [layer + 1 for layer in layers]
        self._weight, self._device, self._precision = options.hidden_weight, device, number

    def __call__(self, batch: Batch, output: Any) -> torch.Tensor:  # noqa: ANN401 - transformers' output
        """Return the weighted mean over layers and real tokens of the squared distance."""
        with torch.no_grad(), autocast(self._device, self._precision):
            wanted = self._teacher(**batch.inputs, output_hidden_states=True).hidden_states
        real = batch.inputs["attention_mask"].unsqueeze(-1).to(torch.float32)
        total = real.new_zeros(())
        for place, own in zip(self._places, output.hidden_states[1:], strict=True):
            far = mse_loss(own.to(torch.float32), wanted[place].to(torch.float32), reduction="none")
            total = total + (far * real).sum() / (real.sum() * own.shape[-1])
        return self._weight * total / len(self._places)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Teacher and student on the same rows, with 95 % bootstrap intervals.

    Attributes:
        task: Name of the task.
        part: `all`, `source NAME`, `language NAME`, or a cell of at least 20 rows, `NAME, LABEL`.
        rows: How many; of a cell those that have the label.
        teacher: Macro F1 (of one-label tasks' sources and languages over the labels that they have); of a cell its F1.
        student: The same.
        teacher_low: Lower end of the teacher's interval.
        teacher_high: Upper end.
        student_low: Lower end of the student's interval.
        student_high: Upper end.
        difference: Student less teacher.
        low: Lower end of the difference's interval, both on the same resamples.
        high: Upper end.
    """

    task: str
    part: str
    rows: int
    teacher: float
    teacher_low: float
    teacher_high: float
    student: float
    student_low: float
    student_high: float
    difference: float
    low: float
    high: float


def compared(
    teachers: Sequence[Teacher],
    folder: Path,
    tasks: Sequence[Task],
    corpus: Corpus,
    *,
    split: Split,
    size: int,
    progress: Progress = SILENT,
) -> list[Compared]:
    """Measure the teachers (averaged) on the rows of a split that the student was measured on.

    Args:
        teachers: One or more.
        folder: The student's, with the predictions that training kept.
        tasks: The student's.
        corpus: Whose rows.
        split: `test` or `validation`.
        size: Texts in a batch.
        progress: Is told of texts.
    """
    files = {name: file for name, file in prediction_files(folder, split, tasks).items() if file.is_file()}
    students = {
        task.name: load_predictions(files[task.name]).in_order(task.scheme.labels)
        for task in tasks
        if task.name in files
    }
    wanted = {id_ for one in students.values() for id_ in one.ids}
    read = corpus.table(split, columns=("id", "text"))
    texts = {
        id_: text
        for id_, text in zip(*(read.column(name).to_pylist() for name in ("id", "text")), strict=True)
        if id_ in wanted
    }
    places = {id_: place for place, id_ in enumerate(texts)}
    answers = [teacher(list(texts.values()), size=size, progress=progress) for teacher in teachers]
    found: list[Compared] = []
    for task in tasks:
        owners = [
            (answer[task.name], one)
            for teacher, answer in zip(teachers, answers, strict=True)
            for one in teacher.tasks
            if (one.name, one.scheme.labels) == (task.name, task.scheme.labels)
        ]
        if not owners or task.name not in students:
            continue
        student = students[task.name]
        probs = np.mean([answer for answer, _ in owners], axis=0)[[places[id_] for id_ in student.ids]]
        found += _side_by_side(task, student, owners[0][1].chosen(probs), task.chosen(student.probs))
    return found


def _side_by_side(task: Task, rows: Predictions, teacher: Mask, student: Mask) -> Iterator[Compared]:
    """Yield both on all rows, on each source, each language and each label of a language."""
    kind, each = Kind.of(task.scheme), Kind(one_label=False, ranks=None)
    part_metric = "macro_f1_present" if kind.one_label else "macro_f1"
    sources, languages, every = np.array(rows.sources), np.array(rows.languages), slice(None)
    parts: list[tuple[str, Mask, slice, str, Kind]] = [("all", np.ones(len(rows), dtype=bool), every, "macro_f1", kind)]
    parts += [(f"source {name}", sources == name, every, part_metric, kind) for name in np.unique(sources)]
    for language in np.unique(languages):
        inside = languages == language
        parts.append((f"language {language or '?'}", inside, every, part_metric, kind))
        parts += [
            (f"{language or '?'}, {label}", inside, slice(place, place + 1), "macro_f1", each)
            for place, label in enumerate(task.scheme.labels)
            if rows.truth[inside, place].sum() >= _LEAST_CELL
        ]
    for part, inside, labels, metric, how in parts:
        truth = rows.truth[inside, labels]
        both = [System(answers=(answer[inside, labels],), probs=()) for answer in (teacher, student)]
        common = Rows(truth, how, (metric,), PairedOptions(permutations=0))
        first, second = (common.estimates(one)[metric] for one in both)
        far = common.differences(both[1], both[0])[metric]
        yield Compared(
            task=task.name,
            part=part,
            rows=len(truth) if labels == every else int(truth.sum()),
            teacher=first.value,
            teacher_low=first.low or 0.0,
            teacher_high=first.high or 0.0,
            student=second.value,
            student_low=second.low or 0.0,
            student_high=second.high or 0.0,
            difference=far.value,
            low=far.low or 0.0,
            high=far.high or 0.0,
        )


def comparison_table(rows: Sequence[Compared]) -> Grid:
    """Return the table of teacher and student."""

    def told(value: float, low: float, high: float, sign: str = "") -> str:
        return f"{value:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"

    cells = [
        (
            one.task,
            one.part,
            f"{one.rows:,}",
            told(one.teacher, one.teacher_low, one.teacher_high),
            told(one.student, one.student_low, one.student_high),
            told(one.difference, one.low, one.high, "+"),
        )
        for one in rows
    ]
    return Grid(header=("task", "part", "rows", "teacher", "student", "difference"), rows=tuple(cells))
