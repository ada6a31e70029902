"""Corpus recipes: what is read, what is refused, and how the user's own data stands in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ottenok.core.config import override, parse
from ottenok.core.errors import ConfigError, SchemeError
from ottenok.data.card import card_names, load_card
from ottenok.data.harmonise import task_harmonisers
from ottenok.data.own import corpus_schemes
from ottenok.recipes.corpus import CorpusRecipe, SourceSpec, load_recipe

RECIPES = sorted((Path(__file__).parents[2] / "recipes" / "data").glob("*.toml"))
SMALL = {"name": "small", "scheme": "sentiment-3", "sources": [{"card": "rusentiment"}]}


def test_defaults_are_the_documented_ones() -> None:
    """A recipe of three lines is enough: 80/10/10, near duplicates at 0.8, majority of labels."""
    recipe = parse(CorpusRecipe, SMALL)
    assert (recipe.split.train, recipe.split.validation, recipe.split.test) == (0.8, 0.1, 0.1)
    assert (recipe.clean.near, recipe.clean.threshold, recipe.clean.conflicts) == (True, 0.8, "majority")
    assert recipe.sources[0].use == "all"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clean": {"treshold": 0.9}}, "Did you mean 'threshold'"),
        ({"clean": {"threshold": 0.3}}, "greater than or equal to 0.5"),
        ({"split": {"train": 0.5}}, "must sum to 1, and they sum to 0.7"),
        ({"text": {"urls": "remove"}}, "'replace', 'drop' or 'keep'"),
        ({"sources": []}, "at least 1 item"),
        ({"sources": [{"card": "cedr", "own": {"name": "x", "file": "x.csv"}}]}, "either a card or"),
        ({"sources": [{}]}, "either a card or"),
        ({"sources": [{"own": {"name": "x"}}]}, "one of file, files and hub"),
        ({"sources": [{"card": "cedr", "use": "train"}]}, "'all', 'train-only' or 'test-only'"),
        ({"own_scheme": {"name": "cedr-5", "kind": "multi-class", "labels": ["a", "b"]}}, "built-in scheme"),
        ({"own_scheme": {"name": "mine", "kind": "ordinal", "labels": ["a", "b"]}}, "one value per label"),
        ({"own_scheme": {"name": "mine", "kind": "multi-class", "labels": ["a", "a"]}}, "must be different"),
        (
            {"own_scheme": {"name": "mine", "kind": "multi-class", "labels": ["a", "b"], "titles": {"ru": ["а"]}}},
            "one name per label",
        ),
    ],
)
def test_wrong_recipes_are_refused(change: dict[str, object], message: str) -> None:
    """Each wrong key or value gives an error that says what was expected."""
    with pytest.raises(ConfigError, match=message):
        parse(CorpusRecipe, {**SMALL, **change})


def test_overrides_are_laid_over_the_file(tmp_path: Path) -> None:
    """Every key can be set from the command line, and the resolved recipe reads itself back."""
    file = tmp_path / "recipe.toml"
    file.write_text('name = "x"\nscheme = "sentiment-3"\n[[sources]]\ncard = "rusentiment"\n', encoding="utf-8")
    recipe = load_recipe(file, override(["clean.threshold=0.9", "seed=7"]))
    assert (recipe.clean.threshold, recipe.seed) == (0.9, 7)
    assert parse(CorpusRecipe, recipe.model_dump(mode="json", exclude_none=True)) == recipe


def test_own_files_lie_beside_the_recipe_and_leave_no_trace_of_their_folder(tmp_path: Path) -> None:
    """A relative path is relative to the recipe; what goes into the manifest is the file's name alone."""
    file = tmp_path / "recipe.toml"
    file.write_text(
        'name = "x"\nscheme = "own"\n'
        '[[sources]]\nown = { name = "mine", files = { train = "a/t.csv", test = "b.csv" } }\n',
        encoding="utf-8",
    )
    own = load_recipe(file).sources[0].own
    assert own is not None
    assert own.files == {"train": str(tmp_path / "a/t.csv"), "test": str(tmp_path / "b.csv")}
    assert str(tmp_path) not in load_recipe(file).without_folders().model_dump_json()


def test_parts_are_chosen_by_name_and_pattern() -> None:
    """What is left out goes before what is wanted; rows without a part have the empty name."""
    spec = SourceSpec(card="x", parts=("книги", "тел*"), without_parts=("телевизоры",))
    assert [spec.wants(part) for part in ("книги", "телефоны", "телевизоры", "одежда", None)] == [
        True,
        True,
        *[False] * 3,
    ]
    assert SourceSpec(card="x", without_parts=("酒店",)).wants(None)


def test_the_scheme_must_exist() -> None:
    """An unknown scheme names the nearest; `own` needs the user's own data."""
    for scheme, message in (("sentiment-4", "Did you mean 'sentiment-3'"), ("own", "no source has labels of its own")):
        with pytest.raises(SchemeError, match=message):
            corpus_schemes(parse(CorpusRecipe, {**SMALL, "scheme": scheme}), [load_card("rusentiment")])


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.stem)
def test_the_recipes_that_ship_are_sound(file: Path) -> None:
    """Each committed recipe parses, is named as its file, and every card of it leads to its scheme by a sound map."""
    recipe = load_recipe(file)
    assert recipe.name == file.stem
    names = [spec.name for spec in recipe.sources]
    assert sorted(set(names)) == sorted(names)
    cards = {spec.name: load_card(spec.name) for spec in recipe.sources if spec.card}
    schemes = corpus_schemes(recipe, list(cards.values()))
    for spec in recipe.sources:
        if card := cards.get(spec.name):
            found = task_harmonisers(spec, card.label, schemes)
            assert any(found)
            assert all(len(one.classes) > 1 for one in found if one is not None)


def test_every_published_system_has_its_recipe() -> None:
    """The corpora of the five published systems and of the embedded default are there, made of known cards."""
    assert {file.stem for file in RECIPES} >= {
        "sentiment-union",
        "sentiment-balanced",
        "kinopoisk",
        "douban-stars",
        "emotions-7",
        "sentiment-ru-zh",
        "sentiment-ru-zh-rusentiment",
    }
    cards = {spec.card for file in RECIPES for spec in load_recipe(file).sources if spec.card}
    assert cards <= set(card_names())
