"""The pages of the published systems: up to date, made from result files alone, with commands and snippets that run."""

from __future__ import annotations

import json
import os
import random
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest

from ottenok.cli.main import cli
from ottenok.cli.options import recipe_keys
from ottenok.core.config import override, parse, read_toml
from ottenok.core.schemes import load_scheme
from ottenok.data.build import build
from ottenok.data.corpus import Corpus, open_corpus
from ottenok.recipes.corpus import CorpusRecipe
from ottenok.recipes.files import recipe_file
from ottenok.recipes.train import TrainRecipe
from ottenok.recipes.variants import find_variant
from ottenok.studies.study import read_study
from scripts import import_script

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[2]
SYSTEMS = ROOT / "docs" / "systems"
PAGES = sorted(SYSTEMS.glob("*.md"))
_COMMAND = re.compile(r"(?:^\$ (?:\w+=\w+ )?|`)(ottenok [^`\n]*)", re.MULTILINE)
_WORDS = {"negative": ["гадость", "ужасно"], "neutral": ["стол", "улица"], "positive": ["нравишься", "чудесно"]}


def script(name: str) -> ModuleType:
    """Import a script of docs/systems."""
    return import_script(SYSTEMS / f"{name}.py")


def toy_corpus(folder: Path, *, names: tuple[str, ...] = ("toy",), **changes: Any) -> Corpus:
    """Build a corpus whose words give its labels away, of one source for each name."""
    folder.mkdir(parents=True)
    sources = []
    for place, name in enumerate(names):
        rows = [
            {"text": f"{words[i % 2]} это {i * len(names) + place}", "label": label}
            for label, words in _WORDS.items()
            for i in range(80)
        ]
        file = folder / f"{name}.jsonl"
        file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        sources.append({"own": {"name": name, "file": str(file), "languages": ["ru"]}})
    tree = {"name": "toy", "scheme": "sentiment-3", "sources": sources, "clean": {"near": False}, **changes}
    return build(parse(CorpusRecipe, tree), root=None, cache=folder / "cache", out=folder / "corpus")


def tiny(folder: Path) -> Path:
    """Write a random BERT of 32 wide layers that reads 512 tokens."""
    pytest.importorskip("torch")
    from tiny_encoders import tiny_encoder

    return tiny_encoder(folder, sizes={"max_position_embeddings": 512})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_pages_are_up_to_date(page: Path) -> None:
    """Each page holds what the committed result files say; `python docs/systems/pages.py` writes it."""
    text = page.read_text(encoding="utf-8")

    assert script("pages").filled(text, SYSTEMS / "results") == text


def test_what_was_not_run_says_so(tmp_path: Path) -> None:
    """Without result files every table of ours is a plain line, and no figure stands there."""
    pages = script("pages")
    for page in PAGES:
        made = pages.filled(page.read_text(encoding="utf-8"), tmp_path)
        for kind, body in re.findall(r"<!-- table: (\w+)[^\n]*-->\n(.*?)<!-- end -->", made, re.DOTALL):
            if kind in {"marks", "tries"}:
                assert body.count("not run yet") == len(read_toml(SYSTEMS / "marks.toml")[kind])
            elif kind != "published":
                assert body.strip().startswith("*Not run yet: there is no `results/")


def test_published_figures_stand_as_written() -> None:
    """The tables of the authors come from published.toml, figure by figure."""
    page = (SYSTEMS / "sentiment-union.md").read_text(encoding="utf-8")
    assert "| auc-roc | 0.85 | 0.95 | 0.91 | 0.9 | 0.9 |" in page
    page = (SYSTEMS / "douban-stars.md").read_text(encoding="utf-8")
    assert "| 0.2309 | 4 | 12000 | 0.4446 | 0.5309 | 0.704 | 0.512 |" in page


def test_published_star_figures_agree_with_each_other() -> None:
    """F1 and AUC of 0/1 answers determine recall and answers a comment; the recall is the published accuracy."""
    chosen = tomllib.loads((SYSTEMS / "published.toml").read_text(encoding="utf-8"))["douban-stars"]["chosen"]
    f1, auc = chosen["open_f1"], chosen["open_auc"]
    # Per comment: recall r, wrong answers w. AUC = (r + 1 - w / 4) / 2 and F1 = 2r / (1 + r + w).
    recall = f1 * (1 - 4 * (2 * auc - 1)) / (2 - 5 * f1)
    wrong = 4 * (recall - (2 * auc - 1))

    assert recall == pytest.approx(chosen["open_accuracy"], abs=0.003)
    assert recall + wrong == pytest.approx(0.93, abs=0.01)


COMMANDS = [(page.stem, found) for page in PAGES for found in _COMMAND.findall(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize(
    ("page", "line"), COMMANDS, ids=[f"{page}-{place}" for place, (page, _) in enumerate(COMMANDS)]
)
def test_commands_of_the_pages_are_right(page: str, line: str) -> None:
    """Every command is one of ottenok's; recipes, arms and keys of studies exist, and no two arms come out alike."""
    _, command, *words = shlex.split(line)
    assert command in cli.list_commands(click.Context(cli))
    if command != "study":
        return
    options = {"-o", "--data-root", "--only"}
    keys = [word for i, word in enumerate(words[1:], 1) if not options & {word, words[i - 1]}]
    study = read_study(words[0], recipe_keys(tuple(keys), top=(*TrainRecipe.model_fields, "seeds")))
    for name in (words[i + 1] for i, word in enumerate(words) if word == "--only"):
        find_variant([run.variant for run in study.runs], name)
    assert page


@pytest.mark.train
def test_tables_are_made_from_a_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A study, collected, fills every kind of table; a failed arm is a row with its reason, and steps are paired."""
    from ottenok.studies.study import study

    names = ("rusentiment", "sentirueval-2016-banks")
    corpus = toy_corpus(tmp_path / "toy", names=names)
    over = [f"model.encoder={tiny(tmp_path / 'tiny')}", "optim.lr=3e-3", "schedule.epochs=1", "text.max_length=16"]
    recipe = tmp_path / "toy.toml"
    recipe.write_text(
        'name = "toy"\n[model]\nencoder = "x"\npooling = "mean"\n[batch]\nsize = 16\n[run]\nexport = false\n'
        '[[arms]]\nname = "one"\n[[arms]]\nname = "lost"\ndata.corpus = "nowhere"\n'
        '[[arms]]\nname = "two"\nmodel.pooling = "max"\n',
        encoding="utf-8",
    )
    study(recipe, tmp_path / "study", over=override(over), corpus=corpus.folder)
    collect, pages = script("collect"), script("pages")
    monkeypatch.setattr(collect, "RESULTS", tmp_path / "results")
    assert collect.main(["study", str(tmp_path / "study"), "toy"]) == 0
    kinds = (
        "labels toy one", "sources toy", "comparison toy", "epochs toy one accuracy", "steps toy", "machine toy",
        "confusion toy one two", "labels toy lost",
    )  # fmt: skip
    made = pages.filled("".join(f"<!-- table: {kind} -->\n<!-- end -->\n" for kind in kinds), tmp_path / "results")

    tables = re.findall(r"<!-- table: [^\n]* -->\n(.*?)<!-- end", made, re.DOTALL)
    assert "auc-roc" in tables[0]
    assert re.search(r"\| rusentiment \| 0\.67 \| [01]\.\d{3} \[", tables[1])
    assert re.search(r"\| linis \| 0\.5( \| -){4} \|", tables[1])
    assert "Differences to" in tables[2]
    assert "nowhere" in tables[2] or "no data" in tables[2]
    assert "validation loss" in tables[3]
    assert re.search(r"\| two \| [01]\.\d{3} \[.*\] \| [+-]0\.\d{3} \[", tables[4])
    assert "Encoder tiny, pooling mean" in tables[5]
    assert tables[6].count("negative") >= 4
    assert tables[7].strip().startswith("*The arm lost has no figures")
    assert str(tmp_path) not in (tmp_path / "results" / "toy.json").read_text(encoding="utf-8")


def test_a_film_answers_for_its_comments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the film alone tells is its commonest label in training, measured on the test."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, list[Any]] = {"part": [], "labels": [], "split": []}
    stars = {
        ("good", "train"): [5, 5, 4],
        ("good", "test"): [5, 5, 5, 1],
        ("bad", "train"): [1],
        ("bad", "test"): [1] * 4,
    }
    for (film, split), values in stars.items():
        columns["part"] += [film] * len(values)
        columns["labels"] += [[f"Star_{value}"] for value in values]
        columns["split"] += [split] * len(values)
    pq.write_table(pa.table(columns), tmp_path / "corpus.parquet")
    (tmp_path / "manifest.json").write_text("{}", encoding="utf-8")
    collect = script("collect")
    monkeypatch.setattr(collect, "RESULTS", tmp_path / "results")
    collect.main(["films", str(tmp_path), "films"])

    facts = json.loads((tmp_path / "results" / "films.json").read_text(encoding="utf-8"))["facts"]
    assert "right for 0.375" in facts[1]
    assert "right for 0.875" in facts[2]


def test_texts_in_other_words_are_near() -> None:
    """Two translations of a text are nearer than two texts."""
    texts = ["какая же красивая у вас кошка", "мы поедем на дачу в субботу"]
    near = script("collect").nearest(texts, ["какая красивая у тебя кошка", "вчера шёл сильный дождь"])

    assert near[0] > 0.5 > near[1]


@pytest.mark.train
def test_a_random_cut_of_pairs_rewards_memory(tmp_path: Path) -> None:
    """Tweets that are there once for each company are known on a random cut, and say nothing of other tweets."""
    pytest.importorskip("torch")
    cut, scheme = script("random_cut"), load_scheme("sentiment-3")
    chance = random.Random(0)
    letters = "абвгдежзиклмнопрст"

    def tweets(count: int) -> list[tuple[str, str]]:
        words = [["".join(chance.choices(letters, k=6)) for _ in range(4)] for _ in range(count)]
        return [(" ".join(one), chance.choice(list(cut.MAP))) for one in words]

    (tmp_path / "sentirueval-2016").mkdir()
    rows = [f"{text}\t{label}\n" for text, label in tweets(120) for _ in range(4)]
    file = tmp_path / "sentirueval-2016" / "preprocessed_banks_train.csv"
    file.write_text("text\tlabel\n" + "".join(rows), encoding="utf-8")
    official = cut.labelled([cut.Pair(text, cut.MAP[label]) for text, label in tweets(120)], scheme)

    found = cut.both_ways(tmp_path, "banks", scheme, official)

    assert found["pairs"] == 480
    assert found["known"] > 0.95
    assert min(one["macro_f1"] for one in found["random_cut"]) > 0.9
    assert found["official"]["macro_f1"] < 0.5


@pytest.mark.train
def test_the_published_snippet_runs_on_our_folder(tmp_path: Path) -> None:
    """The page's snippet needs no ottenok, and prints a label and a score; outputs are in the published order."""
    from ottenok.studies.training import train

    tree = read_toml(recipe_file("sentiment-union", "data"))
    own, same = tree["own_scheme"], {label: label for label in _WORDS}
    corpus = toy_corpus(tmp_path / "toy", scheme=own["name"], own_scheme=own)
    assert open_corpus(corpus.folder).label_scheme.labels == ("neutral", "positive", "negative")
    assert all(source.get("map") == same for source in tree["sources"])
    keys = [f"data.corpus={corpus.folder}", f"model.encoder={tiny(tmp_path / 'tiny')}", "optim.lr=3e-3"]
    small = ["text.max_length=64", "batch.size=16", "schedule.epochs=8", "model.dropout=0.0", "run.export=false"]
    out = tmp_path / "runs" / "sentiment-union" / "run-42"
    train("sentiment-union", out, over=override([*keys, *small]))

    config = json.loads((out / "config.json").read_text(encoding="utf-8"))
    assert config["id2label"] == {"0": "neutral", "1": "positive", "2": "negative"}
    assert config["architectures"] == ["BertForSequenceClassification"]
    titles = json.loads((out / "ottenok.json").read_text(encoding="utf-8"))["tasks"][0]["scheme"]["titles"]
    assert titles["ru"] == ["нейтральный", "позитивный", "негативный"]
    page = (SYSTEMS / "sentiment-union.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert "ottenok" not in snippet
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    done = subprocess.run(
        [sys.executable, "-c", snippet], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"\[\{'label': 'positive', 'score': 0\.\d+\}\]", done.stdout.strip().splitlines()[-1])
