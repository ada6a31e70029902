"""What the base install does, where pyarrow is not installed."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from ottenok.tables.streams import zstd

TOYS = Path(__file__).parents[1]
ROWS = [f"{number},это строка {number}" for number in range(60)]
LINES = [json.dumps({"id": number, "text": f"это строка {number}"}) for number in range(60)]

# Every file of the folder is classified, with an interruption after the first part; then the command line is asked.
_SCRIPT = """
import contextlib, io, json, sys
from pathlib import Path

class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"pyarrow", "pandas", "polars"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hide())
from ottenok.core.progress import SILENT
from ottenok.inference import files
from toys import fake_classifier

files.CHUNK_ROWS = files.PART_ROWS = 16

class Late:
    rows = 0
    def start(self, stage, **kind): self.stage = stage
    def finish(self): pass
    def note(self, message): pass
    def advance(self, count=1):
        if self.stage == "classify":
            self.rows += count
            if self.rows > 40:
                raise KeyboardInterrupt

facts = {}
for name in sorted(sys.argv[1].split(",")):
    kind = name.split(".")[1]
    out = Path(f"out-{name}.{kind if kind != 'json' else 'jsonl'}")
    def run(**more):
        return files.classify_file(Path(name), out, text="text", classifier=fake_classifier(), **more)
    with contextlib.suppress(KeyboardInterrupt):
        run(progress=Late())
    report = run()
    facts[name] = [report.rows, report.resumed]
from ottenok.cli.main import run as command
for line in json.loads(sys.argv[2]):
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        code = command(line)
    facts[" ".join(line)] = [code, said.getvalue()]
print(json.dumps(facts))
"""
REFUSED = [
    ["classify", "in.parquet", "--text", "text", "-o", "a.csv"],
    ["classify", "in.csv", "--text", "text", "-o", "a.parquet"],
    ["data", "build", "in.csv", "--text", "text", "--label", "id", "-o", "corpus"],
]
ANSWERED = ["evaluate", "default", "labelled.csv", "--text", "text", "--label", "mark"]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[object]]:
    """Return what a process without pyarrow made of a folder of files, and said to some commands."""
    folder = tmp_path_factory.mktemp("base")
    table = "id,text\n" + "\n".join(ROWS) + "\n"
    files = {
        "in.csv": table.encode(),
        "in.tsv": table.replace(",", "\t").encode(),
        "in.json": f"[{','.join(LINES)}]".encode(),
        "in.jsonl": ("\n".join(LINES) + "\n").encode(),
        "gz.csv.gz": gzip.compress(table.encode()),
        "zst.jsonl.zst": zstd().compress(("\n".join(LINES) + "\n").encode()),
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    (folder / "in.parquet").write_bytes(b"PAR1" + bytes(100) + b"PAR1")
    (folder / "labelled.csv").write_text("text,mark\nхорошо,positive\nплохо,negative\n", encoding="utf-8")
    command = [sys.executable, "-c", _SCRIPT, ",".join(files), json.dumps([*REFUSED, ANSWERED])]
    path = {"PYTHONPATH": f"{TOYS}:{':'.join(filter(None, sys.path))}", "PATH": ""}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=path)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("name", ["in.csv", "in.tsv", "in.json", "in.jsonl", "gz.csv.gz", "zst.jsonl.zst"])
def test_text_tables_need_no_pyarrow(told: dict[str, list[object]], name: str) -> None:
    """CSV, TSV, JSON and JSON lines, packed or not, are classified, also after an interruption."""
    rows, resumed = told[name]

    assert rows == 60
    assert resumed in {16, 32, 48}


@pytest.mark.parametrize("command", REFUSED, ids=lambda command: " ".join(command[:3]))
def test_parquet_is_refused_with_a_way_out(told: dict[str, list[object]], command: list[str]) -> None:
    """Where Parquet is read or written the error names the package and pip's line."""
    code, said = told[" ".join(command)]

    assert code == 2
    assert "needs the package 'pyarrow'" in str(said)
    assert f'pip install "ottenok[{"data" if command[0] == "data" else "parquet"}]"' in str(said)


def test_measuring_a_csv_needs_no_pyarrow(told: dict[str, list[object]]) -> None:
    """`ottenok evaluate` measures the embedded model on a table of text."""
    code, said = told[" ".join(ANSWERED)]

    assert code == 0, said
