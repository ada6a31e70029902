"""From a trained classifier's folder to an ONNX graph that gives the same logits, or to an error.

The graph has standard operators only, so that any runtime reads it. It takes `input_ids` and `attention_mask`, int64
`[batch, length]`, and gives `logits`, float32 `[batch, outputs]`.
"""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from torch import nn

from ottenok.bundle.folder import open_bundle, write_manifest
from ottenok.bundle.manifest import ONNX
from ottenok.core.errors import ModelError
from ottenok.core.files import atomic_path
from ottenok.core.lazy import require
from ottenok.core.progress import SILENT
from ottenok.export.parity import TOLERANCE, largest_difference, sample_batches
from ottenok.models.folder import load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ottenok.core.progress import Progress

__all__ = ["Exported", "export", "export_graph"]

# LayerNormalization came with 17 and Gelu with 20: whole operators instead of a dozen nodes for each.
_OPSET = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A written graph.

    Attributes:
        file: Where it is.
        difference: Largest difference between torch's logits and the graph's, over batches of many shapes.
    """

    file: Path
    difference: float


class _Logits(nn.Module):
    """A classifier that gives its logits alone."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return float32 `[batch, outputs]`."""
        logits: torch.Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask).logits
        return logits.to(torch.float32)


def export(folder: Path, *, progress: Progress = SILENT) -> Exported:
    """Write `onnx/model.onnx` into a bundle, and its checksum into the manifest.

    Args:
        folder: A bundle with `model.safetensors`.
        progress: Hears of the stages.

    Raises:
        BundleError: The folder is no bundle.
        ModelError: The model can't be opened or converted, or its graph gives other logits.
        MissingExtraError: The extra `train` is not installed.
    """
    bundle = open_bundle(folder)
    exported = export_graph(folder, folder / ONNX, max_length=bundle.manifest.max_length, progress=progress)
    if bundle.own:
        write_manifest(folder, bundle.manifest)
    return exported


def export_graph(folder: Path, out: Path, *, max_length: int, progress: Progress = SILENT) -> Exported:
    """Write the graph of the model in a folder, after comparing it with torch.

    Args:
        folder: Holds `config.json` and `model.safetensors`.
        out: The graph's file.
        max_length: Longest text to compare on, in tokens.
        progress: Hears of the stages.

    Raises:
        ModelError: As `export`.
        MissingExtraError: As `export`.
    """
    require("onnxscript", extra="train")
    progress.start("convert to ONNX", total=None, unit="steps")
    # Eager attention: its graph is the plainest, and the same formula.
    try:
        model = _Logits(_opened(folder)).eval()
        with atomic_path(out) as part:
            _write(model, part)
            difference = _compare(model, part, max_length)
    finally:
        progress.finish()
    return Exported(file=out, difference=difference)


def _opened(folder: Path) -> nn.Module:
    try:
        model: nn.Module = load(folder, attention="eager")
    except SafetensorError as error:
        raise ModelError(f"the weights can't be read: {error}", file=str(folder)) from error
    return model


def _write(model: nn.Module, file: Path) -> None:
    ids = torch.tensor([[4, 5, 6, 7, 8], [4, 5, 6, 0, 0]])
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    axes = {0: "batch", 1: "length"}
    try:
        with _quiet(), torch.inference_mode():
            torch.onnx.export(
                model,
                (ids, mask),
                str(file),
                input_names=["input_ids", "attention_mask"],
                output_names=["logits"],
                dynamic_shapes={"input_ids": axes, "attention_mask": axes},
                opset_version=_OPSET,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    except (torch.onnx.OnnxExporterError, RuntimeError, ValueError, TypeError) as error:
        raise ModelError(
            f"torch can't convert this architecture to ONNX: {str(error).strip().splitlines()[0][:300]}",
            hint="Report it with the model's name; newer versions of torch convert more.",
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's remarks on itself from the user; what goes wrong is raised."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _compare(model: nn.Module, file: Path, max_length: int) -> float:
    """Return the largest difference on batches of many shapes.

    Raises:
        ModelError: It is too large.
    """
    inner: Any = model.get_submodule("model")
    vocabulary = int(inner.get_input_embeddings().weight.shape[0])
    padding = getattr(inner.config, "pad_token_id", None) or 0
    difference = 0.0
    for batch in sample_batches(vocabulary, padding=padding, max_length=max_length):
        with torch.inference_mode():
            expected = model(torch.from_numpy(batch.ids), torch.from_numpy(batch.mask)).numpy()
        difference = max(difference, largest_difference(file, batch, expected))
    if not difference <= TOLERANCE:
        raise ModelError(
            f"the graph's logits differ from torch's by {difference:.2g}, expected at most {TOLERANCE:g}",
            hint="The conversion of this architecture can't be trusted, so no file was written.",
        )
    return difference
