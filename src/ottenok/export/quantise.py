"""The int8 graph of a bundle: made, measured against fp32 on validation texts, and refused if it lost too much."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ottenok.bundle.folder import Bundle, open_bundle, write_manifest
from ottenok.bundle.layout import ONNX, ONNX_INT8
from ottenok.core.errors import DataError, ModelError
from ottenok.core.files import atomic_path
from ottenok.core.lazy import require
from ottenok.core.progress import SILENT
from ottenok.decision.decision import chosen
from ottenok.decision.labels import indicator
from ottenok.evaluation.metrics import EvaluationOptions, evaluate
from ottenok.export.rowwise import quantise_rows
from ottenok.inference.api import predictor_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from ottenok.core.progress import Progress
    from ottenok.inference.predictor import Predictor

    Probabilities = npt.NDArray[np.float32]

__all__ = ["LEAST_SAME", "MOST_COMPANY", "MOST_LOSS", "Quantised", "quantise", "quantise_graph"]

# The limits beyond which an int8 graph is refused.
LEAST_SAME = 0.98
MOST_LOSS = 0.01
MOST_COMPANY = 1e-4
# Fewer texts than this measure nothing: two different labels of a hundred are already the limit.
_LEAST_TEXTS = 100
_ALONE = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantised:
    """A written int8 graph and what was measured.

    Attributes:
        file: Where it is.
        bytes: Its size.
        texts: Validation texts that it was measured on.
        same: Share of labels that are those of fp32, 0..1: twice the common labels over all labels of both.
        macro_f1: Macro F1 of int8 on the validation texts; None without their labels.
        macro_f1_fp32: The same of fp32.
        company: Largest difference between a probability of a text alone and in company.
    """

    file: Path
    bytes: int
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
        ModelError: The int8 graph changes over 2 % of the labels, loses over 0.01 of macro F1, or lets a text's scores
            depend on its neighbours. Nothing is written then, and an older int8 graph is gone.
        SchemeError: A label is none of the model's.
        MissingExtraError: The extra `train` is not installed.
    """
    if len(texts) < _LEAST_TEXTS:
        raise DataError(f"found {len(texts)} validation texts, expected at least {_LEAST_TEXTS} to measure int8 on")
    bundle = open_bundle(folder)
    source, target = bundle.file(ONNX, verify=bundle.own), folder / ONNX_INT8
    target.unlink(missing_ok=True)
    progress.start("quantise and measure", total=3, unit="steps")
    try:
        with atomic_path(target) as part:
            quantise_graph(source, part)
            progress.advance()
            measured = _measure(bundle, source, part, texts, labels, progress)
            _check(measured, folder)
    finally:
        progress.finish()
        if bundle.own:
            write_manifest(folder, bundle.manifest)
    return measured


def quantise_graph(source: Path, target: Path) -> None:
    """Write the int8 form of an fp32 graph, unchecked.

    Raises:
        MissingExtraError: The extra `train` is not installed.
    """
    onnx = require("onnx", extra="train")
    model = onnx.load(str(source))
    quantise_rows(model)
    onnx.save(model, str(target))


def _measure(
    bundle: Bundle,
    source: Path,
    part: Path,
    texts: Sequence[str],
    labels: Sequence[Sequence[str]] | None,
    progress: Progress,
) -> Quantised:
    full, small = (predictor_of(bundle, graph) for graph in (source, part))
    expected = full.probabilities(texts)
    progress.advance()
    found = small.probabilities(texts)
    progress.advance()
    scored = labels is not None
    return Quantised(
        file=bundle.folder / ONNX_INT8,
        bytes=part.stat().st_size,
        texts=len(texts),
        same=_same(full, expected, found),
        macro_f1=_macro_f1(small, found, labels) if scored else None,
        macro_f1_fp32=_macro_f1(full, expected, labels) if scored else None,
        company=_company(small, texts, found),
    )


def _same(predictor: Predictor, expected: Probabilities, found: Probabilities) -> float:
    decision = predictor.manifest.decision
    before, after = (chosen(probs, predictor.scheme, decision) for probs in (expected, found))
    labels = int(before.sum() + after.sum())
    return 2.0 * int((before & after).sum()) / labels if labels else 1.0


def _macro_f1(predictor: Predictor, probs: Probabilities, labels: Sequence[Sequence[str]] | None) -> float:
    report = evaluate(
        indicator(labels or (), predictor.manifest.scheme.canonical_scheme()),
        probs,
        scheme=predictor.scheme,
        decision=predictor.manifest.decision,
        options=EvaluationOptions(resamples=0),
    )
    return report.figures["macro_f1"].value


def _company(predictor: Predictor, texts: Sequence[str], together: Probabilities) -> float:
    """Return the largest change of a probability between a text alone and among all texts."""
    step = max(1, len(texts) // _ALONE)
    rows = range(0, len(texts), step)
    alone = np.concatenate([predictor.probabilities([texts[row]]) for row in rows])
    return float(np.abs(alone - together[list(rows)]).max())


def _check(measured: Quantised, folder: Path) -> None:
    faults = []
    if measured.same < LEAST_SAME:
        faults.append(f"only {measured.same:.1%} of the labels stay the same (expected {LEAST_SAME:.0%})")
    loss = (measured.macro_f1_fp32 or 0.0) - (measured.macro_f1 or 0.0)
    if loss > MOST_LOSS:
        faults.append(f"macro F1 falls by {loss:.3f} (expected at most {MOST_LOSS})")
    if not measured.company <= MOST_COMPANY:
        faults.append(f"a text's neighbours change its scores by {measured.company:.2g}")
    if faults:
        raise ModelError(
            f"the int8 graph is refused: {'; '.join(faults)}",
            hint="Use the fp32 graph: it is in the bundle.",
            file=str(folder),
        )
