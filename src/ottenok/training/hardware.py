"""What a run computes with: the device, the number format, how many processes, and what the C library does with memory.

Readable without torch: it is imported where it is asked for something.
"""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING, Literal

from ottenok.core.errors import ConfigError

if TYPE_CHECKING:
    import torch

    from ottenok.recipes.train import RunOptions

__all__ = ["Precision", "cpu_computes_bf16", "device_of", "keep_freed_memory", "precision", "rank", "world"]

# From glibc's <malloc.h>.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3

Precision = Literal["fp32", "bf16", "fp16"]


def rank() -> int:
    """Return this process's number among those that torchrun started; 0 without it."""
    return int(os.environ.get("RANK", "0"))


def world() -> int:
    """Return how many processes torchrun started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def device_of(run: RunOptions) -> torch.device:
    """Return the device of this process.

    Raises:
        ConfigError: The recipe insists on a GPU, and there is none that torch can use.
    """
    import torch

    there = torch.cuda.is_available()
    if run.device == "cuda" and not there:
        raise ConfigError(
            "torch finds no GPU here" if torch.version.cuda else "this torch was built without CUDA",
            hint="Use --run.device auto, or install a torch that was built for the GPU.",
            key="run.device",
        )
    if run.device == "cpu" or not there:
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def precision(run: RunOptions) -> Precision:
    """Return the precision of the run: the recipe's, or bf16 where the hardware computes with it.

    Raises:
        ConfigError: The recipe asks for fp16, and the run is on a CPU, where nothing gains by it.
    """
    import torch

    on_cpu = device_of(run).type == "cpu"
    if run.precision == "fp16" and on_cpu:
        raise ConfigError(
            "fp16 needs a GPU, and this run is on the CPU", hint='Use "auto", "bf16" or "fp32".', key="run.precision"
        )
    if run.precision != "auto":
        return run.precision
    able = cpu_computes_bf16() if on_cpu else torch.cuda.is_bf16_supported()
    return "bf16" if able else "fp32"


def cpu_computes_bf16() -> bool:
    """Tell whether the CPU multiplies bf16 itself; where it does not, bf16 is emulated and slower than fp32."""
    import torch

    capabilities = getattr(torch.cpu, "get_capabilities", None)
    if capabilities is None:  # before torch 2.9 only x86 could be asked
        supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
        return bool(supported is not None and supported())
    known = capabilities()
    return any(bool(known.get(name)) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def keep_freed_memory() -> bool:
    """Let this process keep the memory that it frees, for its next allocations.

    glibc gives blocks of more than 32 MB back to the kernel as soon as they are freed, and a step on the CPU frees and
    takes hundreds of them: the kernel then fills each page with zeros again, a sixth of a step's time.

    Returns:
        False where the C library has no such setting (musl, macOS, Windows): nothing is changed.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # TypeError: Windows opens no library without a name
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, 2**31 - 1)) and bool(mallopt(_M_TRIM_THRESHOLD, -1))
