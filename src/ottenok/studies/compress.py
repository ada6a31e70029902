"""Make a classifier smaller and faster, step by step, and say what each step did to size, speed and F1."""

from __future__ import annotations

import json
import random
import shutil
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from ottenok.bundle.copies import check_place
from ottenok.bundle.folder import Bundle, open_bundle, write_manifest
from ottenok.bundle.foreign import tokenizer_text
from ottenok.bundle.manifest import CONFIG, ONNX, ONNX_INT8, TOKENIZER, read_json
from ottenok.core.errors import BundleError, ConfigError, DataError, ModelError
from ottenok.core.files import atomic_folder, atomic_write_text
from ottenok.core.lazy import require
from ottenok.core.progress import SILENT, Progress, stage
from ottenok.core.suggest import suggest
from ottenok.data.corpus import open_corpus
from ottenok.export.graph import strip
from ottenok.export.int8 import quantise_blocks, quantise_rows, quantise_tables
from ottenok.export.quantise import MOST_BATCH_DIFFERENCE
from ottenok.export.vocabulary import cut_config, cut_graph, cut_tokenizer, kept_pieces
from ottenok.inference.api import load_bundle
from ottenok.inference.places import find_folder
from ottenok.inference.tokens import slices
from ottenok.studies.cards import record
from ottenok.studies.evaluation import evaluate_rows
from ottenok.studies.rows import Columns, Rows, row_probabilities, sample_rows, task_rows
from ottenok.tables.table import open_table
from ottenok.tasks.report import EvaluationOptions, evaluate
from ottenok.tasks.tables import Grid
from ottenok.training.inputs import Places

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt
    from onnx import ModelProto

    from ottenok.data.corpus import Split
    from ottenok.inference.classifier import Classifier
    from ottenok.tasks.report import Report

    Probabilities = dict[str, npt.NDArray[np.float32]]

__all__ = ["RESULTS_FILE", "STEPS", "Compressed", "Step", "TaskLoss", "compress"]

STEPS = ("vocabulary", "embeddings", "layers")
RESULTS_FILE = "compress.json"
_HOME = Places()
_USUAL = Columns()
_QUIET = EvaluationOptions(resamples=0)
_LEAST_TEXTS = 100
# Texts that are timed, and how often, old and new in turn; texts that are read alone and among others.
_TIMED, _ROUNDS, _ALONE = 128, 5, 32
# A cell with fewer rows falls and rises by chance.
_LEAST_CELL = 20
# Texts whose pieces are counted at once, and those whose answers are compared after a cut.
_BLOCK, _CHECKED = 2048, 512
# How steps are done: ways in order, the next where one loses too much.
_EDITS: dict[str, tuple[tuple[str, Callable[[ModelProto], None]], ...]] = {
    "embeddings": (("a scale for each piece", quantise_tables),),
    "layers": (("a scale for each token", quantise_rows), ("a scale for every 32 weights", quantise_blocks)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskLoss:
    """What a step did to a task, beside the classifier as it was given.

    Attributes:
        macro_f1: On the labelled rows, 0..1.
        loss: Macro F1 as given less this one; negative where it rose.
        same: Share of rows with the same answer as before all steps.
        cell: The language and label whose F1 fell most, of those with at least 20 rows; "" where there is none.
        cell_loss: By how much.
    """

    macro_f1: float
    loss: float = 0.0
    same: float = 1.0
    cell: str = ""
    cell_loss: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step, taken or refused.

    Attributes:
        name: `given`, or one of `STEPS`.
        kept: Whether the classifier that is written has it.
        told: How it was done, or why it was not.
        bytes: Of tokenizer and graph after it; 0 for a step that could not be tried.
        texts_per_second: On one thread, by processor time.
        speed: Times the classifier as given, both in turn.
        tasks: What it did to each task.
    """

    name: str
    kept: bool
    told: str
    bytes: int = 0
    texts_per_second: float = 0.0
    speed: float = 1.0
    tasks: dict[str, TaskLoss]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compressed:
    """What came of it.

    Attributes:
        bundle: The smaller classifier.
        data: What the labelled rows are.
        rows: Labelled rows of each task.
        steps: The classifier as given, then every step that was asked for.
        left_out: Reason to number of records that were not used.
    """

    bundle: Bundle
    data: str
    rows: dict[str, int]
    steps: tuple[Step, ...]
    left_out: dict[str, int]

    def table(self) -> Grid:
        """Return a row for each step and task."""
        rows = []
        for step in self.steps:
            size, rate, times = f"{step.bytes / 1e6:.1f}", f"{step.texts_per_second:,.0f}", f"{step.speed:.2f}"
            first = ("kept" if step.kept else "refused", *((size, rate, times) if step.bytes else "---"))
            for name, one in step.tasks.items():
                worst = f"{one.cell} {-one.cell_loss:+.3f}" if one.cell else "-"
                numbers = (f"{one.macro_f1:.3f}", f"{0.0 - one.loss:+.4f}", f"{one.same:.1%}", worst)
                rows.append((step.name, *first, name, *numbers))
            if not step.tasks:
                rows.append((step.name, *first, "-", "-", "-", "-", "-"))
        header = ("step", "", "MB", "texts/s", "times", "task", "macro F1", "change", "same answers", "worst cell")
        return Grid(header=header, rows=tuple(rows))

    def to_json(self) -> dict[str, Any]:
        """Return the same as a mapping that JSON can hold."""
        facts = {"data": self.data, "rows": self.rows, "left_out": self.left_out}
        return facts | {"steps": [asdict(step) for step in self.steps]}


def compress(  # noqa: PLR0913 - an option each
    model: str | Path | None,
    out: str | Path,
    *,
    data: str | Path,
    split: Split = "test",
    columns: Columns = _USUAL,
    vocabulary: Sequence[str | Path] = (),
    least: int = 1,
    steps: Sequence[str] = (),
    most_loss: float = 0.005,
    most_rows: int = 5000,
    places: Places = _HOME,
    progress: Progress = SILENT,
) -> Compressed:
    """Make a copy of a classifier smaller: fewer pieces, embeddings in int8, layers in int8.

    Each step is measured on labelled rows beside the classifier as given. One that costs any task more macro F1 than is
    allowed, all steps so far together, is refused, and the next goes on from what was before it. Needs no torch.

    Args:
        model: A folder with an ONNX graph, a hub name, or None for the embedded classifier.
        out: The new folder: tokenizer, one graph, manifest, card and `compress.json`.
        data: Labelled rows that it has not learned from: a corpus folder, a file, or a corpus recipe.
        split: Of a corpus.
        columns: Where a file has its texts and labels.
        vocabulary: Corpora (their training texts), tables and text files (a text a line) whose pieces stay; empty: all.
        least: Times that a piece must occur there to stay, at least 1.
        steps: Names of steps; empty: every one of `STEPS` that there is something to do for.
        most_loss: Macro F1 that a task may lose, 0..1.
        most_rows: Rows of each task that are measured, drawn with a fixed seed.
        places: Where data sets and built corpora are.
        progress: Whom to tell.

    Raises:
        BundleError: There is no such model or it has no graph; or there is something else in `out`.
        ConfigError: There is no such step, or the vocabulary is to be cut and no texts say to what.
        DataError: The rows can't be read, or there are under 100.
        MissingExtraError: The extra `compress` (the package onnx) is not installed.
    """
    for name in steps:
        if name not in STEPS:
            raise ConfigError(f"there is no step {name!r}", hint=suggest(name, STEPS), key="steps")
    if "vocabulary" in steps and not vocabulary:
        raise ConfigError(
            "no texts say which pieces of the vocabulary are needed",
            hint="Name a corpus, a table or a text file: --vocabulary SOURCE",
            key="vocabulary",
        )
    require("onnx", extra="compress")
    check_place(Path(out))
    source = open_bundle(find_folder(model, cache=places.cache, progress=progress), full=True)
    with tempfile.TemporaryDirectory() as work:
        now = _begin(source, Path(work) / "given")
        listed = now.manifest.task_list(canonical=True)
        found = task_rows(data, listed, split=split, columns=columns, places=places, progress=progress)
        rows = {name: sample_rows(one, most_rows) for name, one in found.items()}
        if (count := max(len(one.ids) for one in rows.values())) < _LEAST_TEXTS:
            raise DataError(f"found {count} labelled rows, expected at least {_LEAST_TEXTS} to measure a loss on")
        scale = _Scale(now, rows, most_loss, progress)
        taken = [scale.given]
        for name in steps or (STEPS if vocabulary else STEPS[1:]):
            refused: list[Step] = []
            for way in _EDITS.get(name, (None,)):
                place = Path(work) / f"{name}-{len(refused)}"
                try:
                    if way is None:
                        texts = [text for one in vocabulary for text in _texts(Path(one), columns.text)]
                        told = _cut(now, place, texts, least, progress)
                    else:
                        told = _edit(now, place, *way)
                except ModelError as error:
                    refused.append(Step(name=name, kept=False, told=error.message, tasks={}))
                    continue
                step = scale.measure(name, told, place)
                if step.kept:
                    others = "".join(f"; refused: {one.told}" for one in refused)
                    taken.append(replace(step, told=f"{told}{others}"))
                    now = open_bundle(place)
                    break
                refused.append(step)
            else:
                # What came nearest: the last way, unless it could not be tried.
                taken.append(next((one for one in reversed(refused) if one.bytes), refused[0]))
            progress.note(f"{name} {'kept' if taken[-1].kept else 'refused'}: {taken[-1].told}")
        bundle = _finish(now, Path(out), taken, rows, progress)
    done = Compressed(
        bundle=bundle,
        data=next(iter(rows.values())).name,
        rows={name: len(one.ids) for name, one in rows.items()},
        steps=tuple(taken),
        left_out={reason: count for one in rows.values() for reason, count in one.left_out.items()},
    )
    atomic_write_text(bundle.folder / RESULTS_FILE, json.dumps(done.to_json(), ensure_ascii=False, indent=2) + "\n")
    return done


def _begin(source: Bundle, folder: Path) -> Bundle:
    """Copy what prediction needs, with the fp32 graph where there is one, since steps make int8 of it."""
    graph = next((name for name in (ONNX, ONNX_INT8) if source.has(name)), None)
    if graph is None:
        raise BundleError(
            f"the classifier has neither {ONNX} nor {ONNX_INT8}",
            hint="Write the graph first: ottenok export FOLDER",
            file=str(source.folder),
        )
    (folder / graph).parent.mkdir(parents=True)
    for name in (CONFIG, TOKENIZER, graph):
        if source.has(name):
            shutil.copyfile(source.folder / name, folder / name)
    if not source.own:
        atomic_write_text(folder / TOKENIZER, tokenizer_text(source.folder))
    write_manifest(folder, source.manifest)
    return open_bundle(folder)


def _texts(source: Path, column: str) -> Iterator[str]:
    """Yield the training texts of a corpus, the lines of a text file, or the texts of a table."""
    if source.is_dir():
        yield from open_corpus(source).table("train", columns=("text",)).column("text").to_pylist()
    elif source.suffix == ".txt":
        yield from source.read_text(encoding="utf-8-sig").splitlines()
    else:
        table = open_table(source, wanted=[column])
        for block in table.blocks([table.find(column)]):
            yield from (str(value) for value in block.cells[0] if value)


def _cut(base: Bundle, place: Path, texts: Sequence[str], least: int, progress: Progress) -> str:
    """Write a copy with the pieces that texts need, and say how many there are.

    Raises:
        ModelError: The tokenizer or the graph can't be cut, or answers of texts whose pieces stay would change.
    """
    onnx = require("onnx", extra="compress")
    before, seen = load_bundle(base, threads=1), Counter[int]()
    with stage(progress, "which pieces are needed", total=len(texts), unit="texts"):
        for block in slices(texts, _BLOCK):
            for ids in before.prepare(block).windows.ids:
                seen.update(map(int, ids))
            progress.advance(len(block))
    tree = read_json(base.folder / TOKENIZER)
    kept = kept_pieces(tree, (piece for piece, count in seen.items() if count >= least))
    old = int(max(token["id"] for token in tree.get("added_tokens") or [{"id": 0}]))
    size = max(len(tree["model"]["vocab"]), old + 1)
    if len(kept) >= size:
        raise ModelError(f"all {size:,} pieces are needed")
    graph = _graph(base)
    model = onnx.load(str(base.folder / graph))
    cut_graph(model, kept, special=[token["id"] for token in tree.get("added_tokens") or ()])
    config = base.folder / CONFIG
    _write(
        base,
        place,
        graph,
        model,
        {
            TOKENIZER: cut_tokenizer(tree, kept),
            **({CONFIG: cut_config(read_json(config), kept)} if config.is_file() else {}),
        },
    )
    after, stay = load_bundle(open_bundle(place), threads=1), set(kept.tolist())
    for block in slices(texts[:_CHECKED], _BLOCK):
        prepared = before.prepare(block)
        whole = [stay.issuperset(map(int, ids)) for ids in prepared.windows.ids]
        again = after.prepare(block)
        same = len(again.windows.ids) == len(whole) and np.array_equal(
            before.run(prepared)[whole], after.run(again)[whole]
        )
        if not same:
            raise ModelError("texts whose pieces all stay would get other answers")
    return f"{len(kept):,} of {size:,} pieces stay"


def _edit(base: Bundle, place: Path, how: str, edit: Callable[[ModelProto], None]) -> str:
    """Write a copy with another graph, and say how it was made.

    Raises:
        ModelError: There is nothing to do.
    """
    onnx = require("onnx", extra="compress")
    model = onnx.load(str(base.folder / _graph(base)))
    size = model.ByteSize()
    edit(model)
    if model.ByteSize() >= size:
        raise ModelError("there is nothing in fp32 that would become smaller")
    _write(base, place, ONNX_INT8, model, {})
    return f"int8 with {how}"


def _graph(bundle: Bundle) -> str:
    return ONNX if bundle.has(ONNX) else ONNX_INT8


def _write(base: Bundle, place: Path, graph: str, model: ModelProto, parts: dict[str, dict[str, Any]]) -> None:
    """Write a copy of a bundle with another graph and other parts."""
    onnx = require("onnx", extra="compress")
    (place / graph).parent.mkdir(parents=True)
    strip(model)
    onnx.save(model, str(place / graph))
    for name in (CONFIG, TOKENIZER):
        if name in parts:
            atomic_write_text(place / name, json.dumps(parts[name], ensure_ascii=False))
        elif base.has(name):
            shutil.copyfile(base.folder / name, place / name)
    write_manifest(place, base.manifest)


class _Scale:
    """Measures what became of a classifier, beside the classifier as it was given."""

    def __init__(self, given: Bundle, rows: dict[str, Rows], most_loss: float, progress: Progress) -> None:
        self._rows, self._most_loss, self._progress = rows, most_loss, progress
        self._classifier = load_bundle(given, threads=1)
        first = next(iter(rows.values())).test.texts
        self._texts = random.Random(0).sample(list(first), min(_TIMED, len(first)))  # noqa: S311 - a sample, no secret
        self._probs = row_probabilities(self._classifier, rows, progress)
        self._reports = self._measured(self._classifier, self._probs)
        self.given = self._step("given", given, self._classifier, self._probs)

    def measure(self, name: str, told: str, place: Path) -> Step:
        """Return what a step did, and whether it may stay."""
        bundle = open_bundle(place)
        classifier = load_bundle(bundle, threads=1)
        probs = row_probabilities(classifier, self._rows, self._progress)
        step = self._step(name, bundle, classifier, probs)
        faults = [
            f"{task} loses {one.loss:.4f} of its macro F1 (allowed: {self._most_loss:g})"
            for task, one in step.tasks.items()
            if one.loss > self._most_loss
        ]
        texts = self._texts[:_ALONE]
        among, alone = classifier.predict_proba(self._texts)[: len(texts)], classifier.predict_proba
        far = max(float(np.abs(alone([text])[0] - among[row]).max()) for row, text in enumerate(texts))
        if not far <= MOST_BATCH_DIFFERENCE:
            faults.append(f"a text's neighbours change its probabilities by {far:.2g}")
        return replace(step, kept=not faults, told=f"{told}; {'; '.join(faults)}" if faults else told)

    def _measured(self, classifier: Classifier, probs: Probabilities) -> dict[str, Report]:
        found = {}
        for name, one in self._rows.items():
            task, test = classifier.manifest.facts(name).task(canonical=True), one.test
            found[name] = evaluate(task, test.truth, probs[name], languages=test.languages, options=_QUIET)
        return found

    def _step(self, name: str, bundle: Bundle, classifier: Classifier, probs: Probabilities) -> Step:
        tasks = {}
        for task_name, report in self._measured(classifier, probs).items():
            given = self._reports[task_name]
            task = classifier.manifest.facts(task_name).task()
            same = (task.chosen(probs[task_name]) == task.chosen(self._probs[task_name])).all(axis=1)
            falls = [
                (before.f1 - after.f1, f"{before.language or '?'}, {before.label}")
                for before, after in zip(given.cells, report.cells, strict=True)
                if before.rows >= _LEAST_CELL
            ]
            worst = max((fall for fall in falls if fall[0] > 0.0), default=(0.0, ""))
            tasks[task_name] = TaskLoss(
                macro_f1=report.value("macro_f1"),
                loss=given.value("macro_f1") - report.value("macro_f1"),
                same=float(same.mean()),
                cell=worst[1],
                cell_loss=worst[0],
            )
        # In turn and in processor time, so that a busy machine slows neither down.
        rates: list[tuple[float, float]] = []
        for _ in range(_ROUNDS):
            took = []
            for one in (self._classifier, classifier):
                begun = time.process_time()
                one(self._texts)
                took.append(time.process_time() - begun)
            rates.append((len(self._texts) / took[1], took[0] / took[1]))
        return Step(
            name=name,
            kept=True,
            told="as it was given" if name == "given" else "",
            bytes=sum(facts.bytes for facts in bundle.manifest.files.values()),
            texts_per_second=median(rate for rate, _ in rates),
            speed=1.0 if name == "given" else median(times for _, times in rates),
            tasks=tasks,
        )


def _finish(now: Bundle, out: Path, steps: Sequence[Step], rows: dict[str, Rows], progress: Progress) -> Bundle:
    """Write the new folder: reports of the classifier as given under another name, the new ones, notes and card."""
    manifest = now.manifest
    done = [f"{step.name} ({step.told})" for step in steps[1:] if step.kept]
    lost = max(one.loss for one in [step for step in steps if step.kept][-1].tasks.values())
    note = (
        f"Compressed: {', '.join(done) or 'nothing could be'}; {steps[0].bytes / 1e6:.1f} MB before. On "
        f"{next(iter(rows.values())).name} no task lost more than {max(lost, 0.0):.4f} of its macro F1."
    )
    with atomic_folder(out) as folder:
        shutil.copytree(now.folder, folder, dirs_exist_ok=True)
        earlier = manifest.with_earlier("compression")
        write_manifest(folder, earlier.model_copy(update={"notes": (*manifest.notes, note)}))
    measured = evaluate_rows(load_bundle(open_bundle(out)), rows, baselines=False, progress=progress)
    return record(out, measured)
