"""The front door: load a classifier by folder, by hub name, or the one that ottenok ships, and classify."""

from __future__ import annotations

import ctypes
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import cache as remember
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from ottenok.bundle.folder import Bundle, open_bundle
from ottenok.bundle.foreign import tokenizer_text
from ottenok.bundle.manifest import GRAPHS, TOKENIZER
from ottenok.core.errors import BundleError, ConfigError, ModelError
from ottenok.core.home import package_home
from ottenok.core.suggest import suggest
from ottenok.inference.classifier import BATCH_TOKENS, Classifier
from ottenok.inference.engine import OnnxBackend, check_cuda
from ottenok.inference.places import EMBEDDED, find_folder
from ottenok.inference.tokens import Tokeniser, read_tokenizer
from ottenok.text.emojis import check_emoji

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ottenok.core.progress import Progress

__all__ = ["available_processors", "classifier_of", "classify", "load", "load_bundle"]

Precision = Literal["auto", "int8", "fp32"]
Read = Literal["all", "end"]
Device = Literal["auto", "cpu", "cuda"]

# Tokens of a batch on a GPU, where few large products take as long as many small ones.
_GPU_TOKENS = 65_536


def load(  # noqa: PLR0913 - a public door, options by name
    model: str | Path | None = None,
    *,
    precision: Precision = "auto",
    threads: int | None = None,
    max_windows: int | None = None,
    read: Read | None = None,
    tasks: str | Sequence[str] | None = None,
    device: Device = "auto",
    always: bool = False,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Classifier:
    """Load a classifier.

    Args:
        model: A bundle folder; a folder or hub name (`owner/name`, or `owner/name@revision`) of a sequence classifier
            of transformers with safetensors, which is converted to ONNX on first use (extra `train`); None or
            `default`: the one that ottenok ships.
        precision: `int8`, `fp32`, or `auto`: int8 where the bundle has it.
        threads: Batches that are computed at once, at least 1; None: as many as there are processors to use.
        max_windows: Most windows that are read of a long text, at least 1; None: all. What is left unread is said in
            `Prediction.truncated`.
        read: `all` of a long text, in windows, or its `end` alone; None: what the classifier learned from.
        tasks: Name of a task, or names: what is answered, the primary one first; None: all that the model has.
        device: `cuda`: an NVIDIA GPU, with the package onnxruntime-gpu and a graph in fp32, and an error where there is
            none; `cpu`; or `auto`: `cuda` where it can be had, else `cpu`.
        always: Give labels also where the classifier would withhold them: of texts in a language that it does not know,
            of texts unlike all that it was judged on, and where it is too unsure for the precision that it promises.
        cache: Folder for what is fetched and converted; None: the user's cache folder.
        progress: Hears of fetching and converting.

    Raises:
        BundleError: There is no such model, or its files are incomplete, altered or pickles.
        ConfigError: An option has a value that it can't have.
        ModelError: The model can't be converted or run, or not on this device.
        SchemeError: The model has no task of this name.
        MissingExtraError: Fetching needs the extra `data`, converting the extra `train`, and a classifier that was
            trained with emoji named the extra `emoji`.
    """
    for key, value, known in (
        ("precision", precision, get_args(Precision)),
        ("read", read, (None, *get_args(Read))),
        ("device", device, get_args(Device)),
    ):
        if value not in known:
            names = [name for name in known if name is not None]
            raise ConfigError(
                f"found {value!r}, expected {' or '.join(names)}", hint=suggest(str(value), names), key=key
            )
    numbers: dict[str, Any] = {"threads": threads, "max_windows": max_windows}
    for key, number in numbers.items():
        if number is not None and (not isinstance(number, int) or isinstance(number, bool) or number < 1):
            raise ConfigError(f"found {number!r}, expected a whole number of at least 1, or None", key=key)
    bundle = open_bundle(find_folder(model, cache=cache, progress=progress))
    changes: dict[str, Any] = {}
    if read is not None:
        changes["window"] = bundle.manifest.window.model_copy(update={"read": read})
    if tasks is not None:
        asked = [tasks] if isinstance(tasks, str) else list(tasks)
        if not asked or len(set(asked)) < len(asked):
            raise ConfigError(f"found {asked}, expected names of tasks, each once", key="tasks")
        changes["tasks"] = tuple(bundle.manifest.facts(name) for name in asked)
    bundle = replace(bundle, manifest=bundle.manifest.model_copy(update=changes))
    # A folder may be named by a path that means another from elsewhere.
    place = str(Path(model).resolve()) if model not in {None, EMBEDDED} and Path(str(model)).is_dir() else model
    again = {
        "model": place,
        "precision": precision,
        "read": read,
        "tasks": tasks,
        "device": device,
        "cache": cache,
        "always": always,
        **numbers,
    }
    if device != "cpu":
        try:
            graph = _graph_for_cuda(bundle, precision)
            return classifier_of(
                bundle, graph, threads=1, max_windows=max_windows, always=always, loaded=again, device="cuda"
            )
        except ModelError:
            if device == "cuda":
                raise
    return _classifier(bundle, precision, threads=threads, max_windows=max_windows, always=always, loaded=again)


def load_bundle(
    bundle: Bundle, *, precision: Precision = "auto", threads: int | None = None, max_windows: int | None = None
) -> Classifier:
    """Make a classifier of an opened bundle; the checksums of what is loaded are verified.

    Raises:
        BundleError: The bundle has no graph of this precision, or a file's bytes are not those of the manifest.
        ModelError: The graph can't be read, or does not fit the labels.
    """
    return _classifier(bundle, precision, threads=threads, max_windows=max_windows, always=False, loaded=None)


def _classifier(
    bundle: Bundle,
    precision: Precision,
    *,
    threads: int | None,
    max_windows: int | None,
    always: bool,
    loaded: Mapping[str, Any] | None,
) -> Classifier:
    wanted = [name for key, names in GRAPHS.items() if precision in {"auto", key} for name in names]
    for name in wanted:
        if bundle.has(name):
            graph = bundle.file(name, verify=bundle.own)
            return classifier_of(bundle, graph, threads=threads, max_windows=max_windows, always=always, loaded=loaded)
    raise BundleError(
        f"the bundle has no {' or '.join(name for name in wanted if '/' in name)}",
        hint=f"Make it with: ottenok export {bundle.folder}",
        file=str(bundle.folder),
    )


def _graph_for_cuda(bundle: Bundle, precision: Precision) -> Path:
    check_cuda()
    for name in GRAPHS["fp32"] if precision != "int8" else ():
        if bundle.has(name):
            return bundle.file(name, verify=bundle.own)
    raise ModelError(
        "there is no graph in fp32 to be run, and int8 is computed on the processor only",
        hint="Export one from the training run (ottenok export), or take --device cpu (device='cpu').",
        file=str(bundle.folder),
    )


def classifier_of(
    bundle: Bundle,
    graph: Path,
    *,
    threads: int | None = None,
    max_windows: int | None = None,
    always: bool = False,
    loaded: Mapping[str, Any] | None = None,
    device: Literal["cpu", "cuda"] = "cpu",
) -> Classifier:
    """Make a classifier of a bundle's tokenizer and rules and a graph that need not be in it.

    Args:
        bundle: Gives the tokenizer and the rules.
        graph: The ONNX file.
        threads: Batches that are computed at once; None: as many as there are processors to use.
        max_windows: Most windows that are read of a long text; None: all.
        always: Give labels also where the bundle says that they should be withheld.
        loaded: The arguments of `load` that give the same classifier, so that it can be pickled.
        device: Where the graph is run; on a GPU in long batches.

    Raises:
        BundleError: The tokenizer can't be read.
        ModelError: The graph can't be read, or does not fit the labels.
        MissingExtraError: The classifier was trained with emoji named, and the package `emoji` is not installed.
    """
    manifest = bundle.manifest
    check_emoji(manifest.text.emoji)
    name = "onnx int8" if "quantized" in graph.name else "onnx fp32"
    workers = threads or available_processors()
    outputs = {facts.output: facts.task().outputs for facts in manifest.tasks}
    # Nobody writes into the package.
    mapped = graph.is_relative_to(package_home())
    with ThreadPoolExecutor(1) as pool:  # onnxruntime opens the graph while the tokenizer is read
        opened = pool.submit(OnnxBackend, graph, outputs, name=name, mapped=mapped, device=device)
        file = bundle.file(TOKENIZER, verify=bundle.own)
        tokeniser = Tokeniser(
            read_tokenizer(file, None if bundle.own else tokenizer_text(bundle.folder)),
            max_length=manifest.max_length,
            overlap=manifest.window.overlap,
            max_windows=max_windows,
            read_end=manifest.window.read == "end",
        )
        backend = opened.result()
    # glibc keeps what reading a model took and gave back; the least peak is without it.
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
    return Classifier(
        manifest=manifest,
        tokeniser=tokeniser,
        backend=backend,
        workers=workers,
        batch_tokens=BATCH_TOKENS if device == "cpu" else _GPU_TOKENS,
        loaded=loaded,
        folder=bundle.folder,
        always=always,
    )


def available_processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@remember
def _default() -> Classifier:
    return load()


def classify(texts: Any, *, model: Classifier | str | Path | None = None) -> Any:  # noqa: ANN401 - see Classifier
    """Classify with the model that ottenok ships, or another; see `Classifier.__call__` for what goes in and out.

    To classify with one model many times, `load` it once.

    Args:
        texts: A string, a list or column of strings, or an iterator of them.
        model: A classifier, or what `load` takes.
    """
    if isinstance(model, Classifier):
        return model(texts)
    return (_default() if model in {None, EMBEDDED} else load(model))(texts)
