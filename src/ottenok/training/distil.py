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
from ottenok.core.progress import SILENT, Progress, stage
from ottenok.data.corpus import CORPUS_FILE, MANIFEST_FILE, Corpus, open_corpus
from ottenok.inference.api import load as load_classifier
from ottenok.models.network import Network, load, load_saved_tokenizer
from ottenok.tables.table import open_table
from ottenok.tasks.decision import indicator
from ottenok.tasks.report import EvaluationOptions, evaluate
from ottenok.tasks.tables import Grid
from ottenok.text.normalise import dedupe_key, normalise
from ottenok.training.dataset import encode_texts, token_table
from ottenok.training.facts import text_options
from ottenok.training.hardware import device_of, precision
from ottenok.training.loop import autocast
from ottenok.training.measure import score

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from ottenok.data.corpus import CorpusTask, Split
    from ottenok.recipes.train import RunOptions, TrainRecipe
    from ottenok.tasks.report import Report
    from ottenok.training.dataset import Batch
    from ottenok.training.hardware import Precision

    Probabilities = dict[str, npt.NDArray[np.float32]]

__all__ = ["Compared", "HiddenLoss", "Teacher", "compared", "comparison_table", "soft_targets", "with_unlabelled"]

# Texts that are scored and written at once: what a killed run loses at most.
_SHARD = 20_000
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
        """Return what tells it from another: the sums of its weights, or its name."""
        weights = Path(self.name) / "model.safetensors"
        return sha256_file(weights) if weights.is_file() else self.name

    def __call__(self, texts: list[str], *, size: int = 64, progress: Progress = SILENT) -> Probabilities:
        """Return task to float32 `[texts, labels]`."""
        if self._network is None:
            answers = list(self._classifier.stream(texts))
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
    manifest = {
        **{key: value for key, value in corpus.manifest.items() if key not in {"scheme", "label_scheme"}},
        "format": 2,
        "tasks": corpus.manifest.get("tasks")
        or [
            {
                "name": task.name,
                "scheme": corpus.manifest.get("label_scheme") or {"name": task.scheme.name},
                "classes": {},
            }
            for task in corpus.tasks
        ],
    }
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
    """Teacher and student on the same rows.

    Attributes:
        task: Name of the task.
        part: `all`, `source NAME` or `language NAME`.
        rows: How many.
        teacher: Macro F1; for a language, the mean F1 of its labels.
        student: The same.
    """

    task: str
    part: str
    rows: int
    teacher: float
    student: float


def _side_by_side(teacher: Report, student: Report) -> list[Compared]:
    """Return two reports on the same rows side by side: all rows, each source, each language."""
    parts: list[tuple[str, int, float, float]] = [
        ("all", teacher.rows, teacher.value("macro_f1"), student.value("macro_f1"))
    ]
    name = "macro_f1" if teacher.kind == "multi-label" else "macro_f1_present"
    own = {one.source: one for one in student.sources}
    parts += [
        (f"source {one.source}", one.rows, one.metrics[name].value, own[one.source].metrics[name].value)
        for one in teacher.sources
    ]
    for language in dict.fromkeys(cell.language for cell in teacher.cells):
        f1 = [
            [cell.f1 for cell in report.cells if cell.language == language and cell.rows]
            for report in (teacher, student)
        ]
        rows = sum(cell.rows for cell in teacher.cells if cell.language == language)
        if rows:
            parts.append((f"language {language}", rows, float(np.mean(f1[0])), float(np.mean(f1[1]))))
    return [
        Compared(task=teacher.task, part=part, rows=rows, teacher=first, student=second)
        for part, rows, first, second in parts
    ]


def compared(
    teachers: Sequence[Teacher], student: dict[str, Report], corpus: Corpus, *, split: Split, size: int
) -> list[Compared]:
    """Measure the teachers (averaged) on a split's rows and put them beside the student's reports.

    Args:
        teachers: One or more.
        student: Task to its report on the same rows.
        corpus: Whose rows.
        split: `test` or `validation`.
        size: Texts in a batch.
    """
    rows = corpus.table(split)
    answers = [teacher(rows.column("text").to_pylist(), size=size) for teacher in teachers]
    found: list[Compared] = []
    for task in corpus.tasks:
        owners = [
            (answer, next(one for one in teacher.tasks if one.name == task.name))
            for teacher, answer in zip(teachers, answers, strict=True)
            if any((one.name, one.scheme.labels) == (task.name, task.scheme.labels) for one in teacher.tasks)
        ]
        if not owners or task.name not in student:
            continue
        labels = rows.column(task.column).to_pylist()
        places = [place for place, one in enumerate(labels) if one is not None]
        probs = np.mean([answer[task.name] for answer, _ in owners], axis=0)[places]
        report = evaluate(
            owners[0][1],
            indicator([labels[place] for place in places], task.scheme),
            probs,
            sources=[rows.column("source")[place].as_py() for place in places],
            languages=[rows.column("language")[place].as_py() or "" for place in places],
            options=EvaluationOptions(resamples=0),
        )
        found += _side_by_side(report, student[task.name])
    return found


def comparison_table(rows: Sequence[Compared]) -> Grid:
    """Return the table of teacher and student."""
    cells = []
    for one in rows:
        numbers = f"{one.teacher:.3f}", f"{one.student:.3f}", f"{one.student - one.teacher:+.3f}"
        cells.append((one.task, one.part, f"{one.rows:,}", *numbers))
    return Grid(header=("task", "part", "rows", "teacher", "student", "difference"), rows=tuple(cells))
