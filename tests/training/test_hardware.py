"""What the hardware is told before a training."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, torch
from ottenok.training.hardware import keep_freed_memory
if {kept}:
    assert keep_freed_memory()
for _ in range(30):
    torch.ones(20_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    torch.ones(20_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is glibc's")
def test_freed_memory_is_taken_again_without_asking_the_kernel() -> None:
    """Blocks of 80 MB cost no page faults once the heap has grown, where glibc as it is asks for their pages anew."""
    faults = [
        int(subprocess.run([sys.executable, "-c", FAULTS.format(kept=kept)], check=True, capture_output=True).stdout)
        for kept in (False, True)
    ]
    assert faults[1] < 100 < faults[0]
