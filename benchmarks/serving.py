"""Requests per second and latencies of `ottenok serve`, side by side with other ways to serve, by wrk.

    python benchmarks/serving.py [--seconds 5] [--minutes 10] [--encoder FOLDER] [-o benchmarks/results/serving.json]
    python benchmarks/serving.py --table benchmarks/results/serving.json

Needs wrk (`apt-get install wrk`), the extras `server` and `train`, and the package litserve. Every server listens at
once, and all but the one that is measured are stopped (SIGSTOP); for each number of clients the servers take turns, so
that what else the machine does falls on all alike.

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
from typing import Any

import ottenok
from ottenok.core.files import atomic_write_text

HERE = Path(__file__).parent
CLIENTS = (1, 16, 64, 256)
OVERLOAD = 4


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
        """Return what wrk measures."""
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
        return found

    def count(self, name: str) -> float:
        """Return the sum of a counter of ottenok's."""
        page = urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics").read().decode()
        return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", page, re.MULTILINE))

    @property
    def memory(self) -> float:
        """Its resident memory, in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]


def bare(seconds: float) -> dict[str, float]:
    """Return the bare engine's texts/s with a list, and the percentiles of a text alone, in milliseconds."""
    classifier = ottenok.load()
    given = texts()
    classifier(given[:200])
    done, begun = 0, time.perf_counter()
    while time.perf_counter() - begun < seconds:
        part = [given[(done + step) % len(given)] for step in range(500)]
        classifier(part)
        done += len(part)
    rate = done / (time.perf_counter() - begun)
    alone = []
    begun = time.perf_counter()
    rng = random.Random(1)
    while time.perf_counter() - begun < seconds:
        text, start = rng.choice(given), time.perf_counter()
        classifier(text)
        alone.append((time.perf_counter() - start) * 1000)
    cuts = statistics.quantiles(alone, n=100)
    return {"per_second": rate, "p50_ms": cuts[49], "p95_ms": cuts[94], "p99_ms": cuts[98]}


def overload(bodies: Path, peak: float, seconds: float, minutes: float) -> dict[str, Any]:
    """Offer four times the peak to a server with a short queue; return goodput and memory over time."""
    clients = 1024
    server = Server("overload", 18150, [*OTTENOK, "--port", "18150", "--queue-tokens", "8192"])
    try:
        alone = server.wrk(bodies, 64, seconds)["per_second"]
        good, memory = [], [server.memory]
        pause = clients / (OVERLOAD * peak)
        warm = 3 * pause + 2  # until every connection has asked
        wait = warm + max(10, 60 * minutes)
        with ThreadPoolExecutor(1) as pool:
            asking = pool.submit(server.wrk, bodies, clients, wait + 2, 1000 * pause)
            time.sleep(warm)
            refused = server.count("te_request_failure")
            first = begun = time.perf_counter()
            done = start = server.count("te_request_success")
            while begun - first < wait - warm - 5:
                time.sleep(10)
                now, count = time.perf_counter(), server.count("te_request_success")
                good.append((count - done) / (now - begun))
                memory.append(server.memory)
                begun, done = now, count
            refused = (server.count("te_request_failure") - refused) / (begun - first)
            offered = asking.result()
        again = server.wrk(bodies, 64, seconds)["per_second"]
    finally:
        server.signal(signal.SIGKILL)
    return {
        "peak_before": alone,
        "peak_after": again,
        "offered": (done - start) / (begun - first) + refused,
        "goodput": good,
        "memory_mb": memory,
        "p99_ms_of_all": offered["p99_ms"],
    }


OTTENOK = [sys.executable, "-m", "ottenok", "serve"]


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return everything that is measured."""
    if shutil.which("wrk") is None:
        raise SystemExit("needs wrk: apt-get install wrk")
    with tempfile.TemporaryDirectory() as folder:
        bodies = Path(folder) / "bodies.jsonl"
        lines = [json.dumps({"inputs": text}, ensure_ascii=False) for text in texts()]
        atomic_write_text(bodies, "\n".join(lines) + "\n")
        model = Path(folder) / "model"
        small_model(arguments.encoder, model)
        servers = [
            Server("ottenok serve", 18101, [*OTTENOK, "--port", "18101"]),
            Server("plain", 18102, [sys.executable, str(HERE / "serving/plain.py"), str(model), "18102"]),
            Server("LitServe", 18103, [sys.executable, str(HERE / "serving/lit.py"), "18103"]),
        ]
        try:
            cells: dict[str, dict[str, list[dict[str, float]]]] = {server.name: {} for server in servers}
            engine = []
            for server in servers:
                server.wrk(bodies, 16, 2)
                server.signal(signal.SIGSTOP)
            for _ in range(arguments.rounds):
                engine.append(bare_apart(arguments.seconds))
                for clients in CLIENTS:
                    for server in servers:
                        server.signal(signal.SIGCONT)
                        time.sleep(0.3)
                        found = server.wrk(bodies, clients, arguments.seconds)
                        cells[server.name].setdefault(str(clients), []).append(found)
                        print(server.name, clients, found, file=sys.stderr, flush=True)
                        time.sleep(1)  # for what was begun
                        server.signal(signal.SIGSTOP)
        finally:
            for server in servers:
                server.signal(signal.SIGKILL)
        peak = statistics.median(cell["per_second"] for cell in cells["ottenok serve"]["64"])
        pushed = overload(bodies, peak, arguments.seconds, arguments.minutes)
    return {
        "machine": machine(),
        "seconds": arguments.seconds,
        "bare engine": middle(engine),
        "servers": {name: {clients: middle(found) for clients, found in rows.items()} for name, rows in cells.items()},
        "ready_seconds": {server.name: server.ready for server in servers},
        "overload": pushed,
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
    engine = result["bare engine"]
    said = (
        f"{result['machine']}. wrk, the server and whatever else ran share the machine: at a load above 2 read ratios, "
        f"and not even those to the digit. {result['seconds']:g} s a cell."
    )
    lines = [
        said,
        "",
        "| clients | server | requests/s | times plain | p50 ms | p95 ms | p99 ms |",
        "|---|---|---|---|---|---|---|",
    ]
    for clients in next(iter(result["servers"].values())):
        plain = result["servers"]["plain"][clients]["per_second"]
        for name, cells in result["servers"].items():
            cell = cells[clients]
            lines.append(
                f"| {clients} | {name} | {cell['per_second']:.0f} | {cell['per_second'] / max(plain, 0.1):.1f} | "
                f"{cell['p50_ms']:.1f} | {cell['p95_ms']:.1f} | {cell['p99_ms']:.1f} |"
            )
    best = max(cell["per_second"] for cell in result["servers"]["ottenok serve"].values())
    first = result["servers"]["ottenok serve"]["1"]
    pushed = result["overload"]
    good = statistics.median(pushed["goodput"])
    peak = statistics.median([pushed["peak_before"], pushed["peak_after"]])
    later = first["p99_ms"] - engine["p99_ms"]
    memory = f"{pushed['memory_mb'][1]:.0f} MB to {pushed['memory_mb'][-1]:.0f} MB"
    lines += [
        "",
        "| mark | asked | reached |",
        "|---|---|---|",
        f"| throughput at 64 clients, times plain | 8 | {ratio(result, '64'):.1f} |",
        f"| texts/s against the bare engine's {engine['per_second']:.0f} | 85 % | {best / engine['per_second']:.0%} |",
        f"| p99 at 1 client beyond the bare model's {engine['p99_ms']:.1f} ms | 2 ms | {later:.1f} ms |",
        f"| goodput at {pushed['offered'] / peak:.1f} times its peak of {peak:.0f}/s | 90 % | {good / peak:.0%} |",
        f"| memory over {len(pushed['goodput']) * 10 / 60:.1f} minutes of that | flat | {memory} |",
        f"| seconds from the command to the first answer | 2 | {result['ready_seconds']['ottenok serve']:.1f} |",
    ]
    return "\n".join(lines)


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
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=0.5)
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--table", type=Path)
    parser.add_argument("-o", "--out", type=Path, default=HERE / "results" / "serving.json")
    arguments = parser.parse_args()
    if arguments.bare:
        print(json.dumps(bare(arguments.seconds)))
    elif arguments.table:
        print(table(json.loads(arguments.table.read_text(encoding="utf-8"))))
    else:
        result = measure(arguments)
        atomic_write_text(arguments.out, json.dumps(result, indent=1) + "\n")
        print(table(result))


if __name__ == "__main__":
    main()
