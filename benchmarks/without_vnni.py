"""Does a processor without VNNI give the same scores? Runs the int8 graph here, and on an emulated one with AVX2 alone.

    python benchmarks/without_vnni.py BUNDLE [-o benchmarks/results/without_vnni.json]

Needs `qemu-x86_64` (Debian's package qemu-user). Without VNNI, the fast product of 8-bit numbers overflows; ottenok
asks onnxruntime for the exact one there (`session.x64quantprecision`). Emulation says nothing about speed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ottenok.core.files import atomic_write_text

TEXTS = [
    "Какая гадость эта ваша заливная рыба!",
    "отличный сервис, спасибо",
    "这个酒店非常好,下次还会来",
    "обычный день",
    "не понравилось совсем, больше не приду",
]
CHILD = "import json, sys, ottenok; clf = ottenok.load(sys.argv[1], precision='int8', threads=1); "
CHILD += "print(json.dumps(clf.predict_proba(json.loads(sys.argv[2])).tolist()))"


def scores(prefix: list[str], bundle: Path) -> npt.NDArray[np.float64]:
    """Return the probabilities that a fresh process gives."""
    command = [*prefix, sys.executable, "-c", CHILD, str(bundle), json.dumps(TEXTS)]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    return np.array(json.loads(found.stdout))


def main() -> None:
    """Compare and write the largest difference."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("-o", "--out", type=Path)
    given = parser.parse_args()
    if shutil.which("qemu-x86_64") is None:
        sys.exit("qemu-x86_64 is not installed: apt-get install qemu-user")
    here, there = scores([], given.bundle), scores(["qemu-x86_64", "-cpu", "max"], given.bundle)
    facts = {"texts": len(TEXTS), "largest_difference": float(np.abs(here - there).max()), "emulated": "qemu -cpu max"}
    print(json.dumps(facts))
    if given.out:
        atomic_write_text(given.out, json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
