"""The int8 graph of a bundle: made, measured against fp32 on validation texts, and refused if it lost too much.

Methods are tried in the order of `METHODS`, the fastest first, and the first that keeps within the limits stays. Both
compute each token by itself; both keep their accuracy on processors without VNNI.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ottenok.bundle.folder import Bundle, open_bundle, write_manifest
from ottenok.bundle.manifest import ONNX, ONNX_INT8
from ottenok.core.errors import DataError, ModelError
from ottenok.core.files import atomic_path
from ottenok.core.lazy import load_object, require
from ottenok.core.progress import SILENT
from ottenok.inference.api import classifier_of
from ottenok.tasks.decision import chosen, indicator
from ottenok.tasks.report import EvaluationOptions, evaluate
from ottenok.tasks.task import Task

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from ottenok.core.progress import Progress
    from ottenok.inference.classifier import Classifier

    Probabilities = npt.NDArray[np.float32]

__all__ = ["LEAST_SAME", "METHODS", "MOST_COMPANY", "MOST_LOSS", "Quantised", "quantise", "quantise_graph"]

METHODS = {
    "rows": "ottenok.export.rowwise:quantise_rows",
    "blocks": "ottenok.export.blockwise:quantise_blocks",
}

# The limits beyond which an int8 graph is refused.
LEAST_SAME = 0.98
MOST_LOSS = 0.01
MOST_COMPANY = 1e-4
# Fewer texts than this measure nothing: two different labels of a hundred are already the limit.
_LEAST_TEXTS = 100
_ALONE = 64
_AT_ONCE = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantised:
    """A written int8 graph and what was measured.

    Attributes:
        file: Where it is.
        bytes: Its size.
        method: How it was made, a name of `METHODS`.
        texts: Validation texts that it was measured on.
        same: Share of labels that are those of fp32, 0..1: twice the common labels over all labels of both.
        macro_f1: Macro F1 of int8 on the validation texts; None without their labels.
        macro_f1_fp32: The same of fp32.
        company: Largest difference between a probability of a text alone and in company.
    """

    file: Path
    bytes: int
    method: str
    texts: int
    same: float
    macro_f1: float | None
    macro_f1_fp32: float | None
    company: float


def quantise(
    folder: Path,
    *,
    texts: Sequence[str],
    labels: Sequence[Sequence[str]] | None = None,
    progress: Progress = SILENT,
) -> Quantised:
    """Write `onnx/model_quantized.onnx` into a bundle that has `onnx/model.onnx`, and its checksum into the manifest.

    Args:
        folder: The bundle.
        texts: Validation texts, at least 100, like those that the model is meant for.
        labels: Their true labels, by name; without them only the agreement with fp32 is checked.
        progress: Hears of the stages.

    Raises:
        BundleError: The folder is no bundle, or has no fp32 graph.
        DataError: There are too few texts.
        ModelError: By every method the int8 graph changes over 2 % of the labels, loses over 0.01 of macro F1, or lets
            a text's scores depend on its neighbours. Nothing is written then, and an older int8 graph is gone.
        SchemeError: A label is none of the model's.
        MissingExtraError: The extra `train` is not installed.
    """
    if len(texts) < _LEAST_TEXTS:
        raise DataError(f"found {len(texts)} validation texts, expected at least {_LEAST_TEXTS} to measure int8 on")
    bundle = open_bundle(folder)
    source, target = bundle.file(ONNX, verify=bundle.own), folder / ONNX_INT8
    target.unlink(missing_ok=True)
    progress.start("quantise and measure", total=len(texts) * (1 + len(METHODS)), unit="texts")
    try:
        expected = _probabilities(classifier_of(bundle, source), texts, progress)
        trial = _Trial(bundle=bundle, texts=texts, labels=labels, expected=expected, progress=progress)
        return trial.first_good(source, target)
    finally:
        progress.finish()
        if bundle.own:
            write_manifest(folder, bundle.manifest)


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
    load_object(METHODS[method], extra="train")(model)
    onnx.save(model, str(target))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trial:
    bundle: Bundle
    texts: Sequence[str]
    labels: Sequence[Sequence[str]] | None
    expected: Probabilities
    progress: Progress

    def first_good(self, source: Path, target: Path) -> Quantised:
        """Write the first graph that keeps within the limits."""
        faults = []
        for method in METHODS:
            try:
                with atomic_path(target) as part:
                    quantise_graph(source, part, method=method)
                    measured = self._measure(part, method)
                    _check(measured)
            except _RefusedError as error:
                faults.append(f"by {method}, {error}")
            else:
                return measured
        raise ModelError(
            f"no int8 graph keeps within the limits: {'; '.join(faults)}",
            hint="Use the fp32 graph: it is in the bundle.",
            file=str(self.bundle.folder),
        )

    def _measure(self, part: Path, method: str) -> Quantised:
        classifier = classifier_of(self.bundle, part)
        found = _probabilities(classifier, self.texts, self.progress)
        scored = self.labels is not None
        return Quantised(
            file=self.bundle.folder / ONNX_INT8,
            bytes=part.stat().st_size,
            method=method,
            texts=len(self.texts),
            same=_same(classifier, self.expected, found),
            macro_f1=_macro_f1(classifier, found, self.labels) if scored else None,
            macro_f1_fp32=_macro_f1(classifier, self.expected, self.labels) if scored else None,
            company=_company(classifier, self.texts, found),
        )


def _probabilities(classifier: Classifier, texts: Sequence[str], progress: Progress) -> Probabilities:
    found = []
    for answer in classifier.stream(texts, texts_at_once=_AT_ONCE):
        found.append(list(answer.probabilities.values()))
        progress.advance()
    return np.array(found, dtype=np.float32)


def _same(classifier: Classifier, expected: Probabilities, found: Probabilities) -> float:
    decision = classifier.manifest.decision
    before, after = (chosen(probs, classifier.scheme, decision) for probs in (expected, found))
    labels = int(before.sum() + after.sum())
    return 2.0 * int((before & after).sum()) / labels if labels else 1.0


def _macro_f1(classifier: Classifier, probs: Probabilities, labels: Sequence[Sequence[str]] | None) -> float:
    report = evaluate(
        Task.of(classifier.scheme, classifier.manifest.decision),
        indicator(labels or (), classifier.manifest.scheme.canonical_scheme()),
        probs,
        options=EvaluationOptions(resamples=0),
    )
    return report.metrics["macro_f1"].value


def _company(classifier: Classifier, texts: Sequence[str], together: Probabilities) -> float:
    """Return the largest change of a probability between a text alone and among all texts."""
    step = max(1, len(texts) // _ALONE)
    rows = range(0, len(texts), step)
    alone = np.concatenate([classifier.predict_proba([texts[row]]) for row in rows])
    return float(np.abs(alone - together[list(rows)]).max())


class _RefusedError(Exception):
    """A graph is beyond the limits, and why."""


def _check(measured: Quantised) -> None:
    faults = []
    if measured.same < LEAST_SAME:
        faults.append(f"only {measured.same:.1%} of the labels stay the same (expected {LEAST_SAME:.0%})")
    loss = (measured.macro_f1_fp32 or 0.0) - (measured.macro_f1 or 0.0)
    if loss > MOST_LOSS:
        faults.append(f"macro F1 falls by {loss:.3f} (expected at most {MOST_LOSS})")
    if not measured.company <= MOST_COMPANY:
        faults.append(f"a text's neighbours change its scores by {measured.company:.2g}")
    if faults:
        raise _RefusedError(" and ".join(faults))
