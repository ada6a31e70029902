"""Whole files beside the bare engine, and the memory of a long one.

    python benchmarks/files.py [--rows 1000000] [-o benchmarks/results/files.json]
    python benchmarks/files.py --table     (the table of benchmarks/README.md out of the result)

Rate: the same texts, all different, once as a CSV file from its first byte to the last of the output, and once as
batches of windows that lie ready, where only the run is timed; in turn, in one process, median of the ratios. On a
machine that others use, the ratio of processor time is the better figure: both are told.

Memory: a file of `--rows` rows in a process of its own, one in sixteen of them a new text; its resident memory is
looked at all the time.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import ottenok
from ottenok.core.files import atomic_write_text
from ottenok.inference.files import classify_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ottenok.inference.classifier import Classifier

RESULT = Path(__file__).parent / "results" / "files.json"
STARTS = ("Заказывал", "Брали", "Пробовали", "Смотрел", "Купила", "昨天买了", "第一次用", "朋友推荐")
THINGS = ("суп", "номер у моря", "этот фильм", "телефон", "торт", "酒店房间", "这部电影", "外卖")
VERDICTS = (
    ", очень понравилось, спасибо!", ", ужасно, деньги на ветер.", ", ничего особенного.", ", приду ещё раз.",
    "，非常满意。", "，太失望了，再也不来了。", "，一般般吧。", ", а курьер опоздал на два часа и ещё нагрубил.",
)  # fmt: skip


def texts(count: int, seed: int) -> Iterator[str]:
    """Yield texts, all different."""
    rng = random.Random(seed)
    for number in range(count):
        more = rng.choice(VERDICTS) * rng.randint(0, 2)
        yield f"{rng.choice(STARTS)} {rng.choice(THINGS)} {number}{rng.choice(VERDICTS)}{more}"


def write(path: Path, rows: Iterator[str]) -> int:
    """Write a table with the texts in its second column; return its bytes."""
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write("id,text\n")
        stream.writelines(f'{number},"{text}"\n' for number, text in enumerate(rows))
    return path.stat().st_size


def timed(action: object, *arguments: object, **options: object) -> tuple[float, float]:
    """Return seconds and seconds of processor time."""
    begun, used = time.perf_counter(), time.process_time()
    action(*arguments, **options)  # type: ignore[operator]
    return time.perf_counter() - begun, time.process_time() - used


def ratios(classifier: Classifier, folder: Path, rows: int, rounds: int) -> dict[str, object]:
    """Measure a file and the bare run of its texts in turn."""
    found: list[tuple[float, float, float, float]] = []
    for number in range(rounds + 1):
        table, out = folder / f"{number}.csv", folder / f"{number}.out.csv"
        every = list(texts(rows if number else 500, number))  # the first round only warms up
        write(table, iter(every))
        ready = classifier.prepare(every)
        bare = timed(classifier.run, ready)
        whole = timed(classify_file, table, out, text="text", classifier=classifier)
        again = timed(classifier.run, ready)
        if number:
            found.append((bare[0] + again[0], 2 * whole[0], bare[1] + again[1], 2 * whole[1]))
    tokens = sum(len(ids) for ids in ready.windows.ids) / rows
    return {
        "rows": rows,
        "rounds": rounds,
        "tokens_per_text": round(tokens, 1),
        "file_texts_per_second": round(2 * rows / statistics.median(wall for _, wall, _, _ in found), 1),
        "bare_texts_per_second": round(2 * rows / statistics.median(wall for wall, _, _, _ in found), 1),
        "share_of_bare_rate": round(statistics.median(bare / whole for bare, whole, _, _ in found), 3),
        "share_by_processor_time": round(statistics.median(bare / whole for _, _, bare, whole in found), 3),
    }


def resident(process: int) -> float:
    """Return a process's resident memory in megabytes, 0 when it has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmRSS")), 0.0)


def long_file(folder: Path, rows: int) -> dict[str, object]:
    """Classify a long file in a process of its own and watch its memory."""
    distinct = list(texts(max(1, rows // 16), 99))
    rng = random.Random(3)
    rng.shuffle(distinct)
    # One new text in sixteen rows, anywhere in the file; the others come again.
    size = write(
        folder / "long.csv",
        (distinct[n // 16 % len(distinct)] if n % 16 == 0 else rng.choice(distinct) for n in range(rows)),
    )
    command = [sys.executable, "-m", "ottenok", "classify", "long.csv", "--text", "text", "-o", "long.out.csv"]
    begun = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL)
    memory: list[float] = []
    while process.poll() is None:
        memory.append(resident(process.pid))
        time.sleep(1.0)
    seconds = time.perf_counter() - begun
    with (folder / "long.out.csv").open(encoding="utf-8") as stream:
        lines = sum(1 for _ in stream)
    assert lines == rows + 1, f"{lines} lines instead of {rows + 1}"
    quarter = max(1, len(memory) // 4)
    return {
        "rows": rows,
        "distinct_texts": len(set(distinct)),
        "megabytes": round(size / 1e6),
        "seconds": round(seconds),
        "rows_per_second": round(rows / seconds),
        "peak_mb": round(max(memory)),
        "peak_mb_by_quarter": [round(max(memory[start : start + quarter])) for start in range(0, 4 * quarter, quarter)],
    }


def table(found: dict[str, dict[str, object]]) -> str:
    """Return the result as a table."""
    rate, long = found["rate"], found["long"]
    lines = [
        ("a file of different texts, beside the run alone of the same texts", f"{rate['share_of_bare_rate']:.0%}"),
        ("the same by processor time", f"{rate['share_by_processor_time']:.0%}"),
        ("rows of the long file, different texts", f"{long['rows']:,}, {long['distinct_texts']:,}"),
        ("seconds, rows a second", f"{long['seconds']:,}, {long['rows_per_second']:,}"),
        ("peak memory, by quarter of the time", ", ".join(f"{mb} MB" for mb in long["peak_mb_by_quarter"])),  # type: ignore[attr-defined]
    ]
    return "| measure | value |\n|---|---|\n" + "".join(f"| {name} | {value} |\n" for name, value in lines)


def main() -> None:
    """Measure, or show what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rate-rows", type=int, default=8000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("-o", "--out", type=Path, default=RESULT)
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args()
    if given.table:
        print(table(json.loads(given.out.read_text(encoding="utf-8"))))
        return
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        rate = ratios(ottenok.load(threads=given.threads), Path(name), given.rate_rows, given.rounds)
        print(json.dumps(rate, indent=1), flush=True)
        long = long_file(Path(name), given.rows)
    found = {"threads": given.threads, "load": round(load, 1), "rate": rate, "long": long}
    print(json.dumps(found, indent=1))
    atomic_write_text(given.out, json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
