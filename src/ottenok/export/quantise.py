"""The int8 graph of a bundle: made, measured against fp32 on validation texts, and refused if it lost too much.

Methods are tried in the order of `METHODS`, the fastest first, and the first that keeps within the limits for every
task stays. Both compute each token by itself; both keep their accuracy on processors without VNNI.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from ottenok.bundle.folder import open_bundle, write_manifest
from ottenok.bundle.manifest import ONNX, ONNX_INT8
from ottenok.core.errors import DataError, ModelError
from ottenok.core.files import atomic_path
from ottenok.core.lazy import require
from ottenok.core.progress import SILENT
from ottenok.export.graph import strip
from ottenok.export.int8 import quantise_blocks, quantise_rows
from ottenok.inference.api import classifier_of
from ottenok.inference.trial import remember
from ottenok.tasks.decision import chosen, indicator
from ottenok.tasks.report import EvaluationOptions, evaluate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from ottenok.bundle.folder import Bundle
    from ottenok.core.progress import Progress
    from ottenok.inference.classifier import Classifier

    Probabilities = npt.NDArray[np.float32]
    Labels = Sequence[Sequence[str] | None]

__all__ = [
    "LEAST_SAME",
    "METHODS",
    "MOST_BATCH_DIFFERENCE",
    "MOST_LOSS",
    "Parity",
    "Quantised",
    "quantise",
    "quantise_graph",
]

METHODS = MappingProxyType({"rows": quantise_rows, "blocks": quantise_blocks})

# The limits beyond which an int8 graph is refused.
LEAST_SAME = 0.98
MOST_LOSS = 0.01
MOST_BATCH_DIFFERENCE = 1e-4
# Fewer texts than this measure nothing: two different labels of a hundred are already the limit.
_LEAST_TEXTS = 100
_ALONE = 64
_AT_ONCE = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """How near int8 stays to fp32 on one task.

    Attributes:
        same: Share of labels that are those of fp32, 0..1: twice the common labels over all labels of both.
        macro_f1: Macro F1 of int8 on the rows that have a label for the task; None where none has.
        macro_f1_fp32: The same of fp32.
        batch_difference: Largest difference between a probability of a text alone and among others.
    """

    same: float
    macro_f1: float | None
    macro_f1_fp32: float | None
    batch_difference: float

    def faults(self) -> list[str]:
        """Return what is beyond the limits, a clause each."""
        found = []
        if not self.same >= LEAST_SAME:
            found.append(f"only {self.same:.1%} of the labels stay the same (expected {LEAST_SAME:.0%})")
        loss = (self.macro_f1_fp32 or 0.0) - (self.macro_f1 or 0.0)
        if not loss <= MOST_LOSS:
            found.append(f"macro F1 falls by {loss:.3f} (expected at most {MOST_LOSS})")
        if not self.batch_difference <= MOST_BATCH_DIFFERENCE:
            found.append(f"a text's neighbours change its probabilities by {self.batch_difference:.2g}")
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantised:
    """A written int8 graph and what was measured.

    Attributes:
        file: Where it is.
        bytes: Its size.
        method: How it was made, a name of `METHODS`.
        texts: Validation texts that it was measured on.
        tasks: Task name to how near it is to fp32.
    """

    file: Path
    bytes: int
    method: str
    texts: int
    tasks: Mapping[str, Parity]

    @property
    def same(self) -> float:
        """Share of labels that are those of fp32, 0..1, of the task where it is least."""
        return min(parity.same for parity in self.tasks.values())


def quantise(
    folder: Path,
    *,
    texts: Sequence[str],
    labels: Mapping[str, Labels] | None = None,
    progress: Progress = SILENT,
) -> Quantised:
    """Write `onnx/model_quantized.onnx` into a bundle that has `onnx/model.onnx`, and its checksum into the manifest.

    Args:
        folder: The bundle.
        texts: Validation texts, at least 100, like those that the model is meant for.
        labels: Task name to the true labels of each text, by name in ottenok's spelling, and None for a text that has
            no label for the task. Of a task without any only the agreement with fp32 is checked.
        progress: Hears of the stages.

    Raises:
        BundleError: The folder is no bundle, or has no fp32 graph.
        DataError: There are too few texts.
        ModelError: By every method the int8 graph changes over 2 % of a task's labels, loses over 0.01 of its macro F1,
            or lets a text's probabilities depend on its neighbours. Nothing is written then, and an older int8 graph is
            gone.
        SchemeError: A label is none of the task's.
        MissingExtraError: The extra `train` is not installed.
    """
    if len(texts) < _LEAST_TEXTS:
        raise DataError(f"found {len(texts)} validation texts, expected at least {_LEAST_TEXTS} to measure int8 on")
    bundle = open_bundle(folder)
    source, target = bundle.file(ONNX, verify=bundle.own), folder / ONNX_INT8
    target.unlink(missing_ok=True)
    progress.start("quantise and measure", total=len(texts) * (1 + len(METHODS)), unit="texts")
    faults: list[str] = []
    try:
        expected = _probabilities(classifier_of(bundle, source), texts, progress)
        for method in METHODS:
            try:
                with atomic_path(target) as part:
                    quantise_graph(source, part, method=method)
                    measured = _measure(bundle, part, texts, labels or {}, expected, progress)
                    size = part.stat().st_size
            except _RefusedError as error:
                faults.append(f"by {method}, {error}")
            else:
                return Quantised(file=target, bytes=size, method=method, texts=len(texts), tasks=measured)
    finally:
        progress.finish()
        if bundle.own:
            write_manifest(folder, bundle.manifest)
            remember(folder)
    raise ModelError(
        f"no int8 graph keeps within the limits: {'; '.join(faults)}",
        hint="Use the fp32 graph: it is in the bundle.",
        file=str(folder),
    )


class _RefusedError(Exception):
    """A graph is beyond the limits, and why."""


def _measure(
    bundle: Bundle,
    graph: Path,
    texts: Sequence[str],
    labels: Mapping[str, Labels],
    expected: Mapping[str, Probabilities],
    progress: Progress,
) -> dict[str, Parity]:
    """Compare a graph with the probabilities of fp32, task by task.

    Raises:
        _RefusedError: It is beyond the limits.
    """
    classifier = classifier_of(bundle, graph)
    found = _probabilities(classifier, texts, progress)
    rows = list(range(0, len(texts), max(1, len(texts) // _ALONE)))
    alone = [_probabilities(classifier, [texts[row]], SILENT) for row in rows]
    tasks, faults = {}, []
    for task in classifier.tasks:
        before, after = expected[task.name], found[task.name]
        answers = [chosen(probs, task.scheme, task.decision) for probs in (before, after)]
        count = int(answers[0].sum() + answers[1].sum())
        single = np.concatenate([probs[task.name] for probs in alone])
        told = labels.get(task.name, ())
        labelled = [row for row, names in enumerate(told) if names is not None]
        scores: list[float | None] = [None, None]
        if labelled:
            spelt = bundle.manifest.facts(task.name).scheme.canonical_scheme()
            truth = indicator([told[row] or () for row in labelled], spelt)
            options = EvaluationOptions(resamples=0)
            scores = [
                evaluate(task, truth, probs[labelled], options=options).metrics["macro_f1"].value
                for probs in (before, after)
            ]
        tasks[task.name] = parity = Parity(
            same=2.0 * int((answers[0] & answers[1]).sum()) / count if count else 1.0,
            macro_f1_fp32=scores[0],
            macro_f1=scores[1],
            batch_difference=float(np.abs(single - after[rows]).max()),
        )
        place = f"{task.name}: " if len(classifier.tasks) > 1 else ""
        faults += [f"{place}{fault}" for fault in parity.faults()]
    if faults:
        raise _RefusedError(" and ".join(faults))
    return tasks


def _probabilities(classifier: Classifier, texts: Sequence[str], progress: Progress) -> dict[str, Probabilities]:
    """Return every task's probabilities, float32 `[texts, labels]`."""
    found: dict[str, list[list[float]]] = {task.name: [] for task in classifier.tasks}
    for answer in classifier.stream(texts, texts_at_once=_AT_ONCE):
        for name, rows in found.items():
            rows.append(list(answer.tasks[name].probabilities.values()))
        progress.advance()
    return {name: np.array(rows, dtype=np.float32) for name, rows in found.items()}


def quantise_graph(source: Path, target: Path, *, method: str = "rows") -> None:
    """Write the int8 form of an fp32 graph, unchecked.

    Args:
        source: The fp32 graph.
        target: The new file.
        method: A name of `METHODS`.

    Raises:
        MissingExtraError: The extra `train` is not installed.
    """
    onnx = require("onnx", extra="train")
    model = onnx.load(str(source))
    METHODS[method](model)
    strip(model)
    onnx.save(model, str(target))
