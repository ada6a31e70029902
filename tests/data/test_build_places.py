"""Nothing of the user's is lost by a build: files in the corpus folder, two builds at once, kills, changing files."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from typing import TYPE_CHECKING

import pytest

import ottenok
from ottenok.core.config import parse
from ottenok.core.errors import ConfigError, DataError
from ottenok.core.progress import Silent
from ottenok.data.build import build
from ottenok.data.corpus import open_corpus
from ottenok.recipes.corpus import CorpusRecipe

if TYPE_CHECKING:
    from pathlib import Path

    from ottenok.data.corpus import Corpus


def write(path: Path, rows: int = 30) -> Path:
    """Write texts that are far from each other, with two labels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        json.dumps({"text": f"{random.Random(n).getrandbits(160):x}", "label": ["negative", "positive"][n % 2]})
        for n in range(rows)
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def make(file: Path, out: Path, **options: object) -> Corpus:
    """Build a corpus of one file."""
    own = {"name": "a", "file": str(file)}
    recipe = parse(CorpusRecipe, {"name": "made", "scheme": "sentiment-3", "sources": [{"own": own}]})
    return build(recipe, root=None, cache=out.parent / "cache", out=out, **options)


@pytest.mark.parametrize("name", ["notes.txt", "letters", ".hidden"])
def test_a_strangers_file_in_the_corpus_folder_stays(tmp_path: Path, name: str) -> None:
    """A corpus folder that holds something else beside the corpus is not replaced."""
    out = make(write(tmp_path / "a.jsonl"), tmp_path / "corpus").folder
    (out / name).write_text("важное", encoding="utf-8")
    with pytest.raises(DataError, match="which ottenok did not write"):
        make(tmp_path / "a.jsonl", out)
    assert (out / name).read_text(encoding="utf-8") == "важное"


def test_the_manifest_of_something_else_is_no_corpus(tmp_path: Path) -> None:
    """A web page's manifest.json does not make its folder ours."""
    out = tmp_path / "site"
    out.mkdir()
    (out / "manifest.json").write_text('{"start_url": "/"}')
    with pytest.raises(DataError, match="it is no corpus"):
        make(write(tmp_path / "a.jsonl"), out)
    assert [path.name for path in out.iterdir()] == ["manifest.json"]


def test_an_input_is_never_replaced(tmp_path: Path) -> None:
    """Neither a file put into the old corpus, nor the old corpus's own rows, nor a link to the folder."""
    out = make(write(tmp_path / "a.jsonl"), tmp_path / "corpus").folder
    rows = out / "corpus.parquet"
    before = rows.read_bytes()
    link = tmp_path / "link"
    link.symlink_to(out, target_is_directory=True)
    recipe = {"name": "x", "scheme": "sentiment-3"}
    own = {"name": "a", "file": str(rows), "label": "labels"}
    for place in (out, link):
        with pytest.raises(DataError, match="lies in the folder that the corpus would replace"):
            build(
                parse(CorpusRecipe, {**recipe, "sources": [{"own": own}]}), root=None, cache=tmp_path / "c", out=place
            )
    inside = write(tmp_path / "new" / "a.jsonl")
    with pytest.raises(DataError, match="it is no corpus"):
        make(inside, tmp_path / "new")
    assert rows.read_bytes() == before
    assert inside.is_file()


def test_a_file_that_comes_during_the_build_stays(tmp_path: Path) -> None:
    """The place is looked at once more before anything is replaced."""
    out = make(write(tmp_path / "a.jsonl"), tmp_path / "corpus").folder

    class Putting(Silent):
        def start(self, stage: str, *, total: int | None, unit: str) -> None:
            if stage == "writing":
                (out / "notes.txt").write_text("важное", encoding="utf-8")

    with pytest.raises(DataError, match="which ottenok did not write"):
        make(tmp_path / "a.jsonl", out, progress=Putting())
    assert (out / "notes.txt").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "corpus"]


def test_a_file_that_grows_meanwhile_is_refused(tmp_path: Path) -> None:
    """A log that is still being written is not mixed into a corpus."""
    file = write(tmp_path / "a.jsonl")

    class Growing(Silent):
        def start(self, stage: str, *, total: int | None, unit: str) -> None:
            if stage.startswith("reading"):
                with file.open("a", encoding="utf-8") as stream:
                    stream.write('{"text": "ещё одна строка", "label": "positive"}\n')

    with pytest.raises(DataError, match="was changed while it was read"):
        make(file, tmp_path / "corpus", progress=Growing())
    assert not (tmp_path / "corpus").exists()


def test_a_total_loss_says_what_became_of_the_rows(tmp_path: Path) -> None:
    """No row left is an error that names the commonest reasons."""
    lines = [json.dumps({"text": "а" * (n % 3 + 1), "label": "positive"}, ensure_ascii=False) for n in range(9)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines), encoding="utf-8")
    own = {"name": "a", "file": str(tmp_path / "a.jsonl")}
    tree = {"name": "made", "scheme": "sentiment-3", "sources": [{"own": own}], "clean": {"minimum_letters": 9}}
    with pytest.raises(DataError, match=r"no row is left of 9 \(too short: 9\)"):
        build(parse(CorpusRecipe, tree), root=None, cache=tmp_path, out=tmp_path / "corpus")


SCRIPT = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    from ottenok.core.config import parse
    from ottenok.core.progress import Silent
    from ottenok.data.build import build
    from ottenok.recipes.corpus import CorpusRecipe

    class Waiting(Silent):
        def start(self, stage, *, total, unit):
            if stage == "writing":
                Path(sys.argv[3]).touch()
                time.sleep(60)

    own = {"name": "a", "file": sys.argv[1]}
    recipe = parse(CorpusRecipe, {"name": "made", "scheme": "sentiment-3", "sources": [{"own": own}]})
    build(recipe, root=None, cache=Path(sys.argv[2]).parent, out=Path(sys.argv[2]), progress=Waiting())
    """
)


def test_two_builds_of_one_corpus_do_not_meet_and_a_kill_leaves_nothing(tmp_path: Path) -> None:
    """The second build is refused by the first one's number; after SIGKILL the next build sweeps what lay about."""
    file, out, sign = write(tmp_path / "a.jsonl"), tmp_path / "corpora" / "one", tmp_path / "sign"
    first = subprocess.Popen([sys.executable, "-c", SCRIPT, str(file), str(out), str(sign)])
    try:
        end = time.monotonic() + 60
        while not sign.exists() and time.monotonic() < end:
            time.sleep(0.05)
        with pytest.raises(DataError, match=f"process {first.pid} is building a corpus in this place"):
            make(file, out)
    finally:
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
    assert [path.name for path in out.parent.iterdir() if path.name.endswith(".part")]
    corpus = make(file, out)
    assert open_corpus(out).manifest == corpus.manifest
    assert [path.name for path in out.parent.iterdir() if path.name != "cache"] == ["one"]


def test_the_public_door_builds_from_a_file_and_from_a_recipe(tmp_path: Path) -> None:
    """`ottenok.build_corpus` takes a file with its columns, a recipe's file, or a recipe, and overrides of its keys."""
    file = write(tmp_path / "a.jsonl", 100)
    made = ottenok.build_corpus(
        file, tmp_path / "one", text="text", label="label", overrides={"clean": {"near": False}}
    )
    assert made.table().num_rows == 100
    assert made.manifest["recipe"]["clean"]["near"] is False
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'name = "r"\nscheme = "sentiment-3"\n[[sources]]\n[sources.own]\nname = "a"\nfile = "a.jsonl"\n',
        encoding="utf-8",
    )
    again = ottenok.build_corpus(str(recipe), tmp_path / "two", overrides={"seed": 3}, cache=tmp_path / "cache")
    assert (again.scheme, again.manifest["recipe"]["seed"]) == ("sentiment-3", 3)
    with pytest.raises(ConfigError, match="needs both --text and --label"):
        ottenok.build_corpus(file, tmp_path / "three", text="text")
