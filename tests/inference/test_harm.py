"""Whole files under harm: kills, two runs at once, damaged parts, inputs that change, strangers' files, no network."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ottenok.core.errors import InputError
from ottenok.core.progress import Silent
from ottenok.inference import files
from ottenok.inference.files import FileOptions, classify_file
from ottenok.tables.options import TableOptions
from toys import fake_classifier

FAKE = fake_classifier()
# A run in a process of its own, with small parts and a wait in each batch.
CHILD = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from ottenok.cli.main import run
from ottenok.inference import api, files
from toys import FakeBackend, fake_classifier

class Slow(FakeBackend):
    def run(self, batch):
        time.sleep({pause})
        return super().run(batch)

files.PART_ROWS, files.CHUNK_CHARACTERS = 20, 100
api.load = lambda *arguments, **options: fake_classifier(backend=Slow(3))
sys.exit(run(sys.argv[1:]))
"""

# Runs one after the other, each a fork that kills itself at its moment: in a batch, or when a file is about to get its
# name.
KILLED = """
import json, os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from ottenok.cli.main import run
from ottenok.inference import api, files
from toys import FakeBackend, fake_classifier

files.PART_ROWS, files.CHUNK_CHARACTERS = 20, 100
replace = Path.replace
batches = 0

def die_at(moment, now):
    if now == moment:
        os.kill(os.getpid(), signal.SIGKILL)

class Counted(FakeBackend):
    def run(self, batch):
        global batches
        batches += 1
        die_at(moment, f"batch {{batches}}")
        return super().run(batch)

def replaced(self, target):
    die_at(moment, Path(target).name)
    return replace(self, target)

Path.replace = replaced
api.load = lambda *arguments, **options: fake_classifier(backend=Counted(3))
for moment in json.loads(sys.argv[1]):
    child = os.fork()
    if child == 0:
        os._exit(run(sys.argv[2:]))
    print("ended:", os.waitpid(child, 0)[1], flush=True)
"""


def start(*arguments: object, pause: float = 0.002, room: int | None = None) -> subprocess.Popen[str]:
    """Begin `ottenok classify` with a fake classifier in a process of its own, whose files may have so many bytes."""
    code = CHILD.format(tests=str(Path(__file__).parents[1]), pause=pause)
    if room is not None:
        code = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))\n{code}"
    command = [sys.executable, "-c", code, "classify", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for a process; return its exit code and what it said on standard error."""
    _, err = process.communicate(timeout=120)
    return process.returncode, err


def texts(count: int) -> list[str]:
    """Return texts, some of which are the same and some empty."""
    rng = random.Random(7)
    return [f"текст {rng.randrange(count)}" if rng.random() < 0.95 else "" for _ in range(count)]


def table(path: Path, rows: list[str]) -> Path:
    """Write a table of a column `text` and a number."""
    if path.suffix == ".parquet":
        pq.write_table(pa.table({"n": list(range(len(rows))), "text": rows}), path)
    elif path.suffix == ".jsonl":
        lines = (json.dumps({"n": n, "text": text}, ensure_ascii=False) + "\n" for n, text in enumerate(rows))
        path.write_text("".join(lines), "utf-8")
    else:
        path.write_text("n,text\n" + "".join(f"{n},{text}\n" for n, text in enumerate(rows)), "utf-8")
    return path


def run(path: Path, out: Path, **options: Any) -> files.FileReport:
    """Classify the column `text` in this process."""
    return classify_file(path, out, text="text", classifier=FAKE, options=FileOptions(**options))


def stop(path: Path, out: Path, *, after: int) -> None:
    """Classify until so many rows are done, as if Ctrl-C were pressed then."""

    class _Stopping(Silent):
        left = after

        def advance(self, count: int = 1) -> None:
            self.left -= count
            if self.left < 0 and out.with_name(f".{out.name}.parts").joinpath("000001.facts").exists():
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        classify_file(path, out, text="text", classifier=FAKE, progress=_Stopping())


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make parts and chunks small."""
    monkeypatch.setattr(files, "PART_ROWS", 20)
    monkeypatch.setattr(files, "CHUNK_CHARACTERS", 100)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_kills_change_nothing(tmp_path: Path, suffix: str) -> None:
    """A run that is killed again and again ends with the bytes of an undisturbed one, and leaves nothing else."""
    path, out, whole = table(tmp_path / f"in{suffix}", texts(400)), tmp_path / f"out{suffix}", tmp_path / f"w{suffix}"
    run(path, whole)
    moments = ["batch 5", f"000001{suffix}", "000003.facts", "batch 20", f"{out.name}.rejects.jsonl", out.name, ""]
    code = KILLED.format(tests=str(Path(__file__).parents[1]))
    command = [sys.executable, "-c", code, json.dumps(moments), "classify", str(path), "--text", "text", "-o", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    ended = [int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("ended: ")]

    assert ended == [signal.SIGKILL] * 6 + [0]
    assert out.read_bytes() == whole.read_bytes()
    rejects = [Path(f"{one}.rejects.jsonl").read_bytes() for one in (out, whole)]
    assert rejects[0] == rejects[1]
    assert len(list(tmp_path.iterdir())) == 5


def test_ctrl_c_keeps_what_was_done(tmp_path: Path) -> None:
    """Ctrl-C ends with 130, says that the work is kept, and the same command goes on from there."""
    path, out = table(tmp_path / "in.csv", texts(2000)), tmp_path / "out.csv"
    process = start(path, "--text", "text", "-o", out, pause=0.01)
    folder = tmp_path / ".out.csv.parts"
    while process.poll() is None and not (folder / "000000.facts").exists():
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    code, err = finish(process)

    assert code == 130
    assert "What was done is kept" in err
    code, err = finish(start(path, "--text", "text", "-o", out, pause=0))
    assert code == 0
    assert "rows of an interrupted run were kept" in err


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("suffix", "room"), [(".csv", 1400), (".parquet", 9000)])
def test_where_there_is_no_room_the_file_is_named_and_the_work_kept(tmp_path: Path, suffix: str, room: int) -> None:
    """The first part, or the output, can't be written: exit 2 without half an output; with room the same goes on."""
    path, out, whole = table(tmp_path / "in.csv", texts(300)), tmp_path / f"out{suffix}", tmp_path / f"whole{suffix}"
    code, err = finish(start(path, "--text", "text", "-o", out, pause=0, room=room))

    assert code == 2, err
    assert "Make room" in err
    assert str(tmp_path) in err
    assert not out.exists()
    run(path, out)
    run(path, whole)
    assert out.read_bytes() == whole.read_bytes()
    assert len(list(tmp_path.iterdir())) == 5


def test_a_second_run_is_refused(tmp_path: Path) -> None:
    """While one process writes an output another is refused with its number, and the first one's output is whole."""
    path, out, whole = table(tmp_path / "in.csv", texts(1000)), tmp_path / "out.csv", tmp_path / "whole.csv"
    first = start(path, "--text", "text", "-o", out, pause=0.02)
    while first.poll() is None and not (tmp_path / ".out.csv.parts" / "run.json").exists():
        time.sleep(0.02)
    code, err = finish(start(path, "--text", "text", "-o", out, "--overwrite", "--fresh"))

    assert code == 2
    assert f"process {first.pid}" in err
    assert finish(first)[0] == 0
    finish(start(path, "--text", "text", "-o", whole, pause=0))
    assert out.read_bytes() == whole.read_bytes()


def test_the_same_command_on_a_finished_run_says_so(tmp_path: Path) -> None:
    """It exits with 0 and touches nothing; with another input, model or column it is refused as before."""
    path, out = table(tmp_path / "in.csv", texts(50)), tmp_path / "out.csv"
    assert finish(start(path, "--text", "text", "-o", out))[0] == 0
    facts = (out.stat().st_ino, out.stat().st_mtime_ns)

    code, err = finish(start(path, "--text", "text", "-o", out))

    assert (code, (out.stat().st_ino, out.stat().st_mtime_ns)) == (0, facts)
    assert "Nothing was left to do" in err
    table(path, [*texts(49), "другое"])
    code, err = finish(start(path, "--text", "text", "-o", out))
    assert code == 2
    assert "the output exists" in err
    assert out.stat().st_mtime_ns == facts[1]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("suffix", [".jsonl", ".parquet", ".tsv"])
def test_a_finished_run_of_any_format_is_known(tmp_path: Path, suffix: str) -> None:
    """Also where the output has another format than the input."""
    path, out = table(tmp_path / "in.csv", texts(60)), tmp_path / f"out{suffix}"
    done = run(path, out)
    again = run(path, out)

    assert not done.finished
    assert again.finished
    assert (again.rows, again.rejected, again.rejects) == (done.rows, done.rejected, done.rejects)
    with pytest.raises(InputError, match="the output exists"):
        classify_file(path, out, text="text", classifier=fake_classifier("stars-5"))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("harm", ["truncated", "flipped", "facts"])
def test_a_damaged_part_is_made_anew(tmp_path: Path, suffix: str, harm: str) -> None:
    """A part that lost its end, has another byte, or whose facts are unreadable is not trusted."""
    path, out, whole = table(tmp_path / f"in{suffix}", texts(300)), tmp_path / f"out{suffix}", tmp_path / f"w{suffix}"
    run(path, whole)
    stop(path, out, after=60)
    part = tmp_path / f".out{suffix}.parts" / f"000001{suffix}"
    data = part.read_bytes()
    if harm == "truncated":
        part.write_bytes(data[: len(data) // 2])
    elif harm == "flipped":
        part.write_bytes(data[:40] + bytes([data[40] ^ 1]) + data[41:])
    else:
        part.with_suffix(".facts").write_text("{}")

    report = run(path, out)

    assert out.read_bytes() == whole.read_bytes()
    assert report.notes


@pytest.mark.usefixtures("small")
def test_a_part_that_is_damaged_while_the_run_goes_on_is_noticed(tmp_path: Path) -> None:
    """Before the parts are joined each is looked at once more; the next run makes it anew."""
    path, out, whole = table(tmp_path / "in.csv", texts(300)), tmp_path / "out.csv", tmp_path / "whole.csv"
    run(path, whole)

    class _Harmful(Silent):
        def finish(self) -> None:
            part = tmp_path / ".out.csv.parts" / "000002.csv"
            if part.exists():
                part.write_bytes(part.read_bytes()[:-10])

    with pytest.raises(InputError, match="changed by something else"):
        classify_file(path, out, text="text", classifier=FAKE, progress=_Harmful())

    assert not out.exists()
    run(path, out)
    assert out.read_bytes() == whole.read_bytes()


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("harm", ["grown", "same size and time"])
def test_an_input_that_changes_during_the_run_is_refused(tmp_path: Path, harm: str) -> None:
    """A log that grows, and a file whose bytes are changed behind its size and time."""
    path, out = table(tmp_path / "in.csv", ["раз", "два", "три"] * 400), tmp_path / "out.csv"

    class _Harmful(Silent):
        told = False

        def start(self, stage: str, *, total: int | None, unit: str) -> None:
            if stage == "classify" and not self.told:
                self.told = True
                facts = path.stat()
                if harm == "grown":
                    with path.open("a", encoding="utf-8") as stream:
                        stream.write("999,ещё\n")
                else:
                    path.write_bytes(path.read_bytes().replace("раз".encode(), "газ".encode()))
                    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))

    with pytest.raises(InputError, match="changed while it was read"):
        classify_file(path, out, text="text", classifier=FAKE, progress=_Harmful())

    assert not out.exists()
    assert run(path, out).rows == (1201 if harm == "grown" else 1200)


@pytest.mark.usefixtures("small")
def test_an_input_that_changed_between_runs_begins_again(tmp_path: Path) -> None:
    """Behind the same size and time too; what was done before is not mixed in."""
    path, out = table(tmp_path / "in.csv", ["раз", "два", "три"] * 400), tmp_path / "out.csv"
    stop(path, out, after=60)
    facts = path.stat()
    path.write_bytes(path.read_bytes().replace("раз".encode(), "газ".encode()))
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))

    report = run(path, out)

    assert report.resumed == 0
    assert "begun again" in report.notes[0]
    assert "раз" not in out.read_text()


def test_strangers_files_stay(tmp_path: Path) -> None:
    """A rejects file that ottenok did not write, or that is the input, is never replaced; parts leave others' files."""
    path, out = table(tmp_path / "in.csv", ["да", "", "нет"]), tmp_path / "out.csv"
    rejects = tmp_path / "out.csv.rejects.jsonl"
    rejects.write_text('{"text": "хорошо"}\n')
    stranger = tmp_path / ".out.csv.parts" / "notes.txt"
    stranger.parent.mkdir()
    stranger.write_text("mine")

    for overwrite in (False, True):
        with pytest.raises(InputError, match="left out"):
            run(path, out, overwrite=overwrite)
    lines = table(tmp_path / "other.jsonl.rejects.jsonl", ["да"])
    with pytest.raises(InputError, match="left out"):
        run(lines, tmp_path / "other.jsonl", overwrite=True)

    assert rejects.read_text() == '{"text": "хорошо"}\n'
    assert stranger.read_text() == "mine"
    assert [file.name for file in stranger.parent.iterdir()] == ["notes.txt"]
    rejects.unlink()
    run(path, out)
    run(table(path, ["да", "нет"]), out, overwrite=True)
    assert not rejects.exists()
    assert stranger.read_text() == "mine"


def test_classes_named_as_columns_do_not_collide(tmp_path: Path) -> None:
    """Labels called label, confidence and polarity, and a column of a later row, keep the user's values."""
    from ottenok.bundle.manifest import SchemeFacts

    names = ("label", "confidence", "polarity")
    scheme = SchemeFacts(name="odd", kind="ordinal", labels=names, values=(-1.0, 0.0, 1.0), titles={}, source="a test")
    odd = fake_classifier(scheme)
    for suffix in (".csv", ".jsonl", ".parquet"):
        path, out = table(tmp_path / f"in{suffix}", ["да"]), tmp_path / f"out{suffix}"
        classify_file(path, out, text="text", classifier=odd)
        row = pq.read_table(out).to_pylist()[0] if suffix == ".parquet" else None
        if suffix == ".jsonl":
            row = json.loads(out.read_text(), object_pairs_hook=lambda pairs: dict(_single(pairs)))
        columns = list(row) if row else out.read_text().splitlines()[0].split(",")
        assert columns[2:] == [f"predicted_{name}" for name in (*names, *(f"p_{one}" for one in names), "reason")]
    path = tmp_path / "late.jsonl"
    lines = ['{"text": "да"}\n'] * 1500
    path.write_text("".join([*lines, '{"text": "да", "predicted_label": "mine"}\n']), "utf-8")
    report = run(path, tmp_path / "late-out.jsonl")
    assert report.rejected == {"has a key 'predicted_label' already (--prefix)": 1}


def _single(pairs: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    assert max(Counter(key for key, _ in pairs).values()) == 1
    return pairs


def test_several_tasks_have_their_columns(tmp_path: Path) -> None:
    """The primary task's columns are as of one task, the others' have its name."""
    both = fake_classifier("sentiment-3", "emotions-7")
    path, out = table(tmp_path / "in.csv", ["да"]), tmp_path / "out.jsonl"
    classify_file(path, out, text="text", classifier=both)

    row = json.loads(out.read_text("utf-8"))
    answer = both("да")
    assert row["predicted_label"] == answer.label
    assert row["predicted_emotions-7:labels"] == list(answer.tasks["emotions-7"].labels)
    assert "predicted_emotions-7:joy" in row


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipes_and_standard_input_are_tables(tmp_path: Path) -> None:
    """A named pipe, and standard input with --text, give what the file gives."""
    path, out = table(tmp_path / "in.csv", texts(50)), tmp_path / "out.csv"
    run(path, out)
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    process = start(pipe, "--text", "text", "-o", tmp_path / "piped.csv", pause=0)
    pipe.write_bytes(path.read_bytes())
    assert finish(process)[0] == 0
    with path.open("rb") as stream:
        code = CHILD.format(tests=str(Path(__file__).parents[1]), pause=0)
        command = [sys.executable, "-c", code, "classify", "--text", "text", "-o", str(tmp_path / "given.csv")]
        assert subprocess.run(command, stdin=stream, capture_output=True, check=False).returncode == 0

    assert (tmp_path / "piped.csv").read_bytes() == out.read_bytes()
    assert (tmp_path / "given.csv").read_bytes() == out.read_bytes()


def test_one_endless_row_is_left_out(tmp_path: Path) -> None:
    """A row beyond the limit costs that row, not the file."""
    path, out = table(tmp_path / "in.csv", ["да", "нет " * 5000, "ещё"]), tmp_path / "out.csv"

    report = run(path, out, table=TableOptions(max_record=10_000))

    assert report.rows == 2
    assert sum(report.rejected.values()) == 1


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_nothing_leaves_the_machine(tmp_path: Path) -> None:
    """A run of the embedded classifier opens no socket to anywhere and makes no file but its output."""
    path, out, home, trace = (
        table(tmp_path / "in.csv", ["хорошо"]),
        tmp_path / "out.csv",
        tmp_path / "home",
        tmp_path / "t",
    )
    home.mkdir()
    own = {"ORT_DISABLE_TELEMETRY", "OTTENOK_CACHE"}
    environment = {name: value for name, value in os.environ.items() if name not in own} | {
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [
        "strace",
        "-f",
        "-qq",
        "-o",
        str(trace),
        "-e",
        "trace=socket,connect,sendto",
        sys.executable,
        "-m",
        "ottenok",
    ]
    done = subprocess.run(
        [*command, "classify", str(path), "--text", "text", "-o", str(out)],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
        check=False,
    )
    if "ptrace" in done.stderr:
        pytest.skip("tracing is forbidden here")

    assert done.returncode == 0, done.stderr
    assert "AF_INET" not in trace.read_text()
    assert list(home.rglob("*")) == []
    assert sorted(file.name for file in tmp_path.iterdir()) == ["home", "in.csv", "out.csv", "t"]
