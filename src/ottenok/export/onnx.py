"""From a classifier's folder to an ONNX graph that gives the same logits, or to an error.

The graph has standard operators only, so that any runtime reads it. It takes `input_ids` and `attention_mask`, int64
`[batch, length]`, and gives float32 `[batch, outputs]` for each task: `logits` for the first, `logits_<task>` for the
others.
"""

from __future__ import annotations

import logging
import shutil
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from ottenok.bundle.folder import open_bundle, write_manifest
from ottenok.bundle.manifest import CONFIG, ONNX, TOKENIZER, TOKENIZER_CONFIG
from ottenok.core.errors import ModelError
from ottenok.core.files import atomic_folder, atomic_path
from ottenok.core.lazy import onnxruntime, require
from ottenok.core.progress import SILENT
from ottenok.export.graph import strip
from ottenok.inference.trial import remember
from ottenok.models.network import load, load_saved_tokenizer
from ottenok.tasks.task import columns

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import numpy.typing as npt

    from ottenok.bundle.manifest import BundleManifest
    from ottenok.core.progress import Progress

__all__ = ["TOLERANCE", "Exported", "convert", "convert_model", "export", "export_graph", "sample_batches"]

# LayerNormalization came with 17 and Gelu with 20: whole operators instead of a dozen nodes for each.
_OPSET = 20
# Of logits: a probability then differs by less than a third of it.
TOLERANCE = 1e-4
_SHAPES = ((1, 1), (1, 2), (3, 7), (5, 33), (2, 128), (1, 512))
_FIRST_WORD = 5
_COPIED = (CONFIG, TOKENIZER_CONFIG)


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
    """A classifier that gives its logits alone, task by task.

    Args:
        model: Gives the logits of all tasks side by side.
        cuts: Name of each output to its columns.
    """

    def __init__(self, model: nn.Module, cuts: Mapping[str, slice]) -> None:
        super().__init__()
        self.model = model
        self.cuts = dict(cuts)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """Return float32 `[batch, outputs]` for each output."""
        logits: torch.Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask).logits
        logits = logits.to(torch.float32)
        return logits if len(self.cuts) == 1 else tuple(logits[:, cut] for cut in self.cuts.values())


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
    exported = export_graph(folder, folder / ONNX, bundle.manifest, progress=progress)
    if bundle.own:
        write_manifest(folder, bundle.manifest)
        remember(folder)
    return exported


def convert(folder: Path, target: Path, *, progress: Progress = SILENT) -> None:
    """Write the graph, tokenizer and configuration of other people's classifier into a folder of their own.

    Args:
        folder: Holds `config.json`, safetensors weights and the files of a tokenizer.
        target: The new folder, which is whole or not there.
        progress: Hears of the stages.

    Raises:
        BundleError: The folder holds no sequence classifier.
        ModelError: The model or the tokenizer can't be opened or converted, or its graph gives other logits.
    """
    convert_model(None, folder, target, progress=progress)


def convert_model(model: nn.Module | None, folder: Path, target: Path, *, progress: Progress = SILENT) -> None:
    """Do what `convert` does with a model that is open already.

    Args:
        model: Gives `logits` for `input_ids` and `attention_mask`; None: the one in the folder.
        folder: Holds `config.json` and the files of a tokenizer.
        target: As in `convert`.
        progress: As in `convert`.

    Raises:
        BundleError: As `convert`.
        ModelError: As `convert`.
    """
    with atomic_folder(target) as part:
        for name in _COPIED:
            if (folder / name).is_file():
                shutil.copyfile(folder / name, part / name)
        # As transformers reads it, with everything that the other files of the folder say of it.
        tokenizer = load_saved_tokenizer(folder).backend_tokenizer
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.save(str(part / TOKENIZER))
        # A file in the graph's place lets the bundle's checks run before the long work.
        (part / ONNX).parent.mkdir()
        (part / ONNX).touch()
        export_graph(folder, part / ONNX, open_bundle(part).manifest, model=model, progress=progress)


def export_graph(
    folder: Path,
    out: Path,
    manifest: BundleManifest,
    *,
    model: nn.Module | None = None,
    progress: Progress = SILENT,
) -> Exported:
    """Write the graph of the model in a folder, after comparing it with torch.

    Args:
        folder: Holds `config.json` and `model.safetensors`.
        out: The graph's file.
        manifest: Says the tasks and the longest text to compare on.
        model: The folder's model where it is open already.
        progress: Hears of the stages.

    Raises:
        ModelError: As `export`.
        MissingExtraError: As `export`.
    """
    require("onnxscript", extra="train")
    places = columns(manifest.task_list())
    cuts = {facts.output: places[facts.name] for facts in manifest.tasks}
    progress.start("convert to ONNX", total=None, unit="steps")
    try:
        # Eager attention: its graph is the plainest, and the same formula.
        whole = _Logits(load(folder, attention="eager") if model is None else model, cuts).eval()
        with atomic_path(out) as part:
            _write(whole, part)
            difference = _compare(whole, part, manifest.max_length)
    finally:
        progress.finish()
    return Exported(file=out, difference=difference)


def _write(model: _Logits, file: Path) -> None:
    import onnx

    ids = torch.tensor([[4, 5, 6, 7, 8], [4, 5, 6, 0, 0]])
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    axes = {0: "batch", 1: "length"}
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    # The exporter's remarks on itself are not for the user; what goes wrong is raised.
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                model,
                (ids, mask),
                input_names=["input_ids", "attention_mask"],
                output_names=list(model.cuts),
                dynamic_shapes={"input_ids": axes, "attention_mask": axes},
                opset_version=_OPSET,
                dynamo=True,
                verbose=False,
            )
    except (torch.onnx.OnnxExporterError, RuntimeError, ValueError, TypeError) as error:
        raise ModelError(
            f"torch can't convert this architecture to ONNX: {str(error).strip().splitlines()[0][:300]}",
            hint="Report it with the model's name; newer versions of torch convert more.",
        ) from error
    finally:
        logger.setLevel(level)
    if program is None:
        raise ModelError("torch gave no graph")
    graph = program.model_proto
    strip(graph)
    onnx.save(graph, str(file))


def _compare(model: _Logits, file: Path, max_length: int) -> float:
    """Return the largest difference between torch's logits and the graph's on batches of many shapes.

    Raises:
        ModelError: It is too large.
    """
    inner: Any = model.get_submodule("model")
    vocabulary = int(inner.get_input_embeddings().weight.shape[0])
    padding = getattr(inner.config, "pad_token_id", None) or 0
    ort = onnxruntime()
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    difference = 0.0
    for ids, mask in sample_batches(vocabulary, padding=padding, max_length=max_length):
        with torch.inference_mode():
            answer = model(torch.from_numpy(ids), torch.from_numpy(mask))
        expected = [answer] if isinstance(answer, torch.Tensor) else answer
        found = session.run(list(model.cuts), {"input_ids": ids, "attention_mask": mask})
        for logits, wanted in zip(found, expected, strict=True):
            # NaN is larger than any tolerance, and `max` would pass over it.
            largest = float(np.abs(logits - wanted.numpy()).max())
            difference = max(difference, largest if np.isfinite(largest) else float("inf"))
    if difference > TOLERANCE:
        raise ModelError(
            f"the graph's logits differ from torch's by {difference:.2g}, expected at most {TOLERANCE:g}",
            hint="The conversion of this architecture can't be trusted, so no file was written.",
        )
    return difference


def sample_batches(
    vocabulary: int, *, padding: int, max_length: int, seed: int = 0
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Yield batches of random ids, from one token to the longest text, with and without padding, and their masks.

    Args:
        vocabulary: Ids are below it.
        padding: The id of padding, in which rows end, each in another length of it.
        max_length: Most tokens.
        seed: Of the ids.
    """
    random = np.random.default_rng(seed)
    for rows, tokens in _SHAPES:
        width = min(tokens, max_length)
        ids = random.integers(min(_FIRST_WORD, vocabulary - 1), vocabulary, size=(rows, width))
        lengths = np.maximum(1, width - 3 * np.arange(rows))
        mask = (np.arange(width) < lengths[:, None]).astype(np.int64)
        yield np.where(mask == 1, ids, padding), mask
