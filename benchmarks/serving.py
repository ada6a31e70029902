"""Requests per second and latencies of `ottenok serve`, side by side with other ways to serve, by wrk.

    python benchmarks/serving.py [--seconds 5] [--rounds 3] [--encoder FOLDER] [-o benchmarks/results/serving.json]
    python benchmarks/serving.py --overload [--minutes 10]
    python benchmarks/serving.py --table benchmarks/results/serving.json

The first measures the servers side by side, the second what happens at four times the load that there is an answer for;
each puts its part into the same file of results. Needs wrk (`apt-get install wrk`), the extras `server` and `train`,
and the package litserve. Every server listens at once, and all but the one that is measured are stopped (SIGSTOP); for
each number of clients the servers and the bare engine take turns, so that what else the machine does falls on all
alike. Processor time is counted too, of wrk as well: it tells more than the clock where the machine is shared.

- *bare engine*: `ottenok.load()` in a process of its own with the same texts as one list: what there is to reach.
- *ottenok serve*: as it comes.
- *plain*: FastAPI with transformers' `pipeline()` per request (`serving/plain.py`). There is no copy of the embedded
  model for torch, so it has a model of the same size and shape: the first five layers of the encoder that the embedded
  model began with (`--encoder`), in float32, with an untrained head. Speed does not depend on what a head has learned.
- *LitServe*: the embedded model with LitServe's batching (`serving/lit.py`).

Texts: 2,000 of `examples/reviews.csv`, alone (7 in 10), three to a text (2 in 10) or twelve (1 in 10), at random.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ottenok
from ottenok.core.files import atomic_write_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HERE = Path(__file__).parent
CLIENTS = (1, 16, 64, 256)
OVERLOAD = 4
# Connections that offer it, and by how much more than their number they would have to: an answer takes time too.
OVERLOAD_CLIENTS, OFFERED = 2048, 1.25
# Seconds of overload between two looks.
STEP = 10


def texts() -> list[str]:
    """Return the texts."""
    with (HERE.parent / "examples" / "reviews.csv").open(encoding="utf-8") as file:
        reviews = [row["review"] for row in csv.DictReader(file)]
    rng = random.Random(7)
    sizes = rng.choices([1, 3, 12], weights=[7, 2, 1], k=2000)
    return [" ".join(rng.choices(reviews, k=size)) for size in sizes]


def small_model(encoder: Path, folder: Path) -> None:
    """Write a classifier of the embedded model's size and shape, for transformers."""
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

    config = AutoConfig.from_pretrained(encoder, num_hidden_layers=5, num_labels=3)
    AutoModelForSequenceClassification.from_pretrained(encoder, config=config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(encoder, model_max_length=512).save_pretrained(folder)


class Server:
    """A server that is measured.

    Args:
        name: In the table.
        port: Where it listens.
        command: How it is started.
    """

    def __init__(self, name: str, port: int, command: list[str]) -> None:
        self.name = name
        self.port = port
        environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
        )
        self.ready = self._wait()

    def _wait(self) -> float:
        body = json.dumps({"inputs": "да"}).encode()
        for _ in range(6000):
            try:
                request = urllib.request.Request(
                    f"http://127.0.0.1:{self.port}/predict", body, {"content-type": "application/json"}
                )
                urllib.request.urlopen(request, timeout=60).read()
                return time.perf_counter() - self.began
            except urllib.error.HTTPError as error:
                raise SystemExit(f"{self.name} answers {error}") from error
            except OSError:
                if self.process.poll() is not None:
                    raise SystemExit(f"{self.name} did not start") from None
                time.sleep(0.01)
        raise SystemExit(f"{self.name} did not get ready")

    def signal(self, number: int) -> None:
        """Stop it, let it go on, or end it, with its children."""
        os.killpg(self.process.pid, number)

    def wrk(self, bodies: Path, clients: int, seconds: float, delay: float = 0) -> dict[str, float]:
        """Return what wrk measures, and the milliseconds of processors, wrk's included, for each request."""
        begun = self.processor_seconds + children_seconds()
        with tempfile.NamedTemporaryFile("r") as out:
            subprocess.run(
                ["wrk", "-t1", f"-c{clients}", f"-d{round(seconds)}s", "--timeout", "60s",
                 "-s", str(HERE / "serving/mixed.lua"), f"http://127.0.0.1:{self.port}/predict"],
                env={**os.environ, "BODIES": str(bodies), "OUT": out.name, "DELAY": str(delay)},
                check=True,
                stdout=subprocess.DEVNULL,
            )  # fmt: skip
            found: dict[str, float] = json.load(out)
        found["per_second"] = (found["requests"] - found["refused"]) / found["seconds"]
        spent = self.processor_seconds + children_seconds() - begun
        found["processor_ms"] = spent * 1000 / max(1, found["requests"])
        return found

    def rest(self) -> None:
        """Wait until it has done what was begun, also for clients that are gone; a minute at most."""
        for _ in range(60):
            spent = self.processor_seconds
            time.sleep(1)
            if self.processor_seconds - spent < 0.1:
                return

    @property
    def processor_seconds(self) -> float:
        """Seconds that processors have spent on it and its children."""
        ticks = 0
        for place in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = place.read_text(encoding="utf-8").rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == self.process.pid:  # the group that it leads
                ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def count(self, name: str) -> float:
        """Return the sum of a counter of ottenok's."""
        page = urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics").read().decode()
        return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", page, re.MULTILINE))

    def look(self) -> dict[str, float]:
        """Return what ottenok has done so far, and its resident memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        return {
            "clock": time.perf_counter(),
            "answered": self.count("te_request_success"),
            "refused": self.count("te_request_failure"),
            "processors": self.processor_seconds,
            "memory_mb": int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024,  # type: ignore[index]
        }


def children_seconds() -> float:
    """Return the seconds that processors have spent on programs which this one has started, and which have ended."""
    used = os.times()
    return used.children_user + used.children_system


def bare(seconds: float) -> dict[str, float]:
    """Return the bare engine's texts/s with a list, and the percentiles of a text alone, in milliseconds."""
    classifier = ottenok.load()
    given = texts()
    classifier(given[:200])
    done, begun, spent = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - begun < seconds:
        part = [given[(done + step) % len(given)] for step in range(500)]
        classifier(part)
        done += len(part)
    rate, spent = done / (time.perf_counter() - begun), time.process_time() - spent
    alone = []
    begun = time.perf_counter()
    rng = random.Random(1)
    while time.perf_counter() - begun < seconds:
        text, start = rng.choice(given), time.perf_counter()
        classifier(text)
        alone.append((time.perf_counter() - start) * 1000)
    cuts = statistics.quantiles(alone, n=100)
    return {
        "per_second": rate,
        "processor_ms": spent * 1000 / done,
        "p50_ms": cuts[49],
        "p95_ms": cuts[94],
        "p99_ms": cuts[98],
    }


def overload(bodies: Path, seconds: float, minutes: float) -> dict[str, Any]:
    """Offer four times the peak to a server with a short queue; return goodput and memory over time."""
    server = Server("overload", 18150, [*OTTENOK, "--port", "18150", "--queue-tokens", "8192"])
    try:
        server.wrk(bodies, 64, 2)
        before = server.wrk(bodies, 64, seconds)
        pause = OVERLOAD_CLIENTS / (OVERLOAD * OFFERED * before["per_second"])
        warm = 3 * pause + 2  # until every connection has asked
        wait = warm + max(STEP, 60 * minutes)
        with ThreadPoolExecutor(1) as pool:
            asking = pool.submit(server.wrk, bodies, OVERLOAD_CLIENTS, wait + 2, 1000 * pause)
            time.sleep(warm)
            steps: list[dict[str, float]] = []
            last = server.look()
            for _ in range(int((wait - warm) // STEP)):
                time.sleep(STEP)
                now = server.look()
                passed = now["clock"] - last["clock"]
                steps.append(
                    {
                        "minute": sum(step["seconds"] for step in steps) / 60,
                        "seconds": passed,
                        "answered": (now["answered"] - last["answered"]) / passed,
                        "refused": (now["refused"] - last["refused"]) / passed,
                        "processors": (now["processors"] - last["processors"]) / passed,
                        "memory_mb": now["memory_mb"],
                    }
                )
                last = now
            offered = asking.result()
        after = server.wrk(bodies, 64, seconds)
    finally:
        server.signal(signal.SIGKILL)
    return {"machine": machine(), "before": before, "after": after, "all": offered, "steps": steps}


OTTENOK = [sys.executable, "-m", "ottenok", "serve"]


def measure(bodies: Path, folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure all servers side by side."""
    model = folder / "model"
    small_model(arguments.encoder, model)
    servers = [
        Server("ottenok serve", 18101, [*OTTENOK, "--port", "18101"]),
        Server("plain", 18102, [sys.executable, str(HERE / "serving/plain.py"), str(model), "18102"]),
        Server("LitServe", 18103, [sys.executable, str(HERE / "serving/lit.py"), "18103"]),
    ]
    cells: dict[str, dict[str, list[dict[str, float]]]] = {server.name: {} for server in servers}
    engine: dict[str, list[dict[str, float]]] = {}
    try:
        for server in servers:
            server.wrk(bodies, 16, 2)
            server.signal(signal.SIGSTOP)
        for _ in range(arguments.rounds):
            for clients in CLIENTS:
                engine.setdefault(str(clients), []).append(bare_apart(arguments.seconds))
                for server in servers:
                    server.signal(signal.SIGCONT)
                    time.sleep(0.3)
                    found = server.wrk(bodies, clients, arguments.seconds)
                    cells[server.name].setdefault(str(clients), []).append(found)
                    print(server.name, clients, found, file=sys.stderr, flush=True)
                    server.rest()
                    server.signal(signal.SIGSTOP)
    finally:
        for server in servers:
            server.signal(signal.SIGKILL)
    return {
        "machine": machine(),
        "seconds": arguments.seconds,
        "rounds": arguments.rounds,
        "bare engine": {clients: middle(found) for clients, found in engine.items()},
        "servers": {name: {clients: middle(found) for clients, found in rows.items()} for name, rows in cells.items()},
        "ready_seconds": {server.name: server.ready for server in servers},
    }


def bare_apart(seconds: float) -> dict[str, float]:
    """Measure the bare engine in a process of its own."""
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    command = [sys.executable, __file__, "--bare", "--seconds", str(seconds)]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    print("bare", found, file=sys.stderr, flush=True)
    return found


def middle(rows: list[dict[str, float]]) -> dict[str, float]:
    """Return the median of each number."""
    return {key: statistics.median(row[key] for row in rows) for key in rows[0]}


def machine() -> str:
    """Return the machine in words."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    name = re.search(r"model name\s*: (.*)", info)
    processor = name[1] if name else platform.machine()
    return f"{processor}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; Python {platform.python_version()}"


def table(result: dict[str, Any]) -> str:
    """Return the tables of `docs/serving.md`."""
    engine, pushed = result["bare engine"], result["overload"]
    said = (
        f"{result['machine']}. wrk, the server and whatever else ran share the machine: at a load above 2 read ratios, "
        f"and not even those to the digit. Medians of {result['rounds']} cells of {result['seconds']:g} s; processor "
        "time is that of the server and of wrk for a request."
    )
    head = ("clients", "server", "requests/s", "times plain", "of bare", "p50 ms", "p95 ms", "p99 ms", "processor ms")
    rows: list[Sequence[str]] = []
    for clients, alone in engine.items():
        plain = result["servers"]["plain"][clients]["per_second"]
        for name, cells in result["servers"].items():
            cell = cells[clients]
            rates = (
                f"{cell['per_second'] / plain:.1f}" if plain else "-",
                f"{cell['per_second'] / alone['per_second']:.0%}",
            )
            times = [f"{cell[key]:.1f}" for key in ("p50_ms", "p95_ms", "p99_ms")]
            rows.append((clients, name, f"{cell['per_second']:.0f}", *rates, *times, f"{cell['processor_ms']:.2f}"))
        bare_cells = ("bare engine", f"{alone['per_second']:.0f}", "", "", "", "", "", f"{alone['processor_ms']:.2f}")
        rows.append((clients, *bare_cells))
    own = result["servers"]["ottenok serve"]
    by_clock = {clients: own[clients]["per_second"] / alone["per_second"] for clients, alone in engine.items()}
    by_processor = {clients: alone["processor_ms"] / own[clients]["processor_ms"] for clients, alone in engine.items()}
    best = max(by_clock, key=by_clock.__getitem__)
    before, after = (pushed[when]["per_second"] for when in ("before", "after"))
    peak, steps = (before + after) / 2, pushed["steps"]
    good, refused = (statistics.mean(step[name] for step in steps) for name in ("answered", "refused"))
    # What the first minute asks for stays: the slope is of what comes after.
    later = [step for step in steps if step["minute"] >= min(1.0, steps[-1]["minute"] / 2)]
    slope = statistics.linear_regression([one["minute"] for one in later], [one["memory_mb"] for one in later]).slope
    memory = f"{steps[0]['memory_mb']:.0f} MB to {steps[-1]['memory_mb']:.0f} MB, {slope:+.2f} MB a minute"
    shares = f"{by_processor[best]:.0%}, at 64 clients {by_processor['64']:.0%}"
    later_ms = own["1"]["p99_ms"] - engine["1"]["p99_ms"]
    minutes = sum(step["seconds"] for step in steps) / 60
    load = f"{(good + refused) / peak:.1f} times the peak ({before:.0f}/s before, {after:.0f}/s after)"
    marks = [
        ("throughput at 64 clients, times plain", "8", f"{ratio(result, '64'):.1f}"),
        (f"texts/s of the bare engine's, at {best} clients", "85 %", f"{by_clock[best]:.0%}"),
        ("the same by processor time", "85 %", shares),
        (f"p99 at 1 client beyond the bare model's {engine['1']['p99_ms']:.1f} ms", "2 ms", f"{later_ms:.1f} ms"),
        (f"goodput at {load}", "90 %", f"{good / peak:.0%}"),
        (f"memory over {minutes:.1f} minutes of that", "flat", memory),
        ("seconds from the command to the first answer", "2", f"{result['ready_seconds']['ottenok serve']:.1f}"),
    ]
    tables = [markdown(head, rows), markdown(("mark", "asked", "reached"), marks)]
    return "\n\n".join([said, *tables, f"The overload ran on: {pushed['machine']}."])


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def ratio(result: dict[str, Any], clients: str) -> float:
    """Return how many times the plain server's throughput ottenok's is."""
    servers = result["servers"]
    return float(servers["ottenok serve"][clients]["per_second"] / servers["plain"][clients]["per_second"])


def main() -> None:
    """Measure, or make the table of a result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    beside = HERE.parents[1] / "shared" / "encoder" / "e5-small-ru-zh"
    parser.add_argument("--encoder", type=Path, default=Path(os.environ.get("OTTENOK_ENCODER", beside)))
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--overload", action="store_true")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--table", type=Path)
    parser.add_argument("-o", "--out", type=Path, default=HERE / "results" / "serving.json")
    arguments = parser.parse_args()
    if arguments.bare:
        print(json.dumps(bare(arguments.seconds)))
        return
    if arguments.table:
        print(table(json.loads(arguments.table.read_text(encoding="utf-8"))))
        return
    if shutil.which("wrk") is None:
        raise SystemExit("needs wrk: apt-get install wrk")
    result = json.loads(arguments.out.read_text(encoding="utf-8")) if arguments.out.is_file() else {}
    with tempfile.TemporaryDirectory() as name:
        bodies = Path(name) / "bodies.jsonl"
        lines = [json.dumps({"inputs": text}, ensure_ascii=False) for text in texts()]
        atomic_write_text(bodies, "\n".join(lines) + "\n")
        if arguments.overload:
            result["overload"] = overload(bodies, arguments.seconds, arguments.minutes)
        else:
            result |= measure(bodies, Path(name), arguments)
    atomic_write_text(arguments.out, json.dumps(result, indent=1) + "\n")
    if {"overload", "servers"} <= result.keys():
        print(table(result))


if __name__ == "__main__":
    main()
