"""The marks of the model with several tasks: what measures them is a test, and our own texts are as they are told."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ottenok.core.config import read_toml
from ottenok.core.language import detect_language
from ottenok.core.schemes import load_scheme
from ottenok.data.card import load_card
from ottenok.data.harmonise import task_harmonisers
from ottenok.recipes.corpus import load_recipe
from scripts import import_script

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[2]
SYSTEMS = ROOT / "docs" / "systems"
MARKS: list[dict[str, Any]] = read_toml(SYSTEMS / "marks-shades.toml")["marks"]
FLIPS: dict[str, Any] = read_toml(SYSTEMS / "marks-shades.toml")["flips"]


def table(name: str) -> list[dict[str, str]]:
    """Read one of our own tables."""
    with (SYSTEMS / "texts" / name).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script that measures the marks."""
    return import_script(SYSTEMS / "shades.py")


def test_plain_texts_are_pairs_of_a_hundred() -> None:
    """A hundred neutral texts and fifty of each pole, each once in Russian and once in Chinese."""
    rows = table("plain.csv")
    assert Counter(row["label"] for row in rows) == {"neutral": 100, "positive": 50, "negative": 50}
    kinds = Counter(row["kind"] for row in rows if row["label"] == "neutral")
    assert set(kinds) == {"fact", "question", "instruction", "news", "dialogue"}
    assert min(kinds.values()) >= 10
    for language in ("ru", "zh"):
        assert len({row[language] for row in rows}) == 200
        assert {detect_language(row[language]) for row in rows} == {language}


def test_robustness_texts_are_49_and_others() -> None:
    """49 texts in both languages with all three labels, none of which is among the plain ones."""
    rows = table("robustness.csv")
    assert len({row["text"] for row in rows}) == 49
    assert min(Counter((row["language"], row["label"]) for row in rows).values()) >= 6
    assert all(detect_language(row["text"]) == row["language"] for row in rows)
    plain = {row[language] for row in table("plain.csv") for language in ("ru", "zh")}
    assert not plain & {row["text"] for row in rows}


@pytest.mark.parametrize("mark", MARKS, ids=lambda mark: mark["what"])
def test_a_mark_names_rows_that_are_there(mark: dict[str, Any]) -> None:
    """A mark's labels are those of its task; its source has labels for the task, and is no training row's."""
    labels = load_scheme(mark["task"]).labels
    assert {*mark.get("labels", ()), *mark.get("choose", ()), mark.get("label", labels[0])} <= set(labels)
    assert mark["metric"] == ("recall" if "label" in mark else "macro_f1")
    if "file" in mark:
        assert mark["text"] in table(Path(mark["file"]).name)[0]
        return
    assert mark["split"] == "test" or mark["source"] == "rusentitweet"
    recipe = load_recipe(ROOT / "recipes" / "data" / "shades.toml")
    [spec] = [spec for spec in recipe.sources if spec.name == mark["source"]]
    found = task_harmonisers(spec, load_card(spec.name).label, [load_scheme(name) for name in recipe.task_names])
    harmoniser = found[recipe.task_names.index(mark["task"])]
    assert harmoniser is not None
    counted = {*mark.get("labels", labels)} if "label" not in mark else {mark["label"]}
    assert counted <= set(harmoniser.classes)


def test_changes_keep_the_text(script: ModuleType) -> None:
    """Each change has the text in it, in capitals or as it is."""
    for name, change in FLIPS["changes"].items():
        for language in ("ru", "zh"):
            found = script.changed("Всё хорошо", language, name, change)
            assert "всё хорошо" in found.lower()
            assert found != "Всё хорошо"


def test_a_mark_is_measured_by_hand_counts(script: ModuleType) -> None:
    """Macro F1 over chosen labels and recall of one label are those of counts by hand."""
    truth = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=bool)
    answer = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 1, 0]], dtype=bool)
    labels = load_scheme("sentiment-3").labels
    macro = {"metric": "macro_f1", "labels": ["negative", "positive"]}
    assert script.value(macro, script.counts(macro, truth, answer, labels).sum(axis=0)) == pytest.approx((2 / 3) / 2)
    recall = {"metric": "recall", "label": "negative"}
    assert script.value(recall, script.counts(recall, truth, answer, labels).sum(axis=0)) == 0.5


def test_the_embedded_model_can_be_measured(script: ModuleType) -> None:
    """The script's flips of the embedded model are counts of 49 texts, a number for each change."""
    import ottenok

    found = script.flips(FLIPS, ottenok.load())
    assert set(found) == set(FLIPS["changes"])
    assert all(0 <= turned <= 49 for turned in found.values())
