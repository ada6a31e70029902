"""What computes logits: the contract, and the backend on onnxruntime."""

from __future__ import annotations

import importlib.util
from contextlib import suppress
from functools import cache
from importlib import resources
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ottenok.core.errors import ModelError
from ottenok.core.files import sha256_file
from ottenok.core.lazy import onnxruntime
from ottenok.inference.embedding import with_embedding
from ottenok.inference.onnx_file import with_mapped_weights

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from ottenok.inference.tokens import TokenBatch

__all__ = ["Backend", "OnnxBackend", "check_cuda", "products_overflow"]

# What a graph may ask for, and what it gets: batches hold no padding, and one text is one segment.
_FILL = {"attention_mask": 1, "token_type_ids": 0}
_TYPES: dict[str, type[np.int64 | np.int32]] = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}
# Takes the exact product of 8-bit numbers where the fast one overflows. Elsewhere it would halve the speed for nothing.
_EXACT = ("session.x64quantprecision", "1")
_CUDA = "CUDAExecutionProvider"
# Products in full: in TF32, which is twice as fast, scores would differ from a processor's in the third digit.
_FULL = {"use_tf32": "0"}
# Fusions of onnxruntime that are slower on a CPU than what they replace (benchmarks/quantise.py): its fused layer norm
# takes ten times as long as the sum and the norm apart.
_WORSE = ("SkipLayerNormFusion", "BiasGeluFusion")


class Backend(Protocol):
    """Computes logits. Calls from several threads at once are allowed.

    A row's logits may not depend on the other rows of its batch.
    """

    @property
    def name(self) -> str:
        """What it runs on, for people: `onnx int8`, `fake`."""

    @property
    def identity(self) -> str:
        """What decides its logits, such as the graph's sha256."""

    @property
    def outputs(self) -> int:
        """Logits per row."""

    def run(self, batch: TokenBatch) -> npt.NDArray[np.float32]:
        """Return float32 `[rows, outputs]`.

        Raises:
            ModelError: The model can't be run on this batch.
        """

    def embed(self, batch: TokenBatch) -> npt.NDArray[np.float32]:
        """Return float32 `[rows, width]`: what the layer that makes the first output's logits reads.

        Raises:
            ModelError: The model has no such layer, or can't be run on this batch.
        """


class OnnxBackend:
    """A sequence classifier as an ONNX graph.

    Its inputs are `input_ids` and, if the graph asks for them, `attention_mask` and `token_type_ids`, all
    `[batch, length]`; each of its outputs is `[batch, logits]`.

    Args:
        file: The graph.
        outputs: Name of each output that is wanted to how many logits it has. The only output of a graph may have any
            name.
        name: For people.
        threads: Threads for one batch. Several batches at once on a thread each are faster (see `Classifier`).
        mapped: Whether weights are mapped into memory, which only a file allows that nobody writes to.
        device: `cpu` or `cuda`.

    Raises:
        ModelError: onnxruntime can't read the graph, it asks for other inputs, its outputs are others, or the device
            can't be used.
    """

    def __init__(
        self,
        file: Path,
        outputs: Mapping[str, int],
        *,
        name: str = "onnx",
        threads: int = 1,
        mapped: bool = False,
        device: str = "cpu",
    ) -> None:
        self._file = str(file.absolute())
        self._name = name if device == "cpu" else f"{name} on {device}"
        self._device = device
        self._session = None
        if mapped:
            # Not everywhere can a file be mapped: onnxruntime asks /proc for its place, which a sandbox need not have.
            with suppress(ModelError, OSError):
                self._session = _open(file, threads, with_mapped_weights(file), device=device)
        self._mapped = self._session is not None
        if self._session is None:
            self._session = _open(file, threads, device=device)
        self._inputs = {entry.name: _input_type(entry, self._file) for entry in self._session.get_inputs()}
        if "input_ids" not in self._inputs:
            raise ModelError("the graph has no input named input_ids", file=self._file)
        there = {entry.name: entry for entry in self._session.get_outputs()}
        if len(outputs) == 1 == len(there):
            outputs = dict(zip(there, outputs.values(), strict=True))
        for wanted, width in outputs.items():
            if wanted not in there:
                raise ModelError(f"the graph has no output {wanted!r}, only {', '.join(there)}", file=self._file)
            shape = there[wanted].shape
            # A graph need not say how large its outputs are; then the first batch does.
            known = [size for size in shape[1:] if isinstance(size, int)]
            self._check_shape(wanted, width, shape, fits=not shape or (len(shape) == 2 and known in ([], [width])))
        self._outputs = dict(outputs)
        self._threads = threads
        self._lock = Lock()
        self._embedder: tuple[Any, str] | None = None

    def _check_shape(self, output: str, width: int, shape: Sequence[object], *, fits: bool) -> None:
        if not fits:
            found = " x ".join(str(size) for size in shape) or "a single number"
            raise ModelError(
                f"the output {output!r} is {found}, expected texts x {width}: one number for each of {width} outputs",
                hint="The labels of config.json or ottenok.json are not those of this graph.",
                file=self._file,
            )

    @property
    def name(self) -> str:
        """The name that it was given."""
        return self._name

    @property
    def identity(self) -> str:
        """The graph's sha256."""
        return sha256_file(Path(self._file))

    @property
    def outputs(self) -> int:
        """Logits per row, of all outputs together."""
        return sum(self._outputs.values())

    def run(self, batch: TokenBatch) -> npt.NDArray[np.float32]:
        """Return float32 `[rows, outputs]`, the graph's outputs side by side.

        Raises:
            ModelError: onnxruntime fails, as it does where there is too little memory, or an output has another shape.
        """
        found = self._run(self._session, list(self._outputs), batch)
        for (name, width), logits in zip(self._outputs.items(), found, strict=True):
            shape = getattr(logits, "shape", ())
            self._check_shape(name, width, shape, fits=shape == (len(batch.ids), width))
        return np.concatenate(found, axis=1, dtype=np.float32, casting="unsafe")

    def embed(self, batch: TokenBatch) -> npt.NDArray[np.float32]:
        """Return float32 `[rows, width]`: what the layer that makes the first output's logits reads.

        Of a layer that reads every token, as a decoder's, it is the last one's. The first call opens the graph once
        more, with this output.

        Raises:
            ModelError: The graph has no such layer, or onnxruntime fails.
        """
        with self._lock:
            if self._embedder is None:
                file = Path(self._file)
                try:
                    read = with_mapped_weights(file) if self._mapped else file.read_bytes()
                    graph, name = with_embedding(read, next(iter(self._outputs)))
                except ModelError as error:
                    raise ModelError(error.message, file=self._file) from error
                self._embedder = _open(file, self._threads, graph, device=self._device), name
        session, name = self._embedder
        (found,) = self._run(session, [name], batch)
        found = np.asarray(found, dtype=np.float32)
        return found[:, -1] if found.ndim == 3 else found

    def _run(self, session: Any, outputs: Sequence[str], batch: TokenBatch) -> list[npt.NDArray[np.float32]]:  # noqa: ANN401
        feed = {
            name: batch.ids.astype(dtype, copy=False)
            if name == "input_ids"
            else np.full(batch.ids.shape, _FILL[name], dtype=dtype)
            for name, dtype in self._inputs.items()
        }
        try:
            found: list[npt.NDArray[np.float32]] = session.run(outputs, feed)
        except _failures() as error:
            raise ModelError(f"onnxruntime can't run this model: {_first_line(error)}", file=self._file) from error
        return found


def _open(file: Path, threads: int, graph: bytes | None = None, *, device: str = "cpu") -> Any:  # noqa: ANN401 - onnxruntime has no types
    """Open a graph; `graph` is what the file has become."""
    options = _quiet_options(threads)
    if graph is not None:
        # Weights that stand beside the graph, or in its own file.
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(file.parent))
    if products_overflow():
        options.add_session_config_entry(*_EXACT)
    providers: list[Any] = ["CPUExecutionProvider"]
    if device == "cuda":
        providers = [(_CUDA, _FULL), *providers]
        options.log_severity_level = 4  # that the device can't be used is said once, below
        if hasattr(onnxruntime(), "preload_dlls"):
            onnxruntime().preload_dlls()  # where nvidia's own packages have them
    try:
        session = onnxruntime().InferenceSession(
            graph or str(file), options, providers=providers, disabled_optimizers=list(_WORSE)
        )
    except _failures() as error:
        raise ModelError(f"onnxruntime can't read this graph: {_first_line(error)}", file=str(file)) from error
    if device == "cuda" and _CUDA not in session.get_providers():
        raise ModelError(
            "onnxruntime's CUDA provider is installed and can't be started",
            hint="Check the driver (nvidia-smi), CUDA and cuDNN, or take --device cpu (device='cpu').",
            file=str(file),
        )
    return session


def check_cuda() -> None:
    """Refuse CUDA where onnxruntime has no provider for it.

    Raises:
        ModelError: With what to install.
    """
    if _CUDA in onnxruntime().get_available_providers():
        return
    torch = importlib.util.find_spec("torch") is not None
    raise ModelError(
        "the onnxruntime that is installed has no CUDA provider"
        + (", and torch, which is there, is not what ottenok predicts with" if torch else ""),
        hint="Install the other build: pip uninstall onnxruntime && pip install onnxruntime-gpu; or take --device cpu "
        "(device='cpu').",
        key="device",
    )


@cache
def products_overflow() -> bool:
    """Say whether onnxruntime's fast product of 8-bit numbers is wrong here, as on x86 processors without VNNI.

    The processor is not asked but tried, with the largest numbers (`overflow.onnx`: 64 by 16 weights of 127), which
    takes a millisecond and holds for any system.
    """
    graph = resources.files("ottenok.inference").joinpath("overflow.onnx").read_bytes()
    session = onnxruntime().InferenceSession(graph, _quiet_options(1), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": np.full((8, 64), 255, dtype=np.uint8)})
    return bool((np.asarray(found) != 127 * 127 * 64).any())


def _quiet_options(threads: int) -> Any:  # noqa: ANN401
    options = onnxruntime().SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Errors only: what goes wrong is raised, and a library does not write to the terminal.
    options.log_severity_level = 3
    return options


def _failures() -> tuple[type[Exception], ...]:
    """Return onnxruntime's exceptions: they have no base of their own."""
    state = onnxruntime().capi.onnxruntime_pybind11_state
    found = [value for value in vars(state).values() if isinstance(value, type) and issubclass(value, Exception)]
    return (*found, RuntimeError, ValueError)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no reason given"])[0][:300]


def _input_type(entry: Any, file: str) -> type[np.int64 | np.int32]:  # noqa: ANN401
    if entry.name != "input_ids" and entry.name not in _FILL:
        raise ModelError(
            f"the graph asks for an input {entry.name!r}",
            hint=f"ottenok gives input_ids, {' and '.join(_FILL)}: export the model again with `ottenok export`.",
            file=file,
        )
    if entry.type not in _TYPES:
        raise ModelError(f"the input {entry.name} is {entry.type}, expected {' or '.join(_TYPES)}", file=file)
    return _TYPES[entry.type]
