"""Ray: bulk classification, kills, studies, searches, training, serving; in one file, so that one Ray is for all."""

from __future__ import annotations

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from pyarrow import fs

pytest.importorskip("ray", reason="needs the extra `ray`")
from ottenok.cli.classify import classify as command
from ottenok.cluster import lease
from ottenok.cluster.classify import classify_folder
from ottenok.cluster.places import open_folder
from ottenok.cluster.start import sweep
from ottenok.core.errors import DataError, InputError
from ottenok.core.files import locked
from ottenok.inference.api import load
from ottenok.inference.files import FileOptions, classify_file

if TYPE_CHECKING:
    from collections.abc import Iterator

WORDS = ["ужасно", "чудесно", "стол", "很好", "糟糕", "да", "😀"]
ADDED = ["predicted_file", "predicted_row", "predicted_reject", "predicted_content"]
# Runs a job and kills itself at a moment: before a method of these names is called for the so-manieth time.
KILLED = """
import os, signal, sys
from pathlib import Path
from ottenok.cluster import classify, places

name, count = sys.argv[1].split(":")
owner = {"write_text": places.Folder, "remove_folder": places.Folder, "close": classify._Job, "_missing": classify._Job}
if name in owner:
    wrapped, left = getattr(owner[name], name), [int(count)]
    def dies(self, *args, **kwargs):
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return wrapped(self, *args, **kwargs)
    setattr(owner[name], name, dies)
else:
    class Dies(classify.SILENT.__class__):
        # After the first part's rows have been told.
        def advance(self, count=1):
            if count > 1:
                os.kill(os.getpid(), signal.SIGKILL)
source, out, model, cluster = sys.argv[2:]
progress = classify.SILENT if name in owner else Dies()
classify.classify_folder(source, out, text="text", model={"model": model}, cluster=cluster, progress=progress)
"""


def _write(file: Path, rows: int, *, first: int = 0) -> Path:
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "text"])
        for row in range(first, first + rows):
            text = "" if row % 500 == 7 else " ".join(WORDS[(row // step) % len(WORDS)] for step in (1, 7, 49, 343))
            writer.writerow([row, text])
    return file


def _rows(folder: Path, columns: list[str] | None = None) -> list[dict[str, Any]]:
    return [
        row
        for file in sorted(folder.glob("part-*.parquet"))
        for row in pq.read_table(file, columns=columns).to_pylist()
    ]


def test_answers_are_those_of_one_machine_to_the_last_digit(cluster: str, bundle: Path, tmp_path: Path) -> None:
    """All rows are there in their order; columns, answers and rejects are those of `classify_file`."""
    file = _write(tmp_path / "texts.csv", 9000)
    with file.open("a", encoding="utf-8") as stream:
        stream.write("9001,one,cell,too,many\n9002,да\n")
    done = classify_folder(file, tmp_path / "out", text="text", model={"model": bundle}, cluster=cluster)
    one = classify_file(file, tmp_path / "one.parquet", text="text", classifier=load(bundle, threads=1))
    found = _rows(tmp_path / "out")
    assert (done.rows, done.parts) == (9002, 3)
    assert [row["predicted_row"] for row in found] == list(range(1, 9003))
    sound = [row for row in found if row["predicted_reject"] is None]
    assert pq.read_table(one.out).to_pylist() == [
        {key: value for key, value in row.items() if key not in ADDED} for row in sound
    ]
    theirs, ours = (
        [json.loads(line) for line in Path(str(name)).read_text(encoding="utf-8").splitlines()]
        for name in (one.rejects, done.rejects)
    )
    assert [{**row, "file": str(file)} for row in theirs] == ours
    assert done.rejected == one.rejected == {"empty text": 18, "5 fields instead of 2": 1}


def test_explained_columns_are_those_of_one_machine(cluster: str, bundle: Path, tmp_path: Path) -> None:
    """`--explain` and `--columns` give what they give on one machine."""
    file = _write(tmp_path / "texts.csv", 70)
    options = FileOptions(columns=("sentiment-3:label", "words"), explain=True)
    given = {"text": "text", "options": options}
    classify_folder(file, tmp_path / "out", model={"model": bundle}, cluster=cluster, **given)
    one = classify_file(file, tmp_path / "one.parquet", classifier=load(bundle, threads=1), **given)
    rows = [{key: value for key, value in row.items() if key not in ADDED} for row in _rows(tmp_path / "out")]
    assert [row for row in rows if row["text"]] == pq.read_table(one.out).to_pylist()
    assert list(rows[0]) == ["id", "text", "predicted_label", "predicted_words"]
    assert rows[0]["predicted_words"]


def test_a_text_that_the_model_fails_at_costs_no_other(cluster: str, bundle: Path, tmp_path: Path) -> None:
    """It is a reject with the error, keeps its columns, and the rows beside it have answers."""
    file = tmp_path / "texts.csv"
    file.write_text('id,text\n1,да\n2,"well, $ is no number"\n3,很好\n', encoding="utf-8")
    done = classify_folder(file, tmp_path / "out", text="text", model={"model": bundle}, cluster=cluster)
    rows = _rows(tmp_path / "out")
    assert [(row["id"], row["predicted_label"] is None) for row in rows] == [("1", False), ("2", True), ("3", False)]
    assert rows[1]["predicted_reject"].startswith("not classified: ModelError")
    listed = json.loads(Path(str(done.rejects)).read_text(encoding="utf-8"))
    assert (listed["row"], listed["content"]) == (2, "well, $ is no number")


def test_a_folder_of_parquet_keeps_its_types(cluster: str, bundle: Path, tmp_path: Path) -> None:
    """Files in folders are read by their names; what begins with `_` or `.` is not; the same command finds all done."""
    for number in range(3):
        place = tmp_path / "in" / f"day={number}"
        place.mkdir(parents=True)
        pq.write_table(pa.table({"n": pa.array([number], pa.int8()), "text": ["很好"]}), place / "a.parquet")
    (tmp_path / "in" / "_SUCCESS").write_text("", encoding="utf-8")
    given = [str(tmp_path / "in"), "--text", "text", "-m", str(bundle), "-o", str(tmp_path / "out")]
    given += ["--cluster", cluster, "--json", "--columns", "label"]
    first, second = (json.loads(CliRunner().invoke(command, given, catch_exceptions=False).stdout) for _ in range(2))
    assert (first["files"], first["rows"], first["finished"], second["finished"]) == (3, 3, False, True)
    table = pa.concat_tables(pq.read_table(file) for file in sorted((tmp_path / "out").glob("*.parquet")))
    assert table.schema.field("n").type == pa.int8()
    assert table.column("n").to_pylist() == [0, 1, 2]
    assert table.schema.field("predicted_row").type == pa.int64()
    assert "predicted_label" in table.column_names
    assert "predicted_confidence" not in table.column_names


@pytest.mark.parametrize("scheme", ["file://", "local://"])
def test_addresses_and_globs(scheme: str, cluster: str, bundle: Path, tmp_path: Path) -> None:
    """What pyarrow opens and what fsspec opens give the same; a glob goes through folders."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        _write(tmp_path / name / "texts.csv", 4)
    (tmp_path / "b" / "other.tsv").write_text("x\ty\n", encoding="utf-8")
    source, out = f"{scheme}{tmp_path}/**/*.csv", f"{scheme}{tmp_path}/out"
    done = classify_folder(source, out, text="text", model={"model": bundle}, cluster=cluster)
    rows = _rows(tmp_path / "out")
    assert (done.files, done.rows) == (2, 8)
    assert [Path(row["predicted_file"]).parent.name for row in rows] == ["a"] * 4 + ["b"] * 4
    assert [row["predicted_row"] for row in rows] == [1, 2, 3, 4] * 2


def test_an_object_store(cluster: str, bundle: Path) -> None:
    """A job reads from S3 and writes to it; what it tells has no key in it."""
    server: Any = pytest.importorskip("moto.server", reason="needs moto, flask and flask-cors")
    store = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    store.start()
    host, port = store.get_host_and_port()
    query = f"?endpoint_override={host}:{port}&scheme=http"
    try:
        system, _ = fs.FileSystem.from_uri(f"s3://name:secret@bucket{query}&allow_bucket_creation=true")
        system.create_dir("bucket")
        for name in ("a", "b"):
            with system.open_output_stream(f"bucket/in/{name}.jsonl") as stream:
                stream.write('{"text": "да"}\n{"text": ""}\n'.encode())
        source, out = (f"s3://name:secret@bucket/{place}{query}" for place in ("in/*.jsonl", "out"))
        for finished in (False, True):
            done = classify_folder(source, out, text="text", model={"model": bundle}, cluster=cluster)
            assert (done.rows, done.parts, done.rejected, done.finished) == (4, 2, {"empty text": 2}, finished)
        assert "secret" not in str(done)
        names = [one.base_name for one in system.get_file_info(fs.FileSelector("bucket/out"))]
        assert sorted(names) == ["_job", "_rejects.jsonl", "part-00000000.parquet", "part-00000001.parquet"]
    finally:
        store.stop()


@pytest.mark.parametrize("holder", ["alive", "killed here", "killed elsewhere"])
def test_one_run_at_a_time_in_a_store(holder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second run is refused as long as the first renews its name; what a killed one left is taken over."""
    monkeypatch.setattr(lease, "_BEAT", 0.2)
    folder, name = open_folder(f"memory://{tmp_path}"), "_job/lease.json"

    def there() -> dict[str, Any]:
        return json.loads(folder.read_text(name) or "{}")

    if holder == "alive":
        with lease.leased(folder, name):
            run = there()["run"]
            with pytest.raises(InputError, match=rf"another run \(process {os.getpid()} on .* since 20"):
                classify_folder(_write(tmp_path / "texts.csv", 3), folder.address, text="text")
            assert there()["run"] == run
    else:
        dead = subprocess.Popen(["true"])
        dead.wait()
        host = "elsewhere" if holder == "killed elsewhere" else socket.gethostname()
        folder.write_text(name, json.dumps({"run": "theirs", "host": host, "pid": dead.pid, "count": 4}))
        with lease.leased(folder, name):
            assert there()["pid"] == os.getpid()
    assert there() == {}


def test_what_killed_rays_left_is_removed(tmp_path: Path) -> None:
    """Of folders with a lock that nobody holds; one in use, a young one and a stranger's stay."""
    for name in ("dead", "used", "young", "stranger"):
        (tmp_path / f"ottenok-ray-{name}" / "session").mkdir(parents=True)
        if name != "stranger":
            (tmp_path / f"ottenok-ray-{name}" / "lock").touch()
    with locked(tmp_path / "ottenok-ray-used" / "lock"):
        for name in ("dead", "used", "stranger"):
            os.utime(tmp_path / f"ottenok-ray-{name}", (1e9, 1e9))
        sweep(tmp_path)
    assert {one.name for one in tmp_path.iterdir()} == {f"ottenok-ray-{name}" for name in ("used", "young", "stranger")}


def test_killed_at_any_moment_no_row_is_lost_or_doubled(cluster: str, bundle: Path, tmp_path: Path) -> None:
    """Drivers that kill themselves among parts, before the rejects and at the end leave what the next one takes up."""
    source = _write(tmp_path / "texts.csv", 20_000)
    calm, out = tmp_path / "calm", tmp_path / "out"
    classify_folder(source, calm, text="text", model={"model": bundle}, cluster=cluster)
    ended = []
    for moment in ("first part:1", "close:1", "remove_folder:1", "never:1"):
        run = [sys.executable, "-c", KILLED, moment, str(source), str(out), str(bundle), cluster]
        if moment == "never:1":
            run[3] = "close:9"
        ended.append(subprocess.run(run, check=False, env=os.environ, timeout=120).returncode)
    assert ended == [-signal.SIGKILL] * 3 + [0]
    assert _rows(out) == _rows(calm)
    names = {file.name for file in out.rglob("*") if file.is_file()}
    assert names == {file.name for file in calm.rglob("*") if file.is_file()}
    assert [row["id"] for row in _rows(out, ["id"])] == [str(row) for row in range(20_000)]


def test_a_part_that_is_not_whole_is_made_anew(cluster: str, bundle: Path, tmp_path: Path) -> None:
    """What a job finds when it goes on is looked at: half a file, or one of another job, is no part."""
    source, out = _write(tmp_path / "texts.csv", 5000), tmp_path / "out"

    def run(**more: Any) -> Any:
        return classify_folder(source, out, text="text", model={"model": bundle}, cluster=cluster, **more)

    run()
    expected = _rows(out)
    part = out / "part-00000001.parquet"
    part.unlink()
    assert run().resumed == 0  # a finished job whose parts are gone begins again
    assert _rows(out) == expected
    with pytest.raises(InputError, match="holds a finished job of another"):
        run(options=FileOptions(prefix="p_"))
    assert run(options=FileOptions(prefix="p_", overwrite=True)).rows == 5000


@pytest.mark.parametrize(
    ("files", "text", "words"),
    [
        ({"a.csv": "text\nда\n", "b.csv": "text,more\nда,1\n"}, "text", "differ in more"),
        ({"a.csv": "text\nда\n"}, "texte", "there is no column 'texte'"),
        ({"a.csv": "text,n\n,1\n"}, "text", "none of the 1 rows can be classified"),
        ({"a.csv": "text\nда\n", "a.doc": "да"}, "text", "no table that is known"),
        ({"a.csv": "text,predicted_row\nда,1\n"}, "text", "has a column 'predicted_row' already"),
        ({}, "text", "no such file"),
    ],
)
def test_what_can_not_be_done_is_refused(
    files: dict[str, str], text: str, words: str, cluster: str, bundle: Path, tmp_path: Path
) -> None:
    """An error names the file, the column and what differs; it comes through Ray as it was raised."""
    (tmp_path / "in").mkdir()
    for name, content in files.items():
        (tmp_path / "in" / name).write_text(content, encoding="utf-8")
    with pytest.raises((DataError, InputError), match=words):
        classify_folder(tmp_path / "in", tmp_path / "out", text=text, model={"model": bundle}, cluster=cluster)


def test_a_strangers_folder_is_left_alone(bundle: Path, tmp_path: Path) -> None:
    """Nothing is written beside files that no job wrote, nor into a file."""
    source = _write(tmp_path / "texts.csv", 3)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.parquet").write_text("mine", encoding="utf-8")
    for out, words in (("out", "holds something else"), ("texts.csv", "is a file, and a cluster writes a folder")):
        with pytest.raises(InputError, match=words):
            classify_folder(source, tmp_path / out, text="text", model={"model": bundle})
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["mine.parquet"]


TOY = """
name = "toy"
data.corpus = "{folder}/corpus"
text.max_length = 16
optim = {{learning_rate = 3e-3, head_learning_rate = 1e-2}}
schedule.num_train_epochs = 2
batch.batch_size = 8
run = {{precision = "fp32", device = "cpu", export = false}}
[model]
encoder = "{folder}/encoder"
{more}
"""
VARIANTS = """
[[variants]]
name = "mean"
[[variants]]
name = "max"
model.pooling = "max"
[[variants]]
name = "broken"
model.pooling = "cls"
text.max_length = 4096
"""
SPACE = """
[search]
startup = 3
[search.space]
"optim.learning_rate" = {low = 1e-3, high = 1e-2, log = true}
"model.pooling" = {choices = ["mean", "meen"]}
"""


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a tiny encoder and a corpus of 40 texts to learn from."""
    pytest.importorskip("torch", reason="needs the extra `train`")
    from tiny_encoders import tiny_encoder

    folder = tmp_path_factory.mktemp("toy")
    tiny_encoder(folder / "encoder")
    moods = {"negative": "ужасно", "neutral": "стол", "positive": "чудесно"}
    rows = []
    for number in range(60):
        mood, word = list(moods.items())[number % 3]
        split = ("train", "train", "validation", "test")[number // 3 % 4]
        row = {"id": str(number), "text": f"это {word} {number}", "labels": [mood], "source": "toy", "part": None}
        rows.append(row | {"language": "ru", "split": split})
    (folder / "corpus").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), folder / "corpus" / "corpus.parquet")
    facts = {"name": "toy", "scheme": "sentiment-3", "sources": []}
    (folder / "corpus" / "manifest.json").write_text(json.dumps(facts), encoding="utf-8")
    return folder


def _recipe(toy: Path, file: Path, more: str = "") -> Path:
    file.write_text(TOY.format(folder=toy, more=more), encoding="utf-8")
    return file


def test_a_study_has_the_results_of_one_process(cluster: str, toy: Path, tmp_path: Path) -> None:
    """Variants that are trained at once are those that are trained one by one; one that can't be is a row."""
    from ottenok.cluster.start import RayCrew, started
    from ottenok.studies.study import study

    recipe = _recipe(toy, tmp_path / "toy.toml", VARIANTS)
    with started(cluster) as ray:
        there = study(recipe, tmp_path / "there", crew=RayCrew.for_training(ray, 2))
    here = study(recipe, tmp_path / "here")
    assert (there.done, there.failed) == (here.done, here.failed)
    assert len(there.done) == 2
    for run in here.done:
        first, second = (
            pq.read_table(folder / run / "predictions" / "test.parquet").to_pydict()
            for folder in (here.folder, there.folder)
        )
        # Processes with other numbers of threads add in another order: the seventh digit is theirs.
        assert {
            name: pytest.approx(column, abs=1e-6) if name.startswith("p:") else column for name, column in first.items()
        } == second


def test_a_search_tries_what_one_process_tries(cluster: str, toy: Path, tmp_path: Path) -> None:
    """The random trials at the start have the same values and results, failed ones among them."""
    pytest.importorskip("optuna", reason="needs the extra `search`")
    from ottenok.cluster.start import RayCrew, started
    from ottenok.studies.search.run import Budget, search

    recipe, budget = _recipe(toy, tmp_path / "toy.toml", SPACE), Budget(trials=3)
    with started(cluster) as ray:
        there = search(recipe, tmp_path / "there", budget=budget, crew=RayCrew.for_training(ray, 2))
    here = search(recipe, tmp_path / "here", budget=budget)
    columns = ["number", "state", "value", "epochs", "optim.learning_rate", "model.pooling", "reason"]
    assert here.trials[columns].to_json() == there.trials[columns].to_json()
    assert here.best == there.best


def test_two_workers_train_what_one_does(cluster: str, toy: Path, tmp_path: Path) -> None:
    """Their losses are those of one worker with batches of twice the size, and every text is counted once."""
    from ottenok.cluster.training import train_together
    from ottenok.recipes.train import load_recipe
    from ottenok.studies.training import train
    from ottenok.training.folder import read_history
    from ottenok.training.inputs import Places

    file, over = _recipe(toy, tmp_path / "toy.toml"), {"model": {"head": {"dropout": 0.0}}}
    recipe = load_recipe(file, over)
    train(load_recipe(file, {**over, "batch": {"batch_size": 16}}), tmp_path / "one")
    train_together(recipe, tmp_path / "two", places=Places(), cluster=cluster, workers=2)
    one, two = (read_history(tmp_path / name) for name in ("one", "two"))
    assert [row["texts"] for row in one] == [row["texts"] for row in two]
    for name in ("train_loss", "loss"):
        assert [row[name] for row in one] == pytest.approx([row[name] for row in two], rel=1e-4)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["one", "toy.toml", "two"]


@pytest.fixture
def ray_serve(cluster: str) -> Iterator[Any]:
    """Return Ray Serve on a free port of the local Ray, and its address."""
    pytest.importorskip("uvicorn", reason="needs the extra server")
    from ray import serve

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    yield serve, f"http://127.0.0.1:{port}"
    serve.shutdown()


# Ray Serve's own code warns of what pydantic will remove, and leaves sockets to the collector.
@pytest.mark.filterwarnings("ignore")
def test_replicas_and_a_change_of_the_model(ray_serve: Any, bundle: Path) -> None:
    """Two replicas answer as the server does, and another model takes over without a request failing."""
    from ottenok.cluster.serve import deployment

    serve, url = ray_serve
    small = {"num_cpus": 0.1}
    serve.run(deployment(f"first={bundle}", num_replicas=2, ray_actor_options=small), name="ottenok")
    failed: list[str] = []
    answered = 0
    stop = threading.Event()

    def ask() -> None:
        nonlocal answered
        with httpx.Client(base_url=url, timeout=60) as client:
            while not stop.is_set():
                found = client.post("/predict", json={"inputs": "Отлично"})
                answered += 1
                if found.status_code != 200:
                    failed.append(found.text)
                time.sleep(0.02)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        serve.run(deployment(f"second={bundle}", num_replicas=2, ray_actor_options=small), name="ottenok")
    finally:
        stop.set()
        asking.join()
    with httpx.Client(base_url=url, timeout=60) as client:
        assert [model["id"] for model in client.get("/v1/models").json()["data"]] == ["second"]
        many = client.post("/v1/analyze", json={"inputs": ["Отлично", "服务很好"]}).json()["results"]
    assert [set(one["tasks"]) for one in many] == [{"sentiment-3", "emotions-7"}] * 2
    assert answered > 0
    assert not failed
