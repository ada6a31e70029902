"""Noise and emoji in training: drawn anew for each epoch, the same again on resuming, and the same texts in use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ottenok.core.config import merge, parse
from ottenok.core.errors import ConfigError
from ottenok.core.schemes import load_scheme
from ottenok.recipes.train import NoiseOptions, TextLimits, TrainRecipe
from ottenok.tasks.decision import Decision
from ottenok.tasks.task import Task
from ottenok.text.normalise import TextOptions
from ottenok.training.facts import text_options

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ottenok.data.corpus import Corpus

pytest.importorskip("torch")
from ottenok.training.dataset import RowNoise

TEXTS = [f"совсем не понравилось, номер {number} был ужасен" for number in range(200)]
_RECIPE: dict[str, Any] = {
    "name": "noisy",
    "text": {"max_length": 24},
    "model": {"pooling": "mean"},
    "schedule": {"epochs": 2},
    "batch": {"size": 8},
    "run": {"precision": "fp32", "test": False},
}


def _noise(seed: int = 1, **options: Any) -> RowNoise:
    return RowNoise(
        texts=TEXTS,
        options=NoiseOptions(**options),
        seed=seed,
        encode=lambda texts: [[ord(letter) for letter in text] for text in texts],
    )


def _read(noise: RowNoise, rows: list[int], epoch: int = 0) -> dict[int, str]:
    return {rows[place]: "".join(map(chr, ids)) for place, ids in noise(rows, epoch).items()}


def test_noise_follows_from_seed_epoch_and_row() -> None:
    """In whatever batches rows come, an epoch gives each the same noise; another epoch or seed gives other noise."""
    every = list(range(200))
    whole = _read(_noise(), every)
    parts = {row: text for rows in (every[150:], every[:150][::-1]) for row, text in _read(_noise(), rows).items()}

    assert whole == parts
    assert whole != _read(_noise(), every, epoch=1)
    assert whole != _read(_noise(seed=2), every)


def test_share_and_kinds_are_obeyed() -> None:
    """About the share of the rows get noise of one of the kinds; a share of 0 leaves all alone, one of 1 none."""
    every = list(range(200))
    found = _read(_noise(share=0.3, kinds=("case",), rate=1.0), every)

    assert 35 < len(found) < 85
    assert {text.lower() for text in found.values()} <= set(TEXTS)
    assert _read(_noise(share=0.0), every) == {}
    assert len(_read(_noise(share=1.0, rate=0.5), every)) > 190
    assert _read(_noise(share=1.0, rate=0.0), every) == {}


def test_light_changes_come_each_at_its_rate() -> None:
    """Capitals, dates and quotes hit about the share of the texts that the recipe says, independently of each other."""
    every = list(range(200))
    found = _read(_noise(share=0.0, light={"upper": 0.3, "quotes": 0.2}), every)
    upper = {row for row, text in found.items() if text != text.lower()}
    quoted = {row for row, text in found.items() if text[0] in "«\"„'"}

    assert 35 < len(upper) < 85
    assert 20 < len(quoted) < 65
    assert upper & quoted
    assert upper | quoted == set(found)


def test_a_recipe_says_what_noise() -> None:
    """Without the table there is none; unknown kinds are refused by name."""
    base = {**_RECIPE, "model": {"encoder": "x"}}

    assert parse(TrainRecipe, base).noise is None
    assert parse(TrainRecipe, {**base, "noise": {"kinds": ["yo"]}}).noise == NoiseOptions(kinds=("yo",))
    for wrong in ({"kinds": ["rain"]}, {"kinds": []}, {"rate": 2.0}, {"share": -0.1}):
        with pytest.raises(ConfigError, match="noise"):
            parse(TrainRecipe, {**base, "noise": wrong})


def test_emoji_of_a_recipe_and_a_corpus(toy_corpus: Corpus) -> None:
    """A recipe may treat the emoji of a corpus that has them; the rest of the options are the corpus's."""
    assert text_options(toy_corpus, TextLimits()) == TextOptions(yo="e")
    assert text_options(toy_corpus, TextLimits(emoji="name")) == TextOptions(yo="e", emoji="name")

    toy_corpus.manifest["recipe"]["text"]["emoji"] = "remove"
    try:
        assert text_options(toy_corpus, TextLimits(emoji="remove")) == TextOptions(yo="e", emoji="remove")
        with pytest.raises(ConfigError, match=r"built with text\.emoji = 'remove'"):
            text_options(toy_corpus, TextLimits(emoji="keep"))
    finally:
        del toy_corpus.manifest["recipe"]["text"]["emoji"]


def test_a_batch_has_the_noisy_rows_in_their_places() -> None:
    """Noisy rows take the place of the rows themselves; their answers stay with them."""
    dataset = pytest.importorskip("ottenok.training.dataset")
    table = dataset.TokenTable(ids=np.arange(1, 7, dtype=np.int32), starts=np.array([0, 1, 3, 6]), full=0)
    labels = dataset.TaskLabels(truth=np.eye(3, dtype=bool))
    column = dataset.Coded.of(["a", "b", "a"])
    examples = dataset.Examples(tokens=table, labels=(labels,), sources=column, languages=column)
    task = Task.of(load_scheme("sentiment-3"), Decision(activation="softmax"))

    make = dataset.BatchMaker(examples, [task], padding=0, noise=lambda rows, epoch: {1: [9, 9, 9, 9]})
    batch = make([2, 0])

    assert batch.inputs["input_ids"].tolist() == [[4, 5, 6, 0], [9, 9, 9, 9]]
    assert batch.targets[0].answers.tolist() == [2, 0]
    assert (batch.texts, batch.tokens) == (2, 7)


@pytest.mark.train
def test_training_and_prediction_read_the_same(
    make_corpus: Callable[..., Corpus], tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With emoji named and noise put in, what is trained on is what the classifier would read of the same text."""
    pytest.importorskip("emoji")
    pytest.importorskip("onnxruntime")
    from ottenok.bundle.manifest import TOKENIZER
    from ottenok.inference.tokens import read_tokenizer
    from ottenok.text.normalise import normalise
    from ottenok.training import run
    from ottenok.training.dataset import BatchMaker

    corpus = make_corpus(rows=90, words={"positive": ["😂👍🏽", "хорошо))"], "negative": ["плохо :(", "😡"]})
    seen: list[list[int]] = []
    given = BatchMaker.__call__
    monkeypatch.setattr(BatchMaker, "__call__", lambda self, rows, epoch: _kept(given(self, rows, epoch), seen))
    over = {"model": {"encoder": str(tiny)}, "text": {"emoji": "name"}, "noise": {"kinds": ["case"], "share": 0.5}}
    fitted = run.train(parse(TrainRecipe, merge(_RECIPE, over)), corpus=corpus, out=tmp_path / "run")

    assert fitted is not None
    options = fitted.bundle.manifest.text
    assert options == TextOptions(yo="e", emoji="name")
    tokenizer = read_tokenizer(fitted.bundle.folder / TOKENIZER)
    texts = corpus.table("train", columns=("text",)).column("text").to_pylist()
    clean = {tuple(tokenizer.encode(normalise(text, options)).ids[:24]) for text in texts}
    shares = [sum(tuple(ids) in clean for ids in part) / len(part) for part in (seen[: len(texts)], seen[len(texts) :])]
    assert all(0.3 < share < 1.0 for share in shares)


def _kept(batch: Any, seen: list[list[int]]) -> Any:
    inputs = batch.inputs
    for ids, mask in zip(inputs["input_ids"].tolist(), inputs["attention_mask"].sum(dim=1).tolist(), strict=True):
        seen.append(ids[:mask])
    return batch
