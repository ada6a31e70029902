"""The front door: load a classifier by folder, by hub name, or the one that ottenok ships, and classify."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cache as remember
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ottenok.bundle.folder import Bundle, open_bundle
from ottenok.bundle.manifest import ONNX, ONNX_INT8, TOKENIZER
from ottenok.core.errors import BundleError
from ottenok.inference.onnx import OnnxBackend
from ottenok.inference.places import find_folder
from ottenok.inference.predictor import Predictor
from ottenok.inference.tokens import Tokeniser, read_tokenizer
from ottenok.text.emojis import check_emoji

if TYPE_CHECKING:
    from ottenok.core.progress import Progress

__all__ = ["available_processors", "classify", "load", "load_bundle", "predictor_of"]

Precision = Literal["auto", "int8", "fp32"]

_GRAPHS = {"int8": ONNX_INT8, "fp32": ONNX}


def load(
    model: str | Path | None = None,
    *,
    precision: Precision = "auto",
    threads: int | None = None,
    max_windows: int | None = None,
    read: Literal["all", "end"] | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Predictor:
    """Load a classifier.

    Args:
        model: A bundle folder; a folder or hub name (`owner/name`) of a sequence classifier of transformers with
            safetensors, which is converted to ONNX on first use (extra `train`); None: the one that ottenok ships.
        precision: `int8`, `fp32`, or `auto`: int8 where the bundle has it.
        threads: Batches that are computed at once; None: as many as there are processors to use.
        max_windows: Most windows that are read of a long text; None: all. What is left unread is said in
            `Prediction.truncated`.
        read: `all` of a long text, in windows, or its `end` alone; None: what the classifier learned from.
        cache: Folder for what is fetched and converted; None: the user's cache folder.
        progress: Hears of fetching and converting.

    Raises:
        BundleError: There is no such model, or its files are incomplete, altered or pickles.
        ModelError: The model can't be converted or run.
        MissingExtraError: Fetching needs the extra `data`, converting the extra `train`, and a classifier that was
            trained with emoji named the extra `emoji`.
    """
    bundle = open_bundle(find_folder(model, cache=cache, progress=progress))
    if read is not None:
        window = bundle.manifest.window.model_copy(update={"read": read})
        bundle = replace(bundle, manifest=bundle.manifest.model_copy(update={"window": window}))
    return load_bundle(bundle, precision=precision, threads=threads, max_windows=max_windows)


def load_bundle(
    bundle: Bundle, *, precision: Precision = "auto", threads: int | None = None, max_windows: int | None = None
) -> Predictor:
    """Make a predictor of an opened bundle; the checksums of what is loaded are verified.

    Raises:
        BundleError: The bundle has no graph of this precision, or a file's bytes are not those of the manifest.
        ModelError: The graph can't be read, or does not fit the labels.
    """
    name = _graph(bundle, precision)
    graph = bundle.file(name, verify=bundle.own)
    return predictor_of(bundle, graph, threads=threads, max_windows=max_windows)


def predictor_of(
    bundle: Bundle, graph: Path, *, threads: int | None = None, max_windows: int | None = None
) -> Predictor:
    """Make a predictor of a bundle's tokenizer and rules and a graph that need not be in it.

    Raises:
        BundleError: The tokenizer can't be read.
        ModelError: The graph can't be read, or does not fit the labels.
        MissingExtraError: The classifier was trained with emoji named, and the package `emoji` is not installed.
    """
    manifest = bundle.manifest
    check_emoji(manifest.text.emoji)
    tokeniser = Tokeniser(
        read_tokenizer(bundle.file(TOKENIZER, verify=bundle.own)),
        max_length=manifest.max_length,
        overlap=manifest.window.overlap,
        max_windows=max_windows,
        read_end=manifest.window.read == "end",
    )
    name = "onnx int8" if graph.name == Path(ONNX_INT8).name else "onnx fp32"
    backend = OnnxBackend(graph, name=name)
    workers = threads or available_processors()
    return Predictor(manifest=manifest, tokeniser=tokeniser, backend=backend, workers=workers)


def available_processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _graph(bundle: Bundle, precision: Precision) -> str:
    wanted = _GRAPHS.values() if precision == "auto" else (_GRAPHS[precision],)
    for name in wanted:
        if bundle.has(name):
            return name
    raise BundleError(
        f"the bundle has no {' or '.join(wanted)}",
        hint=f"Make it with: ottenok export {bundle.folder}",
        file=str(bundle.folder),
    )


@remember
def _default() -> Predictor:
    return load()


def classify(texts: Any, *, model: Predictor | str | Path | None = None) -> Any:  # noqa: ANN401 - see Predictor
    """Classify with the model that ottenok ships, or another; see `Predictor.__call__` for what goes in and out.

    To classify with one model many times, `load` it once.

    Args:
        texts: A string, a list or column of strings, or an iterator of them.
        model: A predictor, or what `load` takes.
    """
    if isinstance(model, Predictor):
        return model(texts)
    return (_default() if model is None else load(model))(texts)
