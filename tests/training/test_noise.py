"""Noise and emoji in training: drawn anew for each epoch, the same again on resuming, and the same texts in use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ottenok.core.config import merge, parse
from ottenok.core.errors import ConfigError
from ottenok.recipes.train import TextLimits, TrainRecipe
from ottenok.text.normalise import TextOptions
from ottenok.training.facts import text_options
from ottenok.training.noise import NoiseOptions, RowNoise

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ottenok.data.corpus import Corpus

TEXTS = [f"совсем не понравилось, номер {number} был ужасен" for number in range(200)]
_RECIPE: dict[str, Any] = {
    "name": "noisy",
    "text": {"max_length": 24},
    "model": {"pooling": "mean"},
    "schedule": {"epochs": 2},
    "batch": {"size": 8},
    "run": {"precision": "fp32", "test": False},
}


def _noise(epoch: int = 0, seed: int = 1, **options: Any) -> RowNoise:
    return RowNoise(
        texts=TEXTS,
        options=NoiseOptions(**options),
        seed=seed,
        epoch=lambda: epoch,
        encode=lambda texts: [[ord(letter) for letter in text] for text in texts],
    )


def _read(noise: RowNoise, rows: list[int]) -> dict[int, str]:
    return {rows[place]: "".join(map(chr, ids)) for place, ids in noise(rows).items()}


def test_noise_follows_from_seed_epoch_and_row() -> None:
    """In whatever batches rows come, an epoch gives each the same noise; another epoch or seed gives other noise."""
    every = list(range(200))
    whole = _read(_noise(), every)
    parts = {row: text for rows in (every[150:], every[:150][::-1]) for row, text in _read(_noise(), rows).items()}

    assert whole == parts
    assert whole != _read(_noise(epoch=1), every)
    assert whole != _read(_noise(seed=2), every)


def test_share_and_kinds_are_obeyed() -> None:
    """About the share of the rows get noise of one of the kinds; a share of 0 leaves all alone, one of 1 none."""
    every = list(range(200))
    found = _read(_noise(share=0.3, kinds=("case",), rate=1.0), every)

    assert 35 < len(found) < 85
    assert {text.lower() for text in found.values()} <= set(TEXTS)
    assert _noise(share=0.0)(every) == {}
    assert len(_noise(share=1.0)(every)) == 200
    assert _read(_noise(share=1.0, rate=0.0), every) == dict(enumerate(TEXTS))


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
    examples = pytest.importorskip("ottenok.training.examples")
    tokens = pytest.importorskip("ottenok.training.tokens")
    table = tokens.TokenTable(ids=np.arange(1, 7, dtype=np.int32), starts=np.array([0, 1, 3, 6]), full=0)
    answers = np.array([5, 6, 7], dtype=np.int64)

    rows = examples.ExampleSet(table, answers, 0, noise=lambda rows: {1: [9, 9, 9, 9]})
    batch = rows.__getitems__([2, 0])

    assert batch["input_ids"].tolist() == [[4, 5, 6, 0], [9, 9, 9, 9]]
    assert batch["labels"].tolist() == [7, 5]


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
    from ottenok.training.examples import ExampleSet

    corpus = make_corpus(rows=90, words={"positive": ["😂👍🏽", "хорошо))"], "negative": ["плохо :(", "😡"]})
    seen: list[list[int]] = []
    given = ExampleSet.__getitems__
    monkeypatch.setattr(ExampleSet, "__getitems__", lambda self, rows: _kept(given(self, rows), seen))
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
    for ids, mask in zip(batch["input_ids"].tolist(), batch["attention_mask"].sum(dim=1).tolist(), strict=True):
        seen.append(ids[:mask])
    return batch
