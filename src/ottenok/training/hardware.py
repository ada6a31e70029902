"""What the hardware can do, as far as training cares."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Literal

import torch

if TYPE_CHECKING:
    from ottenok.recipes.train import RunOptions

__all__ = ["Precision", "cpu_computes_bf16", "keep_freed_memory", "on_cpu", "precision"]

# From glibc's <malloc.h>.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3

Precision = Literal["fp32", "bf16", "fp16"]


def on_cpu(run: RunOptions) -> bool:
    """Tell whether the run is on the CPU."""
    return run.device == "cpu" or not torch.cuda.is_available()


def precision(run: RunOptions) -> Precision:
    """Return the precision of the run: the recipe's, or bf16 where the hardware computes with it."""
    if run.precision != "auto":
        return run.precision
    able = cpu_computes_bf16() if on_cpu(run) else torch.cuda.is_bf16_supported()
    return "bf16" if able else "fp32"


def cpu_computes_bf16() -> bool:
    """Tell whether the CPU multiplies bf16 itself; where it does not, bf16 is emulated and slower than fp32."""
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
