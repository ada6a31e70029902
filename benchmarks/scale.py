"""What bulk classification on Ray costs beside the bare engine, how it bears kills, and what a billion rows take.

    python benchmarks/scale.py speed --data ../shared/data   # rows/s of 1 and 2 workers, processor time, memory
    python benchmarks/scale.py kills --data ../shared/data   # kills drivers, workers and Ray itself, and counts rows
    python benchmarks/scale.py corpus                        # memory of `data build` by rows; --rows N adds a size
    python benchmarks/scale.py corpus --built FILE           # adds what corpus_build.py printed
    python benchmarks/scale.py table                         # docs/scale.md, made from the results

The texts are real: posts of RuSentiment and Chinese reviews, drawn with a seed; the model is the embedded one. Runs of
the engine and of Ray take turns. Rates are of the stage that classifies: starting Ray and loading models is told apart.
Processor time is that of all processes, Ray's own among them: where other work shares the machine, it says more than
the clock. Each command writes its part of results/scale.json.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import platform
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq

import ottenok
from ottenok.cluster.classify import Piece, classify_folder
from ottenok.cluster.start import started
from ottenok.inference.files import classify_file

HERE = Path(__file__).parent
RESULT = HERE / "results" / "scale.json"
PAGE = HERE.parent / "docs" / "scale.md"
TEMPLATE = HERE / "scale.template.md"
UNMEASURED = """By the clock the efficiency of 1 and 2 workers is **not measured**: other work loaded the machine.
On an idle one `python benchmarks/scale.py speed --rows 12288` measures it (ten minutes), and `table` writes it here."""
TWENTY = 20_000_000  # rows
# What the page's table is computed with; put your own.
PRICE = 0.045  # dollars for an hour of one processor
MACHINE = 32  # processors
JOBS = {"10 million rows": 10_000_000, "1 billion rows": 1_000_000_000}


def texts(data: Path, rows: int) -> list[str]:
    """Return real texts, none twice."""
    with zipfile.ZipFile(data / "online-shopping-10-cats" / "online_shopping_10_cats.zip") as archive:
        member = io.TextIOWrapper(archive.open(archive.namelist()[0]), "utf-8")
        found = [row["review"] for row in csv.DictReader(member)]
    with (data / "rusentiment" / "rusentiment_random_posts.csv").open(encoding="utf-8") as stream:
        found += [row["text"] for row in csv.DictReader(stream)]
    found = sorted({text.strip() for text in found if text.strip()})
    random.Random(1).shuffle(found)
    return found[:rows]


def write(file: Path, found: list[str]) -> Path:
    """Write a CSV file of texts."""
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "text"])
        writer.writerows(enumerate(found))
    return file


class Clock:
    """A progress observer that keeps the seconds of each stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.name, self.began = "", 0.0

    def start(self, stage: str, *, total: int | None, unit: str) -> None:  # noqa: ARG002
        """Begin a stage."""
        self.name, self.began = stage, time.perf_counter()

    def advance(self, count: int = 1) -> None:
        """Ignore the units."""

    def finish(self) -> None:
        """Add up the stage's time."""
        self.seconds[self.name] = self.seconds.get(self.name, 0.0) + time.perf_counter() - self.began

    def note(self, message: str) -> None:
        """Ignore notes."""


def processor_seconds() -> float:
    """Return the processor time of this process and all that it began."""
    total = 0.0
    me = psutil.Process()
    for one in (me, *me.children(recursive=True)):
        try:
            used = one.cpu_times()
        except psutil.Error:
            continue
        total += used.user + used.system
    return total


def speed(data: Path, rows: int, rounds: int) -> dict[str, Any]:
    """Measure the engine with 1 and 2 threads, and Ray with 1 and 2 workers, in turn."""
    legs: dict[str, list[dict[str, float]]] = {}
    load = os.getloadavg()[0]
    memory: list[float] = []
    with tempfile.TemporaryDirectory(prefix="scale-") as folder:
        work = Path(folder)
        file = write(work / "texts.csv", texts(data, rows))
        count = sum(1 for _ in csv.reader(file.open(encoding="utf-8", newline=""))) - 1
        for lap in range(rounds):
            for workers in (1, 2):
                clock, classifier = Clock(), ottenok.load(threads=workers)
                classifier("прогрев")
                before = processor_seconds()
                classify_file(
                    file, work / f"one-{lap}-{workers}.parquet", text="text", classifier=classifier, progress=clock
                )
                took = {"seconds": clock.seconds["classify"], "processor": processor_seconds() - before}
                legs.setdefault(f"engine, {workers} thread{'s' * (workers > 1)}", []).append(took)
                begun = time.perf_counter()
                with started("local", workers=workers):
                    ready = time.perf_counter() - begun
                    # Both workers have their model after this.
                    warm = write(work / "warm.csv", [f"прогрев {number}" for number in range(9000)])
                    classify_folder(warm, work / f"warm-{lap}-{workers}", text="text", workers=workers)
                    clock, before = Clock(), processor_seconds()
                    out = work / f"ray-{lap}-{workers}"
                    classify_folder(file, out, text="text", workers=workers, progress=clock)
                    used = processor_seconds() - before
                    memory += [
                        one.memory_full_info().pss / 1e6
                        for one in psutil.Process().children(recursive=True)
                        if one.name().startswith("ray::") and one.memory_info().rss > 250e6
                    ]
                took = {"seconds": clock.seconds["classify"], "processor": used, "start": ready}
                took["read"] = clock.seconds["read"]
                legs.setdefault(f"Ray, {workers} worker{'s' * (workers > 1)}", []).append(took)
            alone = pq.read_table(work / f"one-{lap}-2.parquet")
            parts = [pq.read_table(part) for part in sorted((work / f"ray-{lap}-2").glob("part-*.parquet"))]
            same = sum(part.num_rows for part in parts) == alone.num_rows and all(
                alone.column(name).to_pylist() == [value for part in parts for value in part.column(name).to_pylist()]
                for name in alone.column_names
            )
    result: dict[str, Any] = {"rows": count, "rounds": rounds, "answers_equal_to_the_last_digit": same}
    for name, laps in legs.items():
        result[name] = {
            "rows_per_second": round(count / statistics.median(lap["seconds"] for lap in laps), 1),
            "processor_ms_per_row": round(1000 * statistics.median(lap["processor"] for lap in laps) / count, 3),
            "laps": [{key: round(value, 2) for key, value in lap.items()} for lap in laps],
        }
    for workers, name in ((1, "1 thread"), (2, "2 threads")):
        engine, ray = legs[f"engine, {name}"], legs[f"Ray, {name.replace('thread', 'worker')}"]
        pairs = list(zip(engine, ray, strict=True))
        result[f"efficiency_{workers}"] = round(
            statistics.median(one["seconds"] / two["seconds"] for one, two in pairs), 3
        )
        result[f"efficiency_{workers}_processor"] = round(
            statistics.median(one["processor"] / two["processor"] for one, two in pairs), 3
        )
    tracemalloc.start()
    held = [Piece(number=number, name=f"{number:06d}-{number:06d}.parquet", rows=65_536) for number in range(100_000)]
    each = tracemalloc.get_traced_memory()[0] / len(held)
    tracemalloc.stop()
    more = {"worker_mb": round(statistics.median(memory)), "piece_bytes": round(each), "machine": machine(load)}
    return result | more


def kills(data: Path, rows: int, count: int, seed: int) -> dict[str, Any]:
    """Kill a job again and again, its driver, a worker or Ray itself in turn, and compare what is left at the end."""
    chance = random.Random(seed)
    victims: dict[str, int] = {"driver": 0, "worker": 0, "raylet": 0}
    starts = failures = 0
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        work = Path(folder)
        # Short texts: what is tried here is the writing, not the model.
        file = write(work / "texts.csv", [text[:12] for text in texts(data, rows)])
        run = [sys.executable, "-m", "ottenok", "classify", str(file), "--text", "text", "--cluster", "local"]
        subprocess.run([*run, "-o", str(work / "calm")], check=True, capture_output=True)
        stages: dict[str, int] = {}
        order = ("worker", "driver", "worker", "raylet")
        while True:
            starts += 1
            process = subprocess.Popen(
                [*run, "-o", str(work / "out")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            # Ray begins a killed worker's piece again, so the run goes on to the next kill; the others end it.
            while (done := sum(victims.values())) < count:
                victim = order[done % len(order)]
                # A worker dies at its first piece or later; the others when something new is there.
                parts = len(list((work / "out").glob("part-*.parquet"))) + (victim != "worker" or done % 8 > 3)
                if not kill(process, victim, work / "out", parts, chance.uniform(0.0, 2.0)):
                    break
                victims[victim] += 1
                parts = len(list((work / "out").glob("part-*.parquet")))
                stages[f"{victim} with {parts} parts"] = stages.get(f"{victim} with {parts} parts", 0) + 1
                if victim != "worker":
                    break
            process.communicate()
            if process.returncode == 0:
                break
            failures += 1
        calm, out = (
            [row for part in sorted((work / name).glob("part-*.parquet")) for row in pq.read_table(part).to_pylist()]
            for name in ("calm", "out")
        )
    ids = [row["id"] for row in out]
    return {
        "rows": len(calm),
        "kills": victims,
        "moments": stages,
        "starts": starts,
        "ended_by_a_kill": failures,
        "lost": len({row["id"] for row in calm} - set(ids)),
        "doubled": len(ids) - len(set(ids)),
        "differing": sum(one != two for one, two in zip(calm, out, strict=False)),
        "seed": seed,
    }


def kill(process: subprocess.Popen[bytes], victim: str, out: Path, parts: int, pause: float) -> bool:
    """Kill one of a job's processes when it has so many parts, and a moment later; False if it ended before."""
    while process.poll() is None:
        there = len(list(out.glob("part-*.parquet")))
        if (out / "_job").is_dir() and there >= parts:
            time.sleep(pause)
            try:
                me = psutil.Process(process.pid)
                names = {"worker": "ray::_classify", "raylet": "raylet"}
                found = (
                    [me]
                    if victim == "driver"
                    else [one for one in me.children(recursive=True) if one.name().startswith(names[victim])]
                )
                if found:
                    os.kill(found[0].pid, signal.SIGKILL)
                    return True
            except (psutil.Error, ProcessLookupError):
                continue
        time.sleep(0.05)
    return False


def corpus(sizes: list[int], built: Path | None) -> list[dict[str, Any]]:
    """Measure the memory of `data build` at several sizes, beside those that are there."""
    told = [] if built is None else [built.read_text(encoding="utf-8")]
    for rows in sizes if built is None else ():
        run = [sys.executable, str(HERE / "corpus_build.py"), "--rows", str(rows)]
        told.append(subprocess.run(run, check=True, capture_output=True, text=True).stdout)
    names = ("rows", "input_mb", "seconds", "cpu_seconds", "peak_rss_mb", "planted", "machine")
    there = json.loads(RESULT.read_text(encoding="utf-8")).get("corpus", []) if RESULT.exists() else []
    found = {one["rows"]: one for one in there}
    for one in map(json.loads, told):
        found[one["rows"]] = {name: one[name] for name in names}
    return [found[rows] for rows in sorted(found)]


def machine(load: float) -> dict[str, Any]:
    """Say on what this was measured."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "")
    versions = {name: __import__(name).__version__ for name in ("ray", "onnxruntime", "pyarrow")}
    return {
        "cpu": cpu or platform.processor(),
        "cores": os.cpu_count(),
        "load_before": round(load, 1),
        "load_after": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        **versions,
    }


def page(facts: dict[str, Any]) -> str:
    """Write the page."""
    speeds, killed, built = facts["speed"], facts["kills"], facts["corpus"]
    on = speeds["machine"]
    cost = speeds["Ray, 2 workers"]["processor_ms_per_row"]
    # On a machine that others load, the clock says nothing of either side.
    quiet = on["load_before"] < 3
    runs = ("engine, 1 thread", "Ray, 1 worker", "engine, 2 threads", "Ray, 2 workers")
    rows = ["| run | processor time of a row | rows/s of a processor |", "|---|---|---|"]
    if quiet:
        rows = ["| run | processor time of a row | rows/s of a processor | rows/s by the clock |", "|---|---|---|---|"]
    for name in runs:
        cost_of, clock = speeds[name]["processor_ms_per_row"], speeds[name]["rows_per_second"]
        rows.append(f"| {name} | {cost_of:.2f} ms | {1000 / cost_of:,.0f} |" + (f" {clock:,.0f} |" if quiet else ""))
    beside = [
        f"| beside the bare engine | by processor time |{' by the clock |' if quiet else ''}",
        "|---|---|---|" if quiet else "|---|---|",
    ]
    for count in (1, 2):
        line = f"| {count} worker{'s' * (count > 1)} | {speeds[f'efficiency_{count}_processor']:.2f} |"
        beside.append(line + (f" {speeds[f'efficiency_{count}']:.2f} |" if quiet else ""))
    if not quiet:
        beside += [
            "",
            UNMEASURED,
        ]
    jobs = ["| job | processor hours | machines | hours | dollars |", "|---|---|---|---|---|"]
    for name, count in JOBS.items():
        hours = count * cost / 3.6e6
        for machines in (1, 10) if count > 1e8 else (1,):
            taken = hours / MACHINE / machines
            jobs.append(f"| {name} | {hours:,.0f} | {machines} | {taken:,.1f} | {hours * PRICE:,.2f} |")
    hours = 1e9 * cost / 3.6e6
    day = -(-hours // (24 * MACHINE * 0.8))
    jobs.append(
        f"| 1 billion rows a day | {hours:,.0f} a day | {day:,.0f} | 24 | {day * MACHINE * 24 * PRICE:,.0f} a day |"
    )
    largest = max(built, key=lambda one: one["rows"])
    measured = largest["rows"] >= TWENTY
    growth = (
        f"Twenty million rows ({largest['input_mb'] / 1000:.1f} GB of CSV) were built in bounded memory: "
        f"{largest['peak_rss_mb'] * 1e6 / largest['rows']:,.0f} MB for a million."
        if measured
        else f"Twenty million rows were **not measured**; the largest corpus had {largest['rows']:,}. "
        "`python benchmarks/scale.py corpus --rows 20000000` measures them."
    )
    builds = ["| rows | peak memory | processor time |", "|---|---|---|"]
    builds += [f"| {one['rows']:,} | {one['peak_rss_mb']:,} MB | {one['cpu_seconds']:.0f} s |" for one in built]
    values = {
        "SPEED": "\n".join(rows),
        "BESIDE": "\n".join(beside),
        "ROWS": f"{speeds['rows']:,}",
        "ROUNDS": f"{speeds['rounds']} round{'s' * (speeds['rounds'] > 1)}",
        "CPU": f"{on['cpu']}, {on['cores']} cores, load {on['load_before']} before and {on['load_after']} after, "
        f"onnxruntime {on['onnxruntime']}, Ray {on['ray']}",
        "WORKER": f"{speeds['worker_mb']:,}",
        "START": f"{statistics.median(lap['start'] for lap in speeds['Ray, 2 workers']['laps']):.0f}",
        "READ": f"{speeds['rows'] / statistics.median(lap['read'] for lap in speeds['Ray, 1 worker']['laps']):,.0f}",
        "EQUAL": "equal to the last digit" if speeds["answers_equal_to_the_last_digit"] else "NOT equal",
        "JOBS": "\n".join(jobs),
        "MACHINE": str(MACHINE),
        "PRICE": f"{PRICE}",
        "COST": f"{cost:.2f}",
        "KILLS": ", ".join(f"{sum(one['kills'][name] for one in killed)} of a {name}" for name in killed[0]["kills"]),
        "KILL_ROWS": " and ".join(f"{one['rows']:,}" for one in killed),
        "STARTS": str(sum(one["starts"] for one in killed)),
        "LOST": str(sum(one["lost"] for one in killed)),
        "DOUBLED": str(sum(one["doubled"] for one in killed)),
        "DIFFERING": str(sum(one["differing"] for one in killed)),
        "MOMENTS": "; ".join(dict.fromkeys(moment for one in killed for moment in one["moments"])),
        "BUILDS": "\n".join(builds),
        "GROWTH": growth,
        "PIECES": f"{1e9 / 65_536:,.0f}",
        "PIECE": f"{speeds['piece_bytes']:,}",
    }
    text = TEMPLATE.read_text(encoding="utf-8")
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def keep(part: str, value: object) -> None:
    """Put a part into the result file."""
    there = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
    there[part] = value
    RESULT.write_text(json.dumps(there, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(value, ensure_ascii=False, indent=1))


def main() -> None:
    """Run what the command line asks for."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("what", choices=["speed", "kills", "corpus", "table"])
    arguments.add_argument("--data", type=Path, default=Path("../shared/data"))
    arguments.add_argument("--rows", type=int)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--kills", type=int, default=12)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--built", type=Path, help="what corpus_build.py printed, instead of running it")
    given = arguments.parse_args()
    RESULT.parent.mkdir(exist_ok=True)
    if given.what == "speed":
        keep("speed", speed(given.data, given.rows or 24_576, given.rounds))
    elif given.what == "kills":
        there = json.loads(RESULT.read_text(encoding="utf-8")).get("kills", []) if RESULT.exists() else []
        keep("kills", [*there, kills(given.data, given.rows or 20_480, given.kills, given.seed)])
    elif given.what == "corpus":
        sizes = [500_000, 1_000_000, 2_000_000] if given.rows is None else [given.rows]
        keep("corpus", corpus(sizes, given.built))
    else:
        PAGE.write_text(page(json.loads(RESULT.read_text(encoding="utf-8"))), encoding="utf-8")


if __name__ == "__main__":
    main()
