"""Hostile requests for a running server: raw bytes, and requests made from its OpenAPI description.

    python tests/serve_fuzz.py [--bytes 5000] [--examples 100] [--seed 1] [-o FILE]

starts `ottenok serve`, sends both and prints the counts; it fails where an answer is a 5xx that no refusal explains,
where a connection is left open, or where the server is not well afterwards. Needs the packages of `dev`.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

__all__ = ["raw_case", "raw_cases", "schema_cases"]

PATHS = (
    *("/predict", "/v1/analyze", "/v1/classify", "/classify", "/v1/moderations", "/v1/models", "/models/default"),
    *("/", "/vertex", "/health", "/metrics", "/openapi.json", "/docs", "/page/index.html", "/invocations"),
    *("/v1/explain", "/nothing", "/models/%00", "/models/..%2f..%2fetc"),
)
BODIES = (
    '{"inputs": "Какая гадость"}',
    '{"inputs": [["a"], ["б"]], "truncate": true, "truncation_direction": "Left"}',
    '{"inputs": "服务很好", "parameters": {"top_k": 2}}',
    '{"input": ["a", "б"], "model": "default"}',
    '{"instances": [{"inputs": "a"}]}',
    '{"inputs": "\\ud800"}',
    '{"inputs": ' + "[" * 3000 + "]" * 3000 + "}",
    '{"inputs": 1e999}',
    '"a"\n{"inputs": "б", "id": 3}\n{\n',
    "",
)
HEADERS = (
    "Content-Type: application/json",
    "Content-Type: application/x-ndjson",
    "Transfer-Encoding: chunked",
    "Content-Length: 99999999999999999999",
    "Content-Length: -1",
    "Expect: 100-continue",
    "Accept: text/html",
    "Authorization: Bearer \u00ff\u00fe",
    "X-Request-Id: a\x00b",
    "Origin: null",
    "Connection: Upgrade\r\nUpgrade: websocket",
    "Content-Encoding: gzip",
    "Host: evil",
    ": empty",
    "A" * 5000 + ": b",
)


def raw_case(seed: int) -> bytes:
    """Return a request, more or less broken."""
    rng = random.Random(seed)
    body = rng.choice(BODIES).encode("utf-8", "surrogatepass")
    method = rng.choice(["POST"] * 6 + ["GET", "PUT", "OPTIONS", "HEAD", "TRACE", "\u00ff"])
    lines = [f"{method} {rng.choice(PATHS)} HTTP/{rng.choice(['1.1'] * 8 + ['1.0', '2', '9.9'])}", "Host: localhost"]
    lines += rng.sample(HEADERS, rng.choice([0, 0, 1, 2, 4]))
    chunked = any(line.startswith("Transfer") for line in lines)
    if chunked:
        half = rng.randrange(len(body) + 1)
        parts = [part for part in (body[:half], body[half:]) if part]
        body = b"".join(b"%x\r\n" % len(part) + part + b"\r\n" for part in parts) + b"0\r\n\r\n"
    elif not any(line.startswith("Content-Length") for line in lines) and rng.random() < 0.9:
        lines.append(f"Content-Length: {len(body)}")
    data = bytearray(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace") + body)
    for _ in range(rng.choice([0, 0, 1, 1, 2, 5, 20])):
        place = rng.randrange(len(data) + 1)
        kind = rng.randrange(5)
        if kind == 0:
            data[place : place + 1] = bytes([rng.randrange(256)])
        elif kind == 1:
            del data[place : place + rng.randrange(1, 20)]
        elif kind == 2:
            data[place:place] = rng.randbytes(rng.randrange(1, 20))
        elif kind == 3:
            data[place:place] = data[: rng.randrange(len(data) + 1)]
        else:
            del data[place:]
    return bytes(data[: 1 << 20])


def send_case(port: int, data: bytes, *, seconds: float) -> str:
    """Send bytes and return how it ended: the first status, `closed` without one, or `hangs`."""
    found = b""
    until = time.monotonic() + seconds
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=seconds) as link:
            link.sendall(data)
            while time.monotonic() < until:
                # An answer that is there may leave the connection open; without one, the server has to end it.
                link.settimeout(0.2 if found else seconds)
                part = link.recv(65536)
                if not part:
                    break
                found += part
            else:
                return "hangs"
    except TimeoutError:
        if not found:
            return "hangs"
    except OSError:
        pass  # closed before everything was sent
    statuses = re.findall(rb"^HTTP/1\.1 (\d{3})", found, re.MULTILINE)
    return " ".join(status.decode() for status in statuses[:1]) or "closed"


def raw_cases(url: str, count: int, *, seed: int = 1, seconds: float = 20) -> Counter[str]:
    """Send many cases at once and count how they ended."""
    port = int(url.rpartition(":")[2])
    with ThreadPoolExecutor(32) as pool:
        ends = pool.map(
            lambda number: send_case(port, raw_case(number), seconds=seconds), range(seed * 10**6, seed * 10**6 + count)
        )
        return Counter(ends)


def schema_cases(
    url: str, examples: int, *, seed: int = 1, phases: str = "examples,coverage,fuzzing,stateful"
) -> tuple[int, str]:
    """Send what schemathesis makes of the description; return how many cases, and what it found wrong.

    Not asked is that whatever fits the schema is accepted: names of models that are not there, for instance, fit.
    """
    with tempfile.TemporaryDirectory() as folder:
        asked = "--checks all --exclude-checks positive_data_acceptance --suppress-health-check all --no-color"
        command = ["schemathesis", "run", f"{url}/openapi.json", *asked.split(), "--continue-on-failure"]
        command += ["--max-examples", str(examples), "--seed", str(seed), "--request-timeout", "60", "--phases", phases]
        program = Path(sys.executable).with_name(command[0])
        done = subprocess.run([str(program), *command[1:]], cwd=folder, capture_output=True, text=True, check=False)
    found = re.search(r"(\d[\d,]*) generated", done.stdout)
    cases = int(found[1].replace(",", "")) if found else 0
    return cases, "" if done.returncode == 0 else done.stdout[-6000:] + done.stderr[-1000:]


def main() -> None:
    """Start a server, send everything, and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bytes", type=int, default=5000)
    parser.add_argument("--examples", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-o", "--out", type=Path, help="File of the counts of runs, one a seed.")
    given = parser.parse_args()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--header-timeout", "2", "--body-timeout", "2", "--log-level", "error", "--drain", "0"]
    server = subprocess.Popen([sys.executable, "-m", "ottenok", "serve", "--port", str(port), *options])
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{url}/health")
                break
            except OSError:
                time.sleep(0.1)
        ends = raw_cases(url, given.bytes, seed=given.seed, seconds=60)
        cases, wrong = schema_cases(url, given.examples, seed=given.seed)
        well = urllib.request.urlopen(f"{url}/health").status == 200
        status = Path(f"/proc/{server.pid}/status").read_text(encoding="utf-8")
    finally:
        server.terminate()
        ended = server.wait(60)
    bad = sum(count for end, count in ends.items() if end == "hangs" or end.startswith("500"))
    result = {
        "seed": given.seed,
        "raw bytes": given.bytes,
        "how they ended": dict(ends.most_common()),
        "from the description": cases,
        "wrong": wrong,
        "well afterwards": well,
        "memory": re.search(r"VmRSS:\s+(.*)", status)[1],
        "exit": ended,
    }
    text = json.dumps(result, ensure_ascii=False, indent=1) + "\n"
    sys.stdout.write(text)
    if given.out is not None:
        runs = json.loads(given.out.read_text(encoding="utf-8")) if given.out.is_file() else []
        runs = sorted([run for run in runs if run["seed"] != given.seed] + [result], key=lambda run: run["seed"])
        given.out.write_text(json.dumps(runs, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    sys.exit(bool(bad or wrong or not well or ended))


if __name__ == "__main__":
    main()
