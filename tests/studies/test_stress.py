"""What a model loses under noise."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ottenok.core.errors import ConfigError
from ottenok.core.schemes import load_scheme
from ottenok.studies.evaluation import EvaluationSpec, evaluate_on
from ottenok.studies.rows import Rows
from ottenok.studies.stress import CleanRows, StressSpec, stress_table, under_noise
from ottenok.tasks.baselines import LabelledTexts
from ottenok.tasks.decision import Decision
from ottenok.tasks.paired import PairedOptions
from ottenok.text.noise import NoiseSpec, add_noise
from ottenok.training.inputs import Places
from toys import fake_classifier

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

SENTIMENT = load_scheme("sentiment-3")
WORDS = ("Плохо", "Стол", "Чудесно")
TEXTS = [f"{WORDS[row % 3]} {row}" + (" 😀" if row % 2 else "") for row in range(60)]
TRUTH = np.eye(3, dtype=np.bool_)[[row % 3 for row in range(60)]]


class _Reader:
    """Knows the words as they are written above, and takes all else for neutral."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, texts: list[str]) -> npt.NDArray[np.float32]:
        self.seen += texts
        known = [WORDS.index(text.split()[0]) if text.split()[0] in WORDS else 1 for text in texts]
        return np.eye(3, dtype=np.float32)[known]


def _clean(reader: _Reader) -> CleanRows:
    probs = reader(TEXTS)
    reader.seen.clear()
    decision = Decision(activation="softmax")
    return CleanRows(texts=TEXTS, truth=TRUTH, probs=probs, scheme=SENTIMENT, decision=decision, read=reader)


def test_noise_costs_what_the_model_can_not_bear() -> None:
    """A model that knows words by their capitals loses under `case`, with an interval below 0."""
    reader = _Reader()
    spec = StressSpec.parse(["case:1"], ["remove"])

    clean, case, bare = under_noise(_clean(reader), spec.changes(0), PairedOptions(resamples=200, permutations=0))

    assert (clean.name, clean.macro_f1, clean.changed) == ("clean", 1.0, 0.0)
    assert case.name == "case:1"
    assert case.changed == 1.0
    assert case.macro_f1 == pytest.approx(1.0 + case.difference)
    assert case.macro_f1 < 0.3
    assert case.high is not None
    assert case.high < 0.0
    assert (bare.name, bare.changed, bare.difference, bare.low, bare.high) == ("emoji remove", 0.5, 0.0, 0.0, 0.0)
    assert len(reader.seen) == 60 + 30


def test_the_same_seed_is_the_same_noise() -> None:
    """Noise follows from the seed; another one is other noise."""
    spec = StressSpec(noise=(NoiseSpec(kind="typos", rate=0.5),))

    def noisy(seed: int) -> list[str]:
        return [spec.changes(seed)["typos:0.5"](text) for text in TEXTS]

    assert noisy(0) == noisy(0) == [add_noise(text, "typos", rate=0.5, seed=0) for text in TEXTS]
    assert noisy(0) != noisy(1)


def test_nothing_asked_is_nothing_measured() -> None:
    """Without noise there is no table, and nothing is read."""
    reader = _Reader()

    assert under_noise(_clean(reader), {}, PairedOptions()) == ()
    assert reader.seen == []


def test_the_table_shows_the_price() -> None:
    """A row per noise, the clean texts first; without resamples there are no brackets."""
    results = under_noise(
        _clean(_Reader()), StressSpec.parse(["case:1"]).changes(0), PairedOptions(resamples=0, permutations=0)
    )

    grid = stress_table(results)

    assert grid.header == ("", "texts changed", "macro F1", "difference from clean")
    assert grid.rows[0] == ("clean", "-", "1.000", "-")
    assert grid.rows[1][:2] == ("case:1", "100%")
    assert grid.rows[1][3].startswith("-0.")


def test_an_evaluation_holds_it(tmp_path: Path) -> None:
    """The evaluation has one more table, and strict JSON has the same figures."""
    rows = Rows(name="mine", test=LabelledTexts(texts=TEXTS, truth=TRUTH), left_out={})
    stress = StressSpec.parse(["asr:0.3", "typos:0.1", "asr:0.3"], ["remove"])
    spec = EvaluationSpec(baselines=False, resamples=20, stress=stress, places=Places(cache=tmp_path))

    found = evaluate_on(fake_classifier(), rows, spec=spec)
    plain = evaluate_on(fake_classifier(), rows, spec=EvaluationSpec(baselines=False, resamples=20))

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
def test_wrong_stress_is_refused(noise: list[str], emoji: list[str], said: str) -> None:
    """Unknown noise and unknown ways are refused before anything is read."""
    with pytest.raises(ConfigError, match=said):
        StressSpec.parse(noise, emoji)
