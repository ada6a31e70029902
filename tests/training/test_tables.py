"""Recipes, token tables, class weights, histories: what a run is told and what it tells."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottenok.core.config import assignments, override
from ottenok.core.errors import ConfigError
from ottenok.recipes.files import recipe_names
from ottenok.recipes.model import LossOptions, Problem
from ottenok.recipes.train import load_recipe
from ottenok.training.folder import read_history

if TYPE_CHECKING:
    from pathlib import Path


def test_recipes_are_found_by_name() -> None:
    """`default` is a name; a misspelt one is told of it."""
    assert "default" in recipe_names()
    assert load_recipe("default").name == "default"
    with pytest.raises(ConfigError, match="Did you mean 'default'"):
        load_recipe("defualt")


def test_every_key_can_be_replaced_on_the_command_line() -> None:
    """Both spellings of an override, and the name of an earlier version, reach the recipe with TOML's types."""
    given_ = ["--optim.lr", "3e-5", "--model.head.hidden=[8, 4]", "--model.head.kind", "mlp", "--run.test=true"]
    recipe = load_recipe("default", override(assignments(given_)))

    assert recipe.optim.learning_rate == 3e-5
    assert recipe.model.head.hidden == (8, 4)
    assert recipe.model.head.kind == "mlp"
    assert recipe.run.test


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--optim.learning_rat", "1"], "Did you mean 'learning_rate'"),
        (["--optim.lr", "fast"], "valid number"),
        (["--optim.lr", "0"], "greater than 0"),
        (["--schedule.epochs", "1.5"], "integer"),
        (["--optim.lr"], "the value is missing"),
        (["--lr", "1"], "--section.key"),
        (["lr"], "--section.key"),
    ],
)
def test_wrong_overrides_are_refused(arguments: list[str], words: str) -> None:
    """The error says which key, and what was expected."""
    with pytest.raises(ConfigError, match=words):
        load_recipe("default", override(assignments(arguments)))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("text.max_length", str(2**70)),
        ("text.max_length", "3"),
        ("seed", str(2**32)),
        ("optim.adam_beta1", "1.0"),
        ("optim.adam_beta2", "-0.1"),
        ("optim.learning_rate", "inf"),
        ("optim.learning_rate", "nan"),
        ("schedule.warmup_ratio", "1.5"),
        ("schedule.num_train_epochs", "0"),
        ("batch.batch_size", "1000000000000"),
        ("batch.batch_size", "9" * 5000),
        ("run.precision", "fp8"),
        ("balance.repeats", "0"),
    ],
)
def test_values_out_of_range_are_refused_when_they_are_read(key: str, value: str) -> None:
    """Numbers that no run could have are refused with their key, before anything is loaded."""
    with pytest.raises(ConfigError) as caught:
        load_recipe("default", override([f"{key}={value}"]))
    assert caught.value.key == key


def test_recipes_that_no_reader_can_take_are_refused(tmp_path: Path) -> None:
    """A number of thousands of digits, and tables a thousand deep, are no traceback."""
    for number, text in enumerate([f"seed = {'9' * 5000}", f"a = {'[' * 3000}{']' * 3000}"]):
        file = tmp_path / f"{number}.toml"
        file.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError, match="not valid TOML"):
            load_recipe(file)


def test_keys_of_an_earlier_version_are_read_with_a_note(tmp_path: Path) -> None:
    """Old names and old values become today's, also in variants; both names of one key are refused."""
    notes: list[str] = []
    file = tmp_path / "old.toml"
    text = """
name = "old"
text.keep = "end"
optim = { lr = 1e-3, betas = [0.8, 0.9] }
model.encoder = "x"
[[arms]]
name = "a"
schedule.epochs = 7
"""
    file.write_text(text, encoding="utf-8")
    recipe = load_recipe(file, override(["batch.size=4"]), variant="a", note=notes.append)

    assert (recipe.text.truncation_side, recipe.optim.learning_rate) == ("left", 1e-3)
    assert (recipe.optim.adam_beta1, recipe.optim.adam_beta2) == (0.8, 0.9)
    assert (recipe.schedule.num_train_epochs, recipe.batch.batch_size) == (7, 4)
    assert "text.keep is called text.truncation_side now" in notes
    assert "[[arms]] is called [[variants]] now" in notes
    assert len(notes) == 6
    file.write_text('name = "b"\nmodel.encoder = "x"\noptim = { lr = 1, learning_rate = 2 }', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"old name of optim\.learning_rate"):
        load_recipe(file)


@given(st.text(max_size=20))
def test_any_argument_is_an_assignment_or_an_error(text: str) -> None:
    """No argument gives a traceback."""
    with contextlib.suppress(ConfigError):
        assert all("=" in one for one in assignments([text, text]))


def test_token_tables_give_back_their_texts() -> None:
    """Rows come out as they went in, cut to the limit; a text without tokens gets one."""
    tokens = pytest.importorskip("ottenok.training.dataset")

    class _Words:
        unk_token_id, pad_token_id = 9, 0

        def __call__(self, texts: list[str], *, max_length: int, **_: object) -> dict[str, list[list[int]]]:
            return {"input_ids": [[len(word) for word in text.split()][:max_length] for text in texts]}

    chunks = [tokens.encode_texts(_Words(), texts, 3) for texts in (["a bb", "ccc dd e f"], [""])]
    table = tokens.token_table(chunks, 3)
    assert [row.tolist() for row in table.rows([0, 1, 2])] == [[1, 2], [3, 2, 1], [9]]
    assert table.full == 1
    assert [row.tolist() for row in table.take(np.array([2, 0])).rows([0, 1])] == [[9], [1, 2]]
    padded = tokens.pad(table.rows([0, 2]), 7)
    assert padded["input_ids"].tolist() == [[1, 2], [9, 7]]
    assert padded["attention_mask"].tolist() == [[1, 1], [1, 0]]


def test_class_weights_follow_the_labels() -> None:
    """Rare labels weigh more, given weights are taken, and a wrong number of them is refused."""
    torch = pytest.importorskip("torch")
    from ottenok.training.dataset import TaskLabels
    from ottenok.training.fit import label_weights

    # Two rows without a label count for nothing.
    truth = np.concatenate([np.eye(3, dtype=bool)[[0, 0, 0, 0, 1, 1, 2]], np.zeros((2, 3), dtype=bool)])
    labels = TaskLabels(truth=truth, known=truth.any(axis=1))

    def weights(wanted: str | tuple[float, ...], problem: Problem = "multi-class") -> Any:
        found = label_weights(LossOptions(class_weights=wanted), labels, problem, torch.device("cpu"))
        return None if found is None else found.numpy()

    assert weights("none") is None
    np.testing.assert_allclose(weights("balanced") / weights("balanced")[0], [1.0, 2.0, 4.0])
    np.testing.assert_allclose(weights("balanced", "multi-label"), [1.0, 2.5, 6.0])
    assert weights((1.0, 2.0, 3.0)).tolist() == [1.0, 2.0, 3.0]
    for wrong in ((1.0, 2.0), (1.0, 0.0, 1.0)):
        with pytest.raises(ConfigError, match="one per label"):
            weights(wrong)


class _Notes:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def start(self, stage: str, *, total: int | None, unit: str) -> None:
        """Ignore."""

    def advance(self, count: int = 1) -> None:
        """Ignore."""

    def finish(self) -> None:
        """Ignore."""

    def note(self, message: str) -> None:
        """Keep the line."""
        self.lines.append(message)


def _entry(epoch: float, score: float) -> dict[str, float]:
    counts = {"texts": 20, "tokens": 600, "tokens_per_second": 300.0, "minutes": 2.0 / 60.0}
    return {"epoch": epoch, "step": int(epoch * 10), "macro_f1": score, "loss": 1 - score, **counts}


def test_the_history_chooses_the_earliest_of_equals(tmp_path: Path) -> None:
    """Of two epochs that are equally good the first is the best, whichever way is better."""
    history = pytest.importorskip("ottenok.training.observers")
    for metric in ("macro_f1", "loss"):
        kept = history.History(None, _Notes(), metric=metric)
        kept.update([_entry(1, 0.5), _entry(2, 0.7), _entry(3, 0.7), _entry(4, 0.6)])
        assert kept.best() == 1
        assert kept.exhausted(2)
        assert not kept.exhausted(3)
        assert not kept.exhausted(None)


def test_the_history_is_told_once_and_kept_as_json_lines(tmp_path: Path) -> None:
    """Each epoch is one line of the table under one header, and one line of `history.jsonl`."""
    history = pytest.importorskip("ottenok.training.observers")
    notes = _Notes()
    kept = history.History(tmp_path / "history.jsonl", notes, metric="macro_f1")
    kept.update([_entry(1, 0.5)])
    kept.update([_entry(1, 0.5), _entry(2, 0.7)])

    assert len(notes.lines) == 3
    assert "macro F1" in notes.lines[0]
    rows = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["macro_f1"] for row in rows] == [0.5, 0.7]
    assert rows[0]["tokens_per_second"] == 300.0
    assert read_history(tmp_path) == rows


def test_the_table_of_epochs_shows_what_the_best_one_is_chosen_by() -> None:
    """A measure that the table does not show as a rule has a column when epochs are chosen by it."""
    history = pytest.importorskip("ottenok.training.observers")
    notes = _Notes()
    kept = history.History(None, notes, metric="macro_auc")
    kept.update([_entry(1, 0.5) | {"macro_auc": 0.8125}])
    assert "macro AUC" in notes.lines[0]
    assert "0.8125" in notes.lines[1]
