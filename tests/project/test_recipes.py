"""The recipes of the repository: complete, true to what was published, and able to train on the real data."""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ottenok.core.config import override, read_toml
from ottenok.data.card import load_card
from ottenok.data.own import corpus_schemes
from ottenok.recipes.corpus import load_recipe as load_corpus_recipe
from ottenok.recipes.files import recipe_file
from ottenok.recipes.train import load_recipe
from ottenok.recipes.variants import take_variants
from ottenok.studies.compare import check_metrics
from ottenok.studies.study import read_study
from ottenok.text.normalise import dedupe_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from ottenok.data.corpus import Corpus
    from ottenok.recipes.train import TrainRecipe

ROOT = Path(__file__).parents[2]
FILES = sorted([*(ROOT / "recipes").glob("*.toml"), *(ROOT / "recipes" / "marks").glob("*.toml")])
PUBLISHED = tomllib.loads((ROOT / "docs" / "systems" / "published.toml").read_text(encoding="utf-8"))
SYSTEMS = ("sentiment-union", "sentiment-balanced", "kinopoisk-pooling", "douban-stars", "emotions-7")


def arms_of(file: Path) -> list[str | None]:
    """Return the names of a recipe's arms, or [None] for a plain recipe."""
    return [arm.name for arm in take_variants(read_toml(file)).variants] or [None]


RUNS = [(file, arm) for file in FILES for arm in arms_of(file)]
NAMES = [f"{file.parent.name}/{file.stem}/{arm}" for file, arm in RUNS]


def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested keys as dotted ones."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found


@pytest.mark.parametrize(("file", "arm"), RUNS, ids=NAMES)
def test_every_arm_is_a_recipe(file: Path, arm: str | None) -> None:
    """Every arm parses, is named after its file, names a corpus recipe that is there, and takes another encoder."""
    recipe = load_recipe(file, override(["model.encoder=some/folder"]), variant=arm)

    assert recipe.name == (file.stem if arm is None else f"{file.stem}-{arm}")
    assert recipe_file(recipe.data.recipe or "", "data").is_file()
    assert recipe.model.encoder == "some/folder"
    assert recipe.description


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_studies_compare_by_figures_that_there_are(file: Path) -> None:
    """No two arms come out the same, and every figure of a comparison is one of the labels' kind."""
    study = read_study(file)
    for run in study.runs:
        corpus = load_corpus_recipe(recipe_file(run.recipe.data.recipe or "", "data"))
        cards = [load_card(spec.name) for spec in corpus.sources if spec.card]
        check_metrics(study.options.metrics, corpus_schemes(corpus, cards)[0])


@pytest.mark.parametrize("name", SYSTEMS)
def test_settings_are_the_published_ones(name: str) -> None:
    """Encoder, rates, batch, epochs: whatever the authors stated stands in every arm of the recipe."""
    wanted = PUBLISHED[name].get("settings", {})
    for arm in arms_of(ROOT / "recipes" / f"{name}.toml")[: 1 if name == "douban-stars" else None]:
        recipe = flat(load_recipe(name, variant=arm).model_dump(mode="json"))
        assert {key: recipe[key] for key in wanted} == wanted


def test_encoders_are_those_of_the_slide_word_for_word() -> None:
    """Each numbered row of the slide is an arm of that number, with that encoder."""
    arms = {arm.name[:2]: arm for arm in take_variants(read_toml(ROOT / "recipes" / "emotions-encoders.toml")).variants}
    for number, encoder, *_ in PUBLISHED["emotions-7"]["rows"]:
        wanted = "ai-forever/ruBert-base" if "ruBert_base" in encoder else encoder.split(" + ")[0]
        assert arms[f"{number:02d}"].over["model"]["encoder"] == wanted


def test_each_step_of_the_emotions_is_the_one_before_and_one_more() -> None:
    """Neighbouring arms of emotions-7 differ in one thing: the gain of a step is that thing's."""
    arms = [arm for arm in arms_of(ROOT / "recipes" / "emotions-7.toml") if arm != "2a-generated"]
    settings = [flat(load_recipe("emotions-7", variant=arm).model_dump(mode="json", exclude={"name"})) for arm in arms]
    changes = [
        {key for key in one.keys() | other.keys() if one.get(key) != other.get(key)}
        for one, other in pairwise(settings)
    ]
    sections = [{".".join(key.split(".")[:2]) for key in change} for change in changes]
    assert sections == [
        {"data.recipe"},
        {"loss.class_weights"},
        {"model.head"},
        {"model.head"},
        {"schedule.lr_scheduler_type"},
        {"decision.thresholds"},
    ]
    assert changes[3] == {"model.head.dropout"}


def rows(corpus: Corpus) -> list[dict[str, Any]]:
    """Return the corpus's rows."""
    return corpus.table(columns=("id", "text", "labels", "source", "split")).to_pylist()


@pytest.mark.data
def test_stars_are_24000_and_6000_without_a_shared_comment(recipe_corpus: Callable[[str], Corpus]) -> None:
    """As many comments as published, and none in two splits, whatever its case and punctuation."""
    found = rows(recipe_corpus("douban-stars"))

    assert Counter(row["split"] for row in found) == {"train": 24_000, "validation": 2_000, "test": 6_000}
    keys = {split: {dedupe_key(row["text"]) for row in found if row["split"] == split} for split in ("train", "test")}
    assert not keys["train"] & keys["test"]


@pytest.mark.data
def test_emotions_are_measured_on_the_same_texts_whatever_is_learned_from(
    recipe_corpus: Callable[[str], Corpus],
) -> None:
    """The three corpora of seven emotions have one test: the official one, row for row; nothing of it is elsewhere."""
    names = ("emotions-7-base", "emotions-7", "emotions-7-wide")
    found = {name: rows(recipe_corpus(name)) for name in names}
    tests = [[(row["id"], row["labels"]) for row in found[name] if row["split"] == "test"] for name in names]

    assert len(tests[0]) == 5_427
    assert tests[0] == tests[1] == tests[2]
    for name in names:
        validation = {row["source"] for row in found[name] if row["split"] == "validation"}
        assert validation == {"ru-goemotions"}
        test = {dedupe_key(row["text"]) for row in found[name] if row["split"] == "test"}
        assert not test & {dedupe_key(row["text"]) for row in found[name] if row["split"] != "test"}


@pytest.mark.data
def test_official_tests_are_whole(recipe_corpus: Callable[[str], Corpus]) -> None:
    """CEDR's 734 texts without emotion have a label; ru-izard, RuSentiment and SentiRuEval keep their tests."""
    cedr = [row["labels"] for row in rows(recipe_corpus("cedr")) if row["split"] == "test"]
    assert len(cedr) == 1_882
    assert cedr.count(["no_emotion"]) == 734
    assert all(cedr)
    assert recipe_corpus("izard-10").table("test").num_rows == 2_489
    social = Counter(row["source"] for row in rows(recipe_corpus("sentiment-social")) if row["split"] == "test")
    assert social == {"rusentiment": 2_214, "sentirueval-2016-banks": 3_302, "sentirueval-2016-telecom": 2_198}


@pytest.mark.data
def test_the_union_has_the_published_order_and_names(recipe_corpus: Callable[[str], Corpus]) -> None:
    """Outputs 0, 1, 2 are neutral, positive, negative, each with its Russian name, and still lie on a scale."""
    scheme = recipe_corpus("sentiment-union").label_scheme

    assert scheme.labels == ("neutral", "positive", "negative")
    assert scheme.titles["ru"] == ("нейтральный", "позитивный", "негативный")
    assert scheme.values == (0.0, 1.0, -1.0)


def sample(corpus: Corpus, folder: Path, *, train: int = 160, others: int = 60) -> Path:
    """Write a corpus of some of a corpus's real rows; return its folder."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    parts = []
    for split, count in (("train", train), ("validation", others), ("test", others)):
        table = corpus.table(split)
        parts.append(table.take(list(range(0, table.num_rows, max(1, table.num_rows // count)))[:count]))
    folder.mkdir(parents=True)
    pq.write_table(pa.concat_tables(parts), folder / "corpus.parquet")
    (folder / "manifest.json").write_text(json.dumps(corpus.manifest, ensure_ascii=False), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a random BERT, 32 wide, that reads up to 512 tokens."""
    pytest.importorskip("torch")
    from tiny_encoders import tiny_encoder

    return tiny_encoder(tmp_path_factory.mktemp("encoder") / "tiny", sizes={"max_position_embeddings": 512})


# Without generated texts there is no such corpus; the leaderboard's rows differ in their encoders, which are tiny here.
ALIKE = {"01", "15", "18", "22"}
TRAINED = [
    (file, arm)
    for file, arm in RUNS
    if arm != "2a-generated" and (file.stem != "emotions-encoders" or (arm or "")[:2] in ALIKE)
]


@pytest.mark.data
@pytest.mark.train
@pytest.mark.parametrize(
    ("file", "arm"), TRAINED, ids=[f"{file.parent.name}/{file.stem}/{arm}" for file, arm in TRAINED]
)
def test_every_arm_trains_on_its_real_texts(
    file: Path, arm: str | None, recipe_corpus: Callable[[str], Corpus], tiny: Path, tmp_path: Path
) -> None:
    """Three steps with a tiny encoder on some real rows: what the recipe asks for fits its corpus and is measured."""
    from ottenok.studies.training import train

    plain = load_recipe(file, variant=arm)
    name = plain.data.recipe or ""
    steps = [f"model.encoder={tiny}", "schedule.max_steps=3", "text.max_length=32", "batch.size=8", "run.export=false"]
    steps += ["model.layers=[1]"] if plain.model.layers else []
    over = override([*steps, f"data.corpus={sample(recipe_corpus(name), tmp_path / 'rows')}"])
    recipe: TrainRecipe = load_recipe(file, over, variant=arm)
    trained = train(recipe, tmp_path / "out")

    assert trained is not None
    assert recipe.run.metric in trained.epochs[0]
    reports = trained.reports["test" if recipe.run.test else "validation"]
    assert max(report.rows for report in reports.values()) == 60 if len(reports) == 1 else len(reports) == 3
