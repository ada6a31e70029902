"""What a trained classifier is on disk: the names of its files, and `ottenok.json`, which says what weights do not.

A bundle is a folder that other tools open too:

    config.json                   transformers' configuration: id2label, problem_type, architecture
    model.safetensors             the weights
    tokenizer.json                the tokenizer, whole
    onnx/model.onnx               the graph, fp32, one output per task
    onnx/model_quantized.onnx     the graph, int8
    ottenok.json                  the manifest
    README.md                     the model card

A bundle for prediction alone needs the tokenizer, one graph and the manifest. Pickles are never read nor written.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import fields, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue, model_validator

from ottenok.core.config import suggest
from ottenok.core.errors import BundleError
from ottenok.core.schemes import LabelScheme, SchemeKind
from ottenok.core.table import Table
from ottenok.tasks.decision import Decision, ProblemType
from ottenok.tasks.selective import Selective
from ottenok.tasks.shift import AnswerCounts
from ottenok.tasks.task import Task, check_names, find_task, task_name
from ottenok.text.normalise import TextOptions

if TYPE_CHECKING:
    from pathlib import Path

    from ottenok.tasks.report import Report
    from ottenok.tasks.tuning import TuningReport

__all__ = [
    "CARD",
    "CONFIG",
    "EARLIER",
    "FORMAT",
    "GRAPHS",
    "MANIFEST",
    "ONNX",
    "ONNX_INT8",
    "TOKENIZER",
    "TOKENIZER_CONFIG",
    "WEIGHTS",
    "BundleManifest",
    "DataFacts",
    "EncoderFacts",
    "FamiliarityFacts",
    "FileFacts",
    "LicenceFacts",
    "SchemeFacts",
    "SourceFacts",
    "TaskFacts",
    "TrainingFacts",
    "WindowRule",
    "is_safe",
    "listed_files",
    "output_name",
    "pickles",
    "read_json",
    "upgraded",
]

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
TOKENIZER = "tokenizer.json"
ONNX = "onnx/model.onnx"
ONNX_INT8 = "onnx/model_quantized.onnx"
TOKENIZER_CONFIG = "tokenizer_config.json"
# By precision; optimum writes graphs at the folder's top.
GRAPHS = MappingProxyType({"int8": (ONNX_INT8, "model_quantized.onnx"), "fp32": (ONNX, "model.onnx")})
MANIFEST = "ottenok.json"
CARD = "README.md"
# In the names of reports on an earlier state, before what replaced it: a tuning with its number, a compression.
EARLIER = ", before "

_FOLDERS = ("onnx",)
# What transformers and tokenizers write beside the three above. Whatever else lies at the folder's top (a run's state,
# logs, a user's notes) is no part of the bundle.
_TOP = frozenset(
    {
        CONFIG,
        WEIGHTS,
        TOKENIZER,
        "model.safetensors.index.json",
        TOKENIZER_CONFIG,
        "special_tokens_map.json",
        "added_tokens.json",
        "vocab.txt",
        "vocab.json",
        "merges.txt",
        "sentencepiece.bpe.model",
        "spiece.model",
        "spm.model",
    }
)
_SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")
_PICKLES = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".joblib", ".ckpt", ".npy", ".npz"})
# Plain relative paths with forward slashes: no absolute ones, no `..`, no drives, no hidden files.
_SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*(/[A-Za-z0-9_][A-Za-z0-9_.\-]*)*")


def is_safe(name: str) -> bool:
    """Say whether a manifest may name this file: a plain relative path inside the folder."""
    return len(name) <= 200 and _SAFE.fullmatch(name) is not None


def listed_files(folder: Path) -> tuple[str, ...]:
    """Return the files that belong to a bundle, as relative names, sorted.

    The manifest itself and the card (which people may edit) are not among them, nor is anything that training leaves
    in other folders.

    Raises:
        BundleError: A file's name is unsafe, or a pickle lies beside the weights.
    """
    if found := pickles(folder):
        raise BundleError(f"found {found[0]}, a format that runs code when it is read", file=str(folder))
    own = [path for path in folder.iterdir() if path.name in _TOP or _SHARD.fullmatch(path.name)]
    below = [path for name in _FOLDERS if (folder / name).is_dir() for path in (folder / name).rglob("*")]
    files = [path for path in (*own, *below) if path.is_file() and not path.name.startswith(".")]
    names = sorted(path.relative_to(folder).as_posix() for path in files)
    for name in names:
        if not is_safe(name):
            raise BundleError(f"the file name {name!r} can't be in a bundle", hint="Use plain Latin names.")
    return tuple(names)


def pickles(folder: Path) -> tuple[str, ...]:
    """Return the names of files at the folder's top whose formats can hold pickled objects, sorted."""
    return tuple(sorted(path.name for path in folder.iterdir() if path.suffix in _PICKLES))


def read_json(file: Path, *, finite: bool = False) -> dict[str, Any]:
    """Read a JSON object of bounded size; `finite` refuses numbers that JSON has not and those that overflow.

    Raises:
        BundleError: The file is absent or too large, is no JSON, holds something else than an object or a number that
            is not finite.
    """

    def number(text: str) -> float:
        value = float(text)
        if not math.isfinite(value):
            raise ValueError(f"found {text[:50]}, which is no finite number")
        return value

    parse = number if finite else float
    try:
        size = file.stat().st_size
        if size > _MOST_BYTES:
            raise BundleError(f"the file has {size:,} bytes, and at most {_MOST_BYTES:,} are read", file=str(file))
        tree = json.loads(file.read_text(encoding="utf-8-sig"), parse_float=parse, parse_constant=parse)
    except FileNotFoundError as error:
        raise BundleError("there is no such file", file=str(file)) from error
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"this is no JSON file: {error}", file=str(file)) from error
    if not isinstance(tree, dict):
        raise BundleError(f"expected a JSON object, found {type(tree).__name__}", file=str(file))
    return tree


def output_name(task: str, *, first: bool) -> str:
    """Return what the graph calls the output of a task: `logits` for the first, `logits_<task>` for the others."""
    return "logits" if first else "logits_" + re.sub(r"[^A-Za-z0-9]", "_", task)


# Raised when an older ottenok could read a newer manifest wrongly.
FORMAT = 2
# A manifest is a few hundred kilobytes; what is larger is no manifest, and would only cost memory.
_MOST_BYTES = 64 << 20
_MOST_TASKS, _MOST_LABELS, _MOST_FILES = 100, 10_000, 10_000


def _safe_name(name: str) -> str:
    if not is_safe(name):
        raise ValueError(f"{name!r} is no plain path inside the bundle")
    return name


def _known_options(value: object) -> object:
    known = [field.name for field in fields(TextOptions)]
    if isinstance(value, Mapping):
        for key in value:
            if key not in known:
                raise ValueError(f"there is no text option {key!r}. {suggest(str(key), known)}")
    return value


SafeName = Annotated[str, AfterValidator(_safe_name)]
Label = Annotated[str, Field(min_length=1, max_length=1000)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
KnownText = Annotated[TextOptions, BeforeValidator(_known_options)]


class SchemeFacts(Table):
    """The labels, in the order of the model's outputs.

    Attributes:
        name: Of the scheme; `custom` where it is none of ottenok's.
        kind: `multi-class`, `multi-label` or `ordinal`.
        labels: As the model gives them.
        canonical: The same labels as ottenok's scheme spells them, where the model spells them otherwise (`POSITIVE`).
        values: Each label's place on -1..1, in the order of `labels`; empty for labels without order.
        titles: Language code to the labels' names in that language, in the order of `labels`.
        source: Where the scheme comes from.
    """

    name: str
    kind: SchemeKind
    labels: Annotated[tuple[Label, ...], Field(min_length=1, max_length=_MOST_LABELS)]
    canonical: tuple[str, ...] = ()
    values: tuple[Annotated[float, Field(ge=-1e6, le=1e6)], ...] = ()
    titles: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    source: str = ""

    @model_validator(mode="after")
    def _one_per_label(self) -> SchemeFacts:
        if len(set(self.labels)) < len(self.labels):
            raise ValueError("two labels have the same name")
        for name, items in {"values": self.values, "canonical": self.canonical, **self.titles}.items():
            if items and len(items) != len(self.labels):
                raise ValueError(f"found {len(items)} {name} for {len(self.labels)} labels")
        return self

    @classmethod
    def of(cls, scheme: LabelScheme) -> SchemeFacts:
        """Return the facts of a scheme."""
        return cls(
            name=scheme.name,
            kind=scheme.kind,
            labels=scheme.labels,
            values=scheme.values,
            titles=dict(scheme.titles),
            source=scheme.source,
        )

    def scheme(self) -> LabelScheme:
        """Return the scheme with the labels as the model gives them."""
        return self._scheme(self.labels)

    def canonical_scheme(self) -> LabelScheme:
        """Return the scheme with the labels as ottenok spells them: to compare with a corpus."""
        return self._scheme(self.canonical or self.labels)

    def _scheme(self, labels: tuple[str, ...]) -> LabelScheme:
        return LabelScheme(
            name=self.name, kind=self.kind, labels=labels, values=self.values, titles=self.titles, source=self.source
        )


class TaskFacts(Table):
    """One question that the model answers.

    Attributes:
        name: Letters, digits, `.`, `_` and `-`.
        scheme: The labels.
        problem_type: What was learned: `multi-class`, `multi-label`, `ordinal` or `regression`.
        decision: From logits to labels.
        output: What the ONNX graphs call its logits.
        selective: Which answers are given, so that a promised precision is kept; None: all.
    """

    name: str
    scheme: SchemeFacts
    problem_type: ProblemType
    decision: Decision
    selective: Selective | None = None
    output: str = Field(default="logits", pattern=r"^[A-Za-z0-9_.\-/]{1,200}$")

    @classmethod
    def of(cls, task: Task, *, first: bool = True) -> TaskFacts:
        """Return the facts of a task; `first` says whether it is the model's primary one."""
        return cls(
            name=task.name,
            scheme=SchemeFacts.of(task.scheme),
            problem_type=task.problem,
            decision=task.decision,
            output=output_name(task.name, first=first),
        )

    def task(self, *, canonical: bool = False) -> Task:
        """Return the task with the model's own labels, or (`canonical`) with ottenok's spelling, as corpora have it."""
        decision, own = self.decision, self.scheme.labels
        if canonical and self.scheme.canonical:
            spelt = dict(zip(own, self.scheme.canonical, strict=True))
            decision = replace(
                decision,
                empty=spelt.get(decision.empty, decision.empty),
                exclusive=spelt.get(decision.exclusive, decision.exclusive),
            )
        scheme = self.scheme.canonical_scheme() if canonical else self.scheme.scheme()
        return Task(
            name=self.name,
            scheme=scheme,
            problem=self.problem_type,
            decision=decision,
            selective=self.selective,
        )

    @model_validator(mode="after")
    def _can_answer(self) -> TaskFacts:
        self.task()
        return self


class WindowRule(Table):
    """How a text is read that has more tokens than the model takes.

    Attributes:
        read: `all` of it, in windows; or its `end` alone, for models that learned from ends
            (`text.truncation_side = "left"`).
        overlap: Tokens that neighbouring windows share.
        combine: `mean-logits` or `mean-probabilities` of the windows, each weighing as much as it has tokens.
    """

    read: Literal["all", "end"] = "all"
    overlap: int = Field(default=32, ge=0)
    combine: Literal["mean-logits", "mean-probabilities"] = "mean-logits"


class FamiliarityFacts(Table):
    """How it is told that a text is unlike all that the model was judged on: see `ottenok.inference.familiarity`.

    Attributes:
        data: What the texts were that it was fitted on.
        rows: How many.
        limit: From this share on labels are withheld; above 1: never.
        pieces: Script to mean and deviation of the tokens per character.
        weights: Of the measures.
        bias: Added to their sum.
        scores: Sums of the texts of the fit at certain shares, never falling.
        levels: These shares.
    """

    data: str
    rows: int = Field(ge=1)
    limit: float = Field(ge=0, le=2)
    pieces: dict[Literal["ru", "zh"], tuple[float, Annotated[float, Field(gt=0)]]]
    weights: Annotated[tuple[float, ...], Field(min_length=5, max_length=5)]
    bias: float
    scores: Annotated[tuple[float, ...], Field(min_length=2, max_length=1000)]
    levels: tuple[Annotated[float, Field(ge=0, le=1)], ...]

    @model_validator(mode="after")
    def _fits_together(self) -> FamiliarityFacts:
        if set(self.pieces) != {"ru", "zh"} or len(self.levels) != len(self.scores):
            raise ValueError("expected the usual pieces of ru and zh, and as many levels as scores")
        return self


class LicenceFacts(Table):
    """Terms.

    Attributes:
        id: SPDX identifier, or `unknown`.
        commercial: False if commercial use is forbidden; None if unknown.
        statement: Where the terms are stated, or how they follow.
    """

    id: str
    commercial: bool | None
    statement: str = ""


class SourceFacts(Table):
    """One data set that the model was trained or measured on.

    Attributes:
        name: The card's name.
        title: As its publisher calls it.
        rows: Split to number of rows.
        languages: ISO 639-1 codes.
        annotation: Who gave the labels: `human`, `author`, `distant`, `translated`, `unknown`.
        homepage: Where it is described.
        licence: Its terms.
        files: Path to sha256, where known.
    """

    name: str
    title: str = ""
    rows: dict[str, int] = Field(default_factory=dict)
    languages: tuple[str, ...] = ()
    annotation: str = "unknown"
    homepage: str = ""
    licence: LicenceFacts
    files: dict[str, Sha256 | None] = Field(default_factory=dict)


class DataFacts(Table):
    """The corpus.

    Attributes:
        name: Of the corpus recipe.
        rows: Split to number of rows.
        sources: What it was made of.
        dropped: Reason to number of rows that were dropped.
        cells: Task to language to label to training rows, labels without any too; empty where they were not counted.
        recipe: The resolved corpus recipe.
    """

    name: str
    rows: dict[str, int] = Field(default_factory=dict)
    sources: tuple[SourceFacts, ...] = ()
    dropped: dict[str, int] = Field(default_factory=dict)
    cells: dict[str, dict[str, dict[str, int]]] = Field(default_factory=dict)
    recipe: dict[str, JsonValue] = Field(default_factory=dict)


class EncoderFacts(Table):
    """The pretrained model that training started from.

    Attributes:
        name: Hub name or folder name.
        origin: In words: whose model it is and what was done to it.
        licence: Its terms.
    """

    name: str
    origin: str = ""
    licence: LicenceFacts


class TrainingFacts(Table):
    """What the training took.

    Attributes:
        epochs: Rows of the table of epochs: epochs begun, also one that `max_steps` ended; weights that were learned
            elsewhere may tell a part of one.
        seconds: Of training steps; evaluation, checkpoints and export not counted.
        texts: Texts seen, each as often as it was seen.
        tokens: Tokens seen, padding not counted.
        parameters: Of the model as it is saved.
        trained: How many of them the training changed; the others are frozen.
        device: What it ran on: `cpu`, or the GPU's name.
        processes: Processes that shared the work.
        threads: Threads of each process on the CPU.
        precision: `fp32`, `bf16` or `fp16`.
        elsewhere: For weights that were learned elsewhere: where and how, in words; empty for others.
    """

    epochs: float = Field(default=0, ge=0)
    seconds: float = Field(default=0.0, ge=0)
    texts: int = Field(default=0, ge=0)
    tokens: int = Field(default=0, ge=0)
    parameters: int = Field(default=0, ge=0)
    trained: int = Field(default=0, ge=0)
    device: str = ""
    processes: int = Field(default=1, ge=1)
    threads: int = Field(default=0, ge=0)
    precision: str = ""
    elsewhere: str = ""


class FileFacts(Table):
    """A file's sha256 and size in bytes."""

    sha256: Sha256
    bytes: int = Field(ge=0)


class BundleManifest(Table):
    """A trained classifier.

    Attributes:
        format: Version of this layout.
        name: Of the model.
        description: A sentence.
        created: Date of training, ISO 8601.
        tasks: What it answers; the first task is the primary one, which tools see that know of one task alone.
        languages: ISO 639-1 codes of the texts it is meant for; empty if unknown.
        text: How texts are normalised first.
        max_length: Most tokens that the model reads at once, special ones included.
        window: How longer texts are read.
        encoder: The pretrained model; None if unknown.
        recipe: The resolved training recipe.
        data: The corpus; None if unknown.
        training: What the training took; None if unknown.
        familiarity: How it is told that a text is unlike all that the model knows; None: it is not.
        answers: Task to how labelled rows were answered, which true shares are computed from; tasks are left out of
            which that is not known.
        tuning: Task to how its decision was fitted and what that did, an `ottenok.tasks.tuning.TuningReport` as JSON;
            tasks are left out whose decision was not fitted, or of which that is not known.
        metrics: Name of a set of rows (`test` and `validation` are its own corpus's) to task to an evaluation report as
            JSON.
        baselines: The same names to the reports of the baselines on those rows.
        robustness: The same names to task to what changes of the texts did, each an
            `ottenok.studies.robustness.UnderNoise` as JSON, the texts as they are first.
        versions: Package to version, at training.
        licence: Of the weights.
        files: File to its checksum and size; empty for bundles of other tools.
        notes: What a user should know: guesses and warnings, a sentence each.
    """

    format: int = FORMAT
    name: str
    description: str = ""
    created: str = ""
    tasks: Annotated[tuple[TaskFacts, ...], Field(min_length=1, max_length=_MOST_TASKS)]
    languages: tuple[str, ...] = ()
    text: KnownText = TextOptions()
    max_length: int = Field(ge=3)
    window: WindowRule = WindowRule()
    encoder: EncoderFacts | None = None
    recipe: dict[str, JsonValue] = Field(default_factory=dict)
    data: DataFacts | None = None
    training: TrainingFacts | None = None
    familiarity: FamiliarityFacts | None = None
    answers: dict[str, AnswerCounts] = Field(default_factory=dict)
    tuning: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)
    metrics: dict[str, dict[str, dict[str, JsonValue]]] = Field(default_factory=dict)
    baselines: dict[str, dict[str, tuple[dict[str, JsonValue], ...]]] = Field(default_factory=dict)
    robustness: dict[str, dict[str, tuple[dict[str, JsonValue], ...]]] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    licence: LicenceFacts
    files: dict[SafeName, FileFacts] = Field(default_factory=dict, max_length=_MOST_FILES)
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _fits_together(self) -> BundleManifest:
        check_names([task.name for task in self.tasks])
        if len({task.output for task in self.tasks}) < len(self.tasks):
            raise ValueError("two tasks have the same output")
        if self.window.overlap >= self.max_length - 2:
            raise ValueError("windows must overlap by less than their length")
        tasks = {task.name: task for task in self.tasks}
        for name, counts in self.answers.items():
            if name not in tasks or not counts.fits(tasks[name].task()):
                raise ValueError(f"the counts of answers to {name!r} do not fit a task")
        return self

    @property
    def scheme(self) -> SchemeFacts:
        """The labels of the first task."""
        return self.tasks[0].scheme

    @property
    def problem_type(self) -> ProblemType:
        """What the first task learned."""
        return self.tasks[0].problem_type

    @property
    def decision(self) -> Decision:
        """From the first task's logits to its labels."""
        return self.tasks[0].decision

    def task_list(self, *, canonical: bool = False) -> tuple[Task, ...]:
        """Return the tasks with the model's own labels, or (`canonical`) in ottenok's spelling, as corpora have it."""
        return tuple(task.task(canonical=canonical) for task in self.tasks)

    def facts(self, task: str | None = None) -> TaskFacts:
        """Return the facts of a task; None: the first.

        Raises:
            SchemeError: There is no such task.
        """
        name = find_task(self.task_list(), task).name
        return next(one for one in self.tasks if one.name == name)

    def reports(self, rows: str, task: str | None = None) -> list[Report]:
        """Return the reports on a set of rows for a task (None: the first): the model's, then those of the baselines.

        The list is empty where the model has none.

        Raises:
            DataError: One in the manifest is no report.
        """
        from ottenok.tasks.report import Report

        own = self.metrics.get(rows, {}).get(self.facts(task).name)
        return [] if own is None else [Report.from_json(own), *self.baseline_reports(rows, task)]

    def baseline_reports(self, rows: str, task: str | None = None) -> list[Report]:
        """Return the reports of the baselines on a set of rows for a task (None: the first).

        Raises:
            DataError: One in the manifest is no report.
        """
        from ottenok.tasks.report import Report

        return [Report.from_json(tree) for tree in self.baselines.get(rows, {}).get(self.facts(task).name, ())]

    def tuning_report(self, task: str | None = None) -> TuningReport | None:
        """Return what fitting the decision of a task (None: the first) found; None where it is not known.

        Raises:
            DataError: What the manifest holds is no such report.
        """
        from ottenok.tasks.tuning import TuningReport

        tree = self.tuning.get(self.facts(task).name)
        return None if tree is None else TuningReport.from_json(tree)

    def with_decisions(self, decisions: Mapping[str, Decision]) -> BundleManifest:
        """Return the manifest with other decisions for the tasks that are named; labels are spelt as the model's.

        What these tasks promised of the answers of their old decisions is void, and so is how rows were answered.
        """
        tasks = tuple(
            task.model_copy(update={"decision": decisions[task.name], "selective": None})
            if task.name in decisions
            else task
            for task in self.tasks
        )
        answers = {name: counts for name, counts in self.answers.items() if name not in decisions}
        return self.model_copy(update={"tasks": tasks, "answers": answers})

    def with_earlier(self, what: str) -> BundleManifest:
        """Return the manifest with its reports under the names of an earlier state: `NAME, before WHAT`."""
        sets = {key: getattr(self, key) for key in ("metrics", "baselines", "robustness")}
        renamed = {
            key: {name if EARLIER in name else f"{name}{EARLIER}{what}": found for name, found in named.items()}
            for key, named in sets.items()
        }
        return self.model_copy(update=renamed)

    def to_json(self) -> dict[str, Any]:
        """Return the manifest as a mapping that JSON can hold."""
        tree: dict[str, Any] = self.model_dump(mode="json")
        return tree


def upgraded(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return a manifest's tree in the format of today.

    A manifest of format 1 has one task, whose facts stand at the top; it is named by its scheme.
    """
    found = dict(tree)
    if found.get("format") != 1:
        return found
    scheme = found.pop("scheme", None)
    name = task_name(str(scheme.get("name", ""))) if isinstance(scheme, Mapping) else task_name("")
    first = {"name": name, "scheme": scheme, "output": "logits"}
    first |= {key: found.pop(key) for key in ("problem_type", "decision") if key in found}
    found |= {"format": FORMAT, "tasks": [first]}
    tuning = found.get("tuning")
    found["tuning"] = {} if tuning is None else {name: tuning}
    for key in ("metrics", "baselines"):
        if isinstance(sets := found.get(key), Mapping):
            found[key] = {rows: {name: _today(reports)} for rows, reports in sets.items()}
    return found


def _today(reports: object) -> object:
    """Give a report of an older version, or a list of them, the keys of today."""
    from ottenok.tasks.report import upgraded_report

    if isinstance(reports, Mapping):
        return upgraded_report(reports)
    return [_today(one) for one in reports] if isinstance(reports, list) else reports
