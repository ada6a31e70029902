"""One sentence from the shell, in a new process: seconds, processor time and peak memory.

    python benchmarks/cold_start.py now=.venv/bin/ottenok before=OTHER/bin/ottenok [-o RESULT.json]

Each COMMAND is an installed `ottenok`; they take turns, and the medians are told. Files are in the system's cache, as
they are on the second call of a day. Needs nothing but Python.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import time
from pathlib import Path

TEXT = "Какая гадость эта ваша заливная рыба!"


def once(command: str) -> tuple[float, float, float]:
    """Return seconds, seconds of processor time, and megabytes at most."""
    begun = time.perf_counter()
    process = subprocess.Popen([command, "classify", TEXT], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begun
    if status:
        raise SystemExit(f"{command} ended with {os.waitstatus_to_exitcode(status)}")
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6


def main() -> None:
    """Measure in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commands", nargs="+", metavar="NAME=COMMAND")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("-o", "--out", type=Path)
    given = parser.parse_args()
    commands = dict(text.split("=", 1) for text in given.commands)
    for command in commands.values():
        once(command)
    load = os.getloadavg()[0]
    runs: dict[str, list[tuple[float, float, float]]] = {name: [] for name in commands}
    for _ in range(given.rounds):
        for name, command in commands.items():
            runs[name].append(once(command))
    found: dict[str, object] = {"rounds": given.rounds, "cores": os.cpu_count(), "load": round(load, 1)}
    for name, times in runs.items():
        middle = [statistics.median(column) for column in zip(*times, strict=True)]
        found[name] = {
            "seconds": round(middle[0], 3),
            "best_seconds": round(min(seconds for seconds, _, _ in times), 3),
            "processor_seconds": round(middle[1], 3),
            "peak_mb": round(middle[2], 1),
        }
    print(json.dumps(found, indent=1))
    if given.out is not None:
        given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
