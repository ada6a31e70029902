"""What a model loses under noise."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ottenok.core.errors import ConfigError
from ottenok.core.schemes import load_scheme
from ottenok.studies.evaluation import evaluate_rows
from ottenok.studies.robustness import UnderNoise, changes, noise_table, under_noise
from ottenok.studies.rows import Rows
from ottenok.tasks.baselines import LabelledTexts
from ottenok.tasks.decision import Decision
from ottenok.tasks.paired import PairedOptions
from ottenok.tasks.task import Task
from ottenok.text.noise import add_noise
from toys import fake_classifier

if TYPE_CHECKING:
    import numpy.typing as npt

SENTIMENT = load_scheme("sentiment-3")
WORDS = ("Плохо", "Стол", "Чудесно")
TEXTS = [f"{WORDS[row % 3]} {row}" + (" 😀" if row % 2 else "") for row in range(60)]
IDS = tuple(f"mine/{row}" for row in range(60))
TASK = Task.of(SENTIMENT, Decision(activation="softmax"))
TRUTH = np.eye(3, dtype=np.bool_)[[row % 3 for row in range(60)]]


class _Reader:
    """Knows the words as they are written above, and takes all else for neutral."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, texts: list[str]) -> npt.NDArray[np.float32]:
        self.seen += texts
        known = [WORDS.index(text.split()[0]) if text.split()[0] in WORDS else 1 for text in texts]
        return np.eye(3, dtype=np.float32)[known]


def _measured(
    reader: _Reader, noise: list[str], emoji: list[str] | None = None, *, resamples: int = 0
) -> tuple[UnderNoise, ...]:
    probs = reader(TEXTS)
    reader.seen.clear()
    options = PairedOptions(resamples=resamples, permutations=0)
    asked = changes(noise, emoji or [])
    return under_noise(TASK, TEXTS, TRUTH, probs, read=reader, changes=asked, options=options)


def test_noise_costs_what_the_model_can_not_bear() -> None:
    """A model that knows words by their capitals loses under `case`, with an interval below 0."""
    reader = _Reader()

    clean, case, bare = _measured(reader, ["case:1"], ["remove"], resamples=200)

    assert (clean.name, clean.macro_f1, clean.changed) == ("clean", 1.0, 0.0)
    assert case.name == "case:1"
    assert (case.changed, case.texts) == (1.0, 60)
    assert clean.flips == 0 < case.flips <= 40
    assert case.macro_f1 == pytest.approx(1.0 + case.difference)
    assert case.macro_f1 < 0.3
    assert case.high is not None
    assert case.high < 0.0
    assert (bare.name, bare.changed, bare.difference, bare.low, bare.high) == ("emoji remove", 0.5, 0.0, 0.0, 0.0)
    assert bare.flips == 0
    assert len(reader.seen) == 60 + 30


def test_the_same_seed_is_the_same_noise() -> None:
    """Noise follows from the seed; another one is other noise."""

    def noisy(seed: int) -> list[str]:
        change = changes(["typos:0.5"], seed=seed)["typos:0.5"]
        return [change(text) for text in TEXTS]

    assert noisy(0) == noisy(0) == [add_noise(text, "typos", rate=0.5, seed=0) for text in TEXTS]
    assert noisy(0) != noisy(1)


def test_nothing_asked_is_nothing_measured() -> None:
    """Without noise there is no table, and nothing is read."""
    reader = _Reader()

    assert _measured(reader, []) == ()
    assert reader.seen == []


def test_the_table_shows_the_price() -> None:
    """A row per noise, the clean texts first; without resamples there are no brackets."""
    grid = noise_table(_measured(_Reader(), ["case:1"]))

    assert grid.header == ("", "texts changed", "answers that change", "macro F1", "difference from clean")
    assert grid.rows[0] == ("clean", "-", "-", "1.000", "-")
    assert grid.rows[1][:2] == ("case:1", "100%")
    assert " of 60 (" in grid.rows[1][2]
    assert grid.rows[1][4].startswith("-0.")


def test_an_evaluation_holds_it() -> None:
    """The evaluation has one more table, and strict JSON has the same figures."""
    rows = {"sentiment-3": Rows(name="mine", ids=IDS, test=LabelledTexts(texts=TEXTS, truth=TRUTH), left_out={})}
    asked = changes(["asr:0.3", "typos:0.1", "asr:0.3"], ["remove"])

    found = evaluate_rows(fake_classifier(), rows, baselines=False, resamples=20, noise=asked)
    plain = evaluate_rows(fake_classifier(), rows, baselines=False, resamples=20)

    assert [row[0] for row in found.tables()["fake on mine: under noise"].rows] == [
        "clean",
        "asr:0.3",
        "typos:0.1",
        "emoji remove",
    ]
    tree = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert [result["name"] for result in tree["under_noise"]] == ["clean", "asr:0.3", "typos:0.1", "emoji remove"]
    assert tree["under_noise"][0]["macro_f1"] == found.reports[0].metrics["macro_f1"].value
    assert plain.reports == found.reports
    assert plain.to_json()["under_noise"] == []
    assert len(plain.tables()) + 1 == len(found.tables())


@pytest.mark.parametrize(
    ("noise", "emoji", "said"),
    [(["rain:1"], [], "no noise 'rain'"), ([], ["drop"], "can't be treated as 'drop'"), ([], ["keep"], "'keep'")],
)
def test_wrong_noise_is_refused(noise: list[str], emoji: list[str], said: str) -> None:
    """Unknown noise and unknown ways are refused before anything is read."""
    with pytest.raises(ConfigError, match=said):
        changes(noise, emoji)
